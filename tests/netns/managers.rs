//! `vrrpd doctor` beside what configures hosts: netplan, NetworkManager, ufw and firewalld write their own files and rules here.
//!
//! On lb1 of the pair of the pages, whose root directory is in memory: what a tool writes goes nowhere else. The lines that doctor
//! prints for a tool are run by that tool.

use serde_json::Value;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::A;

use crate::beside_others;
use crate::papers::Pair;

#[test]
fn doctor_finds_a_virtual_address_in_what_netplan_and_network_manager_write() {
    beside_others(|| finds_addresses().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn doctor_lets_adverts_through_ufw() {
    beside_others(|| passes_ufw().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn doctor_lets_adverts_through_firewalld() {
    beside_others(|| passes_firewalld().unwrap_or_else(|error| panic!("{error}")));
}

fn finds_addresses() -> Result<(), LabError> {
    let pair = Pair::start()?;
    assert_eq!(of_topic(&pair, "boot files")?, [fine("no file gives a virtual address to an interface at boot")]);
    for renderer in ["networkd", "NetworkManager"] {
        let script = NETPLAN.replace("RENDERER", renderer);
        pair.run(A, &script)?;
        let written =
            pair.run(A, "find /run/systemd/network /run/NetworkManager/system-connections -type f 2>/dev/null || :")?;
        assert!(written.contains("netplan-eth0."), "netplan wrote nothing: {written}");
        // What netplan writes is mended where netplan reads.
        let what = "/etc/netplan/50-lab.yaml:6 gives 192.0.2.30 of web to an interface at boot";
        assert_eq!(
            of_topic(&pair, "boot files")?,
            [(what.to_owned(), "problem".to_owned(), "netplan apply".to_owned())]
        );
        pair.run(A, "rm -r /etc/netplan/50-lab.yaml /run/systemd/network /run/NetworkManager 2>/dev/null || :")?;
    }
    pair.run(A, NMCLI)?;
    let found = of_topic(&pair, "boot files")?;
    let [(what, severity, mend)] = found.as_slice() else { panic!("{found:?}") };
    assert!(what.starts_with("/etc/NetworkManager/system-connections/eth0.nmconnection:"), "{what}");
    assert_eq!((severity.as_str(), mend.as_str()), ("problem", "nmcli connection reload"));
    pair.run(A, "sed -i '/192.0.2.30/d' /etc/NetworkManager/system-connections/eth0.nmconnection")?;
    assert_eq!(of_topic(&pair, "boot files")?, [fine("no file gives a virtual address to an interface at boot")]);
    Ok(())
}

fn passes_ufw() -> Result<(), LabError> {
    let pair = Pair::start()?;
    pair.run(A, "ufw --force enable")?;
    let found = of_topic(&pair, "firewall")?;
    let [(_, severity, line)] = found.as_slice() else { panic!("{found:?}") };
    assert_ne!(severity, "fine", "{found:?}");
    // Where the finding says that the line belongs.
    let place = place(&pair, "firewall")?;
    assert!(place.starts_with("/etc/ufw/before.rules, behind `# End required lines`;"), "{place}");
    pair.run(A, &format!("sed -i '/^# End required lines/a {line}' /etc/ufw/before.rules; ufw reload"))?;
    assert_eq!(of_topic(&pair, "firewall")?, [fine("adverts of web pass the packet filter")], "after {line}");
    Ok(())
}

fn passes_firewalld() -> Result<(), LabError> {
    let pair = Pair::start()?;
    // Both end with the script, and the script ends what is left of them.
    let script = format!("{FIREWALLD}\nvrrpd doctor --json --seconds 0 >before || :\n{MENDED}");
    pair.run(A, &script)?;
    let read = |name: &str| -> Result<Vec<Found>, LabError> {
        let text = pair.run(A, &format!("cat {name}"))?;
        Ok(findings_of(&text, "firewall"))
    };
    let (before, after) = (read("before")?, read("after")?);
    let [(_, severity, lines)] = before.as_slice() else { panic!("{before:?}") };
    assert_ne!(severity, "fine", "{before:?}");
    assert_eq!(lines, "firewall-cmd --permanent --add-protocol=vrrp\nfirewall-cmd --reload");
    assert_eq!(after, [fine("adverts of web pass the packet filter")]);
    Ok(())
}

/// What, how severe, and the lines that mend it.
type Found = (String, String, String);

fn fine(what: &str) -> Found {
    (what.to_owned(), "fine".to_owned(), String::new())
}

fn of_topic(pair: &Pair, topic: &str) -> Result<Vec<Found>, LabError> {
    Ok(findings_of(&doctor(pair)?, topic))
}

fn findings_of(text: &str, topic: &str) -> Vec<Found> {
    let of = |finding: &Value| {
        let word = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let lines = finding["mend"]["lines"].as_array().into_iter().flatten().filter_map(Value::as_str);
        (word("what"), word("severity"), lines.collect::<Vec<_>>().join("\n"))
    };
    topics(text, topic).iter().map(of).collect()
}

/// Returns where the first finding of a topic says that its lines belong.
fn place(pair: &Pair, topic: &str) -> Result<String, LabError> {
    let found = topics(&doctor(pair)?, topic);
    let place = found.first().and_then(|finding| finding["mend"]["place"].as_str());
    Ok(place.unwrap_or_default().to_owned())
}

fn topics(text: &str, topic: &str) -> Vec<Value> {
    let seen: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(seen["unseen"], Value::Array(Vec::new()), "{text}");
    let all = seen["findings"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|finding| finding["topic"] == topic).collect()
}

/// Exit code 1 says that there is a problem.
fn doctor(pair: &Pair) -> Result<String, LabError> {
    pair.run(A, "vrrpd doctor --json --seconds 0 || [ $? = 1 ]")
}

const NETPLAN: &str = r"
mkdir -p /etc/netplan
cat >/etc/netplan/50-lab.yaml <<END
network:
  version: 2
  renderer: RENDERER
  ethernets:
    eth0:
      addresses: [192.0.2.11/24, 192.0.2.30/24]
END
chmod 600 /etc/netplan/50-lab.yaml
netplan generate
";

const NMCLI: &str = r"
mkdir -p /etc/NetworkManager/system-connections
nmcli --offline connection add type ethernet ifname eth0 con-name eth0 ipv4.method manual \
    ipv4.addresses 192.0.2.11/24,192.0.2.30/24 >/etc/NetworkManager/system-connections/eth0.nmconnection
";

/// Starts firewalld on a bus of its own, in this script's background.
const FIREWALLD: &str = r"
mkdir -p /run/dbus /var/log
dbus-daemon --system --nofork --nopidfile >bus.log 2>&1 &
bus=$!
tries=100
until [ -S /run/dbus/system_bus_socket ] || [ $tries = 0 ]; do tries=$((tries - 1)); sleep 0.1; done
firewalld --nofork --nopid >wall.log 2>&1 &
wall=$!
trap 'kill $wall $bus' EXIT
tries=60
until firewall-cmd --state >/dev/null 2>&1 || [ $tries = 0 ]; do tries=$((tries - 1)); sleep 0.5; done
firewall-cmd --state || { cat bus.log wall.log; exit 1; }
";

const MENDED: &str = r"
firewall-cmd --permanent --add-protocol=vrrp
firewall-cmd --reload
vrrpd doctor --json --seconds 0 >after || :
";
