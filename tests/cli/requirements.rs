//! What the RFCs ask of a configuration: the verdict of `vrrpd check`, by its exit code and its words.
//!
//! `docs/rfc9568-ledger.md` names these beside the tests of the protocol.

use crate::{outcome, with_input};

/// A file with one instance of two nodes; `keys` go into the instance, the addresses are those given.
fn pair(keys: &str, addresses: &str, priorities: [u16; 2]) -> String {
    list(keys, addresses, &priorities)
}

fn list(keys: &str, addresses: &str, priorities: &[u16]) -> String {
    let head = format!("[instance.web]\ninterface = \"eth0\"\n{keys}\naddresses = [{addresses}]\n");
    let node = |(number, priority): (usize, &u16)| {
        format!("[[instance.web.node]]\naddress = \"192.0.2.{}\"\npriority = {priority}\n", number + 11)
    };
    head + &priorities.iter().enumerate().map(node).collect::<String>()
}

/// Asserts that a file is good and worth no word.
#[track_caller]
fn good(text: &str) {
    assert_eq!(outcome(&with_input(&["check", "-"], text.as_bytes())), (0, String::new(), String::new()), "{text}");
}

/// Asserts that a file has one problem of this kind, with this in its words.
#[track_caller]
fn has_one(kind: &str, code: i32, words: &str, text: &str) {
    let (found, stdout, stderr) = outcome(&with_input(&["check", "-"], text.as_bytes()));
    assert_eq!((found, stdout.as_str()), (code, ""), "{text}\n{stderr}");
    assert!(stderr.lines().count() == 1 && stderr.contains(kind) && stderr.contains(words), "{text}\n{stderr}");
}

#[track_caller]
fn refused(words: &str, text: &str) {
    has_one(": error: ", 78, words, text);
}

#[track_caller]
fn doubted(words: &str, text: &str) {
    has_one(": warning: ", 0, words, text);
}

const VRID: &str = "virtual_router_id = 51";
const VIP: &str = "\"192.0.2.30\"";

#[test]
fn check_takes_vrids_from_1_to_255_and_has_no_default() {
    for vrid in ["1", "255"] {
        good(&pair(&format!("virtual_router_id = {vrid}"), VIP, [200, 100]));
    }
    for vrid in ["0", "256", "-1"] {
        let text = pair(&format!("virtual_router_id = {vrid}"), VIP, [200, 100]);
        refused(&format!("`virtual_router_id` is {vrid}; expected a number from 1 to 255"), &text);
    }
    refused("needs `virtual_router_id`", &pair("", VIP, [200, 100]));
}

#[test]
fn check_takes_priorities_from_1_to_254_and_255_for_one_owner() {
    good(&pair(VRID, VIP, [254, 1]));
    good(&pair(VRID, "\"192.0.2.11\"", [255, 100]));
    refused("expected a number from 1 to 254, or 255", &pair(VRID, VIP, [200, 0]));
    refused("expected a number from 1 to 254, or 255", &pair(VRID, VIP, [256, 100]));
    refused("priority 255 is that of the one owner", &pair(VRID, VIP, [255, 255]));
    doubted("the owner of an address has priority 255", &pair(VRID, "\"192.0.2.11\"", [200, 100]));
}

#[test]
fn check_doubts_priorities_too_close_for_one_backup_to_hear_the_other() {
    let at = |interval: &str| format!("{VRID}\nadvert_interval = \"{interval}\"");
    good(&list(&at("100ms"), VIP, &[106, 103, 100]));
    good(&list(&at("1s"), VIP, &[102, 101, 100]));
    good(&list(&format!("{VRID}\nversion = 2"), VIP, &[102, 101, 100]));
    good(&pair(&at("10ms"), VIP, [101, 100]));
    good(&list(&at("10ms"), VIP, &[255, 254, 200]));
    doubted(
        "waits 0.8 ms longer than 192.0.2.12, at line 11, too little to hear it first when a master fails (RFC 9568 \
         section 8.3.2); at this interval let their priorities differ by 3 or more",
        &list(&at("100ms"), VIP, &[106, 102, 100]),
    );
    doubted("let their priorities differ by 26 or more", &list(&at("10ms"), VIP, &[200, 175, 149]));
}

#[test]
fn check_takes_intervals_that_the_version_can_send() {
    for (version, intervals) in [(3, ["10ms", "40.95s"]), (2, ["1s", "255s"])] {
        for interval in intervals {
            let keys = format!("{VRID}\nversion = {version}\nadvert_interval = \"{interval}\"");
            good(&pair(&keys, VIP, [200, 100]));
        }
    }
    for (version, intervals) in [(3, ["0s", "15ms", "40.96s"]), (2, ["0s", "1.5s", "256s"])] {
        for interval in intervals {
            let keys = format!("{VRID}\nversion = {version}\nadvert_interval = \"{interval}\"");
            refused(&format!("`advert_interval` is \"{interval}\"; expected"), &pair(&keys, VIP, [200, 100]));
        }
    }
}

#[test]
fn check_wants_the_link_local_address_of_an_ipv6_list_first() {
    let keys = format!("{VRID}\nsource = \"2001:db8::11\"\npeers = [\"2001:db8::12\"]");
    good(&list(&keys, "\"fe80::1\", \"2001:db8::1\"", &[]));
    doubted("is not link-local (RFC 9568 section 5.2.9)", &list(&keys, "\"2001:db8::1\", \"fe80::1\"", &[]));
}

#[test]
fn check_refuses_to_advertise_an_address_of_the_other_family() {
    good(&pair(VRID, "\"192.0.2.30\", \"2001:db8::30\"", [200, 100]));
    good(&pair(VRID, "\"192.0.2.30\", { address = \"2001:db8::30\", advertise = false }", [200, 100]));
    let text = pair(VRID, "\"192.0.2.30\", { address = \"2001:db8::30\", advertise = true }", [200, 100]);
    refused("2001:db8::30", &text);
}
