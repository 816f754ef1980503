//! No advert costs an allocation: neither one that is sent nor one that is heard, in any form.

use crate::counting::allocations;
use crate::work::{Kind, Pair};

const ROUTERS: usize = 255;

#[test]
fn turn_that_sends_255_adverts_allocates_nothing() {
    for kind in Kind::ALL {
        let mut pair = Pair::new(kind, ROUTERS);
        let (asked, sent) = allocations(|| pair.send());
        assert_eq!((asked, sent), (0, ROUTERS), "allocations and adverts of one turn, {}", kind.name());
    }
}

#[test]
fn turn_that_hears_255_adverts_allocates_nothing() {
    for kind in Kind::ALL {
        let mut pair = Pair::new(kind, ROUTERS);
        pair.send();
        let before = pair.accepted();
        let (asked, heard) = allocations(|| pair.receive());
        assert_eq!((asked, heard), (0, ROUTERS), "allocations and adverts of one turn, {}", kind.name());
        assert_eq!(pair.accepted() - before, ROUTERS as u64, "adverts accepted, {}", kind.name());
    }
}
