//! What two files say differently about one virtual router, and what comes of it.

use std::fmt::Display;
use std::net::IpAddr;

use super::seats::{Cluster, Seat, VirtualRouter};
use crate::engine::params::{Auth, AuthMode, Transport};
use crate::wire::field::Version;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The virtual router.
    pub router: String,
    /// What, what each file says, and what comes of it.
    pub text: String,
    /// Both nodes would be Master at once, or the address would have no owner.
    pub is_dangerous: bool,
}

impl Cluster {
    /// Returns what the files say differently, virtual router by virtual router.
    pub fn differences(&self) -> Vec<Difference> {
        let mut found = Vec::new();
        for router in &self.routers {
            let mut note = |text: String, is_dangerous| {
                let difference = Difference { router: router.name.clone(), text, is_dangerous };
                if !found.contains(&difference) {
                    found.push(difference);
                }
            };
            self.compare_presence(router, &mut note);
            for (at, one) in router.views.iter().enumerate() {
                for other in router.views.iter().skip(at + 1).filter(|other| other.file != one.file) {
                    self.compare(one, other, &mut note);
                }
            }
        }
        self.compare_identifiers(&mut found);
        found
    }

    fn file(&self, seat: &Seat) -> &str {
        self.files.get(seat.file).map_or("?", String::as_str)
    }

    /// A list names all its nodes; of a file without one its host's own part is missing.
    fn compare_presence(&self, router: &VirtualRouter, note: &mut impl FnMut(String, bool)) {
        if router.is_complete() {
            return;
        }
        for (at, file) in self.files.iter().enumerate() {
            if !router.views.iter().any(|view| view.file == at) {
                note(format!("not in {file}: that node takes no part in it"), false);
            }
        }
    }

    fn compare(&self, one: &Seat, other: &Seat, note: &mut impl FnMut(String, bool)) {
        let (a, b) = (&one.params, &other.params);
        let said = |what: &str, x: &dyn Display, y: &dyn Display, then: &str| {
            format!("{what}: {x} in {}, {y} in {}: {then}", self.file(one), self.file(other))
        };
        let deaf = "they do not hear each other: two masters";
        if a.vrid != b.vrid {
            note(said("virtual_router_id", &a.vrid, &b.vrid, deaf), true);
        }
        if a.version != b.version {
            note(
                said(
                    "version",
                    &a.version.number(),
                    &b.version.number(),
                    "each refuses the other's adverts: two masters",
                ),
                true,
            );
        }
        let [x, y] = [a, b].map(|params| params.advertisement_interval.as_duration());
        if x != y {
            let (then, is_dangerous) = match a.version {
                Version::V2 => ("version 2 refuses another interval: two masters", true),
                Version::V3 => ("the backup goes by the master's, so takeover times differ", false),
            };
            note(said("advert_interval", &format!("{x:?}"), &format!("{y:?}"), then), is_dangerous);
        }
        self.compare_addresses(one, other, note);
        self.compare_ways(one, other, note);
        if let Some(text) = self.doubt(one, other).or_else(|| self.doubt(other, one)) {
            note(text, true);
        }
        if one.node == other.node && a.priority != b.priority {
            note(
                said(&format!("priority of {}", one.node), &a.priority, &b.priority, "the file of that node decides"),
                false,
            );
        }
        if a.preempt != b.preempt {
            let [x, y] = [a, b].map(|params| format!("{:?}", params.preempt).to_lowercase());
            note(said("preempt", &x, &y, "each node goes by its own"), false);
        }
    }

    fn compare_addresses(&self, one: &Seat, other: &Seat, note: &mut impl FnMut(String, bool)) {
        let missing = |from: &Seat, of: &Seat| {
            let has = |address: IpAddr| from.params.vips.iter().any(|vip| vip.address == address);
            of.params.vips.iter().filter(|vip| !has(vip.address)).map(|vip| vip.address.to_string()).collect::<Vec<_>>()
        };
        for (here, there) in [(one, other), (other, one)] {
            let lost = missing(there, here);
            if !lost.is_empty() {
                let (lost, here, there) = (lost.join(", "), self.file(here), self.file(there));
                note(
                    format!(
                        "addresses: {lost} in {here} but not in {there}: nobody holds it while that node is master"
                    ),
                    true,
                );
            }
        }
        let lists = [one, other].map(|seat| seat.params.advertised().collect::<Vec<_>>());
        if let [x, y] = &lists
            && x != y
            && missing(one, other).is_empty()
            && missing(other, one).is_empty()
        {
            note(
                "addresses: the lists in the adverts differ in order or kind; a strict peer may refuse them".to_owned(),
                false,
            );
        }
    }

    /// Compares where adverts go with whose are believed.
    fn compare_ways(&self, one: &Seat, other: &Seat, note: &mut impl FnMut(String, bool)) {
        match (&one.params.transport, &other.params.transport) {
            (Transport::Multicast { group: x }, Transport::Multicast { group: y }) if x != y => {
                note(format!("multicast group: {x} and {y}: they do not hear each other: two masters"), true);
            }
            (Transport::Multicast { .. }, Transport::Multicast { .. }) => {}
            (Transport::Unicast { .. }, Transport::Unicast { .. }) => {
                for (here, there) in [(one, other), (other, one)] {
                    let Some(source) = here.params.source.filter(|_| here.node != there.node) else { continue };
                    if !there.params.peers().iter().any(|peer| peer.address == source) {
                        let (there, here) = (self.file(there), &here.node);
                        note(
                            format!(
                                "peers: {there} does not list {here} ({source}): it refuses its adverts: two masters"
                            ),
                            true,
                        );
                    }
                }
            }
            (Transport::Unicast { also, .. }, Transport::Multicast { .. })
            | (Transport::Multicast { .. }, Transport::Unicast { also, .. }) => {
                if also.is_none() {
                    note(
                        "unicast in one file, multicast in the other: they do not hear each other: two masters"
                            .to_owned(),
                        true,
                    );
                }
            }
        }
    }

    /// Says why `there` would refuse what `here` sends; no secret is told.
    fn doubt(&self, here: &Seat, there: &Seat) -> Option<String> {
        let why = match (&here.params.auth, &there.params.auth) {
            (Auth::None, Auth::None) => None,
            (Auth::Password { password: x, mode: sent }, Auth::Password { password: y, mode }) => match sent.signs() {
                true => (x != y).then_some("the passwords differ"),
                false => mode.requires().then_some("no password is sent, and one is asked for"),
            },
            (Auth::Ah(x), Auth::Ah(y)) => (x != y).then_some("the keys of the authentication header differ"),
            (Auth::Hmac(x), Auth::Hmac(y)) => match (x.mode.signs(), x.key(x.active), y.key(x.active)) {
                (true, Some(_), None) => Some("the key that signs is not known there"),
                (true, Some(ours), Some(theirs)) => {
                    (ours != theirs).then_some("the key that signs is another one there")
                }
                (true, None, _) | (false, _, _) => {
                    y.mode.requires().then_some("no signature is sent, and one is asked for")
                }
            },
            (sent, Auth::Hmac(y)) => {
                (y.mode.requires() || !is_plain(sent)).then_some("only one of them signs its adverts")
            }
            (sent, Auth::Password { mode, .. }) => {
                (mode.requires() || !is_plain(sent)).then_some("only one of them sends a password")
            }
            (sent, Auth::None) => (!is_plain(sent)).then_some("only one of them authenticates its adverts"),
            (_, Auth::Ah(_)) => Some("only one of them has an authentication header"),
        };
        why.map(|why| format!("auth: {why}: {} refuses the adverts of {}: two masters", there.node, here.node))
    }

    /// Finds instances that are none of one another's, and would hear each other by one identifier on a link.
    fn compare_identifiers(&self, found: &mut Vec<Difference>) {
        for (at, router) in self.routers.iter().enumerate() {
            for other in self.routers.iter().skip(at + 1) {
                let clash = router.views.iter().any(|x| other.views.iter().any(|y| x.file != y.file && overlaps(x, y)));
                if let Some(vrid) = router.views.first().map(|view| view.params.vrid).filter(|_| clash) {
                    let text = format!(
                        "virtual_router_id {vrid} is that of {} too, by the same group: on one link they take each other's adverts",
                        other.name
                    );
                    found.push(Difference { router: router.name.clone(), text, is_dangerous: true });
                }
            }
        }
    }
}

/// Says whether adverts of this kind look the same as without authentication.
const fn is_plain(auth: &Auth) -> bool {
    matches!(auth, Auth::None)
        || matches!(auth, Auth::Password { mode: AuthMode::ReceiveOnly, .. })
        || matches!(auth, Auth::Hmac(hmac) if matches!(hmac.mode, AuthMode::ReceiveOnly))
}

fn overlaps(one: &Seat, other: &Seat) -> bool {
    let (a, b) = (&one.params, &other.params);
    let groups = [a, b].map(|params| match &params.transport {
        Transport::Multicast { group } => Some(*group),
        Transport::Unicast { also, .. } => *also,
    });
    (a.vrid, a.family) == (b.vrid, b.family) && matches!(groups, [Some(x), Some(y)] if x == y)
}
