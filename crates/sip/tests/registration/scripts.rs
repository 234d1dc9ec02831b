//! The registration by its scripts.

use std::path::Path;

use strowger_sip::Destination;
use strowger_sip::ua::{Standing, Why};
use strowger_testkit::script::{Effect, Subject, play_all};

use crate::registrar::{Scene, settings};

#[test]
fn every_script() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registration/scripts");
    play_all(&folder, || Kept {
        scene: Scene::of(settings()),
        asked: String::new(),
    });
}

/// A registration that is kept up.
///
/// The `registrar` gets `REGISTER`, and `REGISTER 2` if it is its second server, and answers with a status code; or the `network`
/// says `error` or nothing until the `timeout`. The `user` can `leave`, or `hurry`. The `node` is told what it has come to.
/// `DNS` gets the name that is looked for while it does not know it, which the settings `DNS is slow` and `DNS knows nothing`
/// say; other settings are `servers N`, `expires SECONDS`, `realm NAME` and `outbound URI`. Credentials are shown as their realm,
/// nonce, algorithm and count.
struct Kept {
    scene: Scene,
    /// The name that was last looked for.
    asked: String,
}

impl Subject for Kept {
    fn set(&mut self, setting: &str) -> Result<(), String> {
        let scene = &mut self.scene;
        match setting.split_once(' ') {
            Some(("servers", n)) => scene.servers = n.parse().map_err(|_| "how many?")?,
            Some(("expires", n)) => {
                let expires = n.parse().map_err(|_| "how long?")?;
                scene.set(|settings| settings.expires = expires);
            }
            Some(("realm", name)) => scene.set(|settings| settings.account.realm = Some(name.to_owned())),
            Some(("outbound", uri)) => scene.set(|settings| settings.outbound = Some(uri.as_bytes().into())),
            Some(("DNS", "is slow")) => scene.is_known = false,
            Some(("DNS", "knows nothing")) => scene.servers = 0,
            _ => return Err(format!("no setting `{setting}`")),
        }
        Ok(())
    }

    fn happen(&mut self, party: &str, what: &str, fields: &[&str]) -> Result<(), String> {
        let scene = &mut self.scene;
        match (party, what) {
            ("registrar", code) => scene.answer(code.parse().map_err(|_| "what answer?")?, fields),
            ("network", "timeout") => scene.no_answer(Why::Silent),
            ("network", "error") => scene.no_answer(Why::Unreachable),
            ("user", "leave") => scene.leave(),
            ("user", "hurry") => scene.registration.hurry(scene.now_ms),
            ("DNS", "answer") => scene.is_known = true,
            _ => return Err(format!("what is `{party} {what}`?")),
        }
        scene.go_to(scene.now_ms);
        Ok(())
    }

    fn go_to(&mut self, at_ms: u64) {
        self.scene.go_to(at_ms);
    }

    /// At one time, what was sent comes before what it stands at.
    fn effects(&mut self) -> Vec<Effect> {
        let scene = &mut self.scene;
        let mut effects: Vec<_> = scene
            .sent
            .iter_mut()
            .filter(|sent| sent.at_ms != TOLD)
            .map(|sent| {
                let what = match sent.to {
                    Destination::Datagram { to, .. } if to.to_string() != "198.51.100.1:5060" => "REGISTER 2",
                    _ => "REGISTER",
                };
                let effect = effect(sent.at_ms, "registrar", what, &plain(&sent.text));
                sent.at_ms = TOLD;
                effect
            })
            .collect();
        let standings = scene.standings.iter_mut().filter(|(at_ms, _)| *at_ms != TOLD);
        effects.extend(standings.map(|(at_ms, standing)| {
            let what = match standing {
                Standing::Registering => "registering".to_owned(),
                Standing::Registered(None) => "registered".to_owned(),
                Standing::Registered(Some(why)) => format!("registered, {why}"),
                Standing::Failing(why) => why.to_string(),
                Standing::Removing => "removing".to_owned(),
                Standing::Ended => "ended".to_owned(),
            };
            effect(std::mem::replace(at_ms, TOLD), "node", &what, "")
        }));
        for uri in scene.located.drain(..) {
            if !scene.is_known && uri != self.asked {
                effects.push(effect(scene.now_ms, "DNS", &uri, ""));
                self.asked = uri;
            }
        }
        effects.sort_by_key(|effect| effect.at_ms);
        effects
    }

    fn left(&mut self) -> Option<String> {
        let standing = self.scene.registration.standing();
        (standing != Standing::Ended).then(|| format!("{standing:?}"))
    }
}

/// Stands for the time of what was told already.
const TOLD: u64 = u64::MAX;

/// A REGISTER whose credentials are shown by what is the same in all runs and readable.
fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(": Digest ") {
        Some((name, params)) => {
            let of = |name: &str| {
                let from = params.find(&format!("{name}=")).map(|at| at + name.len() + 1)?;
                Some(params[from..].split(", ").next()?.trim_matches('"'))
            };
            let shown: Vec<_> = ["realm", "nonce", "algorithm", "nc"]
                .into_iter()
                .filter_map(of)
                .collect();
            format!("{name}: {}", shown.join(" "))
        }
        None => line.to_owned(),
    });
    lines.map(|line| line + "\r\n").collect()
}

fn effect(at_ms: u64, party: &str, what: &str, text: &str) -> Effect {
    Effect {
        at_ms,
        party: party.to_owned(),
        what: what.to_owned(),
        text: text.to_owned(),
    }
}
