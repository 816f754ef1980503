//! The table, and the page that it is on.

use std::fmt::Write as _;
use std::process::Command;

use vrrpd::demo::error::LabError;

use crate::floor::Floor;
use crate::pair::{Case, Figures, Program};

/// A case, and what came of Keepalived and of ours.
pub type Row = (Case, [Option<Figures>; 2]);

/// Returns all figures as one table.
pub fn table(rows: &[Row], floor: &Floor) -> String {
    let mut text = String::from("| work | figure | Keepalived | vrrpd | ratio |\n|---|---|---|---|---|\n");
    for (case, figures) in rows {
        let mut line = |figure: &str, read: &dyn Fn(&Figures) -> f64, digits: usize| {
            let [theirs, ours] = [0, 1].map(|at| figures.get(at).and_then(Option::as_ref).map(read));
            let cell = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
            let ratio = theirs.zip(ours).filter(|(theirs, _)| *theirs != 0.0).map(|(theirs, ours)| ours / theirs);
            let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {} | {figure} | {} | {} | {ratio} |", case.name(), cell(theirs), cell(ours));
        };
        line("processor for each advert as Master, us", &|f| f.cost[0], 2);
        line("processor for each advert as Backup, us", &|f| f.cost[1], 2);
        line("adverts sent of those due, %", &|f| f.sent * 100.0, 2);
        line("changes of state while nothing happened", &|f| f.flaps, 0);
        line("woken up as Master, a second", &|f| f.switches[0], 1);
        line("woken up as Backup, a second", &|f| f.switches[1], 1);
        line("resident memory as Master, MiB", &|f| f.memory / 1024.0, 1);
        line("start, over the time it has to wait, ms", &|f| f.start * 1e3, 0);
        line("takeover after a kill, first to last router, ms", &|f| f.spread * 1e3, 0);
        line("exit of a Backup, ms", &|f| f.exit * 1e3, 0);
    }
    let _ = writeln!(text, "| one packet | the kernel's own processor to send, us | - | {:.2} | - |", floor.sent);
    let _ = writeln!(text, "| one packet | the kernel's own processor to read, us | - | {:.2} | - |", floor.read);
    text
}

/// Returns the page of docs/: what it says around the table stays as it is.
pub fn page(table: &str, programs: &[Program], rounds: usize) -> Result<String, LabError> {
    let path = "docs/performance.md";
    let before = std::fs::read_to_string(path).map_err(LabError::kernel(format!("read {path}")))?;
    let (head, rest) = before.split_once(BEGIN).unwrap_or((&before, ""));
    let tail = rest.split_once(END).map_or("", |(_, tail)| tail);
    let said = |command: &mut Command| {
        let output = command.output().ok()?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        text.lines().next().map(str::to_owned)
    };
    let version = |program: &Program| match program {
        Program::Keepalived => said(Command::new("keepalived").arg("--version")),
        Program::Ours(binary) => said(Command::new(binary).arg("--version")),
    };
    let versions: Vec<String> = programs.iter().filter_map(version).collect();
    let date = said(Command::new("date").args(["-u", "+%Y-%m-%d"])).unwrap_or_default();
    // What is behind the version belongs to one machine.
    let kernel = said(Command::new("uname").arg("-r")).unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default();
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let processor = processor.trim_start_matches([' ', '\t', ':']);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let machine = format!(
        "Recorded {date}: {}; Linux {kernel}, {count} x {processor}; medians of {rounds}.",
        versions.join("; ")
    );
    Ok(format!("{head}{BEGIN}\n{machine}\n\n{table}\n{END}{tail}"))
}

const BEGIN: &str = "<!-- recorded by tests/bench -->";
const END: &str = "<!-- end of what was recorded -->";
