//! Where each target begins, made from what is in this repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::pcap;

/// Returns the seeds of each target by its name.
pub fn all() -> [(&'static str, Vec<Vec<u8>>); 4] {
    [("advert", adverts()), ("engine", engine()), ("keepalived", keepalived()), ("toml", toml())]
}

/// Every packet of the captures and of `malformed.json`, from its IP header and from its payload; each content once.
pub fn adverts() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = packets().into_iter().flat_map(|packet| [payload(&packet), packet]).collect();
    seeds.sort();
    seeds.dedup();
    seeds.retain(|seed| seed.len() < 2000);
    seeds
}

/// Captured packets as inputs of a node that knows their VRID, and sequences of all kinds of inputs for all kinds of
/// routers.
pub fn engine() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for packet in packets().into_iter().filter(|packet| packet.len() < 200) {
        let is_v4 = packet.first().is_some_and(|first| first >> 4 == 4);
        let bytes = if is_v4 { packet } else { payload(&packet) };
        // One router, started; its shape and mode; priority; two bytes of tracks; three checks.
        for (shape, mode) in [(0x02, 0xc4), (0x00, 0xd0), (0x03, 0xe2), (0x22, 0x80), (0x12, 0x46)] {
            let mut seed = vec![2, shape, mode, 100, 0, 0, 0, 0, 0];
            // Twice: the second time it is a replay.
            for _ in 0..2 {
                seed.extend_from_slice(&[0, 0, 6, bytes.len() as u8]);
                seed.extend_from_slice(&bytes);
                seed.extend_from_slice(&[u8::from(is_v4), 6, 0, 1]);
            }
            seeds.push(seed);
        }
    }
    seeds.sort();
    seeds.dedup();
    // Every seventh: they differ little.
    let mut seeds: Vec<_> = seeds.into_iter().step_by(7).collect();
    for shape in (0..=255).step_by(3) {
        for mode in [0x00, 0x40, 0x80, 0xc0, 0xd5, 0xea, 0xff] {
            let mut seed = vec![2 | shape & 9, shape, mode, 100, 0x33, 0x90, 1, 2, 3];
            for step in 0..24_u8 {
                // An advert of a peer with this priority, its trailer, its form, then a little time.
                seed.extend_from_slice(&[
                    0,
                    step & 1,
                    8 + step % 5,
                    0,
                    60 + step * 8,
                    step,
                    step << 4,
                    1,
                    step % 3,
                    6,
                    0,
                    200,
                ]);
            }
            seeds.push(seed);
        }
    }
    seeds
}

/// Configuration files that Keepalived reads.
pub fn keepalived() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> =
        files("tests/netns/article", "conf").iter().map(|file| fs::read(file).unwrap()).collect();
    seeds.extend(KEEPALIVED.iter().map(|text| text.as_bytes().to_vec()));
    // Converted, every key of ours has one of theirs.
    assert!(seeds.len() > KEEPALIVED.len());
    seeds
}

/// The example files.
pub fn toml() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = files("conf", "toml").iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(!seeds.is_empty());
    seeds.extend(TOML.iter().map(|text| text.as_bytes().to_vec()));
    seeds
}

/// IP packets with VRRP in them: those of the captures, then the malformed ones.
fn packets() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for file in files("tests/wire/captures", "pcap") {
        let frames = pcap::frames(&file);
        packets.extend(frames.iter().filter(|frame| is_vrrp(frame)).map(|frame| frame[14..].to_vec()));
    }
    let text = fs::read_to_string(pcap::path("malformed.json")).unwrap();
    let table: serde_json::Value = serde_json::from_str(&text).unwrap();
    for case in table["cases"].as_array().unwrap() {
        packets.push(unhex(case["hex"].as_str().unwrap()));
    }
    assert!(packets.len() > 300, "{} packets", packets.len());
    packets
}

fn is_vrrp(frame: &[u8]) -> bool {
    match frame[12..14] {
        [0x08, 0x00] => matches!(frame[23], 51 | 112),
        [0x86, 0xdd] => frame[20] == 112,
        _ => false,
    }
}

/// Returns what follows the IP header.
fn payload(packet: &[u8]) -> Vec<u8> {
    let first = packet.first().copied().unwrap_or_default();
    let header = if first >> 4 == 4 { usize::from(first & 15) * 4 } else { 40 };
    packet.get(header..).unwrap_or_default().to_vec()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

/// What the files of the repository do not say.
const KEEPALIVED: [&str; 3] = [
    "global_defs {\n router_id A\n vrrp_version 3\n script_user root\n vrrp_garp_master_delay 2\n}\n\
     vrrp_script chk {\n script \"/bin/a 'b' c\"\n interval 2\n weight -5\n fall 2\n rise 3\n init_fail\n}\n\
     vrrp_track_file f {\n file /run/f\n weight 3\n}\n\
     vrrp_sync_group G {\n group {\n  V1\n  V2\n }\n notify_master /bin/x\n}\n\
     vrrp_instance V1 {\n state MASTER\n interface eth0\n virtual_router_id 51\n priority 100\n advert_int 1.5\n nopreempt\n\
     unicast_src_ip 10.0.0.9\n unicast_peer {\n  10.0.0.8 min_ttl 254 max_ttl 255\n }\n\
     virtual_ipaddress {\n  10.0.1.1/24 dev eth1 label eth1:0 scope link\n  10.0.1.2/24\n }\n\
     virtual_routes {\n  default via 10.0.0.1 dev eth0 table 7\n }\n track_script {\n  chk weight 5 reverse\n }\n}\n\
     vrrp_instance V2 {\n interface eth1\n virtual_router_id 52\n preempt_delay 5\n virtual_ipaddress {\n  fe80::1/64\n }\n}\n",
    "vrrp_instance V {\n interface eth0\n virtual_router_id 9\n version 2\n authentication {\n  auth_type PASS\n\
     auth_pass \"12 45678\"\n }\n virtual_ipaddress {\n  10.0.1.1\n }\n}\n\
     vrrp_instance W {\n interface eth0\n virtual_router_id 10\n authentication {\n  auth_type AH\n  auth_pass x\n }\n\
     virtual_ipaddress {\n  10.0.1.2\n }\n}\n",
    "$IF=eth0\n~SEQ(i, 1, 3) vrrp_instance V$i {\n interface $IF\n virtual_router_id $i\n priority 1$i\n\
     auth_hmac {\n  key 1 hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n\
     key 7 \"0123456789abcdef0123456789abcdef\"\n  active_key 7\n  anti_replay time\n  time_window 5\n  mode permissive\n }\n\
     virtual_ipaddress {\n  10.0.0.$i/24 brd + dev $IF\n }\n}\n",
];

/// What the example files do not say.
const TOML: [&str; 1] =
    ["[[instance]]\nname = \"a\"\ninterface = \"eth0\"\nvrid = 51\nversion = 2\naddresses = [\"192.0.2.1/24\"]\n\
     [instance.auth]\npassword = \"s3cr3t77\"\n"];
