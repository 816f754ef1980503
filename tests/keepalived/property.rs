//! What holds for any bytes as a keepalived.conf. Shared with the fuzz target.

use vrrpd::config::keepalived::{Document, convert};
use vrrpd::config::{self, Format};

/// Reads bytes: no panic, and what is usable is written as TOML that loads to the same.
pub fn check_keepalived(bytes: &[u8]) {
    let Ok(loaded) = config::load_from("f.conf", bytes, Format::Keepalived) else { return };
    let nothing = Document::default();
    let toml = convert(&loaded.config, loaded.document.as_deref().unwrap_or(&nothing));
    match config::load_from("converted", toml.as_bytes(), Format::Toml) {
        Ok(again) => assert_eq!(again.config, loaded.config, "{toml}"),
        Err(problems) => panic!("{problems}\n{toml}"),
    }
}
