//! Going on with other listeners and settings, between two turns.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use strowger_syntax::Transport;

use super::{Naps, Shard};
use crate::application::Application;
use crate::change::{Change, Sockets, token_of};
use crate::epoll::{Interest, Token};
use crate::udp::UdpSocket;

/// How often what waits at a socket that ends is taken, so that a flood cannot keep it.
const LAST_ROUNDS: usize = 16;

impl<A: Application> Shard<A> {
    /// Takes a change that the control side has sent.
    pub(super) fn take_change(&mut self) {
        let Ok(change) = self.changes.try_recv() else {
            return;
        };
        let Change {
            sockets,
            listening,
            retired,
            closed,
            options,
            control,
        } = *change;
        self.naps = Naps::new(options.longest_nap);
        self.connections.set_options(&options);
        for sockets in sockets {
            self.join(sockets, options.udp_backlog);
        }
        self.listening = Arc::clone(&listening);
        self.connections.set_listening(listening);
        self.groups.retain(|group| !closed.contains(&group.listener()));
        for &listener in retired.iter() {
            self.connections.stop_accepting_at(listener, self.now.mono_ns);
        }
        for &listener in closed.iter() {
            self.close_udp(listener);
            self.connections.close_listener(listener, self.now.mono_ns);
        }
        // Last, for whoever hears of it relies on that the sockets are closed.
        self.app.control(control, self.now, &mut self.out);
    }

    fn join(&mut self, sockets: Sockets, backlog: usize) {
        let Sockets {
            number: listener,
            listen,
            socket,
            group,
        } = sockets;
        if let Some(group) = group {
            let _: io::Result<()> =
                self.around
                    .epoll
                    .modify(group.socket.as_fd(), Interest::Read, Token::Group(listener));
            self.groups.push(group.listen(listener));
        }
        // It was registered when it was made known, so this cannot fail.
        let token = token_of(listener, listen.transport);
        let _: io::Result<()> = self.around.epoll.modify(socket.as_fd(), Interest::Read, token);
        if listen.transport != Transport::Udp {
            return self.connections.listen(socket, listener, listen.transport);
        }
        let place = usize::from(listener);
        if self.udp.len() <= place {
            self.udp.resize_with(place + 1, || None);
        }
        self.udp[place] = Some(UdpSocket::new(socket, listener, listen.address, backlog));
    }

    /// Closes a socket after what has come to it was taken.
    fn close_udp(&mut self, listener: u16) {
        for _ in 0..LAST_ROUNDS {
            if !self.receive_datagrams(Token::Udp(listener)) {
                break;
            }
        }
        self.send_udp_backlog(listener);
        if let Some(place) = self.udp.get_mut(usize::from(listener)) {
            *place = None;
        }
    }
}
