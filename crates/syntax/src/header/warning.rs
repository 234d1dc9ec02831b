//! Warning (RFC 3261 §20.43).

use super::{Encode, Header, HeaderError, Name, ParamValue};
use crate::scan::{is_ws, number, quoted_end, skip_ws};

/// One warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning<'a> {
    /// The code, three digits.
    pub code: u16,
    /// Host and port, or pseudonym, of who warns.
    pub agent: &'a [u8],
    /// The text.
    pub text: ParamValue<'a>,
}

impl<'a> Warning<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        let code = value.get(..3).and_then(number)? as u16;
        let from = skip_ws(value, 3);
        let to = from
            + value
                .get(from..)?
                .iter()
                .take_while(|&&b| !is_ws(b) && b != b'"')
                .count();
        let quote = skip_ws(value, to);
        let whole = value.get(quote) == Some(&b'"') && quoted_end(value, quote) == Some(value.len());
        (from > 3 && to > from && quote > to && whole).then(|| Self {
            code,
            agent: &value[from..to],
            text: ParamValue::of(&value[quote..]),
        })
    }
}

impl<'a> Header<'a> for Warning<'a> {
    const NAME: Name = Name::Warning;

    fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
        Self::read(value).ok_or(HeaderError {
            name: Self::NAME,
            what: "not a code, an agent and a text",
        })
    }
}

impl Encode for Warning<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        // Three digits, whatever they are.
        let digits = [self.code / 100, self.code / 10, self.code];
        out.extend(digits.map(|digit| b'0' + (digit % 10) as u8));
        out.push(b' ');
        out.extend_from_slice(self.agent);
        out.push(b' ');
        self.text.encode(out);
    }
}
