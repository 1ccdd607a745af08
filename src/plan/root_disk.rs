//! The root disk of an instance that boots from an image: a volume for the rest of the plan; it may not
//! know what is made of that volume.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Creating temporary snapshots | make an image of the server, beside the snapshots | temporary | found by name |
//! | Creating temporary volumes | make a volume from the image | temporary | found by name |
//!
//! The manifest gets a volume more, the first one, with the id of the server in place of one of a volume:
//! it is the same in every backup of the instance, and no volume can have it.

use std::borrow::Cow;

use super::decision_builder::{DecisionBuilder, Step, Stop};
use crate::domain::{
    decision::DesiredEffect,
    effect::{Disposal, Effect, Make, NewVolume, key},
    id::{ImageId, VolumeId},
    manifest::{Manifest, Properties, VolumeFacts},
    time::Timestamp,
};

/// The place of the root disk among the volumes.
const PLACE: usize = 0;
/// As large as a volume has to be at least, GiB.
const LEAST_GIB: u64 = 1;

/// The manifest with the root disk among its volumes, wherever that is.
pub(super) fn among_volumes<'a>(
    decision: &DecisionBuilder<'a>,
    read: &'a Manifest,
) -> Cow<'a, Manifest> {
    if read.root_is_volume {
        return Cow::Borrowed(read);
    }
    let told = image_effect(decision).and_then(Effect::seen);
    let size_gib = told
        .and_then(|image| image.size_gib)
        .unwrap_or(0)
        .max(read.flavor.disk_gib)
        .max(LEAST_GIB);
    let mut manifest = read.clone();
    let root = VolumeFacts {
        id: VolumeId::new(read.server.as_str()),
        name: format!("{}-root", read.name),
        description: "the root disk of an instance that was booted from an image".to_owned(),
        size_gib,
        volume_type: None,
        availability_zone: None,
        bootable: true,
        device: None,
        boot_index: Some(0),
        encrypted: false,
        multiattach: false,
        delete_on_termination: true,
        tag: None,
        metadata: Properties::new(),
        image_metadata: read
            .image
            .as_ref()
            .map(|image| image.properties.clone())
            .unwrap_or_default(),
        from_image: true,
        status: None,
    };
    manifest.volumes.insert(PLACE, root);
    manifest.gaps.extend(left_out(read));
    Cow::Owned(manifest)
}

/// What else the hypervisor keeps of such an instance, and no image holds.
fn left_out(manifest: &Manifest) -> Vec<String> {
    let mut left = Vec::new();
    if manifest.flavor.ephemeral_gib > 0 {
        left.push(format!(
            "the ephemeral disk of {} GiB is on no volume: its bytes were not captured",
            manifest.flavor.ephemeral_gib
        ));
    }
    if manifest.flavor.swap_mib > 0 {
        left.push(format!(
            "the swap disk of {} MiB is on no volume: its bytes were not captured",
            manifest.flavor.swap_mib
        ));
    }
    if manifest.config_drive {
        left.push(
            "the bytes of the config drive were not captured: Nova writes another one".to_owned(),
        );
    }
    left
}

/// The wish for the image of the root disk, where there has to be one.
pub(super) fn image(decision: &DecisionBuilder<'_>, manifest: &Manifest) -> Vec<DesiredEffect> {
    if manifest.root_is_volume {
        return Vec::new();
    }
    let request = Make::Image {
        server: manifest.server.clone(),
    };
    vec![decision.wish(key::volume(PLACE).image(), request, Disposal::Temporary)]
}

/// The wish for the volume of the root disk; nothing before its image has its bytes.
pub(super) fn copy(decision: &DecisionBuilder<'_>, root: &VolumeFacts) -> Step<DesiredEffect> {
    let made = image_effect(decision).filter(|image| image.seen().is_some());
    let Some(made) = made else {
        return Err(Stop::Pending);
    };
    let request = Make::Volume(NewVolume {
        size_gib: root.size_gib,
        volume_type: None,
        availability_zone: None,
        snapshot: None,
        image: Some(ImageId::new(made.id())),
        description: "temporary copy of the root disk for a DR backup".to_owned(),
    });
    Ok(decision.wish(key::volume(PLACE).copy(), request, Disposal::Temporary))
}

/// Between when the bytes of the root disk were taken: the hypervisor does not tell it more exactly.
pub(super) fn taken(decision: &DecisionBuilder<'_>) -> Option<[Timestamp; 2]> {
    let seen = image_effect(decision)?.seen()?;
    let begun = seen.created?;
    Some([begun, seen.data_timestamp.unwrap_or(begun)])
}

fn image_effect<'a>(decision: &DecisionBuilder<'a>) -> Option<&'a Effect> {
    decision.effect(&key::volume(PLACE).image())
}
