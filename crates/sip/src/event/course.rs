//! The course of a subscription (RFC 6665 §4.2.2): what the subscriber has to be told and when, what follows from its
//! answers, and when it is over. A pure function of events and time.

use strowger_syntax::Status;

/// The least time between two notifications of changes, in milliseconds (RFC 3680 §4.10).
const RATE_MS: u64 = 5000;
/// How long a notification that was refused for no lasting reason is put off, in milliseconds.
const AGAIN_MS: u64 = 30_000;
/// The longest time that a subscriber may put one off, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 600_000;
/// After so many refusals in a row the subscriber is given up.
const MOST_FAILURES: u8 = 3;

/// Tells notifications of one subscription apart.
pub type Number = u16;
/// The largest one; the first one follows.
const MOST_NUMBER: Number = 0x3fff;

/// Why a subscription ends (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// It was not refreshed, or the subscriber ended it.
    Timeout,
    /// The node stops, and will not know it any more: the subscriber should subscribe again at once.
    Deactivated,
    /// The subscriber may not be told any more, and should not ask again.
    Rejected,
    /// What it is about is no more, and should not be asked for again.
    NoResource,
}

impl End {
    /// The `reason` of the last Subscription-State.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Deactivated => "deactivated",
            Self::Rejected => "rejected",
            Self::NoResource => "noresource",
        }
    }
}

/// What a subscriber has to be told; the later ones include the former.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// What has changed since it was last told.
    Change,
    /// The whole state.
    Full,
    /// The whole state unless it must not be told, and that nothing follows.
    End(End),
}

/// Something that is to be told, and from when on it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owed {
    due: Due,
    at_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The subscriber knows what there is to know.
    Settled,
    /// There is something to tell.
    Owing(Owed),
    /// It is being told; what has come up since is told then.
    Notifying {
        number: Number,
        told: Due,
        then: Option<Owed>,
    },
}

/// How a notification was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// By a final response, with the seconds of its Retry-After.
    Status(Status, Option<u32>),
    /// Not at all, or it could not be sent.
    None,
}

/// Whether a subscription goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does.
    Lives,
    /// It is over: the last notification was answered, or one failed so that it has to be removed.
    Ends,
}

/// Where a subscription is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    state: State,
    /// When it ends unless it is refreshed, in milliseconds.
    ends_ms: u64,
    /// From when on a change may be told, in milliseconds.
    change_ms: u64,
    failures: u8,
    number: Number,
}

impl Course {
    /// A subscription that was accepted for so long: the whole state is due at once (RFC 6665 §4.2.1.2), as the last that it
    /// is told if it was not to last (§4.4.3).
    pub fn new(now_ms: u64, lasts_ms: u64) -> Self {
        let mut course = Self {
            state: State::Settled,
            ends_ms: 0,
            change_ms: 0,
            failures: 0,
            number: 0,
        };
        course.refresh(now_ms, lasts_ms);
        course
    }

    /// One that was accepted before a restart: the whole state is due at some time soon.
    pub fn resumed(at_ms: u64, ends_ms: u64) -> Self {
        let owed = Owed {
            due: Due::Full,
            at_ms,
        };
        Self {
            state: State::Owing(owed),
            ends_ms,
            change_ms: at_ms,
            failures: 0,
            number: 0,
        }
    }

    /// It was accepted anew (RFC 6665 §4.2.1.4). The subscriber has just spoken, so what it was being told counts for
    /// nothing, and no pause that it had asked for.
    pub fn refresh(&mut self, now_ms: u64, lasts_ms: u64) {
        self.ends_ms = now_ms + lasts_ms;
        self.failures = 0;
        let due = if lasts_ms == 0 {
            Due::End(End::Timeout)
        } else {
            Due::Full
        };
        self.state = State::Owing(Owed { due, at_ms: now_ms });
    }

    /// Something has changed.
    pub fn changed(&mut self, now_ms: u64) {
        let owed = Owed {
            due: Due::Change,
            at_ms: self.change_ms.max(now_ms),
        };
        match &mut self.state {
            State::Settled => self.state = State::Owing(owed),
            // Whatever is owed will have it.
            State::Owing(_) => {}
            State::Notifying { then, .. } => _ = then.get_or_insert(owed),
        }
    }

    /// It is to end now.
    pub fn end(&mut self, end: End, now_ms: u64) {
        let owed = Owed {
            due: Due::End(end),
            at_ms: now_ms,
        };
        match &mut self.state {
            State::Notifying {
                told: Due::End(_), ..
            } => {}
            State::Notifying { then, .. } => *then = Some(owed),
            state => *state = State::Owing(owed),
        }
    }

    /// What has to be told now. The answer is [`sent`](Self::sent), or [`settled`](Self::settled) if there was nothing.
    pub fn due(&self, now_ms: u64) -> Option<Due> {
        match self.state {
            State::Notifying { .. } => None,
            State::Owing(Owed {
                due: Due::End(_),
                at_ms,
            }) if at_ms > now_ms => None,
            _ if self.ends_ms <= now_ms => Some(match self.state {
                State::Owing(Owed {
                    due: due @ Due::End(_),
                    ..
                }) => due,
                _ => Due::End(End::Timeout),
            }),
            State::Owing(owed) if owed.at_ms <= now_ms => Some(owed.due),
            State::Owing(_) | State::Settled => None,
        }
    }

    /// When to look again, in milliseconds; `None` while an answer is waited for.
    pub fn deadline(&self) -> Option<u64> {
        match self.state {
            State::Settled => Some(self.ends_ms),
            State::Owing(Owed {
                due: Due::End(_),
                at_ms,
            }) => Some(at_ms),
            State::Owing(owed) => Some(owed.at_ms.min(self.ends_ms)),
            State::Notifying { .. } => None,
        }
    }

    /// What was due is sent; the number that its answer has to come with.
    pub fn sent(&mut self, told: Due, now_ms: u64) -> Number {
        self.number = (self.number + 1) & MOST_NUMBER;
        self.change_ms = now_ms + RATE_MS;
        self.state = State::Notifying {
            number: self.number,
            told,
            then: None,
        };
        self.number
    }

    /// There was nothing to tell after all.
    pub fn settled(&mut self) {
        self.state = State::Settled;
    }

    /// What is due cannot be sent yet.
    pub fn put_off(&mut self, due: Due, at_ms: u64) {
        self.state = State::Owing(Owed { due, at_ms });
    }

    /// A notification could not be sent: the whole state is due again at once, by another way. False if that is not what is
    /// waited for.
    pub fn lost(&mut self, number: Number, now_ms: u64) -> bool {
        match self.state {
            State::Notifying {
                number: waited, told, ..
            } if waited == number => {
                let due = told.max(Due::Full);
                self.state = State::Owing(Owed { due, at_ms: now_ms });
                true
            }
            _ => false,
        }
    }

    /// A notification was answered.
    pub fn answered(&mut self, number: Number, answer: Answer, now_ms: u64) -> Fate {
        let State::Notifying {
            number: waited,
            told,
            then,
        } = self.state
        else {
            return Fate::Lives;
        };
        if waited != number {
            return Fate::Lives;
        }
        if matches!(told, Due::End(_)) {
            return Fate::Ends;
        }
        match answer {
            Answer::Status(status, _) if status.is_success() => {
                self.failures = 0;
                self.state = then.map_or(State::Settled, State::Owing);
                Fate::Lives
            }
            Answer::Status(status, _) if is_final(status) => Fate::Ends,
            Answer::None => Fate::Ends,
            Answer::Status(_, retry_after) => {
                self.failures += 1;
                if self.failures >= MOST_FAILURES {
                    return Fate::Ends;
                }
                let asked = retry_after.map(|secs| u64::from(secs) * 1000);
                let at_ms = now_ms + asked.unwrap_or(AGAIN_MS).min(LONGEST_PAUSE_MS);
                // What it was told is lost.
                let due = then.map_or(Due::Full, |owed| owed.due.max(Due::Full));
                self.state = State::Owing(Owed { due, at_ms });
                Fate::Lives
            }
        }
    }

    /// How long it lasts unless it is refreshed, in milliseconds from now.
    pub fn left_ms(&self, now_ms: u64) -> u64 {
        self.ends_ms.saturating_sub(now_ms)
    }

    /// Whether the subscriber knows what there is to know.
    pub fn is_settled(&self) -> bool {
        self.state == State::Settled
    }

    /// Whether the last notification is being sent, or is to be.
    pub fn is_ending(&self) -> bool {
        matches!(
            self.state,
            State::Notifying {
                told: Due::End(_),
                ..
            } | State::Owing(Owed { due: Due::End(_), .. })
        )
    }
}

/// Whether such an answer ends a subscription (RFC 6665 §4.2.2). 408 is what a proxy says for a subscriber that is silent.
fn is_final(status: Status) -> bool {
    matches!(
        status.code(),
        404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Answer = Answer::Status(Status::OK, None);

    fn told(course: &mut Course, now_ms: u64) -> Due {
        let due = course.due(now_ms).expect("something is due");
        let number = course.sent(due, now_ms);
        assert_eq!(course.answered(number, OK, now_ms), Fate::Lives);
        due
    }

    #[test]
    fn rfc_6665_section_4_2_1_2_the_state_is_told_at_once() {
        let mut course = Course::new(1000, 60_000);
        assert_eq!((told(&mut course, 1000), course.due(1000)), (Due::Full, None));
        course.refresh(20_000, 60_000);
        assert_eq!(told(&mut course, 20_000), Due::Full);
        assert_eq!(course.deadline(), Some(80_000));
    }

    #[test]
    fn rfc_6665_section_4_4_3_a_poll_is_told_once() {
        let mut course = Course::new(1000, 0);
        let due = course.due(1000).expect("at once");
        assert_eq!(due, Due::End(End::Timeout));
        let number = course.sent(due, 1000);
        assert_eq!(course.answered(number, OK, 1001), Fate::Ends);
    }

    #[test]
    fn rfc_3680_section_4_10_changes_are_told_every_five_seconds_at_most() {
        let mut course = Course::new(0, 600_000);
        told(&mut course, 0);
        course.changed(1000);
        course.changed(2000);
        assert_eq!((course.due(4999), course.deadline()), (None, Some(5000)));
        assert_eq!(told(&mut course, 5000), Due::Change);
        course.changed(60_000);
        assert_eq!(course.due(60_000), Some(Due::Change));
        course.settled();
        assert_eq!(course.deadline(), Some(600_000));
    }

    #[test]
    fn one_notification_is_under_way_at_a_time() {
        let mut course = Course::new(0, 600_000);
        let number = course.sent(Due::Full, 0);
        course.changed(100);
        assert_eq!((course.due(9000), course.deadline()), (None, None));
        assert_eq!(course.answered(number, OK, 200), Fate::Lives);
        assert_eq!((course.due(200), course.deadline()), (None, Some(5000)));
    }

    #[test]
    fn who_refreshes_is_told_whatever_was_under_way() {
        let mut course = Course::new(0, 600_000);
        let lost = course.sent(Due::Full, 0);
        course.refresh(3000, 600_000);
        let number = course.sent(course.due(3000).expect("at once"), 3000);
        assert_eq!(course.answered(lost, Answer::None, 32_000), Fate::Lives);
        assert_eq!(course.answered(number, OK, 32_000), Fate::Lives);
    }

    #[test]
    fn rfc_6665_section_4_2_2_who_does_not_answer_is_given_up() {
        for (answer, fate) in [
            (Answer::None, Fate::Ends),
            (Answer::Status(Status::CALL_DOES_NOT_EXIST, None), Fate::Ends),
            (Answer::Status(Status::REQUEST_TIMEOUT, None), Fate::Ends),
            (Answer::Status(Status::CALL_DOES_NOT_EXIST, Some(5)), Fate::Ends),
            (Answer::Status(Status::SERVICE_UNAVAILABLE, Some(7)), Fate::Lives),
            (Answer::Status(Status::SERVER_INTERNAL_ERROR, None), Fate::Lives),
        ] {
            let mut course = Course::new(0, 600_000);
            let number = course.sent(Due::Full, 0);
            assert_eq!(course.answered(number, answer, 100), fate, "{answer:?}");
        }
    }

    #[test]
    fn a_subscriber_may_put_notifications_off_but_not_for_ever() {
        let mut course = Course::new(0, 3_600_000);
        let busy = |secs| Answer::Status(Status::SERVICE_UNAVAILABLE, secs);
        let number = course.sent(Due::Full, 0);
        assert_eq!(course.answered(number, busy(Some(7)), 100), Fate::Lives);
        course.changed(200);
        assert_eq!((course.due(7099), course.due(7100)), (None, Some(Due::Full)));
        let number = course.sent(Due::Full, 7100);
        assert_eq!(course.answered(number, busy(Some(u32::MAX)), 7100), Fate::Lives);
        assert_eq!(course.deadline(), Some(7100 + LONGEST_PAUSE_MS));
        let number = course.sent(Due::Full, 610_000);
        assert_eq!(course.answered(number, busy(None), 610_000), Fate::Ends);
    }

    #[test]
    fn rfc_6665_section_4_2_1_4_what_is_not_refreshed_ends() {
        let mut course = Course::new(0, 60_000);
        told(&mut course, 0);
        assert_eq!((course.due(59_999), course.left_ms(59_000)), (None, 1000));
        let due = course.due(60_000).expect("it is over");
        assert_eq!(due, Due::End(End::Timeout));
        let number = course.sent(due, 60_000);
        assert!(course.is_ending());
        assert_eq!(course.answered(number, Answer::None, 92_000), Fate::Ends);
    }

    #[test]
    fn rfc_6665_section_4_4_2_a_node_that_stops_says_so() {
        let mut course = Course::new(0, 60_000);
        let number = course.sent(Due::Full, 0);
        course.end(End::Deactivated, 10);
        assert_eq!(course.answered(number, OK, 20), Fate::Lives);
        assert_eq!(course.due(20), Some(Due::End(End::Deactivated)));
    }

    #[test]
    fn what_could_not_be_sent_is_told_again_as_a_whole() {
        let mut course = Course::new(0, 60_000);
        let number = course.sent(Due::Change, 0);
        assert!(!course.lost(number + 1, 0) && course.lost(number, 5));
        assert_eq!(course.due(5), Some(Due::Full));
        let number = course.sent(Due::End(End::Timeout), 5);
        assert!(course.lost(number, 6));
        assert_eq!(course.due(6), Some(Due::End(End::Timeout)));
    }

    // RFC 6665 §4.2.2: what cannot be sent yet waits until then, though the subscription is over meanwhile.
    #[test]
    fn a_last_notification_may_be_put_off() {
        let mut course = Course::new(0, 60_000);
        told(&mut course, 0);
        let due = course.due(60_000).expect("it is over");
        course.put_off(due, 60_300);
        assert_eq!((course.due(60_299), course.deadline()), (None, Some(60_300)));
        course.changed(60_100);
        assert_eq!((course.due(60_299), course.due(60_300)), (None, Some(due)));
        let number = course.sent(due, 60_300);
        assert_eq!(course.answered(number, OK, 60_301), Fate::Ends);
    }

    // RFC 6665 §4.4.1: one that is owed something else is over when its time is.
    #[test]
    fn a_pause_does_not_lengthen_a_subscription() {
        for due in [Due::Change, Due::Full] {
            let mut course = Course::new(0, 60_000);
            told(&mut course, 0);
            course.put_off(due, 90_000);
            assert_eq!(
                (course.due(59_999), course.deadline()),
                (None, Some(60_000)),
                "{due:?}"
            );
            assert_eq!(course.due(60_000), Some(Due::End(End::Timeout)), "{due:?}");
        }
    }

    #[test]
    fn after_a_restart_everybody_has_a_turn() {
        let course = Course::resumed(700, 60_000);
        assert_eq!((course.due(699), course.due(700)), (None, Some(Due::Full)));
    }
}
