//! `[location]`: how long registrations last, how many there may be, and where they live.

use std::time::Duration;

use strowger_sip::registrar::WhenFull;

use super::diagnostic::{Complaint, Report};
use super::read::{Given, Item, Key};
use super::registering::{ThirdParty, read_third_parties, read_visitors};
use super::schema::{Feature, carried, distinct, refuse, s, set, whole_seconds};
use super::value::loose_route;
use super::{Cidr, Durability, Store};

/// Registrar and location service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Where bindings live.
    pub store: Store,
    /// What an acknowledged binding survives.
    pub durability: Durability,
    /// Shorter registrations get 423 Interval Too Brief (RFC 3261 §10.3 step 7).
    pub min_expires: Duration,
    /// Longer registrations are cut to this.
    pub max_expires: Duration,
    /// For registrations that name no duration.
    pub default_expires: Duration,
    /// Contacts that one address-of-record may have.
    pub max_contacts: u16,
    /// What becomes of one more.
    pub when_full: WhenFull,
    /// Networks whose phones may register here with addresses of other domains (RFC 3261 §10.2).
    pub visitors: Vec<Cidr>,
    /// How many of them may be registered at a time.
    pub max_visitors: u32,
    /// Who may register for others.
    pub third_parties: Vec<ThirdParty>,
    /// Whether phones are known by their instance and flow if they want to be (RFC 5626).
    pub outbound: bool,
    /// How often phones that keep their flows are to show that they are there (RFC 5626 §4.4); zero leaves it to them.
    pub flow_timer: Duration,
    /// Through which proxies phones are told to send their requests (RFC 3608 §6.3), in their order, each a `name-addr`.
    pub service_route: Vec<String>,
}

impl Default for Location {
    fn default() -> Self {
        Self {
            store: Store::Sqlite,
            durability: Durability::Power,
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(86_400),
            default_expires: Duration::from_secs(3600),
            max_contacts: 10,
            when_full: WhenFull::Refuse,
            visitors: Vec::new(),
            max_visitors: 1000,
            third_parties: Vec::new(),
            outbound: true,
            flow_timer: Duration::from_secs(120),
            service_route: Vec::new(),
        }
    }
}

pub(super) const LOCATION: &[Key<Location>] = &[
    Key {
        name: "visitors",
        example: r#"["192.0.2.0/24"]"#,
        given: Given::Example,
        doc: "Networks whose phones may register here with an address of another domain, without a password of ours, and are called \
              by an address of ours: who registers as alice@far.test is alice%40far.test@example.test here. Without it such a \
              REGISTER gets 404 (RFC 3261 §10.3 step 5).",
        read: |location, item, report| set(&mut location.visitors, read_visitors(item, report)),
    },
    Key {
        name: "max_visitors",
        example: "1000",
        given: Given::Default,
        doc: "Visitors that may be registered at a time, as each is believed to be whoever it says; one more gets 503.",
        read: |location, item, report| set(&mut location.max_visitors, item.integer(1..=1_000_000, report)),
    },
    Key {
        name: "third_parties",
        example: r#"{ "assistant@example.test" = ["boss@example.test"] }"#,
        given: Given::Example,
        doc: "Who may register for others of the same domain, with their own password; \"*\" is for all of them. Without it everybody \
              else gets 403 (RFC 3261 §10.3 step 4).",
        read: |location, item, report| location.third_parties = read_third_parties(item, report),
    },
    Key {
        name: "store",
        example: r#""sqlite""#,
        given: Given::Default,
        doc: "Where registrations live: sqlite (in the data directory) or memory (gone with the process).",
        read: |location, item, report| {
            if let Some(url) = item.value.get_ref().as_str().filter(|text| text.contains("://")) {
                refuse(carried(Feature::Store(url)), &item.span(), report);
                return;
            }
            set(
                &mut location.store,
                item.word(&[("sqlite", Store::Sqlite), ("memory", Store::Memory)], report),
            );
        },
    },
    Key {
        name: "durability",
        example: r#""power""#,
        given: Given::Default,
        doc: "What an acknowledged registration survives: power (its loss) or process (only kill -9; faster).",
        read: |location, item, report| {
            let words = [("power", Durability::Power), ("process", Durability::Process)];
            set(&mut location.durability, item.word(&words, report));
        },
    },
    Key {
        name: "min_expires",
        example: r#""1m""#,
        given: Given::Default,
        doc: "Shorter registrations are answered 423 Interval Too Brief. At most 1h (RFC 3261 §10.3 step 7).",
        read: |location, item, report| {
            set(
                &mut location.min_expires,
                whole_seconds(&item, s(1)..=s(3600), report),
            )
        },
    },
    Key {
        name: "max_expires",
        example: r#""1d""#,
        given: Given::Default,
        doc: "Longer registrations are shortened to this.",
        read: |location, item, report| {
            set(
                &mut location.max_expires,
                whole_seconds(&item, s(1)..=s(31_536_000), report),
            )
        },
    },
    Key {
        name: "default_expires",
        example: r#""1h""#,
        given: Given::Default,
        doc: "How long a registration lasts that does not say.",
        read: |location, item, report| {
            set(
                &mut location.default_expires,
                whole_seconds(&item, s(1)..=s(31_536_000), report),
            );
        },
    },
    Key {
        name: "max_contacts",
        example: "10",
        given: Given::Default,
        doc: "Contacts that one user may have registered at a time.",
        read: |location, item, report| set(&mut location.max_contacts, item.integer(1..=1000, report)),
    },
    Key {
        name: "when_full",
        example: r#""refuse""#,
        given: Given::Default,
        doc: "One contact more than that is answered 503 with Retry-After (refuse), or takes the place of the oldest (replace).",
        read: |location, item, report| {
            let words = [("refuse", WhenFull::Refuse), ("replace", WhenFull::Replace)];
            set(&mut location.when_full, item.word(&words, report));
        },
    },
    Key {
        name: "outbound",
        example: "true",
        given: Given::Default,
        doc: "Know phones that want it by their instance and flow instead of their contact's URI (RFC 5626).",
        read: |location, item, report| set(&mut location.outbound, item.boolean(report)),
    },
    Key {
        name: "flow_timer",
        example: r#""2m""#,
        given: Given::Default,
        doc: "How often phones with outbound are to send keep-alives (RFC 5626 §4.4); over UDP every 29s at least. 0s: as they like.",
        read: |location, item, report| {
            set(
                &mut location.flow_timer,
                whole_seconds(&item, s(0)..=s(3600), report),
            );
        },
    },
    Key {
        name: "service_route",
        example: r#"["<sip:proxy.example.test;lr>"]"#,
        given: Given::Example,
        doc: "Proxies through which phones are told to send their requests, the first one first (Service-Route, RFC 3608). \
              Without it nothing is said.",
        read: |location, item, report| {
            if let Some(route) = item.list(report, |item, report| item.parsed(loose_route, report)) {
                location.service_route = distinct(route, &item, report);
            }
        },
    },
];

/// Whether the bounds of expirations fit each other.
pub(super) fn check_expires(location: &Location, item: &Item<'_, '_>, report: &mut Report<'_>) {
    let Location {
        min_expires: min,
        default_expires: default,
        max_expires: max,
        ..
    } = *location;
    let complain = |key: &str, what: &str, mend: &str, report: &mut Report<'_>| {
        report.add(&item.key_span(key), Complaint::new(what, mend));
    };
    if min > max {
        complain(
            "min_expires",
            "`min_expires` is longer than `max_expires`",
            "make it the shorter one",
            report,
        );
    } else if default < min {
        let mend = "lengthen it, or shorten `min_expires`";
        complain(
            "default_expires",
            "`default_expires` is shorter than `min_expires`",
            mend,
            report,
        );
    } else if default > max {
        let mend = "shorten it, or lengthen `max_expires`";
        complain(
            "default_expires",
            "`default_expires` is longer than `max_expires`",
            mend,
            report,
        );
    }
}
