//! The volumes of a restoration, from their records or snapshots to volumes of the tenant that have all
//! their bytes;
//! it may not know the server that they are for.

use super::{
    draft::{Draft, Step, Stop, record_key},
    layout::{Layout, VolumeLayout},
    target::{Target, tenant_of},
};
use crate::domain::{
    dr_backup::{VolumeBackup, chain_of, head_of},
    effect::{Disposal, Effect, Request},
    id::{Tenant, VolumeId},
    manifest::{Manifest, VolumeFacts},
    restoration::RestorePlanInput,
    sighting::{Thing, ThingKind},
};

/// Imports what is not live yet, and re-uses what is; of every chain the oldest link first, because
/// nothing can be restored out of a chain with a hole.
pub(super) fn import_records(
    next: &mut Draft<'_>,
    input: &RestorePlanInput,
    target: &Target<'_>,
) -> Step<()> {
    let bare = input.volume_backups.iter().find(|one| one.record.is_none());
    if let Some(bare) = bare {
        return Err(Stop::give_up(
            "RECORD_MISSING",
            format!("the record of volume backup {} is not held", bare.id),
            "choose another DR backup",
        ));
    }
    let volumes = input.manifest.volumes.iter();
    let chains: Vec<Vec<&VolumeBackup>> = volumes
        .map(|volume| chain_of(&input.volume_backups, &volume.id).collect())
        .collect();
    let longest = chains.iter().map(Vec::len).max().unwrap_or(0);
    clear_the_way(next, input, target)?;
    for wave in 1..=longest {
        let oldest_left = chains.iter().enumerate().filter_map(|(index, chain)| {
            let depth = chain.len().checked_sub(wave)?;
            let link = chain[depth];
            let absent = target.project_of(&link.id).is_none();
            let request = Request::ImportRecord {
                backup: link.id.clone(),
                record: link.record.clone().filter(|_| absent)?,
            };
            Some(Draft::wish_in(
                target.import_tenant(next.tenant()),
                record_key(index, depth),
                request,
                Disposal::Keep,
            ))
        });
        next.all(oldest_left.collect())?;
    }
    Ok(())
}

/// What failed imports have left goes, because an id can be imported only once. Such a row knows of no
/// bytes, so none goes with it.
fn clear_the_way(next: &mut Draft<'_>, input: &RestorePlanInput, target: &Target<'_>) -> Step<()> {
    let importer = target.import_tenant(next.tenant());
    let mut wishes = Vec::new();
    for (index, backup) in input.volume_backups.iter().enumerate() {
        let Some(project) = target.hollow_in(&backup.id) else {
            continue;
        };
        if *project != importer.project && *project != next.tenant().project {
            let id = &backup.id;
            return Err(Stop::give_up(
                "RECORD_IN_THE_WAY",
                format!("an import of the volume backup {id} has failed in the project {project}"),
                "have the volume backup deleted there, it holds no data; then ask again",
            ));
        }
        let thing = Thing {
            kind: ThingKind::VolumeBackup,
            id: backup.id.to_string(),
        };
        let tenant = tenant_of(next.tenant(), project);
        let key = format!("hollow-{index}");
        let request = Request::Drop { thing };
        wishes.push(Draft::wish_in(tenant, key, request, Disposal::Keep));
    }
    next.all(wishes)?;
    Ok(())
}

/// Makes the volumes, each where its record can be restored or its snapshot is; in the order of the
/// manifest's.
pub(super) fn create<'a>(
    next: &mut Draft<'a>,
    manifest: &Manifest,
    layout: &Layout,
) -> Step<Vec<&'a Effect>> {
    let wishes = layout.volumes.iter().enumerate().map(|(index, volume)| {
        let request = Request::MakeVolume {
            size_gib: volume.size_gib,
            volume_type: volume.volume_type.clone(),
            availability_zone: volume.availability_zone.clone(),
            snapshot: volume.snapshot.clone(),
            image: None,
            description: format!("being restored for {}", short(&manifest.name)),
        };
        let key = format!("volume-{index}");
        Draft::wish_in(home_of(next, volume), key, request, Disposal::Product)
    });
    let made = next.all(wishes.collect())?;
    Ok(in_device_order(manifest, layout, &made))
}

/// Where a volume is made and filled: with its giver, or in the tenant.
fn home_of(next: &Draft<'_>, volume: &VolumeLayout) -> Tenant {
    match &volume.giver {
        Some(giver) => tenant_of(next.tenant(), giver),
        None => next.tenant().clone(),
    }
}

/// Gives the made volumes to those of the manifest so that the order of their ids is that of the
/// devices, wherever they are alike. Nova on MariaDB names data disks by the order of the ids, a driver
/// may overrule a wish for a name, and nothing is in the volumes yet. One from a snapshot has its bytes,
/// so it is like no other.
pub(super) fn in_device_order<'a>(
    manifest: &Manifest,
    layout: &Layout,
    made: &[&'a Effect],
) -> Vec<&'a Effect> {
    let data = data_disks(manifest);
    let mut given = made.to_vec();
    for index in &data {
        let shape = &layout.volumes[*index];
        let alike = data
            .iter()
            .filter(|other| layout.volumes[**other] == *shape);
        let places: Vec<usize> = alike.copied().collect();
        let mut sorted: Vec<&Effect> = places.iter().map(|place| made[*place]).collect();
        sorted.sort_by_key(|volume| volume.id());
        for (place, volume) in places.into_iter().zip(sorted) {
            given[place] = volume;
        }
    }
    given
}

/// The places of the volumes that do not boot.
pub(super) fn data_disks(manifest: &Manifest) -> Vec<usize> {
    let volumes = manifest.volumes.iter().enumerate();
    volumes
        .filter(|(_, volume)| volume.boot_index != Some(0))
        .map(|(index, _)| index)
        .collect()
}

/// The name that a data disk had, to be wished for again. The first device is the root's, whatever it
/// was in the source, and one name for two disks would cost one of them its place.
pub(super) fn device_of(manifest: &Manifest, volume: &VolumeFacts) -> Option<String> {
    let device = volume.device.as_ref()?;
    let name = device.strip_prefix("/dev/")?;
    let plain = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase());
    let first = ["vda", "sda", "hda", "xvda"].contains(&name);
    let alike = manifest.volumes.iter();
    let alike = alike.filter(|other| other.device.as_ref() == Some(device));
    let fits = volume.boot_index != Some(0) && plain && !first && alike.count() == 1;
    fits.then(|| device.clone())
}

/// A name that fits into a description together with a few words.
fn short(name: &str) -> String {
    name.chars().take(100).collect()
}

/// Restores into the volumes that were made empty: a restore that makes its own volume skips zeros.
pub(super) fn restore(
    next: &mut Draft<'_>,
    input: &RestorePlanInput,
    target: &Target<'_>,
    layout: &Layout,
    volumes: &[&Effect],
) -> Step<()> {
    let imported = target.import_tenant(next.tenant()).project;
    let mut wishes = Vec::new();
    for (index, (facts, volume)) in input.manifest.volumes.iter().zip(volumes).enumerate() {
        if layout.volumes[index].snapshot.is_some() {
            continue;
        }
        let backup = backup_of(input, facts)?;
        let project = target.project_of(&backup.id).unwrap_or(&imported);
        let request = Request::RestoreVolumeBackup {
            backup: backup.id.clone(),
            backup_project: project.clone(),
            volume: VolumeId::new(volume.id()),
        };
        let home = home_of(next, &layout.volumes[index]);
        let key = format!("volume-{index}-restore");
        wishes.push(Draft::wish_in(home, key, request, Disposal::Keep));
    }
    next.all(wishes).map(|_| ())
}

/// Takes over what was made with a giver. From here on the tenant has a volume more to let go of; the
/// row of the giver stays as it is, since the volume may be back there after a transfer that failed.
pub(super) fn take_over(next: &mut Draft<'_>, layout: &Layout, volumes: &[&Effect]) -> Step<()> {
    let pairs = layout.volumes.iter().zip(volumes).enumerate();
    let wishes = pairs.filter_map(|(index, (shape, volume))| {
        let request = Request::TakeVolume {
            volume: VolumeId::new(volume.id()),
            from: shape.giver.clone()?,
        };
        Some(next.wish(format!("volume-{index}-taken"), request, Disposal::Product))
    });
    next.all(wishes.collect()).map(|_| ())
}

fn backup_of<'a>(input: &'a RestorePlanInput, volume: &VolumeFacts) -> Step<&'a VolumeBackup> {
    head_of(&input.volume_backups, &volume.id).ok_or_else(|| {
        Stop::give_up(
            "VOLUME_BACKUP_MISSING",
            format!("volume {} has no volume backup", volume.id),
            "choose another DR backup",
        )
    })
}

/// Gives the volumes the looks of the originals.
pub(super) fn prepare(next: &mut Draft<'_>, manifest: &Manifest, volumes: &[&Effect]) -> Step<()> {
    let wishes =
        manifest
            .volumes
            .iter()
            .zip(volumes)
            .enumerate()
            .map(|(index, (facts, volume))| {
                let request = Request::ApplyVolume {
                    volume: VolumeId::new(volume.id()),
                    name: facts.name.clone(),
                    description: facts.description.clone(),
                    metadata: facts.metadata.clone(),
                    // Nova refuses a root volume that is not marked.
                    bootable: facts.bootable || facts.boot_index == Some(0),
                    image_metadata: facts.image_metadata.clone(),
                };
                next.wish(
                    format!("volume-{index}-properties"),
                    request,
                    Disposal::Keep,
                )
            });
    next.all(wishes.collect()).map(|_| ())
}
