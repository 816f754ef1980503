//! What an advert and a router may cost: allocations, instructions, bytes that stay. Nothing here depends on time.
//!
//! A change that makes an advert dearer fails here, and not as a graph that somebody looks at some day. What a running
//! daemon asks of the kernel is judged by `calls` in `tests/netns`. The bounds are explained in `docs/performance.md`.

mod allocations;
mod bytes;
#[path = "../../benches/engine/count.rs"]
mod count;
mod counting;
mod instructions;
#[path = "../../benches/engine/work.rs"]
mod work;
