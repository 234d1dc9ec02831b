//! SIP messages as the tests see and write them: lines of text, on purpose without the project's parser.

use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A word that nobody used before: for branches, tags and Call-IDs.
pub fn fresh(prefix: &str) -> String {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_micros());
    format!("{prefix}{:x}x{time:x}x{count}", std::process::id())
}

/// A message in lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The first line.
    pub start: String,
    /// Name (as written) and value of each header field, in order.
    pub headers: Vec<(String, String)>,
    /// What follows the empty line.
    pub body: String,
}

impl Message {
    /// A request without header fields.
    pub fn request(method: &str, uri: &str) -> Self {
        Self {
            start: format!("{method} {uri} SIP/2.0"),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// The response of RFC 3261 §8.2.6: Via, From, To, Call-ID and CSeq of the request, Record-Route too. A To without
    /// a tag gets this one.
    pub fn response(request: &Self, status: u16, reason: &str, to_tag: &str) -> Self {
        let mut response = Self {
            start: format!("SIP/2.0 {status} {reason}"),
            headers: Vec::new(),
            body: String::new(),
        };
        for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
            for value in request.all(name) {
                let tag = name == "To" && status > 100 && !value.contains(";tag=");
                let value = if tag {
                    format!("{value};tag={to_tag}")
                } else {
                    value.to_owned()
                };
                response.headers.push((name.to_owned(), value));
            }
        }
        response
    }

    /// Reads a message; `None` when there is no empty line.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next()?.to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self {
            start,
            headers,
            body: body.to_owned(),
        })
    }

    /// Adds a header field at the end.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a header field before all others.
    #[must_use]
    pub fn with_top(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.insert(0, (name.to_owned(), value.into()));
        self
    }

    /// Replaces a header field, or adds it.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        match self.headers.iter_mut().find(|(known, _)| same(known, name)) {
            Some(header) => header.1 = value,
            None => self.headers.push((name.to_owned(), value)),
        }
        self
    }

    /// Leaves a header field out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !same(known, name));
        self
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn with_body(mut self, kind: &str, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self.set("Content-Type", kind)
    }

    /// The first value of a header field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| same(known, name))
            .map(|(_, value)| value.as_str())
    }

    /// The first value of a header field that has to be there.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        match self.get(name) {
            Some(value) => value,
            None => panic!("no {name} in\n{}", self.text()),
        }
    }

    /// All values of a header field, in order, one for each line.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.headers
            .iter()
            .filter(move |(known, _)| same(known, name))
            .map(|(_, value)| value.as_str())
    }

    /// All values of a header field, comma-separated ones apart. Commas in quotes and in `<...>` do not separate.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.all(name).flat_map(split_list).collect()
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&str> {
        let first = self.start.split(' ').next()?;
        (first != "SIP/2.0").then_some(first)
    }

    /// The Request-URI.
    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        self.start
            .strip_prefix("SIP/2.0 ")?
            .split(' ')
            .next()?
            .parse()
            .ok()
    }

    /// The number of the CSeq.
    #[track_caller]
    pub fn cseq(&self) -> u32 {
        self.header("CSeq")
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok())
            .expect("a number in CSeq")
    }

    /// A parameter of a header field's first value: `tag` of To.
    pub fn parameter(&self, header: &str, name: &str) -> Option<String> {
        parameter(self.get(header)?, name)
    }

    /// The bytes to send; Content-Length is right unless a header field of the test's own says otherwise.
    pub fn text(&self) -> String {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if self.get("Content-Length").is_none() {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        text + "\r\n" + &self.body
    }
}

/// A parameter of one value, outside of `<...>`.
pub fn parameter(value: &str, name: &str) -> Option<String> {
    // The first one that is in no quotes: an instance in quotes has brackets, too (RFC 5626 §4.1).
    let mut quoted = false;
    let end = value.find(|c| {
        quoted ^= c == '"';
        c == '>' && !quoted
    });
    let outside = end.map_or(value, |end| &value[end + 1..]);
    outside.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter
            .trim()
            .split_once('=')
            .unwrap_or_else(|| (parameter.trim(), ""));
        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

/// The URI of a name-addr or addr-spec.
pub fn uri_of(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => value.split(';').next().unwrap_or_default().trim(),
    }
}

fn split_list(value: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut angle) = (false, false);
    for c in value.chars() {
        match c {
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            ',' if !quoted && !angle => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
        .iter()
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// Compares names, compact forms too (RFC 3261 §7.3.3).
fn same(a: &str, b: &str) -> bool {
    full_name(a).eq_ignore_ascii_case(full_name(b))
}

fn full_name(name: &str) -> &str {
    match name {
        "i" => "Call-ID",
        "m" => "Contact",
        "e" => "Content-Encoding",
        "l" => "Content-Length",
        "c" => "Content-Type",
        "f" => "From",
        "s" => "Subject",
        "k" => "Supported",
        "t" => "To",
        "v" => "Via",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_message_reads_back() {
        let message = Message::request("OPTIONS", "sip:a@b")
            .with("Via", "x;branch=1")
            .with_body("text/plain", "hi");
        let read = Message::parse(message.text().as_bytes()).expect("a message");
        assert_eq!(read.method(), Some("OPTIONS"));
        assert_eq!(read.header("l"), "2");
        assert_eq!(read.parameter("v", "branch").as_deref(), Some("1"));
        assert_eq!(read.body, "hi");
    }

    #[test]
    fn a_list_splits_at_its_own_commas_only() {
        let message = Message::request("A", "b")
            .with("Contact", "\"x, y\" <sip:a@b,c>;q=1, <sip:d@e>")
            .with("m", "<sip:f@g>");
        assert_eq!(
            message.list("Contact"),
            ["\"x, y\" <sip:a@b,c>;q=1", "<sip:d@e>", "<sip:f@g>"]
        );
    }
}
