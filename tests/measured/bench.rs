//! What an advert, a takeover and a router cost, beside Keepalived: the same work for both, in turn, in two namespaces of their own.
//!
//! `tests/bench` runs it. One table; it judges nothing, since another machine has other figures: the ratios are what counts, and
//! what must not grow is held by `tests/guard`.

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "waits for real programs in real time")]

mod floor;
mod page;
mod pair;
mod usage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use vrrpd::demo::error::LabError;

use pair::{Case, Figures, Program};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (flags, words): (Vec<&str>, Vec<&str>) = words.iter().map(String::as_str).partition(|word| *word == "--quick");
    let outcome = match words.as_slice() {
        [binary, record @ ..] => {
            measure(Path::new(binary), !flags.is_empty(), record.first().map(PathBuf::from)).map_err(|e| e.to_string())
        }
        [] => Err("usage: bench [--quick] VRRPD [RECORD]; ./tests/bench runs it".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn measure(binary: &Path, is_quick: bool, record: Option<PathBuf>) -> Result<(), LabError> {
    let programs = [Program::Keepalived, Program::Ours(binary.to_owned())];
    let (rounds, length) = if is_quick { (1, Duration::from_secs(5)) } else { (3, Duration::from_secs(10)) };
    let floor = floor::measure()?;
    let mut rows = Vec::new();
    for case in CASES {
        let mut figures: [Vec<Figures>; 2] = Default::default();
        for _ in 0..rounds {
            for (program, figures) in programs.iter().zip(&mut figures) {
                if case.is_signed && *program == Program::Keepalived {
                    continue;
                }
                let found = pair::measure(program, case, length)?;
                eprintln!("{} {}: {found:?}", program.name(), case.name());
                figures.push(found);
            }
        }
        rows.push((*case, figures.map(|figures| Figures::median(&figures))));
    }
    let table = page::table(&rows, &floor);
    println!("{table}");
    if let Some(path) = record {
        let page = page::page(&table, &programs, rounds)?;
        std::fs::write(&path, page).map_err(LabError::kernel(format!("write {}", path.display())))?;
    }
    Ok(())
}

/// What is measured.
const CASES: &[Case] = &[
    Case { routers: 1, interval: Duration::from_secs(1), is_signed: false },
    Case { routers: 4080, interval: Duration::from_secs(1), is_signed: false },
    Case { routers: 4080, interval: Duration::from_millis(100), is_signed: false },
    Case { routers: 4080, interval: Duration::from_millis(100), is_signed: true },
    Case { routers: 1020, interval: Duration::from_millis(10), is_signed: false },
];
