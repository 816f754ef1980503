//! Secrets of version 2 and the HMAC trailer.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A version 2 secret: 8 bytes, shorter ones padded with zeros, longer ones cut. RFC 2338 section 5.3.6.
#[derive(Clone)]
pub struct Password([u8; 8]);

impl Password {
    /// Makes a secret from text; only its first 8 bytes count.
    pub fn new(text: &[u8]) -> Self {
        let mut bytes = [0; 8];
        let len = text.len().min(8);
        bytes[..len].copy_from_slice(&text[..len]);
        Self(bytes)
    }

    /// Returns the 8 bytes.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl PartialEq for Password {
    /// Takes the same time wherever the first difference is.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
