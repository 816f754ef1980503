//! The metrics of the common exporter for Keepalived, as far as there is something to say: what watches that program
//! goes on with this one.
//!
//! Names, labels and numbers are that exporter's. One stop after: `page`.

use std::collections::BTreeMap;

use super::page::{Family, Samples};
use crate::control::status::{InstanceStatus, State, Status};

/// Whether the daemon runs.
pub(super) const UP: Family =
    Family::gauge("keepalived_up", &[], "Whether the daemon runs.", |_, out| out.flag(&[], true));

/// In the order of the page.
pub(super) const FAMILIES: &[Family] = &[
    UP,
    Family::gauge(
        "keepalived_vrrp_state",
        &["iname", "intf", "vrid", "ip_address"],
        "State of the instance of an address: 0 INIT, 1 BACKUP, 2 MASTER, 3 FAULT.",
        |status, out| {
            for instance in &status.instances {
                let (vrid, state) = (instance.virtual_router_id.to_string(), number(instance.state));
                for address in &instance.addresses {
                    out.whole(&[&instance.name, &address.interface, &vrid, plain(&address.address)], state);
                }
            }
        },
    ),
    Family::gauge(
        "keepalived_script_status",
        &["name"],
        "Whether a check passes; not there while it is not known, or says a number.",
        scripts,
    ),
    Family::counter("keepalived_advertisements_received_total", LABELS, "Advertisements accepted.", |status, out| {
        each(status, out, |instance| instance.counters.advertisements_received)
    }),
    Family::counter(
        "keepalived_advertisements_sent_total",
        LABELS,
        "Advertisements sent; one for all peers counts once.",
        |status, out| each(status, out, |instance| instance.counters.advertisements_sent),
    ),
    Family::counter("keepalived_become_master_total", LABELS, "Times it became MASTER.", |status, out| {
        each(status, out, |instance| instance.counters.became_master);
    }),
    Family::counter("keepalived_release_master_total", LABELS, "Times it ceased to be MASTER.", |status, out| {
        each(status, out, |instance| instance.counters.released_master);
    }),
    Family::counter("keepalived_priority_zero_received_total", LABELS, "Resignations accepted.", |status, out| {
        each(status, out, |instance| instance.counters.priority_zero_received)
    }),
    Family::counter("keepalived_priority_zero_sent_total", LABELS, "Resignations sent.", |status, out| {
        each(status, out, |instance| instance.counters.priority_zero_sent);
    }),
    refusals("keepalived_packet_length_errors_total", "Advertisements refused for their length.", |status, out| {
        each(status, out, |instance| refused(instance, &["length", "incomplete"]));
    }),
    refusals(
        "keepalived_advertisements_interval_errors_total",
        "Advertisements refused for their interval.",
        |status, out| each(status, out, |instance| refused(instance, &["interval"])),
    ),
    refusals("keepalived_ip_ttl_errors_total", "Advertisements refused for their TTL.", |status, out| {
        each(status, out, |instance| refused(instance, &["ttl"]));
    }),
    refusals("keepalived_invalid_type_received_total", "Advertisements refused for their type.", |status, out| {
        each(status, out, |instance| refused(instance, &["type"]));
    }),
    refusals(
        "keepalived_address_list_errors_total",
        "Advertisements refused for their list of addresses.",
        |status, out| each(status, out, |instance| refused(instance, &["address_list", "count_zero"])),
    ),
    refusals(
        "keepalived_authentication_invalid_total",
        "Advertisements refused for an authentication that is not defined.",
        |status, out| each(status, out, |instance| refused(instance, &["auth_malformed"])),
    ),
    refusals(
        "keepalived_authentication_mismatch_total",
        "Advertisements refused for another kind of authentication, or none.",
        |status, out| each(status, out, |instance| refused(instance, &["auth_type", "auth_missing"])),
    ),
    refusals(
        "keepalived_authentication_failure_total",
        "Advertisements refused because who sent them did not prove it.",
        |status, out| {
            each(status, out, |instance| refused(instance, &["auth", "hmac", "unknown_key", "stale", "replay"]));
        },
    ),
];

const LABELS: &[&str] = &["iname", "intf", "vrid", "state"];

const fn refusals(name: &'static str, help: &'static str, samples: fn(&Status, &mut Samples<'_>)) -> Family {
    Family::counter(name, LABELS, help, samples)
}

/// Adds a sample for each instance.
fn each(status: &Status, out: &mut Samples<'_>, count: impl Fn(&InstanceStatus) -> u64) {
    for instance in &status.instances {
        let (vrid, state) = (instance.virtual_router_id.to_string(), instance.state.to_string());
        out.whole(&[&instance.name, &instance.interface, &vrid, &state], count(instance));
    }
}

fn refused(instance: &InstanceStatus, reasons: &[&str]) -> u64 {
    reasons.iter().filter_map(|reason| instance.counters.discarded.get(*reason)).sum()
}

/// Checks belong to no instance there: each is told once.
fn scripts(status: &Status, out: &mut Samples<'_>) {
    let checks = status.instances.iter().flat_map(|instance| &instance.checks);
    let known = checks.filter_map(|check| match check.status.as_str() {
        "passing" => Some((check.name.as_str(), true)),
        "failing" => Some((check.name.as_str(), false)),
        _ => None,
    });
    for (name, is_passing) in known.collect::<BTreeMap<_, _>>() {
        out.flag(&[name], is_passing);
    }
}

const fn number(state: State) -> u8 {
    match state {
        State::Init => 0,
        State::Backup => 1,
        State::Master => 2,
        State::Fault => 3,
    }
}

/// Returns the address as that program writes it: without the prefix length of a single address.
fn plain(address: &str) -> &str {
    let longest = if address.contains(':') { "/128" } else { "/32" };
    address.strip_suffix(longest).unwrap_or(address)
}
