//! keepalived.conf in, parameters out: each keyword, other people's files, and what nobody would write.

mod auth;
mod comments;
mod corpus;
mod health;
mod hooks;
mod hostile;
mod include;
mod keywords;
mod property;
mod reader;
