//! Other people's files, none of which is in this repository: `VRRPD_CORPUS` names their folder.
//!
//! `index.tsv` there says for each file `NUMBER.conf`, in the column `class`, what Keepalived thought of it: `fatal` is
//! what it could not run. `verdicts.tsv` has its complaints, `NUMBER LINE MESSAGE`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use vrrpd::config::{self, Format, Severity};

use crate::property::check_keepalived;
use crate::reader::{assert_converts, kinds, node};

#[test]
fn every_file_is_read_as_keepalived_reads_it_and_converted() {
    let Some(folder) = std::env::var_os("VRRPD_CORPUS").map(PathBuf::from) else {
        say("not run, VRRPD_CORPUS names no folder of keepalived.conf files");
        return;
    };
    let complaints = complaints(&folder);
    let (mut files, mut loaded_files, mut refused, mut by_kind) = (0, 0, 0, BTreeMap::new());
    let (mut checks, mut tracks, mut hooks, mut groups, mut plain) = (0, 0, 0, 0, 0);
    let mut unseen = Vec::new();
    for row in rows(&folder.join("index.tsv")) {
        let (number, class) = (&row[0], &row[3]);
        let path = folder.join(format!("{number}.conf"));
        files += 1;
        let bytes = fs::read(&path).unwrap();
        for part in 1..10 {
            // A file that was cut off, and what was cut off.
            let (head, tail) = bytes.split_at(bytes.len() * part / 10);
            check_keepalived(head);
            check_keepalived(tail);
        }
        match config::load(&path, Some(Format::Keepalived)) {
            Ok(loaded) => {
                assert_ne!(class, "fatal", "{number}: Keepalived cannot run it");
                assert_converts(number, &loaded);
                loaded_files += 1;
                let node = node(&loaded.config);
                checks += node.checks.len();
                tracks += node.routers.iter().map(|router| router.tracks.len()).sum::<usize>();
                hooks += node.routers.iter().map(|router| router.hooks.calls.len()).sum::<usize>();
                hooks += node.groups.iter().map(|group| group.hooks.calls.len()).sum::<usize>();
                groups += node.groups.len();
                plain += usize::from(loaded.warnings.iter().all(|problem| problem.severity() == Severity::Note));
                let kinds = kinds(&loaded.warnings);
                assert_eq!(kinds.len(), loaded.warnings.len(), "{number}: a warning that is no remark");
                for kind in kinds {
                    *by_kind.entry(kind).or_insert(0) += 1;
                }
                for (line, message) in complaints.get(number).into_iter().flatten() {
                    let is_seen = loaded.warnings.iter().any(|warning| warning.line == *line);
                    if !is_seen && !is_foreign(message) {
                        unseen.push(format!("{number}:{line}: Keepalived says {message:?}"));
                    }
                }
            }
            Err(problems) => {
                assert_eq!(class, "fatal", "{number}: Keepalived runs it\n{problems}");
                refused += 1;
            }
        }
    }
    say(&format!(
        "{files} files: {loaded_files} loaded and converted equal, {refused} refused as by Keepalived; {checks} checks, \
         {tracks} tracks, {hooks} hooks, {groups} groups; {plain} without a warning; {by_kind:?}"
    ));
    assert!(checks > 10 && tracks >= checks && hooks > 10, "{checks} checks, {tracks} tracks, {hooks} hooks");
    assert!(unseen.is_empty(), "no warning at these lines:\n{}", unseen.join("\n"));
    assert!(files >= 50, "{files} files");
}

/// Writes a line that the test runner does not keep back.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "\ncorpus of real files: {text}");
}

/// Complaints about blocks of LVS and e-mails, which are skipped as a whole, and about what is the same to us.
fn is_foreign(message: &str) -> bool {
    const WORDS: [&str; 8] = [
        "retry",
        "nat_mask",
        "persistence_timeout",
        "[1, 2678400]",
        "lvs_id",
        "empty notification_email",
        "\"gw\" for routes",
        "cannot track route",
    ];
    WORDS.iter().any(|word| message.contains(word))
}

fn complaints(folder: &Path) -> BTreeMap<String, Vec<(usize, String)>> {
    let mut complaints: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for row in rows(&folder.join("verdicts.tsv")) {
        if let Ok(line) = row[1].parse() {
            complaints.entry(row[0].clone()).or_default().push((line, row[2].clone()));
        }
    }
    complaints
}

fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}
