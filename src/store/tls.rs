//! The way to a PostgreSQL server, encrypted as its url asks; it may not know what is sent there.

use std::{borrow::Cow, sync::Arc, time::Duration};

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::AsyncPgConnection;
use percent_encoding::percent_decode_str;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio_postgres::{Config, NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::OpenError;

/// A server that does not answer for so long is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A silent connection is probed after so long, and given up when nothing comes back for twice that.
const PROBE_AFTER: Duration = Duration::from_secs(30);

/// A server, and how to speak with it.
#[derive(Clone)]
pub(super) struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Target {
    /// Reads a url. What libpq knows and `tokio_postgres` does not is taken out of it first.
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let (bare, options) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = None;
        let mut root = None;
        let mut others = Vec::new();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => root = Some(decoded(value)?),
                Some(_) | None => others.push(option),
            }
        }
        let mut config: Config = format!("{bare}?{}", others.join("&"))
            .parse()
            .map_err(|error| OpenError::Url(format!("{error}")))?;
        if config.get_application_name().is_none() {
            config.application_name("drbackup");
        }
        config
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(PROBE_AFTER)
            .tcp_user_timeout(PROBE_AFTER * 2);

        let verified = mode == Some("verify-full");
        if root.is_some() && !verified {
            // libpq would look at the certificate a little; half a check is none.
            return Err(OpenError::Url(
                "sslrootcert counts only with sslmode=verify-full".to_owned(),
            ));
        }
        let (mode, tls) = match mode {
            Some("disable") => (SslMode::Disable, None),
            None | Some("prefer") => (SslMode::Prefer, Some(unverified()?)),
            Some("require") => (SslMode::Require, Some(unverified()?)),
            Some("verify-full") => (SslMode::Require, Some(verifying(root.as_deref())?)),
            Some(other) => {
                return Err(OpenError::Url(format!(
                    "sslmode={other} is none of disable, prefer, require and verify-full"
                )));
            }
        };
        config.ssl_mode(mode);
        Ok(Self {
            config,
            tls: tls.map(MakeRustlsConnect::new),
        })
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> ConnectionResult<AsyncPgConnection> {
        let Some(tls) = &self.tls else {
            let connected = self.config.connect(NoTls).await;
            let (client, connection) = connected.map_err(|error| refused(&error))?;
            return AsyncPgConnection::try_from_client_and_connection(client, connection).await;
        };
        let connected = self.config.connect(tls.clone()).await;
        let (client, connection) = connected.map_err(|error| refused(&error))?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await
    }
}

fn refused(error: &tokio_postgres::Error) -> ConnectionError {
    // The cause says what to do (a name, a port, a certificate); the error itself only that there
    // is one.
    let cause = std::error::Error::source(error).map(ToString::to_string);
    ConnectionError::BadConnection(match cause {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    })
}

fn decoded(value: &str) -> Result<String, OpenError> {
    percent_decode_str(value)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|error| OpenError::Url(error.to_string()))
}

/// Encrypts and looks at the certificate of the server: against a file, else what the system trusts.
fn verifying(root: Option<&str>) -> Result<ClientConfig, OpenError> {
    let mut roots = RootCertStore::empty();
    match root {
        Some(path) => {
            let failed = |error: String| OpenError::Url(format!("sslrootcert={path}: {error}"));
            for certificate in
                CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?
            {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| failed(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(failed("it holds no certificate".to_owned()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(versions(&Arc::new(ring::default_provider()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Encrypts without looking at who answers, as libpq does for `prefer` and `require`.
fn unverified() -> Result<ClientConfig, OpenError> {
    let provider = Arc::new(ring::default_provider());
    Ok(versions(&provider)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth())
}

fn versions(
    provider: &Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, OpenError> {
    ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| OpenError::Url(error.to_string()))
}

/// Takes any certificate; the signatures of the handshake are checked all the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
