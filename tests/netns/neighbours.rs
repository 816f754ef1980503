//! What the client's kernel believes: at which hardware address, and so with which node, an address is.

use std::net::IpAddr;
use std::process::Command;

use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::{Lab, Node};

use crate::tap::{Mac, mac_of};

/// What the client's neighbour cache says about an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Belief {
    /// It is this node's.
    With(Node),
    /// It is somebody's who is no node.
    Elsewhere(Mac),
    /// No answer is known.
    Unknown,
}

/// Reads the client's neighbour cache.
pub fn belief(lab: &Lab, address: IpAddr) -> Result<Belief, LabError> {
    let text = lab.client().enter(move || {
        let output = Command::new("ip").args(["neigh", "show", "to", &address.to_string()]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    });
    let text = text.map_err(LabError::kernel("read the client's neighbours"))?;
    let Some(mac) = mac_in(&text) else { return Ok(Belief::Unknown) };
    // A node whose interface is gone has no hardware address.
    let node = lab.nodes().find(|node| mac_of(lab, *node).is_ok_and(|own| own == mac));
    Ok(node.map_or(Belief::Elsewhere(mac), Belief::With))
}

/// Returns the hardware address in a line of `ip neigh`.
fn mac_in(line: &str) -> Option<Mac> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "lladdr").skip(1);
    let bytes: Vec<u8> =
        words.next()?.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>().ok()?;
    bytes.try_into().ok()
}

#[test]
fn a_hardware_address_is_found_in_a_line() {
    let line = "10.77.1.1 dev eth0 lladdr 02:0a:ff:00:00:01 ref 1 used 0/0/0 probes 1 REACHABLE \n";
    assert_eq!(mac_in(line), Some([2, 10, 255, 0, 0, 1]));
    assert_eq!(mac_in("10.77.1.1 dev eth0 FAILED \n"), None);
    assert_eq!(mac_in(""), None);
}
