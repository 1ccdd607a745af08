//! Who uses a thing of ours by now, and what therefore stays; it may not know how a cloud tells.
//!
//! What we made may be somebody's by the time its turn to go comes: a restored volume that its tenant
//! attached to another server, a port that was handed on. Only the cloud knows, and only at the moment
//! at which it is asked, so a holder is read right before a deletion and in the same call.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    fault::{Fault, FaultKind, Service},
    sighting::Thing,
};

/// Somebody who uses a thing, as the cloud showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The cloud's id of it; empty where it has none.
    id: String,
    /// What the thing is to it, in words that follow the thing's name.
    words: String,
    /// Whether it is a server, which people know by a name.
    server: bool,
}

impl Holder {
    /// A server.
    pub fn server(id: &str) -> Self {
        Self {
            server: true,
            ..Self::user("server", id)
        }
    }

    /// Any other resource, called what the cloud calls it.
    pub fn user(noun: &str, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            words: format!("is used by {noun} {id}").trim_end().to_owned(),
            server: false,
        }
    }

    /// A volume that the cloud would delete together with the server that has it.
    pub fn goes_along(volume: &str) -> Self {
        Self {
            id: volume.to_owned(),
            words: format!("would take volume {volume} with it, which is somebody else's"),
            server: false,
        }
    }

    /// A security group one of whose rules names the group that is to go.
    pub fn naming_group(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            words: format!("is named by a rule of security group {id}"),
            server: false,
        }
    }

    /// A thing that is kept by what it says of itself.
    pub fn itself(words: &str) -> Self {
        Self {
            id: String::new(),
            words: words.to_owned(),
            server: false,
        }
    }

    /// The same server, called by its name as well.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        if name.is_empty() {
            return self;
        }
        Self {
            words: format!("is used by server {name} ({})", self.id),
            ..self
        }
    }

    /// The same server where nobody knows it: one of another project, or one that was lost with its volumes
    /// attached. Who of the two it is, only an admin can say.
    #[must_use]
    pub fn unknown(self) -> Self {
        let words = format!(
            "{}, which Nova does not know; where that is lost, delete the attachment",
            self.words
        );
        Self { words, ..self }
    }

    /// Whether it is a server.
    pub fn is_server(&self) -> bool {
        self.server
    }

    /// The cloud's id of it; empty where it has none.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is one of these.
    fn is_one_of(&self, ours: &[Thing]) -> bool {
        !self.id.is_empty() && ours.iter().any(|thing| thing.id == self.id)
    }

    /// What the one who wants to delete the thing is told; `called` is the thing's own name.
    pub fn fault(&self, service: Service, action: impl Into<String>, called: &str) -> Fault {
        let called = if called.is_empty() { "it" } else { called };
        Fault::new(FaultKind::Held, service, action, format!("{called} {self}"))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words)
    }
}

/// The first holder that is none of `ours`: what goes together, or is gone, keeps nothing from going.
pub fn stranger<'a>(holders: &'a [Holder], ours: &[Thing]) -> Option<&'a Holder> {
    holders.iter().find(|holder| !holder.is_one_of(ours))
}

/// Why a thing that is to go is still there: somebody else uses it. Stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// A sentence with the one who does.
    pub by: String,
    /// How often in a row that was seen.
    pub looks: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sighting::ThingKind;

    fn thing(kind: ThingKind, id: &str) -> Thing {
        Thing {
            kind,
            id: id.to_owned(),
        }
    }

    #[test]
    fn only_what_goes_together_holds_nothing() {
        let server = Holder::server("s");
        let volume = Holder::goes_along("v");
        let locked = Holder::itself("is locked");
        let ours = [thing(ThingKind::Server, "s"), thing(ThingKind::Volume, "v")];
        assert_eq!(stranger(&[server.clone(), volume.clone()], &ours), None);
        assert_eq!(
            stranger(&[server.clone(), volume.clone()], &ours[..1]),
            Some(&volume)
        );
        assert_eq!(stranger(std::slice::from_ref(&server), &[]), Some(&server));
        // Nothing goes together with what has no id.
        let unnamed = thing(ThingKind::Server, "");
        assert_eq!(
            stranger(std::slice::from_ref(&locked), &[unnamed]),
            Some(&locked)
        );
    }

    #[test]
    fn a_holder_is_told_by_noun_name_and_id() {
        let server = Holder::server("s-1");
        let told = |holder: &Holder| holder.fault(Service::BlockStorage, "x", "data").message;
        assert_eq!(told(&server), "data is used by server s-1");
        let named = server.named("production");
        assert_eq!(told(&named), "data is used by server production (s-1)");
        let lost = Holder::server("s-1").unknown();
        assert!(
            told(&lost).contains("server s-1, which Nova does not know"),
            "{lost}"
        );
        let locked = Holder::itself("is locked").fault(Service::Compute, "x", "");
        assert_eq!(
            (locked.kind, locked.message.as_str()),
            (FaultKind::Held, "it is locked")
        );
    }
}
