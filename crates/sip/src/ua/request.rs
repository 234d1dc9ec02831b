//! The REGISTER of a user agent (RFC 3261 §8.1.1, §10.2).

use strowger_syntax::scan::put_number;

use super::registration::Settings;
use crate::endpoint::Identity;
use crate::memory::Id;
use crate::transport::Hop;

/// What differs from one REGISTER to the next.
pub(super) struct Register<'a> {
    pub(super) settings: &'a Settings,
    /// The Request-URI.
    pub(super) target: &'a [u8],
    pub(super) call_id: &'a [u8],
    pub(super) tag: &'a [u8],
    pub(super) cseq: u32,
    /// The Contact's URI and the seconds that it is to be bound for.
    pub(super) contact: (&'a [u8], u32),
    /// A former Contact, to be removed.
    pub(super) former: Option<&'a [u8]>,
    /// Lines of credentials.
    pub(super) credentials: &'a [u8],
}

impl Register<'_> {
    /// Appends it, for a hop and with the branch of a client transaction.
    pub(super) fn write(
        &self,
        identity: &Identity,
        hop: &Hop,
        (client, check): (Id, u32),
        out: &mut Vec<u8>,
    ) {
        let settings = self.settings;
        let mut put = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| out.extend_from_slice(piece));
        put(&[b"REGISTER ", self.target, b" SIP/2.0\r\nVia: "]);
        identity.listeners.write_via(hop, out);
        out.extend_from_slice(b";branch=");
        identity
            .branches
            .write_stateful(out, identity.shard, client, check, 0);
        // RFC 3581 §3: the answer comes back through a NAT.
        out.extend_from_slice(b";rport\r\nMax-Forwards: 70\r\n");
        let mut put = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| out.extend_from_slice(piece));
        if let Some(outbound) = &settings.outbound {
            put(&[b"Route: <", outbound, b">\r\n"]);
        }
        let (aor, tag) = (&settings.aor, self.tag);
        put(&[
            b"From: <",
            aor,
            b">;tag=",
            tag,
            b"\r\nTo: <",
            aor,
            b">\r\nCall-ID: ",
        ]);
        put(&[self.call_id, b"\r\nCSeq: "]);
        put_number(out, u64::from(self.cseq));
        out.extend_from_slice(b" REGISTER\r\n");
        let mut put_contact = |uri: &[u8], expires: u32| {
            out.extend_from_slice(b"Contact: <");
            out.extend_from_slice(uri);
            out.extend_from_slice(b">;expires=");
            put_number(out, u64::from(expires));
            out.extend_from_slice(b"\r\n");
        };
        put_contact(self.contact.0, self.contact.1);
        if let Some(former) = self.former {
            put_contact(former, 0);
        }
        out.extend_from_slice(self.credentials);
        // RFC 3327 §5.1: proxies on the way may ask to be on the way back.
        out.extend_from_slice(b"Supported: path\r\nContent-Length: 0\r\n\r\n");
    }
}

/// The URI by which a registrar's side reaches us: a user at the listener that the REGISTER leaves by.
pub(super) fn contact_uri(identity: &Identity, hop: &Hop, user: &[u8]) -> Vec<u8> {
    let mut host = Vec::new();
    identity
        .listeners
        .write_uri(hop.transport, (hop.listener, hop.told), hop.local, &mut host);
    let rest = host.strip_prefix(b"sip:").unwrap_or(&host);
    [b"sip:", user, b"@", rest].concat()
}
