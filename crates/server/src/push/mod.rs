//! Devices that sleep and are woken by a push notification service (RFC 8599): which services there are, who was pushed
//! lately, and what pushes, beside the shards. What a shard wants pushed leaves it through a bounded queue; what came of it comes
//! back as an event.

mod provider;
mod recent;
mod refresh;
mod template;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use strowger_net::Handle;
use strowger_sip::keys::MacKey;
use strowger_sip::memory::Id;
use strowger_sip::registrar::PushParams;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use provider::{Hidden, NotPushed, Provider, Push};
pub(crate) use refresh::push_all;
pub use refresh::{Due, Sweep};
pub use template::Template;

use self::recent::Recent;
use crate::admin::{Family, Kind, Sample};
use crate::config::{self, Unserved};
use crate::dns;
use crate::node::Control;

/// Pushes that may wait until they are begun.
const ASKS: usize = 1024;
/// Pushes that are under way or wait for their turn at a service.
const AT_ONCE: usize = 4096;

/// A device that a shard wants pushed.
#[derive(Debug)]
pub struct Ask {
    /// Its service.
    pub provider: Arc<Provider>,
    /// The device, and why.
    pub push: Push,
    /// A number for the device.
    pub device: u64,
    /// The shard that waits, and what it waits with.
    pub asker: (u16, Id),
}

/// What came of it.
#[derive(Debug)]
pub struct Pushed {
    /// What the shard waits with.
    pub ticket: Id,
    /// Why the device was not pushed, if it was not.
    pub result: Result<(), NotPushed>,
}

/// How often something happened.
#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    failed: AtomicU64,
    refreshes: AtomicU64,
    woken: AtomicU64,
    timed_out: AtomicU64,
    given_up: AtomicU64,
}

/// How a wait for a device has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// It has registered.
    Woken,
    /// It has not, in time.
    TimedOut,
    /// It could not be pushed.
    GivenUp,
}

/// When a device was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushedAt {
    /// In milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whether it is known to have registered since.
    pub has_woken: bool,
}

/// The push notification services. A change of the configuration leaves what was pushed lately, and the queue.
#[derive(Debug)]
pub struct Services {
    settings: config::Push,
    providers: Vec<Arc<Provider>>,
    asks: mpsc::Sender<Ask>,
    recent: Arc<Recent>,
    counts: Arc<Counts>,
    key: MacKey,
}

impl Services {
    /// Those that are configured. `key` is secret. What is to be pushed comes out of the receiver.
    pub fn new(settings: &config::Push, key: [u8; 16]) -> (Self, mpsc::Receiver<Ask>) {
        let (asks, receiver) = mpsc::channel(ASKS);
        let services = Self {
            settings: settings.clone(),
            providers: providers(settings),
            asks,
            recent: Arc::default(),
            counts: Arc::default(),
            key: MacKey::new(key),
        };
        (services, receiver)
    }

    /// The same under another configuration.
    #[must_use]
    pub fn reconfigured(&self, settings: &config::Push) -> Self {
        Self {
            settings: settings.clone(),
            providers: providers(settings),
            asks: self.asks.clone(),
            recent: Arc::clone(&self.recent),
            counts: Arc::clone(&self.counts),
            key: self.key.clone(),
        }
    }

    /// Those of this moment, to try what a request would do. What would be pushed comes out of the receiver.
    pub fn copy(&self) -> (Self, mpsc::Receiver<Ask>) {
        let (asks, receiver) = mpsc::channel(ASKS);
        let services = Self {
            settings: self.settings.clone(),
            providers: self.providers.clone(),
            asks,
            recent: Arc::new(self.recent.copy()),
            counts: Arc::default(),
            key: self.key.clone(),
        };
        (services, receiver)
    }

    /// Whether there are any.
    pub fn is_on(&self) -> bool {
        !self.providers.is_empty()
    }

    /// All of them.
    pub fn all(&self) -> &[Arc<Provider>] {
        &self.providers
    }

    /// The one of this name.
    pub fn named(&self, name: &[u8]) -> Option<&Arc<Provider>> {
        let is_meant = |provider: &&Arc<Provider>| provider.name().as_bytes().eq_ignore_ascii_case(name);
        self.providers.iter().find(is_meant)
    }

    /// The one that can push the device of a contact.
    pub fn service_of(&self, params: &PushParams<'_>) -> Option<&Arc<Provider>> {
        self.named(params.provider)
            .filter(|provider| provider.suffices(params))
    }

    /// A number for a device: the same for whoever has its service, `pn-param` and `pn-prid`.
    pub fn device(&self, params: &PushParams<'_>) -> u64 {
        let provider = params.provider.to_ascii_lowercase();
        self.key.hash(&[
            &provider,
            params.param.unwrap_or_default(),
            params.prid.unwrap_or_default(),
        ])
    }

    /// How long a request waits for a device, in milliseconds.
    pub fn wait_ms(&self) -> u64 {
        millis(self.settings.wait)
    }

    /// Requests of one shard that may wait.
    pub fn max_waiting(&self) -> usize {
        self.settings.max_waiting as usize
    }

    /// The shortest registration that can be refreshed by a push, in seconds (RFC 8599 §5.6.1.1).
    pub fn least_expires(&self) -> u32 {
        seconds(self.settings.least_expires())
    }

    /// What becomes of who wants a service that is not there.
    pub fn unserved(&self) -> Unserved {
        self.settings.unserved
    }

    /// What is known of a device that was pushed so short ago that it is not pushed again.
    pub fn pushed_lately(&self, device: u64, now_ms: u64) -> Option<PushedAt> {
        let (at_ms, has_woken) = self.recent.at(device, now_ms)?;
        (now_ms - at_ms < millis(self.settings.window)).then_some(PushedAt { at_ms, has_woken })
    }

    /// A device that was pushed has registered.
    pub fn woken(&self, device: u64) {
        self.recent.woken(device);
    }

    /// Has a device pushed; false when too many wait already.
    pub fn ask(&self, ask: Ask, now_ms: u64) -> bool {
        let device = ask.device;
        let taken = self.asks.try_send(ask).is_ok();
        if taken {
            self.recent.note(device, now_ms);
        }
        taken
    }

    /// A device was not pushed after all, and may be pushed again at once.
    pub fn forget(&self, device: u64) {
        self.recent.forget(device);
    }

    pub(crate) fn count(&self, waited: Waited) {
        let counts = &self.counts;
        let count = match waited {
            Waited::Woken => &counts.woken,
            Waited::TimedOut => &counts.timed_out,
            Waited::GivenUp => &counts.given_up,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The figures.
    pub fn families(&self) -> Vec<Family> {
        let counts = &self.counts;
        let family = |name, help, samples: &[(&str, &AtomicU64)]| Family {
            name,
            help,
            kind: Kind::Counter,
            samples: samples
                .iter()
                .map(|(result, count)| Sample {
                    labels: vec![("result", (*result).to_owned())],
                    value: count.load(Ordering::Relaxed) as f64,
                })
                .collect(),
        };
        vec![
            family(
                "strowger_pushes_total",
                "Pushes that a service has taken or not.",
                &[("sent", &counts.sent), ("failed", &counts.failed)],
            ),
            family(
                "strowger_push_waits_total",
                "Requests that waited for a device to be woken, by how that ended.",
                &[
                    ("woken", &counts.woken),
                    ("timed_out", &counts.timed_out),
                    ("not_pushed", &counts.given_up),
                ],
            ),
            Family::single(
                "strowger_push_refreshes_total",
                "Devices that were pushed because their registration was about to end.",
                Kind::Counter,
                counts.refreshes.load(Ordering::Relaxed) as f64,
            ),
        ]
    }
}

impl Counts {
    fn pushed(&self, result: &Result<(), NotPushed>) {
        let count = if result.is_ok() { &self.sent } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn providers(settings: &config::Push) -> Vec<Arc<Provider>> {
    let provider = |provider| Arc::new(Provider::new(provider));
    settings.provider.iter().map(provider).collect()
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Pushes what the shards ask for, until nobody can ask any more.
pub(crate) fn spawn(services: &Services, mut asks: mpsc::Receiver<Ask>, shards: Handle<Control>) {
    let (counts, recent) = (Arc::clone(&services.counts), Arc::clone(&services.recent));
    tokio::spawn(async move {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
                ask = asks.recv(), if tasks.len() < AT_ONCE => {
                    let Some(ask) = ask else { return };
                    let (counts, recent) = (Arc::clone(&counts), Arc::clone(&recent));
                    tasks.spawn(carry_out(ask, counts, recent, shards.clone()));
                }
            }
        }
    });
}

async fn carry_out(ask: Ask, counts: Arc<Counts>, recent: Arc<Recent>, shards: Handle<Control>) {
    let (shard, ticket) = ask.asker;
    let result = ask.provider.push(ask.push).await;
    counts.pushed(&result);
    let is_failed = result.is_err();
    if is_failed {
        // Before anybody is told, so that nobody begins to wait for it afterwards.
        recent.forget(ask.device);
    }
    let pushed = Control::Pushed(Box::new(Pushed { ticket, result }));
    dns::deliver(&shards, shard, pushed).await;
    // Other shards may wait for the same device, which was pushed once for all.
    for other in (0..shards.count()).filter(|&other| is_failed && other != shard) {
        dns::deliver(&shards, other, Control::NotPushed(ask.device)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::mpsc as std_mpsc;

    use strowger_net::{Application, Handled, Options};
    use strowger_sip::{Failure, Flow, Now, Outbox, Source};
    use strowger_syntax::Index;

    use super::*;

    /// A shard that only tells what the control side sends to it.
    struct Heard(u16, std_mpsc::Sender<(u16, Control)>);

    impl Application for Heard {
        type Control = Control;

        fn control(&mut self, control: Control, _: Now, _: &mut Outbox) {
            let _ = self.1.send((self.0, control));
        }

        fn receive(&mut self, _: &[u8], _: &mut Index, _: &Source, _: Now, _: &mut Outbox) -> Handled {
            Handled::Done
        }

        fn receive_hop(&mut self, _: &[u8], _: &Index, _: &Source, _: Now, _: &mut Outbox) {}

        fn send_failed(&mut self, _: u64, _: Failure, _: Now, _: &mut Outbox) {}

        fn unreachable(&mut self, _: SocketAddr, _: Failure, _: &[u8], _: Now, _: &mut Outbox) -> Handled {
            Handled::Done
        }

        fn flow_closed(&mut self, _: Flow, _: Now, _: &mut Outbox) {}

        fn deadline(&self) -> Option<u64> {
            None
        }

        fn wake(&mut self, _: Now, _: &mut Outbox) {}

        fn turn_ended(&mut self, _: Now) {}

        fn is_idle(&self) -> bool {
            true
        }
    }

    // RFC 8599 §5.6.2: nobody waits for a device that is not woken, whichever shard it is that waits.
    #[test]
    fn that_a_device_could_not_be_pushed_is_told_to_every_shard() {
        // Nobody listens at this port, which is this test's.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = silent.local_addr().expect("bound").port();
        drop(silent);
        let text = format!(
            "[[push.provider]]\nname = \"p\"\nurl = \"http://127.0.0.1:{port}/\"\nbody = \"{{pn-prid}}\"\n"
        );
        let config = config::check(&text, "f").expect("a configuration");
        let (services, asks) = Services::new(&config.push, [0; 16]);
        let (tell, told) = std_mpsc::channel();
        let options = Options {
            shards: 3,
            ..Options::default()
        };
        let shards = strowger_net::start(Vec::new(), &options, |shard| Heard(shard, tell.clone()));
        let shards = shards.expect("started");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let _inside = runtime.enter();
        spawn(&services, asks, shards.handle());
        let ticket = Id { index: 3, counter: 4 };
        let params = PushParams {
            provider: b"p",
            param: None,
            prid: Some(b"x"),
        };
        let ask = Ask {
            provider: Arc::clone(&services.providers[0]),
            push: Push::of(&params, b"bob@example.test", b"call", "INVITE", true),
            device: 77,
            asker: (1, ticket),
        };
        services.asks.try_send(ask).expect("there is room");
        let mut heard: Vec<_> = (0..3)
            .map(|_| told.recv_timeout(Duration::from_secs(10)).expect("told"))
            .map(|(shard, control)| match control {
                Control::Pushed(pushed) => {
                    assert!(pushed.result.is_err() && pushed.ticket == ticket);
                    (shard, None)
                }
                Control::NotPushed(device) => (shard, Some(device)),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(heard[0], (1, None), "who has asked is told first");
        heard.sort();
        assert_eq!(heard, [(0, Some(77)), (1, None), (2, Some(77))]);
        shards.stop();
        shards.join().expect("no panic");
    }
}
