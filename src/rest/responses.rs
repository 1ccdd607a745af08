//! What all resources tell in the same way; it may not know whose it is.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{error::OperationError, lifecycle::State, manifest::Manifest, time::Timestamp};

/// MiB of a GiB.
pub(super) const MIB: u64 = 1024;

/// The states in which something can be listed.
pub(super) const LISTED: [State; 8] = [
    State::CreationScheduled,
    State::Creating,
    State::Ok,
    State::Erred,
    State::UpdateScheduled,
    State::Updating,
    State::DeletionScheduled,
    State::Deleting,
];

/// A state, by the name that it has for people.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = State)]
pub(super) enum StateName {
    /// Accepted; nothing was done in a cloud yet.
    #[serde(rename = "Creation Scheduled")]
    CreationScheduled,
    /// Being made.
    Creating,
    /// At rest, and as it should be.
    #[serde(rename = "OK")]
    Ok,
    /// At rest, and not as it should be.
    Erred,
    /// About to be changed.
    #[serde(rename = "Update Scheduled")]
    UpdateScheduled,
    /// Being changed.
    Updating,
    /// About to be deleted.
    #[serde(rename = "Deletion Scheduled")]
    DeletionScheduled,
    /// Being deleted.
    Deleting,
    /// Gone; told by the answer to a repeat of a request alone.
    Deleted,
}

impl StateName {
    /// The name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CreationScheduled => "Creation Scheduled",
            Self::Creating => "Creating",
            Self::Ok => "OK",
            Self::Erred => "Erred",
            Self::UpdateScheduled => "Update Scheduled",
            Self::Updating => "Updating",
            Self::DeletionScheduled => "Deletion Scheduled",
            Self::Deleting => "Deleting",
            Self::Deleted => "Deleted",
        }
    }
}

/// The name of a state.
pub(super) fn state(state: State) -> StateName {
    match state {
        State::CreationScheduled => StateName::CreationScheduled,
        State::Creating => StateName::Creating,
        State::Ok => StateName::Ok,
        State::Erred => StateName::Erred,
        State::UpdateScheduled => StateName::UpdateScheduled,
        State::Updating => StateName::Updating,
        State::DeletionScheduled => StateName::DeletionScheduled,
        State::Deleting => StateName::Deleting,
        State::Deleted => StateName::Deleted,
    }
}

/// Why work failed, and what to do; empty where none did.
pub(super) fn error(error: Option<&OperationError>) -> String {
    match error {
        None => String::new(),
        Some(error) if error.guidance.is_empty() => error.message.clone(),
        Some(error) => format!("{}; {}", error.message, error.guidance),
    }
}

/// A moment, as of RFC 3339.
pub(super) fn time(time: Timestamp) -> String {
    time.to_string()
}

/// What is known of the instance, by the names that the original kept it under; sizes in MiB.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Metadata {
    /// Its name.
    name: String,
    /// Its description.
    description: String,
    /// The project in which it lived.
    tenant: String,
    /// Least memory of a flavor that it fits into, MiB.
    min_ram: u64,
    /// Least cores.
    cores: u64,
    /// Least root disk that its image asks for, MiB.
    min_disk: u64,
    /// All volumes together, MiB.
    storage: u64,
    /// The volume that it boots from.
    system_volume_id: Option<String>,
    /// Its size, MiB.
    system_volume_size: Option<u64>,
    /// The first of its other volumes.
    data_volume_id: Option<String>,
    /// Its size, MiB.
    data_volume_size: Option<u64>,
    /// All volumes, in the order of their devices.
    volumes: Vec<Volume>,
    /// The name of its flavor.
    flavor_name: String,
    /// The name of the image that it was made from.
    image_name: Option<String>,
    /// The name of its key pair.
    key_name: Option<String>,
    /// The fingerprint of that.
    key_fingerprint: Option<String>,
    /// Its tags.
    tags: Vec<String>,
}

/// A volume of the instance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Volume {
    /// Its id in the cloud that it comes from.
    id: String,
    /// Its name.
    name: String,
    /// Its size, MiB.
    size: u64,
    /// The name of its type.
    r#type: Option<String>,
    /// Whether it is marked bootable.
    bootable: bool,
    /// The device that it was.
    device: Option<String>,
}

/// A manifest by the names of the original. User data is never among it.
pub(super) fn metadata(manifest: &Manifest) -> Metadata {
    let system = manifest.root_volume();
    let mut others = manifest.volumes.iter();
    let data = others.find(|one| system.is_none_or(|system| system.id != one.id));
    let image = manifest.image.as_ref();
    let key = manifest.key.as_ref();
    let volumes = manifest.volumes.iter().map(|volume| Volume {
        id: volume.id.to_string(),
        name: volume.name.clone(),
        size: volume.size_gib * MIB,
        r#type: volume.volume_type.clone(),
        bootable: volume.bootable,
        device: volume.device.clone(),
    });
    Metadata {
        name: manifest.name.clone(),
        description: manifest.description.clone(),
        tenant: manifest.tenant.project.to_string(),
        min_ram: manifest.min_ram_mib(),
        cores: manifest.flavor.cores,
        min_disk: image.map_or(0, |image| image.min_disk_gib * MIB),
        storage: manifest.storage_gib() * MIB,
        system_volume_id: system.map(|volume| volume.id.to_string()),
        system_volume_size: system.map(|volume| volume.size_gib * MIB),
        data_volume_id: data.map(|volume| volume.id.to_string()),
        data_volume_size: data.map(|volume| volume.size_gib * MIB),
        volumes: volumes.collect(),
        flavor_name: manifest.flavor.name.clone(),
        image_name: image
            .map(|image| image.name.clone())
            .filter(|name| !name.is_empty()),
        key_name: key.map(|key| key.name.clone()),
        key_fingerprint: key.and_then(|key| key.fingerprint.clone()),
        tags: manifest.tags.clone(),
    }
}
