//! What each side of a pair has counted, whatever program it is: adverts believed and packets refused.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node;

use crate::cluster::Cluster;

/// Of one virtual router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Adverts that were believed.
    pub received: u64,
    /// Packets that were not, by reason.
    pub refused: BTreeMap<String, u64>,
}

impl Account {
    /// How many were not believed.
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }
}

/// Returns what a node has counted, by instance; under an empty name, of ours, what was for no instance.
pub fn accounts(cluster: &Cluster, node: Node) -> Result<BTreeMap<String, Account>, LabError> {
    match cluster.kind(node).is_ours() {
        true => ours(cluster, node),
        false => keepalived(cluster, node),
    }
}

fn ours(cluster: &Cluster, node: Node) -> Result<BTreeMap<String, Account>, LabError> {
    let (text, _) = cluster.status(node, &["--json"])?;
    let page: Value = serde_json::from_str(&text).map_err(|_| wrong(text.clone()))?;
    let instances = page["instances"].as_array().ok_or_else(|| wrong(text.clone()))?;
    let mut accounts: BTreeMap<String, Account> = instances.iter().map(of_instance).collect();
    // What no instance is for.
    accounts.insert(String::new(), Account { received: 0, refused: reasons(&page["discarded"]) });
    Ok(accounts)
}

fn of_instance(instance: &Value) -> (String, Account) {
    let received = instance["counters"]["advertisements_received"].as_u64().unwrap_or(0);
    let name = instance["name"].as_str().unwrap_or_default().to_owned();
    (name, Account { received, refused: reasons(&instance["counters"]["discarded"]) })
}

fn reasons(counts: &Value) -> BTreeMap<String, u64> {
    let counts = counts.as_object().into_iter().flatten();
    counts.filter_map(|(reason, count)| Some((reason.clone(), count.as_u64()?))).filter(|(_, n)| *n > 0).collect()
}

/// Keepalived writes its counters to a file when it is asked by a signal.
fn keepalived(cluster: &Cluster, node: Node) -> Result<BTreeMap<String, Account>, LabError> {
    let path = cluster.folder(node)?.join("keepalived.stats");
    let _ = std::fs::remove_file(&path);
    cluster.signal(node, nix::sys::signal::Signal::SIGUSR2);
    let text = cluster.watch.wait("Keepalived's counters", Duration::from_secs(3), |_| {
        let text = std::fs::read_to_string(&path).ok()?;
        text.trim_end().lines().last()?.contains("Sent").then_some(text)
    })?;
    let instances = text.split("VRRP Instance: ").skip(1).filter_map(|part| {
        let mut lines = part.lines();
        let name = lines.next()?.to_owned();
        let (mut section, mut account) = ("", Account::default());
        for line in lines {
            let Some((key, value)) = line.trim().split_once(':') else { continue };
            match (section, key, value.trim().parse::<u64>()) {
                (_, key, Err(_)) => section = key,
                ("Advertisements", "Received", Ok(count)) => account.received = count,
                ("Packet Errors" | "Authentication Errors", key, Ok(count)) if count > 0 => {
                    account.refused.insert(format!("{section}: {key}"), count);
                }
                (_, _, Ok(_)) => {}
            }
        }
        Some((name, account))
    });
    Ok(instances.collect())
}

fn wrong(problem: String) -> LabError {
    LabError::Daemon { name: "counters".to_owned(), problem }
}
