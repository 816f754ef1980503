//! Fresh keys of the HMAC trailer, from the kernel's random numbers.
//!
//! The only maker of secrets. One stop before: `vrrpd keygen`; one stop after: a key file, which `config` reads.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroizing;

/// How many bytes a fresh key has: as many as the digest, so that a longer one would prove no more.
pub const KEY_LEN: usize = 32;

/// Returns a fresh key. Waits while the kernel has not yet gathered randomness, early at boot. Wiped on drop.
///
/// **Errors:** the kernel has no random numbers to give.
pub fn fresh_key() -> io::Result<Zeroizing<[u8; KEY_LEN]>> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    let mut filled = 0;
    while let Some(rest) = key.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(key)
}

/// Writes a key as the value of a configuration, with a line feed: `hex:` and two digits for each byte. Wiped on drop.
pub fn line(key: &[u8]) -> Zeroizing<String> {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    // Room for all of it at once: a string that grows leaves copies behind.
    let mut line = Zeroizing::new(String::with_capacity(PREFIX.len() + 2 * key.len() + 1));
    line.push_str(PREFIX);
    for byte in key {
        line.push(digit(byte >> 4));
        line.push(digit(byte & 0xf));
    }
    line.push('\n');
    line
}

const PREFIX: &str = "hex:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_line_of_hexadecimal_digits() {
        assert_eq!(line(&[0x00, 0x1f, 0xa9]).as_str(), "hex:001fa9\n");
    }

    #[test]
    fn every_byte_is_random() {
        let mut seen = [0; KEY_LEN];
        for _ in 0..64 {
            let key = fresh_key().unwrap();
            seen.iter_mut().zip(key.iter()).for_each(|(seen, byte)| *seen |= byte);
        }
        // That a byte of 64 keys is 0 each time has a chance of 2^-512.
        assert!(seen.iter().all(|byte| *byte != 0), "{seen:?}");
        assert_ne!(*fresh_key().unwrap(), *fresh_key().unwrap());
    }
}
