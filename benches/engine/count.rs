//! Instructions of a program, as valgrind counts them: the same number on every run, whatever else the machine does.

use std::path::Path;
use std::process::Command;

/// Returns a command that runs a program under valgrind; its arguments are to be added.
pub fn under_valgrind(program: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command
}

/// Runs it and returns how many instructions all of it took.
pub fn instructions(mut command: Command) -> u64 {
    let output =
        command.output().unwrap_or_else(|error| panic!("valgrind: {error}; ./tests/run --install-only has it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    let collected = said.lines().find_map(|line| line.split_once("Collected :")).map(|(_, number)| number.trim());
    collected.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{command:?}: no count in\n{said}"))
}
