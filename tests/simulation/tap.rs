//! The boundary between one replica and everything outside: what crosses it is counted, and at any
//! crossing the replica can die or stand still; it may not know what crosses.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use drbackup::{
    openstack::{HttpTransport, TransportError},
    sim,
};
use futures::poll;
use tokio::{sync::Notify, time::Instant};

/// What happens at a crossing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fall {
    /// The replica dies as of `kill -9`.
    Dies,
    /// The replica stands still for so long, as of `SIGSTOP` and `SIGCONT`.
    Stalls(Duration),
    /// The store says that it is unavailable; behind a write that is a lie.
    StoreFails,
}

#[derive(Debug, Default)]
struct State {
    crossings: u64,
    falls: HashMap<u64, Fall>,
    dead: bool,
    still_until: Option<Instant>,
}

/// The boundary of one replica.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    state: Mutex<State>,
    died: Notify,
}

impl Tap {
    pub(crate) fn new(falls: impl IntoIterator<Item = (u64, Fall)>) -> Arc<Self> {
        let tap = Self::default();
        tap.state().falls.extend(falls);
        Arc::new(tap)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the boundary was crossed.
    pub(crate) fn crossings(&self) -> u64 {
        self.state().crossings
    }

    /// Kills the replica now.
    pub(crate) fn kill(&self) {
        self.state().dead = true;
        self.died.notify_one();
    }

    /// Ends when the replica has died.
    pub(crate) async fn death(&self) {
        self.died.notified().await;
    }

    /// Nothing goes on in a replica that is dead, or stands still.
    pub(crate) async fn alive(&self) {
        loop {
            let (dead, still_until) = {
                let state = self.state();
                (state.dead, state.still_until)
            };
            if dead {
                std::future::pending::<()>().await;
            }
            match still_until.filter(|until| *until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until).await,
                None => return,
            }
        }
    }

    /// One crossing; says whether the store is to fail here. Every write has one before it, where it
    /// never left, and one behind it, where its answer was not heard; a request has one in between,
    /// where it is on its way.
    pub(crate) async fn cross(&self) -> bool {
        self.alive().await;
        let fall = {
            let mut state = self.state();
            state.crossings += 1;
            let number = state.crossings;
            let fall = state.falls.get(&number).copied();
            if let Some(Fall::Stalls(time)) = fall {
                state.still_until = Some(Instant::now() + time);
            }
            fall
        };
        match fall {
            Some(Fall::Dies) => {
                self.kill();
                self.alive().await;
                false
            }
            Some(Fall::Stalls(_)) => {
                self.alive().await;
                false
            }
            Some(Fall::StoreFails) => true,
            None => false,
        }
    }
}

/// The way of one replica to the clouds.
pub(crate) struct TappedTransport {
    pub(crate) tap: Arc<Tap>,
    pub(crate) clouds: Vec<Arc<sim::Cloud>>,
    /// Whether reads are crossings too: a death at one loses nothing that a death at the write
    /// before it would not lose, but for the time in between.
    pub(crate) reads: bool,
}

#[async_trait]
impl HttpTransport for TappedTransport {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        deadline: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let host = request.uri().host().unwrap_or_default();
        let name = host.split('.').next().unwrap_or_default();
        let cloud = self.clouds.iter().find(|cloud| cloud.name() == name);
        let cloud = cloud.ok_or_else(|| TransportError::Unreachable(format!("no host {host}")))?;
        let counts = self.reads || request.method() != http::Method::GET;
        if counts {
            self.tap.cross().await;
        } else {
            self.tap.alive().await;
        }
        let mut flight = Box::pin(tokio::time::timeout(deadline, cloud.carry(request)));
        // Asked for once, the request has left.
        let answer = match poll!(flight.as_mut()) {
            std::task::Poll::Ready(answer) => answer,
            std::task::Poll::Pending => {
                if counts {
                    self.tap.cross().await;
                }
                flight.await
            }
        };
        if counts {
            self.tap.cross().await;
        } else {
            self.tap.alive().await;
        }
        match answer {
            Err(_) => Err(TransportError::Late),
            Ok(Err(sim::Cut::Refused)) => Err(TransportError::Unreachable("refused".to_owned())),
            Ok(Err(sim::Cut::Reset)) => Err(TransportError::Broken("connection reset".to_owned())),
            Ok(Ok(answer)) => Ok(answer),
        }
    }
}
