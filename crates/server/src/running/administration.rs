//! What an administrator asks of a running node.

use std::process;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use strowger_net::CountKind;
use strowger_sip::registrar::{Binding, Bindings, Removal, deregister, shorten};
use tokio::sync::oneshot;

use super::Running;
use super::reload::Pending;
use crate::admin::{
    Admin, AdminError, AuthStatus, Ban, Call, ConfigStatus, Counts, Deregister, DnsEntry, DnsFlush,
    DnsFlushed, DrainTarget, Ending, Explain, Family, Filter, GroupTarget, Import, Kind, NewUser, Page,
    PageRequest, Registration, Reloaded, Sample, Secret, State, Status, Subscription, Trunk, Unban, User,
    UserId,
};
use crate::config::effective::{self, Because};
use crate::explain::Explanation;
use crate::location::{Advice, Caller, Commit, Ticket, Version};
use crate::node::trace::shown;
use crate::node::{Control, Shared, Tally};
use crate::routing::{self, Group};
use crate::subscriber::{Lookup, SubscriberError};

const STOPPING: AdminError = AdminError::Unavailable("it is stopping");

/// How often, and with which pauses, the removal of bindings is tried.
const REMOVAL_ATTEMPTS: u32 = 100;
const REMOVAL_PAUSE: Duration = Duration::from_millis(20);

/// A commit that no shard waits for.
const NOBODY: Caller = Caller {
    shard: 0,
    ticket: Ticket::NOBODYS,
};

impl Running {
    /// Runs something that takes its time, or waits for the disk, beside the control runtime.
    pub(super) async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> Result<T, AdminError> {
        let shared = self.shared();
        tokio::task::spawn_blocking(move || work(&shared))
            .await
            .map_err(|_| STOPPING)
    }

    async fn with_users<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, SubscriberError> + Send + 'static,
    ) -> Result<T, AdminError> {
        Ok(self.beside(work).await??)
    }

    /// What all shards list.
    async fn of_all_shards<T>(
        &self,
        ask: impl Fn(oneshot::Sender<Vec<T>>) -> Control,
    ) -> Result<Vec<T>, AdminError> {
        let mut all = Vec::new();
        for shard in 0..self.handle.count() {
            let (reply, answer) = oneshot::channel();
            self.handle
                .send(shard, ask(reply))
                .map_err(|_| AdminError::Unavailable("it is too busy"))?;
            all.extend(answer.await.map_err(|_| STOPPING)?);
        }
        Ok(all)
    }

    async fn all_calls(&self) -> Result<Vec<Call>, AdminError> {
        let mut calls = self.of_all_shards(Control::ListCalls).await?;
        calls.sort_by(|a, b| (a.since, &a.call_id).cmp(&(b.since, &b.call_id)));
        Ok(calls)
    }

    async fn all_trunks(&self) -> Result<Vec<Trunk>, AdminError> {
        let mut trunks = Vec::new();
        for shard in 0..self.handle.count() {
            let (reply, answer) = oneshot::channel();
            self.handle
                .send(shard, Control::ListTrunks(reply))
                .map_err(|_| AdminError::Unavailable("it is too busy"))?;
            trunks.extend(answer.await.map_err(|_| STOPPING)?);
        }
        Ok(trunks)
    }

    /// What is counted of the trunks.
    fn trunk_families(shared: &Shared) -> [Family; 2] {
        let sample = |value: fn(&routing::TrunkState) -> f64| {
            let of = move |trunk: &routing::Trunk| Sample {
                labels: vec![("trunk", trunk.name.clone())],
                value: value(&trunk.state),
            };
            shared.policy.routes.trunks().iter().map(of).collect()
        };
        [
            Family {
                name: "strowger_trunk_registered",
                help: "1 while the node is registered with the provider of a trunk.",
                kind: Kind::Gauge,
                samples: sample(|state| f64::from(u8::from(state.is_registered()))),
            },
            Family {
                name: "strowger_trunk_challenges_total",
                help: "Challenges of a provider to requests that went out to it, which were answered.",
                kind: Kind::Counter,
                samples: sample(|state| state.challenges() as f64),
            },
        ]
    }

    /// Does something that must not end with whoever asks for it.
    async fn to_its_end<T: Send + 'static, F: Future<Output = Result<T, AdminError>> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, AdminError> {
        let me = self.me.upgrade().ok_or(STOPPING)?;
        tokio::spawn(work(me)).await.unwrap_or(Err(STOPPING))
    }

    fn config_status(&self) -> ConfigStatus {
        let (active, pending) = (self.active(), self.pending());
        ConfigStatus {
            file: self.file(),
            generation: active.generation,
            since: active.since,
            rollback_in: pending.as_ref().map(Pending::secs),
            stuck: pending.as_ref().and_then(|pending| pending.stuck.clone()),
        }
    }

    /// Bytes by what they are for: what the shards hold, added up, and what they share.
    fn memory(&self) -> Family {
        let shared = self.shared();
        let mut parts = vec![
            ("bindings", shared.location.bytes() as u64),
            ("users", shared.subscribers.bytes() as u64),
        ];
        for (part, bytes) in self.tallies.iter().flat_map(|tally| tally.memory()) {
            match parts.iter_mut().find(|(known, _)| *known == part) {
                Some((_, sum)) => *sum += bytes,
                None => parts.push((part, bytes)),
            }
        }
        let sample = |(part, bytes): (&str, u64)| Sample {
            labels: vec![("subsystem", part.to_owned())],
            value: bytes as f64,
        };
        Family {
            name: "strowger_memory_bytes",
            help: "Bytes held, by what for: records, stored messages and their spare buffers, bindings with their index, users.",
            kind: Kind::Gauge,
            samples: parts.into_iter().map(sample).collect(),
        }
    }

    /// What shards, sockets and look-ups have counted.
    fn counted(&self) -> Vec<Family> {
        let mut families = Tally::families(&self.tallies);
        for counters in self.handle.counters() {
            counters.each(|name, help, kind, value| {
                let kind = match kind {
                    CountKind::Counter => Kind::Counter,
                    CountKind::Gauge => Kind::Gauge,
                };
                match families.iter_mut().find(|family| family.name == name) {
                    Some(family) => family.samples[0].value += value as f64,
                    None => families.push(Family::single(name, help, kind, value as f64)),
                }
            });
        }
        let now_ms = strowger_net::now().mono_ms();
        families.append(&mut self.shared().dns.families(now_ms));
        families.append(&mut self.shared().push.families());
        families
    }

    fn counts(&self, contacts: u64) -> Counts {
        let mut connections = 0;
        for counters in self.handle.counters() {
            counters.each(|name, _, kind, value| {
                if kind == CountKind::Gauge && name.starts_with("strowger_connections") {
                    connections += value;
                }
            });
        }
        let shared = self.shared();
        Counts {
            users: shared.subscribers.count() as u64,
            registered: shared.location.len() as u64,
            contacts,
            calls: self.tallies.iter().map(|t| t.calls()).sum(),
            transactions: self.tallies.iter().map(|t| t.transactions()).sum(),
            connections,
        }
    }
}

/// The bindings that have not expired, each with its address-of-record.
fn each_binding(shared: &Shared, mut visit: impl FnMut(&[u8], &Binding<'_>)) {
    let now = strowger_net::now().wall_secs();
    shared.location.for_each(&mut |aor, record| {
        for binding in Bindings::new(record).live(now) {
            visit(aor, &binding);
        }
    });
}

/// Ends bindings of an address-of-record, one or all, whatever commits meanwhile, and tells which; `None` when the store
/// does not do it in time.
fn end_bindings(
    shared: &Shared,
    aor: &[u8],
    contact: Option<&[u8]>,
    ending: Ending,
) -> Option<Vec<Registration>> {
    let (mut record, mut next) = (Vec::new(), Vec::new());
    for _ in 0..REMOVAL_ATTEMPTS {
        let now = strowger_net::now().wall_secs();
        let seen = shared.location.read(aor, &mut record);
        let bindings = Bindings::new(&record);
        let meant = |bound: &[u8]| {
            contact.is_none_or(|contact| contact == bound || contact == shown(bound).as_bytes())
        };
        let at = match ending {
            Ending::Removed(_) => now as u32,
            Ending::Shortened(secs) => (now as u32).saturating_add(secs),
        };
        let (ended, shown) = match ending {
            Ending::Removed(why) => (deregister(bindings, meant, why, now, &mut next), bindings),
            Ending::Shortened(_) => (shorten(bindings, meant, at, now, &mut next), Bindings::new(&next)),
        };
        if ended == 0 {
            return Some(Vec::new());
        }
        let all = shown
            .live(now)
            .filter(|binding| meant(binding.contact))
            .map(|binding| Registration::of(aor, &binding, now))
            .collect::<Vec<_>>();
        match shared.location.commit(aor, seen, &next, NOBODY) {
            Commit::Done(_) => return Some(all),
            Commit::Pending => {
                let is_done = |record: Bindings<'_>| match ending {
                    Ending::Removed(_) => record.has_removed(now),
                    Ending::Shortened(_) => record
                        .live(now)
                        .all(|binding| binding.expires_at <= at || !meant(binding.contact)),
                };
                if is_committed(shared, aor, seen, is_done) {
                    return Some(all);
                }
            }
            Commit::Conflict => {}
            Commit::Unavailable => thread::sleep(REMOVAL_PAUSE),
        }
    }
    None
}

/// Waits until a change is done; false if something else was.
fn is_committed(shared: &Shared, aor: &[u8], seen: Version, is_done: impl Fn(Bindings<'_>) -> bool) -> bool {
    let mut record = Vec::new();
    for _ in 0..REMOVAL_ATTEMPTS {
        if shared.location.read(aor, &mut record) != seen {
            return is_done(Bindings::new(&record));
        }
        thread::sleep(REMOVAL_PAUSE);
    }
    false
}

/// Takes a user's bindings away; false when the store does not do it in time.
fn forget_bindings(shared: &Shared, user: &UserId) -> bool {
    let aor = format!("{}@{}", user.user(), user.domain());
    let ending = Ending::Removed(Removal::Rejected);
    end_bindings(shared, aor.as_bytes(), None, ending).is_some()
}

impl Admin for Running {
    async fn status(&self) -> Result<Status, AdminError> {
        let active = self.active();
        let digest = effective::digest(&active.config);
        let because = match digest.because {
            Because::Asked => "as configured".to_owned(),
            Because::OnlyLoopback => "only this machine can reach it".to_owned(),
            Because::Open(uri) => format!("{uri} can be reached from outside"),
        };
        let contacts = self
            .beside(|shared| {
                let mut contacts = 0;
                each_binding(shared, |_, _| contacts += 1);
                contacts
            })
            .await?;
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: process::id(),
            uptime: self.started.elapsed().as_secs(),
            state: if self.draining.load(Ordering::Relaxed) {
                State::Draining
            } else {
                State::Running
            },
            listeners: active.listeners.clone(),
            admin: active.admin.map(|address| address.to_string()),
            shards: self.handle.count(),
            domains: active.shared.ours.names().to_vec(),
            data_dir: self.data_dir.clone(),
            auth: AuthStatus {
                methods: digest.methods,
                algorithms: active
                    .config
                    .auth
                    .algorithms
                    .iter()
                    .map(|a| a.as_str().to_owned())
                    .collect(),
                because,
            },
            counts: self.counts(contacts),
            config: self.config_status(),
            failing: active
                .shared
                .location
                .failing()
                .map(|failure| Advice(failure).to_string()),
        })
    }

    async fn registrations(
        &self,
        filter: Filter,
        page: PageRequest,
    ) -> Result<Page<Registration>, AdminError> {
        self.beside(move |shared| {
            let mut found = Vec::new();
            each_binding(shared, |aor, binding| {
                let registration = Registration::of(aor, binding, strowger_net::now().wall_secs());
                let agent = registration.user_agent.as_deref().unwrap_or("");
                if filter.matches(&[&registration.aor, &registration.contact, agent]) {
                    found.push(registration);
                }
            });
            found.sort_by(|a, b| (&a.aor, &a.contact).cmp(&(&b.aor, &b.contact)));
            Page::cut(found, &page, |registration| &registration.aor)
        })
        .await
    }

    async fn deregister(&self, which: Deregister) -> Result<Vec<Registration>, AdminError> {
        let (aor, ending) = (which.canonical_aor()?, which.ending()?);
        let id = which.id();
        let gone = self
            .beside(move |shared| {
                let contact = which.contact.as_deref().map(str::as_bytes);
                end_bindings(shared, &aor, contact, ending)
            })
            .await?;
        match gone {
            None => Err(AdminError::Unavailable(
                "the store of registrations does not answer",
            )),
            Some(gone) if gone.is_empty() => Err(AdminError::NoSuchRegistration(id)),
            Some(gone) => Ok(gone),
        }
    }

    async fn subscriptions(
        &self,
        filter: Filter,
        page: PageRequest,
    ) -> Result<Page<Subscription>, AdminError> {
        let mut all = self.of_all_shards(Control::ListSubscriptions).await?;
        all.retain(|one: &Subscription| filter.matches(&[&one.aor, &one.subscriber, &one.call_id]));
        all.sort_by(|a, b| (&a.aor, &a.id).cmp(&(&b.aor, &b.id)));
        Ok(Page::cut(all, &page, |one| &one.id))
    }

    async fn calls(&self, filter: Filter, page: PageRequest) -> Result<Page<Call>, AdminError> {
        let mut calls = self.all_calls().await?;
        calls.retain(|call| filter.matches(&[&call.call_id, &call.from, &call.to]));
        Ok(Page::cut(calls, &page, |call| &call.call_id))
    }

    async fn users(&self, filter: Filter, page: PageRequest) -> Result<Page<User>, AdminError> {
        self.with_users(move |shared| {
            let mut page = shared.subscribers.list(&filter, &page)?;
            let (now, mut record) = (strowger_net::now().wall_secs(), Vec::new());
            for user in &mut page.items {
                shared
                    .location
                    .read(user.address.to_string().as_bytes(), &mut record);
                user.contacts = Some(Bindings::new(&record).live(now).count() as u32);
            }
            Ok(page)
        })
        .await
    }

    async fn add_user(&self, user: NewUser) -> Result<User, AdminError> {
        self.with_users(move |shared| {
            shared.subscribers.add(&user)?;
            shared.subscribers.get(&user.address)
        })
        .await
    }

    async fn remove_user(&self, user: UserId) -> Result<(), AdminError> {
        self.with_users(move |shared| {
            shared.subscribers.remove(&user)?;
            Ok(forget_bindings(shared, &user))
        })
        .await
        .and_then(|forgotten| {
            if forgotten {
                Ok(())
            } else {
                Err(AdminError::Unavailable(
                    "the user is removed, but the store of registrations does not answer",
                ))
            }
        })
    }

    async fn set_password(&self, user: UserId, password: Secret) -> Result<(), AdminError> {
        self.with_users(move |shared| shared.subscribers.set_password(&user, &password))
            .await
    }

    async fn import_users(&self, batch: Vec<NewUser>) -> Result<Import, AdminError> {
        self.with_users(move |shared| shared.subscribers.import(batch))
            .await
    }

    async fn bans(&self, filter: Filter, page: PageRequest) -> Result<Page<Ban>, AdminError> {
        let now = strowger_net::now().wall_secs();
        let mut bans: Vec<_> = self.bans.list(now).iter().map(|ban| Ban::of(ban, now)).collect();
        bans.retain(|ban| filter.matches(&[&ban.id]));
        Ok(Page::cut(bans, &page, |ban| &ban.id))
    }

    async fn unban(&self, which: Unban) -> Result<Vec<Ban>, AdminError> {
        let source = which.source()?;
        let now = strowger_net::now();
        let account = which.account.as_deref();
        let ended = self.shared().defence.unban(&self.bans, source, account, now);
        if ended.is_empty() {
            return Err(AdminError::NoSuchBan(which.id()));
        }
        Ok(ended.iter().map(|ban| Ban::of(ban, now.wall_secs())).collect())
    }

    async fn explain(&self, asked: Explain) -> Result<Explanation, AdminError> {
        self.explain_message(asked).await
    }

    async fn groups(&self, filter: Filter, page: PageRequest) -> Result<Page<GroupTarget>, AdminError> {
        let shared = self.shared();
        let targets = |group: &'_ Group| {
            let describe = |target| GroupTarget::of(group, target);
            group.targets.iter().map(describe).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = shared.policy.routes.groups().iter().flat_map(targets).collect();
        all.retain(|target| filter.matches(&[&target.id]));
        Ok(Page::cut(all, &page, |target| &target.id))
    }

    async fn dns(&self, filter: Filter, page: PageRequest) -> Result<Page<DnsEntry>, AdminError> {
        let now_ms = strowger_net::now().mono_ms();
        self.beside(move |shared| DnsEntry::page(&shared.dns, &filter, page, now_ms))
            .await
    }

    async fn flush_dns(&self, which: DnsFlush) -> Result<DnsFlushed, AdminError> {
        let now_ms = strowger_net::now().mono_ms();
        let name = which.name.as_deref().map(str::trim).map(str::to_owned);
        self.beside(move |shared| shared.dns.forget(name.as_deref(), now_ms).into())
            .await
    }

    async fn drain_target(&self, which: DrainTarget) -> Result<GroupTarget, AdminError> {
        let shared = self.shared();
        let group = shared.policy.routes.group_named(&which.group);
        let found = group.and_then(|group| Some((group, group.target(&which.target)?)));
        let Some((group, target)) = found else {
            let name = format!("{} in group {}", which.target, which.group);
            return Err(AdminError::NoSuchTarget(name));
        };
        target.state.drain(which.draining);
        Ok(GroupTarget::of(group, target))
    }

    async fn trunks(&self, filter: Filter, page: PageRequest) -> Result<Page<Trunk>, AdminError> {
        let mut trunks = self.all_trunks().await?;
        trunks.retain(|trunk| filter.matches(&[&trunk.name, &trunk.aor]));
        Ok(Page::cut(trunks, &page, |trunk| &trunk.name))
    }

    async fn metrics(&self) -> Result<Vec<Family>, AdminError> {
        let mut families = self.counted();
        let gauge = |name, help, value: usize| Family::single(name, help, Kind::Gauge, value as f64);
        let active = self.active();
        let shared = &active.shared;
        families.push(self.outcomes.family());
        families.push(Family::single(
            "strowger_config_generation",
            "Configurations that were in force since the start.",
            Kind::Gauge,
            active.generation as f64,
        ));
        families.push(Family::single(
            "strowger_config_since_seconds",
            "When the present one was put into force, in seconds since the Unix epoch.",
            Kind::Gauge,
            active.since as f64,
        ));
        families.push(gauge(
            "strowger_users",
            "Users, as far as they are known here.",
            shared.subscribers.count(),
        ));
        families.extend(shared.subscribers.lookup().into_iter().flat_map(Lookup::families));
        families.push(gauge(
            "strowger_registered",
            "Addresses-of-record with bindings.",
            shared.location.len(),
        ));
        families.push(gauge(
            "strowger_subscriptions",
            "Subscriptions to registrations.",
            shared.events.quota.total() as usize,
        ));
        families.push(self.memory());
        families.extend(Self::trunk_families(shared));
        let (accounts, sources) = shared.defence.counts();
        let banned = |kind: &str, value: u64| Sample {
            labels: vec![("kind", kind.to_owned())],
            value: value as f64,
        };
        families.push(Family {
            name: "strowger_bans_total",
            help: "Bans that were made: of an account at a source, or of a source.",
            kind: Kind::Counter,
            samples: vec![banned("account", accounts), banned("source", sources)],
        });
        families.push(gauge(
            "strowger_bans",
            "Bans in force that are listed.",
            self.bans.list(strowger_net::now().wall_secs()).len(),
        ));
        let failing = usize::from(shared.location.failing().is_some());
        families.push(gauge(
            "strowger_location_failing",
            "1 while the store of bindings cannot write.",
            failing,
        ));
        Ok(families)
    }

    async fn reload(&self, rollback_after: Option<Duration>) -> Result<Reloaded, AdminError> {
        self.to_its_end(|me| me.reload_now(rollback_after)).await
    }

    async fn confirm_reload(&self) -> Result<Reloaded, AdminError> {
        self.to_its_end(Self::confirm_now).await
    }

    async fn roll_back(&self) -> Result<Reloaded, AdminError> {
        self.to_its_end(Self::roll_back_now).await
    }

    async fn drain(&self) -> Result<(), AdminError> {
        self.drain_asked.notify_one();
        Ok(())
    }
}
