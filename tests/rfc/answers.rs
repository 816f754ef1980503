//! A Master under a flood of adverts that it must believe: its own rhythm is neither starved nor multiplied.

use crate::bench::*;

/// When adverts leave while a resignation is heard every `gap` ms, over ten intervals of one second.
fn sent_under_flood(mut bench: Bench, flood: &Packet, gap: u64) -> Vec<u64> {
    let mut sent = Vec::new();
    for ms_since in (gap..10_000).step_by(gap as usize) {
        let mut seen = untimed(bench.run(ms(gap)));
        seen.extend(bench.accepts(flood));
        sent.extend(adverts(&seen).iter().map(|_| ms_since));
    }
    sent
}

#[test]
fn answers_to_resignations_are_two_an_interval() {
    for params in [v3(), v2(), unicast(v3())] {
        for gap in [1, 7, 300] {
            let sent = sent_under_flood(Bench::master(params.clone()), &Packet::like(&params, 0), gap);
            assert!((10..=22).contains(&sent.len()), "{gap}: {sent:?}");
            let longest = sent.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            assert!(longest <= 1000 + gap, "{gap}: {sent:?}");
        }
    }
}

#[test]
fn both_copies_of_one_resignation_are_answered() {
    for params in [v3(), v2()] {
        let resignation = Packet::like(&params, 0);
        let mut bench = Bench::master(params);
        bench.wait(ms(300));
        assert_eq!(sent_priorities(&bench.accepts(&resignation)), [100]);
        bench.wait(ms(50));
        assert_eq!(sent_priorities(&bench.accepts(&resignation)), [100]);
        bench.wait(ms(50));
        assert!(adverts(&bench.accepts(&resignation)).is_empty());
        let next = bench.run(ms(1000)).into_iter().find(|(_, seen)| matches!(seen, Seen::Sent(_)));
        assert_eq!(next.map(|(at, _)| at), Some(ms(950)), "the timer is moved by an advert alone");
    }
}

#[test]
fn losing_adverts_do_not_use_up_the_answers_to_a_resignation() {
    let mut bench = Bench::master(v3());
    bench.wait(ms(300));
    for _ in 0..50 {
        bench.accepts(&Packet::like(&v3(), 50));
    }
    assert_eq!(sent_priorities(&bench.accepts(&Packet::like(&v3(), 0))), [100]);
}
