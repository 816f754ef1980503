//! Every way to a key, and every way to get it wrong.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use tempfile::TempDir;

use super::*;

/// Every secret of these tests has it, as text or as digits, so that what is said can be searched for it.
const MARKER: &str = "s3cr3t-m4rker-that-nobody-may-see";
const MARKER_DIGITS: &str = "5ec2e75ec2e75ec2";

struct Place {
    directory: TempDir,
    secrets: Secrets,
}

/// A directory, and a user with two credentials at most.
fn place() -> Place {
    let directory = TempDir::new().unwrap();
    let secrets = Secrets {
        keys: Keys::Read,
        file: None,
        directory: directory.path().to_owned(),
        credentials: None,
        user: geteuid().as_raw(),
    };
    Place { directory, secrets }
}

impl Place {
    /// Writes a file of the running user with a mode.
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// Returns what is wrong with a value, without the directory.
    #[track_caller]
    fn fault(&self, text: &str) -> String {
        let error = self.secrets.key(text).expect_err(text);
        for said in [error.to_string(), format!("{error:?}")] {
            for secret in [MARKER, MARKER_DIGITS] {
                assert!(!said.contains(secret) && !said.contains(&secret[..8]), "{said}");
            }
        }
        error.to_string().replace(&self.directory.path().display().to_string(), "DIR")
    }
}

/// The key of 32 bytes 0, 1, 2 and so on.
fn counting() -> Key {
    Key::new(&(0..32).collect::<Vec<u8>>()).unwrap()
}

fn counting_line() -> String {
    keygen::line(&(0..32).collect::<Vec<u8>>()).trim_end().to_owned()
}

#[test]
fn a_key_is_the_same_in_every_form() {
    let mut place = place();
    let digits = counting_line();
    let spaced = digits.as_bytes()[4..].chunks(2).map(|octet| std::str::from_utf8(octet).unwrap()).collect::<Vec<_>>();
    let spaced = format!("hex: {} ", spaced.join(" "));
    place.write("plain", format!("{digits}\n"), 0o600);
    place.write("dos", format!("{}\r\n\n", digits.to_ascii_uppercase().replace("HEX", "hex")), 0o400);
    let absolute = place.write("bare", &digits, 0o600);
    symlink(&absolute, place.directory.path().join("link")).unwrap();
    place.secrets.credentials = Some(place.directory.path().to_owned());
    for text in [
        digits.clone(),
        digits.to_ascii_uppercase().replace("HEX", "hex"),
        spaced,
        "file:plain".to_owned(),
        "file:./dos".to_owned(),
        "file:link".to_owned(),
        format!("file:{}", absolute.display()),
        "credential:plain".to_owned(),
    ] {
        assert!(place.secrets.key(&text).unwrap() == counting(), "{text}");
    }
    assert!(place.secrets.key(MARKER).unwrap() == Key::new(MARKER.as_bytes()).unwrap());
    place.write("text", format!("{MARKER}\n"), 0o600);
    assert!(place.secrets.key("file:text").unwrap() == Key::new(MARKER.as_bytes()).unwrap(), "text in a file");
    place.write("blanks", format!(" {MARKER} \n"), 0o600);
    let blanks = format!(" {MARKER} ");
    assert!(place.secrets.key("file:blanks").unwrap() == Key::new(blanks.as_bytes()).unwrap(), "blanks are kept");
}

#[test]
fn what_keygen_prints_is_a_key() {
    let place = place();
    let (key, other) = (keygen::fresh_key().unwrap(), keygen::fresh_key().unwrap());
    place.write("fresh", keygen::line(key.as_slice()).as_bytes(), 0o600);
    assert!(place.secrets.key("file:fresh").unwrap() == Key::new(key.as_slice()).unwrap());
    assert!(place.secrets.key("file:fresh").unwrap() != Key::new(other.as_slice()).unwrap());
}

#[test]
fn a_value_that_is_no_key_says_what_is_wrong_and_not_what_it_is() {
    let place = place();
    let long = format!("{MARKER}{MARKER}");
    for (text, fault) in [
        ("", "key of 0 bytes, 32 to 64 expected; `vrrpd keygen` makes one"),
        (&MARKER[..31], "key of 31 bytes, 32 to 64 expected"),
        (&long[..65], "key of 65 bytes, 32 to 64 expected"),
        ("hex:", "key of 0 bytes"),
        (&format!("hex:{}", "ab".repeat(31)), "key of 31 bytes"),
        (&format!("hex:{}", "ab".repeat(65)), "key of 65 bytes"),
        (&format!("hex:{}a", MARKER_DIGITS.repeat(4)), "half an octet; expected two digits for each octet"),
        (&format!("hex:{MARKER_DIGITS}"), "key of 8 bytes"),
        (&format!("hex:{MARKER_DIGITS}x{MARKER_DIGITS}"), "character 17 behind `hex:` is no hexadecimal digit"),
        (&format!("hex:{}", "a b".repeat(32)), "half an octet"),
        (&format!("hex:{MARKER}"), "character 1 behind `hex:` is no hexadecimal digit"),
        (&format!("hex:abc{MARKER}"), "character 4 behind `hex:` is no hexadecimal digit"),
        ("file:", "expected a path behind `file:`"),
        ("file:a\nb", "expected a path behind `file:`"),
        ("credential:", "expected the name of a systemd credential"),
        ("credential:../etc/passwd", "expected the name of a systemd credential"),
        ("credential:..", "expected the name of a systemd credential"),
        (&format!("{MARKER}\n"), "neither `hex:` with digits nor plain ASCII text"),
        (&format!("{MARKER}ü"), "neither `hex:` with digits nor plain ASCII text"),
        (
            "credential:web",
            "no credential \"web\", for $CREDENTIALS_DIRECTORY is not set; the unit needs LoadCredential=web:PATH",
        ),
    ] {
        let said = place.fault(text);
        assert!(said.starts_with(fault), "{text:?}: {said}");
    }
    for good in [&MARKER[..32], &long[..64]] {
        assert!(place.secrets.key(good).is_ok());
    }
}

#[test]
fn a_file_that_holds_no_key_is_named() {
    let place = place();
    let line = counting_line();
    let files: [(&str, Vec<u8>, &str); 9] = [
        ("empty", Vec::new(), "key of 0 bytes"),
        ("short", MARKER.as_bytes()[..31].to_vec(), "key of 31 bytes, 32 to 64 expected"),
        ("odd", format!("hex:{}a\n", MARKER_DIGITS.repeat(4)).into_bytes(), "half an octet"),
        ("two-lines", format!("{line}\n{line}\n").into_bytes(), "character 65 behind `hex:`"),
        ("binary", (100..164).chain([0xff]).collect(), "neither `hex:`"),
        ("zeros", vec![0; 32], "neither `hex:`"),
        ("reference", b"file:/etc/vrrpd/keys/the-other-key-file".to_vec(), "names another place"),
        ("most", vec![b'k'; FILE_MAX], "key of 1024 bytes"),
        ("huge", vec![b'k'; FILE_MAX + 1], "more than 1024 bytes, which no key has"),
    ];
    for (name, bytes, fault) in files {
        place.write(name, bytes, 0o600);
        let said = place.fault(&format!("file:{name}"));
        assert!(said.starts_with(&format!("DIR/{name}: {fault}")), "{said}");
    }
    assert_eq!(
        place.fault("file:none"),
        "DIR/none: cannot be read: No such file or directory (os error 2); `vrrpd keygen > DIR/none` makes a key, for all \
         nodes the same"
    );
}

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let place = place();
    let sparse = place.write("sparse", "", 0o600);
    File::options().write(true).open(sparse).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(place.fault("file:sparse"), "DIR/sparse: more than 1024 bytes, which no key has");
}

#[test]
fn every_bit_that_lets_others_in_is_refused_with_the_command_that_mends_it() {
    let place = place();
    for mode in (0..=0o777).chain([0o4600, 0o1644]) {
        place.write("key", format!("{}\n", counting_line()), 0o600);
        let path = place.directory.path().join("key");
        let file = File::open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let judged = place.secrets.must_be_private(&path, &file.metadata().unwrap());
        assert_eq!(judged.is_ok(), mode & 0o077 == 0, "{mode:04o}");
    }
    for (mode, shown) in [(0o640, "0640"), (0o604, "0604"), (0o620, "0620"), (0o4644, "4644")] {
        place.write("key", counting_line(), mode);
        let said = place.fault("file:key");
        let expected = "lets others than its owner read or change it; chmod 600 DIR/key";
        assert_eq!(said, format!("DIR/key: mode {shown} {expected}"));
    }
    let odd = place.write("a key's", counting_line(), 0o644);
    assert!(place.fault("file:a key's").ends_with("; chmod 600 'DIR/a key'\\''s'"), "{}", odd.display());
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(place.secrets.key("file:a key's").is_ok(), "the command mends it");
}

#[test]
fn a_file_of_a_stranger_is_refused() {
    let mut place = place();
    let key = place.write("key", counting_line(), 0o600);
    let stranger = 12_345;
    if geteuid().is_root() {
        chown(&key, Some(stranger), None).unwrap();
        let said = place.fault("file:key");
        let rest = "who can read and change it; expected root: chown root DIR/key && chmod 600 DIR/key";
        assert_eq!(said, format!("DIR/key: belongs to user {stranger}, {rest}"));
        place.secrets.user = stranger;
        assert!(place.secrets.key("file:key").is_ok(), "it is the own one of that user");
        chown(&key, Some(0), None).unwrap();
        assert!(place.secrets.key("file:key").is_ok(), "root may have it");
    } else {
        // Only root can give a file away, so the user who asks is another one.
        place.secrets.user += 1;
        let said = place.fault("file:key");
        assert!(
            said.contains(&format!("expected root or user {}, who runs this: chown ", place.secrets.user)),
            "{said}"
        );
    }
}

#[test]
fn root_knows_the_user_of_the_unit_by_name() {
    assert!(is_user(0, "root"));
    assert!(!is_user(0, DAEMON) && !is_user(4_000_000_000, DAEMON));
}

#[test]
fn who_may_not_read_a_key_is_told_who_they_are() {
    let mut place = place();
    for (user, expected) in
        [(0, "cannot be read: permission denied"), (995, "user 995, who runs this, may not read it")]
    {
        place.secrets.user = user;
        let fault = place.secrets.unreadable(std::io::ErrorKind::PermissionDenied.into());
        let said = SecretError { path: None, fault }.to_string();
        assert!(said.starts_with(expected), "{said}");
    }
}

/// With an access list for the user of the unit, the bits of the group show what that user may.
#[test]
fn the_group_may_read_a_credential_of_root_and_nothing_else() {
    let mut place = place();
    let key = place.write("key", counting_line(), 0o440);
    let metadata = fs::metadata(&key).unwrap();
    let is_roots = metadata.uid() == 0;
    assert!(place.secrets.must_be_private(&key, &metadata).is_err(), "not a credential");
    place.secrets.credentials = Some(place.directory.path().to_owned());
    assert_eq!(place.secrets.must_be_private(&key, &metadata).is_ok(), is_roots);
    assert_eq!(place.secrets.key("credential:key").is_ok(), is_roots);
    for mode in [0o444, 0o460, 0o450, 0o441] {
        place.write("key", counting_line(), 0o600);
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let judged = place.secrets.must_be_private(&key, &fs::metadata(&key).unwrap());
        assert_eq!(judged, Err(SecretFault::Exposed { mode }));
    }
    place.secrets.credentials = Some(place.directory.path().join("other"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o440)).unwrap();
    assert!(place.secrets.must_be_private(&key, &fs::metadata(&key).unwrap()).is_err(), "of another directory");
}

/// Opening a pipe waits for a writer, unless it is opened without waiting.
#[test]
fn what_is_no_file_is_refused_at_once() {
    let (done, waiting) = mpsc::channel();
    thread::spawn(move || {
        let place = place();
        let at = |name: &str| place.directory.path().join(name);
        mkfifo(&at("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
        fs::create_dir(at("folder")).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        symlink("/dev/zero", at("device")).unwrap();
        symlink(at("pipe"), at("link")).unwrap();
        symlink(at("loop"), at("loop")).unwrap();
        let names = ["pipe", "folder", "socket", "device", "link", "loop"];
        done.send(names.map(|name| place.fault(&format!("file:{name}")))).unwrap();
    });
    let said = waiting.recv_timeout(Duration::from_secs(20)).expect("an answer in time");
    assert_eq!(
        said[..5],
        [
            "DIR/pipe: is a named pipe; expected a file with the key",
            "DIR/folder: is a directory; expected a file with the key",
            "DIR/socket: is a socket; expected a file with the key",
            "DIR/device: is a device; expected a file with the key",
            "DIR/link: is a named pipe; expected a file with the key",
        ]
    );
    assert!(said[5].starts_with("DIR/loop: cannot be read: Too many levels"), "{}", said[5]);
}

/// What was looked at may be another file than the one that is opened.
#[test]
fn a_pipe_in_the_place_of_a_file_does_not_hang() {
    let (done, waiting) = mpsc::channel();
    thread::spawn(move || {
        let place = place();
        let path = place.directory.path().join("pipe");
        mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
        done.send(place.secrets.open(&path).err()).unwrap();
    });
    let fault = waiting.recv_timeout(Duration::from_secs(20)).expect("an answer in time");
    assert_eq!(fault, Some(SecretFault::NoFile { found: "a named pipe" }));
}

#[test]
fn keys_of_another_host_are_left_alone_and_believe_nobody() {
    let mut place = place();
    place.secrets.keys = Keys::LeftAlone;
    for text in ["file:/nonexistent/key", "file:none", "credential:web"] {
        let (one, two) = (place.secrets.key(text).unwrap(), place.secrets.key(text).unwrap());
        assert!(one != two && one != Key::new(&[0; 32]).unwrap(), "{text}: nobody knows it");
    }
    assert_eq!(place.fault("file:"), "expected a path behind `file:`, such as \"file:/etc/vrrpd/keys/web\"");
    assert!(place.fault("hex:00").starts_with("key of 1 bytes"), "a key in the file itself is looked at");
}

#[test]
fn a_configuration_that_everybody_can_read_is_told_apart() {
    let place = place();
    for (mode, exposed) in [(0o600, None), (0o640, None), (0o644, Some(0o644)), (0o604, Some(0o604))] {
        let path = place.write("vrrpd.toml", "", mode);
        assert_eq!(exposed_mode(&path), exposed, "{mode:04o}");
    }
    assert_eq!(exposed_mode(Path::new("/dev/null")), None, "no file");
}
