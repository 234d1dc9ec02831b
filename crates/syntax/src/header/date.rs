//! Date (RFC 3261 §20.17): RFC 1123 dates, in GMT only.

use super::{Encode, Header, HeaderError, Name};
use crate::scan::{number, put_number};

const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const DAY: i64 = 86_400;
/// Years as written have four digits, so no date is outside of this.
const RANGE: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Seconds since 1970-01-01 00:00:00 GMT.
    pub unix: i64,
}

impl Date {
    fn read(value: &[u8]) -> Option<Self> {
        let fields: &[u8; 29] = value.try_into().ok()?;
        let digits = |from: usize, to: usize| number(&fields[from..to]).map(|n| n as i64);
        let word = |table: &[&[u8]], from: usize| {
            table
                .iter()
                .position(|w| w.eq_ignore_ascii_case(&fields[from..from + 3]))
                .map(|i| i as i64)
        };
        let separators = [
            (3, b','),
            (4, b' '),
            (7, b' '),
            (11, b' '),
            (16, b' '),
            (19, b':'),
            (22, b':'),
            (25, b' '),
        ];
        let whole = separators.iter().all(|&(at, byte)| fields[at] == byte)
            && fields[26..].eq_ignore_ascii_case(b"GMT");
        word(&DAYS, 0)?;
        let (day, month, year) = (digits(5, 7)?, word(&MONTHS, 8)? + 1, digits(12, 16)?);
        let (hour, minute, second) = (digits(17, 19)?, digits(20, 22)?, digits(23, 25)?);
        let days = days_of(year, month, day);
        // 60 is a leap second; a day that the month does not have comes back as another one.
        let real = hour < 24 && minute < 60 && second <= 60 && civil_of(days) == (year, month, day);
        (whole && real).then(|| Self {
            unix: days * DAY + hour * 3600 + minute * 60 + second.min(59),
        })
    }
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = (shifted + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

impl<'a> Header<'a> for Date {
    const NAME: Name = Name::Date;

    fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
        Self::read(value).ok_or(HeaderError {
            name: Self::NAME,
            what: "not a date in GMT",
        })
    }
}

impl Encode for Date {
    /// Times outside of the years 0 to 9999 are brought to the nearest that can be written.
    fn encode(&self, out: &mut Vec<u8>) {
        let unix = self.unix.clamp(*RANGE.start(), *RANGE.end());
        let (days, second) = (unix.div_euclid(DAY), unix.rem_euclid(DAY));
        let (year, month, day) = civil_of(days);
        let two = |out: &mut Vec<u8>, value: i64, behind: u8| {
            out.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8, behind]);
        };
        out.extend_from_slice(DAYS[(days + 3).rem_euclid(7) as usize]);
        out.extend_from_slice(b", ");
        two(out, day, b' ');
        out.extend_from_slice(MONTHS[(month - 1) as usize]);
        out.push(b' ');
        for limit in [1000, 100, 10] {
            if year < limit {
                out.push(b'0');
            }
        }
        put_number(out, year as u64);
        out.push(b' ');
        two(out, second / 3600, b':');
        two(out, second / 60 % 60, b':');
        two(out, second % 60, b' ');
        out.extend_from_slice(b"GMT");
    }
}
