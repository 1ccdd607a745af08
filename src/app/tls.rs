//! The certificates of the listener: read, used for whoever comes next, and read again when they change;
//! it may not know what is served behind them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{
    RootCertStore, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tracing::{info, warn};
use x509_cert::{
    Certificate,
    der::{Decode as _, asn1::ObjectIdentifier},
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use super::{config::TlsSettings, login::PeerNames};
use crate::cli::failure::Failure;

/// The names of the certificate that a caller has shown: its common name, and its DNS names, addresses of mail
/// and URIs. The authority that vouches for them was asked when the connection was made.
pub(super) fn peer_names(connection: &ServerConnection) -> Option<PeerNames> {
    let shown = connection.peer_certificates()?.first()?;
    let certificate = Certificate::from_der(shown).ok()?.tbs_certificate;
    let attributes = certificate.subject.0.iter().flat_map(|one| one.0.iter());
    let common = attributes.filter(|one| one.oid == COMMON_NAME);
    let mut names: Vec<String> = common
        .filter_map(|one| String::from_utf8(one.value.value().to_vec()).ok())
        .collect();
    if let Ok(Some((_, SubjectAltName(others)))) = certificate.get::<SubjectAltName>() {
        names.extend(others.into_iter().filter_map(|name| match name {
            GeneralName::DnsName(name)
            | GeneralName::Rfc822Name(name)
            | GeneralName::UniformResourceIdentifier(name) => Some(name.to_string()),
            GeneralName::OtherName(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EdiPartyName(_)
            | GeneralName::IpAddress(_)
            | GeneralName::RegisteredId(_) => None,
        }));
    }
    Some(PeerNames(Arc::new(names)))
}

/// The common name in a subject (X.520).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What callers are shown and asked for, as the files have it now.
#[derive(Debug)]
pub(super) struct Certificates {
    settings: TlsSettings,
    /// Whether a caller may come without one, because there are other ways in.
    optional: bool,
    current: RwLock<Current>,
    /// What was read last, be it of use or not.
    seen: Mutex<Files>,
}

/// The files as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Files {
    cert: Result<Vec<u8>, String>,
    key: Result<Vec<u8>, String>,
    client_ca: Option<Result<Vec<u8>, String>>,
}

/// What is in force.
#[derive(Debug, Clone)]
struct Current {
    /// For an address with both versions of HTTP.
    both: Arc<ServerConfig>,
    /// For one with HTTP/2 alone.
    http2: Arc<ServerConfig>,
    /// When the first certificate of each file ends, by the name of its setting.
    ends: Vec<(&'static str, SystemTime)>,
}

impl Certificates {
    /// Those of the configuration; nothing where nothing is to be encrypted.
    /// `optional` says that a caller may come without one.
    pub(super) fn read(settings: &TlsSettings, optional: bool) -> Result<Option<Self>, Failure> {
        if settings.cert.is_none() || settings.key.is_none() {
            return Ok(None);
        }
        let seen = Files::read(settings);
        let current = Current::of(settings, optional, &seen).map_err(Failure::Usage)?;
        let certificates = Self {
            settings: settings.clone(),
            optional,
            current: RwLock::new(current),
            seen: Mutex::new(seen),
        };
        certificates.warn_of_the_end();
        Ok(Some(certificates))
    }

    /// What the next connection is greeted with.
    pub(super) fn current(&self, http1: bool) -> Arc<ServerConfig> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(if http1 { &current.both } else { &current.http2 })
    }

    /// Seconds until the first certificate of each file ends, by the name of its setting; none once it has.
    pub(super) fn seconds_left(&self) -> Vec<(&'static str, u64)> {
        let now = SystemTime::now();
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let left = current.ends.iter().map(|(file, end)| {
            let left = end.duration_since(now).unwrap_or_default();
            (*file, left.as_secs())
        });
        left.collect()
    }

    /// Reads the files again. What cannot be used is told, and what was in force stays so. `asked` says
    /// that somebody wants to hear of it, whether anything changed or not.
    pub(super) fn read_again(&self, asked: bool) {
        let files = Files::read(&self.settings);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == files && !asked {
                return;
            }
            seen.clone_from(&files);
        }
        match Current::of(&self.settings, self.optional, &files) {
            Ok(new) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
                info!("the certificates were read again; new connections use them");
                self.warn_of_the_end();
            }
            Err(problem) => warn!(
                problem,
                "the certificates cannot be used; those from before stay in force"
            ),
        }
    }

    /// Says which certificates have ended, or will soon.
    pub(super) fn warn_of_the_end(&self) {
        for (file, left) in self.seconds_left() {
            let setting = format!("tls.{file}");
            if left == 0 {
                warn!(
                    setting,
                    "A CERTIFICATE HAS EXPIRED: callers refuse it, or are refused"
                );
            } else if Duration::from_secs(left) < self.settings.expiry_warning {
                let hours = left / 3600;
                warn!(setting, hours, "a certificate expires soon; renew it");
            }
        }
    }
}

impl Files {
    fn read(settings: &TlsSettings) -> Self {
        let read = |file: Option<&Path>| {
            let file = file?;
            let read = fs::read(file);
            Some(read.map_err(|error| format!("reading {}: {error}", file.display())))
        };
        let missing = || Err("no file is named".to_owned());
        Self {
            cert: read(settings.cert.as_deref()).unwrap_or_else(missing),
            key: read(settings.key.as_deref()).unwrap_or_else(missing),
            client_ca: read(settings.client_ca.as_deref()),
        }
    }
}

impl Current {
    /// What files like these put in force.
    fn of(settings: &TlsSettings, optional: bool, files: &Files) -> Result<Self, String> {
        let named = |file: &Option<PathBuf>| {
            let file = file.as_deref().unwrap_or(Path::new(""));
            file.display().to_string()
        };
        let (cert, key) = (named(&settings.cert), named(&settings.key));
        let chain = certificates(&cert, files.cert.as_ref()?)?;
        let private = PrivateKeyDer::from_pem_slice(files.key.as_ref()?)
            .map_err(|error| format!("the key {key}: {error}"))?;
        let mut ends = vec![("cert", first_end(&cert, &chain)?)];
        let builder = ServerConfig::builder();
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let file = named(&settings.client_ca);
                let authorities = certificates(&file, authorities.as_ref()?)?;
                ends.push(("client_ca", first_end(&file, &authorities)?));
                let mut roots = RootCertStore::empty();
                // A bundle may have old ones that nobody can use, beside those that are meant.
                roots.add_parsable_certificates(authorities);
                let mut verifier = WebPkiClientVerifier::builder(Arc::new(roots));
                if optional {
                    verifier = verifier.allow_unauthenticated();
                }
                let verifier = verifier.build();
                let verifier =
                    verifier.map_err(|error| format!("the authorities {file}: {error}"))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut http2 = builder
            .with_single_cert(chain, private)
            .map_err(|error| format!("the certificate {cert} with the key {key}: {error}"))?;
        http2.alpn_protocols = vec![b"h2".to_vec()];
        let mut both = http2.clone();
        both.alpn_protocols.push(b"http/1.1".to_vec());
        Ok(Self {
            both: Arc::new(both),
            http2: Arc::new(http2),
            ends,
        })
    }
}

fn certificates(file: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| format!("{file}: {error}"))?;
    if read.is_empty() {
        return Err(format!("{file} has no certificate"));
    }
    Ok(read)
}

/// When the first of these certificates ends.
fn first_end(file: &str, certificates: &[CertificateDer<'_>]) -> Result<SystemTime, String> {
    let read = certificates
        .iter()
        .filter_map(|one| Certificate::from_der(one).ok());
    let ends = read.map(|one| one.tbs_certificate.validity.not_after.to_unix_duration());
    match ends.min() {
        Some(first) => Ok(UNIX_EPOCH + first),
        None => Err(format!("{file} has no certificate that can be read")),
    }
}
