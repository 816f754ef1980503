//! Secrets: the password of version 2 and the key of the HMAC trailer. Wiped on drop, compared in constant time, never shown.
//!
//! One stop before: `config`, which reads them. One stop after: `wire::auth::trailer` and `wire::ah`, which sign with them.

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

    /// Compares with the authentication data of a message, all 8 bytes, in constant time.
    pub fn matches(&self, data: &[u8; 8]) -> bool {
        self.0.ct_eq(data).into()
    }
}

impl PartialEq for Password {
    /// Takes the same time wherever the first difference is.
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
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

/// A key of the HMAC trailer, 32 to 64 bytes. Wiped on drop, never shown.
#[derive(Clone)]
pub struct Key(Box<[u8; BLOCK_LEN]>);

impl Key {
    /// Takes a key.
    ///
    /// **Errors:** [`KeyLengthError`] outside 32 to 64 bytes, the operator's fault.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyLengthError> {
        if !(MIN_KEY_LEN..=BLOCK_LEN).contains(&bytes.len()) {
            return Err(KeyLengthError { len: bytes.len() });
        }
        // HMAC itself fills a short key with zeros up to the block of its hash.
        let mut block = Box::new([0; BLOCK_LEN]);
        block.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(Self(block))
    }

    /// Returns the block that HMAC begins with.
    pub(super) const fn block(&self) -> &[u8; BLOCK_LEN] {
        &self.0
    }
}

impl PartialEq for Key {
    /// Takes the same time wherever the first difference is. Zeros at the end make no difference, in HMAC neither.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A key is too short or too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyLengthError {
    /// Its length in bytes.
    pub len: usize,
}

impl fmt::Display for KeyLengthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key of {} bytes, {MIN_KEY_LEN} to {BLOCK_LEN} expected", self.len)
    }
}

impl std::error::Error for KeyLengthError {}

const MIN_KEY_LEN: usize = 32;
/// The block of SHA-256: a longer key would be hashed first.
const BLOCK_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_keeps_its_bounds_and_its_secret() {
        for len in [0, 31, 65] {
            assert_eq!(Key::new(&vec![7; len]), Err(KeyLengthError { len }));
        }
        assert!(Key::new(&[7; 64]).is_ok());
        assert!(Key::new(&[7; 32]) != Key::new(&[7; 33]));
        assert_eq!(format!("{:?} {:?}", Key::new(&[7; 32]).unwrap(), Password::new(b"secret")), "Key(..) Password(..)");
        assert_eq!(KeyLengthError { len: 31 }.to_string(), "key of 31 bytes, 32 to 64 expected");
    }

    #[test]
    fn password_compares_all_8_bytes_and_cuts_the_rest() {
        let password = Password::new(b"s3cr3t77");
        assert!(password.matches(b"s3cr3t77") && !password.matches(b"s3cr3t\0\0") && !password.matches(&[0; 8]));
        assert!(Password::new(b"abc").matches(b"abc\0\0\0\0\0"));
        assert_eq!(Password::new(b"s3cr3t77x"), password);
    }
}
