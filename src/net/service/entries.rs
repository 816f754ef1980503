//! The part of the service that is about routes and rules.

use std::sync::Arc;

use super::{NetService, Report};
use crate::engine::input::RouterKey;
use crate::engine::params::RouterParams;
use crate::net::fixed::FIXED;
use crate::net::netlink::{Request, RouteMonitor, Touch};
use crate::net::notice::Notice;

impl<F: FnMut(Report)> NetService<F> {
    pub(super) fn acquire(&mut self, router: RouterKey, params: Arc<RouterParams>) {
        self.routes.acquire(router, &params);
        if router != FIXED {
            self.conflicts.claim((self.clock)(), router, &params);
        }
        self.vips.acquire(router, params, &self.links);
        self.follow();
    }

    pub(super) fn release(&mut self, router: RouterKey) {
        self.routes.release(router);
        self.conflicts.release(router);
        self.vips.release(router, &self.links);
        self.follow();
    }

    /// Listens for changes to routes and rules only while there are some to follow.
    pub(super) fn follow(&mut self) {
        if !self.routes.follows() {
            self.follower = None;
        } else if self.follower.is_none() {
            match RouteMonitor::open() {
                Ok(follower) => self.follower = Some(follower),
                Err(error) => (self.on)(Report::Notice(Notice::Netlink { error: error.to_string() })),
            }
        }
    }

    /// Takes over what somebody did to routes and rules; `None`: the socket that tells of it is gone.
    ///
    /// After a loss the kernel drops without a word until all that waits was read, so another socket takes its place.
    pub(super) fn touched(&mut self, touch: Option<Touch>) {
        let touch = touch.unwrap_or(Touch::Lost);
        if touch == Touch::Lost {
            self.follower = None;
            self.follow();
        }
        self.routes.touched(touch);
    }

    /// Deletes the next few rules and routes that nobody wants; says whether there were any.
    pub(super) fn withdraw_entries(&mut self) -> bool {
        self.routes.next_deletions(&mut self.entries);
        self.carry_out_entries()
    }

    /// Adds the next few routes and rules.
    pub(super) fn add_entries(&mut self) {
        self.routes.next_additions(&self.links, &mut self.entries);
        self.carry_out_entries();
    }

    fn carry_out_entries(&mut self) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let requests: Vec<Request> = self.entries.iter().map(|job| job.request.clone()).collect();
        self.requests.carry_out(&requests, &mut self.results);
        for (job, result) in self.entries.drain(..).zip(self.results.drain(..)) {
            self.routes.done(job, result);
        }
        true
    }

    /// Says whether anything that is released is there.
    pub(super) fn is_deleting(&self) -> bool {
        self.vips.is_deleting() || self.routes.is_deleting()
    }

    /// Makes up for lost notifications.
    pub(super) async fn compare_rules(&mut self) {
        match self.dumper.leftovers().await {
            Ok(held) => self.routes.compare(&held),
            Err(error) => {
                (self.on)(Report::Notice(Notice::Netlink { error: error.to_string() }));
                // The socket is opened again there, and that ends here once more.
                self.is_stale = true;
            }
        }
    }

    /// Removes routes and rules that an earlier run left behind.
    pub(super) async fn sweep_routes(&mut self) {
        match self.dumper.leftovers().await {
            Ok(leftovers) => self.routes.sweep(leftovers, &self.links),
            Err(error) => (self.on)(Report::Notice(Notice::Netlink { error: error.to_string() })),
        }
    }
}

/// Waits for the next change to routes and rules; for ever where none are followed.
pub(super) async fn next_touch(follower: &mut Option<RouteMonitor>) -> Option<Touch> {
    match follower {
        Some(follower) => follower.next().await,
        None => std::future::pending().await,
    }
}
