//! What an advert costs without the kernel: time, and on request instructions.
//!
//!     cargo bench --bench engine                       # nanoseconds for each advert
//!     cargo bench --bench engine -- unicast            # only what has that in its name
//!     cargo bench --bench engine -- --instructions     # counted by valgrind; does not depend on the machine's load
//!
//! Without a library: two engines and a clock are all that it takes, and a count of instructions says more than the
//! spread of a hundred samples on a machine that others use as well.

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "measures time")]

mod count;
mod parts;
mod work;

use std::time::{Duration, Instant};

use parts::Part;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--work", name, rounds] => {
            let part = Part::all().into_iter().find(|part| part.name() == *name).expect("a part of that name");
            part.ready().run(rounds.parse().expect("a number of rounds"));
        }
        ["--instructions", rest @ ..] => parts_named(rest).for_each(|part| show_instructions(&part)),
        names => parts_named(names).for_each(|part| show_time(&part)),
    }
}

fn parts_named<'a>(names: &'a [&str]) -> impl Iterator<Item = Part> + 'a {
    let is_asked = |part: &Part| names.is_empty() || names.iter().any(|name| part.name().contains(name));
    Part::all().into_iter().filter(is_asked)
}

/// Shows the shortest time of several runs: what disturbs a run only makes it longer.
fn show_time(part: &Part) {
    let mut work = part.ready();
    let mut rounds = 1;
    while time(|| work.run(rounds)) < ENOUGH {
        rounds *= 2;
    }
    let shortest = (0..RUNS).map(|_| time(|| work.run(rounds))).min().unwrap_or_default();
    let each = shortest.as_nanos() as f64 / f64::from(rounds) / part.adverts() as f64;
    println!("{:<28} {each:>9.1} ns", part.name());
}

fn show_instructions(part: &Part) {
    let work = |rounds: u32| {
        let mut program = count::under_valgrind(&std::env::current_exe().expect("this program"));
        program.args(["--work", &part.name(), &rounds.to_string()]);
        count::instructions(program)
    };
    let (few, many) = (work(1), work(1 + ROUNDS));
    let each = (many - few) as f64 / f64::from(ROUNDS) / part.adverts() as f64;
    println!("{:<28} {each:>9.0} instructions", part.name());
}

fn time(act: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    act();
    begin.elapsed()
}

/// Long enough for a clock.
const ENOUGH: Duration = Duration::from_millis(20);
const RUNS: u32 = 15;
/// What is counted is the same each time.
const ROUNDS: u32 = 10;
