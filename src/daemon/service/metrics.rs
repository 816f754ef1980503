//! The endpoint for metrics and health, where the configuration wants it.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::{Net, Service};
use crate::config::DaemonSettings;
use crate::control::group::control_group;
use crate::control::http::{self, Listener, shown};
use crate::daemon::event_loop::read_clocks;
use crate::daemon::metrics::Looks;
use crate::engine::params::Endpoint;

/// Where metrics are asked for; a reload changes it.
#[derive(Debug)]
pub(super) struct Offer {
    at: watch::Sender<Option<Endpoint>>,
    group: Option<String>,
}

impl Offer {
    pub fn new(settings: &DaemonSettings) -> Self {
        Self {
            at: watch::Sender::new(settings.metrics.clone()),
            group: control_group(settings.control_group.as_deref()),
        }
    }

    /// Moves it; clients in flight are closed. Nothing happens when it is there already.
    pub fn change(&self, to: Option<Endpoint>) {
        self.at.send_if_modified(|at| {
            let is_other = *at != to;
            *at = to;
            is_other
        });
    }

    /// Says what a move changes, for a person; `None`: nothing.
    pub fn difference(&self, to: Option<&Endpoint>) -> Option<String> {
        let at = self.at.borrow();
        match (at.as_ref(), to) {
            (at, to) if at == to => None,
            (Some(at), Some(to)) => Some(format!("metrics {} -> {}", shown(at), shown(to))),
            (None, Some(to)) => Some(format!("metrics begin at {}", shown(to))),
            (_, None) => Some("metrics end".to_owned()),
        }
    }
}

impl Service {
    /// Offers metrics and health wherever the configuration wants them; ends only with the daemon.
    pub(super) async fn offer_metrics(self: Rc<Self>, net: Net) {
        let looks = Rc::new(Looks::new(self.protocol.clone()));
        let mut wanted = self.reloading.metrics.at.subscribe();
        loop {
            let at = wanted.borrow_and_update().clone();
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() {
                    return;
                },
                () = self.offer_metrics_at(at, &looks, &net) => {}
            }
        }
    }

    /// Binds, as soon as that is possible, and serves.
    async fn offer_metrics_at(self: &Rc<Self>, at: Option<Endpoint>, looks: &Rc<Looks>, net: &Net) {
        let Some(at) = at else { return pending().await };
        let listener = self.listen_in_time(&at).await;
        let (service, looks, net) = (Rc::clone(self), Rc::clone(looks), net.clone());
        http::serve(&listener, move |question| {
            let (service, looks, net) = (Rc::clone(&service), Rc::clone(&looks), net.clone());
            async move {
                let look = looks.look(|| read_clocks().mono, || service.status(&net)).await;
                looks.answer(&question, &look).await
            }
        })
        .await;
    }

    /// Binds; an address that is taken or not here may be free later, and is no reason not to run.
    async fn listen_in_time(&self, at: &Endpoint) -> Listener {
        let mut is_told = false;
        loop {
            match Listener::bind(at, self.reloading.metrics.group.as_deref()) {
                Ok(listener) => {
                    tracing::info!("metrics at {}", shown(at));
                    return listener;
                }
                Err(error) if !is_told => {
                    is_told = true;
                    tracing::warn!("no metrics at {}: {error}; tried again every {RETRY:?}", shown(at));
                }
                Err(_) => {}
            }
            sleep(RETRY).await;
        }
    }
}

/// How long an address that cannot be listened on is left alone.
const RETRY: Duration = Duration::from_secs(2);
