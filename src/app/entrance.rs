//! Where callers come in: gRPC and JSON at one address or at two; it may not know what they ask for.

mod body;
pub(super) mod counts;
pub(super) mod gate;
mod listener;
pub(super) mod share;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, middleware::from_fn_with_state};
use futures::{
    FutureExt as _, TryFutureExt as _,
    future::{BoxFuture, try_join_all},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tracing::{info, warn};

use self::{
    counts::Counts,
    gate::{Gate, pass},
    listener::{Host, Listener},
    share::Shares,
};
use super::{
    config::{self, Config},
    login::behind_login,
    tls::Certificates,
};
use crate::{
    auth::Authenticator,
    cli::failure::Failure,
    rest::{metrics::Metrics, server as rest},
    service::Service,
};

/// The answering of callers, until it ends.
pub(super) type Answering = BoxFuture<'static, io::Result<()>>;

/// What is behind the entrance.
pub(super) struct Doors {
    /// All services of gRPC.
    pub(super) grpc: Routes,
    /// What the door of JSON asks.
    pub(super) service: Service,
    /// What is told of this process in numbers.
    pub(super) metrics: Metrics,
    /// Who tells callers apart.
    pub(super) authenticator: Authenticator,
}

/// The addresses, taken.
pub(super) struct Entrance {
    listener: Listener,
    /// The one of JSON, where it has its own.
    other: Option<Listener>,
    counts: Arc<Counts>,
    certificates: Option<Arc<Certificates>>,
}

impl Entrance {
    /// Takes the addresses of the configuration, and reads its certificates.
    pub(super) fn open(config: &Config) -> Result<Self, Failure> {
        let certificates = Certificates::read(&config.tls, config.auth.has_tokens())?.map(Arc::new);
        let listener = listen(config.listen)?;
        let other = match config.rest_listen() {
            Ok(Some(other)) if config.rest.enabled => Some(listen(other)?),
            Ok(_) | Err(_) => None,
        };
        make_room_for(config.door.connections);
        Ok(Self {
            listener,
            other,
            counts: Arc::new(Counts::new(config.door.log_every)),
            certificates,
        })
    }

    /// Where gRPC is answered.
    pub(super) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Who comes and who is kept out.
    pub(super) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// What callers are shown; nothing where nothing is encrypted.
    pub(super) fn certificates(&self) -> Option<Arc<Certificates>> {
        self.certificates.clone()
    }

    /// Lets callers in until `end`.
    pub(super) fn serve(self, config: &Config, doors: Doors, end: &CancellationToken) -> Answering {
        let address = self.listener.address();
        let rest_address = self.other.as_ref().map(Listener::address);
        let Doors {
            grpc,
            service,
            metrics,
            authenticator,
        } = doors;
        let grpc = grpc.into_axum_router();
        let json = |beside: Router| rest::door(service, metrics, &config.rest, beside);
        let doors = match self.other {
            None if config.rest.enabled => vec![(self.listener, json(grpc), true)],
            None => vec![(self.listener, grpc, false)],
            Some(other) => vec![
                (self.listener, grpc, false),
                (other, json(Router::new()), true),
            ],
        };
        let places = Arc::new(Semaphore::new(config.door.connections));
        let calls = Arc::new(Semaphore::new(config.door.calls));
        let shares = Arc::new(Shares::new(&config.door, Arc::clone(&self.counts)));
        let answering = doors.into_iter().map(|(listener, router, http1)| {
            let gate = Gate::new(
                hosts(config, listener.address()),
                Arc::clone(&calls),
                config.door.body,
                Arc::clone(&self.counts),
            );
            let host = Host {
                // With its state, which it has none of, a router need not be put together for each call.
                router: behind_login(router, authenticator.clone(), Arc::clone(&shares))
                    .layer(from_fn_with_state(Arc::new(gate), pass))
                    .with_state(()),
                http1,
                certificates: self.certificates.clone(),
                places: Arc::clone(&places),
                door: config.door.clone(),
                api: config.api.clone(),
                counts: Arc::clone(&self.counts),
            };
            listener.serve(Arc::new(host), end.clone())
        });
        let answering = try_join_all(answering).map_ok(drop).boxed();
        announce(config, address, rest_address);
        answering
    }
}

/// The names by which a host that is reached on loopback alone may be asked, beside those of loopback.
fn hosts(config: &Config, address: SocketAddr) -> Option<Vec<String>> {
    let names = || config.rest.hosts.clone();
    address.ip().is_loopback().then(names)
}

/// Lets the process have as many files as it may, and says so where they are fewer than connections.
fn make_room_for(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            warn!(%error, "the limit of open files could not be raised");
            current
        }
    };
    if files.is_some_and(|files| files < connections as u64) {
        warn!(
            files,
            connections,
            "this process may open fewer files than connections (door.connections); raise its limit of open \
             files (LimitNOFILE of systemd), or let in fewer"
        );
    }
}

fn announce(config: &Config, address: SocketAddr, rest_address: Option<SocketAddr>) {
    info!(
        %address,
        rest_address = rest_address.map(tracing::field::display),
        database = config::without_password(&config.database),
        clouds = ?config.clouds.iter().map(|cloud| &cloud.name).collect::<Vec<_>>(),
        encrypted = config.tls.cert.is_some(),
        "drbackup serves"
    );
    if config.auth.is_open() && config.tls.client_ca.is_none() {
        warn!(
            %address,
            "THE API IS OPEN: everybody who can reach this address can read, make and delete backups \
             and instances; `auth` in the configuration tells callers apart"
        );
    }
}

/// Takes an address.
fn listen(wanted: SocketAddr) -> Result<Listener, Failure> {
    Listener::bind(wanted).map_err(|error| not_taken(wanted, &error))
}

/// Why an address cannot be had, and what to do about it.
fn not_taken(wanted: SocketAddr, error: &io::Error) -> Failure {
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        return Failure::Conflict(format!(
            "another program listens on {wanted}; end that one, or name another address with --listen"
        ));
    }
    if kind == io::ErrorKind::AddrNotAvailable {
        return Failure::Usage(format!(
            "{} is no address of this machine; name one of its own with --listen",
            wanted.ip()
        ));
    }
    if kind == io::ErrorKind::PermissionDenied {
        return Failure::Usage(format!(
            "this user may not listen on port {}; name one above 1023 with --listen",
            wanted.port()
        ));
    }
    Failure::Local(format!("listening on {wanted}: {error}"))
}
