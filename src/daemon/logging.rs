//! Where log lines go, and how diagnostics of `tracing` get there.
//!
//! Lines are queued and written by a thread of their own: a reader of standard error that stalls, or a journald that
//! hangs, delays nothing. The queue is bounded; lines that find it full are counted and told.
//! One stop before: `daemon::journal`, `tracing`. One stop after: standard error or journald.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use nix::sys::stat::{SFlag, fstat};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span;

use super::record::{Key, Level, Record, Value};

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a person, on standard error.
    Text,
    /// One JSON object a line, on standard error.
    Json,
    /// journald's native protocol.
    Journald,
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        match word {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "journald" => Ok(Self::Journald),
            _ => Err(UnknownFormat(word.to_owned())),
        }
    }
}

/// A word that names no format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFormat(String);

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown log format {:?}, expected text, json or journald", self.0)
    }
}

impl std::error::Error for UnknownFormat {}

/// Begins to log for the whole process: own lines by the returned [`Log`], diagnostics by the macros of `tracing`.
///
/// `format`: as asked; `None`: journald when standard error is connected to the journal, else text. Where journald's
/// socket is missing, text is written instead, and one line says so. Diagnostics below `level` are dropped.
/// To be called once; a later call logs through its own [`Log`] alone.
pub fn init(format: Option<Format>, level: Level) -> io::Result<Log> {
    let format = format.unwrap_or_else(|| if is_stderr_the_journal() { Format::Journald } else { Format::Text });
    let (sink, notice) = Sink::open(format, Path::new(JOURNALD_SOCKET));
    let log = Log::start(sink, level)?;
    if let Some(notice) = notice {
        log.write(wall_clock(), notice);
    }
    let _ = tracing::subscriber::set_global_default(Diagnostics { log: log.clone() });
    let panicking = log.clone();
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        panicking.flush(FLUSH_PATIENCE);
        report(panic);
    }));
    Ok(log)
}

/// A way to the log; clones lead to the same.
#[derive(Clone)]
pub struct Log {
    queue: Arc<Queue>,
    level: Level,
}

impl Log {
    /// Queues a line; never waits. `utc`: the wall clock as time since 1970-01-01.
    pub fn write(&self, utc: Duration, record: Record) {
        if record.level <= self.level {
            self.queue.push(utc, record);
        }
    }

    /// Waits until all queued lines are written, but not longer than `patience`; says whether they are.
    ///
    /// To be called before the process ends.
    pub fn flush(&self, patience: Duration) -> bool {
        let lines = self.queue.lines();
        let (lines, _) = self
            .queue
            .written
            .wait_timeout_while(lines, patience, |lines| !lines.is_idle())
            .unwrap_or_else(PoisonError::into_inner);
        lines.is_idle()
    }

    fn start(sink: Sink, level: Level) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let reader = Arc::clone(&queue);
        thread::Builder::new().name("log".to_owned()).spawn(move || reader.drain(sink))?;
        Ok(Self { queue, level })
    }
}

/// How long the end of the process may wait for the log.
pub const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Lines on their way to the writer.
#[derive(Default)]
struct Queue {
    lines: Mutex<Lines>,
    queued: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct Lines {
    waiting: VecDeque<(Duration, Record)>,
    is_writing: bool,
    lost: u64,
}

impl Lines {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_writing && self.lost == 0
    }
}

impl Queue {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, utc: Duration, record: Record) {
        let mut lines = self.lines();
        if lines.waiting.len() < MAX_WAITING {
            lines.waiting.push_back((utc, record));
        } else {
            lines.lost += 1;
        }
        drop(lines);
        self.queued.notify_one();
    }

    /// Writes lines for as long as the process lives.
    fn drain(&self, mut sink: Sink) {
        let mut utc = Duration::ZERO;
        loop {
            let mut lines = self.lines();
            lines.is_writing = false;
            if lines.is_idle() {
                self.written.notify_all();
            }
            let mut lines =
                self.queued.wait_while(lines, |lines| lines.is_idle()).unwrap_or_else(PoisonError::into_inner);
            lines.is_writing = true;
            let batch = std::mem::take(&mut lines.waiting);
            let lost = std::mem::take(&mut lines.lost);
            drop(lines);
            for (at, record) in batch {
                utc = at;
                sink.write(utc, &record);
            }
            if lost > 0 {
                sink.write(
                    utc,
                    &Record::new(Level::Warn, format!("{lost} log lines were lost: the reader is too slow")),
                );
            }
        }
    }
}

/// Where lines end.
enum Sink {
    /// A stream for a person.
    Text { out: Box<dyn Write + Send>, has_time: bool },
    /// A stream for a program.
    Json { out: Box<dyn Write + Send> },
    /// journald, and a stream for what it does not take.
    Journald { socket: UnixDatagram, path: &'static Path, out: Box<dyn Write + Send> },
}

impl Sink {
    /// Opens standard error or journald; with what should be said when it is not as asked.
    fn open(format: Format, journald: &'static Path) -> (Self, Option<Record>) {
        let out = Box::new(io::stderr());
        match format {
            Format::Text => (Self::Text { out, has_time: is_stderr_without_clock() }, None),
            Format::Json => (Self::Json { out }, None),
            Format::Journald => match UnixDatagram::unbound().and_then(|socket| {
                // An empty datagram is no line; it only finds out whether somebody listens.
                socket.send_to(&[], journald).map(|_| socket)
            }) {
                Ok(socket) => (Self::Journald { socket, path: journald, out }, None),
                Err(error) => {
                    let why = format!("journald does not listen on {}, logging as text: {error}", journald.display());
                    let has_time = is_stderr_without_clock();
                    (Self::Text { out, has_time }, Some(Record::new(Level::Warn, why)))
                }
            },
        }
    }

    /// Writes one line. Where it cannot be written there is nobody left to tell.
    fn write(&mut self, utc: Duration, record: &Record) {
        let _ = match self {
            Self::Text { out, has_time } => out.write_all(record.to_text_line(has_time.then_some(utc)).as_bytes()),
            Self::Json { out } => out.write_all(record.to_json_line(utc).as_bytes()),
            // By path each time: a journald that was restarted listens on another socket of that name.
            Self::Journald { socket, path, out } => match socket.send_to(&record.to_journald(), *path) {
                Ok(_) => Ok(()),
                Err(_) => out.write_all(record.to_text_line(None).as_bytes()),
            },
        };
    }
}

/// Gives diagnostics of `tracing` to the log. Spans are not kept: lines carry fields of their own.
struct Diagnostics {
    log: Log,
}

impl tracing::Subscriber for Diagnostics {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        Level::from(metadata.level()) <= self.log.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.log.level {
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        })
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut record = Record::new(event.metadata().level().into(), "");
        event.record(&mut Collect(&mut record));
        self.log.write(wall_clock(), record);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Collects the fields of one diagnostic.
struct Collect<'a>(&'a mut Record);

impl Collect<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        match field.name() {
            "message" => self.0.message = value.to_string(),
            name => self.0.fields.push((Key::Plain(name), value)),
        }
    }
}

impl Visit for Collect<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::Text(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        let value = u64::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Number);
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::Number(value));
    }
}

/// Reads the wall clock for the stamp of a diagnostic.
#[expect(clippy::disallowed_methods, reason = "stamps a log line; decides nothing")]
fn wall_clock() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Says whether standard error goes to the journal: systemd names the stream in `JOURNAL_STREAM` as `DEVICE:INODE`,
/// which is inherited also by processes whose standard error was sent elsewhere since.
fn is_stderr_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    fstat(io::stderr().as_fd()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Says whether nobody downstream stamps lines: a terminal or a file. A pipe or socket has a reader that does.
fn is_stderr_without_clock() -> bool {
    let stderr = io::stderr();
    let is_file =
        || fstat(stderr.as_fd()).is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits());
    stderr.is_terminal() || is_file()
}

/// Lines that may wait; beyond, they are counted.
const MAX_WAITING: usize = 4096;
/// Where journald listens.
const JOURNALD_SOCKET: &str = "/run/systemd/journal/socket";

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Everything a log has written.
    #[derive(Clone, Default)]
    pub struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        /// Makes a log of text lines without time, and where they end.
        pub fn log(level: Level) -> (Log, Self) {
            let written = Self::default();
            let sink = Sink::Text { out: Box::new(written.clone()), has_time: false };
            (Log::start(sink, level).unwrap(), written)
        }

        /// Returns the lines once all are written.
        pub fn after(&self, log: &Log) -> Vec<String> {
            assert!(log.flush(Duration::from_secs(10)), "log does not come to rest");
            let bytes = self.0.lock().unwrap();
            String::from_utf8(bytes.clone()).unwrap().lines().map(str::to_owned).collect()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn diagnostics_look_like_any_other_line() {
        let (log, written) = Written::log(Level::Info);
        tracing::subscriber::with_default(Diagnostics { log: log.clone() }, || {
            tracing::info!(instance = "web", tries = 3_u64, error = %"no such file", "cannot run {}", "it");
            tracing::debug!("not wanted");
            tracing::warn!(left = -1, found = ?Some(2), "x");
        });
        assert_eq!(
            written.after(&log),
            ["INFO  cannot run it instance=web tries=3 error=\"no such file\"", "WARN  x left=-1 found=Some(2)"]
        );
    }

    #[test]
    fn a_stalled_reader_delays_nobody_and_lost_lines_are_counted() {
        let written = Written::default();
        let gate = written.0.lock().unwrap();
        let sink = Sink::Text { out: Box::new(written.clone()), has_time: false };
        let log = Log::start(sink, Level::Info).unwrap();
        for line in 0..3 * MAX_WAITING {
            log.write(Duration::ZERO, Record::new(Level::Info, line.to_string()));
        }
        assert!(!log.flush(Duration::from_millis(1)));
        drop(gate);
        let lines = written.after(&log);
        let told = |line: &String| {
            line.strip_prefix("WARN  ")?.strip_suffix(" log lines were lost: the reader is too slow")?.parse().ok()
        };
        let lost: Vec<usize> = lines.iter().filter_map(told).collect();
        assert!(lost.iter().sum::<usize>() >= MAX_WAITING, "{lost:?} lost");
        assert_eq!(lines.len() - lost.len() + lost.iter().sum::<usize>(), 3 * MAX_WAITING);
    }

    #[test]
    fn without_journald_text_is_written_and_one_line_says_so() {
        let (sink, notice) = Sink::open(Format::Journald, Path::new("/nonexistent/journal"));
        assert!(matches!(sink, Sink::Text { .. }));
        assert_eq!(
            notice.unwrap().message,
            "journald does not listen on /nonexistent/journal, logging as text: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn journald_gets_one_datagram_a_line_also_after_its_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path: &'static Path = Path::new(Box::leak(dir.path().join("socket").into_os_string().into_boxed_os_str()));
        let record = Record::new(Level::Error, "words");
        let mut buffer = [0; 256];
        let journald = UnixDatagram::bind(path).unwrap();
        let (mut sink, notice) = Sink::open(Format::Journald, path);
        assert_eq!(notice, None);
        assert_eq!(journald.recv(&mut buffer).unwrap(), 0);
        for _ in 0..2 {
            std::fs::remove_file(path).unwrap();
            let restarted = UnixDatagram::bind(path).unwrap();
            restarted.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            sink.write(Duration::ZERO, &record);
            let length = restarted.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..length], record.to_journald());
        }
    }

    #[test]
    fn formats_are_read_by_name() {
        assert_eq!("journald".parse(), Ok(Format::Journald));
        let error = "xml".parse::<Format>().unwrap_err();
        assert_eq!(error.to_string(), "unknown log format \"xml\", expected text, json or journald");
    }
}
