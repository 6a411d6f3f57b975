//! The stores that tests publish to.

use crate::wire::Answer;
use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use url::Url;

/// moto's S3 server, a process of its own.
pub(crate) struct Moto {
    process: Child,
    pub(crate) endpoint: Url,
    /// The server's own log of requests.
    log: Arc<Mutex<Vec<String>>>,
}

impl Moto {
    /// Starts it with one empty bucket, `advocate`. `None` if it is not installed and that is allowed.
    pub(crate) fn start() -> Option<Moto> {
        let Ok(program) = std::env::var("PRESSRUN_MOTO") else {
            assert!(std::env::var("PRESSRUN_TESTS_COMPLETE").is_err(), "PRESSRUN_MOTO does not name moto_server");
            eprintln!("not tested: PRESSRUN_MOTO does not name moto_server (scripts/test installs it)");
            return None;
        };
        let mut process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let running = lines.find(|line| line.contains("Running on http://")).expect("moto does not start");
        let at = running.split("Running on ").nth(1).unwrap().trim();
        let endpoint = Url::parse(at.split_whitespace().next().unwrap()).unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = log.clone();
        std::thread::spawn(move || lines.for_each(|line| kept.lock().unwrap().push(line)));
        let moto = Moto { process, endpoint, log };
        assert_eq!(moto.ask("PUT", "/advocate", "").status, 200);
        moto.log.lock().unwrap().clear();
        Some(moto)
    }

    /// The requests of this method (all, if it is empty) that the server logged and we did not send ourselves.
    pub(crate) fn requests(&self, method: &str) -> Vec<String> {
        // The log comes through a pipe: a request of our own marks where it has arrived.
        static MARKS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let mark = format!("/moto-api/?mark={}", MARKS.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        self.ask("GET", &mark, "");
        loop {
            let log = self.log.lock().unwrap().clone();
            if log.iter().any(|line| line.contains(&format!("{mark} "))) {
                let ours = |line: &&String| line.contains("own=1") || line.contains("/moto-api/");
                return log.into_iter().filter(|l| l.contains(&format!("\"{method}")) && !ours(&l)).collect();
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", &format!("{path}?own=1"), "")
    }

    pub(crate) fn put(&self, path: &str, body: &str) {
        assert_eq!(self.ask("PUT", &format!("{path}?own=1"), body).status, 200);
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let at = self.endpoint.socket_addrs(|| None).unwrap()[0];
        let mut socket = TcpStream::connect(at).unwrap();
        // It wants a signature to be there, and does not look at it.
        let by = "AWS4-HMAC-SHA256 Credential=test/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let length = body.len();
        let head = format!("Host: {at}\r\nAuthorization: {by}\r\nContent-Length: {length}");
        write!(socket, "{method} {path} HTTP/1.0\r\n{head}\r\n\r\n{body}").unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        Answer::read(&answer)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A store that answers each request as the test says, and writes down what came.
pub(crate) struct Flaky {
    pub(crate) endpoint: Url,
    requests: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Flaky {
    /// `says` gets the request (`PUT /advocate/…`) and the how-manieth time it is sent, and gives the status.
    pub(crate) fn start(says: fn(&str, u32) -> u16) -> Flaky {
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = requests.clone();
        let times: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
        let answer = move |request: Request| {
            let (kept, times) = (kept.clone(), times.clone());
            async move {
                let name = format!("{} {}", request.method(), request.uri().path());
                let _ = axum::body::to_bytes(request.into_body(), usize::MAX).await;
                let time = {
                    let mut times = times.lock().unwrap();
                    let time = times.entry(name.clone()).or_default();
                    *time += 1;
                    *time
                };
                let status = StatusCode::from_u16(says(&name, time)).unwrap();
                let list = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
                let body = if name.starts_with("GET") { list } else { "" };
                kept.lock().unwrap().push(name);
                (status, [(header::ETAG, "\"x\"")], body).into_response()
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let at: SocketAddr = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = listener.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
            at
        });
        Flaky { endpoint: Url::parse(&format!("http://{at}/")).unwrap(), requests, _runtime: runtime }
    }

    /// What came, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}
