//! A keepalived.conf as TOML that loads to equal parameters, its comments kept.
//!
//! Writes every parameter whose default differs between the two languages. What TOML has no key for was told when the
//! file was read. One stop before: a loaded configuration; one stop after: `vrrpd convert`.

mod health;

use std::fmt::Write as _;
use std::time::Duration;

use super::document::{Block, Document, InstanceParts, Table};
use super::expand::Comment;
use crate::config::Config;
use crate::config::resolve::group_of;
use crate::engine::params::{
    AnnounceSchedule, Auth, AuthMode, ChecksumPolicy, Fixed, PeerParams, Preempt, ReplayGuard, RouterParams, Scope,
    Transport, Vip, VipOptions,
};
use crate::wire::field::Family;

/// Returns the configuration as TOML. `document`: what the same file said beside it.
pub fn convert(config: &Config, document: &Document) -> String {
    let mut comments = document.comments.as_slice();
    let mut text = String::new();
    let spots = document.instances.iter().map(|parts| parts.spot).chain(document.blocks.iter().map(|block| block.spot));
    let first_line = spots.filter(|spot| spot.file == 0).map(|spot| spot.line).min().unwrap_or(u32::MAX);
    comment_lines(before(&mut comments, first_line), &mut text);
    daemon(config, &mut text);
    for check in &config.checks {
        text.push_str(gap(&text));
        comment_lines(of_block(&mut comments, document, Table::Check, &check.name), &mut text);
        health::check(check, &mut text);
    }
    fixed(&config.fixed, &mut text);
    for (instance, parts) in config.instances.iter().zip(&document.instances) {
        text.push_str(gap(&text));
        // Comments of an included file are not here, so the lines are those of the file that was named.
        let is_main = parts.spot.file == 0;
        let above = if is_main { before(&mut comments, parts.spot.line) } else { &[] };
        comment_lines(above, &mut text);
        let inside = if is_main { before(&mut comments, parts.last_line.saturating_add(1)) } else { &[] };
        instance_table(&instance.params, parts, inside, &mut text);
    }
    for group in &config.groups {
        text.push_str(gap(&text));
        comment_lines(of_block(&mut comments, document, Table::Group, &group.name), &mut text);
        health::group(group, &mut text);
    }
    if !comments.is_empty() {
        text.push_str(gap(&text));
        comment_lines(comments, &mut text);
    }
    text
}

fn daemon(config: &Config, text: &mut String) {
    let node = config.daemon.node.as_ref().map(|node| format!("node = {}", quoted(node)));
    let keys: Vec<String> = node.into_iter().chain(health::node_hooks(&config.hooks)).collect();
    if !keys.is_empty() {
        let _ = writeln!(text, "{}[daemon]\n{}", gap(text), keys.join("\n"));
    }
}

/// Takes the comments up to the end of the block of a check or a group.
fn of_block<'c>(comments: &mut &'c [Comment], document: &Document, table: Table, name: &str) -> &'c [Comment] {
    let is_it = |block: &&Block| block.table == table && block.name == name && block.spot.file == 0;
    let line = document.blocks.iter().find(is_it).map_or(0, |block| block.last_line.saturating_add(1));
    before(comments, line)
}

/// Takes the comments in front of a line.
fn before<'c>(comments: &mut &'c [Comment], line: u32) -> &'c [Comment] {
    let count = comments.iter().take_while(|comment| comment.spot.line < line).count();
    let (taken, rest) = comments.split_at(count);
    *comments = rest;
    taken
}

fn gap(text: &str) -> &'static str {
    if text.is_empty() { "" } else { "\n" }
}

fn comment_lines(comments: &[Comment], text: &mut String) {
    for comment in comments {
        let plain: String = comment.text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
        let _ = writeln!(text, "#{}{}", if plain.is_empty() { "" } else { " " }, plain);
    }
}

/// One key of the table, and the keywords whose comments stand above it.
struct Key {
    keywords: &'static [&'static str],
    text: String,
}

fn instance_table(params: &RouterParams, parts: &InstanceParts, comments: &[Comment], text: &mut String) {
    let keys = keys(params);
    let mut of_key: Vec<Vec<Comment>> = keys.iter().map(|_| Vec::new()).collect();
    let mut of_table = Vec::new();
    for comment in comments {
        match owner(comment, parts).and_then(|keyword| keys.iter().position(|key| key.keywords.contains(&keyword))) {
            Some(at) => of_key[at].push(comment.clone()),
            None => of_table.push(comment.clone()),
        }
    }
    let name = key_text(&params.name);
    let _ = writeln!(text, "[instance.{name}]");
    comment_lines(&of_table, text);
    for (key, comments) in keys.iter().zip(&of_key) {
        comment_lines(comments, text);
        let _ = writeln!(text, "{}", key.text);
    }
    auth(&name, params, parts, text);
}

fn auth(name: &str, params: &RouterParams, parts: &InstanceParts, text: &mut String) {
    let secret = parts.password.as_ref().map(|password| quoted(counting(&password.0))).unwrap_or_default();
    match &params.auth {
        Auth::None => {}
        Auth::Password { .. } => {
            let _ = write!(text, "\n[instance.{name}.auth]\npassword = {secret}\n");
        }
        Auth::Hmac(hmac) => {
            let _ = writeln!(text, "\n[instance.{name}.auth.hmac]");
            let keys: Vec<String> = parts.keys.iter().map(|(id, key)| format!("{id} = {}", quoted(&key.0))).collect();
            let _ = writeln!(text, "keys = {{ {} }}\nactive = {}", keys.join(", "), hmac.active);
            let mode = match hmac.mode {
                AuthMode::ReceiveOnly => "receive-only",
                AuthMode::Permissive => "permissive",
                AuthMode::Enforce => "enforce",
            };
            let _ = writeln!(text, "mode = \"{mode}\"");
            let _ = match hmac.guard {
                ReplayGuard::Time { window } => writeln!(text, "window = {}", length(window)),
                ReplayGuard::Monotonic => writeln!(text, "replay = \"monotonic\""),
            };
        }
        Auth::Ah(_) => {
            let _ = write!(text, "\n[instance.{name}.auth]\nah = {secret}\n");
        }
    }
}

/// Returns the keyword that a comment belongs to: that of its line, or the next one below.
fn owner<'p>(comment: &Comment, parts: &'p InstanceParts) -> Option<&'p str> {
    let line = comment.spot.line;
    let in_front = parts.keywords.iter().rev().find(|(_, at)| *at <= line);
    let behind = parts.keywords.iter().find(|(_, at)| *at > line);
    let found = if comment.is_alone { behind.or(in_front) } else { in_front };
    found.map(|(keyword, _)| keyword.as_str())
}

fn keys(params: &RouterParams) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut push = |keywords, text| keys.push(Key { keywords, text });
    push(&["interface"], format!("interface = {}", quoted(&params.interface)));
    push(&["virtual_router_id"], format!("virtual_router_id = {}", params.vrid));
    push(&["version", "native_ipv6"], format!("version = {}", params.version.number()));
    push(&["priority", "state"], format!("priority = {}", params.priority));
    push(&["advert_int"], format!("advert_interval = {}", length(params.advertisement_interval.as_duration())));
    match params.preempt {
        Preempt::Always => {}
        Preempt::Never => push(&["nopreempt"], "preempt = \"never\"".to_owned()),
        Preempt::After(delay) => {
            push(&["preempt_delay"], format!("preempt = \"after {}", &length(delay)[1..]));
        }
    }
    if let Some(source) = params.source {
        push(&["unicast_src_ip", "mcast_src_ip"], format!("source = \"{source}\""));
    }
    match &params.transport {
        Transport::Unicast { peers, .. } => {
            let peers = peers.iter().map(peer).collect();
            push(&["unicast_peer"], list("peers", peers));
        }
        Transport::Multicast { group } => {
            let is_plain =
                *group == group_of(params.family) && (params.source.is_some() || params.advertised().next().is_some());
            let said = if is_plain { "true".to_owned() } else { format!("\"{group}\"") };
            push(&["mcast_dst_ip", "unicast_peer"], format!("multicast = {said}"));
        }
    }
    let checksum = match params.checksum {
        ChecksumPolicy::Auto => None,
        ChecksumPolicy::Pseudo => Some("pseudo"),
        ChecksumPolicy::Rfc9568 => Some("rfc9568"),
        ChecksumPolicy::OldUnicast => Some("old-unicast"),
    };
    if let Some(checksum) = checksum {
        push(&["old_unicast_checksum", "v3_checksum_as_v2"], format!("checksum = \"{checksum}\""));
    }
    if params.master_down_adverts != 3 {
        push(&["down_timer_adverts"], format!("master_down_adverts = {}", params.master_down_adverts));
    }
    if params.ignores_link {
        push(&["dont_track_primary"], "ignore_link = true".to_owned());
    }
    announce(&params.announce, &mut push);
    let addresses = params.vips.iter().map(|vip| address(vip, Some(params.family))).collect();
    push(&["virtual_ipaddress", "virtual_ipaddress_excluded"], list("addresses", addresses));
    if !params.routes.is_empty() {
        push(&["virtual_routes"], list("virtual_routes", params.routes.iter().map(entry).collect()));
    }
    if !params.rules.is_empty() {
        push(&["virtual_rules"], list("virtual_rules", params.rules.iter().map(entry).collect()));
    }
    if let Some(Key { keywords, text }) = health::tracks(&params.tracks) {
        push(keywords, text);
    }
    health::hooks(&params.hooks, &mut push);
    keys
}

/// Writes what is there whoever is Master.
fn fixed(fixed: &Fixed, text: &mut String) {
    if *fixed == Fixed::default() {
        return;
    }
    let _ = writeln!(text, "{}[static]", gap(text));
    let addresses: Vec<String> = fixed.addresses.iter().map(|vip| address(vip, None)).collect();
    let routes = fixed.routes.iter().map(entry).collect();
    let rules = fixed.rules.iter().map(entry).collect();
    for (key, items) in [("addresses", addresses), ("routes", routes), ("rules", rules)] {
        if !items.is_empty() {
            let _ = writeln!(text, "{}", list(key, items));
        }
    }
}

/// Writes a route or a rule.
fn entry(entry: &impl ToString) -> String {
    quoted(&entry.to_string())
}

fn announce(schedule: &AnnounceSchedule, push: &mut impl FnMut(&'static [&'static str], String)) {
    let default = AnnounceSchedule::default();
    if schedule.repeats != default.repeats {
        let repeats: Vec<String> = schedule.repeats.iter().map(|repeat| length(*repeat)).collect();
        push(&["garp_master_delay", "garp_master_repeat"], format!("announce_repeats = [{}]", repeats.join(", ")));
    }
    if schedule.refresh != default.refresh {
        let refresh = schedule.refresh.map_or_else(|| "\"off\"".to_owned(), length);
        push(&["garp_master_refresh"], format!("announce_refresh = {refresh}"));
    }
}

fn peer(peer: &PeerParams) -> String {
    let mut fields = Vec::new();
    fields.extend(peer.priority.map(|priority| format!("priority = {priority}")));
    fields.extend(peer.min_ttl.map(|ttl| format!("min_ttl = {ttl}")));
    fields.extend(peer.max_ttl.map(|ttl| format!("max_ttl = {ttl}")));
    table_or_text(&peer.address.to_string(), &fields)
}

/// `family`: of the instance; `None`: of no instance, where nothing is advertised.
fn address(vip: &Vip, family: Option<Family>) -> String {
    let mut fields = Vec::new();
    fields.extend(vip.interface.as_ref().map(|interface| format!("interface = {}", quoted(interface))));
    if !vip.advertise && Some(Family::of(&vip.address)) == family {
        fields.push("advertise = false".to_owned());
    }
    fields.extend(vip.label.as_ref().map(|label| format!("label = {}", quoted(label))));
    fields.extend(vip.broadcast.map(|broadcast| format!("broadcast = \"{broadcast}\"")));
    match vip.scope {
        Scope::Global => {}
        Scope::Site => fields.push("scope = \"site\"".to_owned()),
        Scope::Link => fields.push("scope = \"link\"".to_owned()),
        Scope::Host => fields.push("scope = \"host\"".to_owned()),
        Scope::Other(number) => fields.push(format!("scope = {number}")),
    }
    let VipOptions {
        peer,
        preferred_lifetime,
        detects_duplicates,
        is_home,
        manages_temporary,
        has_no_route,
        joins_group,
        is_untracked,
    } = &vip.options;
    fields.extend(peer.map(|peer| format!("peer = \"{peer}\"")));
    fields.extend(preferred_lifetime.map(|seconds| format!("preferred_lifetime = \"{seconds}s\"")));
    for (key, is_set) in [
        ("dad", detects_duplicates),
        ("home", is_home),
        ("mngtmpaddr", manages_temporary),
        ("noprefixroute", has_no_route),
        ("autojoin", joins_group),
        ("no_track", is_untracked),
    ] {
        if *is_set {
            fields.push(format!("{key} = true"));
        }
    }
    table_or_text(&format!("{}/{}", vip.address, vip.prefix_len), &fields)
}

fn table_or_text(address: &str, fields: &[String]) -> String {
    if fields.is_empty() {
        return format!("\"{address}\"");
    }
    format!("{{ address = \"{address}\", {} }}", fields.join(", "))
}

fn list(key: &str, items: Vec<String>) -> String {
    match items.as_slice() {
        [] => format!("{key} = []"),
        [item] => format!("{key} = [{item}]"),
        items => format!("{key} = [\n  {},\n]", items.join(",\n  ")),
    }
}

/// Writes a length of time in quotes, exactly.
fn length(length: Duration) -> String {
    let nanos = length.as_nanos();
    if nanos.is_multiple_of(1_000_000_000) {
        return format!("\"{}s\"", length.as_secs());
    }
    let (whole, rest) = (nanos / 1_000_000, nanos % 1_000_000);
    if rest == 0 {
        return format!("\"{whole}ms\"");
    }
    let fraction = format!("{rest:06}");
    format!("\"{whole}.{}ms\"", fraction.trim_end_matches('0'))
}

/// Returns what of a secret counts: 8 bytes, and the rest of a character that they cut.
fn counting(secret: &str) -> &str {
    let end = (8..secret.len()).find(|at| secret.is_char_boundary(*at)).unwrap_or(secret.len());
    secret.get(..end).unwrap_or(secret)
}

/// Writes a name as a key.
fn key_text(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// Writes a basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
