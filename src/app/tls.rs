//! The encryption of the listener; it may not know what is served behind it.

use std::{fs, path::Path};

use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use super::config::Config;
use crate::cli::failure::Failure;

/// The server with the certificates of the configuration; as it was where there are none.
pub(super) fn encrypted(server: Server, config: &Config) -> Result<Server, Failure> {
    let (Some(cert), Some(key)) = (&config.tls.cert, &config.tls.key) else {
        return Ok(server);
    };
    // A caller that never finishes its greeting would keep its connection for ever.
    let mut tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(read(cert)?, read(key)?))
        .timeout(config.api.keep_alive_answer);
    if let Some(authorities) = &config.tls.client_ca {
        tls = tls.client_ca_root(Certificate::from_pem(read(authorities)?));
    }
    server.tls_config(tls).map_err(|error| {
        let why = std::error::Error::source(&error)
            .map_or_else(|| error.to_string(), ToString::to_string);
        Failure::Usage(format!(
            "the certificate {} with the key {}: {why}",
            cert.display(),
            key.display()
        ))
    })
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| Failure::Usage(format!("reading {}: {error}", file.display())))
}
