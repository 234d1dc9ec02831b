//! The API over a real socket, with a node that is only a list of users.

mod fake;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use strowger_server::admin::*;
use tokio::net::{TcpListener, TcpStream};

use crate::{Access, openapi, serve};
use fake::*;

#[tokio::test]
async fn health_is_open_and_follows_the_node() {
    let node = start().await;
    assert_eq!((node.with("GET", "/healthz", &[], "").await).status, 200);
    assert_eq!(node.own("POST", "/api/v1/drain", "").await.status, 202);
    assert_eq!(node.with("GET", "/healthz", &[], "").await.status, 503);
}

#[tokio::test]
async fn health_tells_that_registrations_cannot_be_stored_while_calls_go_on() {
    let node = start().await;
    assert_eq!(node.with("GET", "/healthz", &[], "").await.body, "ok\n");
    *node.fake.failing.lock().expect("sound") = Some("the disk is full".to_owned());
    let health = node.with("GET", "/healthz", &[], "").await;
    assert_eq!(health.status, 200);
    assert_eq!(
        health.body,
        "calls are ok, but registrations can't be stored: the disk is full\n"
    );
    let status = node.own("GET", "/api/v1/status", "").await.json();
    assert_eq!(status["failing"], "the disk is full");
}

#[tokio::test]
async fn everything_else_needs_the_token() {
    let node = start().await;
    for path in [
        "/metrics",
        "/api/v1/status",
        "/api/v1/users",
        "/api/v1/registrations",
        "/nothing",
        "/api/v1/users/import",
    ] {
        for header in [
            "X: y".to_owned(),
            "Authorization: Bearer".to_owned(),
            "Authorization: Bearer ".to_owned(),
            format!("Authorization: Bearer {TOKEN}x"),
            format!("Authorization: Bearer {}", &TOKEN[1..]),
            format!("Authorization: Basic {TOKEN}"),
        ] {
            let answer = node.with("GET", path, &[&header], "").await;
            assert_eq!(answer.status, 401, "{path} {header}");
            assert!(
                answer.head.contains("www-authenticate: bearer"),
                "{}",
                answer.head
            );
            assert!(
                answer.json()["mend"]
                    .as_str()
                    .is_some_and(|mend| mend.contains("admin.token"))
            );
        }
    }
    assert_eq!(
        node.own("GET", "/metrics", "").await.body,
        "# HELP strowger_calls Calls.\n# TYPE strowger_calls gauge\nstrowger_calls 3\n"
    );
    assert_eq!(
        node.own("GET", "/api/v1/status", "").await.json()["state"],
        "running"
    );
    assert_eq!(node.own("GET", "/nothing", "").await.status, 404);
    assert_eq!(node.own("DELETE", "/api/v1/status", "").await.status, 405);
}

#[tokio::test]
async fn a_host_that_is_not_ours_is_refused_even_with_the_token() {
    let node = start().await;
    let token = format!("Authorization: Bearer {TOKEN}");
    for (host, expected) in [
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("127.9.9.9", 200),
        ("[::1]:8080", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("pbx.example.test", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("192.0.2.1", 421),
        ("", 400),
        ("a b", 400),
    ] {
        let answer = node
            .with("GET", "/api/v1/status", &[&format!("Host: {host}"), &token], "")
            .await;
        assert_eq!(answer.status, expected, "{host}");
        let healthz = node
            .with("GET", "/healthz", &[&format!("Host: {host}")], "")
            .await;
        assert_eq!(healthz.status, expected, "{host}");
    }
    assert_eq!(node.raw(b"GET /healthz HTTP/1.0\r\n\r\n").await.status, 400);
    let two = node
        .with("GET", "/healthz", &["Host: 127.0.0.1", "Host: 127.0.0.1"], "")
        .await;
    assert_eq!(two.status, 400);
}

#[tokio::test]
async fn a_web_page_can_change_nothing() {
    let node = start().await;
    let token = format!("Authorization: Bearer {TOKEN}");
    let body = json!({ "address": "alice@a.test", "password": "pw" }).to_string();
    let json = "Content-Type: application/json";
    for (lines, expected) in [
        (vec!["Origin: http://evil.example", json], 403),
        (vec!["Origin: null", json], 403),
        (vec!["Origin: http://127.0.0.1:9999", json], 403),
        (vec!["Sec-Fetch-Site: cross-site", json], 403),
        (vec!["Sec-Fetch-Site: same-site", json], 403),
        (vec!["Content-Type: text/plain"], 415),
        (vec!["Content-Type: application/x-www-form-urlencoded"], 415),
        (vec![], 415),
        (
            vec!["Origin: http://127.0.0.1", "Sec-Fetch-Site: same-origin", json],
            201,
        ),
    ] {
        let lines: Vec<&str> = lines.into_iter().chain([token.as_str()]).collect();
        assert_eq!(
            node.with("POST", "/api/v1/users", &lines, &body).await.status,
            expected,
            "{lines:?}"
        );
    }
    assert_eq!(node.fake.users().len(), 1);
    let answer = node.own("GET", "/api/v1/status", "").await;
    assert!(!answer.head.contains("access-control-"), "{}", answer.head);
    assert!(
        answer.head.contains("nosniff") && answer.head.contains("no-store"),
        "{}",
        answer.head
    );
}

#[tokio::test]
async fn a_reload_tells_what_it_did_or_every_error_with_its_place() {
    let node = start().await;
    let done = node.own("POST", "/api/v1/reload", "").await;
    assert_eq!((done.status, &done.json()["generation"]), (200, &json!(2)));
    assert_eq!(done.json()["rollback_in"], Value::Null);
    let done = node.own("POST", "/api/v1/reload?rollback_after=1m", "").await;
    assert_eq!(done.json()["rollback_in"], 60);
    let refused = node.own("POST", "/api/v1/reload?rollback_after=7s", "").await;
    assert_eq!(refused.status, 422);
    let errors = &refused.json()["errors"];
    assert_eq!(errors.as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&errors[1]["file"], &errors[1]["line"], &errors[1]["column"]),
        (&json!("f"), &json!(2), &json!(1))
    );
    for (query, status) in [
        ("rollback_after=soon", 422),
        ("rollback_after=0s", 422),
        ("other=1", 400),
    ] {
        let answer = node.own("POST", &format!("/api/v1/reload?{query}"), "").await;
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
        assert_eq!(answer.json()["errors"], Value::Null);
    }
    assert_eq!(node.own("POST", "/api/v1/reload/confirm", "").await.status, 200);
    assert_eq!(node.own("POST", "/api/v1/reload/rollback", "").await.status, 409);
    assert_eq!(node.with("POST", "/api/v1/reload", &[], "").await.status, 401);
}

#[tokio::test]
async fn bans_are_listed_and_lifted_by_source_and_account() {
    let node = start().await;
    let page = node.own("GET", "/api/v1/bans?q=ALICE", "").await.json();
    assert_eq!(page["items"][0]["id"], "192.0.2.7 alice@example.test");
    let lifted = node
        .own(
            "DELETE",
            "/api/v1/bans?source=192.0.2.7&account=alice@example.test",
            "",
        )
        .await;
    assert_eq!(
        (lifted.status, &lifted.json()[0]["source"]),
        (200, &json!("192.0.2.7"))
    );
    for (query, status) in [
        ("source=192.0.2.7", 404),
        ("source=alice", 422),
        ("account=alice@example.test", 400),
        ("source=192.0.2.7&other=1", 400),
    ] {
        let answer = node.own("DELETE", &format!("/api/v1/bans?{query}"), "").await;
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
    }
}

#[tokio::test]
async fn what_is_known_of_names_is_listed_and_forgotten() {
    let node = start().await;
    let page = node.own("GET", "/api/v1/dns?q=FAR", "").await.json();
    assert_eq!(page["items"][0]["state"], "found");
    for (query, names) in [("", 1), ("?name=far.test", 1), ("?name=near.test", 0)] {
        let flushed = node.own("DELETE", &format!("/api/v1/dns{query}"), "").await;
        assert_eq!(
            (flushed.status, &flushed.json()["names"]),
            (200, &names.into()),
            "{query}"
        );
    }
    assert_eq!(
        node.own("DELETE", "/api/v1/dns?host=far.test", "").await.status,
        400
    );
}

#[tokio::test]
async fn trunks_are_listed_with_their_state() {
    let node = start().await;
    let page = node.own("GET", "/api/v1/trunks?q=provider", "").await.json();
    let trunk = &page["items"][0];
    assert_eq!(
        (&trunk["state"], &trunk["why"], &trunk["next_in"]),
        (
            &json!("failing"),
            &json!("wrong user name or password"),
            &json!(60)
        )
    );
    let none = node.own("GET", "/api/v1/trunks?q=nobody", "").await.json();
    assert_eq!(none["total"], json!(0));
}

#[tokio::test]
async fn targets_of_groups_are_listed_and_run_empty() {
    let node = start().await;
    let page = node.own("GET", "/api/v1/groups?q=GW1", "").await.json();
    assert_eq!(
        (&page["items"][0]["state"], &page["items"][0]["calls"]),
        (&json!("up"), &json!(2))
    );
    let body = r#"{"group":"trunks","target":"sip:gw1.test","draining":true}"#;
    let drained = node.own("PUT", "/api/v1/groups", body).await;
    assert_eq!(
        (drained.status, &drained.json()["state"]),
        (200, &json!("draining"))
    );
    for (body, status) in [
        (body.replace("gw1", "gw2"), 404),
        (body.replace("true", "1"), 422),
        (body.replace("group", "grop"), 422),
    ] {
        assert_eq!(
            node.own("PUT", "/api/v1/groups", &body).await.status,
            status,
            "{body}"
        );
    }
}

#[tokio::test]
async fn users_are_added_listed_changed_and_removed() {
    let node = start().await;
    let alice =
        json!({ "address": "Alice@A.test", "password": "one", "aliases": ["1001"], "display_name": "Alice" });
    let added = node.own("POST", "/api/v1/users", &alice.to_string()).await;
    assert_eq!(added.status, 201);
    assert_eq!(
        added.json(),
        json!({ "address": "Alice@a.test", "display_name": "Alice", "aliases": ["1001"], "contacts": 0 })
    );
    assert!(!added.body.contains("one"));
    assert_eq!(
        node.own("POST", "/api/v1/users", &alice.to_string()).await.status,
        409
    );
    let password = json!({ "password": "two" }).to_string();
    assert_eq!(
        node.own("PUT", "/api/v1/users/Alice%40a.test/password", &password)
            .await
            .status,
        204
    );
    assert_eq!(node.fake.users()[0].password.expose(), "two");
    assert_eq!(
        node.own("PUT", "/api/v1/users/bob@a.test/password", &password)
            .await
            .status,
        404
    );
    assert_eq!(
        node.own("GET", "/api/v1/users?q=ALICE", "").await.json()["total"],
        1
    );
    assert_eq!(
        node.own("GET", "/api/v1/users?q=bob", "").await.json()["total"],
        0
    );
    assert_eq!(
        node.own("DELETE", "/api/v1/users/Alice@a.test", "").await.status,
        204
    );
    assert_eq!(
        node.own("DELETE", "/api/v1/users/Alice@a.test", "").await.status,
        404
    );
}

#[tokio::test]
async fn malformed_bodies_and_queries_are_refused_with_a_mend() {
    let node = start().await;
    for (body, expected) in [
        ("{", 400),
        ("{}", 422),
        (r#"{"address":"alice","password":"x"}"#, 422),
        (r#"{"address":"alice@a.test","password":""}"#, 422),
        (r#"{"address":"alice@a.test","password":"x","admin":true}"#, 422),
        (
            r#"{"address":"alice@a.test","password":"x","aliases":["a b"]}"#,
            422,
        ),
    ] {
        let answer = node.own("POST", "/api/v1/users", body).await;
        assert_eq!(answer.status, expected, "{body}");
        assert!(answer.json()["mend"].is_string(), "{body}");
    }
    let large = format!(
        r#"{{"address":"alice@a.test","password":"{}"}}"#,
        "x".repeat(100_000)
    );
    assert_eq!(node.own("POST", "/api/v1/users", &large).await.status, 413);
    assert_eq!(node.own("GET", "/api/v1/users?limit=x", "").await.status, 400);
    assert_eq!(node.own("GET", "/api/v1/users?qq=x", "").await.status, 400);
    assert_eq!(node.own("GET", "/api/v1/calls", "").await.status, 503);
    assert_eq!(node.own("DELETE", "/api/v1/users/alice", "").await.status, 422);
}

#[tokio::test]
async fn a_message_of_any_bytes_is_explained_and_one_that_is_none_is_refused() {
    let node = start().await;
    let large = "x".repeat(300_000);
    for (body, length) in [
        (json!({ "message": large }), 300_000),
        (json!({ "message_hex": "ff00", "source": "192.0.2.7:5060" }), 2),
    ] {
        let answer = node.own("POST", "/api/v1/explain", &body.to_string()).await;
        assert_eq!(
            (answer.status, &answer.json()["message"]["length"]),
            (200, &json!(length))
        );
    }
    for (body, status) in [
        ("{}", 422),
        (r#"{"message":"x","message_hex":"00"}"#, 422),
        (r#"{"message_hex":"0"}"#, 422),
        (r#"{"message":"x","other":1}"#, 422),
        ("x", 400),
    ] {
        let answer = node.own("POST", "/api/v1/explain", body).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.json()["mend"].is_string(), "{body}");
    }
    let answer = node
        .with(
            "POST",
            "/api/v1/explain",
            &["Content-Type: application/json"],
            "{}",
        )
        .await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let node = start().await;
    let first = node.own("GET", "/api/v1/registrations?limit=3", "").await.json();
    assert_eq!(
        (first["items"].as_array().map(Vec::len), &first["total"]),
        (Some(3), &json!(5))
    );
    let next = first["next"].as_str().expect("more").replace(':', "%3A");
    let second = node
        .own("GET", &format!("/api/v1/registrations?limit=3&after={next}"), "")
        .await
        .json();
    assert_eq!(
        (second["items"].as_array().map(Vec::len), &second["next"]),
        (Some(2), &Value::Null)
    );
}

#[tokio::test]
async fn an_import_is_read_as_a_stream_and_names_the_lines_it_did_not_take() {
    let node = start().await;
    let mut lines = String::from("# users\n\nalice@a.test,pw\nnonsense\ntaken@a.test,pw\r\n");
    for number in 0..600 {
        lines.push_str(&format!("u{number}@a.test,pw{number}\n"));
    }
    lines.push_str("taken@b.test,x\n");
    lines.push_str(&format!("long@a.test,{}\nlast@a.test,pw", "x".repeat(5000)));
    let token = format!("Authorization: Bearer {TOKEN}");
    let plain = node
        .with(
            "POST",
            "/api/v1/users/import",
            &[&token, "Content-Type: text/plain"],
            &lines,
        )
        .await;
    assert_eq!(plain.status, 415);
    let answer = node
        .with(
            "POST",
            "/api/v1/users/import",
            &[&token, "Content-Type: text/csv"],
            &lines,
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let import: Import = serde_json::from_str(&answer.body).expect("an import");
    assert_eq!((import.added, import.failures), (602, 4));
    let mut failed: Vec<u64> = import.failed.iter().map(|failed| failed.line).collect();
    failed.sort_unstable();
    assert_eq!(failed, [4, 5, 606, 607]);
    assert_eq!(
        node.fake
            .users()
            .last()
            .map(|user| user.address.to_string())
            .as_deref(),
        Some("last@a.test")
    );
}

#[tokio::test]
async fn many_connections_are_served_and_silent_ones_do_not_keep_the_end_from_coming() {
    let mut node = start().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(node.address).await.expect("listening"));
    }
    assert_eq!(node.with("GET", "/healthz", &[], "").await.status, 200);
    drop(node.stop.take());
    let ended = tokio::time::timeout(Duration::from_secs(5), &mut node.task).await;
    assert!(matches!(ended, Ok(Ok(Ok(())))), "{ended:?}");
    assert!(TcpStream::connect(node.address).await.is_err());
}

#[tokio::test]
async fn a_listener_that_is_not_loopback_is_not_served() {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
    let access = Access {
        token: Secret::new(TOKEN),
        names: Vec::new(),
    };
    let refused = serve(
        listener,
        Arc::new(Fake::default()),
        access,
        std::future::pending(),
    )
    .await;
    assert!(matches!(refused, Err(crate::Refused::NotLoopback(_))));
}

#[tokio::test]
async fn an_empty_token_lets_nobody_in() {
    let access = Access {
        token: Secret::new(""),
        names: Vec::new(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let task = tokio::spawn(serve(
        listener,
        Arc::new(Fake::default()),
        access,
        std::future::pending(),
    ));
    let node = Running {
        address,
        fake: Arc::default(),
        stop: None,
        task,
    };
    let answer = node
        .with("GET", "/api/v1/status", &["Authorization: Bearer "], "")
        .await;
    assert_eq!(answer.status, 401);
    node.task.abort();
}

/// Path and method of everything the description lists.
fn described() -> Vec<(String, String)> {
    let description = openapi();
    let paths = description["paths"].as_object().expect("paths").clone();
    let operations = |(path, item): (String, Value)| {
        let methods = item.as_object().expect("methods").clone();
        methods
            .into_iter()
            .map(move |(method, _)| (path.clone(), method.to_uppercase()))
            .collect::<Vec<_>>()
    };
    paths.into_iter().flat_map(operations).collect()
}

#[tokio::test]
async fn what_the_description_lists_is_there() {
    let node = start().await;
    assert_eq!(
        node.with("GET", "/api/v1/openapi.json", &[], "").await.json(),
        openapi()
    );
    for (path, method) in described() {
        let answer = node
            .own(&method, &path.replace("{address}", "nobody@a.test"), "")
            .await;
        let absent = answer.body.contains("there is nothing here");
        assert!(
            !absent && answer.status != 405,
            "{method} {path}: {}",
            answer.status
        );
    }
}

#[test]
fn what_the_description_says_of_values_is_what_is_sent() {
    let schemas = openapi()["components"]["schemas"].clone();
    let alice = NewUser::from_line("alice@a.test,pw").expect("a line");
    let user = NewUser {
        display_name: Some("A".to_owned()),
        aliases: vec!["1".to_owned()],
        ..alice
    };
    let mut import = Import::default();
    import.fail(1, "x");
    for (name, value) in [
        ("Registration", serde_json::to_value(a_registration())),
        ("Call", serde_json::to_value(a_call())),
        ("Ban", serde_json::to_value(a_ban())),
        ("Explain", serde_json::to_value(Explain::default())),
        ("Explanation", serde_json::to_value(an_explanation(0))),
        ("User", serde_json::to_value(shown(&user))),
        ("NewUser", serde_json::to_value(&user)),
        ("Import", serde_json::to_value(&import)),
        ("Error", Ok(json!({ "error": "", "mend": "" }))),
        ("Refusal", Ok(json!({ "error": "", "mend": "", "errors": [] }))),
        ("Reloaded", serde_json::to_value(Reloaded::default())),
    ] {
        let keys = |value: &Value| {
            value
                .as_object()
                .map(|object| object.keys().cloned().collect::<Vec<_>>())
        };
        let mut sent = keys(&value.expect("a value")).expect("an object");
        let mut described = keys(&schemas[name]["properties"]).expect(name);
        sent.sort();
        described.sort();
        assert_eq!(sent, described, "{name}");
    }
}
