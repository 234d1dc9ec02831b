//! Whole nodes without sockets: messages in, messages out, in virtual time, and peers that the tests play.
//!
//! ```
//! use strowger_testkit::Site;
//! use strowger_testkit::message::request;
//!
//! let mut site = Site::new();
//! site.register('b');
//! site.send('a', &request('a', "INVITE", "sip:bob@example.test", 1));
//! site.pass(500);
//! assert_eq!(site.timed_log(), "0 a 100, 0 b INVITE, 500 b INVITE");
//! ```
//!
//! All of it is for tests: what does not go as a test expects is a panic that says so.

mod distant_store;
pub mod message;
pub mod peer;
mod plan;
mod random;
pub mod reload;
mod scratch;
pub mod script;
mod sent;
pub mod sim;
mod site;
mod slow_store;

pub use distant_store::{Distant, DistantStore};
pub use plan::{Meter, Plan};
pub use random::Random;
pub use scratch::Scratch;
pub use site::Site;
pub use slow_store::SlowStore;
