//! The part of the service that reads everything: at the start, and after notifications were lost.

use std::time::Duration;

use tokio::time::sleep;

use super::{NetService, Report};
use crate::net::netlink::{Dumper, Monitor, Touch};
use crate::net::notice::Notice;

/// Pause before netlink is opened again after it failed.
const REOPEN: Duration = Duration::from_millis(200);

impl<F: FnMut(Report)> NetService<F> {
    /// Makes the view right again after notifications were lost or the socket failed.
    ///
    /// With another socket: after a loss the kernel drops without a word until all that waits was read, and that is older than a dump.
    pub(super) async fn resynchronise(&mut self) {
        (self.on)(Report::Notice(match std::mem::take(&mut self.is_deaf) {
            true => Notice::Netlink { error: "notification socket closed".to_owned() },
            false => Notice::Overrun,
        }));
        while let Err(error) = Monitor::open().map(|monitor| self.monitor = monitor) {
            (self.on)(Report::Notice(Notice::Netlink { error: error.to_string() }));
            sleep(REOPEN).await;
        }
        self.read_all().await;
        self.vips.compare(&self.links);
        self.routes.touched(Touch::Lost);
    }

    /// Replaces the view by a dump, however long that takes.
    pub(super) async fn read_all(&mut self) {
        self.is_stale = false;
        loop {
            let error = match self.dumper.dump().await {
                Ok(dump) => return self.links.replace(dump),
                Err(error) => error.to_string(),
            };
            (self.on)(Report::Notice(Notice::Netlink { error }));
            sleep(REOPEN).await;
            if let Ok(dumper) = Dumper::open() {
                self.dumper = dumper;
            }
        }
    }
}
