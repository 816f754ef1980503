//! Version 2: what RFC 3768 asks for, where it differs from RFC 9568 and where it says the same.

use vrrpd::engine::output::Discard;
use vrrpd::engine::params::{Auth, RouterParams};
use vrrpd::wire::auth::Password;

use crate::bench::*;

#[test]
fn rfc3768_7_1_authenticated_packet_with_another_auth_type_inside_is_refused() {
    let params = RouterParams { auth: Auth::Ah(Password::new(b"ahkey12")), ..v2() };
    let mut bench = Bench::backup(params.clone());
    for (sequence, kind) in [(1, 0), (2, 1), (3, 3), (4, 255)] {
        let packet = Packet { byte_4: kind, ..Packet::like(&params, 150) };
        bench.hear_v4(INDEX, &authenticated(&packet, b"ahkey12", sequence));
        assert_eq!(bench.refused(Discard::AuthType), u64::from(sequence), "type {kind}: {:?}", bench.refusals());
    }
    let packet = Packet { byte_4: 2, ..Packet::like(&params, 150) };
    bench.hear_v4(INDEX, &authenticated(&packet, b"ahkey12", 1));
    assert_eq!(bench.accepted(), 1, "and a refused packet does not move the mark: {:?}", bench.refusals());
}
