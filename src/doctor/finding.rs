//! What a look at the host came to: one fact that matters for the configuration, and what to do about it.
//!
//! Pure. One stop before: the files of this room that judge. One stop after: `doctor::print`.

use std::fmt;

use serde::Serialize;

/// How much it matters. In this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// An address will not be served, or be lost, as it is.
    Problem,
    /// It works, until something happens that can be expected.
    Advice,
    /// Looked at, and well.
    Fine,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Problem => "problem",
            Self::Advice => "advice",
            Self::Fine => "fine",
        })
    }
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A fixed word for programs, such as `firewall`; docs/doctor.md has them all.
    pub topic: &'static str,
    /// What is so, in one sentence.
    pub what: String,
    /// Why it matters for this configuration; empty for what is well.
    pub why: String,
    /// What to do; `None`: nothing, or what no lines can say.
    pub mend: Option<Mend>,
}

/// What to do about a finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Mend {
    /// Where: a file, or `as root`.
    pub place: String,
    /// The exact lines.
    pub lines: Vec<String>,
}

impl Finding {
    /// Makes one of something that is well.
    pub fn fine(topic: &'static str, what: impl Into<String>) -> Self {
        Self { severity: Severity::Fine, topic, what: what.into(), why: String::new(), mend: None }
    }

    /// Makes one that keeps an address from being served.
    pub fn problem(topic: &'static str, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { severity: Severity::Problem, topic, what: what.into(), why: why.into(), mend: None }
    }

    /// Makes one that matters some day.
    pub fn advice(topic: &'static str, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { severity: Severity::Advice, ..Self::problem(topic, what, why) }
    }

    /// Says what to do: these lines, there.
    pub fn mend(mut self, place: impl Into<String>, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        self.mend = Some(Mend { place: place.into(), lines });
        self
    }
}

/// All that was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnosis {
    /// Of this form.
    pub schema: u32,
    /// Worst first.
    pub findings: Vec<Finding>,
    /// What could not be looked at, and why.
    pub unseen: Vec<String>,
}

impl Diagnosis {
    /// Puts findings in order, each once.
    pub fn new(mut findings: Vec<Finding>, unseen: Vec<String>) -> Self {
        let mut once: Vec<Finding> = Vec::with_capacity(findings.len());
        findings.sort_by_key(|finding| finding.severity);
        for finding in findings {
            if !once.contains(&finding) {
                once.push(finding);
            }
        }
        Self { schema: 1, findings: once, unseen }
    }

    /// Returns the exit code: 1 with a problem, 69 when something could not be looked at, 0.
    pub fn exit_code(&self) -> u8 {
        let has_problem = self.findings.iter().any(|finding| finding.severity == Severity::Problem);
        match (has_problem, self.unseen.is_empty()) {
            (true, _) => 1,
            (false, false) => EX_UNAVAILABLE,
            (false, true) => 0,
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { severity, topic, what, why, mend } in &self.findings {
            writeln!(f, "{:<9}{topic}: {what}", severity.to_string())?;
            if !why.is_empty() {
                writeln!(f, "{:9}why: {why}", "")?;
            }
            if let Some(Mend { place, lines }) = mend {
                writeln!(f, "{:9}mend: {place}:", "")?;
                lines.iter().try_for_each(|line| writeln!(f, "{:13}{line}", ""))?;
            }
        }
        self.unseen.iter().try_for_each(|text| writeln!(f, "{:<9}{text}", "unseen"))?;
        let count = |wanted| self.findings.iter().filter(|finding| finding.severity == wanted).count();
        let (problems, advice) = (count(Severity::Problem), count(Severity::Advice));
        write!(f, "{problems} problem{}, {advice} advice", if problems == 1 { "" } else { "s" })?;
        match self.unseen.len() {
            0 => writeln!(f),
            unseen => writeln!(f, ", {unseen} not looked at"),
        }
    }
}

const EX_UNAVAILABLE: u8 = 69;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_nothing_twice() {
        let fine = Finding::fine("link", "eth0 is up");
        let bad = Finding::problem("firewall", "drops", "no adverts").mend("as root", &["nft add rule x"]);
        let diagnosis = Diagnosis::new(vec![fine.clone(), bad.clone(), fine, bad], vec!["no nft".to_owned()]);
        let text = "problem  firewall: drops\n         why: no adverts\n         mend: as root:\n             nft add rule x\n\
                    fine     link: eth0 is up\nunseen   no nft\n1 problem, 0 advice, 1 not looked at\n";
        assert_eq!(diagnosis.to_string(), text);
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let code = |findings: &[Finding], unseen: &[&str]| {
            Diagnosis::new(findings.to_vec(), unseen.iter().map(|text| (*text).to_owned()).collect()).exit_code()
        };
        let (fine, bad) = (Finding::fine("link", "x"), Finding::problem("link", "x", "y"));
        let advice = Finding::advice("link", "x", "y");
        assert_eq!((code(&[fine.clone(), advice], &[]), code(&[bad.clone(), fine.clone()], &[])), (0, 1));
        assert_eq!((code(&[fine], &["z"]), code(&[bad], &["z"])), (69, 1));
    }
}
