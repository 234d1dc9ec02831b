//! Lists for people: aligned columns.

use std::io::{self, IsTerminal, Write, stdout};

/// A list that is written piece by piece. The widths are those of the first piece, so that long lists need not be
/// held; later entries that are wider push their line to the right.
pub(crate) struct Table<const N: usize> {
    heads: [&'static str; N],
    widths: Option<[usize; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(heads: [&'static str; N]) -> Self {
        Self { heads, widths: None }
    }

    /// Writes some more lines, and before the first ones the heads.
    pub(crate) fn write(&mut self, out: &mut impl Write, rows: &[[String; N]]) -> io::Result<()> {
        let heads = self.heads;
        let first = self.widths.is_none();
        let widths = *self.widths.get_or_insert_with(|| {
            std::array::from_fn(|column| {
                let cells = rows.iter().map(|row| row[column].chars().count());
                cells.chain([heads[column].len()]).max().unwrap_or_default()
            })
        });
        if first && !rows.is_empty() {
            let line = aligned(&heads.map(str::to_owned), &widths);
            if is_coloured() {
                writeln!(out, "\x1b[1m{line}\x1b[0m")?
            } else {
                writeln!(out, "{line}")?
            }
        }
        rows.iter()
            .try_for_each(|row| writeln!(out, "{}", aligned(row, &widths)))
    }
}

fn aligned<const N: usize>(row: &[String; N], widths: &[usize; N]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        let clean: String = cell
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        let padding = width.saturating_sub(clean.chars().count()) + 2;
        line.push_str(&clean);
        line.extend(std::iter::repeat_n(' ', padding));
    }
    line.truncate(line.trim_end().len());
    line
}

/// True when standard output is a terminal that wants colours.
pub(crate) fn is_coloured() -> bool {
    stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Seconds as people say them: `45s`, `12m 3s`, `3h 5m`, `2d 4h`.
pub(crate) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_cannot_reach_the_terminal() -> io::Result<()> {
        let mut out = Vec::new();
        let mut table = Table::new(["a", "second"]);
        table.write(
            &mut out,
            &[
                ["longer".to_owned(), "x".to_owned()],
                ["é".to_owned(), "\x1b[31m".to_owned()],
            ],
        )?;
        let text = String::from_utf8_lossy(&out)
            .replace("\x1b[1m", "")
            .replace("\x1b[0m", "");
        assert_eq!(text, "a       second\nlonger  x\né       \u{fffd}[31m\n");
        Ok(())
    }

    #[test]
    fn spans_are_told_in_two_units() {
        assert_eq!(
            [span(5), span(723), span(11_100), span(187_200)],
            ["5s", "12m 3s", "3h 5m", "2d 4h"]
        );
    }
}
