//! Stories on the real kernel: nodes and a client in network namespaces, real daemons, and an eye on who holds the
//! address and what the client got.
//!
//! Each story is told first with Keepalived alone (which proves the story), then mixed both ways round, then with two
//! of ours. `stories.rs` has the stories, the list below the pairings. Needs root (or a user namespace) and is off
//! unless `VRRPD_NETNS=1`; `tests/run` sets it, and then a missing privilege is a failure.

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "waits for real programs in real time")]

mod accounts;
mod announcements;
mod article;
mod authentication;
mod balancer;
mod beside;
mod calls;
mod chaos;
mod clients;
mod cluster;
mod conflict;
mod conformance;
mod crash;
mod crowd;
mod demo;
mod doctor;
mod drain;
mod driver;
mod edges;
mod flood;
mod forgery;
mod frozen;
mod health;
mod history;
mod holding;
mod hooks;
mod intruder;
mod laboratory;
mod load;
mod managers;
mod many;
mod measure;
mod metrics;
mod neighbours;
mod one_way;
mod owner;
mod papers;
mod processes;
mod refusals;
mod reload;
mod repeat;
mod routers;
mod serving;
mod sniff;
mod splits;
mod status;
mod stories;
mod story;
mod systemd;
mod tap;
mod threats;
mod turn;
mod unit;
mod upgrade;
mod watching;
mod web;

use driver::Kind::{Frr, Keepalived, Vrrpd, VrrpdConf};
use turn::{beside_others, in_turn};

/// Makes one test per story and pairing: `PAIRING::STORY`.
macro_rules! tell {
    ($($pairing:ident = $kinds:expr, $($story:ident)+;)+) => {
        $(mod $pairing {
            use super::*;
            $(#[test]
            fn $story() {
                beside_others(|| story::tell(&stories::$story(), &$kinds));
            })+
        })+
    };
}

tell! {
    keepalived_alone = [Keepalived, Keepalived],
        host_death graceful_stop failback equal_priority nopreempt partition link_loss three_nodes
        v2_unicast v2_multicast v3_unicast_ipv6 v3_multicast v3_multicast_ipv6;
    keepalived_and_frr = [Keepalived, Frr], v3_multicast;
    frr_and_keepalived = [Frr, Keepalived], v3_multicast;
    keepalived_and_ours = [Keepalived, Vrrpd],
        host_death graceful_stop failback equal_priority nopreempt partition link_loss three_nodes
        v2_unicast v2_multicast v3_unicast_ipv6 v3_multicast v3_multicast_ipv6;
    ours_and_keepalived = [Vrrpd, Keepalived],
        host_death graceful_stop failback equal_priority nopreempt partition link_loss three_nodes
        v2_unicast v2_multicast v3_unicast_ipv6 v3_multicast v3_multicast_ipv6;
    keepalived_and_ours_by_conf = [Keepalived, VrrpdConf],
        host_death graceful_stop failback nopreempt v2_unicast v2_multicast v3_unicast_ipv6 v3_multicast;
    ours_by_conf_and_keepalived = [VrrpdConf, Keepalived],
        host_death graceful_stop failback nopreempt v2_unicast v2_multicast v3_unicast_ipv6 v3_multicast;
    ours_by_conf_alone = [VrrpdConf, VrrpdConf],
        graceful_stop failback nopreempt v2_unicast v2_multicast v3_unicast_ipv6 v3_multicast_ipv6;
    ours_and_frr = [Vrrpd, Frr], v3_multicast;
    frr_and_ours = [Frr, Vrrpd], v3_multicast;
    ours_alone = [Vrrpd, Vrrpd],
        host_death graceful_stop failback equal_priority nopreempt partition link_loss three_nodes
        v2_unicast v2_multicast v3_unicast_ipv6 v3_multicast v3_multicast_ipv6;
}

/// Makes one test per measurement and pairing.
macro_rules! measure {
    ($($name:ident = $measurement:ident($kinds:expr $(, $limit:expr)?);)+) => {
        $(#[test]
        fn $name() {
            in_turn(|| measure::$measurement(&$kinds $(, $limit)?));
        })+
    };
}

#[test]
fn each_refusal_has_one_message_and_its_exit_code() {
    beside_others(refusals::each_has_one_message_and_its_exit_code);
}

#[test]
fn second_daemon_is_refused_and_a_missing_interface_waited_for() {
    beside_others(refusals::second_daemon_is_refused_and_a_missing_interface_waited_for);
}

measure! {
    keepalived_host_death_lateness = host_death_lateness([Keepalived, Keepalived]);
    ours_host_death_lateness = host_death_lateness([Vrrpd, Vrrpd]);
    keepalived_advert_spacing = advert_spacing([Keepalived, Keepalived], 12.0);
    ours_advert_spacing = advert_spacing([Vrrpd, Vrrpd], 10.1);
}

#[test]
fn laboratory_sees_what_is_done_to_it() {
    in_turn(laboratory::sees_what_is_done_to_it);
}

#[test]
fn killed_and_restarted_master_is_not_noticed() {
    in_turn(crash::restart_is_not_noticed);
}

#[test]
fn killed_and_restarted_master_is_not_noticed_at_100_ms() {
    in_turn(crash::restart_is_not_noticed_at_100_ms);
}

#[test]
fn released_master_leaves_one_owner() {
    in_turn(crash::released_master_leaves_one_owner);
}

#[test]
fn lent_addresses_are_taken_back() {
    in_turn(crash::lent_addresses_are_taken_back);
}

#[test]
fn late_start_is_that_of_a_newcomer() {
    in_turn(crash::late_start_is_that_of_a_newcomer);
}

#[test]
fn failback_from_keepalived_loses_two_probes_at_most() {
    in_turn(crash::failback_from_keepalived_loses_two_probes_at_most);
}

#[test]
fn demo_plays_to_the_end() {
    in_turn(demo::plays_to_the_end);
}

#[test]
fn demo_is_gone_after_ctrl_c() {
    in_turn(demo::is_gone_after_ctrl_c);
}

#[test]
fn demo_daemons_die_with_it() {
    in_turn(demo::its_daemons_die_with_it);
}
