//! A bare server of tonic that answers every request with the same message out of its memory: what
//! gRPC alone costs.

use std::{convert::Infallible, future::Future, path::Path, pin::Pin, task, task::Poll};

use drbackup::api::pb;
use prost::Message as _;
use tokio::process::{Child, Command};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{Body as HttpBody, Service, StdError, http},
    server::{Grpc, NamedService, UnaryService},
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

use super::process::launch;

/// The argument that makes this program such a server.
pub(crate) const SERVE: &str = "serve-echo";

/// Starts one in a process of its own, which answers with `reply`.
pub(crate) async fn start(reply: &pb::DrBackup, folder: &Path) -> anyhow::Result<(Child, String)> {
    let file = folder.join("reply");
    std::fs::write(&file, reply.encode_to_vec())?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(SERVE).arg(&file);
    launch(command).await
}

/// Serves until the process ends.
#[expect(
    clippy::print_stderr,
    reason = "the one line by which the other process learns the address"
)]
pub(crate) async fn serve(file: &Path) -> anyhow::Result<()> {
    let reply = pb::DrBackup::decode(std::fs::read(file)?.as_slice())?;
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into())?.with_nodelay(Some(true));
    eprintln!("{{\"address\":\"{}\"}}", incoming.local_addr()?);
    Server::builder()
        .add_service(Echo(reply))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

/// Answers under the name of the service, so that the same client asks both.
#[derive(Clone)]
struct Echo(pb::DrBackup);

impl NamedService for Echo {
    const NAME: &'static str = "drbackup.v1.DRBackupService";
}

impl UnaryService<pb::GetDrBackupRequest> for Echo {
    type Response = pb::DrBackup;
    type Future = Pin<Box<dyn Future<Output = Result<Response<pb::DrBackup>, Status>> + Send>>;

    fn call(&mut self, _: Request<pb::GetDrBackupRequest>) -> Self::Future {
        let reply = self.0.clone();
        Box::pin(async move { Ok(Response::new(reply)) })
    }
}

impl<B> Service<http::Request<B>> for Echo
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<pb::DrBackup, pb::GetDrBackupRequest>::default();
            Ok(Grpc::new(codec).unary(echo, request).await)
        })
    }
}
