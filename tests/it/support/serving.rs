//! Asking the program that serves its pages.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::room::{Room, Serving};

impl Serving {
    /// The whole answer, as it came.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut socket = TcpStream::connect(self.at).unwrap();
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

    /// The stamp of its form.
    pub fn stamp(&self) -> String {
        let page = self.ask("GET", "/subscribe", "");
        page.split("name=\"stamp\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    /// Fills in the form, `address` and `digest` as they stand in a form's body; the answer.
    pub fn subscribe(&self, address: &str, digest: &str) -> String {
        let body = format!("address={address}&digest={digest}&stamp={}", self.stamp());
        let answer = self.ask("POST", "/subscribe", &body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
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
