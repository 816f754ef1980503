//! Who was drained, by whom and for how long: kept in the state directory, so that neither a restart nor a reboot ends it.
//!
//! Values alone: which names an order is about, when one is over, what the engine is told. One stop before:
//! `daemon::service`, for clients; `daemon::start`, which reads it. One stop after: `engine::drain`.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::state_dir::StateDir;
use crate::control::drain::DrainStatus;
use crate::control::rfc3339;
use crate::engine::drain;
use crate::engine::params::NodeParams;

/// Everybody who is drained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Drains {
    /// The whole node.
    pub node: Option<Drain>,
    /// By name; also of instances that the configuration does not have at the moment.
    pub instances: BTreeMap<String, Drain>,
}

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Drain {
    /// When it was given, RFC 3339.
    pub since: String,
    /// When it ends by itself, RFC 3339.
    pub until: Option<String>,
    /// What was said why; may be empty.
    pub reason: String,
    /// The user who gave it.
    pub uid: u32,
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    schema: u32,
    #[serde(flatten)]
    drains: Drains,
}

impl Drains {
    /// Reads what an earlier process left; nothing: nobody is drained.
    ///
    /// **Errors:** the file is there and cannot be read or understood.
    pub fn read(state_dir: &StateDir) -> io::Result<Self> {
        let Some(bytes) = state_dir.read(FILE)? else { return Ok(Self::default()) };
        let written: Written = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
        if written.schema != SCHEMA {
            return Err(io::Error::other(format!("schema {}, expected {SCHEMA}", written.schema)));
        }
        Ok(written.drains)
    }

    /// Writes it; on the disk when this returns. Blocks.
    pub fn write(&self, state_dir: &StateDir) -> io::Result<()> {
        if *self == Self::default() {
            return state_dir.remove(FILE);
        }
        let mut bytes = serde_json::to_vec_pretty(&Written { schema: SCHEMA, drains: self.clone() })?;
        bytes.push(b'\n');
        state_dir.write(FILE, &bytes)
    }

    /// Drains these instances, or the whole node where none is named.
    pub fn drain(&mut self, names: &[String], drain: &Drain) {
        match names {
            [] => self.node = Some(drain.clone()),
            names => self.instances.extend(names.iter().map(|name| (name.clone(), drain.clone()))),
        }
    }

    /// Resumes these instances with the other members of their groups, or whatever is drained where none is named.
    ///
    /// Where the whole node is drained, the other instances stay drained by name.
    pub fn resume(&mut self, names: &[String], params: &NodeParams) {
        if names.is_empty() {
            *self = Self::default();
            return;
        }
        let meant = with_mates(names, params);
        if let Some(node) = self.node.take() {
            for router in &params.routers {
                self.instances.entry(router.name.clone()).or_insert_with(|| node.clone());
            }
        }
        self.instances.retain(|name, _| !meant.contains(name));
    }

    /// Ends those whose time is over at `utc`; returns their names, an empty one for the node.
    pub fn expire(&mut self, utc: Duration) -> Vec<String> {
        let is_over = |drain: &Drain| drain.until().is_some_and(|until| until <= utc);
        let mut ended: Vec<String> =
            self.node.take_if(|node| is_over(node)).map(|_| String::new()).into_iter().collect();
        self.instances.retain(|name, drain| {
            let is_over = is_over(drain);
            if is_over {
                ended.push(name.clone());
            }
            !is_over
        });
        ended
    }

    /// Returns when the next one ends by itself, as time since 1970-01-01.
    pub fn next_end(&self) -> Option<Duration> {
        self.node.iter().chain(self.instances.values()).filter_map(Drain::until).min()
    }

    /// Forgets instances that a configuration does not have.
    pub fn retain(&mut self, params: &NodeParams) {
        self.instances.retain(|name, _| params.routers.iter().any(|router| router.name == *name));
    }

    /// Returns what drains an instance: the node's order, its own, or that of a member of its group.
    pub fn of(&self, name: &str, params: &NodeParams) -> Option<&Drain> {
        let mates = || with_mates(&[name.to_owned()], params).iter().find_map(|mate| self.instances.get(mate));
        self.node.as_ref().or_else(|| self.instances.get(name)).or_else(mates)
    }

    /// Returns what the engine is told.
    pub fn for_engine(&self) -> Arc<drain::Drains> {
        let words = |drain: &Drain| Arc::from(drain.reason.as_str());
        Arc::new(drain::Drains {
            node: self.node.as_ref().map(words),
            routers: self.instances.iter().map(|(name, drain)| (name.clone(), words(drain))).collect(),
        })
    }

    /// Returns a line for each order, for the log of a start.
    pub fn lines(&self) -> Vec<String> {
        let node = self.node.iter().map(|drain| ("the whole node", drain));
        let instances = self.instances.iter().map(|(name, drain)| (name.as_str(), drain));
        node.chain(instances)
            .map(|(who, drain)| format!("drained {who} since {}{}", drain.since, drain.tail()))
            .collect()
    }
}

impl Drain {
    fn until(&self) -> Option<Duration> {
        self.until.as_deref().and_then(rfc3339::parse)
    }

    /// Returns it as the status has it.
    pub fn status(&self) -> DrainStatus {
        DrainStatus { since: self.since.clone(), until: self.until.clone(), reason: self.reason.clone() }
    }

    /// Returns what a line ends with: until when, and why.
    pub fn tail(&self) -> String {
        let until = self.until.as_ref().map_or_else(String::new, |until| format!(" until {until}"));
        if self.reason.is_empty() { until } else { format!("{until}: {}", self.reason) }
    }
}

/// Returns names with those of the other members of their groups, in the order of the configuration.
pub(super) fn with_mates(names: &[String], params: &NodeParams) -> Vec<String> {
    let is_mate = |name: &String| {
        // A router that two groups name is in the first.
        let group = params.groups.iter().find(|group| group.members.contains(name));
        group.is_some_and(|group| {
            let is_first = |member: &&String| {
                params.groups.iter().find(|other| other.members.contains(member)).is_some_and(|other| other == group)
            };
            group.members.iter().filter(is_first).any(|member| names.contains(member))
        })
    };
    let all = params.routers.iter().map(|router| &router.name);
    all.filter(|name| names.contains(name) || is_mate(name)).cloned().collect()
}

const FILE: &str = "drained.json";
const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::samples;
    use crate::engine::params::{GroupParams, Hooks};

    const NOW: Duration = Duration::from_secs(1_795_336_083);

    fn order(reason: &str, length: Option<u64>) -> Drain {
        let until = length.map(|seconds| rfc3339::format(NOW + Duration::from_secs(seconds)));
        Drain { since: rfc3339::format(NOW), until, reason: reason.into(), uid: 0 }
    }

    /// Four instances, the first two in a group.
    fn params() -> NodeParams {
        let routers = ["web", "web6", "db", "mail"].map(|name| Arc::new(samples::params(name))).to_vec();
        let members = vec!["web".to_owned(), "web6".to_owned()];
        let groups = vec![Arc::new(GroupParams { name: "front".into(), members, hooks: Hooks::default() })];
        NodeParams { routers, groups, ..NodeParams::default() }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_written_is_read_again_and_nothing_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = StateDir::at(dir.path().to_owned());
        let mut drains = Drains::default();
        drains.drain(&[], &order("new disks", None));
        drains.drain(&names(&["web"]), &order("", Some(1800)));
        drains.write(&state_dir).unwrap();
        assert_eq!(Drains::read(&state_dir).unwrap(), drains);
        drains.resume(&[], &params());
        drains.write(&state_dir).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(Drains::read(&state_dir).unwrap(), Drains::default());
        for text in ["", "{}", r#"{"schema":2,"node":null,"instances":{}}"#] {
            state_dir.write(FILE, text.as_bytes()).unwrap();
            assert!(Drains::read(&state_dir).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_group_is_drained_and_resumed_as_one() {
        let (mut drains, params) = (Drains::default(), params());
        drains.drain(&names(&["web6"]), &order("x", None));
        assert!(drains.of("web", &params).is_some() && drains.of("db", &params).is_none());
        drains.resume(&names(&["web"]), &params);
        assert_eq!(drains, Drains::default());
        assert_eq!(with_mates(&names(&["mail", "web"]), &params), ["web", "web6", "mail"]);
    }

    #[test]
    fn one_instance_of_a_drained_node_is_resumed_and_the_others_stay() {
        let (mut drains, params) = (Drains::default(), params());
        drains.drain(&[], &order("x", None));
        drains.resume(&names(&["db"]), &params);
        assert_eq!(drains.node, None);
        assert_eq!(drains.instances.keys().collect::<Vec<_>>(), ["mail", "web", "web6"]);
    }

    #[test]
    fn an_order_ends_when_its_time_is_over_and_not_before() {
        let mut drains = Drains::default();
        drains.drain(&[], &order("", Some(60)));
        drains.drain(&names(&["web"]), &order("", Some(30)));
        drains.drain(&names(&["db"]), &order("", None));
        assert_eq!(drains.next_end(), Some(NOW + Duration::from_secs(30)));
        assert_eq!(drains.expire(NOW + Duration::from_millis(29_999)), Vec::<String>::new());
        assert_eq!(drains.expire(NOW + Duration::from_secs(30)), ["web"]);
        assert_eq!(drains.expire(NOW + Duration::from_secs(3600)), [""]);
        assert_eq!((drains.next_end(), drains.instances.len()), (None, 1));
    }

    #[test]
    fn instances_that_are_gone_are_forgotten() {
        let mut drains = Drains::default();
        drains.drain(&names(&["old", "web"]), &order("", None));
        drains.retain(&params());
        assert_eq!(drains.instances.keys().collect::<Vec<_>>(), ["web"]);
    }
}
