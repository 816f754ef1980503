//! What a daemon of ours says of itself: `vrrpd status --json`.

use serde_json::Value;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node;

use crate::cluster::Cluster;

/// One instance as status tells it.
#[derive(Clone, Debug)]
pub struct Status {
    /// `MASTER` and so on.
    pub state: String,
    /// Why.
    pub reason: String,
    /// With the weights.
    pub effective_priority: i64,
    /// All that is said of the instance.
    pub instance: Value,
    /// The process.
    pub pid: u32,
}

/// Asks a node's daemon for an instance.
pub fn status(cluster: &Cluster, node: Node, name: &str) -> Result<Status, LabError> {
    let (text, _) = cluster.status(node, &["--json"])?;
    let read = |text: &str| -> Option<Status> {
        let page: Value = serde_json::from_str(text).ok()?;
        let instances = page.get("instances")?.as_array()?;
        let instance = instances.iter().find(|instance| instance["name"] == name)?.clone();
        Some(Status {
            state: instance.get("state")?.as_str()?.to_owned(),
            reason: instance.get("reason")?.as_str()?.to_owned(),
            effective_priority: instance.get("effective_priority")?.as_i64()?,
            pid: u32::try_from(page.get("pid")?.as_u64()?).ok()?,
            instance,
        })
    };
    read(&text).ok_or_else(|| LabError::Daemon { name: "vrrpd status".to_owned(), problem: text })
}
