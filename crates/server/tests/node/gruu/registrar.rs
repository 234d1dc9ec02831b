//! RFC 5627 §5: the registrar.

use strowger_testkit::message::{lines, registration, start_line, with};
use strowger_testkit::peer::address;
use strowger_testkit::{Plan, Site};

use super::*;

// RFC 5627 §5.1, §5.2, §5.3, §5.4; RFC 5630 §5.2.1
#[test]
fn the_registrar_obeys_every_rule() {
    check(RULES);
}

const RULES: &[Rule] = &[
    (
        "RFC 5627 §5.1",
        "a REGISTER may require the extension, and need not get GRUUs",
        || {
            let mut site = Site::new();
            let plain = with(&registration('b', BOB, &contact('b', ONE), 1), "Require: gruu");
            let answer = ok(&mut site, 'b', &plain);
            assert_eq!(
                given(&answer, "pub-gruu"),
                [None],
                "it does not say that it supports them"
            );
            let unknown = with(&plain, "Require: other").replace("CSeq: 1", "CSeq: 2");
            assert_eq!(lines(&site.ask('b', &unknown), "Unsupported"), ["other"]);
        },
    ),
    (
        "RFC 5627 §5.1",
        "a contact without an instance is as it always was",
        || {
            let mut site = Site::new();
            let answer = ok(&mut site, 'b', &register('b', "<sip:x@192.0.2.11>", 1));
            assert_eq!(lines(&answer, "Contact"), ["<sip:x@192.0.2.11>;expires=600"]);
        },
    ),
    (
        "RFC 5627 §5.1",
        "the public GRUU is the AOR and gr, and stays the same",
        || {
            let mut site = Site::new();
            for n in 1..4 {
                let answer = ok(&mut site, 'b', &register('b', &contact('b', ONE), n));
                assert_eq!(given(&answer, "pub-gruu"), [Some(public(ONE))]);
            }
            let elsewhere = of_call(&register('c', &contact('c', ONE), 1), "other");
            let answer = ok(&mut site, 'c', &elsewhere);
            assert_eq!(given(&answer, "pub-gruu"), [Some(public(ONE)), Some(public(ONE))]);
        },
    ),
    (
        "RFC 5627 §5.1",
        "each REGISTER has a new temporary GRUU; a retransmission has the same",
        || {
            let mut site = Site::new();
            let mut all = std::collections::HashSet::new();
            for n in 1..20 {
                let text = register('b', &contact('b', ONE), n);
                let answer = ok(&mut site, 'b', &text);
                assert!(all.insert(temporary(&answer)), "{answer}");
                assert_eq!(
                    lines(&ok(&mut site, 'b', &text), "Contact"),
                    lines(&answer, "Contact")
                );
            }
            assert!(
                all.iter()
                    .all(|gruu| gruu.starts_with("sip:tgruu.") && gruu.ends_with("@example.test;gr"))
            );
        },
    ),
    (
        "RFC 5627 §5.1",
        "GRUUs that a phone names itself are ignored",
        || {
            let mut site = Site::new();
            let named = format!(
                "{};pub-gruu=\"sip:x@y;gr=1\";temp-gruu=\"sip:z@y;gr\";ob",
                contact('b', ONE)
            );
            for n in 1..4 {
                let answer = ok(&mut site, 'b', &register('b', &named, n));
                assert_eq!(given(&answer, "pub-gruu"), [Some(public(ONE))]);
                assert!(temporary(&answer).starts_with("sip:tgruu."));
                assert!(!answer.contains("sip:x@y") && answer.contains(";ob;"), "{answer}");
            }
            let unaware = ok(&mut site, 'b', &registration('b', BOB, &named, 9));
            assert!(!unaware.contains("gruu"), "{unaware}");
        },
    ),
    ("RFC 5627 §5.1", "a contact that is the AOR is refused", || {
        let mut site = Site::new();
        let instance = format!(";+sip.instance=\"<{ONE}>\"");
        for own in [
            BOB,
            "sip:%62ob@EXAMPLE.test",
            "sip:bob@example.test;transport=tcp",
            "sip:bob@example.test:5060",
            "sip:1002@example.test",
            "sips:bob@example.test",
        ] {
            let text = register('b', &format!("<{own}>{instance}"), 1);
            let scheme = own.split(':').next().unwrap_or_default();
            let refused = site.ask(
                'b',
                &text.replacen("REGISTER sip", &format!("REGISTER {scheme}"), 1),
            );
            assert_eq!(start_line(&refused), "SIP/2.0 403 Contact Leads Back", "{own}");
        }
        assert_eq!(
            lines(
                &ok(
                    &mut site,
                    'b',
                    &register('b', "x", 2).replace("Contact: x\r\n", "")
                ),
                "Contact"
            )
            .len(),
            0
        );
        ok(&mut site, 'b', &register('b', &format!("<{BOB}>"), 3));
        ok(
            &mut site,
            'b',
            &register('b', &format!("<{BOB}>{instance};expires=0"), 4),
        );
        ok(
            &mut site,
            'b',
            &register('b', &format!("<sip:alice@example.test>{instance}"), 5),
        );
        ok(
            &mut site,
            'b',
            &register('b', &format!("<sip:bob@example.test:5099>{instance}"), 6),
        );
    }),
    (
        "RFC 5627 §5.1",
        "a contact that is a GRUU of the AOR is refused, another user's is not",
        || {
            let mut site = Site::new();
            let answer = ok(&mut site, 'b', &register('b', &contact('b', ONE), 1));
            let own = [
                temporary(&answer),
                public(ONE),
                public(TWO),
                "sip:1002@example.test;gr=x".to_owned(),
            ];
            for (n, gruu) in (2..).zip(&own) {
                let looping = format!("<{gruu}>;+sip.instance=\"<{TWO}>\"");
                let refused = site.ask('b', &register('b', &looping, n));
                assert_eq!(start_line(&refused), "SIP/2.0 403 Contact Leads Back", "{gruu}");
                let other = register('b', &looping, 1)
                    .replace(&format!("To: <{BOB}>"), "To: <sip:alice@example.test>");
                ok(&mut site, 'b', &of_call(&other, &format!("other{n}")));
            }
        },
    ),
    (
        "RFC 5627 §5.1",
        "a contact that is no SIP URI is refused if it has an instance",
        || {
            let mut site = Site::new();
            let refused = site.ask(
                'b',
                &register('b', &format!("<tel:+15551234>;+sip.instance=\"<{ONE}>\""), 1),
            );
            assert_eq!(start_line(&refused), "SIP/2.0 403 Contact Is No SIP URI");
            ok(&mut site, 'b', &register('b', "<tel:+15551234>", 2));
        },
    ),
    (
        "RFC 5627 §5.2",
        "contacts have their instance, and GRUUs if the request supports them",
        || {
            let mut site = Site::new();
            let both = format!("{}, {}, <sip:y@192.0.2.13>", contact('b', ONE), contact('c', TWO));
            let answer = ok(&mut site, 'b', &register('b', &both, 1));
            assert_eq!(
                given(&answer, "+sip.instance"),
                [Some(format!("<{ONE}>")), Some(format!("<{TWO}>")), None]
            );
            assert_eq!(
                given(&answer, "pub-gruu"),
                [Some(public(ONE)), Some(public(TWO)), None]
            );
            let made = given(&answer, "temp-gruu");
            assert!(made[0].is_some() && made[1].is_some() && made[0] != made[1] && made[2].is_none());
            let unaware = registration('b', BOB, "x", 2).replace("Contact: x\r\n", "");
            let fetched = ok(&mut site, 'b', &unaware);
            assert!(!fetched.contains("gruu"), "{fetched}");
            assert_eq!(given(&fetched, "+sip.instance"), given(&answer, "+sip.instance"));
            let fetched = ok(&mut site, 'b', &with(&unaware, "Supported: path,GRUU"));
            assert_eq!(given(&fetched, "temp-gruu"), made, "the most recent ones");
        },
    ),
    (
        "RFC 5627 §5.2",
        "a phone that does not know of GRUUs has a public one for those who ask",
        || {
            let mut site = Site::new();
            ok(&mut site, 'b', &registration('b', BOB, &contact('b', ONE), 1));
            let fetched = ok(
                &mut site,
                'b',
                &register('b', "x", 2).replace("Contact: x\r\n", ""),
            );
            assert_eq!(
                (given(&fetched, "pub-gruu"), given(&fetched, "temp-gruu")),
                (vec![Some(public(ONE))], vec![None])
            );
        },
    ),
    (
        "RFC 5627 §5.2",
        "all contacts of an instance have its most recent temporary GRUU",
        || {
            let mut site = Site::new();
            let first = ok(&mut site, 'b', &register('b', &contact('b', ONE), 1));
            let second = ok(
                &mut site,
                'c',
                &of_call(&register('c', &contact('c', ONE), 7), "other"),
            );
            let made = given(&second, "temp-gruu");
            assert!(made[0].is_some() && made[0] == made[1] && made[0] != Some(temporary(&first)));
        },
    ),
    (
        "RFC 5627 §5.2",
        "the answer lists the extension neither as required nor as supported",
        || {
            let mut site = Site::new();
            let answer = ok(
                &mut site,
                'b',
                &with(&register('b', &contact('b', ONE), 1), "Require: gruu"),
            );
            assert_eq!(
                (lines(&answer, "Require").len(), lines(&answer, "Supported").len()),
                (0, 0)
            );
        },
    ),
    (
        "RFC 5627 §5.3",
        "the public GRUU is the same when the instance comes back, the temporary one is not",
        || {
            let mut site = Site::new();
            let before = ok(&mut site, 'b', &register('b', &contact('b', ONE), 1));
            site.pass(700_000);
            let after = ok(&mut site, 'b', &register('b', &contact('b', ONE), 2));
            assert_eq!(given(&after, "pub-gruu"), given(&before, "pub-gruu"));
            assert_ne!(temporary(&after), temporary(&before));
        },
    ),
    (
        "RFC 5627 §5.4",
        "a GRUU is a URI of the AOR's domain, as that is written with its port",
        || {
            let mut site = Site::new();
            let text = register('b', &contact('b', ONE), 1);
            let ported = text.replace(&format!("To: <{BOB}>"), "To: <sip:1002@192.0.2.1:5060;x=y>");
            let answer = ok(&mut site, 'b', &ported);
            assert_eq!(
                given(&answer, "pub-gruu"),
                [Some(format!("sip:1002@192.0.2.1:5060;gr={ONE}"))]
            );
            assert!(temporary(&answer).ends_with("@192.0.2.1:5060;gr"));
            let aliased = text.replace(&format!("To: <{BOB}>"), "To: <sip:1002@example.test>");
            let answer = ok(&mut site, 'b', &aliased.replace("CSeq: 1", "CSeq: 2"));
            assert_eq!(
                given(&answer, "pub-gruu"),
                [Some(public(ONE))],
                "an alias is its user"
            );
        },
    ),
    ("RFC 5627 §5.4", "a SIPS contact has SIPS GRUUs", || {
        let mut site = Site::new();
        let secure = contact('b', ONE).replace("sip:", "sips:");
        let text = register('b', &secure, 1).replace("REGISTER sip:", "REGISTER sips:");
        let answer = ok(&mut site, 'b', &text);
        assert_eq!(
            given(&answer, "pub-gruu"),
            [Some(public(ONE).replace("sip:", "sips:"))]
        );
        assert!(temporary(&answer).starts_with("sips:tgruu."));
    }),
    (
        "RFC 5627 §5.4",
        "an instance is registered for an AOR, not for one of its GRUUs",
        || {
            let mut site = Site::new();
            let made = temporary(&ok(&mut site, 'b', &register('b', &contact('b', ONE), 1)));
            for gruu in [public(ONE), made] {
                let text = register('b', &contact('b', TWO), 2)
                    .replace(&format!("To: <{BOB}>"), &format!("To: <{gruu}>"));
                assert_eq!(start_line(&site.ask('b', &text)), "SIP/2.0 404 Not Found");
            }
        },
    ),
];

// RFC 5627 §5.1
#[test]
fn the_answer_is_the_same_whether_the_store_answers_at_once_or_later() {
    let mut at_once = Site::new();
    let mut later = Site::of(Plan {
        slow_store: true,
        ..Plan::default()
    });
    for n in 1..4 {
        let text = register('b', &contact('b', ONE), n);
        let answer = ok(&mut at_once, 'b', &text);
        later.send('b', &text);
        later.commit();
        let written = later.last('b', "SIP/2.0 200 ");
        assert_eq!(
            lines(written, "Contact"),
            lines(&answer, "Contact"),
            "{}",
            address('b')
        );
    }
}
