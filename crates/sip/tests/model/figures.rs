//! The diagrams as tables of their arrows: RFC 6026 §8.4 figure 5, RFC 3261 §17.1.2 figure 6, RFC 6026 §8.6 figure 7 and
//! RFC 3261 §17.2.2 figure 8.

use std::collections::BTreeSet;

use Action::*;
use Input::*;
use State::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Calling,
    Trying,
    Proceeding,
    Accepted,
    Completed,
    Confirmed,
    Terminated,
}

/// What arrows are labelled with, over the line. Responses come from the network to a client, from the TU to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Input {
    Request,
    Ack,
    /// 1xx.
    Provisional,
    /// 2xx.
    Success,
    /// 300-699.
    Refusal,
    /// The timer of this letter fires.
    Timer(char),
    TransportError,
}

/// What arrows are labelled with, under the line, and what the text says of timers where the state is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    SendRequest,
    SendAck,
    /// The response that the TU gives.
    SendResponse,
    /// The one that was sent last.
    RepeatResponse,
    ToTu,
    InformTu,
    Start(char),
    /// Starts a timer of retransmission again, with its next interval.
    Reset(char),
}

pub(crate) type Arrow = (State, Input, &'static [Action], State);

pub(crate) struct Figure {
    pub(crate) number: u8,
    /// The state and the timers that a transaction begins with.
    pub(crate) begin: (State, &'static [Action]),
    pub(crate) arrows: &'static [Arrow],
}

/// RFC 6026 §8.4. In two places the layer does what its only user, the proxy, needs. The transport error of an ACK leaves
/// Completed as it is: the TU has its response, and the next repeat of it gets the ACK. What can fail in Proceeding is the
/// CANCEL, sent by the same way: the INVITE is given up with it.
pub(crate) const INVITE_CLIENT: Figure = Figure {
    number: 5,
    begin: (Calling, &[SendRequest, Start('A'), Start('B')]),
    arrows: &[
        (Calling, Timer('A'), &[Reset('A'), SendRequest], Calling),
        (Calling, Timer('B'), &[InformTu], Terminated),
        (Calling, TransportError, &[InformTu], Terminated),
        (Calling, Provisional, &[ToTu], Proceeding),
        (Calling, Success, &[ToTu, Start('M')], Accepted),
        (Calling, Refusal, &[SendAck, ToTu, Start('D')], Completed),
        (Proceeding, Provisional, &[ToTu], Proceeding),
        (Proceeding, Success, &[ToTu, Start('M')], Accepted),
        (Proceeding, Refusal, &[SendAck, ToTu, Start('D')], Completed),
        (Proceeding, TransportError, &[InformTu], Terminated),
        (Completed, Refusal, &[SendAck], Completed),
        (Completed, Timer('D'), &[], Terminated),
        (Accepted, Success, &[ToTu], Accepted),
        (Accepted, Timer('M'), &[], Terminated),
    ],
};

/// RFC 3261 §17.1.2.2.
pub(crate) const NON_INVITE_CLIENT: Figure = Figure {
    number: 6,
    begin: (Trying, &[SendRequest, Start('E'), Start('F')]),
    arrows: &[
        (Trying, Timer('E'), &[Reset('E'), SendRequest], Trying),
        (Trying, Timer('F'), &[InformTu], Terminated),
        (Trying, TransportError, &[InformTu], Terminated),
        (Trying, Provisional, &[ToTu], Proceeding),
        (Trying, Success, &[ToTu, Start('K')], Completed),
        (Trying, Refusal, &[ToTu, Start('K')], Completed),
        (Proceeding, Timer('E'), &[Reset('E'), SendRequest], Proceeding),
        (Proceeding, Timer('F'), &[InformTu], Terminated),
        (Proceeding, TransportError, &[InformTu], Terminated),
        (Proceeding, Provisional, &[ToTu], Proceeding),
        (Proceeding, Success, &[ToTu, Start('K')], Completed),
        (Proceeding, Refusal, &[ToTu, Start('K')], Completed),
        (Completed, Timer('K'), &[], Terminated),
    ],
};

/// RFC 6026 §8.6. The 100 that is due after 200 ms is the TU's; a transport error changes nothing (§8.8) but the way that
/// later responses take (RFC 3261 §18.2.2).
pub(crate) const INVITE_SERVER: Figure = Figure {
    number: 7,
    begin: (Proceeding, &[]),
    arrows: &[
        (Proceeding, Request, &[RepeatResponse], Proceeding),
        (Proceeding, Provisional, &[SendResponse], Proceeding),
        (Proceeding, TransportError, &[RepeatResponse], Proceeding),
        (Proceeding, Success, &[SendResponse, Start('L')], Accepted),
        (
            Proceeding,
            Refusal,
            &[SendResponse, Start('G'), Start('H')],
            Completed,
        ),
        (Completed, Request, &[RepeatResponse], Completed),
        (Completed, TransportError, &[RepeatResponse], Completed),
        (Completed, Timer('G'), &[Reset('G'), RepeatResponse], Completed),
        (Completed, Timer('H'), &[], Terminated),
        (Completed, Ack, &[Start('I')], Confirmed),
        (Confirmed, Timer('I'), &[], Terminated),
        (Accepted, Request, &[], Accepted),
        (Accepted, Ack, &[ToTu], Accepted),
        (Accepted, Success, &[SendResponse], Accepted),
        (Accepted, Timer('L'), &[], Terminated),
    ],
};

/// RFC 3261 §17.2.2 with RFC 6026 §8.8.
pub(crate) const NON_INVITE_SERVER: Figure = Figure {
    number: 8,
    begin: (Trying, &[]),
    arrows: &[
        (Trying, Provisional, &[SendResponse], Proceeding),
        (Trying, Success, &[SendResponse, Start('J')], Completed),
        (Trying, Refusal, &[SendResponse, Start('J')], Completed),
        (Proceeding, Request, &[RepeatResponse], Proceeding),
        (Proceeding, Provisional, &[SendResponse], Proceeding),
        (Proceeding, TransportError, &[RepeatResponse], Proceeding),
        (Proceeding, Success, &[SendResponse, Start('J')], Completed),
        (Proceeding, Refusal, &[SendResponse, Start('J')], Completed),
        (Completed, Request, &[RepeatResponse], Completed),
        (Completed, TransportError, &[RepeatResponse], Completed),
        (Completed, Timer('J'), &[], Terminated),
    ],
};

const ALL: [&Figure; 4] = [
    &INVITE_CLIENT,
    &NON_INVITE_CLIENT,
    &INVITE_SERVER,
    &NON_INVITE_SERVER,
];

/// Which arrows were taken.
#[derive(Default)]
pub(crate) struct Taken(BTreeSet<(u8, usize)>);

impl Taken {
    pub(crate) fn note(&mut self, figure: &Figure, arrow: usize) {
        self.0.insert((figure.number, arrow));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// The arrows that never were.
    pub(crate) fn never(&self) -> Vec<String> {
        let arrows = ALL
            .iter()
            .flat_map(|figure| (0..figure.arrows.len()).map(move |arrow| (figure, arrow)));
        arrows
            .filter(|(figure, arrow)| !self.0.contains(&(figure.number, *arrow)))
            .map(|(figure, arrow)| format!("figure {}: {:?}", figure.number, figure.arrows[arrow]))
            .collect()
    }
}
