//! What a person reads of some states.

use std::time::Duration;

use super::*;
use crate::control::samples::{NOW, backup, fault, pair, router, sick, status};
use crate::engine::output::Mismatch;
use crate::engine::snapshot::RivalSnapshot;

fn plain(status: &Status) -> String {
    text(status, false, Paint::Plain)
}

#[test]
fn a_pair_reads_as_in_the_golden_text() {
    assert_eq!(plain(&pair()), include_str!("../../../tests/cli/status.txt"));
}

#[test]
fn a_sick_pair_says_why_with_the_summands_of_its_priority() {
    let text = plain(&sick());
    assert_eq!(text, include_str!("../../../tests/cli/status-sick.txt"));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn two_hundred_instances_are_a_row_each_and_the_problems_stand_above() {
    let mut routers: Vec<_> = (1..=198).map(|n| (backup(&format!("vi{n:03}")), vec![false, false])).collect();
    routers.push((router("front"), vec![true, false]));
    routers.push((fault("mail"), vec![false, false]));
    let text = plain(&status(&routers));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5 + 200);
    assert_eq!(
        lines[..6],
        [
            "lb1: 1 FAULT, 1 MASTER, 198 BACKUP, up 3d 4h",
            "! front: MASTER, but 10.0.0.31/32 missing",
            "! mail: FAULT, link down",
            "",
            "INSTANCE  STATE   FOR     VIPS  MASTER     WHY",
            "vi001     BACKUP  3d 4h   0/2   10.0.0.21  master with higher priority 150",
        ]
    );
    assert_eq!(lines[203], "front     MASTER  2h 13m  1/2   this node  no advertisement for 3.605 s");
    assert_eq!(lines[204], "mail      FAULT   48s     0/2   -          link down");
    assert!(lines.iter().all(|line| line.len() <= 80));
}

#[test]
fn a_long_name_is_cut_in_a_row_but_not_above() {
    let name = |n| format!("web-of-a-customer-with-a-very-long-name-{n}");
    let mut routers: Vec<_> = (0..9).map(|n| (backup(&name(n)), vec![false, false])).collect();
    routers.push((fault(&name(9)), vec![false, false]));
    let text = plain(&status(&routers));
    assert!(text.contains(&format!("! {}: FAULT, link down\n", name(9))), "{text}");
    assert!(text.contains("\nweb-of-a-~ong-name-9  FAULT   48s    0/2   -          link down\n"), "{text}");
}

#[test]
fn colour_surrounds_the_state_and_does_not_shift_columns() {
    let routers: Vec<_> = (0..20).map(|n| (backup(&format!("vi{n}")), vec![false, false])).collect();
    let status = status(&routers);
    let coloured = text(&status, false, Paint::Coloured);
    assert!(coloured.contains("\x1b[36mBACKUP\x1b[0m"));
    assert_eq!(coloured.replace("\x1b[36m", "").replace("\x1b[0m", ""), plain(&status));
}

#[test]
fn many_addresses_are_counted_unless_asked_for_or_wrong() {
    let mut status = pair();
    let web = &mut status.instances[0];
    web.addresses = (0..2000)
        .map(|n| AddressStatus {
            address: format!("10.1.{}.{}/32", n / 250, n % 250),
            interface: "ens5".to_owned(),
            present: n != 1500,
            duplicate: false,
        })
        .collect();
    let text = plain(&status);
    assert!(text.lines().count() < 40, "{text}");
    assert!(text.contains("            10.1.6.0/32 on ens5: MISSING\n"), "{text}");
    assert!(text.contains("            1999 of 2000 present\n"), "{text}");
    assert!(text.contains("! web: MASTER, but 10.1.6.0/32 missing\n"), "{text}");
    assert!(super::text(&status, true, Paint::Plain).lines().count() > 2000);
}

#[test]
fn a_backup_that_still_has_an_address_is_told() {
    let text = plain(&status(&[(backup("web"), vec![true, true])]));
    assert!(text.contains("! web: BACKUP, but 10.0.0.30/32 and 1 more present\n"), "{text}");
}

#[test]
fn a_peer_that_is_configured_otherwise_is_told() {
    let mut web = router("web");
    let interval = Mismatch::Interval { theirs: Duration::from_millis(2500), ours: Duration::from_secs(1) };
    web.peers[0].differences = vec![Mismatch::AddressCount { theirs: 1, ours: 2 }, interval];
    let text = plain(&status(&[(web, vec![true, true])]));
    let told = "! web: peer 10.0.0.21 lists 1 addresses, expected 2, interval 2500 ms, expected 1000 ms\n";
    assert!(text.contains(told), "{text}");
}

#[test]
fn exit_code_is_one_only_with_a_fault() {
    assert_eq!(exit_code(&pair()), 1);
    assert_eq!(exit_code(&status(&[(router("web"), vec![true, true]), (backup("x"), vec![])])), 0);
    assert_eq!(exit_code(&status(&[])), 0);
}

#[test]
fn another_master_and_an_address_elsewhere_are_rivals_and_one_of_long_ago_is_not() {
    let mut web = router("web");
    let heard = |ago: u64| {
        let ago = NOW.mono - Duration::from_millis(ago);
        let priority = crate::wire::field::Priority::LOWEST;
        Some(RivalSnapshot { address: [10, 0, 0, 21].into(), priority, since: ago, heard_at: ago })
    };
    web.rival = heard(3605);
    let known = status(&[(web.clone(), vec![true, true])]);
    let told = "! web: MASTER, but so is 10.0.0.21, priority 1, since 2026-11-22T08:27:59.812Z\n";
    assert!(plain(&known).contains(told), "{}", plain(&known));
    assert_eq!(exit_code(&known), 1);
    web.rival = heard(3606);
    let mut over = status(&[(web, vec![true, true])]);
    assert_eq!((exit_code(&over), over.instances[0].rival.clone()), (0, None));
    over.instances[0].mark_duplicates(&[false, true]);
    assert_eq!(exit_code(&over), 1);
    assert!(plain(&over).contains("            10.0.0.31/32 on ens6: present, ALSO ELSEWHERE\n"), "{}", plain(&over));
}

#[test]
fn an_empty_node_and_names_that_command_a_terminal_are_harmless() {
    assert_eq!(plain(&status(&[])), "lb1: no instances, up 3d 4h\n");
    let text = plain(&status(&[(fault("a\x1b[2Jb\n"), vec![])]));
    assert!(text.contains("! a?[2Jb?: FAULT, link down\n"), "{text}");
    assert!(!text.contains('\x1b'));
}

#[test]
fn lengths_are_written_in_two_units() {
    for (ms, expected) in [
        (0, "0.0s"),
        (412, "0.4s"),
        (9_999, "9.9s"),
        (10_000, "10s"),
        (59_999, "59s"),
        (303_000, "5m 3s"),
        (7_980_000, "2h 13m"),
        (273_600_000, "3d 4h"),
    ] {
        assert_eq!(length(ms), expected);
    }
}
