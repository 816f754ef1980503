//! The metrics of this program.
//!
//! Labels: `iname`, `intf` and `vrid` name an instance, as the exporter for Keepalived calls them: Prometheus itself has a label
//! `instance`. Units are in names. One stop after: `page`.

use super::page::{Family, Samples};
use crate::control::drain::DrainStatus;
use crate::control::rfc3339;
use crate::control::status::{CheckStatus, InstanceStatus, PeerStatus, State, Status};

/// In the order of the page.
pub(super) const FAMILIES: &[Family] = &[
    Family::gauge("vrrpd_build_info", &["version"], "Always 1; the version of the daemon.", |status, out| {
        out.whole(&[&status.version], 1);
    }),
    Family::gauge("vrrpd_node_info", &["node"], "Always 1; the name of the node.", |status, out| {
        out.whole(&[&status.node], 1);
    }),
    Family::gauge("vrrpd_uptime_seconds", &[], "Time since the daemon began.", |status, out| {
        out.seconds(&[], status.uptime_ms);
    }),
    Family::counter(
        "vrrpd_stray_packets_discarded_total",
        &["reason"],
        "Packets refused that no instance is for, or that could not be read.",
        |status, out| {
            for (reason, count) in &status.discarded {
                out.whole(&[reason], *count);
            }
        },
    ),
    Family::gauge(
        "vrrpd_instance_state",
        &["iname", "intf", "vrid", "state"],
        "1 for the state that the instance is in, 0 for the others.",
        |status, out| {
            each(status, |instance, [name, interface, vrid]| {
                for state in STATES {
                    out.flag(&[name, interface, vrid, &state.to_string()], instance.state == state);
                }
            });
        },
    ),
    Family::gauge("vrrpd_instance_in_state_seconds", INSTANCE, "Time since it entered its state.", |status, out| {
        each(status, |instance, labels| out.seconds(&labels, instance.in_state_ms));
    }),
    Family::gauge("vrrpd_instance_priority", INSTANCE, "Configured priority.", |status, out| {
        each(status, |instance, labels| out.whole(&labels, instance.priority));
    }),
    Family::gauge("vrrpd_instance_effective_priority", INSTANCE, "Priority after weights.", |status, out| {
        each(status, |instance, labels| out.whole(&labels, instance.effective_priority));
    }),
    Family::gauge(
        "vrrpd_instance_master_priority",
        &["iname", "intf", "vrid", "master"],
        "Priority of the master that it knows, itself included; the label is its address.",
        |status, out| {
            each(status, |instance, [name, interface, vrid]| {
                if let Some(master) = &instance.master {
                    out.whole(&[name, interface, vrid, &master.address.to_string()], master.priority);
                }
            });
        },
    ),
    Family::gauge("vrrpd_instance_drained", INSTANCE, "Whether it stays away on request.", |status, out| {
        each(status, |instance, labels| out.flag(&labels, instance.drained));
    }),
    Family::gauge(
        "vrrpd_instance_drain_begin_timestamp_seconds",
        INSTANCE,
        "Since when it stays away on request, in Unix time; not there when it does not.",
        |status, out| drains(status, out, |drain| Some(&drain.since)),
    ),
    Family::gauge(
        "vrrpd_instance_drain_end_timestamp_seconds",
        INSTANCE,
        "When it takes part again by itself, in Unix time; not there without an end.",
        |status, out| drains(status, out, |drain| drain.until.as_ref()),
    ),
    Family::gauge(
        "vrrpd_instance_rival",
        INSTANCE,
        "Whether another master is heard beside this one.",
        |status, out| each(status, |instance, labels| out.flag(&labels, instance.rival.is_some())),
    ),
    Family::gauge(
        "vrrpd_instance_advertisement_interval_seconds",
        INSTANCE,
        "Configured time between advertisements.",
        |status, out| each(status, |instance, labels| out.seconds(&labels, instance.advert_interval_ms)),
    ),
    Family::gauge(
        "vrrpd_instance_master_down_seconds",
        INSTANCE,
        "How long it waits for an advertisement before it takes over.",
        |status, out| each(status, |instance, labels| out.seconds(&labels, instance.master_down_ms)),
    ),
    Family::gauge(
        "vrrpd_instance_troubles",
        INSTANCE,
        "How many things are wrong with its addresses, routes and rules; status has them in words.",
        |status, out| each(status, |instance, labels| out.whole(&labels, instance.troubles.len() as u64)),
    ),
    Family::counter(
        "vrrpd_instance_advertisements_sent_total",
        INSTANCE,
        "Advertisements sent; one for all peers counts once.",
        |status, out| each(status, |instance, labels| out.whole(&labels, instance.counters.advertisements_sent)),
    ),
    Family::counter(
        "vrrpd_instance_advertisements_received_total",
        INSTANCE,
        "Advertisements accepted.",
        |status, out| each(status, |instance, labels| out.whole(&labels, instance.counters.advertisements_received)),
    ),
    Family::counter("vrrpd_instance_became_master_total", INSTANCE, "Times it became MASTER.", |status, out| {
        each(status, |instance, labels| out.whole(&labels, instance.counters.became_master));
    }),
    Family::counter(
        "vrrpd_instance_released_master_total",
        INSTANCE,
        "Times it ceased to be MASTER.",
        |status, out| {
            each(status, |instance, labels| out.whole(&labels, instance.counters.released_master));
        },
    ),
    Family::counter(
        "vrrpd_instance_resignations_sent_total",
        INSTANCE,
        "Advertisements with priority 0 sent.",
        |status, out| each(status, |instance, labels| out.whole(&labels, instance.counters.priority_zero_sent)),
    ),
    Family::counter(
        "vrrpd_instance_resignations_received_total",
        INSTANCE,
        "Advertisements with priority 0 accepted.",
        |status, out| each(status, |instance, labels| out.whole(&labels, instance.counters.priority_zero_received)),
    ),
    Family::counter(
        "vrrpd_instance_discarded_total",
        INSTANCE,
        "Packets refused, for whatever reason.",
        |status, out| {
            each(status, |instance, labels| out.whole(&labels, instance.counters.discarded.values().sum::<u64>()));
        },
    ),
    Family::counter(
        "vrrpd_instance_discarded_by_reason_total",
        &["iname", "intf", "vrid", "reason"],
        "Packets refused, by reason; only reasons that happened.",
        |status, out| {
            each(status, |instance, [name, interface, vrid]| {
                for (reason, count) in instance.counters.discarded.iter().filter(|(_, count)| **count > 0) {
                    out.whole(&[name, interface, vrid, reason], *count);
                }
            });
        },
    ),
    Family::gauge(
        "vrrpd_address_present",
        &["iname", "intf", "vrid", "address", "device"],
        "Whether the kernel has the address on its device.",
        |status, out| {
            each(status, |instance, [name, interface, vrid]| {
                for address in &instance.addresses {
                    let labels = [name, interface, vrid, &*address.address, &*address.interface];
                    out.flag(&labels, address.present);
                }
            });
        },
    ),
    Family::gauge(
        "vrrpd_address_duplicate",
        &["iname", "intf", "vrid", "address", "device"],
        "Whether another host was found to have the address as well.",
        |status, out| {
            each(status, |instance, [name, interface, vrid]| {
                for address in &instance.addresses {
                    let labels = [name, interface, vrid, &*address.address, &*address.interface];
                    out.flag(&labels, address.duplicate);
                }
            });
        },
    ),
    Family::gauge(
        "vrrpd_peer_last_heard_seconds",
        PEER,
        "Time since the last advertisement of the peer that was accepted; not there if there was none.",
        |status, out| {
            peers(status, |peer, labels| {
                if let Some(ms) = peer.last_heard_ms {
                    out.seconds(&labels, ms);
                }
            });
        },
    ),
    Family::gauge(
        "vrrpd_peer_priority",
        PEER,
        "The priority in that advertisement, else the configured one; 0: it resigned.",
        |status, out| {
            peers(status, |peer, labels| {
                if let Some(priority) = peer.priority {
                    out.whole(&labels, priority);
                }
            });
        },
    ),
    Family::gauge(
        "vrrpd_peer_differences",
        PEER,
        "In how many things its advertisements differ from our configuration; status has them in words.",
        |status, out| peers(status, |peer, labels| out.whole(&labels, peer.differences.len() as u64)),
    ),
    Family::counter(
        "vrrpd_peer_discarded_total",
        PEER,
        "Packets with the address of the peer that were refused.",
        |status, out| peers(status, |peer, labels| out.whole(&labels, peer.discarded.values().sum::<u64>())),
    ),
    Family::gauge(
        "vrrpd_peer_clock_offset_seconds",
        PEER,
        "How far its clock is ahead of ours; negative: behind. Only with signed advertisements.",
        |status, out| {
            peers(status, |peer, labels| {
                if let Some(ms) = peer.clock_offset_ms {
                    out.seconds(&labels, ms);
                }
            });
        },
    ),
    Family::gauge(
        "vrrpd_check_status",
        &["iname", "intf", "vrid", "check", "status"],
        "1 for what the check says, 0 for the others.",
        |status, out| {
            checks(status, |check, [name, interface, vrid, label]| {
                for word in ["passing", "failing", "number", "unknown"] {
                    out.flag(&[name, interface, vrid, label, word], check.status == word);
                }
            });
        },
    ),
    Family::gauge(
        "vrrpd_check_contribution",
        CHECK,
        "What the check adds to the priority of the instance.",
        |status, out| checks(status, |check, labels| out.whole(&labels, check.contribution)),
    ),
    Family::gauge("vrrpd_check_fault", CHECK, "Whether the check keeps the instance in FAULT.", |status, out| {
        checks(status, |check, labels| out.flag(&labels, check.fault));
    }),
    Family::gauge(
        "vrrpd_hook_failed_attempts",
        INSTANCE,
        "Failed calls of the hook in a row in the present state; not there without hooks.",
        |status, out| {
            each(status, |instance, labels| {
                if let Some(hooks) = &instance.hooks {
                    out.whole(&labels, hooks.failed_attempts);
                }
            });
        },
    ),
    Family::gauge(
        "vrrpd_group_state",
        &["group", "state"],
        "1 for the state that the members of the group share, 0 for the others.",
        |status, out| {
            for group in &status.groups {
                for state in STATES {
                    out.flag(&[&group.name, &state.to_string()], group.state == state);
                }
            }
        },
    ),
];

const INSTANCE: &[&str] = &["iname", "intf", "vrid"];
const PEER: &[&str] = &["iname", "intf", "vrid", "peer"];
const CHECK: &[&str] = &["iname", "intf", "vrid", "check"];

const STATES: [State; 4] = [State::Init, State::Backup, State::Master, State::Fault];

/// Calls `tell` for each instance, with the values of its labels.
fn each<'s>(status: &'s Status, mut tell: impl FnMut(&'s InstanceStatus, [&str; 3])) {
    for instance in &status.instances {
        let vrid = instance.virtual_router_id.to_string();
        tell(instance, [&instance.name, &instance.interface, &vrid]);
    }
}

/// Tells a time of each drain in force.
fn drains(status: &Status, out: &mut Samples<'_>, time: impl Fn(&DrainStatus) -> Option<&String>) {
    each(status, |instance, labels| {
        let told = instance.drain.as_ref().and_then(&time).and_then(|text| rfc3339::parse(text));
        if let Some(utc) = told {
            out.seconds(&labels, utc.as_millis() as i128);
        }
    });
}

fn peers<'s>(status: &'s Status, mut tell: impl FnMut(&'s PeerStatus, [&str; 4])) {
    each(status, |instance, [name, interface, vrid]| {
        for peer in &instance.peers {
            tell(peer, [name, interface, vrid, &peer.address.to_string()]);
        }
    });
}

fn checks<'s>(status: &'s Status, mut tell: impl FnMut(&'s CheckStatus, [&str; 4])) {
    each(status, |instance, [name, interface, vrid]| {
        for check in &instance.checks {
            tell(check, [name, interface, vrid, &check.name]);
        }
    });
}
