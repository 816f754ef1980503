//! What the service thread does at SIGUSR1: the whole status as text, a line of the log for each of its lines.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::sleep;

use super::{Net, Service};
use crate::control::render::{Paint, text};
use crate::daemon::event_loop::read_clocks;
use crate::daemon::record::{Level, Record};

/// Whether the status is being written.
#[derive(Debug, Default)]
pub(super) struct Showing(Cell<bool>);

impl Service {
    /// Writes the status to the log, beside everything else; a second signal before the end of that means the same.
    pub(super) fn show_by_signal(self: &Rc<Self>, net: &Net) {
        if self.showing.0.replace(true) {
            return;
        }
        let (service, net) = (Rc::clone(self), net.clone());
        spawn_local(async move {
            if let Some(status) = service.status(&net).await {
                service.write_lines(&text(&status, false, Paint::Plain)).await;
            }
            service.showing.0.set(false);
        });
    }

    async fn write_lines(&self, text: &str) {
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        for (count, line) in (1..).zip(lines) {
            self.log.write(read_clocks().utc, Record::new(Level::Info, line.to_owned()));
            // The queue of the log is bounded, and is to have room for what else happens.
            if count % BATCH == 0 {
                sleep(PAUSE).await;
            }
        }
    }
}

/// Lines that are written at a time, and how long the log has for them.
const BATCH: usize = 256;
const PAUSE: Duration = Duration::from_millis(20);
