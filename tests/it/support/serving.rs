//! The real program, serving its pages.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::room::Room;

/// `pressrun serve` of a room, on a port of its own. Killed where it was not stopped.
pub struct Serving {
    child: Child,
    at: String,
}

impl Serving {
    /// Starts it, with these variables of the environment. Its log goes to `serve.log`.
    pub fn start(room: &Room, variables: &[(&str, &str)]) -> Serving {
        let log = std::fs::File::create(room.path("serve.log")).unwrap();
        let mut command = room.command(&["serve", "--json", "--bind", "127.0.0.1:0"]);
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        let at = event["address"].as_str().unwrap().to_owned();
        Serving { child, at }
    }

    /// The whole answer, as it came.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut socket = TcpStream::connect(&self.at).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let length = body.len();
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Fills in the form; `address` and `digest` as they stand in a form's body.
    pub fn subscribe(&self, address: &str, digest: &str) {
        let page = self.ask("GET", "/subscribe", "");
        let stamp = page.split("name=\"stamp\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let answer = self.ask("POST", "/subscribe", &format!("address={address}&digest={digest}&stamp={stamp}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Asks it to end.
    pub fn stop(mut self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until there are so many mails in the outbox.
pub fn outbox(room: &Room, mails: usize) -> Vec<(String, Vec<u8>)> {
    let begun = Instant::now();
    while room.outbox().len() < mails {
        assert!(begun.elapsed() < Duration::from_secs(30), "{} mails, {mails} wanted", room.outbox().len());
        std::thread::sleep(Duration::from_millis(20));
    }
    room.outbox()
}
