//! Clients that follow the history: they stay, and cost a place and little else.

use std::future::Future;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::{MAX_FOLLOWERS, PACE, Peer, Room};
use crate::control::history::Cursor;
use crate::control::message::{Command, Reply};

/// What a client gets after a reply.
pub(super) enum Next {
    /// Whatever it asks for.
    Request,
    /// What happens after an entry.
    Follow { after: Cursor, instance: Option<String> },
}

impl<A, F> Room<A>
where
    A: Fn(Command, Peer) -> F,
    F: Future<Output = Reply>,
{
    /// Writes entries of the history as they come, until the client goes away or says anything.
    pub(super) async fn follow(
        &self,
        (mut after, instance): (Cursor, Option<String>),
        peer: Peer,
        reader: &mut (impl AsyncReadExt + Unpin),
        writer: &mut (impl AsyncWriteExt + Unpin),
    ) {
        let Ok(_place) = self.followers.try_acquire() else {
            let why = format!("{MAX_FOLLOWERS} clients follow the history already, try again");
            self.write(&Reply::refusal(why), writer).await;
            return;
        };
        loop {
            let command = Command::HistoryAfter { after, instance: instance.clone() };
            let mut byte = [0];
            let reply = tokio::select! {
                reply = (self.answer)(command, peer) => reply,
                _ = reader.read(&mut byte) => return,
            };
            if let Reply::History(history) = &reply {
                after = history.until;
            }
            if self.write(&reply, writer).await.is_none() || !matches!(reply, Reply::History(_)) {
                return;
            }
            // What comes faster is told together.
            sleep(PACE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::os::unix::net::UnixStream as Client;

    use super::super::tests::Running;
    use super::*;
    use crate::control::history::HistoryReply;
    use crate::control::message::SCHEMA;

    /// A server whose history grows by two after each question, and then no more.
    fn running() -> Running {
        let reply = |n| {
            Reply::History(HistoryReply {
                schema: SCHEMA,
                last: n,
                entries: Vec::new(),
                until: Cursor { n, findings: 0 },
            })
        };
        Running::start_with(move |command, _| async move {
            match command {
                Command::HistoryAfter { after, .. } if after.n >= 2 => std::future::pending().await,
                Command::HistoryAfter { after, .. } => reply(after.n + 1),
                Command::Status
                | Command::History { .. }
                | Command::Reload { .. }
                | Command::Drain(_)
                | Command::Resume(_) => reply(0),
            }
        })
    }

    /// Connects, asks, and reads that many lines.
    fn follow(running: &Running, lines: usize) -> (Client, Vec<String>) {
        let mut client = running.connect();
        client.write_all(Command::History { last: 1, instance: None, follow: true }.to_line().as_bytes()).unwrap();
        let read = BufReader::new(client.try_clone().unwrap()).lines().take(lines).map(Result::unwrap).collect();
        (client, read)
    }

    #[test]
    fn who_follows_hears_what_comes_until_he_says_something() {
        let running = running();
        let (mut client, lines) = follow(&running, 3);
        assert_eq!(lines, [0, 1, 2].map(|n| format!("{{\"schema\":1,\"last\":{n},\"entries\":[]}}")));
        client.write_all(b"enough\n").unwrap();
        // Closed, perhaps with a reset because of the bytes that nobody read.
        match client.read(&mut [0; 1]) {
            Ok(length) => assert_eq!(length, 0),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }

    #[test]
    fn followers_have_a_limit_of_their_own_and_leave_room_for_others() {
        let running = running();
        let mut followers: Vec<Client> = (0..MAX_FOLLOWERS).map(|_| follow(&running, 3).0).collect();
        let (_, lines) = follow(&running, 2);
        assert!(lines[1].contains("8 clients follow the history already"), "{lines:?}");
        let mut other = running.connect();
        other.write_all(Command::Status.to_line().as_bytes()).unwrap();
        assert_eq!(other.read(&mut [0; 1]).unwrap(), 1, "others are served");
        drop(followers.pop());
        // The place is free a moment after the client is gone.
        let is_free = (0..200).any(|_| follow(&running, 2).1.iter().all(|line| !line.contains("already")));
        assert!(is_free, "the place of a client that went away is not free");
    }
}
