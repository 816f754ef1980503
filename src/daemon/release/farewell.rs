//! Tells the peers that a dead daemon sends no more adverts: priority 0, twice, as it would have done itself.
//!
//! An engine takes up what the state file says, and is told to stop: its resignations are what is sent. The key of an
//! authenticated advert is the only thing that comes from the configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::config::{self, LocalHost};
use crate::daemon::event_loop::read_clocks;
use crate::daemon::start::local_addresses;
use crate::daemon::state::past::{Slot, imprint};
use crate::daemon::state::table::{AuthKind, Entry};
use crate::engine::input::{Input, Interface, RouterKey};
use crate::engine::node::Node;
use crate::engine::output::{Output, Transmit};
use crate::engine::params::{NodeParams, RouterParams};
use crate::engine::time::Instant;
use crate::net::socket::{Sender, Wanted};
use crate::wire::field::Family;

/// The routers that are to resign.
pub(super) struct Farewell {
    config: PathBuf,
    /// What the configuration says, once it was asked.
    configured: Option<Result<NodeParams, String>>,
    speakers: Vec<Speaker>,
}

/// An engine for one router.
struct Speaker {
    number: usize,
    family: Family,
    is_ah: bool,
    node: Node,
}

/// What was said for one router.
#[derive(Debug)]
pub(super) struct Spoken {
    /// Its place in the table.
    pub number: usize,
    pub stamp: Option<u64>,
    pub ah_sequence: u32,
    pub result: Result<(), String>,
}

impl Farewell {
    /// Has nobody to speak for. `config`: of the dead daemon.
    pub fn new(config: &Path) -> Self {
        Self { config: config.to_owned(), configured: None, speakers: Vec::new() }
    }

    /// Makes the engine that speaks for a router. `index`: of its interface.
    ///
    /// **Errors:** in words, why it cannot be spoken for.
    pub fn prepare(&mut self, number: usize, entry: &Entry, slot: &Slot, index: Option<u32>) -> Result<(), String> {
        let source = slot.source.ok_or("it had no source address")?;
        let index = index.ok_or_else(|| format!("there is no interface {}", entry.interface))?;
        let mut params = match entry.auth {
            AuthKind::None => entry.params().ok_or("the state file names no router that can be")?,
            AuthKind::Password | AuthKind::Ah | AuthKind::Hmac => self.with_keys(entry)?,
        };
        params.source = Some(source);
        params.tracks.clear();
        let family = params.family;
        let params = NodeParams { routers: vec![Arc::new(params)], ..NodeParams::default() };
        let mut node = Node::new(&params);
        let imprint = imprint(entry, slot).ok_or("the state file is damaged")?;
        let name = entry.interface.clone();
        let interface = Interface { name, index: Some(index), is_up: true, addresses: vec![source], elsewhere: vec![] };
        let now = read_clocks();
        for input in [Input::Adopt { router: RouterKey(0), imprint }, Input::Interface(interface), Input::Startup] {
            node.handle(now, input);
        }
        self.speakers.push(Speaker { number, family, is_ah: entry.auth == AuthKind::Ah, node });
        Ok(())
    }

    /// Sends what all of them have to say; takes as long as it takes to say it twice.
    pub async fn say(mut self) -> Vec<Spoken> {
        if self.speakers.is_empty() {
            return Vec::new();
        }
        let any = |family| self.speakers.iter().any(|speaker| speaker.family == family);
        let is_ah = self.speakers.iter().any(|speaker| speaker.is_ah);
        let wanted = Wanted { v4: any(Family::V4), v6: any(Family::V6), ah: is_ah };
        let mut sender = match Sender::open(wanted) {
            Ok(sender) => sender,
            Err(error) => {
                let failed = |speaker: &Speaker| speaker.spoken(Err(error.to_string()));
                return self.speakers.iter().map(failed).collect();
            }
        };
        let mut results: Vec<Result<(), String>> = Vec::new();
        for speaker in &mut self.speakers {
            speaker.node.handle(read_clocks(), Input::Shutdown);
            results.push(speaker.resign(&mut sender));
        }
        // The others wait meanwhile, too.
        let repeat_at = self.speakers.iter_mut().filter_map(|speaker| speaker.node.poll_timeout()).max();
        let pause = repeat_at.map_or(Duration::ZERO, |at: Instant| at.since(read_clocks().mono));
        sleep(pause.min(LONGEST)).await;
        for (speaker, result) in self.speakers.iter_mut().zip(&mut results) {
            speaker.node.handle(read_clocks(), Input::Timeout);
            let repeated = speaker.resign(&mut sender);
            if result.is_ok() {
                *result = repeated;
            }
        }
        self.speakers.iter().zip(results).map(|(speaker, result)| speaker.spoken(result)).collect()
    }

    /// Returns the router as the configuration has it.
    fn with_keys(&mut self, entry: &Entry) -> Result<RouterParams, String> {
        let path = &self.config;
        let configured = self.configured.get_or_insert_with(|| load(path)).as_ref().map_err(Clone::clone)?;
        let found = configured.routers.iter().find(|params| entry.is(params));
        let problem = || format!("{} has no such instance any more", path.display());
        found.map(|params| params.as_ref().clone()).ok_or_else(problem)
    }
}

impl Speaker {
    /// Sends what the engine wants sent.
    fn resign(&mut self, sender: &mut Sender) -> Result<(), String> {
        let mut adverts: Vec<Transmit> = Vec::new();
        while let Some(output) = self.node.poll_output() {
            if let Output::Send(transmit) = output {
                adverts.push(transmit);
            }
        }
        let batch: Vec<(&Transmit, &[u8])> =
            adverts.iter().map(|transmit| (transmit, self.node.payload(transmit))).collect();
        let failure = sender.send(&batch).first().map(|failure| failure.errno.desc().to_owned());
        self.node.flushed();
        failure.map_or(Ok(()), Err)
    }

    fn spoken(&self, result: Result<(), String>) -> Spoken {
        let imprint = self.node.imprint(RouterKey(0), Instant::default());
        let (stamp, ah_sequence) = imprint.map_or((None, 0), |imprint| (imprint.stamp, imprint.ah_sequence));
        Spoken { number: self.number, stamp, ah_sequence, result }
    }
}

fn load(path: &Path) -> Result<NodeParams, String> {
    let host_name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let here = local_addresses().map_err(|error| error.to_string())?;
    let addresses: Vec<_> = here.iter().map(|(_, address)| *address).collect();
    let loaded = config::load(path, None).map_err(|_| format!("{} is not valid", path.display()))?;
    let host = LocalHost { addresses: &addresses, host_name: &host_name };
    loaded.config.for_this_host(&host).map_err(|unplaced| unplaced.to_string())
}

/// A resignation is repeated within this.
const LONGEST: Duration = Duration::from_millis(100);
