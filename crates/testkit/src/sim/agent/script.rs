//! What the people at the two ends of a call do.

use super::super::MS;
use super::super::dice::Dice;

/// The course of one call, as far as people decide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// What is done where it rings: at phones of even and of odd number.
    pub answers: [Answer; 2],
    /// How long the caller waits for an answer, in nanoseconds.
    pub patience: u64,
    /// How long the one who hangs up talks, in nanoseconds.
    pub talk: u64,
    /// Who hangs up.
    pub hangs_up: Side,
    /// Whether the caller sends a re-INVITE in the middle of the talk.
    pub refreshes: bool,
}

/// The two ends of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Who sends the INVITE.
    Caller,
    /// Who gets it.
    Callee,
}

/// What is done with a phone that rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is picked up after so many nanoseconds.
    PickUp(u64),
    /// The call is refused, after so many nanoseconds.
    Refuse(u64),
    /// The call is sent on to another user, after so many nanoseconds.
    SendOn(u64),
    /// Nobody is there.
    Ring,
}

impl Script {
    /// Both talk for 20 seconds.
    pub const PLAIN: Self = Self {
        answers: [Answer::PickUp(2000 * MS); 2],
        patience: 120_000 * MS,
        talk: 20_000 * MS,
        hangs_up: Side::Caller,
        refreshes: false,
    };

    /// What people do at about the moments at which a target has rung for long enough, which is every `turn` nanoseconds.
    pub fn of_races(dice: Dice, call: usize, turn: u64) -> Self {
        let roll = |what: &str| dice.roll(("race", call, what));
        // A few milliseconds before or behind.
        let about = |what: &str, at: u64| at.saturating_sub(40 * MS) + roll(what).below(80) * MS;
        let moment = |what: &str| match roll(&format!("{what} when")).below(4) {
            0 => 60 * MS,
            n => n * turn,
        };
        let answer = |phone: &str| {
            let after = about(phone, moment(phone).min(turn));
            match roll(&format!("{phone} answers")).below(8) {
                0 | 1 => Answer::Refuse(after),
                2 | 3 => Answer::SendOn(after),
                4 => Answer::Ring,
                _ => Answer::PickUp(after),
            }
        };
        Self {
            answers: [answer("even"), answer("odd")],
            patience: about("patience", moment("patience")),
            talk: 1000 * MS,
            hangs_up: Side::Caller,
            refreshes: false,
        }
    }

    /// Anything that people do.
    pub fn of_chance(dice: Dice, call: usize) -> Self {
        let roll = |what: &str| dice.roll(("script", call, what));
        let ms = |what: &str, least: u64, most: u64| (least + roll(what).below(most - least)) * MS;
        let answer = |phone: &str| {
            let after = ms(phone, 200, 8000);
            match roll(&format!("{phone} answers")).below(10) {
                0 => Answer::Refuse(after),
                1 => Answer::Ring,
                _ => Answer::PickUp(after),
            }
        };
        let patience = match roll("patience").below(5) {
            0 => ms("impatient", 100, 8000),
            _ => ms("patient", 40_000, 50_000),
        };
        let hangs_up = match roll("hangs up").percent(50) {
            true => Side::Caller,
            false => Side::Callee,
        };
        Self {
            answers: [answer("even"), answer("odd")],
            patience,
            talk: ms("talk", 1000, 40_000),
            hangs_up,
            refreshes: roll("refreshes").percent(20),
        }
    }
}
