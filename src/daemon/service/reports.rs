//! What the service thread does with what the network service says.

use super::Service;
use crate::daemon::channel::ToProtocol;
use crate::daemon::event_loop::read_clocks;
use crate::daemon::record::Record;
use crate::daemon::{notices, systemd};
use crate::engine::input::Input;
use crate::net::notice::Notice;
use crate::net::service::Report;

impl Service {
    /// Passes on what the kernel says.
    pub(super) fn report(&self, report: Report) {
        match report {
            Report::Interface(interface) => {
                self.checks.look(&interface);
                self.hooks.look(&interface);
                self.protocol.send(ToProtocol::Input(Input::Interface(interface)));
            }
            Report::Vips { router, held } => self.protocol.send(ToProtocol::Input(Input::Vips { router, held })),
            Report::Trouble { router, trouble } => {
                self.protocol.send(ToProtocol::Input(Input::Trouble { router, trouble }));
            }
            Report::Pulse => self.pulse.notify_one(),
            Report::Ready => {
                self.protocol.send(ToProtocol::Input(Input::Startup));
                systemd::ready("started");
                self.guard.dismiss();
            }
            Report::Notice(notice) => self.log.write(read_clocks().utc, self.notice(&notice)),
        }
    }

    fn notice(&self, notice: &Notice) -> Record {
        let routers = self.routers.borrow();
        let router = match notice {
            Notice::PutBack { router, .. }
            | Notice::Restored { router, .. }
            | Notice::Conflict { router, .. }
            | Notice::ConflictOver { router, .. }
            | Notice::Refused { router, .. }
            | Notice::Accepted { router, .. }
            | Notice::EntryPutBack { router, .. }
            | Notice::EntryRefused { router, .. }
            | Notice::EntryAccepted { router, .. } => routers.get(router),
            Notice::Stuck { .. }
            | Notice::EntryStuck { .. }
            | Notice::LeftoverEntries { .. }
            | Notice::Leftovers { .. }
            | Notice::AnnounceOverflow { .. }
            | Notice::Overrun
            | Notice::Netlink { .. } => None,
        };
        notices::record(notice, router.map(|params| params.name.as_str()))
    }
}
