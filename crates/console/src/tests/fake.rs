//! A node that is only a list of users, what it tells of, and a console before it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use strowger_server::admin::*;
use strowger_server::explain::{Arrival, Explanation, Ground, MessageSeen, Outcome, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::{Access, serve};

pub(super) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[derive(Default)]
pub(super) struct Fake {
    pub(super) users: Mutex<Vec<NewUser>>,
    pub(super) draining: Mutex<bool>,
    pub(super) failing: Mutex<Option<String>>,
}

impl Fake {
    pub(super) fn users(&self) -> std::sync::MutexGuard<'_, Vec<NewUser>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn shown(user: &NewUser) -> User {
    User {
        address: user.address.clone(),
        display_name: user.display_name.clone(),
        aliases: user.aliases.clone(),
        contacts: Some(0),
    }
}

pub(super) fn a_registration() -> Registration {
    Registration {
        aor: "sip:alice@example.test".to_owned(),
        contact: "sip:alice@127.0.0.1:5070".to_owned(),
        expires_in: 60,
        registered_for: Some(3600),
        q: Some(500),
        transport: "UDP".to_owned(),
        source: Some(SocketAddr::from(([127, 0, 0, 1], 5070))),
        user_agent: None,
        instance: Some("urn:uuid:1".to_owned()),
        path: None,
        call_id: "c".to_owned(),
        cseq: 1,
    }
}

pub(super) fn a_subscription() -> Subscription {
    Subscription {
        id: "1".to_owned(),
        event: "reg".to_owned(),
        aor: "alice@example.test".to_owned(),
        subscriber: "sip:alice@127.0.0.1:5070".to_owned(),
        expires_in: 60,
        notified: 1,
        transport: "udp".to_owned(),
        source: SocketAddr::from(([127, 0, 0, 1], 5070)),
        call_id: "c".to_owned(),
    }
}

pub(super) fn an_explanation(length: usize) -> Explanation {
    Explanation {
        verdict: Verdict {
            outcome: Outcome::Dropped,
            status: None,
            role: None,
            line: "x".to_owned(),
        },
        ground: Ground::Live,
        at: 1,
        arrival: Arrival {
            source: "udp:127.0.0.1:5070".to_owned(),
            listener: "udp:127.0.0.1:5060".to_owned(),
            shard: 0,
            shards: 1,
            assumed: Vec::new(),
        },
        message: MessageSeen {
            request: true,
            start_line: String::new(),
            length,
            body: 0,
            from: None,
            to: None,
            call_id: None,
            cseq: None,
        },
        remarks: Vec::new(),
        steps: Vec::new(),
        sent: Vec::new(),
        changed: Vec::new(),
        later: Vec::new(),
        log: Vec::new(),
    }
}

pub(super) fn a_call() -> Call {
    Call {
        call_id: "c".to_owned(),
        from: "a".to_owned(),
        to: "b".to_owned(),
        state: CallState::Ringing,
        since: 1,
        branches: 1,
        source: None,
    }
}

pub(super) fn a_ban() -> Ban {
    Ban {
        id: "192.0.2.7 alice@example.test".to_owned(),
        source: "192.0.2.7".to_owned(),
        account: Some("alice@example.test".to_owned()),
        since: 1,
        expires_in: 60,
    }
}

pub(super) fn a_name() -> DnsEntry {
    DnsEntry {
        id: "name far.test servers".to_owned(),
        name: "far.test".to_owned(),
        wanted: "servers".to_owned(),
        state: DnsState::Found,
        servers: vec!["10 60 udp:192.0.2.7:5060".to_owned()],
        expires_in: 60,
    }
}

pub(super) fn a_target(state: &str) -> GroupTarget {
    GroupTarget {
        id: "trunks sip:gw1.test".to_owned(),
        group: "trunks".to_owned(),
        target: "sip:gw1.test".to_owned(),
        state: state.to_owned(),
        calls: 2,
        chosen: 9,
    }
}

pub(super) fn a_trunk() -> Trunk {
    Trunk {
        name: "provider".to_owned(),
        aor: "sip:12345@provider.test".to_owned(),
        registrar: "sip:provider.test".to_owned(),
        state: TrunkState::Failing,
        why: Some("wrong user name or password".to_owned()),
        since: 1_764_000_000,
        expires_in: None,
        next_in: Some(60),
        contact: None,
        address: Some("192.0.2.9:5060".to_owned()),
        service_route: None,
        path: None,
    }
}

impl Admin for Fake {
    async fn status(&self) -> Result<Status, AdminError> {
        let draining = *self.draining.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Status {
            version: "0".to_owned(),
            pid: 1,
            uptime: 2,
            state: if draining { State::Draining } else { State::Running },
            listeners: vec!["udp:127.0.0.1:5060".to_owned()],
            admin: None,
            shards: 1,
            domains: Vec::new(),
            data_dir: "/d".to_owned(),
            auth: AuthStatus {
                methods: Vec::new(),
                algorithms: Vec::new(),
                because: "x".to_owned(),
            },
            counts: Counts::default(),
            config: ConfigStatus::default(),
            failing: self
                .failing
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        })
    }

    async fn registrations(
        &self,
        filter: Filter,
        page: PageRequest,
    ) -> Result<Page<Registration>, AdminError> {
        let all: Vec<Registration> = (0..5)
            .map(|number| Registration {
                contact: format!("sip:alice@127.0.0.1:{number}"),
                ..a_registration()
            })
            .filter(|entry| filter.matches(&[&entry.aor, &entry.contact]))
            .collect();
        Ok(Page::cut(all, &page, |entry| &entry.contact))
    }

    async fn deregister(&self, which: Deregister) -> Result<Vec<Registration>, AdminError> {
        match which.canonical_aor()?.as_slice() {
            b"alice@example.test" => Ok(vec![a_registration()]),
            _ => Err(AdminError::NoSuchRegistration(which.id())),
        }
    }

    async fn subscriptions(&self, _: Filter, page: PageRequest) -> Result<Page<Subscription>, AdminError> {
        Ok(Page::cut(vec![a_subscription()], &page, |one| &one.id))
    }

    async fn calls(&self, _: Filter, _: PageRequest) -> Result<Page<Call>, AdminError> {
        Err(AdminError::Unavailable("a shard is silent"))
    }

    async fn users(&self, filter: Filter, page: PageRequest) -> Result<Page<User>, AdminError> {
        let all = self
            .users()
            .iter()
            .map(shown)
            .filter(|user| filter.matches(&[user.address.as_str()]))
            .collect();
        Ok(Page::cut(all, &page, |user| user.address.as_str()))
    }

    async fn add_user(&self, user: NewUser) -> Result<User, AdminError> {
        let mut users = self.users();
        if users.iter().any(|other| other.address == user.address) {
            return Err(AdminError::Exists(user.address.to_string()));
        }
        users.push(user.clone());
        Ok(shown(&user))
    }

    async fn remove_user(&self, user: UserId) -> Result<(), AdminError> {
        let mut users = self.users();
        let before = users.len();
        users.retain(|other| other.address != user);
        if users.len() < before {
            Ok(())
        } else {
            Err(AdminError::NoSuchUser(user))
        }
    }

    async fn set_password(&self, user: UserId, password: Secret) -> Result<(), AdminError> {
        let mut users = self.users();
        let found = users
            .iter_mut()
            .find(|other| other.address == user)
            .ok_or(AdminError::NoSuchUser(user))?;
        found.password = password;
        Ok(())
    }

    async fn import_users(&self, batch: Vec<NewUser>) -> Result<Import, AdminError> {
        let mut import = Import::default();
        for (place, user) in (1..).zip(batch) {
            if user.address.user() == "taken" {
                import.fail(place, "taken");
            } else {
                import.added += 1;
                self.users().push(user);
            }
        }
        Ok(import)
    }

    async fn bans(&self, filter: Filter, page: PageRequest) -> Result<Page<Ban>, AdminError> {
        let bans = [a_ban()]
            .into_iter()
            .filter(|ban| filter.matches(&[&ban.id]))
            .collect();
        Ok(Page::cut(bans, &page, |ban| &ban.id))
    }

    async fn unban(&self, which: Unban) -> Result<Vec<Ban>, AdminError> {
        which.source()?;
        if which.id() == a_ban().id {
            Ok(vec![a_ban()])
        } else {
            Err(AdminError::NoSuchBan(which.id()))
        }
    }

    async fn explain(&self, asked: Explain) -> Result<Explanation, AdminError> {
        let bytes = asked.bytes()?;
        Ok(an_explanation(bytes.len()))
    }

    async fn groups(&self, filter: Filter, page: PageRequest) -> Result<Page<GroupTarget>, AdminError> {
        let targets = [a_target("up")]
            .into_iter()
            .filter(|target| filter.matches(&[&target.id]))
            .collect();
        Ok(Page::cut(targets, &page, |target| &target.id))
    }

    async fn dns(&self, filter: Filter, page: PageRequest) -> Result<Page<DnsEntry>, AdminError> {
        let names = [a_name()]
            .into_iter()
            .filter(|name| filter.matches(&[&name.id]))
            .collect();
        Ok(Page::cut(names, &page, |name| &name.id))
    }

    async fn flush_dns(&self, which: DnsFlush) -> Result<DnsFlushed, AdminError> {
        let is_known = which.name.is_none_or(|name| name == a_name().name);
        let names = u64::from(is_known);
        Ok(DnsFlushed { names, hops: 0 })
    }

    async fn trunks(&self, filter: Filter, page: PageRequest) -> Result<Page<Trunk>, AdminError> {
        let trunks = [a_trunk()]
            .into_iter()
            .filter(|trunk| filter.matches(&[&trunk.name]))
            .collect();
        Ok(Page::cut(trunks, &page, |trunk| &trunk.name))
    }

    async fn drain_target(&self, which: DrainTarget) -> Result<GroupTarget, AdminError> {
        let state = if which.draining { "draining" } else { "up" };
        let target = a_target(state);
        if (&which.group, &which.target) == (&target.group, &target.target) {
            Ok(target)
        } else {
            Err(AdminError::NoSuchTarget(which.target))
        }
    }

    async fn metrics(&self) -> Result<Vec<Family>, AdminError> {
        Ok(vec![Family::single("strowger_calls", "Calls.", Kind::Gauge, 3.0)])
    }

    async fn reload(&self, rollback_after: Option<Duration>) -> Result<Reloaded, AdminError> {
        if rollback_after == Some(Duration::from_secs(7)) {
            let wrong = strowger_server::config::check("x = 1\ny = 2", "f").expect_err("no keys");
            return Err(AdminError::Configuration(wrong));
        }
        Ok(Reloaded {
            generation: 2,
            added: vec!["udp:127.0.0.1:5070".to_owned()],
            removed: Vec::new(),
            rollback_in: rollback_after.map(|after| after.as_secs()),
        })
    }

    async fn confirm_reload(&self) -> Result<Reloaded, AdminError> {
        Ok(Reloaded::default())
    }

    async fn roll_back(&self) -> Result<Reloaded, AdminError> {
        Err(AdminError::Conflict {
            what: "nothing waits".to_owned(),
            mend: "wait".to_owned(),
        })
    }

    async fn drain(&self) -> Result<(), AdminError> {
        *self.draining.lock().unwrap_or_else(PoisonError::into_inner) = true;
        Ok(())
    }
}

/// A console on a free port; it ends when this is dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) fake: Arc<Fake>,
    pub(super) stop: Option<oneshot::Sender<()>>,
    pub(super) task: tokio::task::JoinHandle<Result<(), crate::Refused>>,
}

pub(super) async fn start() -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let fake = Arc::new(Fake::default());
    let access = Access {
        token: Secret::new(TOKEN),
        names: vec!["pbx.example.test".to_owned()],
    };
    let (stop, stopped) = oneshot::channel();
    let admin = Arc::clone(&fake);
    let stopped = async {
        let _ = stopped.await;
    };
    let task = tokio::spawn(serve(listener, admin, access, stopped));
    Running {
        address,
        fake,
        stop: Some(stop),
        task,
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Running {
    /// Sends raw bytes and reads until the server closes.
    pub(super) async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("listening");
        stream.write_all(request).await.expect("sent");
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(20), reading)
            .await
            .expect("in time")
            .expect("read");
        let text = String::from_utf8(answer).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or_default();
        Answer {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    /// A request with these header lines besides Host and Content-Length.
    pub(super) async fn with(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let host = if headers.iter().any(|line| line.starts_with("Host:")) {
            ""
        } else {
            "Host: 127.0.0.1\r\n"
        };
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{host}{lines}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        self.raw(request.as_bytes()).await
    }

    /// A request as `strowger ctl` makes it.
    pub(super) async fn own(&self, method: &str, path: &str, body: &str) -> Answer {
        let token = format!("Authorization: Bearer {TOKEN}");
        self.with(method, path, &[&token, "Content-Type: application/json"], body)
            .await
    }
}
