//! What holds for any bytes as the TOML configuration.

use vrrpd::config::{self, Format};

/// Reads bytes: no panic, and twice the same.
pub fn check_toml(bytes: &[u8]) {
    let Ok(loaded) = config::load_from("f.toml", bytes, Format::Toml) else { return };
    let again = config::load_from("f.toml", bytes, Format::Toml);
    assert_eq!(again.map(|again| again.config).ok().as_ref(), Some(&loaded.config));
}
