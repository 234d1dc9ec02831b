//! What Wireshark's dissectors make of datagrams: people look at SIP with them, and they are written from the RFCs by others.

use std::net::SocketAddrV4;
use std::time::Duration;

use crate::Scratch;
use crate::process::run;

/// The link type of packets that begin with their IP header.
const RAW_IP: u32 = 101;
/// From this severity on something is wrong; below, it is worth a note.
const WARNING: u32 = 0x0060_0000;

/// Datagrams in the order in which they were sent, as a capture file has them.
#[derive(Debug)]
pub struct Capture(Vec<u8>);

/// What was made of one datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dissected {
    /// The protocols that were found, such as `raw:ip:udp:sip:sdp`.
    pub protocols: String,
    /// What is wrong with it.
    pub faults: Vec<String>,
}

impl Capture {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "a file with a header is no default")]
    pub fn new() -> Self {
        let mut file = Vec::new();
        for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0xffff, RAW_IP] {
            file.extend_from_slice(&u32::to_le_bytes(word));
        }
        Self(file)
    }

    /// Adds a datagram.
    pub fn add(&mut self, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) {
        let udp_len = u16::try_from(8 + payload.len()).expect("a datagram");
        let mut packet = vec![0x45, 0];
        packet.extend_from_slice(&(20 + udp_len).to_be_bytes());
        // No identification and no fragments, 64 hops, UDP, and the checksum below.
        packet.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0]);
        packet.extend_from_slice(&from.ip().octets());
        packet.extend_from_slice(&to.ip().octets());
        let sum: u32 = packet
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&pair| u32::from(u16::from_be_bytes(pair)))
            .sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        for word in [from.port(), to.port(), udp_len, 0] {
            packet.extend_from_slice(&word.to_be_bytes());
        }
        packet.extend_from_slice(payload);
        let len = u32::try_from(packet.len()).expect("a packet");
        for word in [0, 0, len, len] {
            self.0.extend_from_slice(&word.to_le_bytes());
        }
        self.0.extend_from_slice(&packet);
    }

    /// What the dissectors make of each datagram.
    #[track_caller]
    pub fn dissect(&self) -> Vec<Dissected> {
        let scratch = Scratch::new();
        let file = scratch.path().join("capture.pcap");
        std::fs::write(&file, &self.0).expect("a file");
        let words = [
            "-r",
            file.to_str().expect("a path of ASCII"),
            "-n",
            "-T",
            "fields",
            "-E",
            "separator=|",
            "-E",
            "aggregator=;",
            "-e",
            "frame.protocols",
            "-e",
            "_ws.expert.severity",
            "-e",
            "_ws.expert.message",
        ];
        let ended = run(Duration::from_secs(60), "tshark", &words);
        assert_eq!(ended.code, Some(0), "apt-get install tshark? {ended:?}");
        ended.stdout.lines().map(dissected).collect()
    }
}

/// A line of what was found: the protocols, severities, and what each is about.
fn dissected(line: &str) -> Dissected {
    let mut fields = line.splitn(3, '|');
    let mut next = || fields.next().unwrap_or_default();
    let (protocols, severities, messages) = (next().to_owned(), next(), next());
    let severities = severities.split(';').filter(|text| !text.is_empty());
    let severities = severities.map(|text| text.parse().unwrap_or(u32::MAX));
    let faults = severities
        .zip(messages.split(';'))
        .filter(|&(severity, _)| severity >= WARNING)
        .map(|(_, message)| message.to_owned())
        .collect();
    Dissected { protocols, faults }
}
