//! What the registrar does for contacts whose device is to be pushed (RFC 8599 §5.6.1): the node is the proxy that pushes and the
//! registrar in one.

use strowger_sip::registrar::{PushParams, may_have_push};
use strowger_sip::{Extra, Reject};
use strowger_syntax::header::{Contact, NameAddr, Params};
use strowger_syntax::scan::{number, put_number};
use strowger_syntax::{Message, Name, Status};

use super::shared::Shared;
use crate::config::Unserved;
use crate::push::Services;

/// More than so many seconds before its end a registration is refreshed by a device that needs no push for it (§5.6.1.1).
const SELF_REFRESH_SECS: u64 = 121;

/// A contact of a REGISTER that has something to do with push.
struct Pushable<'a> {
    params: PushParams<'a>,
    address: NameAddr<'a>,
}

/// The contacts of a REGISTER that name a push service. Nearly no request has any, which is seen at once.
fn pushable<'a>(request: Message<'a>) -> impl Iterator<Item = Pushable<'a>> {
    let values = request
        .elements(Name::Contact)
        .filter(|value| may_have_push(value));
    values.filter_map(|value| {
        let address = NameAddr::parse(value).ok()?;
        let params = PushParams::of(address.uri_text)?;
        Some(Pushable { params, address })
    })
}

/// Whether a REGISTER is refused for what it asks of push. The node is the registrar, so no other proxy could do what it cannot:
/// a question for a service that is not served gets 555 (§5.6.1.2), and so does who wants one if the configuration says so (§5.6.1.1).
/// A registration that would end before it can be refreshed by a push gets 423 (§5.6.1.1).
pub(super) fn check_push(request: Message<'_>, shared: &Shared) -> Result<(), Reject> {
    let services = &shared.push;
    if !services.is_on() {
        return Ok(());
    }
    let unsupported = || Reject::new(Status::PUSH_NOTIFICATION_SERVICE_NOT_SUPPORTED);
    for Pushable { params, address } in pushable(request) {
        if is_pushed_elsewhere(request, &params) {
            continue;
        }
        let asked = expires_of(request, &address);
        match (params.prid, services.service_of(&params)) {
            (None, _) if params.provider.is_empty() || services.named(params.provider).is_some() => {}
            // Who goes asks for nothing.
            _ if asked == Some(0) => {}
            (None, _) => return Err(unsupported()),
            (Some(_), None) if services.unserved() == Unserved::Refuse => return Err(unsupported()),
            (Some(_), None) => {}
            (Some(_), Some(_)) => {
                let least = services.least_expires();
                if asked.is_some_and(|asked| asked < u64::from(least)) {
                    return Err(Reject::with(Status::INTERVAL_TOO_BRIEF, Extra::MinExpires(least)));
                }
            }
        }
    }
    Ok(())
}

/// The seconds that a contact asks for: its own parameter, else the field's. `None` leaves it to the registrar.
fn expires_of(request: Message<'_>, address: &NameAddr<'_>) -> Option<u64> {
    match address.params.get(b"expires") {
        Some(value) => Some(u64::from(Contact::expires_of(value))),
        None => request.first(Name::Expires).and_then(number),
    }
}

/// Whether another proxy, between here and the device, has said that it pushes that (§5.6.1.1).
fn is_pushed_elsewhere(request: Message<'_>, params: &PushParams<'_>) -> bool {
    request.elements(Name::FeatureCaps).any(|value| {
        let behind = value.iter().position(|&b| b == b';').map(|at| &value[at..]);
        let indicators = behind.and_then(Params::parse).unwrap_or_default();
        let named = indicators.value(b"+sip.pns").map(|value| value.trim_ascii());
        named.is_some_and(|named| {
            let named = named
                .strip_prefix(b"\"")
                .and_then(|named| named.strip_suffix(b"\""))
                .unwrap_or(named);
            named.eq_ignore_ascii_case(params.provider)
        })
    })
}

/// Whether the device of any contact of a REGISTER is pushed by another proxy.
pub(super) fn has_other_pusher(request: Message<'_>, services: &Services) -> bool {
    services.is_on()
        && request.has(Name::FeatureCaps)
        && pushable(request).any(|contact| is_pushed_elsewhere(request, &contact.params))
}

/// Appends what the 2xx to a REGISTER says of push, one Feature-Caps line for each service (§5.4): that its device will be pushed
/// (§5.6.1.1), or which services there are, for who asks (§5.6.1.2).
pub(super) fn write_feature_caps(request: Message<'_>, services: &Services, out: &mut Vec<u8>) {
    if !services.is_on() {
        return;
    }
    let mut told: smallvec::SmallVec<[&str; 4]> = smallvec::SmallVec::new();
    for Pushable { params, address } in pushable(request) {
        if params.prid.is_some() && is_pushed_elsewhere(request, &params) {
            continue;
        }
        for service in services.all() {
            let name = service.name();
            let is_meant = params.provider.eq_ignore_ascii_case(name.as_bytes())
                || params.provider.is_empty() && params.prid.is_none();
            let suffices = params.prid.is_none() || service.suffices(&params);
            if !is_meant || !suffices || told.contains(&name) {
                continue;
            }
            told.push(name);
            out.extend_from_slice(b"Feature-Caps: *;+sip.pns=\"");
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
            if params.prid.is_some() && address.params.has(b"+sip.pnsreg") {
                out.extend_from_slice(b";+sip.pnsreg=\"");
                // Before it is pushed for that.
                put_number(out, SELF_REFRESH_SECS.max(u64::from(services.least_expires())));
                out.push(b'"');
            }
            out.extend_from_slice(b"\r\n");
        }
    }
}
