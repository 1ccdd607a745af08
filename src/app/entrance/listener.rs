//! Takes connections at an address and serves each until it ends, within the limits of the entrance; it
//! may not know what is served.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
};
use http_body::{Frame, SizeHint};
use hyper::{Request, body::Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use rustix::io::Errno;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;
use tracing::{debug, trace};

use super::counts::{Counts, Reason};
use crate::{
    api::settings::ApiSettings,
    app::{
        config::DoorSettings,
        login::{PeerAddress, PeerNames},
        tls::{Certificates, peer_names},
    },
};

/// An address, taken.
pub(super) struct Listener {
    listener: StdListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes an address.
    pub(super) fn bind(wanted: SocketAddr) -> io::Result<Self> {
        let listener = StdListener::bind(wanted)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Which one it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves who comes until `end`, and then who is there until all have gone.
    pub(super) async fn serve(self, host: Arc<Host>, end: CancellationToken) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let guests = TaskTracker::new();
        while let Some(accepted) = end.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, _)) => {
                    // Each asks a token of its own, which no other one locks.
                    guests.spawn(Arc::clone(&host).receive(stream, end.child_token()));
                }
                Err(error) if is_of_the_caller(&error) => trace!(%error, "a caller went at once"),
                Err(error) => {
                    // Asked again at once, it would say the same again and do nothing else.
                    host.counts.refused(Reason::Files);
                    debug!(%error, "no caller is let in for a moment");
                    let pause = sleep(host.door.files_pause);
                    end.run_until_cancelled(pause).await;
                }
            }
        }
        // The address is free from here on, and the next one to take it finds it so.
        drop(listener);
        guests.close();
        guests.wait().await;
        Ok(())
    }
}

/// Whether an error is about the one caller who came, and not about us.
fn is_of_the_caller(error: &io::Error) -> bool {
    let about_us = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    let code = error.raw_os_error();
    !about_us
        .iter()
        .any(|errno| Some(errno.raw_os_error()) == code)
}

/// What all connections of an address share.
pub(super) struct Host {
    pub(super) router: Router,
    pub(super) http1: bool,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) places: Arc<Semaphore>,
    pub(super) door: DoorSettings,
    pub(super) api: ApiSettings,
    pub(super) counts: Arc<Counts>,
}

impl Host {
    /// Serves one connection to its end.
    async fn receive(self: Arc<Self>, stream: TcpStream, end: CancellationToken) {
        let Ok(_place) = self.places.try_acquire() else {
            return self.counts.refused(Reason::Connections);
        };
        let _open = self.counts.opened();
        let address = stream.peer_addr().ok().map(|peer| PeerAddress(peer.ip()));
        // An answer is written whole, and has nothing to wait for.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let Some(certificates) = &self.certificates else {
            return self.talk(stream, (address, None), &end).await;
        };
        let acceptor = TlsAcceptor::from(certificates.current(self.http1));
        let shaken = timeout(self.door.handshake, acceptor.accept(stream));
        match end.run_until_cancelled(shaken).await {
            None => {}
            Some(Ok(Ok(stream))) => {
                let peer = peer_names(stream.get_ref().1);
                self.talk(stream, (address, peer), &end).await;
            }
            Some(Ok(Err(error))) => {
                debug!(%error, "a handshake failed");
                self.counts.refused(Reason::Handshake);
            }
            Some(Err(_late)) => self.counts.refused(Reason::Handshake),
        }
    }

    /// Speaks HTTP over a connection until it ends, or until one of its times is over.
    async fn talk<S>(
        &self,
        stream: S,
        (address, names): (Option<PeerAddress>, Option<PeerNames>),
        end: &CancellationToken,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let talk = Arc::new(Talk::new());
        let router = self.router.clone();
        let answering = Arc::clone(&talk);
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            if let Some(address) = address {
                request.extensions_mut().insert(address);
            }
            if let Some(names) = &names {
                request.extensions_mut().insert(names.clone());
            }
            let under_way = UnderWay::begin(&answering);
            let answer = router.clone().call(request.map(Body::new));
            async move {
                let answer = answer.await?;
                Ok::<_, Infallible>(answer.map(|body| Answer { body, under_way }))
            }
        });
        let builder = self.builder();
        let served =
            builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut served = pin!(served);
        let mut times = Times::from_now(&self.door);
        loop {
            tokio::select! {
                ended = &mut served => {
                    if let Err(error) = ended {
                        debug!(%error, "a connection broke");
                    }
                    return;
                }
                () = end.cancelled(), if !times.leaving => {
                    times.leave(None);
                    served.as_mut().graceful_shutdown();
                }
                () = sleep_until(times.next()) => match times.due(&talk) {
                    Due::Nothing => {}
                    Due::Leave => served.as_mut().graceful_shutdown(),
                    Due::Silent => {
                        // One that spoke HTTP/2 and asked for nothing hears of it, and comes again when it
                        // has something to ask.
                        self.counts.refused(Reason::FirstRequest);
                        served.as_mut().graceful_shutdown();
                    }
                    Due::Close => return,
                }
            }
        }
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        if !self.http1 {
            builder = builder.http2_only();
        }
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.api.connection_streams)
            .max_send_buf_size(self.api.stream_bytes)
            .keep_alive_interval(Some(self.api.keep_alive))
            .keep_alive_timeout(self.api.keep_alive_answer);
        // It counts from the answer before as well, so that a connection that rests is not slow.
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.door.idle);
        builder
    }
}

/// What a connection is doing.
struct Talk(Mutex<Doing>);

struct Doing {
    calls: usize,
    any: bool,
    /// When a call last began or ended.
    last: Instant,
}

impl Talk {
    fn new() -> Self {
        Self(Mutex::new(Doing {
            calls: 0,
            any: false,
            last: Instant::now(),
        }))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Doing) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A call, until its answer was taken to its end or left.
struct UnderWay(Arc<Talk>);

impl UnderWay {
    fn begin(talk: &Arc<Talk>) -> Self {
        talk.with(|doing| {
            doing.calls += 1;
            doing.any = true;
            doing.last = Instant::now();
        });
        Self(Arc::clone(talk))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.with(|doing| {
            doing.calls -= 1;
            doing.last = Instant::now();
        });
    }
}

/// The body of an answer.
struct Answer {
    body: Body,
    #[expect(dead_code, reason = "it counts for as long as it is there")]
    under_way: UnderWay,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The times of a connection.
struct Times<'a> {
    door: &'a DoorSettings,
    opened: Instant,
    /// When to look at it next.
    next: Instant,
    /// It was told to go.
    leaving: bool,
}

/// What is to be done about a connection.
enum Due {
    Nothing,
    /// It is told to end what is under way and to begin nothing.
    Leave,
    /// It never asked for anything.
    Silent,
    /// It did not go.
    Close,
}

impl<'a> Times<'a> {
    fn from_now(door: &'a DoorSettings) -> Self {
        let opened = Instant::now();
        Self {
            door,
            opened,
            next: opened + door.first_request.min(door.age),
            leaving: false,
        }
    }

    fn next(&self) -> Instant {
        self.next
    }

    /// It is told to go, and closed after a while if it is still there; who takes leave as a whole has a
    /// patience of its own.
    fn leave(&mut self, patience: Option<Duration>) {
        self.leaving = true;
        // A year is longer than anything is under way.
        let patience = patience.unwrap_or(Duration::from_secs(365 * 24 * 60 * 60));
        self.next = Instant::now() + patience;
    }

    fn due(&mut self, talk: &Talk) -> Due {
        if self.leaving {
            return Due::Close;
        }
        let (calls, any, last) = talk.with(|doing| (doing.calls, doing.any, doing.last));
        let now = Instant::now();
        if !any {
            self.leave(Some(self.door.first_request));
            return Due::Silent;
        }
        if now >= self.opened + self.door.age {
            self.leave(Some(self.door.age_patience));
            return Due::Leave;
        }
        let rest = if calls == 0 { last } else { now } + self.door.idle;
        if now >= rest {
            self.leave(Some(self.door.handshake));
            return Due::Leave;
        }
        self.next = rest.min(self.opened + self.door.age);
        Due::Nothing
    }
}
