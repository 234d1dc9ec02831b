//! Sockets and the shard loop: the only crate that talks to the operating system's network, and the only one with
//! `unsafe`. It moves bytes between sockets and an [`Application`], and knows nothing of SIP but where a message
//! ends.
//!
//! [`Listener::bind`] binds an address for every shard, [`start`] starts one thread per shard. A shard is an epoll
//! loop with its own sockets; nothing on the path of a message is locked or allocated. One turn of the loop takes
//! datagrams, bytes of connections, items of other shards and messages of the control side, each within bounds, lets
//! the application work through its due timers, and sends what came of it. Without anything to do it sleeps.

mod account;
mod address;
mod affinity;
mod allocator;
mod application;
mod change;
mod clock;
mod counters;
mod descriptors;
mod directory;
mod epoll;
mod listener;
mod machine;
mod options;
mod packet;
mod ring;
mod shard;
mod shards;
mod socket_option;
mod sources;
mod spread;
mod tcp;
mod udp;

pub use account::{become_account, is_root, rehearse_account};
pub use affinity::allowed_cpus;
pub use allocator::give_large_blocks_back;
pub use application::{Application, Handled};
pub use change::{Change, Changes, Joining, Listening, NotTaken};
pub use clock::{clock_is_kept, now};
pub use counters::{Count, CountKind, Counters};
pub use descriptors::raise_descriptor_limit;
pub use listener::{BindError, BindFault, Listen, Listener};
pub use machine::{host_name, interface_addresses, interface_networks};
pub use options::{ConnectionOptions, Options, Pinning};
pub use shards::{Handle, Shards, start};
pub use sources::source_of;
pub use strowger_sip::transport::Cidr;
