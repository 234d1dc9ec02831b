//! `[push]`: how devices that sleep are woken (RFC 8599), and by which services.

use std::time::Duration;

use toml::de::DeTable;

use super::Config;
use super::diagnostic::{Complaint, Report};
use super::read::{Given, Item, Key};
use super::schema::{s, set};
use super::secret::{SecretPlace, read_secret_place};
use crate::http::{Request, Url};
use crate::push::Template;

/// How devices are woken.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// How long a request waits until the device has registered.
    pub wait: Duration,
    /// A device is pushed once in this time.
    pub window: Duration,
    /// How long before its end a registration is refreshed by a push.
    pub refresh_before: Duration,
    /// Requests of one shard that may wait.
    pub max_waiting: u32,
    /// What becomes of a REGISTER for a service that is not served.
    pub unserved: Unserved,
    /// The services.
    pub provider: Vec<PushProvider>,
}

impl Default for Push {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(8),
            window: Duration::from_secs(10),
            refresh_before: Duration::from_secs(120),
            max_waiting: 10_000,
            unserved: Unserved::Register,
            provider: Vec::new(),
        }
    }
}

/// How often it is looked for registrations that are about to end, at least.
const LOOK: Duration = Duration::from_secs(30);

impl Push {
    /// How often it is looked for registrations that are about to end.
    pub fn look_every(&self) -> Duration {
        LOOK.min(self.refresh_before / 4)
    }

    /// The shortest registration that can be refreshed by a push, in whole seconds.
    pub fn least_expires(&self) -> Duration {
        let least = self.refresh_before + self.look_every();
        Duration::from_secs(least.as_secs() + 1)
    }
}

/// What becomes of a REGISTER that wants a push notification service that is not served (RFC 8599 §5.6.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// It is carried out, and its answer promises no push.
    Register,
    /// It is refused with 555.
    Refuse,
}

/// A push notification service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushProvider {
    /// What contacts call it (`pn-provider`).
    pub name: String,
    /// Where it is asked.
    pub url: Template,
    /// By which method.
    pub method: String,
    /// Where the value of the Authorization field is.
    pub authorization: Option<SecretPlace>,
    /// Header fields of a request.
    pub header: Vec<(String, Template)>,
    /// Its body.
    pub body: Template,
    /// How long it has for an answer.
    pub timeout: Duration,
    /// Requests under way at once.
    pub at_once: u16,
}

/// What a service is told if nobody says otherwise.
const BODY: &str = r#"{"pn-provider":"{pn-provider}","pn-param":"{pn-param}","pn-prid":"{pn-prid}","aor":"{aor}","call-id":"{call-id}","method":"{method}","priority":"{priority}"}"#;
const CONTENT_TYPE: (&str, &str) = ("Content-Type", "application/json");

pub(super) const PUSH: &[Key<Push>] = &[
    Key {
        name: "wait",
        example: r#""8s""#,
        given: Given::Default,
        doc: "How long a request waits for a device that was pushed to register. Then it is answered 480, unless others have answered.",
        read: |push, item, report| set(&mut push.wait, item.duration(s(1)..=s(25), report)),
    },
    Key {
        name: "window",
        example: r#""10s""#,
        given: Given::Default,
        doc: "A device is pushed at most once in this time, and one that has registered since counts as awake.",
        read: |push, item, report| set(&mut push.window, item.duration(s(1)..=s(300), report)),
    },
    Key {
        name: "refresh_before",
        example: r#""120s""#,
        given: Given::Default,
        doc: "How long before its registration ends a device is pushed so that it registers again. A registration that would not last \
              that long is answered 423.",
        read: |push, item, report| set(&mut push.refresh_before, item.duration(s(5)..=s(1800), report)),
    },
    Key {
        name: "max_waiting",
        example: "10000",
        given: Given::Default,
        doc: "Requests of one shard that may wait for devices; beyond, devices are not pushed.",
        read: |push, item, report| set(&mut push.max_waiting, item.integer(1..=1_000_000, report)),
    },
    Key {
        name: "unserved",
        example: r#""register""#,
        given: Given::Default,
        doc: "What becomes of a device that wants a service which is not listed here: \"register\" it without a promise, or \
              \"refuse\" it with 555.",
        read: |push, item, report| {
            let words = [("register", Unserved::Register), ("refuse", Unserved::Refuse)];
            set(&mut push.unserved, item.word(&words, report));
        },
    },
    Key {
        name: "provider",
        example: "",
        given: Given::Table,
        doc: "The push notification services, each with a web server that is asked to wake a device. In `url`, `header` and \
              `body` stand {pn-provider}, {pn-param}, {pn-prid}, {aor}, {call-id}, {method} and {priority} for what they are.",
        read: |push, item, report| push.provider = read_providers(item, report),
    },
];

/// A service while it is read.
pub(super) struct ProviderDraft {
    name: String,
    url: Option<Template>,
    method: String,
    authorization: Option<SecretPlace>,
    header: Option<Vec<(String, Template)>>,
    body: Option<Template>,
    timeout: Duration,
    at_once: u16,
}

pub(super) const PROVIDER: &[Key<ProviderDraft>] = &[
    Key {
        name: "name",
        example: r#""acme""#,
        given: Given::Required,
        doc: "What contacts call it (`pn-provider`), such as \"apns\", \"fcm\" or \"webpush\".",
        read: |draft, item, report| set(&mut draft.name, item.parsed(name, report)),
    },
    Key {
        name: "url",
        example: r#""https://push.example.test/wake""#,
        given: Given::Required,
        doc: "Where it is asked.",
        read: |draft, item, report| draft.url = item.parsed(url, report),
    },
    Key {
        name: "method",
        example: r#""POST""#,
        given: Given::Default,
        doc: "By which HTTP method.",
        read: |draft, item, report| set(&mut draft.method, item.parsed(method, report)),
    },
    Key {
        name: "authorization",
        example: r#"{ file = "push.token" }"#,
        given: Given::Example,
        doc: "Where the value of the Authorization field is, such as `Bearer 3f9c...`: a file, which is read each time, or { env = \"NAME\" }.",
        read: |draft, item, report| draft.authorization = read_secret_place(item, report),
    },
    Key {
        name: "header",
        example: r#"["Content-Type: application/json"]"#,
        given: Given::Default,
        doc: "Header fields of a request.",
        read: |draft, item, report| {
            draft.header = item.list(report, |item, report| item.parsed(header, report));
        },
    },
    Key {
        name: "body",
        example: r#"'{"token":"{pn-prid}"}'"#,
        given: Given::Example,
        doc: "The body of a request; without it, all of that in JSON. What stands for something is escaped as in a JSON string.",
        read: |draft, item, report| draft.body = item.parsed(template, report),
    },
    Key {
        name: "timeout",
        example: r#""5s""#,
        given: Given::Default,
        doc: "How long the server has for its answer.",
        read: |draft, item, report| {
            set(
                &mut draft.timeout,
                item.duration(Duration::from_millis(100)..=s(30), report),
            )
        },
    },
    Key {
        name: "at_once",
        example: "32",
        given: Given::Default,
        doc: "Requests under way at once; ten times as many wait for their turn, and beyond devices are not pushed.",
        read: |draft, item, report| set(&mut draft.at_once, item.integer(1..=1000, report)),
    },
];

/// A registration has to last until it can be refreshed by a push (RFC 8599 §5.6.1.1).
pub(super) fn check_push_against_location(config: &Config, table: &DeTable<'_>, report: &mut Report<'_>) {
    let least = config.push.least_expires();
    let shortest = config.location.default_expires.min(config.location.max_expires);
    // Of registrations that are never granted something else is told.
    let is_granted = config.location.default_expires >= config.location.min_expires;
    if config.push.provider.is_empty() || shortest >= least || !is_granted {
        return;
    }
    let place = table.get("push").map_or(0..0, |push| push.span());
    let what = format!(
        "registrations last {} s, and those that are refreshed by push must last {} s",
        shortest.as_secs(),
        least.as_secs()
    );
    let mend =
        "make `push.refresh_before` shorter, or `location.default_expires` and `location.max_expires` longer";
    report.add(&place, Complaint::new(what, mend));
}

fn name(text: &str) -> Result<String, Complaint> {
    let fits = !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if fits {
        return Ok(text.to_owned());
    }
    let mend = "write letters, digits, `-`, `_` and `.`, as in \"acme\"";
    Err(Complaint::new(
        format!("`{text}` is no name of a push service"),
        mend,
    ))
}

fn template(text: &str) -> Result<Template, Complaint> {
    Template::new(text).map_err(|unknown| {
        let what = format!("`{{{unknown}}}` stands for nothing");
        Complaint::new(what, format!("known here are {}", Template::known()))
    })
}

fn url(text: &str) -> Result<Template, Complaint> {
    let url = template(text)?;
    let host = text
        .split_once("://")
        .map(|(_, rest)| rest.split(['/', '?']).next());
    if host.flatten().is_some_and(|host| host.contains('{')) {
        let what = format!("`{text}` leaves open which server is asked");
        return Err(Complaint::new(what, "name the server, and let the path vary"));
    }
    match Url::parse(&url.example()) {
        Ok(_) => Ok(url),
        Err(error) => Err(Complaint::new(
            format!("`{text}`: {error}"),
            "write it as \"https://push.example.test/wake\"",
        )),
    }
}

fn method(text: &str) -> Result<String, Complaint> {
    let request = Request::get(example_url()?).with_method(text);
    match request {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Complaint::new(
            format!("`{text}`: {error}"),
            "write \"POST\" or \"PUT\"",
        )),
    }
}

fn header(text: &str) -> Result<(String, Template), Complaint> {
    let mend = "write it as \"Name: value\"";
    let Some((name, value)) = text.split_once(':') else {
        return Err(Complaint::new(format!("`{text}` is no header field"), mend));
    };
    let (name, value) = (name.trim(), template(value.trim())?);
    if name.eq_ignore_ascii_case("Authorization") {
        let what = "`Authorization` must not be in this file";
        return Err(Complaint::new(what, "use `authorization`"));
    }
    match Request::get(example_url()?).with_line(name, value.example().as_bytes()) {
        Ok(_) => Ok((name.to_owned(), value)),
        Err(error) => Err(Complaint::new(format!("`{text}`: {error}"), mend)),
    }
}

/// A URL of a request that is not sent.
fn example_url() -> Result<Url, Complaint> {
    Url::parse("http://localhost/").map_err(|error| Complaint::new(error.to_string(), ""))
}

/// Reads all services.
fn read_providers(item: Item<'_, '_>, report: &mut Report<'_>) -> Vec<PushProvider> {
    let mut providers: Vec<PushProvider> = Vec::new();
    let Some(array) = item.value.get_ref().as_array() else {
        item.wrong_type("a list", "[[push.provider]], in double brackets", report);
        return providers;
    };
    for value in array.iter() {
        let item = Item {
            path: item.path,
            value,
        };
        let mut draft = ProviderDraft {
            name: String::new(),
            url: None,
            method: "POST".to_owned(),
            authorization: None,
            header: None,
            body: None,
            timeout: Duration::from_secs(5),
            at_once: 32,
        };
        item.table(PROVIDER, &mut draft, report);
        if providers
            .iter()
            .any(|other| other.name.eq_ignore_ascii_case(&draft.name))
        {
            let what = format!("there are two push services `{}`", draft.name);
            let mend = "leave one of them out";
            report.add(&item.key_span("name"), Complaint::new(what, mend));
        }
        providers.extend(draft.finish());
    }
    providers
}

impl ProviderDraft {
    /// The service; `None` if its URL is missing or wrong, which was said.
    fn finish(self) -> Option<PushProvider> {
        let (name, value) = CONTENT_TYPE;
        let usual = || vec![(name.to_owned(), Template::new(value).unwrap_or_default())];
        Some(PushProvider {
            name: self.name,
            url: self.url?,
            method: self.method,
            authorization: self.authorization,
            header: self.header.unwrap_or_else(usual),
            body: self
                .body
                .unwrap_or_else(|| Template::new(BODY).unwrap_or_default()),
            timeout: self.timeout,
            at_once: self.at_once,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, check};
    use super::*;

    const URL: &str = "url = \"https://push.test/wake\"\n";

    fn config(text: &str) -> Result<Config, Vec<String>> {
        let told = |all: Vec<super::super::Diagnostic>| all.iter().map(ToString::to_string).collect();
        check(text, "f").map_err(told)
    }

    #[track_caller]
    fn complaint(text: &str) -> String {
        let mut all = config(text).expect_err("is refused");
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn a_service_needs_a_name_and_a_url() {
        let text = format!("[push]\nwait = \"5s\"\n[[push.provider]]\nname = \"acme\"\n{URL}");
        let push = config(&text).expect("is accepted").push;
        assert_eq!(push.wait, Duration::from_secs(5));
        let provider = &push.provider[0];
        assert_eq!(
            (provider.name.as_str(), provider.method.as_str()),
            ("acme", "POST")
        );
        assert_eq!(provider.header[0].0, "Content-Type");
        assert!(provider.body.example().starts_with("{\"pn-provider\":\"x\""));
        assert_eq!(
            complaint("[[push.provider]]\nname = \"acme\"\n"),
            "f:1:1: `push.provider.url` is missing; add url = \"https://push.example.test/wake\""
        );
    }

    #[test]
    fn what_is_wrong_with_a_service_is_told() {
        let provider = |lines: &str| format!("[[push.provider]]\nname = \"acme\"\n{URL}{lines}\n");
        for (line, expected) in [
            (
                "authorization = \"Bearer x\"",
                "f:4:17: `push.provider.authorization` must not be in this file; write { file = \"...\" } or { env = \"...\" }",
            ),
            (
                "authorization = { }",
                "f:4:17: `push.provider.authorization` must name one place; write { file = \"...\" } or { env = \"...\" }",
            ),
            (
                "authorization = 3",
                "f:4:17: `push.provider.authorization` must be a table, not a whole number; write it as { file = \"...\" } or { env = \"...\" }",
            ),
            (
                "authorization = { file = 3 }",
                "f:4:26: `push.provider.authorization.file` must be a string, not a whole number; write it as \"...\", in quotes",
            ),
            (
                "header = [\"Authorization: x\"]",
                "f:4:11: `Authorization` must not be in this file; use `authorization`",
            ),
            (
                "header = [\"no field\"]",
                "f:4:11: `no field` is no header field; write it as \"Name: value\"",
            ),
            (
                "method = \"P T\"",
                "f:4:10: `P T`: this is no method; write \"POST\" or \"PUT\"",
            ),
        ] {
            assert_eq!(complaint(&provider(line)), expected);
        }
        let unknown = complaint(&provider("body = \"{pn-pird}\""));
        assert!(unknown.starts_with("f:4:8: `{pn-pird}` stands for nothing; known here are {pn-provider}, "));
        let twice = format!("{}{}", provider(""), provider(""));
        assert!(complaint(&twice).contains("there are two push services `acme`"));
    }

    #[test]
    fn which_server_is_asked_is_no_devices_choice() {
        for (url, expected) in [
            ("https://{pn-param}.test/", "leaves open which server is asked"),
            ("{pn-prid}", "a URL must begin with http:// or https://"),
            ("ftp://push.test/", "a URL must begin with http:// or https://"),
            (
                "https://u:p@push.test/",
                "a URL must not contain a user name or password",
            ),
        ] {
            let told = complaint(&format!("[[push.provider]]\nname = \"a\"\nurl = \"{url}\"\n"));
            assert!(told.contains(expected), "{told}");
        }
    }

    // RFC 8599 §5.6.1.1.
    #[test]
    fn registrations_have_to_last_until_they_can_be_refreshed() {
        let text = format!(
            "[location]\nmax_expires = \"150s\"\ndefault_expires = \"150s\"\n[push]\n[[push.provider]]\nname = \"a\"\n{URL}"
        );
        let told = complaint(&text);
        assert!(
            told.contains("registrations last 150 s, and those that are refreshed by push must last 151 s"),
            "{told}"
        );
        assert!(config(&text.replace("150s", "151s")).is_ok());
    }
}
