//! What the layer should do: transactions that follow the arrows of the figures, and the matching of RFC 3261 §17.1.3 and §17.2.3.

use strowger_sip::transaction::Timers;

use crate::figures::{
    Action, Figure, INVITE_CLIENT, INVITE_SERVER, Input, NON_INVITE_CLIENT, NON_INVITE_SERVER, State, Taken,
};
use crate::sequence::{CSeq, Event, Method, Span, Way};
use crate::{Answer, Effect, Label, What};

/// A transaction that follows a figure.
struct Machine {
    figure: &'static Figure,
    state: State,
    reliable: bool,
    /// When the timers from A to M fire that run.
    timers: [Option<u64>; 13],
    /// The interval of the timer of retransmission.
    interval_ms: u64,
}

impl Machine {
    fn new(figure: &'static Figure, reliable: bool) -> Self {
        Self {
            figure,
            state: figure.begin.0,
            reliable,
            timers: [None; 13],
            interval_ms: 0,
        }
    }

    fn is(&self, states: &[State]) -> bool {
        states.contains(&self.state)
    }

    /// The arrow that an input takes, by its number.
    fn arrow(&self, input: Input) -> Option<usize> {
        self.figure
            .arrows
            .iter()
            .position(|(from, on, ..)| (*from, *on) == (self.state, input))
    }

    /// The timers that mean something in this state, and when they fire.
    fn running(&self) -> impl Iterator<Item = (u64, Input)> + '_ {
        let of_state = self.figure.arrows.iter().filter(|(from, ..)| *from == self.state);
        of_state.filter_map(|&(_, on, ..)| match on {
            Input::Timer(letter) => Some((self.timers[index(letter)]?, on)),
            _ => None,
        })
    }

    fn deadline(&self) -> Option<u64> {
        self.running().map(|(at, _)| at).min()
    }

    /// What fires now. The end comes before another retransmission.
    fn due(&self, now_ms: u64) -> Option<Input> {
        let due = self
            .running()
            .filter(|(at, _)| *at <= now_ms)
            .map(|(_, input)| input);
        due.min_by_key(|input| matches!(input, Input::Timer('A' | 'E' | 'G')))
    }

    /// Table 4 of RFC 3261 appendix A, with timers L and M of RFC 6026 §8.11.
    fn start(&mut self, letter: char, now_ms: u64, t: &Timers) {
        let after = match letter {
            'A' | 'E' | 'G' => (!self.reliable).then_some(t.t1_ms),
            'B' | 'F' | 'H' | 'L' | 'M' => Some(64 * t.t1_ms),
            'D' if !self.reliable => Some((64 * t.t1_ms).max(32_000)),
            'I' | 'K' if !self.reliable => Some(t.t4_ms),
            'J' if !self.reliable => Some(64 * t.t1_ms),
            'D' | 'I' | 'J' | 'K' => Some(0),
            _ => panic!("no timer {letter}"),
        };
        self.interval_ms = if matches!(letter, 'A' | 'E' | 'G') {
            t.t1_ms
        } else {
            self.interval_ms
        };
        let at = after.map(|after| now_ms + after);
        // A little later is allowed where nobody waits for the end.
        self.timers[index(letter)] = match letter {
            'D' | 'I' | 'J' | 'K' if self.reliable => at,
            'D' | 'I' | 'J' | 'K' | 'L' | 'M' => at.map(|at| at.next_multiple_of(64)),
            _ => at,
        };
    }

    fn reset(&mut self, letter: char, now_ms: u64, t: &Timers) {
        self.interval_ms = match (letter, self.state) {
            ('A', _) => 2 * self.interval_ms,
            ('E', State::Proceeding) => t.t2_ms,
            _ => (2 * self.interval_ms).min(t.t2_ms),
        };
        self.timers[index(letter)] = Some(now_ms + self.interval_ms);
    }
}

fn index(letter: char) -> usize {
    letter as usize - 'A' as usize
}

struct Client {
    machine: Machine,
    request: Label,
    ack: Option<Label>,
    cancel: Option<Machine>,
}

struct Server {
    machine: Machine,
    branch: usize,
    invite: bool,
    response: Option<Label>,
    /// When a 100 is due (RFC 4320 §4.1).
    trying_at: u64,
    /// Whether there is another way for responses.
    fallback: bool,
    on_fallback: bool,
}

pub(crate) struct Reference {
    timers: Timers,
    now_ms: u64,
    clients: Vec<Client>,
    servers: Vec<Server>,
    pub(crate) taken: Taken,
}

impl Reference {
    pub(crate) fn new(timers: Timers) -> Self {
        Self {
            timers,
            now_ms: 0,
            clients: Vec::new(),
            servers: Vec::new(),
            taken: Taken::default(),
        }
    }

    /// The event with its span in milliseconds.
    pub(crate) fn resolve(&self, event: Event) -> Event {
        let to_deadline = || self.deadline().map_or(0, |at| at.saturating_sub(self.now_ms));
        match event {
            Event::Pass(Span::ToDeadline) => Event::Pass(Span::Ms(to_deadline())),
            Event::Pass(Span::ShortOfDeadline) => Event::Pass(Span::Ms(to_deadline().saturating_sub(1))),
            other => other,
        }
    }

    pub(crate) fn happen(&mut self, number: usize, event: Event, out: &mut Vec<Effect>) {
        self.apply(number, event, out);
        let is_live = |machine: &Machine| !machine.is(&[State::Terminated]);
        out.push(Effect::Live {
            servers: self
                .servers
                .iter()
                .filter(|server| is_live(&server.machine))
                .count(),
            clients: self
                .clients
                .iter()
                .filter(|client| is_live(&client.machine))
                .count(),
        });
    }

    fn apply(&mut self, number: usize, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Pass(Span::Ms(ms)) => self.pass(ms, out),
            Event::Pass(_) => panic!("resolved before"),
            Event::Lag(ms) => self.now_ms += ms,
            Event::Send { invite, reliable } => self.send(invite, reliable, out),
            Event::Request { branch, method, way } => self.request(branch, method, way, out),
            Event::Response { client, code, cseq } => {
                if let Some(client) = back(client, self.clients.len()) {
                    self.response(client, number, code, cseq, out);
                }
            }
            Event::Cancel { client } => {
                if let Some(client) = back(client, self.clients.len()) {
                    self.cancel(client, out);
                }
            }
            Event::SendFails { client } | Event::Unreachable { client } => {
                let icmp = matches!(event, Event::Unreachable { .. });
                if let Some(client) = back(client, self.clients.len()) {
                    self.send_fails(client, icmp, out);
                }
            }
            Event::GiveUp { client } => {
                if let Some(client) = back(client, self.clients.len()) {
                    self.give_up(client);
                }
            }
            Event::Answer { server, code } => {
                if let Some(server) = back(server, self.servers.len()) {
                    let sent = self.answer(server, number, code, out);
                    out.push(Effect::Said(Answer::Yes(sent)));
                }
            }
            Event::AnswerFails { server } => {
                if let Some(server) = back(server, self.servers.len()) {
                    self.answer_fails(server, out);
                }
            }
            Event::Drop { server } => {
                if let Some(server) = back(server, self.servers.len()) {
                    self.servers[server].machine.state = State::Terminated;
                }
            }
            Event::GiveUpAll => {
                (0..self.clients.len()).for_each(|client| self.give_up(client));
                let pending = |server: &&mut Server| server.machine.is(&[State::Trying, State::Proceeding]);
                self.servers
                    .iter_mut()
                    .filter(pending)
                    .for_each(|server| server.machine.state = State::Terminated);
            }
        }
    }

    fn give_up(&mut self, client: usize) {
        let client = &mut self.clients[client];
        client.machine.state = State::Terminated;
        client.cancel = None;
    }

    fn send(&mut self, invite: bool, reliable: bool, out: &mut Vec<Effect>) {
        let number = self.clients.len();
        let (figure, what) = match invite {
            true => (&INVITE_CLIENT, What::Invite),
            false => (&NON_INVITE_CLIENT, What::Message),
        };
        self.clients.push(Client {
            machine: Machine::new(figure, reliable),
            request: Label {
                what,
                call: number,
                tag: None,
            },
            ack: None,
            cancel: None,
        });
        self.act_client(number, figure.begin.1, out);
    }

    /// RFC 3261 §17.1.3: a response belongs to the transaction of its branch and the method of its CSeq.
    fn response(&mut self, number: usize, event: usize, code: u16, cseq: CSeq, out: &mut Vec<Effect>) {
        let input = class(code);
        let client = &mut self.clients[number];
        let passed = match cseq {
            CSeq::Own => {
                if input == Input::Refusal && client.machine.is(&[State::Calling, State::Proceeding]) {
                    let tag = Some(event);
                    client.ack = Some(Label {
                        what: What::Ack,
                        call: number,
                        tag,
                    });
                }
                self.client_input(number, input, out)
            }
            CSeq::Cancel => {
                self.cancel_input(number, input, out);
                false
            }
            CSeq::Other => false,
        };
        out.push(Effect::Said(Answer::Yes(passed)));
    }

    /// RFC 3261 §9.1: only an INVITE, once, after a provisional and before a final response.
    fn cancel(&mut self, number: usize, out: &mut Vec<Effect>) {
        let client = &mut self.clients[number];
        let invite = client.request.what == What::Invite;
        let must_wait = invite && client.machine.is(&[State::Calling]);
        if invite && client.machine.is(&[State::Proceeding]) && client.cancel.is_none() {
            client.cancel = Some(Machine::new(&NON_INVITE_CLIENT, client.machine.reliable));
            self.act_cancel(number, NON_INVITE_CLIENT.begin.1, out);
        }
        out.push(Effect::Said(Answer::Yes(!must_wait)));
    }

    /// RFC 3261 §17.1.4. An ICMP error says nothing of an INVITE that was answered.
    fn send_fails(&mut self, number: usize, icmp: bool, out: &mut Vec<Effect>) {
        let client = &self.clients[number];
        let answered = client.request.what == What::Invite && client.machine.is(&[State::Proceeding]);
        let arrow = client
            .machine
            .arrow(Input::TransportError)
            .filter(|_| !(icmp && answered));
        let answer = match arrow {
            Some(arrow) => {
                self.taken.note(client.machine.figure, arrow);
                self.give_up(number);
                Answer::Failed(number)
            }
            None => Answer::Nobody,
        };
        out.push(Effect::Said(answer));
    }

    /// RFC 3261 §17.2.3: an ACK and a CANCEL have the branch of their INVITE, everything else one of its own.
    fn request(&mut self, branch: usize, method: Method, way: Way, out: &mut Vec<Effect>) {
        let invite = method != Method::Message;
        let found = self.servers.iter().position(|server| {
            server.branch == branch && server.invite == invite && !server.machine.is(&[State::Terminated])
        });
        let answer = match (found, method) {
            (Some(server), Method::Cancel) => Answer::Cancels(server),
            (Some(server), Method::Ack) => match self.server_input(server, Input::Ack, out) {
                true => Answer::New,
                false => Answer::Absorbed,
            },
            (Some(server), _) => {
                self.server_input(server, Input::Request, out);
                Answer::Absorbed
            }
            (None, _) => Answer::New,
        };
        if found.is_none() && matches!(method, Method::Invite | Method::Message) {
            let figure = if invite {
                &INVITE_SERVER
            } else {
                &NON_INVITE_SERVER
            };
            self.servers.push(Server {
                machine: Machine::new(figure, way != Way::Udp),
                branch,
                invite,
                response: None,
                trying_at: self.now_ms + trying_after_ms(&self.timers),
                fallback: way == Way::TcpWithFallback,
                on_fallback: false,
            });
        }
        out.push(Effect::Said(answer));
    }

    /// The TU answers; whether that is allowed.
    fn answer(&mut self, number: usize, event: usize, code: u16, out: &mut Vec<Effect>) -> bool {
        let server = &mut self.servers[number];
        // RFC 4320 §4.1 and §4.2.
        let too_early = !server.machine.reliable && self.now_ms < server.trying_at;
        let forbidden = code == 408 || (101..200).contains(&code) || (code == 100 && too_early);
        if (!server.invite && forbidden) || server.machine.arrow(class(code)).is_none() {
            return false;
        }
        let tag = (code != 100).then_some(event);
        server.response = Some(Label {
            what: What::Status(code),
            call: number,
            tag,
        });
        self.server_input(number, class(code), out);
        true
    }

    /// RFC 3261 §18.2.2: the other way is taken once, and for good.
    fn answer_fails(&mut self, number: usize, out: &mut Vec<Effect>) {
        let server = &mut self.servers[number];
        let live = server.response.is_some() && !server.machine.is(&[State::Terminated]);
        if live && std::mem::take(&mut server.fallback) {
            server.on_fallback = true;
            self.server_input(number, Input::TransportError, out);
        }
        out.push(Effect::Said(Answer::Nobody));
    }
}

/// Time.
impl Reference {
    fn deadline(&self) -> Option<u64> {
        let clients = self.clients.iter().flat_map(|client| {
            let cancel = client.cancel.as_ref().and_then(Machine::deadline);
            [client.machine.deadline(), cancel]
        });
        let servers = self
            .servers
            .iter()
            .flat_map(|server| [server.machine.deadline(), server.trying_due()]);
        clients.chain(servers).flatten().min()
    }

    fn pass(&mut self, ms: u64, out: &mut Vec<Effect>) {
        let until = self.now_ms + ms;
        while let Some(at) = self.deadline().filter(|at| *at <= until) {
            self.now_ms = self.now_ms.max(at);
            self.wake(out);
        }
        self.now_ms = until;
    }

    fn wake(&mut self, out: &mut Vec<Effect>) {
        let now_ms = self.now_ms;
        for number in 0..self.clients.len() {
            if let Some(input) = self.clients[number]
                .cancel
                .as_ref()
                .and_then(|cancel| cancel.due(now_ms))
            {
                self.cancel_input(number, input, out);
            }
            if let Some(input) = self.clients[number].machine.due(now_ms) {
                self.client_input(number, input, out);
            }
        }
        for number in 0..self.servers.len() {
            if self.servers[number].trying_due().is_some_and(|at| at <= now_ms) {
                out.push(Effect::TryingDue {
                    at_ms: now_ms,
                    server: number,
                });
                self.answer(number, 0, 100, out);
            }
            if let Some(input) = self.servers[number].machine.due(now_ms) {
                self.server_input(number, input, out);
            }
        }
    }
}

impl Server {
    fn trying_due(&self) -> Option<u64> {
        (!self.invite && self.machine.is(&[State::Trying])).then_some(self.trying_at)
    }
}

/// The arrows.
impl Reference {
    /// An input of a client transaction; whether a response goes to the TU.
    fn client_input(&mut self, number: usize, input: Input, out: &mut Vec<Effect>) -> bool {
        let client = &mut self.clients[number];
        let Some(arrow) = client.machine.arrow(input) else {
            return false;
        };
        self.taken.note(client.machine.figure, arrow);
        let (.., actions, next) = client.machine.figure.arrows[arrow];
        self.act_client(number, actions, out);
        self.clients[number].machine.state = next;
        if next == State::Terminated {
            out.push(Effect::Ended {
                at_ms: self.now_ms,
                client: number,
                timed_out: actions.contains(&Action::InformTu),
            });
        }
        actions.contains(&Action::ToTu)
    }

    fn act_client(&mut self, number: usize, actions: &[Action], out: &mut Vec<Effect>) {
        let (now_ms, client) = (self.now_ms, &mut self.clients[number]);
        for action in actions {
            match *action {
                Action::SendRequest => out.push(sent(now_ms, client.request)),
                Action::SendAck => out.extend(client.ack.map(|ack| sent(now_ms, ack))),
                Action::Start(letter) => client.machine.start(letter, now_ms, &self.timers),
                Action::Reset(letter) => client.machine.reset(letter, now_ms, &self.timers),
                _ => {}
            }
        }
    }

    /// An input of the CANCEL's own transaction, of which the TU hears nothing.
    fn cancel_input(&mut self, number: usize, input: Input, out: &mut Vec<Effect>) {
        let Some(cancel) = &mut self.clients[number].cancel else {
            return;
        };
        let Some(arrow) = cancel.arrow(input) else { return };
        let (.., actions, next) = cancel.figure.arrows[arrow];
        self.act_cancel(number, actions, out);
        if let Some(cancel) = &mut self.clients[number].cancel {
            cancel.state = next;
        }
    }

    fn act_cancel(&mut self, number: usize, actions: &[Action], out: &mut Vec<Effect>) {
        let Some(cancel) = &mut self.clients[number].cancel else {
            return;
        };
        let label = Label {
            what: What::Cancel,
            call: number,
            tag: None,
        };
        for action in actions {
            match *action {
                Action::SendRequest => out.push(sent(self.now_ms, label)),
                Action::Start(letter) => cancel.start(letter, self.now_ms, &self.timers),
                Action::Reset(letter) => cancel.reset(letter, self.now_ms, &self.timers),
                _ => {}
            }
        }
    }

    /// An input of a server transaction; whether an ACK goes to the TU.
    fn server_input(&mut self, number: usize, input: Input, out: &mut Vec<Effect>) -> bool {
        let (now_ms, server) = (self.now_ms, &mut self.servers[number]);
        let Some(arrow) = server.machine.arrow(input) else {
            return false;
        };
        self.taken.note(server.machine.figure, arrow);
        let (.., actions, next) = server.machine.figure.arrows[arrow];
        for action in actions {
            match *action {
                Action::SendResponse | Action::RepeatResponse => {
                    out.extend(server.response.map(|label| Effect::Sent {
                        at_ms: now_ms,
                        label,
                        fallback: server.on_fallback,
                    }));
                }
                Action::Start(letter) => server.machine.start(letter, now_ms, &self.timers),
                Action::Reset(letter) => server.machine.reset(letter, now_ms, &self.timers),
                _ => {}
            }
        }
        server.machine.state = next;
        actions.contains(&Action::ToTu)
    }
}

fn sent(at_ms: u64, label: Label) -> Effect {
    Effect::Sent {
        at_ms,
        label,
        fallback: false,
    }
}

fn class(code: u16) -> Input {
    match code {
        100..200 => Input::Provisional,
        200..300 => Input::Success,
        _ => Input::Refusal,
    }
}

/// RFC 4320 §4.1: how long it takes a client's timer E to be reset to T2.
fn trying_after_ms(t: &Timers) -> u64 {
    let intervals = std::iter::successors(Some(t.t1_ms), |interval| Some(interval * 2));
    intervals.take_while(|&interval| interval < t.t2_ms).sum()
}

/// A transaction's number, counted back from the latest one.
pub(crate) fn back(distance: usize, count: usize) -> Option<usize> {
    count.checked_sub(1).map(|last| last - distance % count)
}
