//! Where a service answers; this file may not know how it is called.

use std::collections::BTreeMap;

use serde::Deserialize;
use url::Url;

use super::entry::Entry;
use crate::domain::fault::Service;

/// The catalogue of a token, as Keystone hands it out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Catalogue(Vec<CatalogueService>);

#[derive(Debug, Clone, Deserialize)]
struct CatalogueService {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, Deserialize)]
struct Endpoint {
    interface: String,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    region_id: Option<String>,
    url: String,
}

/// The service types under which a service is known, the official one first.
fn kinds(service: Service) -> &'static [&'static str] {
    match service {
        Service::Identity => &["identity"],
        Service::BlockStorage => &["block-storage", "volumev3", "block-store", "volume"],
        Service::Compute => &["compute"],
        Service::Network => &["network"],
        Service::Image => &["image"],
    }
}

/// The version segment below which we call a service, and the major of its microversions.
pub(super) fn segment(service: Service) -> &'static str {
    match service {
        Service::Identity | Service::BlockStorage => "v3",
        Service::Compute => "v2.1",
        Service::Network => "v2.0",
        Service::Image => "v2",
    }
}

/// The root of a service's versioned API, without a slash at its end and without a project, or
/// words on why there is none.
pub(super) fn root(
    service: Service,
    entry: &Entry,
    catalogue: &Catalogue,
    project: &str,
) -> Result<String, String> {
    if let Some(url) = by_kind(service, &entry.overrides) {
        let url = [
            "%(project_id)s",
            "$(project_id)s",
            "%(tenant_id)s",
            "$(tenant_id)s",
        ]
        .iter()
        .fold(url.clone(), |url, mark| url.replace(mark, project));
        return versioned(service, &url, project).ok_or_else(|| {
            format!(
                "the endpoint override of {} is no address",
                service.project()
            )
        });
    }
    if service == Service::Identity {
        return versioned(service, &entry.auth_url, project)
            .ok_or_else(|| "auth_url is no address".to_owned());
    }
    let interface = by_kind(service, &entry.interfaces).unwrap_or(&entry.interface);
    kinds(service)
        .iter()
        .filter_map(|kind| catalogue.endpoint(kind, interface, entry.region.as_deref()))
        // `volume` used to be version 1 and `volumev2` lives on in old catalogues.
        .filter(|url| service != Service::BlockStorage || !is_old_volume(url, project))
        .find_map(|url| versioned(service, url, project))
        .ok_or_else(|| {
            format!(
                "the catalogue of entry {} has no {} endpoint of {} in {}",
                entry.name,
                interface,
                service.project(),
                entry
                    .region
                    .as_ref()
                    .map_or_else(|| "any region".to_owned(), |name| format!("region {name}")),
            )
        })
}

fn by_kind(service: Service, map: &BTreeMap<String, String>) -> Option<&String> {
    kinds(service)
        .iter()
        .find_map(|kind| map.get(&kind.replace('-', "_")))
}

impl Catalogue {
    fn endpoint(&self, kind: &str, interface: &str, region: Option<&str>) -> Option<&str> {
        self.0
            .iter()
            .filter(|service| service.kind == kind)
            .flat_map(|service| &service.endpoints)
            .find(|endpoint| {
                let here = [&endpoint.region, &endpoint.region_id];
                plain(&endpoint.interface) == interface
                    && region.is_none_or(|name| here.iter().any(|at| at.as_deref() == Some(name)))
            })
            .map(|endpoint| endpoint.url.as_str())
    }
}

fn plain(interface: &str) -> &str {
    interface.strip_suffix("URL").unwrap_or(interface)
}

/// The segments of a path without a project at its end.
fn segments(url: &Url, project: &str) -> Vec<String> {
    let mut segments: Vec<String> = url
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|segment| !segment.is_empty())
        .map(str::to_owned)
        .collect();
    let ends_in_project = segments.last().is_some_and(|last| {
        !project.is_empty() && (last == project || *last == format!("AUTH_{project}"))
    });
    if ends_in_project {
        segments.pop();
    }
    segments
}

fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn is_old_volume(url: &str, project: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        segments(&url, project)
            .last()
            .is_some_and(|last| is_version(last) && !last.starts_with("v3"))
    })
}

/// Puts our version segment where a version stands, or at the end.
fn versioned(service: Service, url: &str, project: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let mut segments = segments(&url, project);
    if segments.last().is_some_and(|last| is_version(last)) {
        segments.pop();
    }
    segments.push(segment(service).to_owned());
    let origin = url.origin();
    Some(format!(
        "{}/{}",
        origin.ascii_serialization(),
        segments.join("/")
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::openstack::entry::{Credential, Fingerprint};

    fn entry() -> Entry {
        Entry {
            fingerprint: Fingerprint::default(),
            name: "e".to_owned(),
            auth_url: "http://k:5000".to_owned(),
            credential: Credential::Token {
                token: String::new().into(),
            },
            project: None,
            region: None,
            interface: "public".to_owned(),
            overrides: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            verify: true,
            cacert: None,
            cert: None,
            key: None,
        }
    }

    fn catalogue(kind: &str, url: &str) -> Catalogue {
        serde_json::from_value(json!([{"type": kind, "name": "x", "endpoints": [
            {"interface": "admin", "region": "one", "region_id": "one", "url": "http://admin"},
            {"interface": "public", "region": "one", "region_id": "one", "url": url},
            {"interface": "public", "region": "two", "region_id": "two", "url": "http://two"},
        ]}]))
        .unwrap()
    }

    fn root_of(service: Service, kind: &str, url: &str) -> String {
        root(service, &entry(), &catalogue(kind, url), "abc").unwrap()
    }

    #[test]
    fn every_shape_of_address_leads_to_the_same_root() {
        let cases = [
            (
                Service::BlockStorage,
                "volumev3",
                "http://h:8776/v3/abc",
                "http://h:8776/v3",
            ),
            (
                Service::BlockStorage,
                "block-storage",
                "http://h/volume/v3/",
                "http://h/volume/v3",
            ),
            (
                Service::BlockStorage,
                "volume",
                "https://h/volume",
                "https://h/volume/v3",
            ),
            (
                Service::Compute,
                "compute",
                "http://h:8774/v2/abc",
                "http://h:8774/v2.1",
            ),
            (
                Service::Compute,
                "compute",
                "http://h/compute/v2.1",
                "http://h/compute/v2.1",
            ),
            (
                Service::Network,
                "network",
                "http://h:9696",
                "http://h:9696/v2.0",
            ),
            (
                Service::Network,
                "network",
                "http://h:9696/v2.0/",
                "http://h:9696/v2.0",
            ),
            (
                Service::Image,
                "image",
                "http://h/image/v2",
                "http://h/image/v2",
            ),
            (Service::Image, "image", "http://h:9292", "http://h:9292/v2"),
        ];
        for (service, kind, url, expected) in cases {
            assert_eq!(root_of(service, kind, url), expected, "{url}");
        }
    }

    #[test]
    fn old_volume_endpoints_are_passed_over() {
        let result = root(
            Service::BlockStorage,
            &entry(),
            &catalogue("volume", "http://h:8776/v1/abc"),
            "abc",
        );
        // The endpoint of the first region is version 1, so the type has none that we can use.
        assert!(result.is_err());
    }

    #[test]
    fn region_and_interface_choose() {
        let catalogue = catalogue("network", "http://one");
        let mut entry = entry();
        entry.region = Some("two".to_owned());
        let at = |entry: &Entry| root(Service::Network, entry, &catalogue, "abc");
        assert_eq!(at(&entry).unwrap(), "http://two/v2.0");
        entry.region = Some("one".to_owned());
        entry.interface = "admin".to_owned();
        assert_eq!(at(&entry).unwrap(), "http://admin/v2.0");
        entry.region = Some("three".to_owned());
        assert!(at(&entry).unwrap_err().contains("region three"));
    }

    #[test]
    fn override_wins_and_may_name_the_project() {
        let mut entry = entry();
        entry.overrides.insert(
            "volume".to_owned(),
            "http://other/v3/%(project_id)s".to_owned(),
        );
        assert_eq!(
            root(Service::BlockStorage, &entry, &Catalogue::default(), "abc").unwrap(),
            "http://other/v3"
        );
    }

    #[test]
    fn keystone_is_found_with_and_without_version() {
        for url in [
            "http://k/identity",
            "http://k/identity/v3",
            "http://k/identity/v3/",
        ] {
            let mut entry = entry();
            entry.auth_url = url.to_owned();
            assert_eq!(
                root(Service::Identity, &entry, &Catalogue::default(), "").unwrap(),
                "http://k/identity/v3"
            );
        }
    }
}
