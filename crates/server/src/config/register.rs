//! `[[register]]`: the providers that the node registers itself with, its trunks.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use strowger_syntax::uri::{Host, SipUri, Uri};
use toml::de::DeTable;

use super::Config;
use super::diagnostic::{Complaint, Report};
use super::read::{Given, Item, Key};
use super::route::{Takes, TargetUri, Written};
use super::schema::{s, set, whole_seconds};
use super::secret::SecretPlace;
use super::value::{ListenUri, listen_uri};
use crate::admin::Secret;

/// A provider that the node registers itself with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// What routes and logs call it.
    pub name: String,
    /// Where it is in the file.
    pub written: Written,
    /// The address-of-record there, a SIP URI.
    pub aor: String,
    /// The registrar, a SIP URI without user.
    pub registrar: String,
    /// The user's name in credentials.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// The one realm whose challenges are answered.
    pub realm: Option<String>,
    /// How long a registration is asked for.
    pub expires: Duration,
    /// The user of the Contact, by which calls come in.
    pub contact_user: String,
    /// The proxy that everything goes through.
    pub outbound: Option<TargetUri>,
    /// The listener that requests leave by.
    pub listener: Option<ListenUri>,
    /// Where calls go that come in.
    pub to: Vec<TargetUri>,
    /// Whether the addresses that the registrar answers from need not authenticate.
    pub trusted: bool,
}

/// Registrations that there may be.
const MOST: usize = 1000;

/// A registration while it is read.
#[derive(Default)]
pub(super) struct Draft {
    name: String,
    aor: Option<String>,
    registrar: Option<String>,
    username: Option<String>,
    password: Option<Secret>,
    password_file: Option<Secret>,
    realm: Option<String>,
    expires: Option<Duration>,
    contact_user: Option<String>,
    outbound: Option<TargetUri>,
    listener: Option<ListenUri>,
    to: Vec<TargetUri>,
    trusted: bool,
}

pub(super) const REGISTER: &[Key<Draft>] = &[
    Key {
        name: "name",
        example: r#""provider""#,
        given: Given::Required,
        doc: "What logs call it, and `to` of routes whose requests go out by it.",
        read: |draft, item, report| {
            let name = item.string(report).unwrap_or_default();
            let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if name.is_empty() || !name.bytes().all(is_name_byte) {
                let mend = "write letters, digits, `-`, `_` and `.`, as in \"provider\"";
                let what = format!("`{name}` is no name of a trunk");
                report.add(&item.span(), Complaint::new(what, mend));
            }
            name.clone_into(&mut draft.name);
        },
    },
    Key {
        name: "aor",
        example: r#""sip:12345@provider.example""#,
        given: Given::Required,
        doc: "The address-of-record that the provider gave you.",
        read: |draft, item, report| draft.aor = item.parsed(aor, report),
    },
    Key {
        name: "registrar",
        example: r#""sip:registrar.provider.example""#,
        given: Given::Example,
        doc: "Where to register, and where calls go out to; `;transport=tcp` asks for TCP. Without it: the domain of `aor`. A name is \
              looked up by NAPTR, SRV and addresses.",
        read: |draft, item, report| draft.registrar = item.parsed(registrar, report),
    },
    Key {
        name: "username",
        example: r#""12345""#,
        given: Given::Example,
        doc: "The name that goes with the password. Without it: the user of `aor`.",
        read: |draft, item, report| draft.username = item.parsed(visible, report),
    },
    Key {
        name: "password",
        example: r#""secret""#,
        given: Given::Example,
        doc: "The password. It is shown and logged nowhere. Either this or `password_file`.",
        read: |draft, item, report| draft.password = item.string(report).map(Secret::new),
    },
    Key {
        name: "password_file",
        example: r#""provider.password""#,
        given: Given::Example,
        doc: "A file that has the password and nothing else, relative to the working directory. It is read again with the configuration.",
        read: |draft, item, report| {
            let Some(path) = item.string(report) else { return };
            match read_password(path) {
                Ok(password) => draft.password_file = Some(password),
                Err(complaint) => {
                    // What is missing besides would only be told because of this.
                    draft.password_file = Some(Secret::new(""));
                    report.add(&item.span(), complaint);
                }
            }
        },
    },
    Key {
        name: "realm",
        example: r#""provider.example""#,
        given: Given::Example,
        doc: "The one realm whose challenges are answered. Without it: whichever the provider names.",
        read: |draft, item, report| draft.realm = item.parsed(visible, report),
    },
    Key {
        name: "expires",
        example: r#""1h""#,
        given: Given::Default,
        doc: "How long a registration is asked for. It is refreshed when half of the time that is granted is over, or 10 minutes before its \
              end if that is more than 20 minutes.",
        read: |draft, item, report| draft.expires = whole_seconds(&item, s(5)..=s(604_800), report),
    },
    Key {
        name: "contact_user",
        example: r#""12345""#,
        given: Given::Example,
        doc: "The user that the provider is told to call here. Without it: the user of `aor`.",
        read: |draft, item, report| draft.contact_user = item.parsed(user, report),
    },
    Key {
        name: "outbound",
        example: r#""sip:edge.provider.example;lr""#,
        given: Given::Example,
        doc: "The proxy that registrations and calls go through.",
        read: |draft, item, report| {
            let outbound = item.parsed(TargetUri::read, report);
            if let Some(other) = outbound.as_ref().filter(|uri| uri.takes != Takes::Whole) {
                let what = format!("`{}` is no loose router (RFC 3261 §16.6 step 6)", other.text);
                let mend = format!("write \"{};lr\"", other.text);
                report.add(&item.span(), Complaint::new(what, mend));
            }
            draft.outbound = outbound;
        },
    },
    Key {
        name: "listener",
        example: r#""udp:0.0.0.0:5060""#,
        given: Given::Example,
        doc: "The listener that requests to the provider leave by, where several would do. Its address is in the Contact.",
        read: |draft, item, report| draft.listener = item.parsed(listen_uri, report),
    },
    Key {
        name: "to",
        example: r#"["sip:reception@example.test"]"#,
        given: Given::Example,
        doc: "Where calls from the provider to `contact_user` go: users of this node, or URIs elsewhere, all at once. Without it: where the \
              routes say, and else to the user of that name of the first of `domains`.",
        read: |draft, item, report| {
            let to = item.list(report, |item, report| item.parsed(TargetUri::read, report));
            draft.to = to.unwrap_or_default();
            for other in draft.to.iter().filter(|uri| uri.takes != Takes::Nothing) {
                let what = format!("`{}` names no user", other.text);
                report.add(
                    &item.span(),
                    Complaint::new(what, "write it as \"sip:reception@example.test\""),
                );
            }
        },
    },
    Key {
        name: "trusted",
        example: "true",
        given: Given::Example,
        doc: "Requests for `contact_user` from the addresses that the registrar answers from need not authenticate. Without it the \
              provider's addresses have to be in `trusted` at the top.",
        read: |draft, item, report| set(&mut draft.trusted, item.boolean(report)),
    },
];

/// Reads an address-of-record of a provider.
fn aor(text: &str) -> Result<String, Complaint> {
    const MEND: &str = "write it as \"sip:12345@provider.example\"";
    let wrong = |why: &str| {
        Err(Complaint::new(
            format!("`{text}` is no address-of-record: {why}"),
            MEND,
        ))
    };
    match Uri::parse(text.as_bytes()) {
        Ok(Uri::Sip(sip)) if sip.secure => wrong("sips needs TLS, which this build does not carry"),
        Ok(Uri::Sip(sip)) if sip.user.is_none() => wrong("it names no user"),
        Ok(Uri::Sip(sip)) if !sip.params.is_empty() || !sip.headers.is_empty() || sip.password.is_some() => {
            wrong("it has neither password, parameters nor headers")
        }
        Ok(Uri::Sip(_)) => Ok(text.to_owned()),
        Ok(_) => wrong("it is no sip: URI"),
        Err(error) => wrong(&error.to_string()),
    }
}

/// Reads the URI of a registrar (RFC 3261 §10.2: no user).
fn registrar(text: &str) -> Result<String, Complaint> {
    let target = TargetUri::read(text)?;
    let secure = matches!(Uri::parse(text.as_bytes()), Ok(Uri::Sip(sip)) if sip.secure);
    if target.takes != Takes::User || secure {
        let what = format!("`{text}` is no registrar: that is a sip: URI without user and `lr`");
        return Err(Complaint::new(
            what,
            "write it as \"sip:registrar.provider.example\"",
        ));
    }
    Ok(target.text)
}

/// Reads the user of a URI.
fn user(text: &str) -> Result<String, Complaint> {
    let uri = format!("sip:{text}@example.test");
    match Uri::parse(uri.as_bytes()) {
        Ok(Uri::Sip(sip)) if sip.user == Some(text.as_bytes()) => Ok(text.to_owned()),
        _ => {
            let what = format!("`{text}` is no user of a URI");
            Err(Complaint::new(
                what,
                "write it as it stands before the `@`, such as \"12345\"",
            ))
        }
    }
}

/// Reads a text that goes into a quoted string.
fn visible(text: &str) -> Result<String, Complaint> {
    if text.is_empty() || text.chars().any(char::is_control) {
        let what = "it is empty or has control characters";
        return Err(Complaint::new(what, "write it as the provider gave it"));
    }
    Ok(text.to_owned())
}

/// Reads the password in a file.
fn read_password(path: &str) -> Result<Secret, Complaint> {
    let mend = "name a file that has nothing but the password, and that the server may read";
    let place = SecretPlace::File(PathBuf::from(path));
    place
        .read()
        .map_err(|unreadable| Complaint::new(format!("the password cannot be read: {unreadable}"), mend))
}

/// Reads all of them.
pub(super) fn read_registers(item: Item<'_, '_>, report: &mut Report<'_>) -> Vec<Register> {
    let mut registers: Vec<Register> = Vec::new();
    let Some(array) = item.value.get_ref().as_array() else {
        item.wrong_type("a list", "[[register]], in double brackets", report);
        return registers;
    };
    if array.len() > MOST {
        let what = format!("there are {} registrations, more than {MOST}", array.len());
        report.add(
            &item.span(),
            Complaint::new(what, "let one address-of-record stand for many numbers"),
        );
        return registers;
    }
    for value in array.iter() {
        let item = Item {
            path: item.path,
            value,
        };
        let mut draft = Draft::default();
        item.table(REGISTER, &mut draft, report);
        if registers.iter().any(|other| other.name == draft.name) {
            let what = format!("there are two trunks `{}`", draft.name);
            report.add(
                &item.key_span("name"),
                Complaint::new(what, "give one another name"),
            );
        }
        registers.extend(draft.finish(&item, report));
    }
    registers
}

impl Draft {
    fn finish(self, item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<Register> {
        let password = match (self.password, self.password_file) {
            (Some(_), Some(_)) => {
                let what = "`password` and `password_file` are two passwords";
                report.add(&item.key_span("password_file"), Complaint::new(what, "keep one"));
                return None;
            }
            (Some(password), None) | (None, Some(password)) => password,
            (None, None) => {
                let mend = "add password = \"...\", or password_file = \"...\"";
                report.add(&item.span(), Complaint::new("there is no password", mend));
                return None;
            }
        };
        let aor = self.aor?;
        let Ok(Uri::Sip(sip)) = Uri::parse(aor.as_bytes()) else {
            return None;
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let user = text(sip.user.unwrap_or_default());
        Some(Register {
            name: self.name,
            written: report.written(&item.span()),
            registrar: self.registrar.unwrap_or_else(|| registrar_of(&aor)),
            username: self.username.unwrap_or_else(|| user.clone()),
            password,
            realm: self.realm,
            expires: self.expires.unwrap_or(s(3600)),
            contact_user: self.contact_user.unwrap_or(user),
            outbound: self.outbound,
            listener: self.listener,
            to: self.to,
            trusted: self.trusted,
            aor,
        })
    }
}

/// The registrar of an address-of-record: its domain.
fn registrar_of(aor: &str) -> String {
    let host = aor.split_once('@').map_or("", |(_, host)| host);
    format!("sip:{host}")
}

/// Checks what registrations say of the rest of the configuration.
pub(super) fn check_registers(config: &Config, root: &DeTable<'_>, report: &mut Report<'_>) {
    let written = root.get("register").and_then(|all| all.get_ref().as_array());
    for value in written.into_iter().flat_map(|written| written.iter()) {
        let item = Item {
            path: "register",
            value,
        };
        let of = |key: &str| {
            value
                .get_ref()
                .get(key)
                .and_then(|value| value.get_ref().as_str())
        };
        let Some(register) = config
            .register
            .iter()
            .find(|register| Some(&*register.name) == of("name"))
        else {
            continue;
        };
        if config.group.iter().any(|group| group.name == register.name) {
            let what = format!(
                "`{}` is also the name of a group, and `to` of routes would mean both",
                register.name
            );
            report.add(
                &item.key_span("name"),
                Complaint::new(what, "give one another name"),
            );
        }
        if is_domain_of(config, &register.registrar) {
            let what = format!(
                "`{}` is a domain of this node, which cannot register with itself",
                register.registrar
            );
            report.add(
                &item.key_span("aor"),
                Complaint::new(what, "write the provider's address"),
            );
        }
        if let Some(listener) = &register.listener
            && !config.listen.is_empty()
            && !config.listen.iter().any(|listen| listen.uri == *listener)
        {
            let what = format!("nothing listens on `{listener}`");
            report.add(
                &item.key_span("listener"),
                Complaint::new(what, "name one of [[listen]]"),
            );
        }
    }
}

fn is_domain_of(config: &Config, uri: &str) -> bool {
    match Uri::parse(uri.as_bytes()) {
        Ok(Uri::Sip(SipUri {
            host: Host::Name(name),
            ..
        })) => config.domains.iter().any(|domain| {
            domain
                .as_bytes()
                .eq_ignore_ascii_case(name.strip_suffix(b".").unwrap_or(name))
        }),
        _ => false,
    }
}

impl Register {
    /// The address of its registrar or of the proxy before that, if it is written as one.
    pub(super) fn address(&self) -> Option<std::net::IpAddr> {
        let next = self
            .outbound
            .as_ref()
            .map_or(&self.registrar, |outbound| &outbound.text);
        match Uri::parse(next.as_bytes()) {
            Ok(Uri::Sip(sip)) => sip.host.ip(),
            _ => None,
        }
    }
}
