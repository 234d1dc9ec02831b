//! Which of two final responses is the better one to pass on (RFC 3261 §16.7 step 6).

use strowger_syntax::Status;

/// Whether `a` is to be preferred to `b`: any 6xx first, else the lowest class; within 4xx those that tell the caller
/// how to try again, and last what says least.
pub fn is_better(a: Status, b: Status) -> bool {
    rank(a) < rank(b)
}

fn rank(status: Status) -> (u16, u16) {
    let class = match status.class() {
        6 => 0,
        class => class,
    };
    let within = match status.code() {
        401 | 407 => 0,
        415 | 420 | 484 => 1,
        408 | 480 => 3,
        // That a target was cancelled here, or one flow to it is gone, says nothing of the user.
        430 | 487 | 503 => 4,
        _ => 2,
    };
    (class, within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_16_7_step_6() {
        let order = [603, 302, 401, 415, 404, 408, 430, 500, 503];
        for (i, &better) in order.iter().enumerate() {
            for &worse in &order[i + 1..] {
                assert!(
                    is_better(Status::new(better), Status::new(worse)),
                    "{better} {worse}"
                );
                assert!(
                    !is_better(Status::new(worse), Status::new(better)),
                    "{worse} {better}"
                );
            }
        }
    }
}
