//! RFC 3261 §16.7 steps 5 to 7: which answer of a fork of 20 targets the caller gets, whatever they answer in whatever order.

use strowger_sip::proxy::Turn;
use strowger_testkit::Random;

use crate::stage::{Stage, Way, request, ways};

const TARGETS: &str = "abcdefghijklmnopqrst";

/// Status codes by their class, each list in the order in which step 6 prefers them; groups of equals together.
const CODES: [&[&[u16]]; 5] = [
    &[&[200, 202]],
    &[&[300, 302]],
    &[&[401, 407], &[415, 420, 484], &[404, 486], &[408, 480], &[487]],
    &[&[500, 501, 504], &[503]],
    &[&[600, 603, 604, 606]],
];

/// What one group of targets answers, in the order of the answers.
type Answers = Vec<(char, u16)>;

/// Every order in which some of the five classes may come first.
fn orders_of_classes() -> Vec<Vec<usize>> {
    let (mut all, mut last) = (Vec::new(), vec![Vec::new()]);
    for _ in 0..CODES.len() {
        let longer = |order: &Vec<usize>| {
            let more = (0..CODES.len()).filter(|class| !order.contains(class));
            more.map(|class| [&order[..], &[class]].concat())
                .collect::<Vec<_>>()
        };
        last = last.iter().flat_map(longer).collect();
        all.extend_from_slice(&last);
    }
    all
}

/// Twenty answers: the classes come for the first time in this order, and again as chance will have it.
fn answers(order: &[usize], random: &mut Random) -> Answers {
    let mut free: Vec<char> = TARGETS.chars().collect();
    let mut classes = order.to_vec();
    while classes.len() < free.len() {
        let class = random.of(order);
        let first = classes.iter().position(|&c| c == class).unwrap_or_default();
        let behind = random.below((classes.len() - first) as u64) as usize;
        classes.insert(first + 1 + behind, class);
    }
    let mut answer = |class: usize| {
        let alike = random.of(CODES[class]);
        let code = random.of(alike);
        let who = free.swap_remove(random.below(free.len() as u64) as usize);
        (who, code)
    };
    classes.into_iter().map(&mut answer).collect()
}

/// What the caller is to get for the answers of one group after the other.
fn expected(method: &str, groups: &[Answers]) -> Vec<u16> {
    let ends = |answers: &Answers| answers.iter().any(|(_, code)| matches!(code / 100, 2 | 6));
    let asked = groups.iter().position(ends).map_or(groups.len(), |at| at + 1);
    let codes: Vec<u16> = groups[..asked].iter().flatten().map(|&(_, code)| code).collect();
    let good: Vec<u16> = codes.iter().copied().filter(|code| code / 100 == 2).collect();
    if !good.is_empty() {
        return if method == "INVITE" { good } else { vec![good[0]] };
    }
    let preferred = [CODES[4], CODES[1], CODES[2], CODES[3]].concat();
    let best = preferred
        .iter()
        .find_map(|alike| codes.iter().find(|code| alike.contains(code)));
    // A 503 is not passed on.
    vec![best.map_or(0, |&code| if code == 503 { 500 } else { code })]
}

/// The targets of the groups.
fn targets(groups: &[Answers]) -> Vec<Way> {
    let of_group = |(group, answers): (usize, &Answers)| {
        let names: String = answers.iter().map(|&(who, _)| who).collect();
        let turn = Turn {
            group: group as u16,
            ..Turn::default()
        };
        ways(&names)
            .into_iter()
            .map(move |way| Way { turn, ..way })
            .collect::<Vec<_>>()
    };
    groups.iter().enumerate().flat_map(of_group).collect()
}

/// What the caller gets.
fn played(method: &str, groups: &[Answers]) -> Vec<u16> {
    let mut stage = Stage::new();
    stage.start(&request(method), &targets(groups));
    for answers in groups {
        let was_asked = answers.iter().all(|&(who, _)| stage.was_sent(who, method));
        for &(who, code) in answers.iter().filter(|_| was_asked) {
            stage.answer(who, code);
        }
    }
    let log = stage.log();
    let finals = log.split(", ").filter_map(|event| event.split_once(" > "));
    let codes = finals
        .map(|(_, code)| code.parse().expect("a status code"))
        .collect();
    stage.assert_ends();
    codes
}

#[test]
fn every_order_of_classes_among_twenty_targets_gives_the_answer_of_step_6() {
    let mut random = Random::seeded(20);
    let orders = orders_of_classes();
    assert_eq!(orders.len(), 5 + 20 + 60 + 120 + 120);
    for order in &orders {
        let at_once = vec![answers(order, &mut random)];
        let in_turn: Vec<Answers> = at_once[0].chunks(4).map(<[_]>::to_vec).collect();
        for (method, groups) in [("INVITE", &at_once), ("MESSAGE", &at_once), ("INVITE", &in_turn)] {
            assert_eq!(played(method, groups), expected(method, groups), "{groups:?}");
        }
    }
}
