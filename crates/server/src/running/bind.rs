//! Binding the listeners: what was asked for must bind, and so must the default that phones on this machine use; another default
//! that cannot is warned about and left out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use strowger_net::{BindError, BindFault, Listen as Bound, Listener, Options};

use super::StartError;
use super::numbers::Numbers;
use crate::config::effective::{self, Asked};
use crate::config::{Config, Listen};

/// The bound listeners, and their numbers.
pub(super) fn bind(config: &Config, options: &Options) -> Result<(Vec<Listener>, Numbers), StartError> {
    let (mut listeners, mut numbers) = (Vec::new(), Numbers::default());
    for wanted in effective::listeners(config) {
        let uri = wanted.listen.uri;
        let listen = Bound {
            transport: uri.transport,
            address: uri.address,
        };
        let bound = Listener::bind(listen, options).and_then(|listener| hear(listener, &wanted.listen));
        match bound {
            Ok(listener) => {
                warn_of_small_buffer(&listener, options);
                let mut listen = wanted.listen;
                listen.uri.address = listener.address();
                listeners.push(listener);
                numbers.add(uri, listen);
            }
            Err(error) if wanted.asked == Asked::Default && !is_needed(&error, uri.address.ip()) => {
                tracing::warn!("{error}: this default listener is left out");
            }
            Err(error) => return Err(StartError::Bind(error)),
        }
    }
    if listeners.is_empty() {
        Err(StartError::NothingBound)
    } else {
        Ok((listeners, numbers))
    }
}

/// Whether a default listener that cannot be bound is not one to go on without: where another program has its port, phones on this
/// machine would ask that program.
pub(super) fn is_needed(error: &BindError, address: IpAddr) -> bool {
    matches!(error.fault, BindFault::InUse) && address == Ipv4Addr::LOCALHOST
}

/// Lets a listener hear its multicast group, if it has one.
pub(super) fn hear(mut listener: Listener, listen: &Listen) -> Result<Listener, BindError> {
    if let Some(multicast) = listen.multicast {
        listener.join(multicast.group, multicast.ttl)?;
    }
    Ok(listener)
}

pub(super) fn warn_of_small_buffer(listener: &Listener, options: &Options) {
    if let Some(granted) = listener
        .receive_buffer()
        .filter(|&granted| granted < options.udp_buffer)
    {
        tracing::warn!(
            "{}: the kernel grants a receive buffer of {granted} bytes instead of {}; bursts may be lost (raise net.core.rmem_max)",
            listener.listen(),
            options.udp_buffer,
        );
    }
}

/// What to do about an address that cannot be bound.
pub(super) fn mend(error: &BindError) -> String {
    let mend = match error.fault {
        BindFault::InUse => return other_port(error.listen.address),
        BindFault::NotPermitted => {
            let program = std::env::current_exe().ok();
            let program = program.map_or_else(|| "strowger".to_owned(), |path| path.display().to_string());
            return format!(
                "choose a port of 1024 or more, or give the program the right: setcap cap_net_bind_service=ep {program}"
            );
        }
        BindFault::NotAvailable => {
            "choose an address of this machine (ip address), or 0.0.0.0 for all of them"
        }
        BindFault::NoFamily => "leave the IPv6 listener out, or switch IPv6 on",
        BindFault::Transport => "listen on udp: or tcp:",
        BindFault::NoDescriptors => "raise the limit of open files (ulimit -n)",
        BindFault::Os(_) => "",
    };
    mend.to_owned()
}

/// How to listen beside another program.
fn other_port(mut taken: SocketAddr) -> String {
    let port = taken.port();
    taken.set_port(port.checked_add(10).unwrap_or(port - 10));
    format!(
        "stop the other program, or choose another port: --listen udp:{taken} --listen tcp:{taken}, or [[listen]]"
    )
}

#[cfg(test)]
mod tests {
    use strowger_syntax::Transport;

    use super::*;

    #[test]
    fn another_port_is_one_of_the_same_address() {
        let mend = |address: &str| {
            mend(&BindError {
                listen: Bound {
                    transport: Transport::Tcp,
                    address: address.parse().expect("an address"),
                },
                fault: BindFault::InUse,
            })
        };
        for (taken, named) in [
            (
                "127.0.0.1:5060",
                "--listen udp:127.0.0.1:5070 --listen tcp:127.0.0.1:5070,",
            ),
            ("[::]:5062", "--listen udp:[::]:5072 --listen tcp:[::]:5072,"),
            ("192.0.2.1:65535", "--listen udp:192.0.2.1:65525"),
        ] {
            assert!(mend(taken).contains(named), "{}", mend(taken));
        }
    }
}
