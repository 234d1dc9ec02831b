//! Another configuration for nodes that run.

use std::sync::Arc;

use strowger_net::Application;
use strowger_server::config::effective::{self, Machine};
use strowger_server::config::{self, Config};
use strowger_server::node::{Control, NodePolicy, Reload};
use strowger_sip::EndpointConfig;
use strowger_sip::transport::Listeners;
use tokio::sync::oneshot;

use crate::plan::listens;
use crate::site::Site;

/// What is different from what the nodes run with.
#[derive(Clone, Debug)]
pub struct Next {
    /// The domains.
    pub domains: &'static [&'static str],
    /// The numbers of the listeners that are listened at.
    pub live: &'static [u16],
    /// Changes the policy.
    pub policy: fn(&mut NodePolicy),
}

impl Default for Next {
    fn default() -> Self {
        Self {
            domains: &["example.test"],
            live: &[0, 1, 2],
            policy: |_| {},
        }
    }
}

impl Site {
    /// Has all nodes go on with another configuration.
    #[track_caller]
    pub fn reload(&mut self, next: &Next) {
        let text = format!("domains = {:?}", next.domains);
        let config: Config = config::check(&text, "next").expect("a configuration");
        let mut policy = self.shared.policy.clone();
        (next.policy)(&mut policy);
        let ours = effective::ours(&config, &listens(), &Machine::default());
        let shared = Arc::new(self.shared.reconfigured(policy, ours, &config));
        let former = &self.endpoint;
        let listeners = Listeners::new(former.listeners.all().to_vec(), Vec::new());
        let endpoint = Arc::new(EndpointConfig {
            listeners: Arc::new(listeners.following(&former.listeners, next.live.to_vec())),
            realms: config.domains.into(),
            ..(**former).clone()
        });
        for shard in 0..self.shards.len() {
            let (done, former) = oneshot::channel();
            let reload = Control::Reload(Reload {
                shared: Arc::clone(&shared),
                endpoint: Arc::clone(&endpoint),
                logs: true,
                done,
            });
            self.turn(shard, |node, _, now, out| node.control(reload, now, out));
            let former = former.blocking_recv().expect("it is given back");
            assert!(Arc::ptr_eq(&former, &self.shared));
        }
        assert_eq!(Arc::strong_count(&self.shared), 1, "nobody keeps the former one");
        (self.shared, self.endpoint) = (shared, endpoint);
    }
}
