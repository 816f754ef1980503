//! Reads capture files: little-endian pcap 2.4 of Ethernet frames, nothing else.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the frames of a file in their order. Panics with the reason when the file is no whole capture.
pub fn frames(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let word = |at: usize| {
        let field = bytes.get(at..at + 4).unwrap_or_else(|| panic!("{}: cut at {at}", path.display()));
        u32::from_le_bytes(field.try_into().unwrap()) as usize
    };
    assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 1), "{}: magic and link type", path.display());
    let mut frames = Vec::new();
    let mut at = 24;
    while at < bytes.len() {
        let (captured, sent) = (word(at + 8), word(at + 12));
        assert_eq!(captured, sent, "{}: frame at {at} was cut", path.display());
        frames.push(bytes[at + 16..at + 16 + captured].to_vec());
        at += 16 + captured;
    }
    frames
}

/// Returns where a file of this directory lies.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(name)
}
