//! Sixteen bytes of a text at once: which of them end something.

use wide::i8x16;

type Block = [u8; 16];

/// Bytes of a text side by side, as signed numbers.
#[derive(Clone, Copy)]
struct Lanes(i8x16);

/// Which of them something is true for.
#[derive(Clone, Copy)]
struct Marks(i8x16);

impl Lanes {
    #[inline(always)]
    fn of(block: &Block) -> Self {
        Self(i8x16::new(block.map(|byte| byte as i8)))
    }

    #[inline(always)]
    fn or(self, byte: u8) -> Self {
        Self(self.0 | i8x16::splat(byte as i8))
    }

    #[inline(always)]
    fn plus(self, byte: u8) -> Self {
        Self(self.0 + i8x16::splat(byte as i8))
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> Marks {
        Marks(self.0.simd_eq(i8x16::splat(byte as i8)))
    }

    #[inline(always)]
    fn below(self, least: u8) -> Marks {
        Marks(self.0.simd_lt(i8x16::splat(least as i8)))
    }
}

impl Marks {
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// A bit for each byte.
    #[inline(always)]
    fn bits(self) -> u32 {
        self.0.to_bitmask()
    }
}

/// Marks the control characters, and some of the bytes that are not ASCII, of 64 bytes: a bit for each.
#[inline(always)]
pub(crate) fn control_bits(bytes: &[u8; 64]) -> u64 {
    // What is less than a space gets the highest bit, which the mask is made of.
    let bits = |block| u64::from(Lanes::of(block).plus(0u8.wrapping_sub(b' ')).0.to_bitmask());
    let blocks = bytes.as_chunks().0;
    blocks.iter().rev().fold(0, |all, block| all << 16 | bits(block))
}

/// Marks what is no letter, digit, hyphen or dot of 32 bytes: a bit for each.
#[inline(always)]
pub(crate) fn far_no_word_bits(bytes: &[u8; 32]) -> u32 {
    let blocks = bytes.as_chunks().0;
    blocks
        .iter()
        .rev()
        .fold(0, |all, block| all << 16 | no_word_bits(block))
}

/// Whether a block has a text's bytes where bits are given.
#[inline(always)]
pub(crate) fn begins(block: &Block, text: &Block, bits: u16) -> bool {
    let equal = Lanes::of(block).0.simd_eq(Lanes::of(text).0).to_bitmask();
    !equal & u32::from(bits) == 0
}

/// A control character, or a byte that is not ASCII.
#[inline(always)]
fn odd(bytes: Lanes) -> Marks {
    bytes.below(b' ')
}

/// What is not visible, and a byte that is not ASCII.
#[inline(always)]
fn invisible(bytes: Lanes) -> Marks {
    // With one more, the deletion character too is negative.
    bytes.plus(1).below(b' ' + 2)
}

/// What no URI has in a header field.
#[inline(always)]
fn no_uri(bytes: Lanes) -> Marks {
    // `<` and `>` differ in one bit.
    let angles = bytes.or(b'<' ^ b'>').equal(b'>');
    invisible(bytes).or(bytes.equal(b'"')).or(angles)
}

/// What ends a Call-ID.
#[inline(always)]
fn no_call_id(bytes: Lanes) -> Marks {
    invisible(bytes).or(bytes.equal(b','))
}

/// What is no letter, digit, hyphen or dot.
#[inline(always)]
fn no_word(bytes: Lanes) -> Marks {
    // Moved to where only those that are meant are not below the bound: what would come behind them is negative.
    let no_letter = bytes.or(b'a' ^ b'A').plus(0x7F - b'z').below(0x7F - b'z' + b'a');
    let no_digit = bytes.plus(0x7F - b'9').below(0x7F - b'9' + b'-');
    no_letter.and(no_digit.or(bytes.equal(b'/')))
}

/// What ends a quoted string or is an escape in it, and control characters; other bytes that are not ASCII are in names.
#[inline(always)]
fn no_quoted(bytes: Lanes) -> Marks {
    // Taken as unsigned numbers: with the highest bit the other way around.
    let control = bytes.plus(0x80).below(b' ' + 0x80);
    bytes.equal(b'"').or(bytes.equal(b'\\')).or(control)
}

macro_rules! bits {
    ($($name:ident: $marks:ident;)*) => {
        $(
            #[doc = concat!("Marks the bytes that are `", stringify!($marks), "`: a bit for each, the first one in the lowest.")]
            #[inline(always)]
            pub(crate) fn $name(block: &Block) -> u32 {
                $marks(Lanes::of(block)).bits()
            }
        )*

        #[cfg(test)]
        type Bits = fn(&Block) -> u32;
        #[cfg(test)]
        const ALL: &[(&str, Bits)] = &[$((stringify!($marks), $name)),*];
    };
}

bits! {
    odd_bits: odd;
    no_visible_bits: invisible;
    no_uri_bits: no_uri;
    no_call_id_bits: no_call_id;
    no_word_bits: no_word;
    no_quoted_bits: no_quoted;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, of one byte.
    fn is_of(name: &str, byte: u8) -> bool {
        let visible = byte.is_ascii_graphic();
        match name {
            "odd" => byte < b' ' || !byte.is_ascii(),
            "invisible" => !visible,
            "no_uri" => !visible || b"<>\"".contains(&byte),
            "no_call_id" => !visible || byte == b',',
            "no_word" => !byte.is_ascii_alphanumeric() && !b"-.".contains(&byte),
            "no_quoted" => byte < b' ' || b"\"\\".contains(&byte),
            _ => panic!("{name} is not known"),
        }
    }

    #[test]
    fn each_byte_has_its_bit() {
        for byte in 0..=u8::MAX {
            for at in 0..64 {
                let mut bytes = [byte; 64];
                bytes[at] = b'a';
                let all = if (b' '..0xA0).contains(&byte) { 0 } else { u64::MAX };
                assert_eq!(control_bits(&bytes), all & !(1 << at), "{byte} {at}");
            }
            for at in 0..32 {
                let mut bytes = [byte; 32];
                bytes[at] = b'a';
                let all = if is_of("no_word", byte) { u32::MAX } else { 0 };
                assert_eq!(far_no_word_bits(&bytes), all & !(1 << at), "{byte} {at}");
            }
        }
    }

    #[test]
    fn lanes_find_what_single_bytes_find() {
        for (name, bits) in ALL {
            // Each byte at each place, beside one that may change what is found at its neighbours by a carry.
            for (byte, beside) in
                (0..=u8::MAX).flat_map(|byte| [0, b' ', b'a', 0x7F, 0xFF].map(|beside| (byte, beside)))
            {
                for at in 0..16 {
                    let mut block = [beside; 16];
                    block[at] = byte;
                    let marked = |all: u32, &byte: &u8| all << 1 | u32::from(is_of(name, byte));
                    let expected = block.iter().rev().fold(0, marked);
                    assert_eq!(bits(&block), expected, "{name}: {block:?}");
                }
            }
        }
    }
}
