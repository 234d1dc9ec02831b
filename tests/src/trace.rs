//! The system calls of a program, recorded by strace: what it wrote into its files, what it synced, and what it sent, in the
//! order in which it did.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::Process;

/// The calls that change files, make them durable, or tell somebody.
const CALLS: &str =
    "trace=openat,mkdir,rename,unlink,write,pwrite64,ftruncate,fsync,fdatasync,sendto,sendmsg,sendmmsg";

/// One call, or for [`Call::Sync`] the moment that it returned.
#[derive(Clone, Debug)]
pub struct Event {
    /// Since the epoch.
    pub at: Duration,
    /// The call.
    pub call: Call,
}

/// What a call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Opened a file, making it if it was not there.
    Create {
        /// Which.
        path: PathBuf,
        /// Emptied it.
        truncate: bool,
    },
    /// Changed a file's length.
    Truncate {
        /// Which.
        path: PathBuf,
        /// To so many bytes.
        len: usize,
    },
    /// Wrote.
    Write {
        /// Into this file.
        path: PathBuf,
        /// From this byte on; `None` is the end.
        at: Option<usize>,
        /// This.
        bytes: Vec<u8>,
    },
    /// Made a file or directory durable.
    Sync {
        /// Which.
        path: PathBuf,
        /// The number of the event before which it was asked for: what was written later need not be durable.
        asked: usize,
    },
    /// Failed to. What was written before then counts as written, and yet only memory has it.
    SyncFailed {
        /// Which.
        path: PathBuf,
        /// As above.
        asked: usize,
    },
    /// Made a directory.
    MakeDirectory(PathBuf),
    /// Renamed.
    Rename(PathBuf, PathBuf),
    /// Removed a name.
    Remove(PathBuf),
    /// Sent datagrams or part of a stream; among the texts are addresses.
    Send(Vec<Vec<u8>>),
}

/// Starts a program whose calls are recorded in a file. The process is the program's own.
///
/// `inject` has some of them fail, as `fsync:error=EIO:when=10..12` for the tenth to the twelfth of each thread.
pub fn record(
    program: &Path,
    arguments: &[&str],
    into: &Path,
    folder: &Path,
    inject: Option<&str>,
) -> Process {
    let (program, into) = (program.to_string_lossy(), into.to_string_lossy());
    // -DD: the tracer is in a process group of its own, so that signals go to the program only.
    let mut words = vec![
        "-DD", "-f", "-qq", "-y", "-ttt", "-xx", "-s", "100000", "-e", CALLS, "-o", &into,
    ];
    let inject = inject.map(|inject| format!("inject={inject}"));
    if let Some(inject) = &inject {
        words.extend(["-e", inject]);
    }
    words.push(&program);
    words.extend(arguments);
    Process::server("strace", &words, |command| {
        command.current_dir(folder);
    })
}

/// Reads what was recorded.
#[track_caller]
pub fn read(path: &Path) -> Vec<Event> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    let mut events = Vec::new();
    // Calls that have begun: of which thread, how the line began, and how many events there were.
    let mut begun: Vec<(String, String, usize)> = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.expect("a line of text");
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let (time, text) = rest.trim_start().split_once(' ').expect("a time");
        if let Some(beginning) = text.strip_suffix(" <unfinished ...>") {
            begun.push((thread.to_owned(), beginning.to_owned(), events.len()));
            // Whoever gets a message may have it before the call returns; the texts are told with the return.
            if beginning.starts_with("send") {
                push(&mut events, time, Some(Call::Send(Vec::new())));
            }
        } else if text.starts_with("<... ") {
            let end = text.split_once("resumed>").expect("the end of a call").1;
            let of = begun.iter().position(|(other, _, _)| other == thread);
            let (_, beginning, asked) = begun.swap_remove(of.expect("it has begun"));
            match call(&format!("{beginning}{end}"), asked) {
                Some(Call::Send(texts)) => events[asked].call = Call::Send(texts),
                done => push(&mut events, time, done),
            }
        } else {
            let done = call(text, events.len());
            push(&mut events, time, done);
        }
    }
    events
}

fn push(events: &mut Vec<Event>, time: &str, call: Option<Call>) {
    if let Some(call) = call {
        let seconds: f64 = time.parse().expect("seconds");
        let at = Duration::from_secs_f64(seconds);
        events.push(Event { at, call });
    }
}

/// A whole line: `name(arguments) = result`. `None` for what failed and what is of no interest.
fn call(text: &str, asked: usize) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let failed = result.starts_with('-') || result.starts_with('?');
    if failed && !name.starts_with('f') {
        return None;
    }
    let arguments = arguments.trim_end().trim_end_matches(')');
    let strings: Vec<Vec<u8>> = arguments.split('"').skip(1).step_by(2).map(unhex).collect();
    let path = |bytes: &[u8]| PathBuf::from(String::from_utf8_lossy(bytes).into_owned());
    let last_number = || {
        let last = arguments.rsplit([',', '"']).next()?;
        last.trim().parse::<usize>().ok()
    };
    let descriptor = || {
        let (_, rest) = arguments.split_once('<')?;
        Some(path(&unhex(rest.split_once('>')?.0)))
    };
    Some(match name {
        "openat" if arguments.contains("O_CREAT") => Call::Create {
            path: path(strings.first()?),
            truncate: arguments.contains("O_TRUNC"),
        },
        "mkdir" => Call::MakeDirectory(path(strings.first()?)),
        "rename" => Call::Rename(path(strings.first()?), path(strings.get(1)?)),
        "unlink" => Call::Remove(path(strings.first()?)),
        "ftruncate" => Call::Truncate {
            path: descriptor()?,
            len: last_number()?,
        },
        "write" | "pwrite64" => Call::Write {
            path: descriptor()?,
            at: if name == "write" {
                None
            } else {
                Some(last_number()?)
            },
            bytes: strings.into_iter().next()?,
        },
        "fsync" | "fdatasync" if failed => Call::SyncFailed {
            path: descriptor()?,
            asked,
        },
        _ if failed => return None,
        "fsync" | "fdatasync" => Call::Sync {
            path: descriptor()?,
            asked,
        },
        "sendto" | "sendmsg" | "sendmmsg" => Call::Send(strings),
        _ => return None,
    })
}

/// `\x61\x62` as bytes.
fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    text.as_bytes()
        .chunks_exact(4)
        .filter_map(|code| Some(digit(code[2])? << 4 | digit(code[3])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_with_their_paths_and_bytes() {
        let path = PathBuf::from("/a");
        assert_eq!(
            call(r#"pwrite64(3<\x2f\x61>, "\x00\xff", 2, 4096) = 2"#, 0),
            Some(Call::Write {
                path: path.clone(),
                at: Some(4096),
                bytes: vec![0, 255]
            })
        );
        assert_eq!(
            call(r"fdatasync(3<\x2f\x61>) = 0", 7),
            Some(Call::Sync {
                path: path.clone(),
                asked: 7
            })
        );
        assert_eq!(
            call(r"fdatasync(3<\x2f\x61>) = -1 EIO (Input/output error)", 7),
            Some(Call::SyncFailed {
                path: path.clone(),
                asked: 7
            })
        );
        assert_eq!(
            call(
                r#"openat(AT_FDCWD<\x2f>, "\x2f\x61", O_RDWR|O_CREAT|O_TRUNC, 0600) = 3<\x2f\x61>"#,
                0
            ),
            Some(Call::Create { path, truncate: true })
        );
        assert_eq!(
            call(
                r#"sendmmsg(5<\x73>, [{msg_hdr={msg_iov=[{iov_base="\x68\x69", iov_len=2}]}, msg_len=2}], 1, 0) = 1"#,
                0
            ),
            Some(Call::Send(vec![b"hi".to_vec()]))
        );
    }
}
