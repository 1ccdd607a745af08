//! The wire: connections that can be cut, one request to one service, the log of requests, and the
//! trouble that was scripted; it may not know what the services do.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as HttpBody, Bytes, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, request::Parts};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::call::{Call, Service};
use super::clock::zulu;
use super::faults::{Action, Picked};
use super::reply::{Body, Reply};
use super::world::{Fate, World};
use super::{cinder, control, glance, keystone, neutron, nova};

/// The longest body that is read.
const BODY_LIMIT: usize = 1 << 30;

/// How many requests are remembered; of more, the older half is forgotten.
const LOG_LIMIT: usize = 1_000_000;

/// One request that came in, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoggedRequest {
    /// When it was answered, since the cloud began.
    pub elapsed: Duration,
    /// When it was answered, by the cloud's calendar.
    pub at: String,
    /// The service.
    pub service: Service,
    /// The method.
    pub method: String,
    /// The path and query.
    pub path: String,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// The id of the project of the token.
    pub project: Option<String>,
    /// The name of the user of the token.
    pub user: Option<String>,
    /// The value of `OpenStack-API-Version`.
    pub microversion: Option<String>,
    /// The id of the fault rule that it fell under.
    pub fault: Option<u64>,
}

/// What the connections of one cloud share.
#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    pub(crate) base: String,
    /// Counts the releases, so that none is missed by a request that is about to hang.
    released: watch::Sender<u64>,
    /// Closes the door; a new one is hung when the cloud is started again.
    pub(crate) door: Mutex<CancellationToken>,
}

impl Shared {
    pub(crate) fn new(world: World, base: String) -> Arc<Self> {
        Arc::new(Self {
            world: Mutex::new(world),
            base,
            released: watch::Sender::new(0),
            door: Mutex::new(CancellationToken::new()),
        })
    }

    /// The world as it is now. A test that panicked while it held the lock does not spoil the others.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.settle();
        world
    }

    /// Lets go of every request that hangs.
    pub(crate) fn release(&self) {
        self.released.send_modify(|count| *count += 1);
    }

    pub(crate) fn door(&self) -> CancellationToken {
        self.door
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The handle by which a request can cut its own connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection(CancellationToken);

impl Connected<IncomingStream<'_, Door>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A listener whose connections break when the cloud is switched off.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) closing: CancellationToken,
}

impl Listener for Door {
    type Io = Wire;
    type Addr = Connection;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    // A small answer must not wait for the client's delayed acknowledgement.
                    let _best_effort = stream.set_nodelay(true);
                    let cut = self.closing.child_token();
                    let wire = Wire {
                        stream,
                        cut: cut.clone(),
                        waiting: Box::pin(cut.clone().cancelled_owned()),
                    };
                    return (wire, Connection(cut));
                }
                // A client that went away before it was accepted, or too many open files.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(Connection(self.closing.clone()))
    }
}

/// A connection that fails with a reset once it is cut.
pub(crate) struct Wire {
    stream: TcpStream,
    cut: CancellationToken,
    waiting: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Wire {
    fn is_cut(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        let cut = self.cut.is_cancelled() || self.waiting.as_mut().poll(context).is_ready();
        if !cut {
            return None;
        }
        // With nothing to linger for, the close that follows is a reset on the wire too.
        let _best_effort = self.stream.set_zero_linger();
        Some(io::Error::from(io::ErrorKind::ConnectionReset))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.is_cut(context) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.is_cut(context) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What a client gets: an answer, or a broken connection.
enum Outcome {
    Answer(Reply),
    Cut,
    Truncated(Reply),
}

/// Answers one request.
pub(crate) async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Result<Response, Infallible> {
    if shared.door().is_cancelled() {
        return Ok(cut(&connection));
    }
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return Ok(cut(&connection));
    };
    Ok(match answer(&shared, head, body).await {
        Outcome::Answer(reply) => response(reply),
        Outcome::Truncated(reply) => truncated(reply),
        Outcome::Cut => cut(&connection),
    })
}

/// Why a caller without a network gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The cloud is off.
    Refused,
    /// The connection broke; the request may have been carried out.
    Reset,
}

/// Answers one request of a caller in the same process.
pub(crate) async fn carry(
    shared: Arc<Shared>,
    request: http::Request<Vec<u8>>,
) -> Result<http::Response<Vec<u8>>, Cut> {
    let door = shared.door();
    if door.is_cancelled() {
        return Err(Cut::Refused);
    }
    let (head, body) = request.into_parts();
    // A task of its own: a request that has left is carried out, whoever still waits for it.
    let answering = tokio::spawn(async move { answer(&shared, head, body.into()).await });
    let outcome = tokio::select! {
        outcome = answering => outcome.map_err(|_| Cut::Reset)?,
        () = door.cancelled() => return Err(Cut::Reset),
    };
    match outcome {
        Outcome::Answer(reply) => {
            let (bytes, kind) = bytes_of(reply.body);
            let mut response = http::Response::new(bytes.to_vec());
            dress(&mut response, reply.status, kind, reply.headers);
            Ok(response)
        }
        Outcome::Truncated(_) | Outcome::Cut => Err(Cut::Reset),
    }
}

async fn answer(shared: &Shared, head: Parts, body: Bytes) -> Outcome {
    if head.uri.path().starts_with("/_sim/") {
        let reply = control::answer(shared, head.method.as_str(), &head.uri, &body);
        return Outcome::Answer(reply);
    }
    let call = Call::read(
        head.method.as_str(),
        &head.uri,
        head.headers,
        body,
        &shared.base,
    );
    match call {
        Some(call) => outcome(shared, &call).await,
        None => Outcome::Answer(Reply::page(404, "The resource could not be found.")),
    }
}

async fn outcome(shared: &Shared, call: &Call) -> Outcome {
    let releases = shared.released.subscribe();
    let (latency, fault) = {
        let mut world = shared.world();
        (world.config.times.api_latency, world.faults.pick(call))
    };
    pause(latency).await;
    let Some(fault) = fault else {
        return Outcome::Answer(act(shared, call, None).await);
    };
    match &fault.action {
        Action::ResetBefore => {
            log(&mut shared.world(), call, None, Some(&fault));
            Outcome::Cut
        }
        Action::ResetAfter => {
            perform(&mut shared.world(), call, Some(&fault), false);
            Outcome::Cut
        }
        Action::Hang {
            milliseconds,
            acted,
        } => {
            let done = acted.then(|| perform(&mut shared.world(), call, Some(&fault), true));
            hang(releases, *milliseconds).await;
            match done {
                Some(reply) => Outcome::Answer(reply),
                None => Outcome::Answer(act(shared, call, Some(&fault)).await),
            }
        }
        Action::Answer {
            status,
            body,
            headers,
            acted,
        } => {
            let mut world = shared.world();
            if *acted {
                perform(&mut world, call, Some(&fault), true);
            } else {
                log(&mut world, call, Some(*status), Some(&fault));
            }
            Outcome::Answer(scripted(*status, body, headers))
        }
        Action::Truncate => Outcome::Truncated(act(shared, call, Some(&fault)).await),
        Action::Malformed
        | Action::OtherResource
        | Action::Stale { .. }
        | Action::Stuck
        | Action::Status { .. }
        | Action::Fail { .. }
        | Action::Vanish
        | Action::ClockSkew { .. } => Outcome::Answer(act(shared, call, Some(&fault)).await),
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

async fn hang(mut releases: watch::Receiver<u64>, milliseconds: Option<u64>) {
    let change = releases.changed();
    let limit = milliseconds.map(Duration::from_millis);
    // Whichever way the wait ends, it means the same: go on.
    match limit {
        Some(limit) => {
            let _whichever = tokio::time::timeout(limit, change).await;
        }
        None => {
            let _whichever = change.await;
        }
    }
}

async fn act(shared: &Shared, call: &Call, fault: Option<&Picked>) -> Reply {
    let reply = perform(&mut shared.world(), call, fault, true);
    pause(reply.wait).await;
    reply
}

/// Carries a request out, lets a fault have its way with what came of it, and logs it.
fn perform(world: &mut World, call: &Call, fault: Option<&Picked>, answered: bool) -> Reply {
    if let Some(Action::ClockSkew { seconds }) = fault.map(|fault| &fault.action) {
        world.clock.set_skew(*seconds);
    }
    let answer = match call.service {
        Service::Identity => keystone::answer(world, call),
        Service::Volume => cinder::answer(world, call),
        Service::Compute => nova::answer(world, call),
        Service::Network => neutron::answer(world, call),
        Service::Image => glance::answer(world, call),
    };
    let (Ok(mut reply) | Err(mut reply)) = answer;
    if let Some(fault) = fault {
        spoil(world, call, fault, &mut reply);
    }
    let id = format!("req-{}", world.uuid());
    if matches!(call.service, Service::Volume | Service::Compute) {
        reply.headers.push(("x-compute-request-id", id.clone()));
    }
    reply.headers.push(("x-openstack-request-id", id));
    log(world, call, answered.then_some(reply.status), fault);
    reply
}

/// What a fault does to an answer, or to the resources that it speaks of.
fn spoil(world: &mut World, call: &Call, fault: &Picked, reply: &mut Reply) {
    match &fault.action {
        Action::Malformed => reply.body = Body::Html("{\"volumes\": [{\"id\": ".to_owned()),
        Action::OtherResource => {
            let stranger = world.uuid();
            if let Body::Json(body) = &mut reply.body {
                estrange(body, &stranger);
            }
        }
        Action::Stale { requests } if reply.status == 200 => {
            let fresh = reply.body.clone();
            reply.body = world
                .faults
                .stale(fault.rule, &call.path_and_query, *requests, fresh);
        }
        Action::Stuck => doom(world, reply, &Fate::Stuck),
        Action::Status { status } => doom(world, reply, &Fate::Status(status.clone())),
        Action::Fail { reason } => doom(world, reply, &Fate::Fail(reason.clone())),
        Action::Vanish => {
            for id in &reply.touched {
                world.vanish(id);
            }
        }
        Action::ResetBefore
        | Action::ResetAfter
        | Action::Hang { .. }
        | Action::Answer { .. }
        | Action::Truncate
        | Action::Stale { .. }
        | Action::ClockSkew { .. } => {}
    }
}

fn doom(world: &mut World, reply: &Reply, fate: &Fate) {
    for id in &reply.touched {
        world.fates.insert(id.clone(), fate.clone());
    }
}

/// Gives the resource of an answer another id, and what it calls itself another name.
fn estrange(body: &mut Value, stranger: &str) {
    let Some(object) = body.as_object_mut() else {
        return;
    };
    if object.contains_key("id") {
        object.insert("id".to_owned(), json!(stranger));
    }
    for value in object.values_mut().filter(|value| value.is_object()) {
        if let Some(id) = value.get_mut("id") {
            *id = json!(stranger);
        }
        if let Some(name) = value.get_mut("name") {
            *name = json!("stranger");
        }
    }
}

fn scripted(status: u16, body: &Value, headers: &[(String, String)]) -> Reply {
    let body = match body {
        Value::Null => Body::Empty,
        Value::String(text) => Body::Bytes(text.clone().into_bytes()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Body::Json(body.clone())
        }
    };
    let mut reply = Reply::with(status, body);
    let allowed = [
        "retry-after",
        "content-type",
        "date",
        "location",
        "x-openstack-request-id",
    ];
    for (name, value) in headers {
        let known = allowed
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name));
        if let Some(known) = known {
            reply = reply.header(known, value.clone());
        }
    }
    reply
}

fn log(world: &mut World, call: &Call, status: Option<u16>, fault: Option<&Picked>) {
    let who = world.keystone.who(call.header("x-auth-token"), world.now);
    let entry = LoggedRequest {
        elapsed: world.now,
        at: zulu(world.date()),
        service: call.service,
        method: call.method.clone(),
        path: call.path_and_query.clone(),
        status,
        project: who.as_ref().map(|who| who.project.clone()),
        user: who.map(|who| who.user_name),
        microversion: call.header("openstack-api-version").map(str::to_owned),
        fault: fault.map(|fault| fault.rule),
    };
    if world.requests.len() >= LOG_LIMIT {
        world.requests.drain(..LOG_LIMIT / 2);
    }
    world.requests.push(entry);
}

fn cut(connection: &Connection) -> Response {
    connection.0.cancel();
    Response::new(HttpBody::empty())
}

fn bytes_of(body: Body) -> (Bytes, &'static str) {
    match body {
        Body::Empty => (Bytes::new(), ""),
        Body::Json(value) => (Bytes::from(value.to_string()), "application/json"),
        Body::Html(text) => (Bytes::from(text), "text/html; charset=UTF-8"),
        Body::Bytes(bytes) => (Bytes::from(bytes), "application/octet-stream"),
    }
}

fn response(reply: Reply) -> Response {
    let (bytes, kind) = bytes_of(reply.body);
    let mut response = Response::new(HttpBody::from(bytes));
    dress(&mut response, reply.status, kind, reply.headers);
    response
}

/// The first half of an answer that promised to be whole.
fn truncated(reply: Reply) -> Response {
    let (bytes, kind) = bytes_of(reply.body);
    let half = bytes.slice(..bytes.len() / 2);
    let end = io::Error::from(io::ErrorKind::ConnectionReset);
    let parts = futures::stream::iter([Ok(half), Err(end)]);
    let mut response = Response::new(HttpBody::from_stream(parts));
    dress(&mut response, reply.status, kind, reply.headers);
    response
        .headers_mut()
        .insert("content-length", HeaderValue::from(bytes.len()));
    response
}

fn dress<B>(
    response: &mut http::Response<B>,
    status: u16,
    kind: &'static str,
    headers: Vec<(&'static str, String)>,
) {
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let map = response.headers_mut();
    if !kind.is_empty() {
        map.insert("content-type", HeaderValue::from_static(kind));
    }
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            map.insert(HeaderName::from_static(name), value);
        }
    }
}
