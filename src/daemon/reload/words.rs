//! In what two configurations of one instance differ, in the words of the configuration. No secret is among them.

use std::fmt::Display;
use std::time::Duration;

use crate::engine::params::{Auth, AuthMode, Effect, HmacParams, Preempt, RouterParams, Track, Transport, Vip};

/// Lists what changes in place, in the order in which operators look for it.
pub(super) fn differences(before: &RouterParams, after: &RouterParams) -> Vec<String> {
    let mut found = Vec::new();
    moved(&mut found, "priority", before.priority, after.priority);
    let interval = |router: &RouterParams| format!("{:?}", router.advertisement_interval.as_duration());
    moved(&mut found, "interval", interval(before), interval(after));
    moved(&mut found, "preempt", preempt(before), preempt(after));
    addresses(&mut found, before, after);
    listed(&mut found, "routes", &before.routes, &after.routes);
    listed(&mut found, "rules", &before.rules, &after.rules);
    transport(&mut found, before, after);
    let source =
        |router: &RouterParams| router.source.map_or_else(|| "of the interface".to_owned(), |ip| ip.to_string());
    moved(&mut found, "source", source(before), source(after));
    authentication(&mut found, &before.auth, &after.auth);
    let names = |router: &RouterParams| router.tracks.iter().map(track).collect::<Vec<_>>();
    listed(&mut found, "checks", &names(before), &names(after));
    moved(&mut found, "master_down_adverts", before.master_down_adverts, after.master_down_adverts);
    for (what, is_other) in [
        ("checksum", before.checksum != after.checksum),
        ("strict", before.strict != after.strict),
        ("ignore_link", before.ignores_link != after.ignores_link),
        ("announcements", before.announce != after.announce),
        ("hooks", before.hooks != after.hooks),
    ] {
        found.extend(is_other.then(|| what.to_owned()));
    }
    if found.is_empty() {
        // A parameter that has no words here.
        found.push("other settings".to_owned());
    }
    found
}

fn moved<T: PartialEq + Display>(found: &mut Vec<String>, what: &str, before: T, after: T) {
    if before != after {
        found.push(format!("{what} {before} -> {after}"));
    }
}

/// Lists what came and what went; what is in another place alone is said so.
fn listed<T: PartialEq + Display>(found: &mut Vec<String>, what: &str, before: &[T], after: &[T]) {
    if before == after {
        return;
    }
    let came = after.iter().filter(|item| !before.contains(item)).map(|item| format!("+{item}"));
    let went = before.iter().filter(|item| !after.contains(item)).map(|item| format!("-{item}"));
    let changes: Vec<String> = came.chain(went).collect();
    if changes.is_empty() {
        found.push(format!("{what} in another order"));
    } else {
        found.push(format!("{what} {}", changes.join(" ")));
    }
}

fn addresses(found: &mut Vec<String>, before: &RouterParams, after: &RouterParams) {
    if before.vips == after.vips {
        return;
    }
    let names = |router: &RouterParams| router.vips.iter().map(place).collect::<Vec<_>>();
    let (old, new) = (names(before), names(after));
    if old != new {
        return listed(found, "addresses", &old, &new);
    }
    let others = before.vips.iter().zip(&after.vips).filter(|(old, new)| old != new).map(|(_, new)| place(new));
    found.push(format!("options of {} (when next put up)", others.collect::<Vec<_>>().join(" ")));
}

fn place(vip: &Vip) -> String {
    match &vip.interface {
        Some(interface) => format!("{}/{}@{interface}", vip.address, vip.prefix_len),
        None => format!("{}/{}", vip.address, vip.prefix_len),
    }
}

fn transport(found: &mut Vec<String>, before: &RouterParams, after: &RouterParams) {
    if before.transport == after.transport {
        return;
    }
    let group = |router: &RouterParams| match &router.transport {
        Transport::Multicast { group } => format!("multicast {group}"),
        Transport::Unicast { also: Some(group), .. } => format!("unicast and {group}"),
        Transport::Unicast { also: None, .. } => "unicast".to_owned(),
    };
    let said = found.len();
    moved(found, "transport", group(before), group(after));
    let peers = |router: &RouterParams| router.peers().iter().map(|peer| peer.address).collect::<Vec<_>>();
    listed(found, "peers", &peers(before), &peers(after));
    if found.len() == said {
        found.push("settings of peers".to_owned());
    }
}

fn authentication(found: &mut Vec<String>, before: &Auth, after: &Auth) {
    if before == after {
        return;
    }
    let said = found.len();
    match (before, after) {
        (Auth::Hmac(before), Auth::Hmac(after)) => keys(found, before, after),
        (Auth::Password { mode: before, .. }, Auth::Password { mode: after, .. }) => {
            moved(found, "auth mode", mode(*before), mode(*after));
        }
        (Auth::None | Auth::Password { .. } | Auth::Ah(_) | Auth::Hmac(_), _) => {
            moved(found, "auth", kind(before), kind(after));
        }
    }
    if found.len() == said {
        found.push("auth: another secret".to_owned());
    }
}

fn keys(found: &mut Vec<String>, before: &HmacParams, after: &HmacParams) {
    let ids = |hmac: &HmacParams| hmac.keys.iter().map(|(id, _)| id.get()).collect::<Vec<_>>();
    listed(found, "keys", &ids(before), &ids(after));
    for (id, key) in &after.keys {
        if before.key(*id).is_some_and(|known| *known != **key) {
            found.push(format!("key {} is another one", id.get()));
        }
    }
    moved(found, "active key", before.active.get(), after.active.get());
    moved(found, "auth mode", mode(before.mode), mode(after.mode));
    if before.guard != after.guard {
        found.push("replay protection".to_owned());
    }
}

const fn kind(auth: &Auth) -> &'static str {
    match auth {
        Auth::None => "none",
        Auth::Password { .. } => "password",
        Auth::Ah(_) => "ah",
        Auth::Hmac(_) => "hmac",
    }
}

const fn mode(mode: AuthMode) -> &'static str {
    match mode {
        AuthMode::ReceiveOnly => "receive-only",
        AuthMode::Permissive => "permissive",
        AuthMode::Enforce => "enforce",
    }
}

fn preempt(router: &RouterParams) -> String {
    match router.preempt {
        Preempt::Always => "always".to_owned(),
        Preempt::Never => "never".to_owned(),
        Preempt::After(Duration::ZERO) => "after 0s".to_owned(),
        Preempt::After(length) => format!("after {length:?}"),
    }
}

fn track(track: &Track) -> String {
    let effect = match track.effect {
        Effect::Fault { is_reversed: false } => String::new(),
        Effect::Fault { is_reversed: true } => " reversed".to_owned(),
        Effect::Weight { weight, is_reversed: false } => format!(" weight {weight}"),
        Effect::Weight { weight, is_reversed: true } => format!(" weight {weight} reversed"),
    };
    format!("{}{effect}{}", track.check, if track.is_urgent { " urgent" } else { "" })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::control::samples;
    use crate::engine::params::ReplayGuard;
    use crate::wire::auth::Key;
    use crate::wire::field::{KeyId, Priority};

    fn said(after: &RouterParams) -> String {
        differences(&samples::params("web"), after).join(", ")
    }

    #[test]
    fn changes_are_said_in_the_words_of_the_file() {
        let web = samples::params("web");
        let mut vips = web.vips.clone();
        let mut other = vips[0].clone();
        other.address = "10.0.0.31".parse().unwrap();
        vips.push(other);
        let after = RouterParams { priority: Priority::new(90).unwrap(), vips, ..web.clone() };
        assert_eq!(
            said(&after),
            format!("priority {} -> 90, addresses +10.0.0.31/{}", web.priority, web.vips[0].prefix_len)
        );
        assert_eq!(said(&RouterParams { preempt: Preempt::Never, ..web.clone() }), "preempt always -> never");
        assert_eq!(said(&RouterParams { strict: true, ..web }), "strict");
    }

    #[test]
    fn keys_are_named_by_their_numbers_alone() {
        let key = |byte: u8| Arc::new(Key::new(&[byte; 32]).unwrap());
        let id = |number| KeyId::new(number).unwrap();
        let hmac = |keys: Vec<(KeyId, Arc<Key>)>, active| {
            let guard = ReplayGuard::Monotonic;
            Auth::Hmac(HmacParams { keys, active: id(active), mode: AuthMode::Enforce, guard })
        };
        let mut found = Vec::new();
        authentication(&mut found, &hmac(vec![(id(1), key(1))], 1), &hmac(vec![(id(1), key(3)), (id(2), key(2))], 2));
        assert_eq!(found, ["keys +2", "key 1 is another one", "active key 1 -> 2"]);
        found.clear();
        authentication(&mut found, &Auth::None, &hmac(vec![(id(1), key(1))], 1));
        assert_eq!(found, ["auth none -> hmac"]);
    }
}
