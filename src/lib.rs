//! `vrrpd`: VRRP floating-IP high availability for Linux.
//!
//! Layers, bottom up: [`wire`], [`engine`], the adapters, the daemon; `docs/architecture.md` has the picture.
#![forbid(unsafe_code)]

pub mod child;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod demo;
pub mod doctor;
pub mod engine;
pub mod keygen;
pub mod net;
pub mod notify;
pub mod track;
pub mod wire;
