//! Whether hosts on the link are there: asked a few times by ARP or neighbour solicitation, until one answer or a second is over.
//!
//! No I/O and no clock. One stop before: `net::service` with wishes and answers. One stop after: whoever wants to know.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;

use super::conflict::Question;
use super::prober::Answers;
use crate::engine::time::Instant;

/// The hosts that are being asked.
#[derive(Debug, Default)]
pub struct Asking {
    hosts: Vec<Asked>,
    /// Who answered a moment ago, and when.
    answered: VecDeque<(Instant, Question)>,
}

#[derive(Debug)]
struct Asked {
    question: Question,
    tries: u32,
    /// When it is asked again, or given up.
    next_at: Instant,
    replies: Vec<oneshot::Sender<bool>>,
}

impl Asking {
    /// Asks for a host; the reply says whether it answers, or has a moment ago. There is no reply when too many are asked at a
    /// time.
    pub fn ask(&mut self, now: Instant, question: Question, reply: oneshot::Sender<bool>) {
        let is_old = |(at, _): &(Instant, Question)| now.since(*at) >= PATIENCE;
        while self.answered.front().is_some_and(is_old) {
            self.answered.pop_front();
        }
        if self.answered.iter().any(|(_, known)| *known == question) {
            // Whoever wanted to know may be gone.
            let _ = reply.send(true);
        } else if let Some(asked) = self.hosts.iter_mut().find(|asked| asked.question == question) {
            if asked.replies.len() < REPLIES {
                asked.replies.push(reply);
            }
        } else if self.hosts.len() < HOSTS {
            self.hosts.push(Asked { question, tries: 0, next_at: now, replies: vec![reply] });
        }
    }

    /// Takes in answers, replies, and returns what is to be asked.
    pub fn turn(&mut self, now: Instant, answers: &Answers) -> Vec<Question> {
        let mut questions = Vec::new();
        let hosts = std::mem::take(&mut self.hosts);
        for mut asked in hosts {
            let is_there = answers.contains_key(&(asked.question.interface, asked.question.address));
            if is_there && self.answered.len() < HOSTS {
                self.answered.push_back((now, asked.question));
            }
            if is_there || (asked.next_at <= now && asked.tries == TRIES) {
                // Whoever wanted to know may be gone.
                asked.replies.into_iter().for_each(|reply| {
                    let _ = reply.send(is_there);
                });
                continue;
            }
            if asked.next_at <= now {
                questions.push(asked.question);
                (asked.tries, asked.next_at) = (asked.tries + 1, now + PATIENCE);
            }
            self.hosts.push(asked);
        }
        questions
    }

    /// Says whether nobody is asked.
    pub fn is_idle(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Returns when something is to be done; `None`: nothing is.
    pub fn deadline(&self) -> Option<Instant> {
        self.hosts.iter().map(|asked| asked.next_at).min()
    }
}

/// How often a host is asked: one question may be lost.
const TRIES: u32 = 3;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(300);
/// Hosts that are asked at a time.
const HOSTS: usize = 1024;
/// Who waits for one of them.
const REPLIES: usize = 4096;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const HOST: Question = Question { interface: 3, address: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 21)) };

    fn ms(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn ask(asking: &mut Asking, question: Question) -> oneshot::Receiver<bool> {
        let (reply, answer) = oneshot::channel();
        asking.ask(ms(0), question, reply);
        answer
    }

    #[test]
    fn a_host_that_answers_is_there_and_all_who_wait_hear_it() {
        let mut asking = Asking::default();
        let (mut one, mut two) = (ask(&mut asking, HOST), ask(&mut asking, HOST));
        assert_eq!(asking.turn(ms(0), &Answers::new()), [HOST], "one question for both");
        assert_eq!(asking.deadline(), Some(ms(300)));
        // On another interface that is another host.
        let elsewhere = Answers::from([((4, HOST.address), vec![[2; 6]])]);
        assert!(asking.turn(ms(1), &elsewhere).is_empty() && !asking.is_idle());
        let answers = Answers::from([((3, HOST.address), vec![[2; 6]])]);
        assert!(asking.turn(ms(2), &answers).is_empty() && asking.is_idle());
        assert_eq!((one.try_recv(), two.try_recv()), (Ok(true), Ok(true)));
        assert_eq!(asking.deadline(), None);
    }

    #[test]
    fn a_host_is_asked_three_times_before_it_is_not_there() {
        let mut asking = Asking::default();
        let mut answer = ask(&mut asking, HOST);
        for at in [0, 300, 600] {
            assert_eq!(asking.turn(ms(at), &Answers::new()), [HOST]);
            assert!(asking.turn(ms(at + 299), &Answers::new()).is_empty());
        }
        assert!(answer.try_recv().is_err());
        assert!(asking.turn(ms(900), &Answers::new()).is_empty() && asking.is_idle());
        assert_eq!(answer.try_recv(), Ok(false));
    }

    #[test]
    fn a_host_that_answered_a_moment_ago_is_not_asked_again() {
        let mut asking = Asking::default();
        let _first = ask(&mut asking, HOST);
        asking.turn(ms(0), &Answers::new());
        asking.turn(ms(1), &Answers::from([((3, HOST.address), vec![[2; 6]])]));
        for (at, is_known) in [(2, true), (300, true), (301, false)] {
            let (reply, mut answer) = oneshot::channel();
            asking.ask(ms(at), HOST, reply);
            assert_eq!(
                (answer.try_recv().ok(), asking.is_idle()),
                (is_known.then_some(true), is_known),
                "after {at} ms"
            );
        }
    }

    #[test]
    fn hosts_have_a_limit_and_who_is_beyond_it_gets_no_reply() {
        let mut asking = Asking::default();
        let hosts: Vec<_> =
            (0..=HOSTS as u32).map(|interface| ask(&mut asking, Question { interface, ..HOST })).collect();
        assert_eq!(asking.turn(ms(0), &Answers::new()).len(), HOSTS);
        let closed = hosts.into_iter().filter_map(|mut host| host.try_recv().err());
        assert_eq!(closed.filter(|error| *error == oneshot::error::TryRecvError::Closed).count(), 1);
    }
}
