//! `vrrpd demo`, and the laboratory it stands in: nodes and a client in network namespaces, made without any command
//! of the system and gone with the process.
//!
//! The real-kernel tests use the same laboratory. Nothing here decides protocol matters: the demo starts daemons of
//! this binary as anybody would, and believes only the kernel about who holds an address.
//!
//! One stop before: `cli`. Inside: [`lab`] (what is built), [`watch`] and [`probe`] (what is seen), [`show`] (what is
//! played).

pub mod clock;
pub mod echo;
pub mod error;
pub mod frame;
pub mod lab;
pub mod namespace;
pub mod netlink;
pub mod plan;
pub mod probe;
pub mod process;
pub mod rootless;
pub mod scratch;
pub mod screen;
pub mod show;
pub mod site;
pub mod table;
pub mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use error::LabError;
use screen::{Look, Screen};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Plays the demo on the standard output.
///
/// To be called while the process has one thread: without root it moves into a user namespace, which the kernel allows
/// to such a process only.
///
/// Exit status: 0 when the address was where it should be after each step, 70 when not, 69 when the laboratory could
/// not be built, 77 when the system forbids it, 130 after Ctrl-C.
pub fn run() -> ExitCode {
    let screen = Screen::new();
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(source) => return fail(Path::new("vrrpd"), &LabError::kernel("find this program's file")(source)),
    };
    match play(program.clone(), &screen) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EX_SOFTWARE),
        Err(error) => fail(&program, &error),
    }
}

const EX_UNAVAILABLE: u8 = 69;
const EX_SOFTWARE: u8 = 70;
const EX_NOPERM: u8 = 77;
/// What a shell makes of SIGINT.
const INTERRUPTED: u8 = 130;

/// Plays; returns whether the address was always where it should be.
fn play(program: PathBuf, screen: &Screen) -> Result<bool, LabError> {
    rootless::make_room()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(LabError::kernel("catch signals"))?;
    }
    let rows = show::Show::new(program, screen.clone(), interrupted)?.play()?;
    table::print(screen, &rows);
    let is_right = rows.iter().all(table::Row::is_right);
    let verdict = if is_right {
        (Look::Good, "\nThe address was where it should be after each step.")
    } else {
        (Look::Bad, "\nThe address was NOT where it should be.")
    };
    screen.say(&screen.paint(verdict.0, verdict.1));
    Ok(is_right)
}

fn fail(program: &Path, error: &LabError) -> ExitCode {
    let (status, advice) = match error {
        LabError::Interrupted => return ExitCode::from(INTERRUPTED),
        LabError::Forbidden { .. } if nix::unistd::geteuid().is_root() => {
            (EX_NOPERM, "\nThis root lacks CAP_SYS_ADMIN and CAP_NET_ADMIN, as in most containers.".to_owned())
        }
        LabError::Forbidden { .. } => (EX_NOPERM, format!("\nRun it as root: sudo {} demo", program.display())),
        LabError::Kernel { .. } => (EX_UNAVAILABLE, String::new()),
        LabError::Daemon { .. } | LabError::TooLate { .. } => (EX_SOFTWARE, String::new()),
    };
    use std::io::Write;
    // Nobody to tell where the standard error is closed.
    let _ = writeln!(std::io::stderr(), "vrrpd demo: {error}{advice}");
    ExitCode::from(status)
}
