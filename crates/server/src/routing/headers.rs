//! What a route changes in the header of the requests that it forwards.

use strowger_syntax::message::{Draft, Edits, FieldView, Span};
use strowger_syntax::{Message, Name};

use crate::config::route::HeaderRule;

/// Header fields that go, and lines that come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRules {
    removed: Vec<(Name, Box<[u8]>)>,
    lines: Vec<u8>,
}

impl HeaderRules {
    pub(super) fn compile(rules: &[HeaderRule]) -> Option<Self> {
        let mut compiled = Self {
            removed: Vec::new(),
            lines: Vec::new(),
        };
        for rule in rules {
            let (name, value) = match rule {
                HeaderRule::Remove(name) => (name, None),
                HeaderRule::Add(name, value) | HeaderRule::Set(name, value) => (name, Some(value)),
            };
            if !matches!(rule, HeaderRule::Add(..)) {
                let known = Name::from_bytes(name.as_bytes());
                compiled.removed.push((known, name.as_bytes().into()));
            }
            if let Some(value) = value {
                compiled
                    .lines
                    .extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
        }
        (!rules.is_empty()).then_some(compiled)
    }

    /// Appends the request as it is to be forwarded.
    pub fn write(&self, request: Message<'_>, edits: &mut Edits, out: &mut Vec<u8>) {
        let mut draft = Draft::of(request, edits);
        let mut end = 0;
        for field in request.fields() {
            end = field.line.end;
            if self.removes(&field) {
                draft.remove_line(field.line);
            }
        }
        draft.replace(Span { start: end, end }, |out| out.extend_from_slice(&self.lines));
        draft.finish(out);
    }

    fn removes(&self, field: &FieldView<'_>) -> bool {
        let named = |(name, text): &(Name, Box<[u8]>)| {
            *name == field.name && (*name != Name::Other || field.text.eq_ignore_ascii_case(text))
        };
        self.removed.iter().any(named)
    }
}
