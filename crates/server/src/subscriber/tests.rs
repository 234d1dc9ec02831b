use strowger_testkit::Scratch;

use super::*;

fn open(scratch: &Scratch) -> Subscribers {
    let dir = DataDir::open(scratch.path()).expect("free");
    Subscribers::open(&dir, [3; 16], Durability::Process).expect("opens")
}

fn id(text: &str) -> UserId {
    text.parse().expect("an address")
}

fn new_user(address: &str, aliases: &[&str]) -> NewUser {
    NewUser {
        address: id(address),
        password: Secret::new("secret"),
        display_name: Some("Somebody".to_owned()),
        aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
    }
}

fn resolve(users: &Subscribers, name: &str, domain: &str) -> (Resolved, String) {
    let mut alias_of = Vec::new();
    let resolved = users.resolve(name.as_bytes(), domain.as_bytes(), &mut alias_of);
    (resolved, String::from_utf8_lossy(&alias_of).into_owned())
}

#[test]
fn a_user_has_the_h_a1_of_every_algorithm_also_after_a_restart() {
    let scratch = Scratch::new();
    open(&scratch)
        .add(&new_user("Alice@Example.test", &[]))
        .expect("added");
    let users = open(&scratch);
    for algorithm in Algorithm::ALL {
        let expected = Ha1::compute(algorithm, b"Alice", b"example.test", b"secret");
        assert_eq!(users.ha1(b"Alice", b"EXAMPLE.test", algorithm), Some(expected));
        assert_eq!(
            users.ha1(b"alice", b"example.test", algorithm),
            None,
            "user parts are compared exactly"
        );
    }
}

#[test]
fn the_password_is_not_stored() {
    let scratch = Scratch::new();
    let mut user = new_user("alice@example.test", &[]);
    user.password = Secret::new("correct-horse-battery");
    open(&scratch).add(&user).expect("added");
    for file in std::fs::read_dir(scratch.path()).expect("there") {
        let bytes = std::fs::read(file.expect("there").path()).expect("readable");
        assert!(!bytes.windows(21).any(|window| window == b"correct-horse-battery"));
    }
}

#[test]
fn an_alias_leads_to_its_user_but_has_no_password() {
    let scratch = Scratch::new();
    let users = open(&scratch);
    users
        .add(&new_user("alice@example.test", &["1001", "chief"]))
        .expect("added");
    for users in [users, open(&scratch)] {
        assert_eq!(
            resolve(&users, "1001", "example.test"),
            (Resolved::Alias, "alice".to_owned())
        );
        assert_eq!(
            resolve(&users, "alice", "example.test"),
            (Resolved::User, String::new())
        );
        assert_eq!(resolve(&users, "1001", "other.test").0, Resolved::Unknown);
        assert_eq!(users.ha1(b"1001", b"example.test", Algorithm::Md5), None);
        assert_eq!(users.count(), 1);
    }
}

#[test]
fn a_name_is_given_once() {
    let scratch = Scratch::new();
    let users = open(&scratch);
    users.add(&new_user("alice@a.test", &["1001"])).expect("added");
    let refused = |address, aliases| users.add(&new_user(address, aliases)).expect_err("taken");
    let taken = |name, by: &str| SubscriberError::Taken {
        name: id(name),
        by: by.to_owned(),
    };
    assert_eq!(
        refused("alice@a.test", &[]),
        SubscriberError::Exists(id("alice@a.test"))
    );
    assert_eq!(refused("1001@a.test", &[]), taken("1001@a.test", "alice"));
    assert_eq!(refused("bob@a.test", &["1001"]), taken("1001@a.test", "alice"));
    assert_eq!(refused("bob@a.test", &["alice"]), taken("alice@a.test", "alice"));
    assert_eq!(refused("bob@a.test", &["bob"]), taken("bob@a.test", "bob"));
    assert_eq!(users.count(), 1);
    assert_eq!(resolve(&users, "bob", "a.test").0, Resolved::Unknown);
    users
        .add(&new_user("alice@b.test", &["1001"]))
        .expect("another domain");
}

#[test]
fn a_removed_user_leaves_neither_name_nor_aliases() {
    let scratch = Scratch::new();
    let users = open(&scratch);
    users.add(&new_user("alice@a.test", &["1001"])).expect("added");
    users.remove(&id("alice@a.test")).expect("removed");
    assert_eq!(
        users.remove(&id("alice@a.test")),
        Err(SubscriberError::NoSuchUser(id("alice@a.test")))
    );
    for users in [users, open(&scratch)] {
        assert_eq!(resolve(&users, "alice", "a.test").0, Resolved::Unknown);
        assert_eq!(resolve(&users, "1001", "a.test").0, Resolved::Unknown);
        assert_eq!(users.count(), 0);
    }
    open(&scratch)
        .add(&new_user("1001@a.test", &["alice"]))
        .expect("both names are free");
}

#[test]
fn a_changed_password_counts_at_once_and_after_a_restart() {
    let scratch = Scratch::new();
    let users = open(&scratch);
    users.add(&new_user("alice@a.test", &[])).expect("added");
    users
        .set_password(&id("alice@a.test"), &Secret::new("other"))
        .expect("changed");
    let expected = Ha1::compute(Algorithm::Sha256, b"alice", b"a.test", b"other");
    for users in [users, open(&scratch)] {
        assert_eq!(users.ha1(b"alice", b"a.test", Algorithm::Sha256), Some(expected));
    }
    let nobody = id("nobody@a.test");
    let refused = open(&scratch).set_password(&nobody, &Secret::new("other"));
    assert_eq!(refused, Err(SubscriberError::NoSuchUser(nobody)));
}

#[test]
fn a_domain_that_is_not_served_is_refused_with_those_that_are() {
    let scratch = Scratch::new();
    let users = open(&scratch);
    users.serve(&["Example.TEST".to_owned()]);
    users.add(&new_user("alice@example.test", &[])).expect("served");
    let error = users
        .add(&new_user("alice@elsewhere.test", &[]))
        .expect_err("not served");
    assert!(matches!(error, SubscriberError::NotServed { .. }));
    assert!(error.to_string().contains("only for example.test"), "{error}");
}

#[test]
fn pages_list_all_users_once_in_order() {
    let scratch = Scratch::new();
    let users = open(&scratch);
    for number in (0..25).rev() {
        users
            .add(&new_user(
                &format!("u{number:02}@a.test"),
                &[&format!("10{number:02}")],
            ))
            .expect("added");
    }
    let mut request = PageRequest {
        limit: 10,
        ..PageRequest::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = users.list(&Filter::default(), &request).expect("listed");
        assert_eq!(page.total, Some(25));
        seen.extend(page.items);
        let Some(next) = page.next else { break };
        request.after = next;
    }
    let names: Vec<_> = seen.iter().map(|user| user.address.user().to_owned()).collect();
    assert_eq!(
        names,
        (0..25).map(|number| format!("u{number:02}")).collect::<Vec<_>>()
    );
    assert_eq!(seen[3].aliases, ["1003"]);
    let found = |q: &str| {
        let page = users
            .list(&Filter { q: q.to_owned() }, &PageRequest::first())
            .expect("listed");
        page.items.len()
    };
    assert_eq!(
        (found("U07"), found("1007"), found("somebody"), found("nobody")),
        (1, 1, 25, 0)
    );
    assert_eq!(users.get(&id("u07@a.test")).expect("there").aliases, ["1007"]);
}

#[test]
fn an_import_takes_the_good_lines_and_tells_the_bad_ones() {
    let scratch = Scratch::new();
    let users = open(&scratch);
    users.add(&new_user("old@a.test", &["1001"])).expect("added");
    users.serve(&["a.test".to_owned()]);
    let long = "x".repeat(5000);
    let text = format!(
        "\u{feff}# users\n\nalice@a.test,pw1\r\nold@a.test,pw2\nnocomma\n1001@a.test,pw\nbob@b.test,pw\n{long}\ncarol@a.test,pw3"
    );
    let mut told = Vec::new();
    let import = users
        .import_lines(&mut text.as_bytes(), &mut |progress| {
            told.push((progress.lines, progress.import.added))
        })
        .expect("readable");
    assert_eq!((import.added, import.changed, import.failures), (2, 1, 4));
    assert_eq!(
        import.failed.iter().map(|failed| failed.line).collect::<Vec<_>>(),
        [5, 6, 7, 8]
    );
    assert_eq!(told, [(9, 2)]);
    let ha1 = |user: &[u8]| users.ha1(user, b"a.test", Algorithm::Md5);
    assert_eq!(
        ha1(b"old"),
        Some(Ha1::compute(Algorithm::Md5, b"old", b"a.test", b"pw2"))
    );
    assert_eq!(
        ha1(b"carol"),
        Some(Ha1::compute(Algorithm::Md5, b"carol", b"a.test", b"pw3"))
    );
    assert_eq!(open(&scratch).count(), 3);
}

#[test]
fn a_list_of_users_is_imported_with_their_aliases() {
    let scratch = Scratch::new();
    let users = open(&scratch);
    let list = vec![
        new_user("alice@a.test", &["1001"]),
        new_user("bob@a.test", &["1001"]),
        new_user("alice@a.test", &["1002"]),
    ];
    let import = users.import(list).expect("stored");
    assert_eq!((import.added, import.changed, import.failures), (1, 1, 1));
    assert_eq!(import.failed[0].line, 2);
    assert_eq!(resolve(&users, "1001", "a.test").1, "alice");
    assert_eq!(resolve(&users, "1002", "a.test").1, "alice");
}

#[test]
fn a_look_beside_a_running_server_changes_nothing() {
    let scratch = Scratch::new();
    assert_eq!(
        Subscribers::peek(scratch.path(), [1; 16]).expect("none").count(),
        0
    );
    assert!(!scratch.path().join(FILE).exists());
    let users = open(&scratch);
    users.add(&new_user("alice@a.test", &[])).expect("added");
    let peek = Subscribers::peek(scratch.path(), [1; 16]).expect("readable");
    assert_eq!(resolve(&peek, "alice", "a.test").0, Resolved::User);
    assert_eq!(
        peek.remove(&id("alice@a.test")),
        Err(SubscriberError::Store(StoreFailure::ReadOnly))
    );
}

#[test]
#[ignore = "a measurement, not a test: cargo test --release -- --ignored --nocapture measure_import"]
fn measure_import() {
    const USERS: u64 = 100_000;
    let scratch = Scratch::new();
    // 7919 has no factor in common with the number of users, so each comes once, in no order.
    let text: String = (0..USERS)
        .map(|n| n * 7919 % USERS)
        .map(|n| format!("user{n:07}@example.test,password{n}\n"))
        .collect();
    let users = open(&scratch);
    let begun = std::time::Instant::now();
    let import = users
        .import_lines(&mut text.as_bytes(), &mut |_| {})
        .expect("imported");
    println!("{} users imported in {:?}", import.added, begun.elapsed());
    drop(users);
    let begun = std::time::Instant::now();
    println!("{} users loaded in {:?}", open(&scratch).count(), begun.elapsed());
}

#[test]
fn after_a_failure_what_is_stored_is_what_is_known() {
    let scratch = Scratch::new();
    let users = open(&scratch);
    users
        .add(&new_user("alice@example.test", &["1001"]))
        .expect("added");
    users.add(&new_user("bob@example.test", &[])).expect("added");
    let other = Connection::open(scratch.path().join(FILE)).expect("opens");
    other
        .execute_batch("DELETE FROM subscriber WHERE user = 'bob'; ALTER TABLE alias RENAME TO hidden")
        .expect("changed");
    let failed = users.add(&new_user("carol@example.test", &["1002"]));
    assert!(matches!(failed, Err(SubscriberError::Store(_))), "{failed:?}");
    assert_eq!(users.count(), 2, "look-ups go on from memory");
    other
        .execute_batch("ALTER TABLE hidden RENAME TO alias")
        .expect("changed");
    users
        .add(&new_user("carol@example.test", &["1002"]))
        .expect("added");
    assert_eq!(users.count(), 2);
    assert_eq!(resolve(&users, "bob", "example.test").0, Resolved::Unknown);
    assert_eq!(resolve(&users, "1001", "example.test").0, Resolved::Alias);
    assert_eq!(resolve(&users, "1002", "example.test").0, Resolved::Alias);
}

#[test]
fn after_a_failure_the_aliases_that_are_stored_are_counted() {
    let scratch = Scratch::new();
    let users = open(&scratch);
    let path = scratch.path().join(FILE);
    let fail = |change: &str| {
        let other = Connection::open(&path).expect("opens");
        let change = format!("{change}; ALTER TABLE alias RENAME TO hidden");
        other.execute_batch(&change).expect("changed");
        let failed = users.remove(&id("nobody@example.test"));
        assert!(matches!(failed, Err(SubscriberError::Store(_))), "{failed:?}");
        other
            .execute_batch("ALTER TABLE hidden RENAME TO alias")
            .expect("changed");
        let removed = users.remove(&id("nobody@example.test"));
        assert!(
            matches!(removed, Err(SubscriberError::NoSuchUser(_))),
            "{removed:?}"
        );
    };
    users.add(&new_user("alice@example.test", &[])).expect("added");
    fail("INSERT INTO alias (domain, alias, user) VALUES ('example.test', '1001', 'alice')");
    assert_eq!(resolve(&users, "1001", "example.test").0, Resolved::Alias);
    assert!(users.has_aliases());
    fail("DELETE FROM alias");
    assert!(!users.has_aliases());
}
