//! The packages: what is in them, that they come and go without a trace, and how much the unit may do.
//!
//! Built by `packaging/build` from the program under test. They are installed as root of a copy of this system in memory
//! (`packaging/clean-tree`), which takes root: off unless `VRRPD_NETNS=1`, as the stories in `tests/netns`.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

#[test]
fn unit_may_do_little() {
    let output = Command::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=yes", "--threshold=20"])
        .arg(in_tree("dist/vrrpd.service"))
        .output()
        .unwrap();
    assert!(output.status.success(), "exposure above 2.0:\n{}", text(&output));
}

/// The unit as it is, and with the drop-in: systemd finds nothing to say, and the drop-in changes who runs it.
#[test]
fn unit_and_drop_in_are_sound() {
    let dir = TempDir::new().unwrap();
    let unit = fs::read_to_string(in_tree("dist/vrrpd.service")).unwrap();
    assert!(unit.contains("/usr/sbin/vrrpd run"), "the program is where the package puts it");
    let unit = unit.replace("/usr/sbin/vrrpd", env!("CARGO_BIN_EXE_vrrpd"));
    let path = dir.path().join("vrrpd.service");
    fs::write(&path, unit).unwrap();
    verify(&path);
    let drop_ins = dir.path().join("vrrpd.service.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::copy(in_tree("dist/privileged-hooks.conf"), drop_ins.join("privileged-hooks.conf")).unwrap();
    verify(&path);
    fs::write(drop_ins.join("wrong.conf"), "[Service]\nNoSuchKey=1\n").unwrap();
    assert!(!text(&analyze(&path)).is_empty(), "systemd would have said something");
}

/// Debian has no Grafana. Its makers publish the types of its dashboards: what they load and give back unchanged has no key
/// that Grafana does not know, and no value of a wrong type.
#[test]
fn dashboard_loads_in_the_model_of_grafana() {
    const MODEL: &str = "grafana-foundation-sdk==1769699379!11.6.0";
    let dir = TempDir::new().unwrap();
    let python = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}:\n{}", text(&output));
        text(&output)
    };
    let venv = dir.path().join("venv").display().to_string();
    python("python3", &["-m", "venv", &venv]);
    let program = format!("{venv}/bin/python3");
    python(&program, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", MODEL]);
    let script = in_tree("tests/package/dashboard.py").display().to_string();
    let shipped = in_tree("packaging/monitoring/vrrpd-dashboard.json");
    let said = python(&program, &[&script, &shipped.display().to_string()]);
    assert_eq!(said.trim(), "17 panels", "what Grafana does not know");
    let wrong = dir.path().join("wrong.json");
    fs::write(&wrong, fs::read_to_string(shipped).unwrap().replacen("\"refresh\"", "\"refreshed\"", 1)).unwrap();
    let said = python(&program, &[&script, &wrong.display().to_string()]);
    assert!(said.contains("dashboard.refreshed: not known to Grafana"), "{said}");
}

/// As it is shipped nothing is configured, and nothing would be claimed; without the marks before its lines it is a pair.
#[test]
fn shipped_configuration_claims_nothing_and_shows_a_pair() {
    let shipped = fs::read_to_string(in_tree("dist/vrrpd.toml")).unwrap();
    let dir = TempDir::new().unwrap();
    let check = |text: &str| {
        let path = dir.path().join("vrrpd.toml");
        fs::write(&path, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_vrrpd")).arg("check").arg(&path).output().unwrap();
        (output.status.code(), self::text(&output))
    };
    let (code, said) = check(&shipped);
    assert_eq!((code, said.lines().count()), (Some(78), 1), "{said}");
    assert!(said.contains("no instance; expected at least one [instance.NAME] table"), "{said}");
    let bare = |line: &str| {
        line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).map(str::to_owned)
    };
    let pair: String = shipped.lines().map(|line| bare(line).unwrap_or_else(|| line.to_owned()) + "\n").collect();
    assert_eq!(check(&pair), (Some(0), String::new()), "{pair}");
}

/// Each key that the paper has in a table has its entry, and no mark of the paper is left over.
#[test]
fn manual_page_of_the_configuration_has_every_key() {
    let paper = in_tree("docs/configuration.md");
    let output = Command::new("awk")
        .args(["-v", "name=vrrpd.toml", "-v", "about=x", "-v", "version=1", "-f"])
        .arg(in_tree("packaging/man-page.awk"))
        .arg(&paper)
        .output()
        .unwrap();
    let page = text(&output);
    let keys: BTreeSet<String> = fs::read_to_string(paper)
        .unwrap()
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned()))
        .filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    assert!(keys.len() > 60, "{}", keys.len());
    for key in keys {
        assert!(page.contains(&format!(".TP\n\\fB{key}\\fR\n")), "{key} is not in the page");
    }
    let meanings = page.lines().filter(|line| line.contains("meaning:")).count();
    assert_eq!(meanings, 0, "what an entry means is said last, under no name");
    let left = page.lines().find(|line| line.contains("](") || line.contains("**") || line.starts_with('|'));
    assert_eq!(left, None);
}

/// One test: to build the packages takes longer than all the rest.
#[test]
fn packages_are_well_made_and_leave_nothing_behind() {
    let Some(packages) = build() else { return };
    have_the_same_files(&packages);
    succeed(Command::new("lintian").args(["--allow-root", "--fail-on", "error"]).arg(&packages.deb));
    // Installed, installed again, removed, installed, purged.
    leaves_nothing(&packages, DEB_COMES_AND_GOES);
    leaves_nothing(&packages, RPM_COMES_AND_GOES);
}

fn have_the_same_files(packages: &Packages) {
    let deb = listed(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(&packages.deb), |tar| {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("tar");
        fs::write(&path, tar).unwrap();
        succeed(Command::new("tar").arg("-tf").arg(path))
    });
    let rpm = listed(Command::new("rpm").args(["-qpl"]).arg(&packages.rpm), |list| {
        String::from_utf8_lossy(list).into_owned()
    });
    for path in [
        "/etc/vrrpd/vrrpd.toml",
        "/usr/lib/systemd/catalog/vrrpd.catalog",
        "/usr/lib/systemd/system/vrrpd.service",
        "/usr/lib/sysusers.d/vrrpd.conf",
        "/usr/lib/tmpfiles.d/vrrpd.conf",
        "/usr/sbin/vrrpd",
        "/usr/share/bash-completion/completions/vrrpd",
        "/usr/share/doc/vrrpd/examples/pair.toml",
        "/usr/share/doc/vrrpd/monitoring/vrrpd-rules.yml",
        "/usr/share/man/man5/vrrpd.toml.5.gz",
        "/usr/share/man/man8/vrrpd-status.8.gz",
        "/usr/share/man/man8/vrrpd.8.gz",
        "/usr/share/vrrpd/privileged-hooks.conf",
    ] {
        assert!(deb.contains(path), "{path} is not in the deb");
    }
    // Each distribution has its own place for completions of zsh, for the licence and the changelog.
    let is_own = |path: &&String| path.contains("/zsh") || path.starts_with("/usr/share/doc/vrrpd/");
    let differences: Vec<&String> = deb.symmetric_difference(&rpm).filter(|path| !is_own(path)).collect();
    assert!(differences.is_empty(), "only in one of the packages: {differences:?}");
}

/// Prints the names of all files where packages put theirs, and the sums of those in /etc; but for the books and backups of others.
const LOOK: &str = r"
set -eu
look() {
    find /etc /opt /run /usr /var/lib -xdev \( -path /var/lib/dpkg -o -path /var/lib/rpm -o -path /var/lib/systemd/catalog \) \
        -prune -o ! -name '*-' -print | sort
    find /etc -type f ! -name '*-' -exec sha256sum {} + | sort
}
";

const DEB_COMES_AND_GOES: &str = r"
dpkg -i /packages/*.deb
getent passwd vrrpd; getent group vrrpd
[ -L /etc/systemd/system/multi-user.target.wants/vrrpd.service ]
vrrpd check && exit 1 || [ $? = 78 ]
man -w vrrpd.toml; man -w vrrpd-status
echo '# mine' >>/etc/vrrpd/vrrpd.toml
dpkg -i /packages/*.deb
[ $(tail -n 1 /etc/vrrpd/vrrpd.toml | cut -c 3-) = mine ]
mkdir -p /var/lib/vrrpd /run/vrrpd /etc/vrrpd/keys
dpkg -r vrrpd
[ -e /etc/vrrpd/vrrpd.toml ]; [ ! -e /usr/sbin/vrrpd ]; [ ! -e /run/vrrpd ]
dpkg -i /packages/*.deb
dpkg -P vrrpd
";

/// No mirror of RPM packages is asked: what a system with glibc 2.34 has (Enterprise Linux 9 and later) is one package of nothing but names.
/// Without it the package must not install, with it nothing may be missing.
const RPM_COMES_AND_GOES: &str = r"
rpm -i /packages/*.rpm && exit 1
{
    printf '%s\n' 'Name: host' 'Version: 9' 'Release: 1' 'Summary: names' 'License: MIT' 'BuildArch: noarch' 'AutoReqProv: no'
    printf 'Provides: %s\n' systemd shadow-utils /bin/sh 'rtld(GNU_HASH)'
    for library in libc.so.6 libm.so.6 libgcc_s.so.1 ld-linux-x86-64.so.2 ld-linux-aarch64.so.1; do
        printf 'Provides: %s()(64bit)\n' $library
        for version in 2.2.5 2.3.2 2.3.3 2.3.4 $(seq -f 2.%g 3 34); do printf 'Provides: %s(GLIBC_%s)(64bit)\n' $library $version; done
        for version in 3.0 3.3 3.3.1 3.4 4.2.0 4.3.0; do printf 'Provides: %s(GCC_%s)(64bit)\n' $library $version; done
    done
    printf '%s\n' '%description' 'x' '%files'
} >/tmp/host.spec
rpmbuild -bb --quiet --define '_rpmdir /tmp' /tmp/host.spec
rpm -i --justdb /tmp/noarch/host-*.rpm
rpm -i /packages/*.rpm
getent passwd vrrpd; getent group vrrpd
vrrpd check && exit 1 || [ $? = 78 ]
rpm -U --force /packages/*.rpm
[ -x /usr/sbin/vrrpd ]; getent passwd vrrpd
rpm -e vrrpd
rm -rf /var/lib/rpm
";

struct Packages {
    deb: PathBuf,
    rpm: PathBuf,
    dir: TempDir,
}

/// Builds both; `None`: not wanted here.
fn build() -> Option<Packages> {
    if std::env::var("VRRPD_NETNS").as_deref() != Ok("1") {
        let _ = writeln!(
            std::io::stdout(),
            "SKIPPED: the packages: VRRPD_NETNS is not 1 (./tests/run sets it; needs root)"
        );
        return None;
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut command = Command::new(in_tree("packaging/build"));
    let said = succeed(command.env("VRRPD_BINARY", env!("CARGO_BIN_EXE_vrrpd")).env("VRRPD_OUTPUT", dir.path()));
    let named = |suffix: &str| {
        let line = said.lines().find(|line| line.starts_with('/') && line.ends_with(suffix));
        PathBuf::from(line.unwrap_or_else(|| panic!("no {suffix}: {said}")))
    };
    Some(Packages { deb: named(".deb"), rpm: named(".rpm"), dir })
}

/// Runs a script as root of a copy of this system, which must be afterwards as it was before.
fn leaves_nothing(packages: &Packages, script: &str) {
    let script = format!("{LOOK}look >/tmp/before\n{script}look >/tmp/after\ndiff /tmp/before /tmp/after");
    let mut command = Command::new(in_tree("packaging/clean-tree"));
    succeed(command.args(["sh", "-exc", &script]).env("PACKAGES", packages.dir.path()));
}

fn listed(command: &mut Command, list: impl Fn(&[u8]) -> String) -> BTreeSet<String> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let files = list(&output.stdout);
    // Directories are the business of tar's list alone.
    let names = files.lines().filter(|line| !line.ends_with('/')).map(|line| line.trim_start_matches('.').to_owned());
    names.filter(|name| !DIRECTORIES.contains(&name.as_str())).collect()
}

/// What the list of an RPM has beside files.
const DIRECTORIES: [&str; 5] = [
    "/etc/vrrpd",
    "/usr/share/vrrpd",
    "/usr/share/doc/vrrpd",
    "/usr/share/fish",
    "/usr/share/fish/vendor_completions.d",
];

fn verify(unit: &Path) {
    let output = analyze(unit);
    assert!(output.status.success() && text(&output).is_empty(), "{}", text(&output));
}

fn analyze(unit: &Path) -> Output {
    let mut command = Command::new("systemd-analyze");
    // Manual pages of a program that is not installed are not to be found.
    command.args(["verify", "--no-pager", "--man=no", "--recursive-errors=no"]).arg(unit).output().unwrap()
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text(&output));
    text(&output)
}

/// Returns what a program wrote on both streams.
fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn in_tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
