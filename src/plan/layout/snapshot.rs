//! How a volume is made from its snapshot, where it was; it may not know volumes from anywhere else.
//!
//! Cinder gives such a volume the type and the zone of its snapshot when none is named. It takes another
//! type only where one back end serves both, and another zone only where it is configured to: it refuses
//! the volume otherwise, so whoever wishes for another one is told.

use super::{Findings, Named, VolumeLayout};
use crate::domain::{
    difference::Difference, inventory::Inventory, manifest::VolumeFacts,
    restoration::RestorePlanInput, volume_snapshot::VolumeSnapshot,
};

/// The volume of a snapshot.
pub(super) fn volume(
    source: &VolumeFacts,
    snapshot: &VolumeSnapshot,
    input: &RestorePlanInput,
    inventory: &Inventory,
    findings: &mut Findings,
) -> VolumeLayout {
    let options = &input.options;
    let own = options.volumes.iter().find(|one| one.volume == source.id);
    let named = Named::of(options, &source.id);
    let least = source.size_gib.max(snapshot.size_gib);
    let wished = own.and_then(|one| one.volume_type.as_ref());
    let volume_type = wished.or(options.volume_type.as_ref());
    let volume_type = volume_type.filter(|name| source.volume_type.as_ref() != Some(*name));
    let wished = own.and_then(|one| one.availability_zone.as_ref());
    let zone = wished.or(options.volume_availability_zone.as_ref());
    let zone = zone.filter(|name| source.availability_zone.as_ref() != Some(*name));
    let mut differs = |what: &str, was: &Option<String>, name: &str| {
        let why = "it was wished for, and is not that of its snapshot: many releases and back ends of \
                   Cinder refuse that, and then nothing is restored";
        let was = was.as_deref().unwrap_or_default();
        findings.differs(Difference::new(source.path(what), why).was(was).is(name));
    };
    if let Some(name) = volume_type {
        differs("volume_type", &source.volume_type, name);
    }
    if let Some(name) = zone {
        differs("availability_zone", &source.availability_zone, name);
    }
    if let Some(name) = volume_type
        && !inventory.volume_types.iter().any(|one| one.name == *name)
    {
        findings.field(
            named.volume_type(),
            "VOLUME_TYPE_NOT_FOUND",
            &format!("the target has no volume type `{name}`"),
            "list the volume types of the target and name one of them, or none",
        );
    }
    if let Some(name) = zone
        && !inventory.volume_zones.contains(name)
    {
        findings.field(
            named.zone(),
            "AVAILABILITY_ZONE_NOT_FOUND",
            &format!("the target has no zone `{name}` for volumes"),
            "name one of the target's zones, or none",
        );
    }
    VolumeLayout {
        size_gib: own.and_then(|one| one.size_gib).unwrap_or(least).max(least),
        volume_type: volume_type.cloned(),
        availability_zone: zone.cloned(),
        snapshot: Some(snapshot.id.clone()),
        donor: None,
    }
}
