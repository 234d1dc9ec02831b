//! Tones to send and to find again in what was recorded.

use std::path::Path;

/// Samples per second of the telephone network.
pub const RATE: u32 = 8000;

/// Writes a WAV file (16 bit, mono, 8 kHz) with a sine of this frequency.
pub fn write(path: &Path, frequency: f64, seconds: u32) {
    let count = RATE * seconds;
    let size = count * 2;
    let mut file = Vec::with_capacity(44 + size as usize);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + size).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend_from_slice(&RATE.to_le_bytes());
    file.extend_from_slice(&(RATE * 2).to_le_bytes());
    file.extend_from_slice(b"\x02\0\x10\0data");
    file.extend_from_slice(&size.to_le_bytes());
    for at in 0..count {
        let phase = f64::from(at) / f64::from(RATE) * frequency * std::f64::consts::TAU;
        file.extend_from_slice(&((phase.sin() * 10_000.0) as i16).to_le_bytes());
    }
    std::fs::write(path, file).expect("a file for the tone");
}

/// The samples of a WAV file of 16 bits, and its rate; the first channel only. A recording that is still open or was
/// cut off has a wrong length in its head: what is there counts.
pub fn read(path: &Path) -> (Vec<i16>, u32) {
    let file = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let number = |at: usize, length: usize| {
        file.get(at..at + length).map_or(0, |bytes| {
            bytes
                .iter()
                .rev()
                .fold(0_u32, |sum, &byte| sum << 8 | u32::from(byte))
        })
    };
    let (mut at, mut channels, mut rate) = (12, 1, RATE);
    while at + 8 <= file.len() {
        let length = number(at + 4, 4) as usize;
        match &file[at..at + 4] {
            b"fmt " => {
                channels = number(at + 10, 2).max(1);
                rate = number(at + 12, 4);
            }
            b"data" => {
                let data = &file[at + 8..];
                let frames = data.chunks_exact(2 * channels as usize);
                return (
                    frames
                        .map(|frame| i16::from_le_bytes([frame[0], frame[1]]))
                        .collect(),
                    rate,
                );
            }
            _ => {}
        }
        at += 8 + length + length % 2;
    }
    (Vec::new(), rate)
}

/// The share (0 to 1) of a signal's power that lies at one frequency, by Goertzel's algorithm.
pub fn share(samples: &[i16], rate: u32, frequency: f64) -> f64 {
    let omega = frequency / f64::from(rate) * std::f64::consts::TAU;
    let coefficient = 2.0 * omega.cos();
    let (mut one, mut two, mut total) = (0.0_f64, 0.0_f64, 0.0_f64);
    for &sample in samples {
        let sample = f64::from(sample);
        let next = sample + coefficient * one - two;
        two = one;
        one = next;
        total += sample * sample;
    }
    let power = one * one + two * two - coefficient * one * two;
    if total == 0.0 {
        0.0
    } else {
        power * 2.0 / (total * samples.len() as f64)
    }
}

/// True when the recording has a quarter of a second in which this tone is nearly all there is.
pub fn heard(path: &Path, frequency: f64) -> bool {
    let (samples, rate) = read(path);
    samples
        .chunks_exact(rate as usize / 4)
        .any(|part| loud(part) && share(part, rate, frequency) > 0.8)
}

fn loud(samples: &[i16]) -> bool {
    samples.iter().any(|sample| sample.unsigned_abs() > 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scratch;

    #[test]
    fn a_tone_is_heard_at_its_frequency_and_not_at_another() {
        let scratch = Scratch::new();
        let path = scratch.join("a.wav");
        write(&path, 440.0, 1);
        assert!(heard(&path, 440.0));
        assert!(!heard(&path, 880.0));
        assert!(!heard(&path, 470.0));
    }

    #[test]
    fn silence_is_no_tone() {
        let scratch = Scratch::new();
        let path = scratch.join("a.wav");
        write(&path, 0.0, 1);
        assert!(!heard(&path, 440.0));
    }
}
