//! Which program is at a port: from the kernel's tables of sockets, and whose descriptors they are.

use std::fs;
use std::path::Path;

use strowger_net::Listen;
use strowger_syntax::Transport;

/// The state of a TCP socket that listens, as the kernel writes it.
const LISTENS: &str = "0A";

/// The name and the number of the process that is at a port; `None` if that cannot be seen.
pub(super) fn program_at(listen: Listen) -> Option<String> {
    let tables: [&str; 2] = if listen.transport == Transport::Udp {
        ["udp", "udp6"]
    } else {
        ["tcp", "tcp6"]
    };
    let text = |table| fs::read_to_string(Path::new("/proc/net").join(table)).unwrap_or_default();
    let sockets: Vec<_> = tables
        .into_iter()
        .flat_map(|table| sockets_at(&text(table), listen))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok())
        .find(|&process| has_one(process, &sockets))
        .map(|process| {
            let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            format!("{} (process {process})", name.trim())
        })
}

/// The numbers of the sockets at a port in one of the kernel's tables.
pub(super) fn sockets_at(table: &str, listen: Listen) -> Vec<String> {
    let port = format!("{:04X}", listen.address.port());
    let socket = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = words.get(1)?.rsplit_once(':')?;
        let is_there = listen.transport == Transport::Udp || words.get(3) == Some(&LISTENS);
        (is_there && local_port == port).then_some((*words.get(9)?).to_owned())
    };
    table.lines().skip(1).filter_map(socket).collect()
}

fn has_one(process: u32, sockets: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{process}/fd")) else {
        return false;
    };
    descriptors
        .flatten()
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|target| {
            let target = target.to_string_lossy();
            let number = target
                .strip_prefix("socket:[")
                .and_then(|rest| rest.strip_suffix(']'));
            number.is_some_and(|number| sockets.iter().any(|socket| socket == number))
        })
}
