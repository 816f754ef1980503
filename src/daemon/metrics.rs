//! How things are for those who ask over HTTP: one look for all of them, and what it says to each.
//!
//! A look costs the protocol thread a snapshot, so all who ask within a tenth of a second share one, and a thread that does not
//! turn is asked only whether it does. One stop before: `control::http`. One stop after: the status of the service thread.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::{Mutex, OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::channel::ProtocolHandle;
use super::heartbeat::Heartbeat;
use crate::control::http::{Answer, Question};
use crate::control::metrics;
use crate::control::status::{State, Status};
use crate::engine::time::Instant;

/// What all clients share.
#[derive(Debug)]
pub(super) struct Looks {
    last: Mutex<Last>,
    /// Kibibytes of pages that clients may still read.
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Last {
    heartbeat: Heartbeat,
    look: Option<Rc<Look>>,
}

/// How things were at one moment.
#[derive(Debug)]
pub(super) struct Look {
    at: Instant,
    /// `None`: the protocol thread does not answer, or has ended.
    status: Option<Arc<Status>>,
    /// Made for the first who wants it; `None`: there is no room.
    page: OnceCell<Option<Bytes>>,
}

impl Looks {
    pub fn new(protocol: ProtocolHandle) -> Self {
        let last = Mutex::new(Last { heartbeat: Heartbeat::new(protocol), look: None });
        Self { last, room: Arc::new(Semaphore::new(ROOM_KIB)) }
    }

    /// Returns how things are, or were a moment ago. May be dropped while it waits.
    ///
    /// `clock`: the boot-time clock; `ask`: returns the status.
    pub async fn look<F>(&self, clock: impl Fn() -> Instant, ask: impl FnOnce() -> F) -> Rc<Look>
    where
        F: Future<Output = Option<Status>>,
    {
        let mut last = self.last.lock().await;
        let now = clock();
        if let Some(look) = last.look.as_ref().filter(|look| now.since(look.at) < SHARED) {
            return Rc::clone(look);
        }
        let status = match last.heartbeat.beat(PATIENCE).await {
            Some(_) => timeout(PATIENCE, ask()).await.ok().flatten(),
            None => None,
        };
        let look = Rc::new(Look { at: clock(), status: status.map(Arc::new), page: OnceCell::new() });
        last.look = Some(Rc::clone(&look));
        look
    }

    /// Returns what a look says to a question.
    pub async fn answer(&self, question: &Question, look: &Look) -> Answer {
        let Some(status) = &look.status else {
            return Answer::No(format!("the protocol thread does not answer within {PATIENCE:?}"));
        };
        match question {
            Question::Health => Answer::Yes("ok".to_owned()),
            Question::Master(name) => match status.instances.iter().find(|instance| instance.name == *name) {
                Some(instance) if instance.state == State::Master => Answer::Yes(instance.state.to_string()),
                Some(instance) => Answer::No(instance.state.to_string()),
                None => Answer::Unknown(format!("no instance {name:?}")),
            },
            Question::Metrics => match look.page.get_or_init(|| self.page(status)).await {
                Some(page) => Answer::Metrics(page.clone()),
                None => Answer::No("too many pages are unread, try again".to_owned()),
            },
        }
    }

    /// Writes the page, beside this thread: that of thousands of instances takes its time.
    async fn page(&self, status: &Arc<Status>) -> Option<Bytes> {
        let status = Arc::clone(status);
        let text = spawn_blocking(move || metrics::text(&status)).await.ok()?;
        let kib = u32::try_from((text.len() / 1024 + 1).min(ROOM_KIB)).ok()?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(kib).ok()?;
        Some(Bytes::from_owner(Page { text, _room: room }))
    }
}

/// A page, for as long as anybody reads it.
struct Page {
    text: String,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// How long one look serves all.
const SHARED: Duration = Duration::from_millis(100);

/// How long the protocol thread may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Most kibibytes of different pages that clients have not read yet.
const ROOM_KIB: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::fd::AsFd;
    use std::thread;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::super::channel::{Inbox, ToProtocol, to_protocol};
    use super::*;
    use crate::control::samples;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(future)
    }

    /// Time as a test sets it.
    #[derive(Default)]
    struct Clock(Cell<u64>);

    impl Clock {
        fn now(&self) -> Instant {
            Instant::from_nanos(self.0.get())
        }

        fn pass(&self, length: Duration) {
            self.0.set(self.0.get() + u64::try_from(length.as_nanos()).unwrap());
        }
    }

    /// Instead of a protocol thread, one that only gives signs of life.
    fn turning() -> (Looks, ProtocolHandle, thread::JoinHandle<usize>) {
        let (protocol, inbox) = to_protocol().unwrap();
        let answering = thread::spawn(move || {
            let mut beats = 0;
            loop {
                let mut bell = [PollFd::new(inbox.bell.as_fd(), PollFlags::POLLIN)];
                poll(&mut bell, PollTimeout::from(5000_u16)).unwrap();
                for message in inbox.drain() {
                    match message {
                        ToProtocol::Ping(reply) => {
                            beats += 1;
                            let _ = reply.send(Instant::from_nanos(1));
                        }
                        _ => return beats,
                    }
                }
            }
        });
        (Looks::new(protocol.clone()), protocol, answering)
    }

    fn hung() -> (Looks, Inbox) {
        let (protocol, inbox) = to_protocol().unwrap();
        (Looks::new(protocol), inbox)
    }

    /// Returns how often it was asked for a sign of life.
    fn stop(protocol: &ProtocolHandle, answering: thread::JoinHandle<usize>) -> usize {
        protocol.send(ToProtocol::GiveUp);
        answering.join().unwrap()
    }

    #[test]
    fn all_who_ask_within_a_tenth_of_a_second_share_one_look() {
        let (looks, protocol, answering) = turning();
        let (clock, asked) = (Clock::default(), Cell::new(0));
        let look = || {
            block_on(looks.look(
                || clock.now(),
                || async {
                    asked.set(asked.get() + 1);
                    Some(samples::pair())
                },
            ))
        };
        let first = look();
        clock.pass(SHARED - Duration::from_millis(1));
        assert!(Rc::ptr_eq(&first, &look()));
        clock.pass(Duration::from_millis(1));
        assert!(!Rc::ptr_eq(&first, &look()));
        assert_eq!(asked.get(), 2);
        assert_eq!(stop(&protocol, answering), 2, "signs of life asked for");
    }

    #[test]
    fn a_look_says_who_is_master_and_that_all_is_well() {
        let (looks, protocol, answering) = turning();
        let clock = Clock::default();
        let look = block_on(looks.look(|| clock.now(), || async { Some(samples::pair()) }));
        let answer = |question| block_on(looks.answer(&question, &look));
        assert_eq!(answer(Question::Health), Answer::Yes("ok".to_owned()));
        assert_eq!(answer(Question::Master("web".to_owned())), Answer::Yes("MASTER".to_owned()));
        assert_eq!(answer(Question::Master("mail".to_owned())), Answer::No("FAULT".to_owned()));
        assert_eq!(answer(Question::Master("x".to_owned())), Answer::Unknown("no instance \"x\"".to_owned()));
        let Answer::Metrics(page) = answer(Question::Metrics) else { panic!("no page") };
        assert_eq!(page, metrics::text(&samples::pair()));
        stop(&protocol, answering);
    }

    #[test]
    fn a_thread_that_hangs_is_unhealthy_and_asked_once() {
        let (looks, inbox) = hung();
        let clock = Clock::default();
        let ask = || async { panic!("asked for its status") };
        for _ in 0..3 {
            let look = block_on(looks.look(|| clock.now(), ask));
            for question in [Question::Health, Question::Metrics, Question::Master("web".to_owned())] {
                let why = "the protocol thread does not answer within 1s".to_owned();
                assert_eq!(block_on(looks.answer(&question, &look)), Answer::No(why));
            }
            clock.pass(SHARED);
        }
        assert_eq!(inbox.drain().count(), 1);
    }

    #[test]
    fn pages_that_nobody_reads_have_a_limit_together() {
        let (looks, protocol, answering) = turning();
        let clock = Clock::default();
        let look = || block_on(looks.look(|| clock.now(), || async { Some(samples::pair()) }));
        let rest = Arc::clone(&looks.room).try_acquire_many_owned(ROOM_KIB as u32 - 15).unwrap();
        let page = |look: &Look| block_on(looks.answer(&Question::Metrics, look));
        let first = page(&look());
        assert!(matches!(first, Answer::Metrics(_)), "{first:?}");
        clock.pass(SHARED);
        let refused = Answer::No("too many pages are unread, try again".to_owned());
        assert_eq!(page(&look()), refused);
        drop(first);
        clock.pass(SHARED);
        assert!(matches!(page(&look()), Answer::Metrics(_)), "what was read makes room");
        drop(rest);
        stop(&protocol, answering);
    }
}
