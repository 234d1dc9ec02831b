//! The scenarios that are played: the server that each needs, and who plays what.

use std::thread::sleep;
use std::time::Duration;

use system_tests::Setup;

use crate::stage::{Played, Stage};

/// Scenarios that belong together.
pub(crate) struct Case {
    /// As they are called in the table.
    pub(crate) scenarios: &'static [&'static str],
    pub(crate) setup: fn() -> Setup,
    pub(crate) play: fn(&mut Stage) -> Played,
}

const WITHOUT_100: &str = "in mode stateless, for the caller takes no 100";

/// What is to be said of scenarios that pass.
const REMARKS: &[(&str, &str)] = &[
    (
        "sipssert/registration/04.expire-min",
        "5 s are granted, for an expiration may not be lengthened (RFC 3261 §10.3 step 7)",
    ),
    ("sipssert/auth/03", WITHOUT_100),
    ("sipssert/auth/07", WITHOUT_100),
    ("sipssert/auth/08", WITHOUT_100),
    (
        "sipssert/record-route/02",
        "adapted: transport=tcp in the contact of the phone that has TCP only",
    ),
    (
        "sipssert/record-route/03",
        "adapted: the two entries are asked for, and not that they have the parameter r2 of OpenSIPS",
    ),
    (
        "siphon/b2bua_lcr_",
        "adapted: the route set in ACK and BYE, which a proxy needs and a B2BUA does not",
    ),
    (
        "siphon/b2bua_path_",
        "adapted: Supported: path, without which RFC 3327 §5.3 asks to refuse it",
    ),
    (
        "siphon/prack_u",
        "adapted: both Vias in the 200 to INVITE, which keeps one; a proxy adds its own",
    ),
    ("siphon/rtp", "the call; media goes from phone to phone"),
    ("sipp-regress/github-0238", WITHOUT_100),
    (
        "sipp-regress/github-0458",
        "in mode stateless, for the caller takes no 100; adapted: a Request-URI in its ACK, which has none",
    ),
    (
        "kamailio/uac_invite",
        "adapted: rrs for its 200, without which its ACK and BYE have no Request-URI, and one From tag instead of two",
    ),
    (
        "kamailio/uas_answer",
        "adapted: it does not repeat its 180; as it is, it waits for an answer to that, without a server in between too",
    ),
    (
        "kamailio/uac_register",
        "adapted: credentials and a higher CSeq in the last REGISTER (RFC 3261 §10.3 step 7)",
    ),
];

/// That remark.
pub(crate) fn remark(name: &str) -> Option<&'static str> {
    let found = REMARKS.iter().find(|(beginning, _)| name.starts_with(beginning));
    found.map(|(_, remark)| *remark)
}

const USER: &str = "bob";
const BOB: &str = "bob@127.0.0.1";
const PASSWORD: &str = "secret";
const CREDENTIALS: [&str; 4] = ["-au", USER, "-ap", PASSWORD];
const OF_BOB: [&str; 2] = ["-s", USER];
/// These scenarios name users by the server's address.
const HOST: &str = "127.0.0.1";
const IN_DOMAIN: [&str; 6] = ["-key", "domain", HOST, "-key", "caller", USER];

/// Users are those of the server's address.
fn setup() -> Setup {
    Setup::new().domains(&[HOST])
}

fn open() -> Setup {
    setup()
}

fn brief() -> Setup {
    setup().toml("[location]\nmin_expires = \"1s\"\n")
}

fn cut() -> Setup {
    setup().toml("[location]\nmin_expires = \"1s\"\nmax_expires = \"5s\"\ndefault_expires = \"5s\"\n")
}

fn two_contacts() -> Setup {
    setup().toml("[location]\nmin_expires = \"1s\"\nmax_contacts = 2\n")
}

fn one_contact() -> Setup {
    setup().toml("[location]\nmin_expires = \"1s\"\nmax_contacts = 1\nwhen_full = \"replace\"\n")
}

fn with_password() -> Setup {
    setup()
        .challenge(&["REGISTER"])
        .user(BOB, PASSWORD)
        .toml("[location]\nmin_expires = \"1s\"\n")
}

fn with_password_to_call() -> Setup {
    setup().challenge(&["INVITE"]).user(BOB, PASSWORD)
}

/// Where the carriers are that calls to bob go by, the first one first; at the server's own port.
const CARRIERS: [&str; 2] = ["127.0.0.3", "127.0.0.4"];

fn carriers() -> Setup {
    let setup = setup();
    let [first, second] = CARRIERS.map(|host| format!("sip:{host}:{}", setup.port()));
    setup.toml(&format!(
        "[[group]]\nname = \"carriers\"\nring_timeout = \"2s\"\n\
         targets = [{{ uri = \"{first}\", priority = 0 }}, {{ uri = \"{second}\", priority = 1 }}]\n\
         [[route]]\nwhen.user = [\"bob\"]\nto = \"carriers\"\n"
    ))
}

/// For callers who take no 100.
fn stateless() -> Setup {
    setup().toml("[proxy]\nmode = \"stateless\"\n")
}

fn stateless_with_password() -> Setup {
    stateless().challenge(&["INVITE"]).user(BOB, PASSWORD)
}

/// A SIPp calls another one, through the server, at its address.
fn relayed(stage: &mut Stage, called: &str, calling: &str) -> Played {
    let play = stage.sipp(called).with(&OF_BOB);
    let port = stage.called(&play)?;
    let play = stage
        .sipp(calling)
        .with(&OF_BOB)
        .with(&IN_DOMAIN)
        .with(&["-d", "1000"]);
    stage.calls(&play.to(port))
}

/// A SIPp calls bob, who is another one.
fn by_name(stage: &mut Stage, called: &str, calling: &str) -> Played {
    let play = stage.sipp(called).with(&OF_BOB);
    let port = stage.called(&play)?;
    stage.bind(USER, port);
    let play = stage.sipp(calling).with(&OF_BOB).with(&IN_DOMAIN);
    stage.calls(&play)
}

fn siphon(stage: &mut Stage, called: &str, calling: &str) -> Played {
    by_name(
        stage,
        &format!("siphon/{called}.xml"),
        &format!("siphon/{calling}.xml"),
    )
}

fn regress(stage: &mut Stage, number: &str) -> Played {
    let file = |side| format!("sipp-regress/github-{number}/{side}.xml");
    relayed(stage, &file("uas"), &file("uac"))
}

fn registers(stage: &Stage, scenario: &str) -> Played {
    registers_at(stage, scenario, system_tests::ports::free())
}

/// Registers a contact at this port.
fn registers_at(stage: &Stage, scenario: &str, port: u16) -> Played {
    let scenario = format!("sipssert/{scenario}");
    let play = stage.sipp(&scenario).with(&OF_BOB).with(&IN_DOMAIN);
    stage.calls(&play.with(&CREDENTIALS).at(port))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A file of one line for `-inf`.
fn field(stage: &Stage, value: &str) -> String {
    let file = stage
        .server
        .scratch()
        .write("fields.csv", format!("SEQUENTIAL\n{value}\n"));
    file.to_string_lossy().into_owned()
}

/// Registers a contact that stands in a file, with bob's password.
fn registers_contact(stage: &Stage, scenario: &str) -> Played {
    let file = field(stage, "sip:bob@127.0.0.1:5090;transport=udp");
    let words = ["-inf", &file, "-key", "domain", HOST];
    let play = stage.sipp(scenario).with(&OF_BOB).with(&words).with(&CREDENTIALS);
    stage.calls(&play)?;
    stage.await_contacts(1, seconds(1))
}

fn is_asked_for_a_password(stage: &mut Stage, case: &str) -> Played {
    stage.refuses(USER, 603);
    let scenario = format!("sipssert/auth/{case}/scripts/sipp-call.xml");
    let play = stage
        .sipp(&scenario)
        .with(&OF_BOB)
        .with(&IN_DOMAIN)
        .with(&CREDENTIALS);
    stage.calls(&play)
}

/// All of them.
pub(crate) const CASES: &[Case] = &[
    Case {
        scenarios: &["sipssert/registration/02.db"],
        setup: brief,
        play: |stage| {
            let port = system_tests::ports::free();
            registers_at(stage, "registration/02.db/scripts/sipp-register.xml", port)?;
            stage.await_contacts(1, seconds(1))?;
            registers_at(stage, "registration/02.db/scripts/sipp-unregister.xml", port)?;
            stage.await_contacts(0, seconds(1))
        },
    },
    Case {
        scenarios: &["sipssert/registration/03.expire"],
        setup: brief,
        play: |stage| {
            registers(stage, "registration/03.expire/scripts/sipp-register.xml")?;
            stage.await_contacts(1, seconds(1))?;
            stage.await_contacts(0, seconds(8))
        },
    },
    Case {
        scenarios: &["sipssert/registration/04.expire-min"],
        setup: brief,
        play: |stage| {
            registers(stage, "registration/04.expire-min/scripts/sipp-register.xml")?;
            stage.await_contacts(1, seconds(1))?;
            stage.await_contacts(0, seconds(10))
        },
    },
    Case {
        scenarios: &["sipssert/registration/05.expire-max"],
        setup: cut,
        play: |stage| {
            registers(stage, "registration/05.expire-max/scripts/sipp-register.xml")?;
            stage.await_contacts(1, seconds(1))?;
            stage.await_contacts(0, seconds(7))
        },
    },
    Case {
        scenarios: &["sipssert/registration/06.reregister-expire"],
        setup: brief,
        play: |stage| {
            registers(
                stage,
                "registration/06.reregister-expire/scripts/sipp-register.xml",
            )?;
            stage.await_contacts(1, seconds(1))?;
            stage.await_contacts(0, seconds(8))
        },
    },
    Case {
        scenarios: &["sipssert/registration/07.limit"],
        setup: two_contacts,
        play: |stage| {
            for count in 1..=2 {
                registers(stage, "registration/07.limit/scripts/sipp-register.xml")?;
                stage.await_contacts(count, seconds(1))?;
            }
            registers(stage, "registration/07.limit/scripts/sipp-register-fail.xml")?;
            stage.await_contacts(2, seconds(1))?;
            stage.await_contacts(0, seconds(24))
        },
    },
    Case {
        scenarios: &["sipssert/registration/08.overwrite"],
        setup: one_contact,
        play: |stage| {
            for _ in 0..2 {
                registers(stage, "registration/08.overwrite/scripts/sipp-register.xml")?;
                stage.await_contacts(1, seconds(1))?;
            }
            stage.await_contacts(0, seconds(18))
        },
    },
    Case {
        scenarios: &["sipssert/registration/09.lookup"],
        setup: brief,
        play: |stage| {
            let case = "sipssert/registration/09.lookup";
            let called = stage.sipp(&format!("{case}/uas.xml")).with(&OF_BOB);
            let port = stage.called(&called)?;
            stage.bind(USER, port);
            let calling = stage.sipp(&format!("{case}/uac.xml"));
            stage.calls(
                &calling
                    .with(&OF_BOB)
                    .with(&IN_DOMAIN)
                    .with(&["-d", "1000"])
                    .to(port),
            )
        },
    },
    Case {
        scenarios: &["sipssert/auth/01.password-db-www"],
        setup: with_password,
        play: |stage| registers(stage, "auth/01.password-db-www/scripts/sipp-register.xml"),
    },
    Case {
        scenarios: &["sipssert/auth/02.password-db-www-domain"],
        setup: with_password,
        play: |stage| registers(stage, "auth/02.password-db-www-domain/scripts/sipp-register.xml"),
    },
    Case {
        scenarios: &["sipssert/auth/03.password-db-proxy"],
        setup: stateless_with_password,
        play: |stage| is_asked_for_a_password(stage, "03.password-db-proxy"),
    },
    Case {
        scenarios: &["sipssert/auth/07.ha1-db-proxy"],
        setup: stateless_with_password,
        play: |stage| is_asked_for_a_password(stage, "07.ha1-db-proxy"),
    },
    Case {
        scenarios: &["sipssert/auth/08.ha1-db-proxy-domain"],
        setup: stateless_with_password,
        play: |stage| is_asked_for_a_password(stage, "08.ha1-db-proxy-domain"),
    },
    Case {
        scenarios: &["sipssert/record-route/01.record-route"],
        setup: open,
        play: |stage| {
            let case = "sipssert/record-route/01.record-route/scripts";
            relayed(stage, &format!("{case}/uas.xml"), &format!("{case}/uac.xml"))
        },
    },
    Case {
        scenarios: &["sipssert/record-route/02.record-route-protocols"],
        setup: open,
        play: |stage| {
            let case = "sipssert/record-route/02.record-route-protocols/scripts";
            let called = stage
                .sipp(&format!("{case}/uas.xml"))
                .adapted(
                    "Contact: <sip:[local_ip]:[local_port]>",
                    "Contact: <sip:[local_ip]:[local_port];transport=tcp>",
                )
                .with(&OF_BOB)
                .tcp();
            let port = stage.called(&called)?;
            let calling = stage.sipp(&format!("{case}/uac.xml")).with(&OF_BOB);
            stage.calls(&calling.with(&IN_DOMAIN).with(&["-d", "1000"]).to(port))
        },
    },
    Case {
        scenarios: &["sipssert/record-route/03.record-route-double"],
        setup: || setup().listen(&format!("udp:[::1]:{}", system_tests::ports::free())),
        play: |stage| {
            let case = "sipssert/record-route/03.record-route-double/scripts";
            let called = stage.sipp(&format!("{case}/uas.xml")).adapted(";r2=on", "");
            let port = stage.called(&called.with(&OF_BOB).on("::1"))?;
            let calling = stage.sipp(&format!("{case}/uac.xml")).adapted(";r2=on", "");
            let host = format!("[::1]:{port}");
            let calling = calling
                .adapted("[remote_ip]:[remote_port]", "[host]")
                .with(&["-key", "host", &host]);
            stage.calls(&calling.with(&OF_BOB).with(&IN_DOMAIN).with(&["-d", "1000"]))
        },
    },
    Case {
        scenarios: &["sipssert/permissions/01.check-address"],
        setup: || setup().challenge(&["INVITE"]).top("trusted = [\"127.0.0.0/8\"]"),
        play: |stage| {
            let case = "sipssert/permissions/01.check-address/scripts";
            relayed(stage, &format!("{case}/uas.xml"), &format!("{case}/uac.xml"))
        },
    },
    Case {
        scenarios: &["kamailio/uac_invite", "kamailio/uas_answer"],
        setup: open,
        play: |stage| {
            let called = stage.sipp("kamailio/uas_answer.xml").adapted(
                "<send retrans=\"500\">\n    <![CDATA[\n\n      SIP/2.0 180",
                "<send>\n    <![CDATA[\n\n      SIP/2.0 180",
            );
            let port = stage.called(&called.with(&OF_BOB))?;
            stage.bind(USER, port);
            let keys = ["-key", "target_domain", HOST, "-key", "caller", "alice"];
            let calling = stage
                .sipp("kamailio/uac_invite.xml")
                .adapted(
                    "response=\"200\" rtd=\"true\"",
                    "response=\"200\" rtd=\"true\" rrs=\"true\"",
                )
                .adapted("SIPpTag09", "SIPpTag00");
            stage.calls(&calling.with(&OF_BOB).with(&keys))
        },
    },
    Case {
        scenarios: &["kamailio/uac_register"],
        setup: with_password,
        play: |stage| {
            let last = "Max-Forwards: 70\n      Expires: 0";
            let calling = stage
                .sipp("kamailio/uac_register.xml")
                .adapted(" optional=\"true\"", "")
.adapted("username=[caller]", "username=bob")
                .adapted(last, &format!("[authentication username=bob password=secret]\n      {last}"))
                .adapted("CSeq: 1 REGISTER\n      Contact: <sip:[caller]@[local_ip]:[local_port];transport=[transport]>\n      [auth", "CSeq: 3 REGISTER\n      Contact: <sip:[caller]@[local_ip]:[local_port];transport=[transport]>\n      [auth");
            let keys = ["-key", "target_domain", HOST, "-key", "caller", USER];
            stage.calls(&calling.with(&OF_BOB).with(&keys))?;
            stage.await_contacts(0, seconds(1))
        },
    },
    Case {
        scenarios: &["sipp-regress/github-0034"],
        setup: open,
        play: |stage| {
            for ends in ["1234", "manylf", "nocrlf", "withlf"] {
                let file = format!("sipp-regress/github-0034/notify-{ends}.xml");
                stage.calls(&stage.sipp(&file))?;
            }
            Ok(())
        },
    },
    Case {
        scenarios: &["sipp-regress/github-0085"],
        setup: open,
        play: |stage| {
            let called = stage.sipp("builtin uas").with(&["-aa"]);
            let port = stage.called(&called)?;
            let calling = stage.sipp("sipp-regress/github-0085/uac.xml").with(&OF_BOB);
            stage.calls(&calling.to(port))
        },
    },
    Case {
        scenarios: &["sipp-regress/github-0103"],
        setup: open,
        play: |stage| relayed(stage, "sipp-regress/github-0103/uas-modified.xml", "builtin uac"),
    },
    Case {
        scenarios: &["sipp-regress/github-0192"],
        setup: open,
        play: |stage| regress(stage, "0192"),
    },
    Case {
        scenarios: &["sipp-regress/github-0196"],
        setup: open,
        play: |stage| regress(stage, "0196"),
    },
    Case {
        scenarios: &["sipp-regress/github-0207"],
        setup: open,
        play: |stage| regress(stage, "0207"),
    },
    Case {
        scenarios: &["sipp-regress/github-0238"],
        setup: stateless,
        play: |stage| regress(stage, "0238"),
    },
    Case {
        scenarios: &["sipp-regress/github-0259"],
        setup: open,
        play: |stage| regress(stage, "0259"),
    },
    Case {
        scenarios: &["sipp-regress/github-0458"],
        setup: stateless,
        play: |stage| {
            let case = "sipp-regress/github-0458";
            let called = stage.sipp(&format!("{case}/uas.xml")).with(&OF_BOB);
            let port = stage.called(&called)?;
            let calling = stage
                .sipp(&format!("{case}/uac.xml"))
                .adapted("ACK [next_url]", "ACK sip:[service]@[remote_ip]:[remote_port]");
            stage.calls(&calling.with(&OF_BOB).to(port))
        },
    },
    Case {
        scenarios: &["sipp-regress/github-0862"],
        setup: open,
        play: |stage| regress(stage, "0862"),
    },
    Case {
        scenarios: &["siphon/ack_non2xx"],
        setup: with_password_to_call,
        play: |stage| {
            stage.bind(USER, 9);
            stage.calls(&stage.sipp("siphon/ack_non2xx.xml").with(&OF_BOB))
        },
    },
    Case {
        scenarios: &["siphon/b2bua_cancel_uac", "siphon/b2bua_cancel_uas"],
        setup: open,
        play: |stage| siphon(stage, "b2bua_cancel_uas", "b2bua_cancel_uac"),
    },
    Case {
        scenarios: &["siphon/b2bua_early_media_uac", "siphon/b2bua_early_media_uas"],
        setup: open,
        play: |stage| siphon(stage, "b2bua_early_media_uas", "b2bua_early_media_uac"),
    },
    Case {
        scenarios: &["siphon/b2bua_refer_uac", "siphon/b2bua_refer_uas"],
        setup: open,
        play: |stage| siphon(stage, "b2bua_refer_uas", "b2bua_refer_uac"),
    },
    Case {
        scenarios: &["siphon/b2bua_reinvite_bleg_uac", "siphon/b2bua_reinvite_bleg_uas"],
        setup: open,
        play: |stage| siphon(stage, "b2bua_reinvite_bleg_uas", "b2bua_reinvite_bleg_uac"),
    },
    Case {
        scenarios: &["siphon/b2bua_reinvite_uac", "siphon/b2bua_reinvite_uas"],
        setup: open,
        play: |stage| siphon(stage, "b2bua_reinvite_uas", "b2bua_reinvite_uac"),
    },
    Case {
        scenarios: &["siphon/b2bua_uac", "siphon/b2bua_uas"],
        setup: open,
        play: |stage| siphon(stage, "b2bua_uas", "b2bua_uac"),
    },
    Case {
        scenarios: &["siphon/b2bua_update_uac", "siphon/b2bua_update_uas"],
        setup: open,
        play: |stage| siphon(stage, "b2bua_update_uas", "b2bua_update_uac"),
    },
    Case {
        scenarios: &["siphon/deregister", "siphon/register"],
        setup: with_password,
        play: |stage| {
            for (scenario, left) in [("register", 1), ("deregister", 0)] {
                let play = stage.sipp(&format!("siphon/{scenario}.xml"));
                stage.calls(&play.with(&OF_BOB).with(&CREDENTIALS))?;
                stage.await_contacts(left, seconds(1))?;
            }
            Ok(())
        },
    },
    Case {
        scenarios: &["siphon/ims-invite_ims_uac", "siphon/ims-invite_ims_uas"],
        setup: open,
        play: |stage| siphon(stage, "ims-invite_ims_uas", "ims-invite_ims_uac"),
    },
    Case {
        scenarios: &["siphon/ims-register_ims"],
        setup: with_password,
        play: |stage| registers_contact(stage, "siphon/ims-register_ims.xml"),
    },
    Case {
        scenarios: &["siphon/max_forwards_uac"],
        setup: open,
        play: |stage| stage.calls(&stage.sipp("siphon/max_forwards_uac.xml")),
    },
    Case {
        scenarios: &["siphon/message", "siphon/message_uas"],
        setup: open,
        play: |stage| siphon(stage, "message_uas", "message"),
    },
    Case {
        scenarios: &["siphon/message_404_to_tag"],
        setup: open,
        play: |stage| {
            stage.calls(
                &stage
                    .sipp("siphon/message_404_to_tag.xml")
                    .with(&["-s", "nobody"]),
            )
        },
    },
    Case {
        scenarios: &["siphon/message_auto100", "siphon/message_auto100_uas"],
        setup: || setup().toml("[proxy]\nnext_hop_timeout = \"8s\"\n"),
        play: |stage| siphon(stage, "message_auto100_uas", "message_auto100"),
    },
    Case {
        scenarios: &["siphon/mtu_message_small"],
        setup: open,
        play: |stage| siphon(stage, "message_uas", "mtu_message_small"),
    },
    Case {
        scenarios: &["siphon/notify_uac"],
        setup: open,
        play: |stage| {
            stage.takes(USER, "NOTIFY");
            stage.calls(&stage.sipp("siphon/notify_uac.xml").with(&OF_BOB))
        },
    },
    Case {
        scenarios: &["siphon/options"],
        setup: open,
        play: |stage| stage.calls(&stage.sipp("siphon/options.xml")),
    },
    Case {
        scenarios: &["siphon/prack_uac", "siphon/prack_uas"],
        setup: open,
        play: |stage| {
            let keep = r#"<ereg regexp="(.*)" search_in="hdr" header="From:""#;
            let second = r#"<ereg regexp="(.*)" search_in="hdr" header="Via:" occurrence="2" assign_to="junk,second_via" />"#;
            let called = stage
                .sipp("siphon/prack_uas.xml")
                .adapted(keep, &format!("{second}\n{keep}"))
                .adapted("Via:[$invite_via]", "Via:[$invite_via]\nVia:[$second_via]");
            let port = stage.called(&called)?;
            stage.bind(USER, port);
            stage.calls(&stage.sipp("siphon/prack_uac.xml").with(&OF_BOB))
        },
    },
    Case {
        scenarios: &["siphon/register_alice_contact"],
        setup: with_password,
        play: |stage| registers_contact(stage, "siphon/register_alice_contact.xml"),
    },
    Case {
        scenarios: &["siphon/register_bob"],
        setup: with_password,
        play: |stage| {
            let play = stage.sipp("siphon/register_bob.xml");
            stage.calls(&play.with(&OF_BOB).with(&CREDENTIALS))?;
            stage.await_contacts(1, seconds(1))
        },
    },
    Case {
        scenarios: &["siphon/reinvite_uac", "siphon/reinvite_uas"],
        setup: open,
        play: |stage| siphon(stage, "reinvite_uas", "reinvite_uac"),
    },
    Case {
        scenarios: &["siphon/rtpengine_uac", "siphon/rtpengine_uas"],
        setup: open,
        play: |stage| siphon(stage, "rtpengine_uas", "rtpengine_uac"),
    },
    Case {
        scenarios: &["siphon/rtpproxy_uac"],
        setup: open,
        play: |stage| siphon(stage, "rtpengine_uas", "rtpproxy_uac"),
    },
    Case {
        scenarios: &["siphon/transport_error_uac"],
        setup: open,
        play: |stage| {
            stage.bind(USER, system_tests::ports::free());
            stage.calls(&stage.sipp("siphon/transport_error_uac.xml"))
        },
    },
    Case {
        scenarios: &[
            "siphon/b2bua_path_register",
            "siphon/b2bua_path_oversized_uac",
            "siphon/b2bua_path_decoy_tcp_uas",
        ],
        setup: open,
        play: |stage| {
            let edge = stage.called(&stage.sipp("siphon/b2bua_uas.xml"))?;
            let decoy = system_tests::ports::free();
            let contact = format!("sip:bob@127.0.0.1:{decoy}");
            let path = format!("<sip:token@127.0.0.1:{edge};lr>");
            let keys = [
                "-key",
                "regcontact",
                &contact,
                "-key",
                "regpath",
                &path,
                "-key",
                "regq",
                "1.0",
            ];
            stage.calls(
                &stage
                    .sipp("siphon/b2bua_path_register.xml")
                    .adapted("Path: [regpath]", "Path: [regpath]\nSupported: path")
                    .with(&OF_BOB)
                    .with(&keys),
            )?;
            let calling = stage.sipp("siphon/b2bua_path_oversized_uac.xml").with(&OF_BOB);
            let decoy = std::net::TcpListener::bind(("127.0.0.1", decoy)).expect("it was free");
            decoy.set_nonblocking(true).expect("an option");
            stage.calls(&calling)?;
            sleep(Duration::from_millis(100));
            match decoy.accept() {
                Ok(_) => Err("the contact was reached past its Path".to_owned()),
                Err(_) => Ok(()),
            }
        },
    },
    Case {
        scenarios: &[
            "siphon/b2bua_lcr_uac",
            "siphon/b2bua_lcr_carrier_a_uas",
            "siphon/b2bua_lcr_carrier_a_silent_uas",
            "siphon/b2bua_lcr_carrier_b_uas",
        ],
        setup: carriers,
        play: |stage| {
            for first in ["b2bua_lcr_carrier_a_uas", "b2bua_lcr_carrier_a_silent_uas"] {
                let port = stage.server.port();
                let play = stage
                    .sipp(&format!("siphon/{first}.xml"))
                    .on(CARRIERS[0])
                    .at(port);
                stage.called(&play)?;
                let play = stage
                    .sipp("siphon/b2bua_lcr_carrier_b_uas.xml")
                    .adapted("[last_Via:]\n", "[last_Via:]\n[last_Record-Route:]\n");
                stage.called(&play.on(CARRIERS[1]).at(port))?;
                let play = stage
                    .sipp("siphon/b2bua_lcr_uac.xml")
                    .adapted(
                        "response=\"200\" rtd=\"true\"",
                        "response=\"200\" rtd=\"true\" rrs=\"true\"",
                    )
                    .adapted(
                        "ACK sip:bob@[remote_ip]:[remote_port] SIP/2.0",
                        "ACK [next_url] SIP/2.0\n[routes]",
                    )
                    .adapted(
                        "BYE sip:bob@[remote_ip]:[remote_port] SIP/2.0",
                        "BYE [next_url] SIP/2.0\n[routes]",
                    );
                stage.calls(&play)?;
                stage.all_end()?;
            }
            Ok(())
        },
    },
];
