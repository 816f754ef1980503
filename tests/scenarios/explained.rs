//! What `config::explain` says of a file against what engines do that run by it: who is Master, and how soon.

use vrrpd::config::explain::outcome::{Failure, Move, What};
use vrrpd::config::explain::seats::Cluster;
use vrrpd::config::{self, Format};
use vrrpd::engine::output::StateName;
use vrrpd::engine::params::Effect;

use crate::simulator::MS;
use crate::simulator::rng::Rng;
use crate::simulator::spec::{self, CheckSpec, RouterSpec, TrackSpec};
use crate::simulator::world::Action;
use crate::story::Story;

/// A cluster as the simulator takes it and as an operator writes it.
struct Case {
    cluster: spec::Cluster,
    text: String,
}

fn case(rng: &mut Rng) -> Case {
    let hosts = 2 + rng.below(2);
    let mut priorities: Vec<u8> = Vec::new();
    while priorities.len() < hosts {
        let priority = 20 + rng.below(220) as u8;
        // Of two close ones the second would not hear the first in time; `check` tells that.
        if priorities.iter().all(|other| other.abs_diff(priority) > 3) {
            priorities.push(priority);
        }
    }
    let mut router = RouterSpec::new(&priorities);
    let checks = rng.below(4);
    let mut text = String::from(
        "[instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 1\naddresses = [\"192.0.2.30\"]\nchecks = [\n",
    );
    for check in 0..checks {
        let weight = [0, -40, -90, 60, 110][rng.below(5)];
        let effect = if weight == 0 {
            text += &format!("\"c{check}\",\n");
            Effect::Fault { is_reversed: false }
        } else {
            text += &format!("{{ name = \"c{check}\", weight = {weight} }},\n");
            Effect::Weight { weight, is_reversed: false }
        };
        router.tracks.push(TrackSpec { check, effect, is_urgent: false });
    }
    text += "]\n";
    for (host, priority) in priorities.iter().enumerate() {
        let address = router.address(host);
        text += &format!("[[instance.web.node]]\nname = \"n{host}\"\naddress = \"{address}\"\npriority = {priority}\n");
    }
    for check in 0..checks {
        text += &format!("[check.c{check}]\nfile = \"/c{check}\"\n");
    }
    let checks = vec![CheckSpec { is_number: false, rise: 1, fall: 1, initial: Default::default() }; checks];
    Case { cluster: spec::Cluster { routers: vec![router], checks, groups: Vec::new() }, text }
}

#[test]
fn what_is_explained_is_what_engines_do() {
    let mut moved = 0;
    for seed in 0..60 {
        let case = case(&mut Rng::new(seed));
        let loaded = config::load_from("case.toml", case.text.as_bytes(), Format::Toml)
            .unwrap_or_else(|problems| panic!("seed {seed}: {problems}\n{}", case.text));
        let explained = Cluster::of(&[("case.toml", &loaded)]);
        let router = &explained.routers[0];
        let master = explained.master(router, &[]).unwrap();
        for (node, seat) in router.nodes().enumerate() {
            for failure in seat.failures(node) {
                let told = explained.consequence(router, &failure);
                let context = format!("seed {seed}, {failure:?}, told {told:?}\n{}", case.text);
                moved += usize::from(matches!(told, Move::To { .. }));
                compare(&case, master, &failure, told, &context);
            }
        }
    }
    assert!(moved > 100, "{moved} of the failures move the address");
}

fn compare(case: &Case, master: usize, failure: &Failure, told: Move, context: &str) {
    let mut story = Story::elected(case.cluster.clone());
    assert_eq!(story.masters(), [master], "{context}");
    story.forget();
    let at = story.now();
    match &failure.what {
        What::Host => story.act(Action::Crash(failure.node)),
        What::Stop => story.act(Action::Stop(failure.node)),
        What::Check(name) => story.fail(failure.node, name.trim_start_matches('c').parse().unwrap()),
    }
    story.go(20_000 * MS);
    match told {
        Move::None => assert_eq!(story.masters(), [master], "{context}"),
        Move::Nobody => assert_eq!(story.masters(), [0_usize; 0], "{context}"),
        Move::To { node, within } => {
            assert_eq!(story.masters(), [node], "{context}");
            let changes = story.changes(node);
            let took_at = changes.iter().find(|(_, state, _)| *state == StateName::Master).unwrap().0;
            let (took, within) = (took_at - at, within.as_nanos() as u64);
            assert!(took <= within + MS, "{} ms: {context}", took / MS);
            // An interval may have passed since the last advert when a host dies.
            assert!(took + 1000 * MS >= within, "{} ms is far less: {context}", took / MS);
        }
    }
}
