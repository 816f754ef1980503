//! What a keepalived.conf says beside its parameters: where its blocks were, and its comments.
//!
//! One stop before: the readers of the blocks; one stop after: `convert`, which puts comments back where they were, and
//! `pair`, which names places.

use zeroize::Zeroize;

use super::expand::Comment;
use super::report::Spot;
use crate::wire::field::KeyId;

/// Places and comments of a keepalived.conf.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Document {
    /// Where each instance of the parameters was, in their order.
    pub(super) instances: Vec<InstanceParts>,
    /// Where the checks and groups of the parameters were; what has no block of its own is not here.
    pub(super) blocks: Vec<Block>,
    /// Comments of the file that was named.
    pub(super) comments: Vec<Comment>,
}

/// What belongs to one instance beside its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct InstanceParts {
    /// Its name in the parameters.
    pub name: String,
    /// Where its block begins.
    pub spot: Spot,
    /// Its keywords with their lines.
    pub keywords: Vec<(String, u32)>,
    /// Line of its `}`.
    pub last_line: u32,
    /// The password as it is written.
    pub password: Option<Secret>,
    /// The keys of the HMAC trailer as TOML has them, in ascending order of their numbers.
    pub keys: Vec<(KeyId, Secret)>,
}

/// The block of a check or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// What it became.
    pub table: Table,
    /// Its name in the parameters.
    pub name: String,
    /// Where it begins.
    pub spot: Spot,
    /// Line of its `}`.
    pub last_line: u32,
}

/// What a block became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// `[check.NAME]`.
    Check,
    /// `[group.NAME]`.
    Group,
}

/// A password or key as it is written; never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub String);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}
