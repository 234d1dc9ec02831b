//! Messages as phones send them.

pub(crate) const OPTIONS: &[u8] = b"OPTIONS sip:example.test SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bK-524287-1---0a1b2c3d4e5f6071\r\n\
Max-Forwards: 70\r\n\
From: \"Alice\" <sip:alice@example.test>;tag=6a5b4c3d\r\n\
To: <sip:example.test>\r\n\
Call-ID: 9f8e7d6c5b4a39281706f5e4\r\n\
CSeq: 17 OPTIONS\r\n\
Accept: application/sdp\r\n\
User-Agent: Phone 4.2 (build 1234)\r\n\
Content-Length: 0\r\n\r\n";

pub(crate) const REGISTER: &[u8] = b"REGISTER sip:example.test SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bK-524287-1---0a1b2c3d4e5f6072\r\n\
Max-Forwards: 70\r\n\
From: \"Alice\" <sip:alice@example.test>;tag=6a5b4c3d\r\n\
To: \"Alice\" <sip:alice@example.test>\r\n\
Call-ID: 9f8e7d6c5b4a39281706f5e4\r\n\
CSeq: 18 REGISTER\r\n\
Contact: \"Alice\" <sip:alice@192.0.2.10:5060;transport=udp>;expires=3600\r\n\
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, NOTIFY, PRACK, REFER\r\n\
Supported: replaces, outbound, gruu\r\n\
User-Agent: Phone 4.2 (build 1234)\r\n\
Content-Length: 0\r\n\r\n";

/// What a phone at an address describes.
macro_rules! sdp {
    ($address:literal) => {
        concat!(
            "v=0\r\n\
o=- 3724394400 3724394400 IN IP4 ",
            $address,
            "\r\n\
s=a call\r\n\
c=IN IP4 ",
            $address,
            "\r\n\
t=0 0\r\n\
m=audio 40000 RTP/AVP 9 8 0 101\r\n\
a=rtpmap:9 G722/8000\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-16\r\n\
a=ptime:20\r\n\
a=sendrecv\r\n"
        )
    };
}

pub(crate) const SDP: &str = sdp!("192.0.2.10");

pub(crate) const INVITE: &[u8] = concat!(
    "INVITE sip:bob@example.test SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bK-524287-1---0a1b2c3d4e5f6073\r\n\
Max-Forwards: 70\r\n\
From: \"Alice\" <sip:alice@example.test>;tag=6a5b4c3d\r\n\
To: <sip:bob@example.test>\r\n\
Call-ID: 9f8e7d6c5b4a39281706f5e5\r\n\
CSeq: 1 INVITE\r\n\
Contact: \"Alice\" <sip:alice@192.0.2.10:5060;transport=udp>\r\n\
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, NOTIFY, PRACK, REFER\r\n\
Supported: 100rel, timer, replaces, gruu\r\n\
Session-Expires: 1800\r\n\
User-Agent: Phone 4.2 (build 1234)\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 263\r\n\r\n",
    sdp!("192.0.2.10")
)
.as_bytes();

pub(crate) const OK: &[u8] = concat!(
    "SIP/2.0 200 OK\r\n\
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-7d6c5b4a39281706f5e4d3c2b1a0\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;received=192.0.2.10;rport=5060;branch=z9hG4bK-524287-1---0a1b2c3d4e5f6073\r\n\
Record-Route: <sip:192.0.2.1;lr;t=0123456789abcdef>\r\n\
From: \"Alice\" <sip:alice@example.test>;tag=6a5b4c3d\r\n\
To: <sip:bob@example.test>;tag=1f2e3d4c\r\n\
Call-ID: 9f8e7d6c5b4a39281706f5e5\r\n\
CSeq: 1 INVITE\r\n\
Contact: <sip:bob@192.0.2.11:5060>\r\n\
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, NOTIFY, PRACK, REFER\r\n\
Supported: replaces, gruu\r\n\
User-Agent: Phone 4.2 (build 1234)\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 263\r\n\r\n",
    sdp!("192.0.2.11")
)
.as_bytes();
