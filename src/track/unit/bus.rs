//! A connection to a D-Bus bus: calls, answers, signals; one thing at a time.
//!
//! One stop before: `wire`. Messages of other people are bounded: one over 64 KiB is read past.

use std::io;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::super::tcp::refusal;
use super::wire::{self, Call, ERROR, Message, REPLY};

/// A longer message is not for us.
const MAX_MESSAGE: usize = 64 << 10;

/// The bus itself, as a name on it.
pub(super) const BUS: &str = "org.freedesktop.DBus";

/// A connection that the bus has given a name.
pub(super) struct Bus {
    pub(super) stream: BufReader<UnixStream>,
    serial: u32,
}

impl Bus {
    /// Connects and introduces this process by its user.
    ///
    /// **Errors:** what the operator reads.
    pub async fn connect(path: &Path) -> Result<Self, String> {
        let stream = UnixStream::connect(path).await.map_err(|e| format!("{}: {}", path.display(), refusal(&e)))?;
        let mut bus = Self { stream: BufReader::with_capacity(1024, stream), serial: 0 };
        bus.authenticate().await.map_err(|error| refusal(&error))?;
        bus.call(&on_bus("Hello", &[]), |_| ()).await?;
        Ok(bus)
    }

    async fn authenticate(&mut self) -> io::Result<()> {
        let uid: String = nix::unistd::geteuid().to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
        self.stream.write_all(format!("\0AUTH EXTERNAL {uid}\r\n").as_bytes()).await?;
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            line.push(self.stream.read_u8().await?);
            if line.len() > 512 {
                return Err(io::Error::other("not a D-Bus bus"));
            }
        }
        if !line.starts_with(b"OK ") {
            return Err(io::Error::other("the bus refuses this user"));
        }
        self.stream.write_all(b"BEGIN\r\n").await
    }

    /// Calls a method and returns its answer; what else comes in the meantime goes to `meanwhile`.
    ///
    /// **Errors:** what the operator reads; an error of the other end by the last part of its name.
    pub async fn call(&mut self, call: &Call<'_>, mut meanwhile: impl FnMut(Message)) -> Result<Message, String> {
        self.serial = self.serial.checked_add(1).ok_or("too many questions on one connection")?;
        let serial = self.serial;
        self.stream.write_all(&call.emit(serial)).await.map_err(|error| refusal(&error))?;
        loop {
            let message = self.next().await?;
            match message.kind {
                REPLY if message.reply_to == Some(serial) => return Ok(message),
                ERROR if message.reply_to == Some(serial) => {
                    let name = message.error.rsplit('.').next().unwrap_or_default();
                    return Err(format!("{}: {name}", call.member));
                }
                _ => meanwhile(message),
            }
        }
    }

    /// Waits for a message.
    ///
    /// **Errors:** the connection is lost; what the operator reads.
    pub async fn next(&mut self) -> Result<Message, String> {
        loop {
            let mut head = [0; wire::HEAD_LEN];
            self.stream.read_exact(&mut head).await.map_err(|error| lost(&error))?;
            let (len, _) = wire::lengths(&head).ok_or("the bus does not speak D-Bus")?;
            if len > MAX_MESSAGE {
                let len = u64::try_from(len).unwrap_or(u64::MAX);
                let mut past = (&mut self.stream).take(len);
                tokio::io::copy_buf(&mut past, &mut tokio::io::sink()).await.map_err(|error| lost(&error))?;
                continue;
            }
            let mut rest = vec![0; len];
            self.stream.read_exact(&mut rest).await.map_err(|error| lost(&error))?;
            if let Some(message) = Message::parse(&head, &rest) {
                return Ok(message);
            }
        }
    }
}

/// Returns a call of the bus itself.
pub(super) fn on_bus<'a>(member: &'a str, arguments: &'a [&'a str]) -> Call<'a> {
    Call { destination: BUS, path: "/org/freedesktop/DBus", interface: BUS, member, arguments }
}

fn lost(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the bus closed the connection".to_owned(),
        _ => refusal(error),
    }
}
