//! What an operation does in a cloud, one effect at a time, and how far each is; it may not know how a
//! request is sent.

mod fact;
pub mod key;
mod request;
mod server_plan;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    fault::Fault,
    holder::Hold,
    id::{EffectKey, Tenant},
    record::Exported,
    sighting::{Sighting, Thing},
    time::Timestamp,
};

pub use self::{
    fact::{Captured, Fact, Found, Parents, PortAddresses, Presence},
    request::{Apply, EffectKind, Make, Read, Request},
    server_plan::{
        Disk, FixedWish, NewPort, NewTrunk, NewVolume, PortSetting, ServerPlan, ServerSetting,
        SubPort, VolumeSettings,
    },
};

/// What becomes of the thing that an effect made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposal {
    /// Goes in any case, before the operation ends.
    Temporary,
    /// Goes if the operation fails.
    Product,
    /// Is never deleted by us: imported records share their bytes with the original.
    Keep,
}

/// How far an effect is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectState {
    /// The row is written; whether the request was sent, or worked, is not known.
    Requested,
    /// The cloud took it; it is not ready yet.
    Accepted,
    /// Ready.
    Done,
    /// Failed for good; a broken thing may be there.
    Failed,
    /// It is to go; whether the deletion was sent, or worked, is not known.
    Dropping,
    /// The cloud took the deletion; the thing is still there.
    Leaving,
    /// Nothing of it is there.
    Gone,
}

impl EffectState {
    /// The name in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Accepted => "accepted",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dropping => "dropping",
            Self::Leaving => "leaving",
            Self::Gone => "gone",
        }
    }

    /// Whether nothing more happens to it by itself.
    pub fn is_settled(self) -> bool {
        match self {
            Self::Done | Self::Failed | Self::Gone => true,
            Self::Requested | Self::Accepted | Self::Dropping | Self::Leaving => false,
        }
    }
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Its name within the operation.
    pub key: EffectKey,
    /// Counts up in the order in which effects were wished for.
    pub ordinal: u32,
    /// Where it happens.
    pub tenant: Tenant,
    /// The deterministic name by which what it makes is found again.
    pub name: String,
    /// What is asked.
    pub request: Request,
    /// What becomes of what it makes.
    pub disposal: Disposal,
    /// How far it is.
    pub state: EffectState,
    /// The cloud's id of what it made, imported or filled, once known.
    pub cloud_id: Option<String>,
    /// The status as last seen.
    pub status: Option<String>,
    /// What it brought to light.
    pub fact: Option<Fact>,
    /// What went wrong last: with `Failed` for good, else what it waits for.
    pub fault: Option<Fault>,
    /// Who else uses the thing that is to go, as long as somebody does.
    pub held: Option<Hold>,
    /// How often it was asked for.
    pub attempt: u32,
    /// When it last changed.
    pub changed: Timestamp,
}

impl Effect {
    /// The thing that it made and that we may have to delete; imports and fills made nothing.
    pub fn thing(&self) -> Option<Thing> {
        match (self.request.kind(), &self.cloud_id) {
            (EffectKind::Make(kind), Some(id)) => Some(Thing {
                kind,
                id: id.clone(),
            }),
            _ => None,
        }
    }

    /// The thing that goes when its time has come: what it made, or what it is there to delete.
    pub fn thing_to_go(&self) -> Option<Thing> {
        if let Request::Drop { thing } = &self.request {
            return Some(thing.clone());
        }
        self.thing()
    }

    /// What it brought to light, where that is of this type.
    pub fn found<T: Found>(&self) -> Option<&T> {
        self.fact.as_ref().and_then(T::of)
    }

    /// The sighting of what became ready.
    pub fn seen(&self) -> Option<&Sighting> {
        self.found()
    }

    /// The record that was exported.
    pub fn exported(&self) -> Option<&Exported> {
        self.found()
    }

    /// The id of what it made, for the effects that build on it; empty only before it is `Done`.
    pub fn id(&self) -> &str {
        self.cloud_id.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.key, self.state.name())
    }
}
