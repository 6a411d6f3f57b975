//! What a signature costs, in microseconds on one core: `cargo bench --bench dkim`.
//!
//! `sign` is done ahead or in line; `fields` is all that is left to do at sending when it was done ahead; `whole` signs a
//! finished message with nothing prepared.
#![allow(clippy::unwrap_used)]

use chrono::DateTime;
use pressrun::mail::dkim::{Algorithm, KeyName, Signer, generate};
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Of so many rounds the fastest counts: what disturbs can only add.
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(60);

fn main() {
    use Algorithm::{Ed25519, Rsa};
    println!("{:<10}{:>10}{:>10}{:>10}{:>10}{:>10}", "keys", "bytes", "prepare", "sign", "fields", "whole");
    for (name, algorithms) in [("RSA-2048", &[Rsa][..]), ("Ed25519", &[Ed25519]), ("both", &[Rsa, Ed25519])] {
        let key = |algorithm: &Algorithm| {
            let name = KeyName::new("acero-advocate.example", algorithm.key_type()).unwrap();
            (name, generate(*algorithm).unwrap().0)
        };
        let signer = Signer::new(algorithms.iter().map(key).collect()).unwrap();
        for bytes in [5_000, 20_000, 60_000] {
            line(name, bytes, &signer);
        }
    }
}

fn line(name: &str, bytes: usize, signer: &Signer) {
    let constants = mail(bytes);
    let constants: Vec<&[u8]> = constants.iter().map(String::as_bytes).collect();
    let token: &[u8] = b"0123456789abcdef0123456789abcdef0123456789";
    let values: [&[u8]; 5] =
        [b"jane.reader@reader.example", b"<0123456789abcdef@acero-advocate.example>", token, b"Jane", token];
    let mut message = constants[0].to_vec();
    for (value, constant) in values.iter().zip(&constants[1..]) {
        message.extend_from_slice(value);
        message.extend_from_slice(constant);
    }
    let when = DateTime::from_timestamp(1_795_327_200, 0).unwrap();

    let prepared = signer.prepare(constants.iter().copied(), when).unwrap();
    let signature = prepared.sign(&values).unwrap();
    let costs = [
        fastest(|| drop(black_box(signer.prepare(constants.iter().copied(), when).unwrap()))),
        fastest(|| drop(black_box(prepared.sign(black_box(&values)).unwrap()))),
        fastest(|| drop(black_box(prepared.fields(black_box(&values), &signature).unwrap()))),
        fastest(|| drop(black_box(signer.sign(black_box(&message), when).unwrap()))),
    ];
    let costs = costs.iter().fold(String::new(), |mut line, cost| {
        write!(line, "{cost:>10.1}").unwrap();
        line
    });
    println!("{name:<10}{:>10}{costs}", message.len());
}

/// Microseconds a call.
fn fastest(mut call: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let (begin, mut calls) = (Instant::now(), 0_u32);
        while begin.elapsed() < ROUND {
            call();
            calls += 1;
        }
        best = best.min(begin.elapsed().as_secs_f64() * 1e6 / f64::from(calls));
    }
    best
}

/// A digest's constants, about so many bytes together. The first value in the body stands after its first half.
fn mail(bytes: usize) -> [String; 6] {
    let line = "<p>The council voted on Tuesday to keep the library open until midnight,=\r\n";
    let half = line.repeat(bytes / 2 / line.len());
    [
        "From: The Acero Advocate <digest@acero-advocate.example>\r\n\
         Reply-To: desk@acero-advocate.example\r\n\
         List-Id: \"The Weekly\" <weekly.acero-advocate.example>\r\n\
         List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\
         Feedback-ID: 12:weekly:digest:acero\r\n\
         Auto-Submitted: auto-generated\r\nTo: "
            .to_owned(),
        "\r\nSubject: Weekly: the council votes\r\nDate: Sun, 22 Nov 2026 06:00:00 +0000\r\nMessage-ID: ".to_owned(),
        "\r\nList-Unsubscribe: <https://acero-advocate.example/unsubscribe/".to_owned(),
        format!(
            ">\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\n{half}\r\n=\r\n"
        ),
        format!("=\r\n{half}\r\nhttps://acero-advocate.example/unsubscribe/=\r\n"),
        "=\r\n</p>\r\n".to_owned(),
    ]
}
