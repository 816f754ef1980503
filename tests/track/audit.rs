//! `child::audit`: what stands in the way of a program, each with the command that repairs it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use vrrpd::child::{Call, How, audit, run};
use vrrpd::engine::params::{Command, Scripts, UserParams};

use super::world::{Folder, PATIENCE, is_root, service};

fn user(name: &str) -> Option<UserParams> {
    Some(UserParams { name: name.to_owned(), group: None })
}

fn findings(program: &Path, name: &str) -> Vec<String> {
    let command = Command { words: vec![program.to_str().unwrap().to_owned()], user: user(name) };
    audit(&command, &Scripts::default()).iter().map(ToString::to_string).collect()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs a finding's command, and expects nothing to be found any more.
fn repair(program: &Path, name: &str) {
    for _ in 0..8 {
        let found = findings(program, name);
        let Some((_, repair)) = found.iter().find_map(|finding| finding.split_once("; repair: ")) else {
            assert_eq!(found, Vec::<String>::new());
            return;
        };
        assert!(std::process::Command::new("sh").args(["-c", repair]).status().unwrap().success(), "{repair}");
    }
    panic!("not repaired: {:?}", findings(program, name));
}

#[test]
fn each_obstacle_is_named_with_what_repairs_it() {
    if !is_root("audit::each_obstacle_is_named_with_what_repairs_it") {
        return;
    }
    let folder = Folder::new();
    let directory = folder.path("in");
    fs::create_dir(&directory).unwrap();
    let (d, script) = (directory.display(), directory.join("s"));
    fs::write(&script, "#!/bin/sh\n").unwrap();
    mode(&script, 0o755);
    assert_eq!(findings(&script, "nobody"), Vec::<String>::new());

    mode(&directory, 0o700);
    assert_eq!(
        findings(&script, "nobody"),
        [format!("user nobody may not pass {d} (mode 0700, owner root:root); repair: chmod a+x {d}")]
    );
    repair(&script, "nobody");

    mode(&script, 0o644);
    assert_eq!(
        findings(&script, "nobody"),
        [format!("user nobody may not execute {d}/s (mode 0644, owner root:root); repair: chmod a+rx {d}/s")]
    );
    repair(&script, "nobody");

    mode(&script, 0o711);
    assert_eq!(
        findings(&script, "nobody"),
        [format!("user nobody may not read the script {d}/s (mode 0711, owner root:root); repair: chmod a+r {d}/s")]
    );
    repair(&script, "nobody");

    fs::write(&script, "#!/bin/sh\r\n").unwrap();
    assert_eq!(
        findings(&script, "nobody"),
        [format!("{d}/s wants the interpreter \"/bin/sh\\r\", which does not exist; repair: sed -i 's/\\r$//' {d}/s")]
    );
    repair(&script, "nobody");

    fs::write(&script, "#!/usr/bin/env vrrpd-no-such-python\n").unwrap();
    assert_eq!(
        findings(&script, "nobody"),
        [format!("{d}/s wants the interpreter \"vrrpd-no-such-python\", which does not exist")]
    );

    assert_eq!(findings(&directory.join("x"), "nobody"), [format!("{d}/x does not exist")]);
    assert_eq!(findings(&directory.join("x/y"), "nobody"), [format!("{d}/x does not exist")]);
    assert_eq!(findings(&script.join("y"), "nobody"), [format!("{d}/s is not a directory")]);
    assert_eq!(findings(&directory, "nobody"), [format!("{d} is not a file")]);
    symlink("loop", directory.join("loop")).unwrap();
    assert_eq!(findings(&directory.join("loop"), "nobody"), [format!("{d}/loop: too many symbolic links")]);
    assert_eq!(
        findings(&script, "no-such-user"),
        [
            "no such user \"no-such-user\"; repair: useradd --system --no-create-home --shell /usr/sbin/nologin no-such-user"
        ]
    );
    let found = findings(Path::new("vrrpd-no-such"), "nobody");
    assert!(found[0].starts_with("\"vrrpd-no-such\" is in no directory of PATH (/"), "{found:?}");
}

#[test]
fn what_others_can_change_is_unsafe_for_root_and_for_nobody_else() {
    if !is_root("audit::what_others_can_change_is_unsafe_for_root_and_for_nobody_else") {
        return;
    }
    let folder = Folder::new();
    let directory = folder.path("it's");
    fs::create_dir(&directory).unwrap();
    let (script, nobody) = (directory.join("s"), nix::unistd::User::from_name("nobody").unwrap().unwrap());
    fs::write(&script, "#!/bin/sh\n").unwrap();
    mode(&script, 0o755);
    // The folder is in a directory that everybody may write to, and which is sticky.
    assert_eq!(findings(&script, "root"), Vec::<String>::new());

    let quoted = directory.display().to_string().replace('\'', "'\\''");
    mode(&directory, 0o775);
    assert_eq!(
        findings(&script, "root"),
        [format!(
            "root runs it, but others can change {} (mode 0775, owner root:root); repair: chmod go-w '{quoted}'",
            directory.display()
        )]
    );
    assert_eq!(findings(&script, "nobody"), Vec::<String>::new());
    repair(&script, "root");

    mode(&script, 0o757);
    chown(&script, Some(nobody.uid.as_raw()), None).unwrap();
    assert_eq!(
        findings(&script, "root"),
        [format!(
            "root runs it, but others can change {} (mode 0757, owner nobody:root); repair: chown root: '{quoted}/s' && chmod go-w '{quoted}/s'",
            script.display()
        )]
    );
    repair(&script, "root");

    // Through a link: what it leads to counts, and who owns the link where others may put links.
    let link = folder.path("link");
    symlink(&directory, &link).unwrap();
    assert_eq!(findings(&link.join("s"), "root"), Vec::<String>::new());
    mode(&directory, 0o777);
    assert_eq!(findings(&link.join("s"), "root").len(), 1);
    repair(&link.join("s"), "root");
    std::os::unix::fs::lchown(&link, Some(nobody.uid.as_raw()), None).unwrap();
    let found = findings(&link.join("s"), "root");
    assert!(
        found.len() == 1 && found[0].ends_with(&format!("; repair: chown -h root: {}", link.display())),
        "{found:?}"
    );
    repair(&link.join("s"), "root");

    // The interpreter is root's program as well.
    let shell = folder.path("shell");
    fs::copy("/bin/sh", &shell).unwrap();
    mode(&shell, 0o777);
    fs::write(&script, format!("#!{}\n", shell.display())).unwrap();
    assert!(findings(&script, "root")[0].ends_with(&format!("; repair: chmod go-w {}", shell.display())));
}

#[test]
fn what_the_system_has_is_found_safe() {
    if !is_root("audit::what_the_system_has_is_found_safe") {
        return;
    }
    // Where /bin is a symbolic link as well.
    for program in ["/bin/true", "/usr/bin/true", "true", "/bin/sh"] {
        assert_eq!(findings(Path::new(program), "root"), Vec::<String>::new(), "{program}");
    }
}

#[test]
fn what_is_unsafe_is_not_run_where_that_is_refused() {
    if !is_root("audit::what_is_unsafe_is_not_run_where_that_is_refused") {
        return;
    }
    let folder = Folder::new();
    let script = folder.script("s", "exit 5");
    let as_root = Command { words: vec![script.to_str().unwrap().to_owned()], user: user("root") };
    let as_nobody = Command { user: user("nobody"), ..as_root.clone() };
    let how = |command: &Command, refuses_unsafe: bool| {
        let scripts = Scripts { refuses_unsafe, ..Scripts::default() };
        service(run(Call { command, scripts: &scripts, appended: &[], environment: &[], timeout: PATIENCE })).how
    };
    assert_eq!(how(&as_root, true), How::Exited(5));
    mode(&script, 0o775);
    let How::NotStarted(why) = how(&as_root, true) else { panic!("it ran") };
    assert!(why.ends_with(&format!("; repair: chmod go-w {}", script.display())), "{why}");
    assert_eq!(how(&as_root, false), How::Exited(5));
    assert_eq!(how(&as_nobody, true), How::Exited(5));
    mode(&script, 0o755);
    assert_eq!(how(&as_root, true), How::Exited(5));
}
