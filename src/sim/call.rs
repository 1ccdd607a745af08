//! One request as the services see it; it may not know what answers it.

use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::form_urlencoded;

/// The services of a cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Keystone.
    Identity,
    /// Cinder.
    Volume,
    /// Nova.
    Compute,
    /// Neutron.
    Network,
    /// Glance.
    Image,
}

impl Service {
    /// The first part of the path of this service's URLs.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Volume => "volume",
            Self::Compute => "compute",
            Self::Network => "network",
            Self::Image => "image",
        }
    }

    fn of(prefix: &str) -> Option<Self> {
        [
            Self::Identity,
            Self::Volume,
            Self::Compute,
            Self::Network,
            Self::Image,
        ]
        .into_iter()
        .find(|service| service.prefix() == prefix)
    }
}

/// A microversion that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// None: the service's oldest.
    Nothing,
    /// The newest that there is.
    Latest,
    /// This one.
    Version(u32, u32),
    /// Something that is no version.
    Nonsense,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) method: String,
    /// The path below the service's prefix, cut at its slashes.
    pub(crate) segments: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) path_and_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Where this cloud is, such as `http://127.0.0.1:40123`.
    pub(crate) base: String,
}

impl Call {
    /// `None` for a path that belongs to no service.
    pub(crate) fn read(
        method: &str,
        uri: &Uri,
        headers: HeaderMap,
        body: Bytes,
        base: &str,
    ) -> Option<Self> {
        let mut segments: Vec<String> = uri
            .path()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let service = Service::of(segments.first()?)?;
        segments.remove(0);
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
        Some(Self {
            service,
            method: method.to_owned(),
            segments,
            query,
            path_and_query: uri
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default(),
            headers,
            body,
            base: base.to_owned(),
        })
    }

    pub(crate) fn parts(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All the values of a parameter that may come more than once.
    pub(crate) fn params<'call>(&'call self, name: &'call str) -> impl Iterator<Item = &'call str> {
        self.query
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; an empty or broken one is `Null`, which no schema accepts.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The microversion asked for in `OpenStack-API-Version: NAME X.Y`.
    pub(crate) fn asked(&self, name: &str) -> Asked {
        let wanted = self.header("openstack-api-version").and_then(|value| {
            value.split(',').find_map(|one| {
                let (service, version) = one.trim().split_once(' ')?;
                (service == name).then(|| version.trim().to_owned())
            })
        });
        let legacy = || {
            (name == "compute")
                .then(|| {
                    self.header("x-openstack-nova-api-version")
                        .map(str::to_owned)
                })
                .flatten()
        };
        let Some(text) = wanted.or_else(legacy) else {
            return Asked::Nothing;
        };
        if text == "latest" {
            return Asked::Latest;
        }
        let numbers = text.split_once('.').and_then(|(major, minor)| {
            Some(Asked::Version(major.parse().ok()?, minor.parse().ok()?))
        });
        numbers.unwrap_or(Asked::Nonsense)
    }
}

/// A truth as clients write it in a query.
pub(crate) fn truth(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "1" | "true" | "t" | "yes" | "y" | "on"
    )
}
