//! The part of the service that is about who owns an address: leases, troubles, and when to look again.

use std::cell::LazyCell;
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::{NetService, Report};
use crate::engine::input::{Interface, RouterKey};
use crate::engine::time::Instant;
use crate::net::announce::is_forwarding;
use crate::net::asking::Asking;
use crate::net::conflict::Question;
use crate::net::netlink::ask_anew;
use crate::wire::announce::{ARP_FRAME_LEN, ArpForm, NA_FRAME_LEN, write_gratuitous_arp, write_neighbor_advert};
use crate::wire::inquiry::{arp_probe, neighbor_solicit};

impl<F: FnMut(Report)> NetService<F> {
    /// Lets time pass: whatever is due is asked for or told.
    pub(super) fn turn(&mut self) {
        let now = (self.clock)();
        self.vips.turn(now);
        self.troubles.expire(now);
        self.inquire(now);
        self.ask_hosts(now);
        if self.vips.pulse_at().is_some_and(|at| at <= now) {
            self.vips.pulse_asked();
            (self.on)(Report::Pulse);
        }
    }

    /// Returns how long until something is due; `None`: nothing will be.
    pub(super) fn alarm(&self) -> Option<Duration> {
        let next = [
            self.vips.pulse_at(),
            self.troubles.deadline(),
            self.conflicts.deadline(),
            self.asking.deadline(),
            self.prober.deadline(),
            self.asker.deadline(),
            self.links.deadline(),
        ];
        let next = next.into_iter().flatten().min()?;
        Some(next.since((self.clock)()))
    }

    /// Asks who else has our addresses, and takes in who answered.
    fn inquire(&mut self, now: Instant) {
        if self.conflicts.is_heard(now) {
            let answers = self.prober.read();
            self.prober.rest(now);
            let links = &self.links;
            self.conflicts.judge(&answers, |mac| links.is_own_mac(mac));
        }
        let questions = self.conflicts.next_questions(now, &self.links);
        if !questions.is_empty() {
            // Without the sockets nobody is heard, and the next round tries again.
            self.prober.listen();
        }
        for question in questions {
            self.ask(question);
        }
        self.prober.turn(now);
    }

    /// Lets the kernel ask for a host with the next packet.
    pub(super) fn reach(&self, interface: &str, host: IpAddr) {
        if let Some(link) = self.links.named(interface)
            && let Err(error) = ask_anew(link.index, host)
        {
            tracing::debug!(%host, %error, "the kernel does not forget that a host did not answer");
        }
    }

    /// Begins to ask for a host; where it is not on the link nobody is asked, and there is no reply.
    pub(super) fn ask_host(&mut self, interface: &str, host: IpAddr, reply: oneshot::Sender<bool>) {
        let Some(index) = self.links.named(interface).map(|link| link.index) else { return };
        if self.links.is_on_link(index, host) {
            let now = (self.clock)();
            self.asking.ask(now, Question { interface: index, address: host }, reply);
            self.ask_hosts(now);
        }
    }

    /// Asks for hosts, and takes in who answered.
    fn ask_hosts(&mut self, now: Instant) {
        self.asker.turn(now);
        if self.asking.is_idle() {
            return;
        }
        if !self.asker.listen() {
            // Without the sockets nobody is heard, and nothing can be said.
            self.asking = Asking::default();
            return;
        }
        for question in self.asking.turn(now, &self.asker.read()) {
            self.ask(question);
        }
        if self.asking.is_idle() {
            self.asker.rest(now);
        }
    }

    fn ask(&mut self, question: Question) {
        let link = self.links.link(question.interface).filter(|link| link.is_up && link.is_running);
        let Some(mac) = link.and_then(|link| link.mac) else { return };
        match question.address {
            IpAddr::V4(address) => self.announcer.send_frame(question.interface, &arp_probe(mac, address)),
            IpAddr::V6(address) => {
                let Some(source) = self.links.own_v6(question.interface) else { return };
                self.announcer.send_frame(question.interface, &neighbor_solicit(mac, source, address));
            }
        }
    }

    /// Tells the neighbours of an interface's own addresses where they are, if they may believe something else.
    pub(super) fn introduce(&mut self, interface: &Interface) {
        let Some(link) = self.links.named(&interface.name).filter(|link| self.links.is_watched(&link.name)) else {
            return;
        };
        let (Some(mac), index) = (link.mac, link.index) else { return };
        let is_router = LazyCell::new(|| is_forwarding(&interface.name));
        for address in self.introductions.due(interface, Some(mac)) {
            match address {
                IpAddr::V4(address) => {
                    for form in ArpForm::ALL {
                        let mut frame = [0; ARP_FRAME_LEN];
                        write_gratuitous_arp(&mut frame, mac, address, form);
                        self.announcer.send_frame(index, &frame);
                    }
                }
                IpAddr::V6(address) => {
                    let mut frame = [0; NA_FRAME_LEN];
                    write_neighbor_advert(&mut frame, mac, address, *is_router);
                    self.announcer.send_frame(index, &frame);
                }
            }
        }
    }

    /// Reports what keeps routers from holding their addresses.
    pub(super) fn tell_troubles(&mut self) {
        let now: Instant = (self.clock)();
        for (router, trouble) in self.vips.take_troubles().into_iter().chain(self.conflicts.take_troubles()) {
            self.troubles.note(now, router, trouble);
        }
        for (router, trouble) in self.troubles.take_reports() {
            (self.on)(Report::Trouble { router, trouble });
        }
    }

    /// Returns what is wrong with what a router holds, for a person.
    pub(super) fn troubles_of(&self, router: RouterKey) -> Vec<String> {
        let mut words = self.vips.troubles_of(router);
        words.extend(self.routes.troubles_of(router));
        words.extend(self.conflicts.troubles_of(router));
        words
    }
}

/// Waits; for ever without a length.
pub(super) async fn ring(alarm: Option<Duration>) {
    match alarm {
        Some(length) => sleep(length).await,
        None => std::future::pending().await,
    }
}
