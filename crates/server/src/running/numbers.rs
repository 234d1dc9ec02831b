//! The numbers of listeners. One belongs to an address for as long as the process lives: what was begun and what was
//! registered names listeners by them.

use strowger_net::{BindError, Listen as Bound, Listener, Listening, Options};
use strowger_sip::transport;
use strowger_syntax::Transport;

use super::bind::{self, hear, warn_of_small_buffer};
use crate::config::effective::{self, Asked};
use crate::config::{Config, Key, Listen, ListenUri};

/// More addresses than these are not listened at in the life of a process.
const MOST: usize = 1024;

/// Something that keeps a configuration from being put into force.
#[derive(Debug)]
pub struct Obstacle {
    /// The value that it is about.
    pub key: Key,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

impl Obstacle {
    pub(super) fn bind(place: usize, error: &BindError) -> Self {
        Self {
            key: Key::Listener(place),
            what: error.to_string(),
            mend: bind::mend(error),
        }
    }
}

/// What is done at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is listened at.
    Live,
    /// What was begun there goes on since the configuration of this generation.
    Retired(u64),
    /// Nothing.
    Closed,
}

/// An address that is or was listened at.
#[derive(Clone, Debug)]
struct Known {
    /// As it was asked for, perhaps with port 0.
    wanted: ListenUri,
    /// With the port that it got.
    listen: Listen,
    state: State,
}

/// All addresses that are or were listened at, by their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    all: Vec<Known>,
    /// The live ones, in the order of the configuration.
    order: Vec<u16>,
}

/// What changes.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) joining: Vec<(u16, Listener)>,
    pub(super) retired: Vec<u16>,
    pub(super) closed: Vec<u16>,
    /// For people: what is listened at now and was not, and the other way round.
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
}

impl Numbers {
    /// The numbers of a start.
    pub(super) fn add(&mut self, wanted: ListenUri, listen: Listen) {
        self.order.push(self.all.len() as u16);
        self.all.push(Known {
            wanted,
            listen,
            state: State::Live,
        });
    }

    /// What is listened at, in the order of the configuration.
    pub(super) fn live(&self) -> impl Iterator<Item = &Listen> {
        self.order
            .iter()
            .map(|&number| &self.all[usize::from(number)].listen)
    }

    /// Its URIs.
    pub(super) fn names(&self) -> Vec<String> {
        self.live().map(|listen| listen.uri.to_string()).collect()
    }

    /// What requests come to: the live ones, then those that are retired.
    pub(super) fn reachable(&self) -> Vec<Listen> {
        let retired = self
            .all
            .iter()
            .filter(|known| matches!(known.state, State::Retired(_)));
        let retired = retired.map(|known| &known.listen);
        self.live().chain(retired).cloned().collect()
    }

    /// All of them, as the core knows them.
    pub(super) fn describe(&self) -> Vec<transport::Listener> {
        let describe = |known: &Known| transport::Listener {
            transport: known.listen.uri.transport,
            address: known.listen.uri.address,
            advertise: known.listen.advertised(),
        };
        self.all.iter().map(describe).collect()
    }

    /// The numbers of the live ones.
    pub(super) fn order(&self) -> &[u16] {
        &self.order
    }

    /// The same as the sockets' side knows them.
    pub(super) fn listening(&self) -> Listening {
        let live = |&number: &u16| (number, bound(self.all[usize::from(number)].listen.uri));
        let closed = (0..)
            .zip(&self.all)
            .filter(|(_, known)| known.state == State::Closed);
        let heir = |(number, known): (u16, &Known)| Some((number, self.heir_of(known.listen.uri)?));
        Listening {
            live: self.order.iter().map(live).collect(),
            heirs: closed.filter_map(heir).collect(),
        }
    }

    /// The numbers that were retired by a generation.
    pub(super) fn retired_by(&self, generation: u64) -> Vec<u16> {
        let all = (0..).zip(&self.all);
        let retired = all.filter(|(_, known)| known.state == State::Retired(generation));
        retired.map(|(number, _)| number).collect()
    }

    /// Closes listeners that were retired.
    pub(super) fn close(&mut self, numbers: &[u16]) {
        for &number in numbers {
            self.all[usize::from(number)].state = State::Closed;
        }
    }

    /// Works out what another configuration changes, and binds what is new. Listeners that are retired carry its
    /// generation.
    pub(super) fn follow(
        &self,
        config: &Config,
        options: &Options,
        generation: u64,
    ) -> Result<(Self, Step), Vec<Obstacle>> {
        let wanted = effective::listeners(config);
        let (mut next, mut step, mut obstacles) = (self.clone(), Step::default(), Vec::new());
        let mut kept = self.kept(&wanted);
        next.order.clear();
        for (place, (wanted, kept)) in wanted.iter().zip(&mut kept).enumerate() {
            if kept.is_none() {
                match next.take_up(wanted, options, &mut step) {
                    Ok(number) => *kept = Some(number),
                    Err(Refused::Bind(error))
                        if wanted.asked == Asked::Default
                            && !bind::is_needed(&error, wanted.listen.uri.address.ip()) =>
                    {
                        tracing::warn!("{error}: this default listener is left out");
                    }
                    Err(Refused::Bind(error)) => obstacles.push(Obstacle::bind(place, &error)),
                    Err(Refused::TooMany) => obstacles.push(too_many(place)),
                }
            }
            if let Some(number) = *kept {
                let known = &next.all[usize::from(number)];
                if known.listen.multicast != wanted.listen.multicast {
                    obstacles.push(other_group(place));
                }
                next.all[usize::from(number)].wanted = wanted.listen.uri;
                next.all[usize::from(number)].listen.advertise = wanted.listen.advertise.clone();
                next.order.push(number);
            }
        }
        if next.order.is_empty() && obstacles.is_empty() {
            obstacles.push(Obstacle {
                key: Key::Listener(0),
                what: "none of the default addresses can be bound".to_owned(),
                mend: "name an address of this machine in [[listen]]".to_owned(),
            });
        }
        if !obstacles.is_empty() {
            return Err(obstacles);
        }
        next.leave(generation, &mut step);
        Ok((next, step))
    }

    /// The numbers of those that are listened at already, as they were asked for or at the address that they got.
    fn kept(&self, wanted: &[effective::Listener]) -> Vec<Option<u16>> {
        let mut kept: Vec<Option<u16>> = vec![None; wanted.len()];
        let is: [fn(&Known) -> ListenUri; 2] = [|known| known.wanted, |known| known.listen.uri];
        for is in is {
            for place in 0..wanted.len() {
                let fits = |number: &&u16| is(&self.all[usize::from(**number)]) == wanted[place].listen.uri;
                if kept[place].is_none() {
                    let free = self.order.iter().filter(|number| !kept.contains(&Some(**number)));
                    let found = free.clone().find(fits).copied();
                    kept[place] = found;
                }
            }
        }
        kept
    }

    /// Listens at an address: once more, or for the first time.
    fn take_up(
        &mut self,
        wanted: &effective::Listener,
        options: &Options,
        step: &mut Step,
    ) -> Result<u16, Refused> {
        let uri = wanted.listen.uri;
        let before = self
            .all
            .iter()
            .position(|known| known.listen.uri == uri && known.state != State::Live);
        let number = before.unwrap_or(self.all.len());
        if number >= MOST {
            return Err(Refused::TooMany);
        }
        let is_open = before
            .is_some_and(|place| self.all[place].state != State::Closed && uri.transport == Transport::Udp);
        let mut listen = wanted.listen.clone();
        if !is_open {
            let is_beside = |(place, known): (usize, &Known)| {
                place != number && known.state != State::Closed && overlap(known.listen.uri, uri)
            };
            let listener = if self.all.iter().enumerate().any(is_beside) {
                Listener::bind_beside(bound(uri), options)
            } else {
                Listener::bind(bound(uri), options)
            };
            let listener = listener
                .and_then(|listener| hear(listener, &wanted.listen))
                .map_err(Refused::Bind)?;
            warn_of_small_buffer(&listener, options);
            listen.uri.address = listener.address();
            step.joining.push((number as u16, listener));
        }
        step.added.push(listen.uri.to_string());
        let known = Known {
            wanted: uri,
            listen,
            state: State::Live,
        };
        match before {
            Some(place) => self.all[place] = known,
            None => self.all.push(known),
        }
        Ok(number as u16)
    }

    /// Retires what is not in the order any more; what another listener covers is closed at once.
    fn leave(&mut self, generation: u64, step: &mut Step) {
        for place in 0..self.all.len() {
            let number = place as u16;
            let known = &self.all[place];
            let uri = known.listen.uri;
            if known.state == State::Closed || self.order.contains(&number) {
                continue;
            }
            if known.state == State::Live {
                step.removed.push(uri.to_string());
            }
            if self.covering(uri).is_some() {
                self.all[place].state = State::Closed;
                step.closed.push(number);
            } else if known.state == State::Live {
                self.all[place].state = State::Retired(generation);
                step.retired.push(number);
            }
        }
    }

    /// The listener at all addresses that has what comes to this one.
    fn covering(&self, uri: ListenUri) -> Option<u16> {
        self.order.iter().copied().find(|&number| {
            let other = self.all[usize::from(number)].listen.uri;
            other != uri && other.address.ip().is_unspecified() && overlap(other, uri)
        })
    }

    /// What sends datagrams for an address that is closed.
    fn heir_of(&self, uri: ListenUri) -> Option<u16> {
        let is_like = |&number: &u16| {
            let other = self.all[usize::from(number)].listen.uri;
            other.transport == uri.transport && other.address.is_ipv4() == uri.address.is_ipv4()
        };
        let sibling = || self.order.iter().copied().find(is_like);
        let heir = self.covering(uri).or_else(sibling);
        heir.filter(|_| uri.transport == Transport::Udp)
    }
}

fn other_group(place: usize) -> Obstacle {
    Obstacle {
        key: Key::Listener(place),
        what: "`multicast` of a listener cannot be changed while the server runs".to_owned(),
        mend: "restart it to apply this, or put the former value back".to_owned(),
    }
}

enum Refused {
    Bind(BindError),
    TooMany,
}

fn too_many(place: usize) -> Obstacle {
    Obstacle {
        key: Key::Listener(place),
        what: format!("there were more than {MOST} listeners since the start"),
        mend: "restart the server".to_owned(),
    }
}

fn bound(uri: ListenUri) -> Bound {
    Bound {
        transport: uri.transport,
        address: uri.address,
    }
}

/// Whether one address is the other, or a part of it.
fn overlap(one: ListenUri, other: ListenUri) -> bool {
    let (a, b) = (one.address, other.address);
    let is_same = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    one.transport == other.transport && a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && is_same
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::config;

    fn config(uris: &[&str]) -> Config {
        let listen = |uri: &&str| format!("[[listen]]\nuri = \"{uri}\"\n");
        config::check(uris.iter().map(listen).collect::<String>(), "f").expect("it is in order")
    }

    /// The numbers of a start, the sockets, and the URIs with their ports.
    fn start(uris: &[&str]) -> (Numbers, Vec<Listener>, Vec<String>) {
        let (listeners, numbers) = bind::bind(&config(uris), &Options::default()).expect("free ports");
        let names = numbers.names();
        (numbers, listeners, names)
    }

    #[track_caller]
    fn follow(numbers: &Numbers, uris: &[&str]) -> (Numbers, Step) {
        let followed = numbers.follow(&config(uris), &Options::default(), 2);
        followed.expect("nothing is in the way")
    }

    #[test]
    fn an_address_that_comes_back_has_its_old_number() {
        let (first, sockets, names) = start(&["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]);
        let [udp, tcp] = [names[0].as_str(), names[1].as_str()];
        let (mut second, step) = follow(&first, &[tcp]);
        assert_eq!(
            (second.order(), &step.retired[..], &step.removed[..]),
            (&[1][..], &[0][..], &names[..1])
        );
        assert_eq!((second.retired_by(2), second.reachable().len()), (vec![0], 2));
        let (third, step) = follow(&second, &[udp, tcp]);
        assert_eq!(
            (third.order(), step.joining.len(), &step.added[..]),
            (&[0, 1][..], 0, &names[..1])
        );
        drop(sockets);
        second.close(&[0]);
        let (third, step) = follow(&second, &[udp, tcp]);
        assert_eq!((third.order(), step.joining.len()), (&[0, 1][..], 1));
        assert_eq!((step.joining[0].0, third.all.len()), (0, 2));
    }

    #[test]
    fn a_port_that_was_picked_is_no_change_however_it_is_written() {
        let (first, _sockets, names) = start(&["udp:127.0.0.1:0", "udp:127.0.0.1:0"]);
        for uris in [
            ["udp:127.0.0.1:0", "udp:127.0.0.1:0"],
            [&names[0], &names[1]],
            [&names[1], "udp:127.0.0.1:0"],
        ] {
            let (next, step) = follow(&first, &uris);
            assert!(step.joining.is_empty() && step.retired.is_empty() && step.added.is_empty());
            assert_eq!(next.order().len(), 2);
        }
        assert_eq!(follow(&first, &[&names[1], &names[0]]).0.order(), [1, 0]);
    }

    #[test]
    fn a_listener_at_all_addresses_takes_over_and_gives_back() {
        let (first, _sockets, names) = start(&["udp:127.0.0.1:0"]);
        let wide = names[0].replace("127.0.0.1", "0.0.0.0");
        let (second, step) = follow(&first, &[&wide]);
        assert_eq!(
            (second.order(), &step.closed[..], step.retired.len()),
            (&[1][..], &[0][..], 0)
        );
        assert_eq!(second.listening().heirs, [(0, 1)]);
        // The first one's sockets are there in this test, as those of one that is retired would be.
        let (third, step) = follow(&second, &[&names[0]]);
        assert_eq!(
            (third.order(), &step.retired[..], step.closed.len()),
            (&[0][..], &[1][..], 0)
        );
        assert_eq!(third.listening().heirs, []);
    }

    #[test]
    fn what_cannot_be_bound_is_named_by_its_place_and_changes_nothing() {
        let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let taken = format!("udp:{}", taken.local_addr().expect("bound"));
        let (first, _sockets, names) = start(&["udp:127.0.0.1:0"]);
        let obstacles = first.follow(&config(&[&names[0], &taken]), &Options::default(), 2);
        let [obstacle] = &obstacles.expect_err("it is taken")[..] else {
            panic!("one");
        };
        assert_eq!(obstacle.key, Key::Listener(1));
        assert!(obstacle.what.contains("is in use"), "{}", obstacle.what);
    }
}
