//! What is measured, by name.

use std::hint::black_box;
use std::net::IpAddr;

use vrrpd::wire::addresses::AddressList;
use vrrpd::wire::advert::{Advert, AuthField, Received};
use vrrpd::wire::auth::{Key, Origin, Sequence, Trailer};
use vrrpd::wire::checksum::{self, ChecksumForm};
use vrrpd::wire::field::{AdverInterval, Family, Priority, Version, Vrid};

use crate::work::{Kind, Pair};

/// One thing to measure.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// Reads and verifies an advert.
    Parse,
    /// Writes an advert with its checksum.
    Emit,
    /// Signs an advert.
    Sign,
    /// A turn of a Master with so many routers.
    Send(Kind, usize),
    /// The same, and a turn of the Backup that hears it.
    Hear(Kind, usize),
}

/// A part made ready to be run as often as wanted.
pub enum Work {
    Parse([u8; 12]),
    Emit(AddressList, Vec<u8>),
    Sign(Key),
    Send(Box<Pair>),
    Hear(Box<Pair>),
}

impl Part {
    pub fn all() -> Vec<Self> {
        let mut parts = vec![Self::Parse, Self::Emit, Self::Sign];
        for routers in [1, 255, 4080] {
            parts.extend([Self::Send(Kind::Unicast, routers), Self::Hear(Kind::Unicast, routers)]);
        }
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Unicast) {
            parts.extend([Self::Send(kind, 255), Self::Hear(kind, 255)]);
        }
        parts
    }

    pub fn name(&self) -> String {
        match self {
            Self::Parse => "parse".to_owned(),
            Self::Emit => "emit".to_owned(),
            Self::Sign => "sign".to_owned(),
            Self::Send(kind, routers) => format!("send/{}/{routers}", kind.name()),
            Self::Hear(kind, routers) => format!("send+hear/{}/{routers}", kind.name()),
        }
    }

    /// Returns how many adverts one round has.
    pub fn adverts(&self) -> usize {
        match self {
            Self::Parse | Self::Emit | Self::Sign => 1,
            Self::Send(_, routers) | Self::Hear(_, routers) => *routers,
        }
    }

    pub fn ready(&self) -> Work {
        match *self {
            Self::Parse => {
                let mut bytes = Vec::new();
                advert(&list()).emit(&mut bytes);
                checksum::fill(Version::V3, ChecksumForm::Pseudo, SOURCE, DESTINATION, &mut bytes);
                Work::Parse(bytes.try_into().expect("one address"))
            }
            Self::Emit => Work::Emit(list(), Vec::with_capacity(64)),
            Self::Sign => Work::Sign(Key::new(&[7; 32]).expect("a long key")),
            Self::Send(kind, routers) => Work::Send(Box::new(Pair::new(kind, routers))),
            Self::Hear(kind, routers) => Work::Hear(Box::new(Pair::new(kind, routers))),
        }
    }
}

impl Work {
    pub fn run(&mut self, rounds: u32) {
        for _ in 0..rounds {
            match self {
                Self::Parse(bytes) => {
                    let received = Received::parse(Version::V3, Family::V4, black_box(&bytes[..]), false);
                    let summed = received.expect("an advert").summed;
                    let forms = &ChecksumForm::ALL;
                    black_box(checksum::recognise(Version::V3, SOURCE, DESTINATION, summed, forms));
                }
                Self::Emit(list, bytes) => {
                    bytes.clear();
                    advert(black_box(list)).emit(bytes);
                    checksum::fill(Version::V3, ChecksumForm::Pseudo, SOURCE, DESTINATION, black_box(bytes));
                }
                Self::Sign(key) => {
                    let origin = Origin { version: Version::V3, vrid: vrid(), source: SOURCE };
                    black_box(Trailer::sign(key, 1, Sequence::from_bits(7), &origin, black_box(&[0x31; 12])));
                }
                Self::Send(pair) => {
                    black_box(pair.send());
                }
                Self::Hear(pair) => {
                    pair.send();
                    black_box(pair.receive());
                }
            }
        }
        if let Self::Hear(pair) = self {
            assert!(pair.accepted() >= u64::from(rounds), "nothing was heard");
        }
    }
}

fn advert(list: &AddressList) -> Advert<'_> {
    let (priority, interval) = (Some(Priority::DEFAULT), AdverInterval::DEFAULT);
    let addresses = list.as_addresses();
    Advert { version: Version::V3, vrid: vrid(), priority, interval, auth: AuthField::NONE, addresses }
}

fn list() -> AddressList {
    AddressList::new(Family::V4, [IpAddr::from([192, 0, 2, 100])]).expect("one address")
}

fn vrid() -> Vrid {
    Vrid::new(61).expect("not 0")
}

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 12));
const DESTINATION: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 11));
