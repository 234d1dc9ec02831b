//! Instance IDs (RFC 5626 §4.1): the URN by which a phone is known, whatever its contact is at the moment.

use strowger_syntax::header::{ParamValue, Params};

/// The instance ID among the parameters of a contact, without its quotes and angle brackets.
pub fn instance_of(params: Params<'_>) -> Option<&[u8]> {
    let inside = ParamValue::of(params.value(b"+sip.instance")?).inside();
    let urn = inside.strip_prefix(b"<").and_then(|urn| urn.strip_suffix(b">"));
    Some(urn.unwrap_or(inside)).filter(|id| !id.is_empty())
}

/// Whether two instance IDs are the same: UUIDs in any case, other URNs as far as the case of their namespace does not count
/// (RFC 5626 §4.1, RFC 8141 §3.1).
pub fn is_same_instance(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let case_counts_from = if is_uuid(a) { a.len() } else { namespace_end(a) };
    match (a.split_at(case_counts_from), b.split_at_checked(case_counts_from)) {
        ((a, rest), Some((b, other))) => a.eq_ignore_ascii_case(b) && rest == other,
        (_, None) => false,
    }
}

/// Whether case does not count in an instance ID.
pub(super) fn is_uuid(id: &[u8]) -> bool {
    id.get(..9)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"urn:uuid:"))
}

/// Where the part behind `urn:NID:` begins; 0 for what is no URN.
fn namespace_end(id: &[u8]) -> usize {
    let is_urn = id
        .get(..4)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"urn:"));
    let colon = id.iter().skip(4).position(|&b| b == b':');
    colon.filter(|_| is_urn).map_or(0, |at| 4 + at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(params: &str) -> Option<&str> {
        let id = instance_of(Params::parse(params.as_bytes()).expect("parameters"))?;
        Some(std::str::from_utf8(id).expect("ASCII"))
    }

    // RFC 5626 §4.1
    #[test]
    fn an_instance_id_is_what_the_feature_tag_has_between_its_brackets() {
        for (params, id) in [
            (";+sip.instance=\"<urn:uuid:1>\"", Some("urn:uuid:1")),
            (";ob;+SIP.Instance=\"<urn:x:1;2>\";reg-id=1", Some("urn:x:1;2")),
            (";+sip.instance=\"urn:uuid:1\"", Some("urn:uuid:1")),
            (";+sip.instance=\"<>\"", None),
            (";+sip.instance=\"\"", None),
            (";+sip.instance", None),
            (";ob", None),
            ("", None),
        ] {
            assert_eq!(instance(params), id, "{params}");
        }
    }

    // RFC 5626 §4.1, RFC 8141 §3.1
    #[test]
    fn urns_are_compared_as_their_scheme_has_it() {
        for (a, b, same) in [
            ("urn:uuid:ab-1", "URN:UUID:AB-1", true),
            ("urn:uuid:ab-1", "urn:uuid:ab-2", false),
            ("urn:uuid:ab-1", "urn:uuid:ab-", false),
            ("urn:dev:AB", "URN:DEV:AB", true),
            ("urn:dev:AB", "urn:dev:ab", false),
            ("AB", "ab", false),
            ("AB", "AB", true),
            ("urn:dev", "URN:dev", false),
        ] {
            assert_eq!(is_same_instance(a.as_bytes(), b.as_bytes()), same, "{a} {b}");
            assert_eq!(is_same_instance(b.as_bytes(), a.as_bytes()), same, "{b} {a}");
        }
    }
}
