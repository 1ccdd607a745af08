//! The encryption of the connection to the service; it may not know what is called over it.

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::{
    config::{self, ClientSettings},
    failure::Failure,
};

/// The endpoint with the certificates of the settings.
pub(super) fn encrypted(
    endpoint: Endpoint,
    settings: &ClientSettings,
) -> Result<Endpoint, Failure> {
    let mut tls = ClientTlsConfig::new();
    tls = match &settings.cacert {
        Some(file) => tls.ca_certificate(authorities(file)?),
        None => tls.with_native_roots(),
    };
    if let Some(identity) = identity(settings)? {
        tls = tls.identity(identity);
    }
    endpoint.tls_config(tls).map_err(|error| {
        let why = std::error::Error::source(&error)
            .map_or_else(|| error.to_string(), ToString::to_string);
        Failure::Usage(format!(
            "the certificates for {}: {why}; --cacert, --client-cert and --client-key name them",
            settings.address
        ))
    })
}

/// What a person can do when the connection to an address breaks for this text; nothing when encryption
/// has no part in it.
pub(super) fn guidance(address: &str, text: &str) -> Option<&'static str> {
    // The text is all that is left of the cause when it has gone through HTTP/2.
    let said = text.to_lowercase();
    if said.contains("expired") {
        return Some(
            "the service's certificate is past its time, or the clock of this machine is wrong: renew the \
             certificate there",
        );
    }
    if said.contains("not valid yet") || said.contains("notvalidyet") {
        return Some(
            "the service's certificate is of a time to come, or the clock of this machine is wrong",
        );
    }
    if said.contains("not valid for name") || said.contains("notvalidforname") {
        return Some(
            "the service's certificate is for another name: write one of its names in the address, or make one \
             for this name",
        );
    }
    if said.contains("certificate") {
        return Some(
            "name the authority of the service's certificate with --cacert, and your own certificate \
             with --client-cert and --client-key if it asks for one",
        );
    }
    if text.contains("InvalidContentType") {
        return Some("this service does not encrypt: write http:// in its address");
    }
    // To one that encrypts, what comes without encryption is no sense, and its answer none to us.
    let no_sense = ["frame with invalid size", "http2 error", "corrupt"];
    if address.starts_with("http://") && no_sense.iter().any(|word| said.contains(word)) {
        return Some("this service encrypts, or is none of ours: write https:// in its address");
    }
    // A service that refuses a caller's certificate may hang up before the caller can read why.
    let hung_up = ["closed", "reset", "broken pipe"]
        .iter()
        .any(|word| said.contains(word));
    if hung_up && address.starts_with("https://") {
        return Some(
            "if the service asks its callers for a certificate, name yours with --client-cert and \
             --client-key; else look into its log",
        );
    }
    if hung_up && address.starts_with("http://") {
        return Some(
            "if the service encrypts, write https:// in its address; else look into its log, or start one with \
             `drbackup serve`",
        );
    }
    None
}

fn authorities(file: &str) -> Result<Certificate, Failure> {
    let pem = config::read_file(file)?;
    let marker = b"-----BEGIN CERTIFICATE-----";
    if !pem.windows(marker.len()).any(|window| window == marker) {
        return Err(Failure::Usage(format!("{file} holds no certificate")));
    }
    Ok(Certificate::from_pem(pem))
}

fn identity(settings: &ClientSettings) -> Result<Option<Identity>, Failure> {
    let Some(cert) = &settings.client_cert else {
        if settings.client_key.is_some() {
            return Err(Failure::Usage(
                "--client-key needs --client-cert: a key proves nothing without its certificate"
                    .to_owned(),
            ));
        }
        return Ok(None);
    };
    let key = settings.client_key.as_ref().unwrap_or(cert);
    let (cert, key) = (config::read_file(cert)?, config::read_file(key)?);
    Ok(Some(Identity::from_pem(cert, key)))
}
