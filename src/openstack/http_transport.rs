//! Carries one HTTP request to a cloud and its whole answer back; this file may not know tokens,
//! services or what an answer means.

use std::{error::Error as _, path::Path, time::Duration};

use async_trait::async_trait;
use reqwest::{Client, redirect};

use super::{entry::Entry, settings::OpenStackSettings};

/// One request there, its whole answer back. A simulation may carry them without a network.
#[async_trait]
pub trait HttpTransport: Send + Sync {
    /// Carries `request`, whose address is absolute, and gives up after `deadline`. Nothing is
    /// repeated and no redirect is followed.
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        deadline: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError>;
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportError {
    /// What is configured does not make a connection; nothing left.
    Unconfigured(String),
    /// Nobody took the request.
    Unreachable(String),
    /// The deadline passed; the request may have been carried out.
    Late,
    /// The connection broke; the request may have been carried out.
    Broken(String),
    /// The answer is longer than so many bytes.
    TooLong(usize),
}

/// The transport over real connections, with the certificates of one entry.
pub(super) struct NetworkTransport {
    client: Result<Client, String>,
    answer_bytes_max: usize,
}

impl NetworkTransport {
    pub(super) fn new(entry: &Entry, limits: &OpenStackSettings) -> Self {
        Self {
            client: client(entry, limits),
            answer_bytes_max: limits.answer_bytes_max,
        }
    }
}

#[async_trait]
impl HttpTransport for NetworkTransport {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        deadline: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let client = self
            .client
            .as_ref()
            .map_err(|problem| TransportError::Unconfigured(problem.clone()))?;
        let mut request = reqwest::Request::try_from(request).map_err(trouble)?;
        *request.timeout_mut() = Some(deadline);
        let mut response = client.execute(request).await.map_err(trouble)?;
        let mut answer = http::Response::new(Vec::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        // Ends with the answer, or at the limit, or with the request's deadline.
        while let Some(chunk) = response.chunk().await.map_err(trouble)? {
            let body = answer.body_mut();
            if body.len() + chunk.len() > self.answer_bytes_max {
                return Err(TransportError::TooLong(self.answer_bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

fn trouble(error: reqwest::Error) -> TransportError {
    if error.is_connect() {
        TransportError::Unreachable(causes(error))
    } else if error.is_builder() {
        TransportError::Unconfigured(causes(error))
    } else if error.is_timeout() {
        TransportError::Late
    } else {
        TransportError::Broken(causes(error))
    }
}

/// The last words of an error's chain of causes, without the address, whose query nobody needs.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    // Ends because a chain of causes does.
    while let Some(error) = cause {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.join(": ")
}

fn client(entry: &Entry, limits: &OpenStackSettings) -> Result<Client, String> {
    let builder = || {
        Client::builder()
            .user_agent(concat!("drbackup/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(limits.connect_seconds))
            // A redirect would carry the token to wherever it points.
            .redirect(redirect::Policy::none())
            .no_proxy()
    };
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            format!(
                "entry {}: cannot read {}: {error}",
                entry.name,
                path.display()
            )
        })
    };
    let mut chosen = builder();
    if let Some(path) = &entry.cacert {
        let bundle = reqwest::Certificate::from_pem_bundle(&read(path)?).map_err(|_| {
            format!(
                "entry {}: {} holds no certificates",
                entry.name,
                path.display()
            )
        })?;
        chosen = chosen.tls_certs_only(bundle);
    }
    if !entry.verify {
        chosen = chosen.tls_danger_accept_invalid_certs(true);
    }
    if let Some(path) = &entry.cert {
        let mut pem = read(path)?;
        if let Some(key) = &entry.key {
            pem.push(b'\n');
            pem.extend(read(key)?);
        }
        let identity = reqwest::Identity::from_pem(&pem).map_err(|_| {
            format!(
                "entry {}: {} is no client certificate with its key",
                entry.name,
                path.display()
            )
        })?;
        chosen = chosen.identity(identity);
    }
    let plain = entry.cacert.is_none() && entry.cert.is_none();
    match chosen.build() {
        Ok(client) => Ok(client),
        // A machine without a bundle of certificates can still speak plain HTTP.
        Err(_) if plain => builder().tls_certs_only([]).build().map_err(causes),
        Err(error) => Err(format!("entry {}: {}", entry.name, causes(error))),
    }
}
