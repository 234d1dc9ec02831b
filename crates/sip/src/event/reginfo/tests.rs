use super::*;
use crate::registrar::{Entry, Epoch, Order, Origin, RecordWriter, Tombstone, deregister, shorten};
use crate::transport::Transport;
use crate::{Keys, Source};

const NOW: u64 = 1_764_000_000;
const KEY: MacKey = MacKey::new([1; 16]);

fn binding(contact: &'static str, cseq: u32, lasts: u32) -> Binding<'static> {
    Binding {
        contact: contact.as_bytes(),
        params: b";q=0.8;+sip.instance=\"<urn:uuid:1>\";ob",
        q: 800,
        order: Order {
            branch: 1,
            cseq,
            call_id: b"c&1",
        },
        expires_at: NOW as u32 + lasts,
        updated_at: NOW as u32,
        bound_at: Some(NOW as u32 - 100),
        origin: Origin::of(
            &Source {
                transport: Transport::Udp,
                listener: 0,
                local: ([192, 0, 2, 1], 5060).into(),
                remote: ([192, 0, 2, 7], 5060).into(),
                flow: None,
            },
            1,
        ),
        path: b"",
        user_agent: b"",
        epoch: None,
        outbound: false,
    }
}

fn watched<'a>(aor: &'a [u8], keys: &'a Keys, is_full: bool, now_secs: u64) -> Watched<'a> {
    Watched {
        aor,
        ids: &KEY,
        version: 3,
        is_full,
        now_secs,
        gruus: Gruus {
            key: &keys.gruu,
            aor,
            port: None,
        },
        is_owner: true,
    }
}

fn record(bindings: &[Binding<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = RecordWriter::new(&mut out);
    for binding in bindings {
        writer.put(&Entry::Binding(*binding));
    }
    writer.finish();
    out
}

fn written(told: &Told, record: &[u8], now_secs: u64, is_full: bool) -> Option<String> {
    let keys = Keys::derive(&[1; 32]);
    let watched = watched(b"a b@example.test", &keys, is_full, now_secs);
    let mut out = Vec::new();
    write_reginfo(&watched, told, Bindings::new(record), &mut out)
        .then(|| String::from_utf8(out).expect("UTF-8"))
}

/// The state of the registration, and what each contact is told of: `state event`.
fn events(text: &str) -> Vec<String> {
    let attribute = |element: &str, name: &str| {
        let (_, rest) = element.split_once(&format!(" {name}=\"")).expect("the attribute");
        rest.split_once('"').expect("its end").0.to_owned()
    };
    let elements = text.split('<').skip(1);
    elements
        .filter_map(|element| match element.split(' ').next() {
            Some("registration") => Some(attribute(element, "state")),
            Some("contact") => Some(format!(
                "{} {}",
                attribute(element, "state"),
                attribute(element, "event")
            )),
            _ => None,
        })
        .collect()
}

#[test]
fn rfc_3680_section_5_1_a_full_document() {
    let mut one = binding("sip:a@192.0.2.7;x=\"<&>\"", 7, 60);
    one.params = b";q=0.8;+sip.instance=\"<urn:uuid:1>\";ob;n=\"\x01\xff\"";
    let text = written(&Told::default(), &record(&[one]), NOW, true).expect("a document");
    let ids = |scope: &[u8], text: &[u8]| id(&KEY, scope, text);
    let (aor, contact) = (
        ids(b"registration", b"a b@example.test"),
        ids(b"a b@example.test", b"sip:a@192.0.2.7;x=\"<&>\""),
    );
    assert_eq!(
        text,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"3\" state=\"full\">\
             <registration aor=\"sip:a%20b@example.test\" id=\"{aor}\" state=\"active\">\
             <contact id=\"{contact}\" state=\"active\" event=\"registered\" \
             duration-registered=\"100\" expires=\"60\" q=\"0.8\" callid=\"c&amp;1\" cseq=\"7\">\
             <uri>sip:a@192.0.2.7;x=&quot;&lt;&amp;&gt;&quot;</uri>\
             <unknown-param name=\"+sip.instance\">&quot;&lt;urn:uuid:1&gt;&quot;</unknown-param>\
             <unknown-param name=\"ob\"></unknown-param>\
             <unknown-param name=\"n\">&quot;\u{fffd}\u{fffd}&quot;</unknown-param>\
             </contact></registration></reginfo>"
        )
    );
}

#[test]
fn rfc_5628_section_5_gruus_are_elements_of_the_contact() {
    let keys = Keys::derive(&[1; 32]);
    let mut one = binding("sip:a@192.0.2.7;pn-provider=p;pn-prid=q", 7, 60);
    one.epoch = Some(Epoch { id: 1, first_cseq: 5 });
    let record = record(&[one]);
    let text = |is_owner| {
        let watched = Watched {
            is_owner,
            ..watched(b"a@example.test", &keys, true, NOW)
        };
        let mut out = Vec::new();
        write_reginfo(&watched, &Told::default(), Bindings::new(&record), &mut out);
        String::from_utf8(out).expect("UTF-8")
    };
    let ns = "xmlns:gr=\"urn:ietf:params:xml:ns:gruuinfo\"";
    let public = format!("<gr:pub-gruu {ns} uri=\"sip:a@example.test;gr=urn:uuid:1\"/>");
    let temporary = format!("<gr:temp-gruu {ns} uri=\"sip:tgruu.");
    let owner = text(true);
    assert!(owner.contains(&format!("{public}{temporary}")), "{owner}");
    assert!(owner.contains(";gr\" first-cseq=\"5\"/></contact>"), "{owner}");
    // RFC 8599 §13: nor is it for others what leads to the device.
    assert!(
        owner.contains("<uri>sip:a@192.0.2.7;pn-provider=p;pn-prid=q</uri>"),
        "{owner}"
    );
    let other = text(false);
    assert!(other.contains(&format!("{public}</contact>")), "{other}");
    assert!(other.contains("<uri>sip:a@192.0.2.7</uri>"), "{other}");
}

#[test]
fn rfc_3680_section_4_7_1_what_has_become_of_contacts() {
    let (a, b) = (
        binding("sip:a@192.0.2.7", 7, 60),
        binding("sip:b@192.0.2.7", 9, 600),
    );
    let both = record(&[a, b]);
    let told = Told::of(Bindings::new(&both), NOW);
    assert_eq!(told.first_expiry(), Some(NOW as u32 + 60));
    let partial = |record: &[u8], later: u64| {
        let text = written(&told, record, NOW + later, false);
        text.map(|text| events(&text).join(", ")).unwrap_or_default()
    };
    assert_eq!(partial(&both, 0), "");
    let refreshed = record(&[
        Binding {
            order: binding("", 8, 0).order,
            ..a
        },
        b,
    ]);
    assert_eq!(partial(&refreshed, 0), "active, active refreshed");
    let more = record(&[a, b, binding("sip:c@192.0.2.7", 1, 60)]);
    assert_eq!(partial(&more, 0), "active, active registered");
    assert_eq!(partial(&both, 60), "active, terminated expired");
    assert_eq!(
        partial(&both, 600),
        "terminated, terminated expired, terminated expired"
    );
    let removed = {
        let mut out = Vec::new();
        let mut writer = RecordWriter::new(&mut out);
        writer.put(&Entry::Tombstone(Tombstone {
            contact: a.contact,
            order: a.order,
            until: NOW as u32 + 32,
        }));
        writer.put(&Entry::Binding(b));
        writer.finish();
        out
    };
    assert_eq!(partial(&removed, 0), "active, terminated unregistered");
    assert_eq!(
        partial(&[], 0),
        "terminated, terminated unregistered, terminated unregistered"
    );
}

#[test]
fn rfc_3680_section_4_7_1_an_administrator_deactivates_or_rejects() {
    let (a, b) = (
        binding("sip:a@192.0.2.7", 7, 60),
        binding("sip:b@192.0.2.7", 9, 600),
    );
    let both = record(&[a, b]);
    let told = Told::of(Bindings::new(&both), NOW);
    let mut next = Vec::new();
    let removed = deregister(
        Bindings::new(&both),
        |contact| contact == a.contact,
        Removal::Deactivated,
        NOW,
        &mut next,
    );
    assert_eq!(removed, 1);
    let text = written(&told, &next, NOW, false).expect("a change");
    assert_eq!(events(&text), ["active", "terminated deactivated"]);
    let mut last = Vec::new();
    assert_eq!(
        deregister(Bindings::new(&next), |_| true, Removal::Rejected, NOW, &mut last),
        1
    );
    let text = written(&told, &last, NOW, false).expect("a change");
    assert_eq!(
        events(&text),
        ["terminated", "terminated deactivated", "terminated rejected"]
    );
    assert_eq!(Bindings::new(&last).live(NOW).count(), 0);
    assert_eq!(
        deregister(Bindings::new(&last), |_| true, Removal::Rejected, NOW, &mut next),
        0
    );
}

#[test]
fn rfc_3680_section_5_1_what_an_administrator_wants_of_phones_is_told() {
    let (a, b) = (
        binding("sip:a@192.0.2.7", 7, 60),
        binding("sip:b@192.0.2.7", 9, 600),
    );
    let both = record(&[a, b]);
    let told = Told::of(Bindings::new(&both), NOW);
    let mut next = Vec::new();
    let why = Removal::Probation { retry_after: 300 };
    assert_eq!(
        deregister(Bindings::new(&both), |c| c == a.contact, why, NOW, &mut next),
        1
    );
    let text = written(&told, &next, NOW + 1, false).expect("a change");
    assert_eq!(events(&text), ["active", "terminated probation"]);
    assert!(text.contains(" retry-after=\"300\""), "{text}");
    // Which lasts less than that anyway is left alone.
    let end = NOW as u32 + 100;
    assert_eq!(shorten(Bindings::new(&both), |_| true, end, NOW, &mut next), 1);
    let text = written(&told, &next, NOW + 1, false).expect("a change");
    assert_eq!(events(&text), ["active", "active shortened"]);
    assert!(
        text.contains(" duration-registered=\"101\" expires=\"99\""),
        "{text}"
    );
    assert_eq!(
        shorten(Bindings::new(&next), |_| true, end, NOW, &mut Vec::new()),
        0
    );
    assert_eq!(Bindings::new(&next).due(), NOW as u32 + 60);
}

#[test]
fn rfc_3680_section_5_1_durations_are_of_one_life_of_a_contact() {
    let a = binding("sip:a@192.0.2.7", 7, 60);
    let told = Told::of(Bindings::new(&record(&[a])), NOW);
    let duration = |record: &[u8], later: u64| {
        let text = written(&told, record, NOW + later, false).expect("a change");
        let (_, rest) = text.split_once("duration-registered=\"").expect("it is told");
        let duration = rest.split('"').next().unwrap_or_default().to_owned();
        (events(&text).pop().unwrap_or_default(), duration)
    };
    let refreshed = Binding {
        order: binding("", 8, 0).order,
        expires_at: NOW as u32 + 100,
        ..a
    };
    let is = |event: &str, duration: &str| (event.to_owned(), duration.to_owned());
    assert_eq!(duration(&record(&[refreshed]), 40), is("active refreshed", "140"));
    assert_eq!(duration(&record(&[a]), 64), is("terminated expired", "160"));
    let mut removed = Vec::new();
    deregister(
        Bindings::new(&record(&[a])),
        |_| true,
        Removal::Rejected,
        NOW + 20,
        &mut removed,
    );
    assert_eq!(duration(&removed, 23), is("terminated rejected", "120"));
    // It expired, and was bound again before that was told.
    let again = Binding {
        bound_at: Some(NOW as u32 + 61),
        expires_at: NOW as u32 + 121,
        ..refreshed
    };
    assert_eq!(duration(&record(&[again]), 62), is("active registered", "1"));
    let old = Binding { bound_at: None, ..a };
    let text = written(&Told::default(), &record(&[old]), NOW, true).expect("a document");
    assert!(!text.contains("duration-registered"), "{text}");
}

#[test]
fn who_registers_anew_and_is_removed_again_is_told_of_the_last_time() {
    let a = binding("sip:a@192.0.2.7", 7, 60);
    let (mut once, mut both, mut twice) = (Vec::new(), Vec::new(), Vec::new());
    let first = record(&[a]);
    deregister(
        Bindings::new(&first),
        |_| true,
        Removal::Deactivated,
        NOW,
        &mut once,
    );
    let mut writer = RecordWriter::new(&mut both);
    for (entry, _) in Bindings::new(&once).entries() {
        writer.put(&entry);
    }
    writer.put(&Entry::Binding(a));
    writer.finish();
    let told = Told::of(Bindings::new(&both), NOW);
    deregister(Bindings::new(&both), |_| true, Removal::Rejected, NOW, &mut twice);
    let text = written(&told, &twice, NOW, false).expect("a change");
    assert_eq!(events(&text), ["terminated", "terminated rejected"]);
}

#[test]
fn rfc_3680_section_4_7_1_nobody_registered_is_init_and_is_never_told_as_a_change() {
    let nothing = Told::default();
    let text = written(&nothing, &[], NOW, true).expect("a document");
    assert_eq!(events(&text), ["init"]);
    assert_eq!(written(&nothing, &[], NOW, false), None);
    let expired = record(&[binding("sip:a@192.0.2.7", 7, 60)]);
    let told = Told::of(Bindings::new(&expired), NOW + 61);
    assert_eq!(written(&told, &expired, NOW + 62, false), None);
}

#[test]
fn rfc_3680_section_5_1_ids_are_the_same_in_every_document() {
    let one = record(&[binding("sip:a@192.0.2.7", 7, 60)]);
    let ids = |text: String| {
        let of = text.split(" id=\"").skip(1).map(|rest| rest[..16].to_owned());
        of.collect::<Vec<_>>()
    };
    let first = ids(written(&Told::default(), &one, NOW, true).expect("a document"));
    let later = ids(written(&Told::default(), &one, NOW + 5, false).expect("a document"));
    assert_eq!((first.len(), &first), (2, &later));
    assert_ne!(first[0], first[1]);
}
