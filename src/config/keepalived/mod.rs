//! An unchanged keepalived.conf to the same parameters that TOML gives.
//!
//! ```text
//! lexer -> expand (include, sequence) -> tree (grammar) -> global, instance, track, group -> finish, health -> Config
//! ```
//! Nothing outside this room knows that grammar. What Keepalived ignores is ignored too, and said; what it runs is run,
//! or named with the effect of leaving it out. [`convert`] writes the whole as TOML, with the comments that [`Document`]
//! keeps.

mod convert;
mod document;
mod expand;
mod fates;
mod finish;
mod global;
mod grammar;
mod group;
mod health;
mod hmac;
mod hooks;
mod include;
mod instance;
mod lexer;
mod pair;
mod redact;
mod refusal;
mod remark;
mod report;
mod route;
mod script;
mod sequence;
mod track;
mod tree;
mod value;
mod vip;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

pub use convert::convert;
pub use document::Document;
pub use expand::Comment;
pub use pair::weak_weights;
pub(super) use redact::redacted;
pub use refusal::Refusal;
pub use remark::Remark;
pub use report::Spot;

use super::address::is_link_local;
use super::cross::is_told_apart;
use super::placement::{Config, DaemonSettings, Instance};
use super::secret::Secrets;
use super::{Loaded, Problems};
use crate::engine::params::{CheckKind, Fixed, GroupParams, RouterParams, Vip};
use expand::{Expander, Host};
use global::{Global, START};
use group::SyncGroup;
use health::Checks;
use instance::Draft;
use report::{At, Report};
use track::{Defined, TrackKind};
use tree::Node;

/// Reads a keepalived.conf; names of included files begin where relative paths of `secrets` do.
pub(super) fn read(name: &str, bytes: &[u8], secrets: &Secrets) -> Result<Loaded, Problems> {
    read_on(&Host::of_process(), name, bytes, secrets)
}

fn read_on(host: &Host, name: &str, bytes: &[u8], secrets: &Secrets) -> Result<Loaded, Problems> {
    let mut report = Report::new(name);
    let mut expander = Expander::new(&mut report, host, &secrets.directory);
    expander.open.push(PathBuf::from(name));
    expander.read(0, bytes);
    expander.finish();
    let (lines, comments) = (expander.lines, expander.comments);
    let nodes = tree::parse(&lines, grammar::ROOT, &mut report);
    if nodes.is_empty() && !lines.is_empty() && !report.has_errors() {
        let mut report = Report::new(name);
        report.refuse(START, Refusal::NotKeepalived);
        return Err(Problems(report.into_problems()));
    }
    let mut reader = Reader::new(&nodes);
    for node in &nodes {
        reader.block(node, &mut report);
    }
    reader.document.comments = comments;
    let config = reader.finish(secrets, &mut report);
    let document = reader.document;
    let has_errors = report.has_errors();
    let problems = report.into_problems();
    match config.filter(|_| !has_errors) {
        Some(config) => Ok(Loaded { config, warnings: problems, document: Some(Box::new(document)) }),
        None => Err(Problems(problems)),
    }
}

/// What the blocks have said so far.
struct Reader {
    document: Document,
    global: Global,
    fixed: Fixed,
    drafts: Vec<Draft>,
    /// The lines of instances by their names as written, and the names that they have here.
    lines: BTreeMap<String, u32>,
    taken: BTreeSet<String>,
    groups: Vec<SyncGroup>,
    defined: Vec<Defined>,
    /// All definitions of the file, to tell those that come too late.
    ahead: Vec<(TrackKind, String, Spot)>,
}

impl Reader {
    fn new(nodes: &[Node]) -> Self {
        let ahead = nodes.iter().filter_map(|node| {
            let kind = track::defined_kind(&node.keyword)?;
            Some((kind, node.word(0)?.value.clone(), node.spot))
        });
        Self {
            document: Document::default(),
            global: Global::default(),
            fixed: Fixed::default(),
            drafts: Vec::new(),
            lines: BTreeMap::new(),
            taken: BTreeSet::new(),
            groups: Vec::new(),
            defined: Vec::new(),
            ahead: ahead.collect(),
        }
    }

    fn block(&mut self, node: &Node, report: &mut Report) {
        if let Some(kind) = track::defined_kind(&node.keyword) {
            return self.definition(kind, node, report);
        }
        match node.keyword.as_str() {
            "global_defs" => global::read(node, &mut self.global, self.drafts.len(), report),
            "vrrp_instance" => self.instance(node, report),
            "vrrp_sync_group" => self.group(node, report),
            "static_ipaddress" => {
                let default = self.global.interface.as_deref().filter(|name| value::is_interface(name));
                for entry in &node.body {
                    let Some(vip) = vip::read_fixed(entry, default, report) else { continue };
                    let is_same = |other: &Vip| (other.address, &other.interface) == (vip.address, &vip.interface);
                    if !self.fixed.addresses.iter().any(is_same) {
                        self.fixed.addresses.push(vip);
                    }
                }
            }
            "static_routes" => {
                self.fixed.routes.extend(node.body.iter().filter_map(|entry| route::fixed_route(entry, report)));
            }
            "static_rules" => {
                self.fixed.rules.extend(node.body.iter().filter_map(|entry| route::rule(entry, report)));
            }
            _ => fates::tell(node, fates::ROOT, report),
        }
    }

    fn definition(&mut self, kind: TrackKind, node: &Node, report: &mut Report) {
        let Some(word) = node.word(0) else { return };
        if let Some(first) = self.defined.iter().find(|other| other.kind == kind && other.name == word.value) {
            return twice(node, first.spot.line, report);
        }
        let is_taken = |name: &str| {
            let checks = self.defined.iter().filter_map(|other| other.check.as_ref());
            checks.into_iter().any(|check| check.name == name)
        };
        let name = value::unique_name(&word.value, is_taken);
        tell_renamed(word, &name, report);
        self.defined.extend(track::definition(kind, node, name, report));
    }

    fn group(&mut self, node: &Node, report: &mut Report) {
        let Some(word) = node.word(0) else { return };
        if let Some(first) = self.groups.iter().find(|group| group.written == word.value) {
            return twice(node, first.spot.line, report);
        }
        let name = value::unique_name(&word.value, |name| self.groups.iter().any(|group| group.name == name));
        tell_renamed(word, &name, report);
        let scripts = &mut self.global.scripts;
        self.groups.extend(group::read(node, name, &mut self.defined, &self.ahead, scripts, report));
    }

    fn instance(&mut self, node: &Node, report: &mut Report) {
        let Some(word) = node.word(0) else { return };
        if let Some(first) = self.lines.get(&word.value) {
            return twice(node, *first, report);
        }
        self.lines.insert(word.value.clone(), node.spot.line);
        value::no_more_words(node, 1, report);
        let name = self.unique_name(word, report);
        let mut draft = Draft::new(name, node.spot, self.global.inherited);
        draft.parts.name.clone_from(&word.value);
        draft.parts.last_line = node.last_line;
        draft.parts.keywords = node.body.iter().map(|node| (node.keyword.clone(), node.spot.line)).collect();
        for node in &node.body {
            match track::kind(&node.keyword) {
                Some(kind) => track::block(node, kind, &mut self.defined, &self.ahead, &mut draft.tracks, report),
                None if node.keyword == "notify_priority_changes" => {
                    self.global.scripts.priority_changes(node, report);
                }
                None => draft.read(node, report),
            }
        }
        self.drafts.push(draft);
    }

    /// Makes a name that an instance can have here.
    fn unique_name(&mut self, written: &At<String>, report: &mut Report) -> String {
        let name = value::unique_name(&written.value, |name| self.taken.contains(name));
        tell_renamed(written, &name, report);
        self.taken.insert(name.clone());
        name
    }

    fn finish(&mut self, secrets: &Secrets, report: &mut Report) -> Option<Config> {
        if self.drafts.is_empty() {
            report.refuse(START, Refusal::NoInstance);
        }
        for unused in self.defined.iter().filter(|defined| !defined.is_used) {
            let what = format!("{} {}", track::keyword(unused.kind), remark::excerpt(&unused.name));
            report.remark(unused.spot, Remark::Unused { what });
        }
        let written: Vec<String> = self.drafts.iter().map(|draft| draft.parts.name.clone()).collect();
        group::settle(&mut self.groups, &written, report);
        let mut checks = Checks::new(&self.defined);
        let mut routers: Vec<(RouterParams, Spot)> = Vec::new();
        // The names of the instances that are there, as they are written and as they are here.
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        let mut owners: BTreeMap<(IpAddr, Option<String>), String> = BTreeMap::new();
        for mut draft in std::mem::take(&mut self.drafts) {
            let Some((mut params, keys)) = finish::finish(&draft, &self.global, secrets, report) else { continue };
            leave_to_others(&mut params, &mut owners, &draft, report);
            check_router(&routers, &params, &draft, report);
            let group = self.groups.iter().find(|group| group.members.contains(&draft.parts.name));
            params.tracks = checks.tracks(&draft, &params, group, report);
            names.insert(draft.parts.name.clone(), params.name.clone());
            let mut parts = std::mem::take(&mut draft.parts);
            parts.name.clone_from(&params.name);
            parts.spot = draft.spot;
            parts.password = draft.password.map(|password| password.value);
            parts.keys = keys;
            self.document.instances.push(parts);
            routers.push((params, draft.spot));
        }
        if routers.is_empty() && !report.has_errors() {
            report.refuse(START, Refusal::NoInstance);
        }
        let checks = checks.finish();
        let groups = groups(&self.groups, &names);
        self.document.blocks = self.defined.iter().filter_map(Defined::block).collect();
        self.document.blocks.extend(self.groups.iter().map(SyncGroup::block));
        let mut hooks = self.global.scripts.finish(report);
        let has_hooks = routers.iter().any(|(params, _)| !params.hooks.calls.is_empty());
        let has_group_hooks = groups.iter().any(|group| !group.hooks.calls.is_empty());
        let has_scripts = checks.iter().any(|check| matches!(check.kind, CheckKind::Exec(_)));
        if !has_hooks && !has_group_hooks && !has_scripts {
            hooks::forget_runner(&mut hooks);
        }
        let daemon = DaemonSettings {
            node: self.global.node.take(),
            runtime_dir: PathBuf::from(super::DEFAULT_RUNTIME_DIR),
            control_group: None,
            metrics: None,
        };
        Some(Config {
            daemon,
            instances: routers.into_iter().map(|(params, _)| Instance { params, nodes: Vec::new() }).collect(),
            checks,
            groups,
            hooks: Arc::new(hooks),
            fixed: std::mem::take(&mut self.fixed),
        })
    }
}

/// Returns the groups with the members that are there. `names`: of the instances, as written and as they are here.
fn groups(groups: &[SyncGroup], names: &BTreeMap<String, String>) -> Vec<Arc<GroupParams>> {
    let group = |group: &SyncGroup| {
        let members: Vec<String> = group.members.iter().filter_map(|member| names.get(member).cloned()).collect();
        let (name, hooks) = (group.name.clone(), script::hooks(group.calls.clone()));
        (!members.is_empty()).then(|| Arc::new(GroupParams { name, members, hooks }))
    };
    groups.iter().filter_map(group).collect()
}

/// Takes out what belongs to an instance before it.
fn leave_to_others(
    params: &mut RouterParams,
    owners: &mut BTreeMap<(IpAddr, Option<String>), String>,
    draft: &Draft,
    report: &mut Report,
) {
    let own = params.interface.clone();
    let name = params.name.clone();
    let before = params.vips.len();
    params.vips.retain(|vip| {
        let link = vip.interface.clone().unwrap_or_else(|| own.clone());
        let key = (vip.address, is_link_local(&vip.address).then_some(link));
        match owners.get(&key) {
            Some(instance) => {
                let entry =
                    draft.vips.iter().chain(&draft.excluded).find(|entry| entry.value.vip.address == vip.address);
                let (address, instance) = (vip.address, instance.clone());
                report.remark(entry.map_or(draft.spot, |entry| entry.spot), Remark::OfAnother { address, instance });
                false
            }
            None => {
                owners.insert(key, name.clone());
                true
            }
        }
    });
    let is_bare = before > 0 && params.advertised().next().is_none();
    if is_bare && params.version == crate::wire::field::Version::V3 {
        report.refuse(draft.spot, Refusal::NoAddresses);
    }
}

/// Refuses an instance that nobody could tell from one before it.
fn check_router(routers: &[(RouterParams, Spot)], params: &RouterParams, draft: &Draft, report: &mut Report) {
    let same = routers.iter().find(|(other, _)| {
        (&other.interface, other.family, other.vrid) == (&params.interface, params.family, params.vrid)
            && !is_told_apart(&other.transport, &params.transport)
    });
    if let Some((other, spot)) = same {
        let refusal = Refusal::SameRouter {
            interface: params.interface.clone(),
            family: params.family,
            vrid: params.vrid,
            instance: other.name.clone(),
            line: spot.line,
        };
        report.refuse(draft.vrid.as_ref().map_or(draft.spot, |vrid| vrid.spot), refusal);
    }
}

/// Says that a name could not be kept.
fn tell_renamed(written: &At<String>, name: &str, report: &mut Report) {
    if name != written.value {
        let found = remark::excerpt(&written.value);
        report.remark(written.spot, Remark::Renamed { found, name: name.to_owned() });
    }
}

fn twice(node: &Node, line: u32, report: &mut Report) {
    let name = node.word(0).map(|word| remark::excerpt(&word.value)).unwrap_or_default();
    report.remark(node.spot, Remark::Twice { what: format!("{} {name}", node.keyword), line });
}
