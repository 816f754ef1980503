//! Random bytes as inputs of one node; the fuzz target `engine` asks the same.

use crate::simulator::property;
use crate::simulator::rng::Rng;

#[test]
fn random_inputs_keep_the_contract() {
    let mut rng = Rng::new(7);
    let (mut promotions, mut demotions, mut accepted, mut resignations) = (0, 0, 0, 0);
    for number in 0..SEQUENCES {
        let len = rng.between(16, 1000);
        // Small numbers are likelier than large ones: they name the inputs.
        let bytes: Vec<u8> = (0..len).map(|_| rng.between(0, 255) as u8 >> (rng.below(8) / 5 * 4)).collect();
        let Ok(routers) = std::panic::catch_unwind(|| property::check(&bytes)) else {
            panic!("sequence {number}: {bytes:?}");
        };
        for counters in routers {
            promotions += counters.became_master;
            demotions += counters.released_master;
            accepted += counters.advertisements_received;
            resignations += counters.priority_zero_sent;
        }
    }
    let reached = [promotions, demotions, accepted, resignations];
    println!("promotions, demotions, adverts accepted, resignations sent: {reached:?}");
    assert!(reached.iter().all(|times| *times > SEQUENCES / 10), "the sequences reach nothing: {reached:?}");
}

/// How many sequences; each makes up to 100 turns.
const SEQUENCES: u64 = 20_000;
