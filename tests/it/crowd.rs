//! `pressrun serve` with ten thousand idle connections, and readers that take a feed a few bytes at a time.

use crate::support::room::{Room, Serving};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Idle connections. Those who keep them are processes of their own, so that neither they nor the server need to open
/// more than ten thousand files and a few.
const IDLE: usize = 10_000;
const PROCESSES: usize = 2;

/// Files that a process needs beside its connections.
const OTHERS: u64 = 1_000;

/// Readers of something large that take a little at a time.
const SLOW: usize = 50;

/// More memory than this for each idle connection would be a buffer kept for nothing.
const BYTES_EACH: u64 = 4_096;

/// Tells a process of this test that it is part of the crowd, and where the server is.
const CROWD: &str = "PRESSRUN_TEST_CROWD";

const NAME: &str = "crowd::ten_thousand_idle_connections_and_fifty_slow_readers_do_not_slow_a_request";

const FEED: &[u8] = b"GET /feeds/news/feed.json HTTP/1.1\r\nHost: x\r\n\r\n";

/// One of the crowd's processes: its connections have an answer each, wait until they are told to, and ask again.
struct Crowd {
    process: Child,
    tell: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Crowd {
    fn start(serving: &Serving) -> Crowd {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
            .env(CROWD, serving.at.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, hear) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Crowd { process, tell, hear }
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert!(self.hear.read_line(&mut line).unwrap() > 0, "a part of the crowd ended before it was {word}");
        }
    }

    /// What such a process does.
    fn be(at: &str) {
        let connect = |_| {
            let mut socket = TcpStream::connect(at).unwrap();
            socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
            socket.write_all(FEED).unwrap();
            socket
        };
        let answered = |socket: &mut TcpStream| {
            let mut answer = [0; 16_384];
            let read = socket.read(&mut answer).unwrap();
            assert!(answer[..read].starts_with(b"HTTP/1.1 200 "));
        };
        let mut sockets: Vec<TcpStream> = (0..IDLE / PROCESSES).map(connect).collect();
        sockets.iter_mut().for_each(answered);
        println!("\nidle");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        for socket in &mut sockets {
            socket.write_all(FEED).unwrap();
            answered(socket);
        }
        println!("\nstill there");
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Lets this process, and those that it starts, open so many files.
fn open_files(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    assert!(
        limit.maximum.is_none_or(|most| most >= wanted),
        "this test needs {wanted} open files a process, and {limit:?} is the limit: raise it with `ulimit -Hn {wanted}`"
    );
    if limit.current.is_some_and(|now| now < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }).unwrap();
    }
}

/// Bytes of memory that the process has.
fn memory(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    kilobytes.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

#[test]
#[cfg(target_os = "linux")]
fn ten_thousand_idle_connections_and_fifty_slow_readers_do_not_slow_a_request() {
    open_files(IDLE as u64 + OTHERS);
    if let Ok(at) = std::env::var(CROWD) {
        return Crowd::be(&at);
    }
    let room = Room::small(1);
    room.run(&["build"]).fine();
    room.write("feeds/large.xml", &"<x/>".repeat(1 << 20));
    let serving = room.serve(&["--no-press"]);
    let connect = || {
        let socket = TcpStream::connect(serving.at).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    };
    let ask = |path: &str| {
        let mut socket = connect();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    };
    for _ in 0..100 {
        assert!(ask("/feeds/news/feed.json").starts_with("HTTP/1.1 200 "));
    }
    let alone = memory(&serving.child);

    let mut crowd: Vec<Crowd> = (0..PROCESSES).map(|_| Crowd::start(&serving)).collect();
    for part in &mut crowd {
        part.wait_for("idle");
    }
    let with_crowd = memory(&serving.child);
    let mut slow: Vec<_> = (0..SLOW)
        .map(|_| {
            let mut socket = connect();
            socket.write_all(b"GET /feeds/large.xml HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            socket.read_exact(&mut [0]).unwrap();
            socket
        })
        .collect();
    let mut longest = Duration::ZERO;
    for n in 0..200 {
        slow[n % SLOW].read_exact(&mut [0; 100]).unwrap();
        let start = Instant::now();
        assert!(ask("/feeds/news/rss.xml").starts_with("HTTP/1.1 200 "));
        longest = longest.max(start.elapsed());
    }
    // A limit that no loaded machine reaches, and that one request which waits for another does.
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    let open = || -> usize {
        let metrics = ask("/metrics");
        let told = metrics.lines().find_map(|line| line.strip_prefix("pressrun_http_connections ")).unwrap();
        told.parse().unwrap()
    };
    // Counted four times a second, if the machine lets it.
    let begun = Instant::now();
    while open() < IDLE + SLOW {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} of {} are there", open(), IDLE + SLOW);
        std::thread::sleep(Duration::from_millis(50));
    }
    let each = with_crowd.saturating_sub(alone) / IDLE as u64;
    println!("{} kB alone, {} kB with the crowd: {each} bytes each", alone / 1_024, with_crowd / 1_024);
    assert!(each <= BYTES_EACH, "{each} bytes for each idle connection");
    for part in &mut crowd {
        part.tell.write_all(b"\n").unwrap();
        part.wait_for("still there");
    }
}
