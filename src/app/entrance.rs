//! Where callers come in: gRPC and JSON at one address or at two; it may not know what they ask for.

use std::{io, net::SocketAddr};

use axum::Router;
use futures::{
    FutureExt as _, TryFutureExt as _,
    future::{BoxFuture, try_join_all},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tracing::{info, warn};

use super::{
    config::{self, Config},
    login::behind_login,
    tls,
};
use crate::{
    auth::Authenticator,
    cli::failure::Failure,
    rest::{metrics::Metrics, server as rest},
    service::Service,
};

/// The answering of callers, until it ends.
pub(super) type Answering = BoxFuture<'static, Result<(), tonic::transport::Error>>;

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
    incoming: TcpIncoming,
    address: SocketAddr,
    /// The one of JSON, where it has its own.
    other: Option<(TcpIncoming, SocketAddr)>,
}

impl Entrance {
    /// Takes the addresses of the configuration.
    pub(super) fn open(config: &Config) -> Result<Self, Failure> {
        let (incoming, address) = listen(config.listen)?;
        let other = match config.rest_listen() {
            Ok(Some(other)) if config.rest.enabled => Some(listen(other)?),
            Ok(_) | Err(_) => None,
        };
        Ok(Self {
            incoming,
            address,
            other,
        })
    }

    /// Where gRPC is answered.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets callers in until `end`.
    pub(super) fn serve(
        self,
        config: &Config,
        doors: Doors,
        end: &CancellationToken,
    ) -> Result<Answering, Failure> {
        let address = self.address;
        let rest_address = self.other.as_ref().map(|(_, address)| *address);
        let Doors {
            grpc,
            service,
            metrics,
            authenticator,
        } = doors;
        let login = |router: Router| behind_login(router, authenticator.clone());
        let grpc = grpc.into_axum_router();
        let json = |address: SocketAddr, beside: Router| {
            let loopback = address.ip().is_loopback();
            rest::door(service, metrics, &config.rest, loopback, beside)
        };
        let answering = match self.other {
            None if config.rest.enabled => {
                let both = login(json(address, grpc)).into();
                vec![answer(config, both, true, self.incoming, end)?]
            }
            None => vec![answer(
                config,
                login(grpc).into(),
                false,
                self.incoming,
                end,
            )?],
            Some((other, address)) => {
                let alone = login(json(address, Router::new())).into();
                vec![
                    answer(config, login(grpc).into(), false, self.incoming, end)?,
                    answer(config, alone, true, other, end)?,
                ]
            }
        };
        announce(config, address, rest_address);
        Ok(try_join_all(answering).map_ok(drop).boxed())
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
fn listen(wanted: SocketAddr) -> Result<(TcpIncoming, SocketAddr), Failure> {
    let refused = |error: io::Error| not_taken(wanted, &error);
    let incoming = TcpIncoming::bind(wanted).map_err(refused)?;
    let address = incoming.local_addr().map_err(refused)?;
    Ok((incoming.with_nodelay(Some(true)), address))
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

/// Answers who comes to an address, until `end`.
fn answer(
    config: &Config,
    routes: Routes,
    http1: bool,
    incoming: TcpIncoming,
    end: &CancellationToken,
) -> Result<Answering, Failure> {
    let answering = tls::encrypted(Server::builder(), config)?
        .accept_http1(http1)
        .max_concurrent_streams(config.api.connection_streams)
        .http2_keepalive_interval(Some(config.api.keep_alive))
        .http2_keepalive_timeout(Some(config.api.keep_alive_answer))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, end.clone().cancelled_owned());
    Ok(answering.boxed())
}
