//! Which parameters of a contact a record keeps.

use strowger_syntax::header::Params;

/// Whether a parameter of a contact is kept: its expiration changes, and a phone cannot choose its GRUUs (RFC 5627 §5.1).
#[inline]
pub(super) fn is_kept(name: &[u8]) -> bool {
    !(name.eq_ignore_ascii_case(b"expires")
        || name.eq_ignore_ascii_case(b"pub-gruu")
        || name.eq_ignore_ascii_case(b"temp-gruu"))
}

/// Parameters, each with its `;` and without white space, as far as they are kept.
pub(super) fn put_kept_params(out: &mut Vec<u8>, params: &[u8]) {
    let Some(params) = Params::parse(params) else {
        return;
    };
    for (name, value) in params.iter().filter(|(name, _)| is_kept(name)) {
        out.push(b';');
        out.extend_from_slice(name);
        if let Some(value) = value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
}
