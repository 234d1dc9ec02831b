//! Messages to test with: our own, and those of the corpus where it lies beside the repository.

use std::path::{Path, PathBuf};

/// Well-formed messages that use the grammar to its edges.
pub(crate) const OWN: [&str; 6] = [
    "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n\
     TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n\
     from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n\
     MaX-fOrWaRdS: 0068\r\n\
     Call-ID: wsinv.ndaksdj@192.0.2.1\r\n\
     l   : 4\r\n\
     cseq: 0009\r\n  INVITE\r\n\
     Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n\
     s :\r\n\
     Unusual: ;;,,;;,;\r\n\
     Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n\
     v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  \
     192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n\
     m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\r\n newvalue ;\r\n  secondparam ; q = 0.33\r\n\
     Proxy-Authorization: Digest username=\"a\\\"b\", realm=\"atlanta.example.com\", algorithm=SHA-256,\r\n \
     nonce=\"c60f3082ee1212b402a21831ae\", qop=auth, nc=0000001f, cnonce=\"0a4f113b\", opaque=\"\",\r\n \
     uri=\"sip:bob@biloxi.example.com\", response=\"245f23415f11432b3434341c022\"\r\n\
     Replaces: 425928@bobster.example.org;to-tag=7743;from-tag=6472;early-only\r\n\
     Session-Expires: 1800;refresher=uac;x\r\nMin-SE: 90\r\n\
     Supported: timer, 100rel,,path\r\nRequire: gruu\r\nContent-Type: multipart/mixed ; boundary=\"a;b\"\r\n\
     Date: Sat, 13 Nov 2010 23:29:00 GMT\r\nTimestamp: 54.21 .5\r\nPrivacy: id; user\r\nPriority: urgent\r\n\
     P-Asserted-Identity: \"Al\" <sip:al@example.com>, tel:+14085264000\r\n\
     Alert-Info: <http://www.example.com/sounds/moo.wav>;x\r\n\r\nbody",
    "REGISTER sip:[2001:db8::10] SIP/2.0\r\n\
     Via: SIP/2.0/UDP [2001:db8::9:1]:5070;received=2001:db8::9:255;branch=z9hG4bKas3-111;rport=5080\r\n\
     To: sip:user@example.com\r\nFrom: sip:user@example.com;tag=81x2\r\nCall-ID: SSG9559905523997077@hlau_4100\r\n\
     CSeq: 98176 REGISTER\r\nMax-Forwards: 70\r\nExpires: 3600\r\n\
     Contact: \"Caller\" <sip:caller@[2001:db8::1]>;expires=60;+sip.instance=\"<urn:uuid:0-1>\";reg-id=1, <tel:+1-2>;q=0.5\r\n\
     Contact: <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>\r\n\
     Path: <sip:p1;lr>, <sip:p2;lr>\r\nAllow: INVITE, ACK, XYZZY\r\nUser-Agent: a (b) c\r\n\
     Authorization: Bearer abc.def==\r\nContent-Length: 0\r\n\r\n",
    "SIP/2.0 401 \r\n\
     Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf;ttl=4;maddr=239.1.1.1\r\n\
     To: <tel:+1-201-555-0123;phone-context=x>;tag=1\r\nFrom: <http://www.example.com>;tag=3234233\r\n\
     Call-ID: 1\r\nCSeq: 4294967 XYZZY\r\n\
     WWW-Authenticate: Digest realm=\"a, b\", qop=\"auth,auth-int\", nonce=\"n\", stale=FALSE, algorithm=MD5\r\n\
     WWW-Authenticate: Other x=1, y=\"z\"\r\n\
     Retry-After: 18000 (in a (nested) meeting);duration=3600\r\n\
     Warning: 307 isi.edu \"Session parameter 'foo' not understood\", 399 [::1]:5060 \"x\"\r\n\
     Reason: Q.850;cause=16;text=\"Terminated\", SIP ;cause=200\r\nServer:\r\nContent-Length: 0\r\n\r\n",
    "NOTIFY sip:a:p@h:5061;transport=tls?x=y SIP/2.0\r\n\
     Via: SIP/2.0/TLS h;branch=z9hG4bK1;rport;received=192.0.2.1, SIP/2.0/UDP g\r\n\
     t: Tom <sip:t@h>;tag=5\r\nf: <sip:f@h>;tag=6\r\ni: c1\r\nCSeq: 1 NOTIFY\r\no: dialog;id=3\r\n\
     Subscription-State: active;expires=10\r\nContent-Disposition: session;handling=optional\r\n\
     c: application/dialog-info+xml\r\ne: gzip, deflate\r\nl: 3\r\n\r\n<a>",
    "PRACK sip:h SIP/2.0\r\nVia: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK2\r\n\
     To: <sip:h>;tag=x\r\nFrom: Anonymous <sip:c8oqz84zk7z@privacy.org>;tag=y\r\nCall-ID: c2\r\nCSeq: 2 PRACK\r\n\
     RAck: 776656 1 INVITE\r\nRefer-To: <sip:a@b?Replaces=x%3Bto-tag%3D1>\r\nReferred-By: sip:r@s\r\nContent-Length: 0\r\n\r\n",
    "SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e}\r\nVia: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\r\n\
     Call-ID: unreason.1234ksdfak3j2erwedfsASdf\r\nCSeq: 35 INVITE\r\nFrom: sip:user@example.com;tag=11141343\r\n\
     To: sip:user@example.edu;tag=2229\r\nAuthentication-Info: nextnonce=\"47364c23432d2e131a5fb210812c\", qop=auth\r\n\
     RSeq: 988789\r\nRecord-Route: <sip:p2.example.com;lr>, <sip:p1;lr>\r\nContent-Length: 0\r\n\r\n",
];

/// Session descriptions: those of RFC 8866 §5 and RFC 3264 §10.1, and one with what else the grammar has.
pub(crate) const DESCRIPTIONS: [&str; 3] = [
    "v=0\r\no=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\ns=Call to John Smith\r\ni=SDP Offer #1\r\n\
     u=http://www.jdoe.example.com/home.html\r\ne=Jane Doe <jane@jdoe.example.com>\r\np=+1 617 555-6011\r\n\
     c=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\nm=audio 49180 RTP/AVP 0\r\n\
     m=video 51372 RTP/AVP 99\r\nc=IN IP6 2001:db8::2\r\na=rtpmap:99 h263-1998/90000\r\n",
    "v=0\no=alice 2890844526 2890844526 IN IP4 host.anywhere.com\ns=\nc=IN IP4 host.anywhere.com\nt=0 0\n\
     m=audio 49170 RTP/AVP 0\na=rtpmap:0 PCMU/8000\nm=video 51372 RTP/AVP 31\na=rtpmap:31 H261/90000\n\
     m=video 53000 RTP/AVP 32\na=rtpmap:32 MPV/90000",
    "v=0\r\no=- 20518 0 IN IP6 2001:db8::1\r\ns= \r\nc=IN IP4 233.252.0.1/127/3\r\nb=X-YZ:128\r\nb=AS:1\r\n\
     t=3724394400 3724398000\r\nr=604800 3600 0 90000\r\nz=3730928400 -1h 3749680800 0\r\nt=0 0\r\nk=prompt\r\n\
     a=sendonly\r\na=group:BUNDLE 0\r\nX=own\r\n\
     m=audio 49170/2 RTP/SAVPF 0 96 101\r\ni=one\r\nc=IN IP4 233.252.0.1/127\r\nc=IN IP4 233.252.0.2/127\r\nb=TIAS:64000\r\n\
     k=clear:x\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1; x=y\r\na=fmtp:101 0-16\r\na=ptime:20\r\n\
     a=maxptime:2.5\r\na=mid:0\r\na=inactive\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:a+b/c==|2^20|1:4\r\n\
     a=candidate:1 1 UDP 2130706431 192.0.2.1 8998 typ host\r\n\
     m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=setup:actpass\r\na=fingerprint:sha-256 AB:CD\r\n\r\n",
];

/// Every session description with its name: our own, then the corpus.
pub(crate) fn descriptions() -> Vec<(String, Vec<u8>)> {
    let own = DESCRIPTIONS.iter().enumerate();
    let own = own.map(|(i, text)| (format!("own description {i}"), text.as_bytes().to_vec()));
    own.chain(folder("sdp")).collect()
}

/// Where the corpus is, if it is there: beside the repository, whose crates lie at different depths.
fn corpus() -> PathBuf {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut places = above.map(|directory| directory.join("shared/corpus"));
    places.find(|place| place.is_dir()).unwrap_or_default()
}

/// The bytes of a file of the corpus, if it is there.
pub(crate) fn corpus_file(path: &str) -> Option<Vec<u8>> {
    std::fs::read(corpus().join(path)).ok()
}

/// The files of a folder of the corpus and those below it, by their paths from there; none where it is not.
pub(crate) fn folder(path: &str) -> Vec<(String, Vec<u8>)> {
    let (folder, mut found) = (corpus().join(path), Vec::new());
    collect(&folder, &mut found);
    let prefix = format!("{}/", folder.display());
    found
        .into_iter()
        .map(|(name, bytes)| (name.strip_prefix(&prefix).unwrap_or(&name).to_owned(), bytes))
        .collect()
}

/// Every message with its name: our own, then the corpus.
pub(crate) fn all() -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = OWN
        .iter()
        .enumerate()
        .map(|(i, text)| (format!("own {i}"), text.as_bytes().to_vec()))
        .collect();
    for folder in ["torture/rfc4475", "torture/rfc5118", "rfc-flows", "sip-msg"] {
        collect(&corpus().join(folder), &mut found);
    }
    found
}

fn collect(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path.display().to_string(), bytes));
        }
    }
}
