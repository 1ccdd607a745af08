//! Whose a thing is, as far as its service tells; this file may not know what kinds of things there are.
//!
//! An admin is shown the things of every project, whatever its token is scoped to. So what is read under the
//! name of a tenant is compared with it here, and a thing of another one is like one that is not there.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::domain::{fault::Service, id::ProjectId};

/// The words with which the services tell the project of a thing.
#[derive(Debug, Default, Deserialize)]
struct Told {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    tenant_id: Option<String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default, rename = "os-vol-tenant-attr:tenant_id")]
    of_volume: Option<String>,
    #[serde(default, rename = "os-extended-snapshot-attributes:project_id")]
    of_snapshot: Option<String>,
    #[serde(default, rename = "os-backup-project-attr:project_id")]
    of_backup: Option<String>,
}

impl Told {
    /// The same word means something else in another service: an image has properties of any name.
    fn project(self, service: Service) -> Option<String> {
        match service {
            Service::BlockStorage => self
                .of_volume
                .or(self.of_snapshot)
                .or(self.of_backup)
                .or(self.project_id),
            Service::Network => self.project_id.or(self.tenant_id),
            Service::Compute => self.tenant_id,
            Service::Image => self.owner,
            Service::Identity => None,
        }
    }
}

/// Whether a thing, as its service wrote it, is another's; one that does not tell is not.
pub(super) fn is_foreign(
    service: Service,
    thing: &str,
    project: &ProjectId,
) -> serde_json::Result<bool> {
    let told: Told = serde_json::from_str(thing)?;
    let told = told.project(service);
    Ok(told.is_some_and(|told| told != project.as_str()))
}

/// Whose the thing is that an answer tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The project's, as far as its service tells.
    Ours,
    /// That of another project.
    Others,
    /// It is not the thing that was asked for: an answer that was mixed up says nothing of that one.
    Another,
}

/// Whose the thing is that was asked for by `id`. All services but Glance wrap it into its noun.
pub(super) fn whose(
    service: Service,
    body: &[u8],
    id: &str,
    project: &ProjectId,
) -> serde_json::Result<Whose> {
    let judge = |thing: &RawValue| -> serde_json::Result<Whose> {
        let told: Told = serde_json::from_str(thing.get())?;
        // A key pair has a number, and is asked for by its name.
        if told
            .id
            .as_ref()
            .and_then(Value::as_str)
            .is_some_and(|told| told != id)
        {
            return Ok(Whose::Another);
        }
        let told = told.project(service);
        let foreign = told.is_some_and(|told| told != project.as_str());
        Ok(if foreign { Whose::Others } else { Whose::Ours })
    };
    if service == Service::Image {
        return judge(serde_json::from_slice(body)?);
    }
    let wrapped: HashMap<String, &RawValue> = serde_json::from_slice(body)?;
    for thing in wrapped.values().filter(|one| one.get().starts_with('{')) {
        match judge(thing)? {
            Whose::Ours => {}
            told @ (Whose::Others | Whose::Another) => return Ok(told),
        }
    }
    Ok(Whose::Ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_tells_in_its_own_words_whose_a_thing_is() {
        use Service::{BlockStorage, Compute, Image, Network};
        let cases = [
            (BlockStorage, "volume", "os-vol-tenant-attr:tenant_id"),
            (
                BlockStorage,
                "snapshot",
                "os-extended-snapshot-attributes:project_id",
            ),
            (BlockStorage, "backup", "os-backup-project-attr:project_id"),
            (BlockStorage, "group_snapshot", "project_id"),
            (Compute, "server", "tenant_id"),
            (Network, "port", "project_id"),
            (Network, "port", "tenant_id"),
            (Image, "", "owner"),
        ];
        for (service, noun, word) in cases {
            for (told, whose_it_is) in [("ours", Whose::Ours), ("theirs", Whose::Others)] {
                let thing = format!(r#"{{"id": "x", "{word}": "{told}"}}"#);
                let answer = if noun.is_empty() {
                    thing
                } else {
                    format!(r#"{{"{noun}": {thing}}}"#)
                };
                let ours = ProjectId::new("ours");
                let judge = |id| whose(service, answer.as_bytes(), id, &ours).ok();
                assert_eq!(judge("x"), Some(whose_it_is), "{answer}");
                assert_eq!(judge("y"), Some(Whose::Another), "{answer}");
            }
        }
    }

    #[test]
    fn what_is_not_told_is_not_foreign_and_a_word_of_another_service_says_nothing() {
        let ours = ProjectId::new("ours");
        for (service, thing) in [
            (Service::Compute, r#"{"id": "x", "tenant_id": null}"#),
            (Service::Image, r#"{"id": "x", "project_id": "theirs"}"#),
            (Service::Network, r#"{"id": "x"}"#),
        ] {
            assert_eq!(
                is_foreign(service, thing, &ours).ok(),
                Some(false),
                "{thing}"
            );
        }
        assert!(is_foreign(Service::Network, r#"{"project_id": 7}"#, &ours).is_err());
    }
}
