//! The archive of a report: one tar, without a library.
//!
//! Whatever goes in passes the [`Sieve`] first. One stop before: `daemon::report`; one stop after: a file.

use zeroize::Zeroizing;

use crate::config::redact::HIDDEN;

/// Finds secrets wherever they are.
///
/// It is the second line: what holds a secret is hidden by its reader already.
#[derive(Default)]
pub struct Sieve {
    /// Longest first; none shorter than [`LEAST`].
    needles: Vec<Zeroizing<Vec<u8>>>,
}

impl Sieve {
    /// Makes one for these secrets and the forms they may take: as JSON, as digits, as the bytes that digits stand for, and
    /// the eight bytes of a password that travel.
    pub fn new(secrets: &[Zeroizing<String>]) -> Self {
        let mut needles: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for secret in secrets {
            let json = Zeroizing::new(serde_json::to_string(secret.as_str()).unwrap_or_default());
            let head = secret.as_bytes().get(..8).unwrap_or_default();
            let mut forms = vec![secret.as_bytes(), json.trim_matches('"').as_bytes(), head];
            let digits = secret.strip_prefix("hex:").map(|digits| Zeroizing::new(digits.replace([' ', '\t'], "")));
            let lower = digits.as_ref().map(|digits| Zeroizing::new(digits.to_ascii_lowercase()));
            let upper = digits.as_ref().map(|digits| Zeroizing::new(digits.to_ascii_uppercase()));
            let bytes = digits.as_ref().and_then(|digits| unhex(digits));
            forms.extend([&digits, &lower, &upper].into_iter().flatten().map(|text| text.as_bytes()));
            forms.extend(bytes.as_ref().map(|bytes| bytes.as_slice()));
            // Digits begin alike often, so their head is none of the forms.
            forms.retain(|form| form.len() >= LEAST && *form != b"hex:0000" && !(digits.is_some() && *form == head));
            needles.extend(forms.into_iter().map(|form| Zeroizing::new(form.to_vec())));
        }
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Self { needles }
    }

    /// Returns text without the secrets.
    pub fn text(&self, bytes: &[u8]) -> Vec<u8> {
        self.sift(bytes, |_| HIDDEN.as_bytes().to_vec())
    }

    /// Returns bytes without the secrets, as many as before.
    pub fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.sift(bytes, |needle| vec![0; needle.len()])
    }

    fn sift(&self, bytes: &[u8], instead: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for needle in &self.needles {
            let (mut out, mut rest) = (Vec::with_capacity(bytes.len()), bytes.as_slice());
            while let Some(at) = rest.windows(needle.len()).position(|window| window == needle.as_slice()) {
                let (before, after) = rest.split_at(at);
                out.extend_from_slice(before);
                out.extend(instead(needle));
                rest = after.get(needle.len()..).unwrap_or_default();
            }
            out.extend_from_slice(rest);
            bytes = out;
        }
        bytes
    }
}

fn unhex(digits: &str) -> Option<Zeroizing<Vec<u8>>> {
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    digits.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

/// A tar that grows.
pub struct Archive {
    bytes: Vec<u8>,
    /// Seconds since 1970, of all members.
    time: u64,
    members: Vec<(String, usize)>,
}

impl Archive {
    /// Begins an empty one.
    pub fn new(time: u64) -> Self {
        Self { bytes: Vec::new(), time, members: Vec::new() }
    }

    /// Adds a file. `name`: relative, at most 100 bytes; what is beyond is cut.
    pub fn add(&mut self, name: &str, content: &[u8]) {
        let mut header = [0; BLOCK];
        let mut put = |at: usize, text: &str| {
            let room = header.get_mut(at..).unwrap_or_default();
            room.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        };
        let name: String = name.chars().filter(char::is_ascii).take(NAME_MAX).collect();
        put(0, &name);
        put(100, "0000600");
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", content.len()));
        put(136, &format!("{:011o}", self.time));
        // The checksum counts as blanks while it is summed.
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\u{0}00");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        let sum = format!("{sum:06o}\u{0} ");
        header.iter_mut().skip(148).zip(sum.bytes()).for_each(|(to, from)| *to = from);
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self.members.push((name, content.len()));
    }

    /// Returns names and lengths in their order.
    pub fn members(&self) -> &[(String, usize)] {
        &self.members
    }

    /// Returns the whole.
    pub fn finish(mut self) -> Vec<u8> {
        // Two empty blocks end it.
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}

const BLOCK: usize = 512;
const NAME_MAX: usize = 100;

/// Shorter secrets are hidden where they are written and not looked for elsewhere: they would be found in every word.
const LEAST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn sieve(secrets: &[&str]) -> Sieve {
        let secrets: Vec<_> = secrets.iter().map(|secret| Zeroizing::new((*secret).to_owned())).collect();
        Sieve::new(&secrets)
    }

    #[test]
    fn secrets_are_found_in_each_of_their_forms() {
        let sieve = sieve(&["hunter22 and more", "a\"b\\c", "hex:00 FF 00 aB", "abc"]);
        for (text, left) in [
            ("x hunter22 and more y", "x (hidden) y"),
            ("hunter22", "(hidden)"),
            ("hunter2", "hunter2"),
            (r#"{"k":"a\"b\\c"}"#, r#"{"k":"(hidden)"}"#),
            ("key 00ff00ab 00FF00AB 00FF00aB hex:00 FF 00 aB", "key (hidden) (hidden) (hidden) (hidden)"),
            ("abc", "abc"),
        ] {
            assert_eq!(String::from_utf8(sieve.text(text.as_bytes())).unwrap(), left, "{text}");
        }
        assert_eq!(sieve.bytes(b"\x01\x00\xff\x00\xab\x02hunter22"), b"\x01\0\0\0\0\x02\0\0\0\0\0\0\0\0");
        assert_eq!(Sieve::default().text(b"abcd"), b"abcd");
    }

    #[test]
    fn a_tar_has_headers_and_blocks() {
        let mut archive = Archive::new(0o17);
        archive.add("report/a", b"hello");
        archive.add(&"x".repeat(200), &[7; 512]);
        assert_eq!(archive.members()[1], ("x".repeat(100), 512));
        let bytes = archive.finish();
        assert_eq!(bytes.len(), 512 * 6);
        assert_eq!((&bytes[..9], &bytes[124..136]), (&b"report/a\0"[..], &b"00000000005\0"[..]));
        let sum: u32 = (0..512).map(|at| if (148..156).contains(&at) { 32 } else { u32::from(bytes[at]) }).sum();
        assert_eq!(&bytes[148..156], format!("{sum:06o}\0 ").as_bytes());
        assert_eq!((&bytes[512..518], bytes[1536]), (&b"hello\0"[..], 7));
    }
}
