//! The rehearsal of a start: everything that `run` reads and asks for, and nothing that it changes.
//!
//! A daemon that is about to be replaced runs it as a child. One stop before: `daemon::upgrade` of that daemon. One stop after: its
//! answer, a line on standard output, or the reasons against it on standard error.

use std::io::Write;
use std::process::ExitCode;

use super::event_loop::wanted_sockets;
use super::secrecy;
use super::start::{self, Options, StartError};
use super::upgrade::Handshake;
use crate::config;
use crate::net::socket::{Receiver, Sender};

/// Says whether the daemon would start here; returns the exit code that `run` would have.
pub fn preflight(options: &Options) -> ExitCode {
    let handshake = rehearse(options).map(|()| serde_json::to_string(&Handshake::own()).unwrap_or_default());
    let told = match handshake {
        Ok(line) => writeln!(std::io::stdout(), "{line}").map_err(StartError::System),
        Err(error) => Err(error),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn rehearse(options: &Options) -> Result<(), StartError> {
    let _hidden = secrecy::hide();
    let path = options.config.clone().unwrap_or_else(config::default_path);
    let loaded = config::load(&path, options.format).map_err(StartError::Config)?;
    start::check_capabilities()?;
    // A daemon that runs has its address; one that is missing is not waited for here.
    let params = start::params_of_this_host(&loaded.config)?;
    let wanted = wanted_sockets(&params);
    Receiver::open(wanted).map_err(StartError::Socket)?;
    Sender::open(wanted).map_err(StartError::Socket)?;
    Ok(())
}
