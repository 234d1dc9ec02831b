//! Random sequences of events, each a function of its seed.

use strowger_sip::transaction::Timers;
use strowger_testkit::Random;

/// How much time passes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Span {
    Ms(u64),
    /// To the next deadline of the reference.
    ToDeadline,
    /// To the millisecond before it.
    ShortOfDeadline,
}

/// Something that happens to the layer. Transactions are counted back from the latest one: 0 is the one made last.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// Time passes; every deadline is met when it comes.
    Pass(Span),
    /// Time passes, and nobody looks at the timers.
    Lag(u64),
    /// The TU sends a request.
    Send { invite: bool, reliable: bool },
    /// A response comes; its CSeq is that of the request, of a CANCEL, or of something else.
    Response { client: usize, code: u16, cseq: CSeq },
    /// The TU cancels.
    Cancel { client: usize },
    /// What a client transaction sent last could not be sent.
    SendFails { client: usize },
    /// An ICMP error for it comes.
    Unreachable { client: usize },
    /// The TU gives a client transaction up.
    GiveUp { client: usize },
    /// A request comes.
    Request { branch: usize, method: Method, way: Way },
    /// The TU answers.
    Answer { server: usize, code: u16 },
    /// What a server transaction sent last could not be sent.
    AnswerFails { server: usize },
    /// The TU leaves a request unanswered for good (RFC 4320 §4.2).
    Drop { server: usize },
    /// The TU gives up all that has no end of its own.
    GiveUpAll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CSeq {
    Own,
    Cancel,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Invite,
    Message,
    Ack,
    Cancel,
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Udp,
    Tcp,
    /// Over a connection; there is a second way for responses.
    TcpWithFallback,
}

#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    pub(crate) timers: Timers,
    pub(crate) events: Vec<Event>,
}

const CODES: [u16; 12] = [100, 100, 180, 183, 200, 200, 202, 302, 408, 486, 503, 603];
const SPANS: [u64; 12] = [0, 1, 100, 499, 500, 1000, 3500, 4000, 5000, 8000, 31_500, 32_000];
/// How many branches the peer uses.
const BRANCHES: u64 = 3;
/// How far back events reach.
const REACH: u64 = 3;

impl Sequence {
    pub(crate) fn random(seed: u64) -> Self {
        let mut random = Random::seeded(seed);
        let timers = Timers {
            t1_ms: random.of(&[500, 500, 500, 100, 1000]),
            next_hop_timeout_ms: u64::MAX,
            ..Timers::DEFAULT
        };
        let length = 3 + random.below(38);
        let events = (0..length).map(|_| event(&mut random)).collect();
        Self { timers, events }
    }
}

fn event(random: &mut Random) -> Event {
    let client = random.below(REACH) as usize;
    let server = random.below(REACH) as usize;
    match random.below(100) {
        0..8 => Event::Send {
            invite: random.below(3) > 0,
            reliable: random.below(3) == 0,
        },
        8..28 => Event::Response {
            client,
            code: random.of(&CODES),
            cseq: cseq(random),
        },
        28..32 => Event::Cancel { client },
        32..34 => Event::SendFails { client },
        34..35 => Event::Unreachable { client },
        35..36 => Event::GiveUp { client },
        36..56 => Event::Request {
            branch: random.below(BRANCHES) as usize,
            method: random.of(&[
                Method::Invite,
                Method::Invite,
                Method::Message,
                Method::Message,
                Method::Ack,
                Method::Cancel,
            ]),
            way: random.of(&[Way::Udp, Way::Udp, Way::Tcp, Way::TcpWithFallback]),
        },
        56..70 => Event::Answer {
            server,
            code: random.of(&CODES),
        },
        70..72 => Event::AnswerFails { server },
        72..73 => Event::Drop { server },
        73..76 => Event::Lag(span(random)),
        76..84 => Event::Pass(Span::ToDeadline),
        84..88 => Event::Pass(Span::ShortOfDeadline),
        _ => Event::Pass(Span::Ms(span(random))),
    }
}

fn cseq(random: &mut Random) -> CSeq {
    match random.below(12) {
        0 => CSeq::Other,
        1 | 2 => CSeq::Cancel,
        _ => CSeq::Own,
    }
}

fn span(random: &mut Random) -> u64 {
    match random.below(3) {
        0 => random.below(40_000),
        _ => random.of(&SPANS),
    }
}
