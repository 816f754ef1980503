//! Named pipes that get a line for each event, and the programs that read them.
//!
//! A pipe is open for reading and writing, so that it needs no reader, and never blocks: what it does not take is lost and
//! reported. One stop before: [`super::Notifier`]; one stop after: `child`.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{fchown, mkfifo};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::report::{HookNews, Owner};
use super::shared::{Shared, back_off};
use crate::child::{self, Call, Identity};
use crate::engine::params::{FifoParams, Scripts};

/// One pipe.
pub(super) struct Pipe {
    shared: Rc<Shared>,
    params: FifoParams,
    open: RefCell<Option<OpenPipe>>,
    lost: Cell<u64>,
    is_closed: Cell<bool>,
    /// The program that reads it runs.
    has_reader: Cell<bool>,
}

/// An open pipe.
struct OpenPipe {
    file: File,
    /// Made by us; removed by us.
    is_ours: bool,
}

/// How long it may take to look up its owner and open it.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

/// A reader that ran for longer than this is started again as if it had never failed.
const STEADY: Duration = Duration::from_secs(60);

/// Readers have no timeout; this is longer than any daemon lives.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86400);

/// Most bytes that a pipe takes as a whole or not at all (`PIPE_BUF`).
const MAX_LINE: usize = 4096;

impl Pipe {
    pub fn new(shared: Rc<Shared>, params: FifoParams) -> Rc<Self> {
        Rc::new(Self {
            shared,
            params,
            open: RefCell::default(),
            lost: Cell::default(),
            is_closed: Cell::default(),
            has_reader: Cell::default(),
        })
    }

    pub const fn params(&self) -> &FifoParams {
        &self.params
    }

    /// Says whether the program that reads it runs.
    pub fn has_reader(&self) -> bool {
        self.has_reader.get()
    }

    /// Opens it, again and again until it can be, then keeps its reader running. `tried`: after the first attempt.
    pub async fn keep(self: Rc<Self>, tried: oneshot::Sender<()>) {
        let mut tried = Some(tried);
        let mut failures = 0;
        loop {
            let opened = self.open_elsewhere().await;
            let refused = match opened {
                Ok(open) => {
                    self.open.replace(Some(open));
                    None
                }
                Err(why) => Some(why),
            };
            if let Some(tried) = tried.take() {
                // Nobody waits for it any more.
                let _ = tried.send(());
            }
            let Some(why) = refused else { break };
            self.report(HookNews::PipeRefused { why });
            failures += 1;
            sleep(back_off(failures)).await;
        }
        self.keep_reader().await;
    }

    /// Writes a line with its newline, or loses it.
    pub fn write(&self, line: &str) {
        let written = match &*self.open.borrow() {
            // What was refused is reported, and its lines belong to nobody.
            None => return,
            Some(_) if line.len() > MAX_LINE => Err(io::Error::from(Errno::EMSGSIZE)),
            Some(open) => (&open.file).write(line.as_bytes()),
        };
        match written {
            Ok(_) => {
                let lost = self.lost.take();
                if lost > 0 {
                    self.report(HookNews::PipeFlows { lost });
                }
            }
            Err(error) => {
                self.lost.set(self.lost.get().saturating_add(1));
                let why = match error.kind() {
                    io::ErrorKind::WouldBlock => "it is full; nobody reads it".to_owned(),
                    _ => error.to_string(),
                };
                self.report(HookNews::PipeStuck { why });
            }
        }
    }

    /// Closes it, so that its reader sees the end, and removes it if we made it.
    pub async fn close(&self) {
        self.is_closed.set(true);
        let Some(open) = self.open.take() else { return };
        let path = self.params.path.clone();
        // An error means that the runtime stops: then nobody waits either.
        let _ = spawn_blocking(move || open.remove(&path)).await;
    }

    /// Opens it on another thread: to look up a user may take long.
    async fn open_elsewhere(&self) -> Result<OpenPipe, String> {
        let (params, scripts) = (self.params.clone(), self.shared.scripts());
        match timeout(OPEN_PATIENCE, spawn_blocking(move || OpenPipe::new(&params, &scripts))).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("it took longer than {OPEN_PATIENCE:?} to look up its owner")),
        }
    }

    /// Starts the reader again and again until the pipe is closed.
    async fn keep_reader(&self) {
        let Some(reader) = &self.params.reader else { return };
        let program = reader.words.first().map_or("", String::as_str);
        let mut failures = 0;
        loop {
            let began = self.shared.now().mono;
            self.has_reader.set(true);
            let ended = child::run(Call {
                command: reader,
                scripts: &self.shared.scripts(),
                appended: &[self.params.path.to_string_lossy().into_owned()],
                environment: &[("VRRPD_NODE".to_owned(), self.shared.node.clone())],
                timeout: FOREVER,
            })
            .await;
            self.has_reader.set(false);
            if self.is_closed.get() {
                return;
            }
            failures = if self.shared.now().mono.since(began) > STEADY { 1 } else { failures + 1 };
            let retry = back_off(failures);
            self.shared.report(Owner::Daemon, program, HookNews::ReaderEnded { ended, retry });
            sleep(retry).await;
        }
    }

    fn report(&self, what: HookNews) {
        self.shared.report(Owner::Daemon, &self.params.path.to_string_lossy(), what);
    }
}

impl OpenPipe {
    /// Makes the pipe unless it is there, and opens it.
    fn new(params: &FifoParams, scripts: &Scripts) -> Result<Self, String> {
        let owner = owner(params, scripts)?;
        let path = &params.path;
        let is_ours = match fs::symlink_metadata(path) {
            Ok(found) => {
                acceptable(&found, owner)?;
                false
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|errno| format!("cannot make it: {errno}"))?;
                true
            }
            Err(error) => return Err(error.to_string()),
        };
        let opened = Self::open(params, owner, is_ours);
        if opened.is_err() && is_ours {
            // What we cannot use we do not leave behind.
            let _ = fs::remove_file(path);
        }
        opened
    }

    fn open(params: &FifoParams, owner: Identity, is_ours: bool) -> Result<Self, String> {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags.bits())
            .open(&params.path)
            .map_err(|error| format!("cannot open it: {error}"))?;
        // What was looked at and what was opened need not be the same.
        acceptable(&file.metadata().map_err(|error| error.to_string())?, owner)?;
        if is_ours {
            let has_group = params.user.as_ref().is_some_and(|user| user.group.is_some());
            let group = if has_group { Mode::S_IRGRP } else { Mode::empty() };
            fchmod(&file, Mode::S_IRUSR | Mode::S_IWUSR | group)
                .map_err(|errno| format!("cannot set its mode: {errno}"))?;
            if owner != Identity::own() {
                fchown(&file, Some(owner.uid), Some(owner.gid))
                    .map_err(|errno| format!("cannot give it to user {}: {errno}", owner.uid))?;
            }
        }
        Ok(Self { file, is_ours })
    }

    /// Closes and removes it, unless somebody else made it or something else is there by that name.
    fn remove(self, path: &Path) {
        if !self.is_ours {
            return;
        }
        let (Ok(own), Ok(found)) = (self.file.metadata(), fs::symlink_metadata(path)) else { return };
        if (own.dev(), own.ino()) == (found.dev(), found.ino()) {
            // It may be gone, which is what we want.
            let _ = fs::remove_file(path);
        }
    }
}

/// Returns who owns a pipe that we make: who is named, else who reads it, else the daemon.
fn owner(params: &FifoParams, scripts: &Scripts) -> Result<Identity, String> {
    let owner = match (&params.user, &params.reader) {
        (Some(user), _) => child::owner(user),
        (None, Some(reader)) => child::identity(reader, scripts),
        (None, None) => Ok(Identity::own()),
    };
    owner.map_err(|error| error.to_string())
}

/// Says what is wrong with something that is there: it must be a pipe of the daemon or of its configured owner.
fn acceptable(found: &Metadata, owner: Identity) -> Result<(), String> {
    if !found.file_type().is_fifo() {
        return Err("it is there but no pipe: expected nothing or a FIFO".to_owned());
    }
    let own = Identity::own().uid.as_raw();
    if found.uid() != own && found.uid() != owner.uid.as_raw() {
        let by = found.uid();
        return Err(format!("it belongs to user {by}: expected user {own} or {}", owner.uid));
    }
    Ok(())
}
