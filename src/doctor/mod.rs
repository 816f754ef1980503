//! `vrrpd doctor`: what on this host, or on its links, would fight with the configuration. Changes nothing.
//!
//! ```text
//! look, wire (read the host, listen) -> facts (plain values) -> one pure file for each topic -> finding -> printed
//! ```
//! | file | topic |
//! |---|---|
//! | `links` | interfaces and their addresses |
//! | `boot_files`, `managers` | who else gives addresses to them, or takes them away |
//! | `sysctls` | settings of the kernel |
//! | `firewall`, `nft` | whether adverts get through |
//! | `neighbours` | others with the same addresses or virtual routers, here and on the link |
//! | `surroundings` | clock, cloud, programs |

mod boot_files;
mod facts;
pub mod finding;
mod firewall;
mod links;
mod look;
mod managers;
mod neighbours;
mod nft;
mod surroundings;
mod sysctls;
mod wire;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub use finding::{Diagnosis, Finding, Severity};

use crate::config::{self, Config, Format, LocalHost, Problems};
use crate::control::client;
use crate::daemon::{audit, beside, hide_memory};
use crate::engine::params::RouterParams;
use crate::net::netlink::{Dump, Dumper};
use facts::{Facts, LinkFacts};

/// What the command line says.
#[derive(Debug, Default)]
pub struct Options {
    /// The configuration; `None`: the default path.
    pub config: Option<PathBuf>,
    /// Its language; `None`: by its name.
    pub format: Option<Format>,
    /// Of the daemon of this configuration; `None`: the configured one.
    pub runtime_dir: Option<PathBuf>,
    /// How long to listen; 0: not at all.
    pub seconds: u32,
}

/// Looks at everything; takes as long as it listens.
///
/// **Errors:** the configuration is wrong. What cannot be looked at is named in the diagnosis.
pub fn run(options: &Options) -> Result<Diagnosis, Problems> {
    hide_memory();
    let path = options.config.clone().unwrap_or_else(config::default_path);
    let config = config::load(&path, options.format)?.config;
    let mut unseen = Vec::new();
    let facts = gather(&config, options, &mut unseen);
    Ok(Diagnosis::new(findings(&facts), unseen))
}

/// Makes all findings. Pure.
fn findings(facts: &Facts) -> Vec<Finding> {
    let topics = [
        links::findings,
        boot_files::findings,
        managers::findings,
        sysctls::findings,
        firewall::findings,
        neighbours::findings,
        surroundings::findings,
    ];
    topics.iter().flat_map(|topic| topic(facts)).collect()
}

fn gather(config: &Config, options: &Options, unseen: &mut Vec<String>) -> Facts {
    let mut facts = Facts::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| unseen.push(format!("interfaces: {error}"))).ok();
    if let Some(runtime) = &runtime {
        match runtime.block_on(interfaces()) {
            Ok(links) => facts.links = links,
            Err(why) => unseen.push(format!("interfaces: {why}")),
        }
    }
    place(&mut facts, config);
    facts.programs = audit::of_config(config);
    look::host(&mut facts, Path::new("/"), unseen);
    programs_beside(&mut facts, config, options);
    if let Some(runtime) = runtime.filter(|_| options.seconds > 0) {
        runtime.block_on(wire::listen(&mut facts, options.seconds, unseen));
    }
    facts
}

/// Takes what the configuration has for this host, or for the first node where it has nothing.
fn place(facts: &mut Facts, config: &Config) {
    let (addresses, name) = (addresses(facts), host_name());
    match config.for_this_host(&LocalHost { addresses: &addresses, host_name: &name }) {
        Ok(params) => facts.routers = params.routers.iter().map(|router| RouterParams::clone(router)).collect(),
        Err(unplaced) => {
            facts.routers = config.routers().cloned().collect();
            facts.unplaced = Some(unplaced.to_string());
        }
    }
}

/// Finds who else speaks VRRP on this host; the daemon of this configuration is nobody else.
fn programs_beside(facts: &mut Facts, config: &Config, options: &Options) {
    let runtime_dir = options.runtime_dir.as_deref().unwrap_or(&config.daemon.runtime_dir);
    let own = client::status(runtime_dir).ok().and_then(|reply| i32::try_from(reply.status.pid).ok());
    facts.is_running = own.is_some();
    let (addresses, name) = (addresses(facts), host_name());
    let routers: Vec<&RouterParams> = facts.routers.iter().collect();
    let mut others = beside::others(&routers, &LocalHost { addresses: &addresses, host_name: &name });
    others.retain(|other| Some(other.pid) != own);
    facts.others = others;
}

fn addresses(facts: &Facts) -> Vec<IpAddr> {
    facts.links.iter().flat_map(|link| &link.addresses).map(|(address, _, _)| *address).collect()
}

fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

async fn interfaces() -> Result<Vec<LinkFacts>, String> {
    let mut dumper = Dumper::open().map_err(|error| error.to_string())?;
    let Dump { links, addresses } = dumper.dump().await.map_err(|error| error.to_string())?;
    let of = |index| {
        let own = addresses.iter().filter(move |address| address.place.interface == index);
        own.map(|address| (address.place.address, address.place.prefix_len, address.protocol)).collect()
    };
    Ok(links
        .into_iter()
        .map(|link| LinkFacts {
            addresses: of(link.index),
            name: link.name,
            index: link.index,
            is_up: link.is_up,
            is_running: link.is_running,
            mac: link.mac,
        })
        .collect())
}
