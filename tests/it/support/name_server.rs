//! A name server inside the test: it answers from a few records, by UDP what is short and by TCP what is long.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, MX, PTR, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

/// A longer answer does not go by UDP (RFC 1035, section 4.2.1).
const LONGEST_DATAGRAM: usize = 512;

/// A record as a test writes it: `("paper.example", "MX", "10 mx.paper.example")`.
pub type Written = (String, &'static str, String);

/// In the place of a record's kind: the server fails when it is asked for what is the value.
pub const BROKEN: &str = "broken";

/// The server; ends with the process.
pub struct NameServer {
    pub at: SocketAddr,
    /// The records; a test may change them.
    pub zone: Arc<Mutex<Vec<Written>>>,
    /// How many questions came by TCP.
    pub by_tcp: Arc<Mutex<usize>>,
}

impl NameServer {
    pub fn start(records: Vec<Written>) -> NameServer {
        // Both protocols on one port: another program may have the other half of the first that is free.
        let (udp, tcp) = (0..50)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
                let tcp = TcpListener::bind(udp.local_addr().unwrap()).ok()?;
                Some((udp, tcp))
            })
            .unwrap();
        let server =
            NameServer { at: udp.local_addr().unwrap(), zone: Arc::new(Mutex::new(records)), by_tcp: Arc::default() };
        let zone = server.zone.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
                let Ok(asked) = Message::from_vec(&buffer[..length]) else { continue };
                let mut bytes = answer(&asked, &zone.lock().unwrap()).to_vec().unwrap();
                if bytes.len() > LONGEST_DATAGRAM {
                    bytes = answer(&asked, &[]).truncate().to_vec().unwrap();
                }
                let _ = udp.send_to(&bytes, peer);
            }
        });
        let (zone, by_tcp) = (server.zone.clone(), server.by_tcp.clone());
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let (Ok(mut stream), zone, by_tcp) = (stream, zone.clone(), by_tcp.clone()) else { continue };
                thread::spawn(move || {
                    let mut length = [0; 2];
                    while stream.read_exact(&mut length).is_ok() {
                        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
                        stream.read_exact(&mut bytes).unwrap();
                        *by_tcp.lock().unwrap() += 1;
                        let asked = Message::from_vec(&bytes).unwrap();
                        let bytes = answer(&asked, &zone.lock().unwrap()).to_vec().unwrap();
                        stream.write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
                        stream.write_all(&bytes).unwrap();
                    }
                });
            }
        });
        server
    }
}

fn answer(asked: &Message, zone: &[Written]) -> Message {
    let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
    answer.metadata.recursion_available = true;
    let Some(query) = asked.queries.first() else { return answer };
    answer.add_query(query.clone());
    let name = query.name().to_utf8().trim_end_matches('.').to_ascii_lowercase();
    let asked_for = query.query_type().to_string();
    if zone.iter().any(|(at, kind, value)| *at == name && *kind == BROKEN && *value == asked_for) {
        answer.metadata.response_code = ResponseCode::ServFail;
        return answer;
    }
    for (_, kind, value) in zone.iter().filter(|(at, kind, _)| *at == name && *kind != BROKEN) {
        if kind.parse::<RecordType>().unwrap() == query.query_type() {
            answer.add_answer(Record::from_rdata(query.name().clone(), 60, data(kind, value)));
        }
    }
    if !zone.is_empty() && !zone.iter().any(|(at, _, _)| *at == name) {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    answer
}

fn data(kind: &str, value: &str) -> RData {
    let name = |text: &str| Name::from_utf8(format!("{}.", text.trim_end_matches('.'))).unwrap();
    match kind {
        "TXT" => {
            let strings = value.as_bytes().chunks(255).map(|part| String::from_utf8(part.to_vec()).unwrap());
            RData::TXT(TXT::new(strings.collect()))
        }
        "MX" => {
            let (preference, host) = value.split_once(' ').unwrap();
            RData::MX(MX::new(preference.parse().unwrap(), name(host)))
        }
        "PTR" => RData::PTR(PTR(name(value))),
        "A" | "AAAA" => match value.parse().unwrap() {
            IpAddr::V4(four) => RData::A(A(four)),
            IpAddr::V6(six) => RData::AAAA(AAAA(six)),
        },
        other => panic!("{other}"),
    }
}
