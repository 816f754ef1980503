//! Files that include others.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;
use vrrpd::config::{self, Format};

use crate::reader::{kinds, routers};

const INSTANCE: &str = "vrrp_instance NAME {\n interface eth0\n virtual_router_id ID\n include vips/NAME.inc\n}\n";

#[test]
fn included_files_are_read_in_place() {
    let folder = TempDir::new().unwrap();
    write(&folder, "keepalived.conf", "$IF=eth7\ninclude conf.d/{b,a}*.conf\ninclude missing/*.conf\n");
    for (name, id) in [("a", "1"), ("b", "2")] {
        let text = INSTANCE.replace("NAME", name).replace("ID", id).replace("eth0", "$IF");
        write(&folder, &format!("conf.d/{name}.conf"), &text);
        write(
            &folder,
            &format!("conf.d/vips/{name}.inc"),
            &format!("virtual_ipaddress {{\n10.0.0.{id}/24\npriority\n}}\n"),
        );
    }
    let loaded = config::load(&folder.path().join("keepalived.conf"), Some(Format::Keepalived)).unwrap();
    let found: Vec<_> = routers(&loaded.config)
        .iter()
        .map(|router| (router.name.clone(), router.interface.clone(), router.vips[0].address.to_string()))
        .collect();
    let row = |name: &str, vip: &str| (name.to_owned(), "eth7".to_owned(), vip.to_owned());
    assert_eq!(found, [row("b", "10.0.0.2"), row("a", "10.0.0.1")]);
    assert_eq!(kinds(&loaded.warnings), ["include", "value", "value"]);
    let place = &loaded.warnings[1];
    assert!(place.file.ends_with("conf.d/vips/b.inc"), "{place}");
    assert_eq!((place.line, place.column), (3, 1));
}

#[test]
fn insisting_variants_refuse_what_is_missing() {
    let folder = TempDir::new().unwrap();
    let instance = INSTANCE.replace("NAME", "V").replace("ID", "1").replace("include vips/V.inc", "");
    for (line, refused) in [
        ("include x/*.conf", false),
        ("includem x/*.conf", true),
        ("includew x/*.conf", true),
        ("includew x", false),
        ("includeb {x,keepalived.con}?", true),
        ("includea x", true),
    ] {
        write(&folder, "keepalived.conf", &format!("{line}\n{instance}"));
        let loaded = config::load(&folder.path().join("keepalived.conf"), None);
        assert_eq!(loaded.is_err(), refused, "{line}: {loaded:?}");
    }
    write(&folder, "keepalived.conf", &format!("includer program\n{instance}"));
    write(&folder, "program", "");
    fs::set_permissions(folder.path().join("program"), fs::Permissions::from_mode(0o755)).unwrap();
    let problems = config::load(&folder.path().join("keepalived.conf"), None).unwrap_err().to_string();
    assert!(problems.contains("executable"), "{problems}");
}

#[test]
fn a_file_that_includes_itself_is_refused() {
    let folder = TempDir::new().unwrap();
    write(&folder, "keepalived.conf", "include b\n");
    write(&folder, "b", "include keepalived.conf\n");
    let problems = config::load(&folder.path().join("keepalived.conf"), None).unwrap_err().to_string();
    assert!(problems.contains("is being read already"), "{problems}");
    // Without a loop, but more files than anybody has.
    let many = "include c\n".repeat(5000);
    write(&folder, "keepalived.conf", &many);
    write(&folder, "c", "");
    let problems = config::load(&folder.path().join("keepalived.conf"), None).unwrap_err().to_string();
    assert!(problems.contains("too many files"), "{problems}");
    write(&folder, "keepalived.conf", "include /dev/zero\ninclude /\n");
    let problems = config::load(&folder.path().join("keepalived.conf"), None).unwrap_err().to_string();
    assert!(problems.contains("not a plain file"), "{problems}");
}

fn write(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
    fs::write(path, text).unwrap();
}
