//! The volumes of a restoration, from their records or snapshots to volumes of the tenant that have all
//! their bytes; it may not know the server that they are for.
//!
//! Each place of the manifest has a volume. Which of the first ones becomes which is settled when all are
//! made; one that Cinder could not restore into is replaced in its place.

use std::collections::BTreeSet;

use super::{
    PatienceSettings,
    decision_builder::{DecisionBuilder, Step, Stop, both},
    layout::{Layout, VolumeLayout},
    placed::{Placed, Volume},
    target::{self, Target, tenant_of},
};
use crate::domain::{
    decision::DesiredEffect,
    effect::{
        Apply, Disposal, Effect, EffectKind, EffectState, Make, NewVolume, Presence, Request,
        VolumeSettings, key,
    },
    id::{EffectKey, ProjectId, Tenant, VolumeBackupId, VolumeId},
    manifest::{Manifest, VolumeFacts},
    restoration::RestorePlanInput,
    sighting::ThingKind,
    volume_backup::{VolumeBackup, chain_of, head_of},
};

/// Imports what is not live yet, and re-uses what is; of every chain the oldest link first, because
/// nothing can be restored out of a chain with a hole.
pub(super) fn import_records<'a>(
    decision: &mut DecisionBuilder<'a>,
    input: &RestorePlanInput,
    target: &Target<'a>,
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
    let live = clear_the_way(decision, input, target)?;
    for wave in 1..=longest {
        let oldest_left = chains.iter().enumerate().filter_map(|(index, chain)| {
            let depth = chain.len().checked_sub(wave)?;
            let link = chain[depth];
            let absent = !live.contains(&link.id);
            let request = Request::Import {
                backup: link.id.clone(),
                record: link.record.clone().filter(|_| absent)?,
            };
            Some(DecisionBuilder::wish_in(
                target.import_tenant(decision.tenant()),
                key::volume(index).record(depth),
                request,
                Disposal::Keep,
            ))
        });
        decision.all(oldest_left.collect())?;
    }
    Ok(())
}

/// What failed imports have left goes, because an id can be imported only once. Such a row knows of no
/// bytes, so none goes with it. Answers which records are live: where something had to go, by a look that
/// is newer than that, because somebody else may have imported it meanwhile.
fn clear_the_way<'a>(
    decision: &mut DecisionBuilder<'a>,
    input: &RestorePlanInput,
    target: &Target<'a>,
) -> Step<BTreeSet<&'a VolumeBackupId>> {
    let importer = target.import_tenant(decision.tenant());
    let mut wishes = Vec::new();
    for (index, backup) in input.volume_backups.iter().enumerate() {
        let Some(project) = target.failed_import_in(&backup.id) else {
            continue;
        };
        if *project != importer.project && *project != decision.tenant().project {
            let id = &backup.id;
            return Err(Stop::give_up(
                "RECORD_IN_THE_WAY",
                format!("an import of the volume backup {id} has failed in the project {project}"),
                "have the volume backup deleted there, it holds no data; then ask again",
            ));
        }
        let tenant = tenant_of(decision.tenant(), project);
        wishes.push(DecisionBuilder::wish_in(
            tenant,
            key::List::FailedImport.at(index),
            Apply::FailedImportGone {
                backup: backup.id.clone(),
            },
            Disposal::Keep,
        ));
    }
    if wishes.is_empty() {
        return Ok(target.live.iter().map(|(id, _)| id).collect());
    }
    decision.all(wishes)?;
    let look = target::presence_wanted(decision.tenant(), input);
    let seen: &Presence = decision.read(key::Single::PresenceCleared, look)?;
    let elsewhere = |(id, project): &&(VolumeBackupId, ProjectId)| {
        target.failed_import_in(id).is_some() && *project != importer.project
    };
    if let Some((id, project)) = seen.live.iter().find(elsewhere) {
        return Err(Stop::give_up(
            "RECORD_IN_THE_WAY",
            format!(
                "the volume backup {id} has been imported into the project {project} meanwhile"
            ),
            "ask again: it is restored out of that project then",
        ));
    }
    Ok(seen.live.iter().map(|(id, _)| id).collect())
}

/// Makes the volumes, each where its record can be restored or its snapshot is; in the order of the
/// manifest's.
pub(super) fn create<'p, 'a: 'p>(
    decision: &mut DecisionBuilder<'a>,
    manifest: &'p Manifest,
    layout: &'p Layout,
) -> Step<Vec<Volume<'p>>> {
    let wishes = (0..layout.volumes.len())
        .map(|index| volume_wish(decision, manifest, layout, index, 1))
        .filter(|wish| !decision.effect(&wish.key).is_some_and(was_let_go))
        .collect();
    decision.all(wishes)?;
    first_given(decision, manifest, layout).ok_or(Stop::Pending)
}

/// The `number`-th volume for a place of the manifest.
fn volume_wish(
    decision: &DecisionBuilder<'_>,
    manifest: &Manifest,
    layout: &Layout,
    index: usize,
    number: u32,
) -> DesiredEffect {
    let volume = &layout.volumes[index];
    let request = Make::Volume(NewVolume {
        size_gib: volume.size_gib,
        volume_type: volume.volume_type.clone(),
        availability_zone: volume.availability_zone.clone(),
        snapshot: volume.snapshot.clone(),
        image: None,
        description: format!("being restored for {}", short(&manifest.name)),
    });
    let key = key::volume(index).made().try_no(number);
    DecisionBuilder::wish_in(home_of(decision, volume), key, request, Disposal::Product)
}

/// Whether it goes because what was restored into it failed: it was there, and has had its place.
pub(super) fn was_let_go(volume: &Effect) -> bool {
    match volume.state {
        EffectState::Dropping | EffectState::Leaving | EffectState::Gone => true,
        EffectState::Requested
        | EffectState::Accepted
        | EffectState::Done
        | EffectState::Failed => false,
    }
}

/// The volume that each place of the manifest has by now, once it is settled which becomes which.
pub(super) fn known<'p, 'a: 'p>(
    decision: &DecisionBuilder<'a>,
    manifest: &'p Manifest,
    layout: &'p Layout,
) -> Option<Vec<Volume<'p>>> {
    let first = first_given(decision, manifest, layout)?.into_iter();
    let newest = first.map(|first| newest_of(decision, &first).1);
    Some(newest.collect())
}

/// The first volumes, each given to its place, when all are there.
fn first_given<'p, 'a: 'p>(
    decision: &DecisionBuilder<'a>,
    manifest: &'p Manifest,
    layout: &'p Layout,
) -> Option<Vec<Volume<'p>>> {
    let places = 0..layout.volumes.len();
    let made = places.map(|index| {
        let volume = decision.effect(&key::volume(index).made().try_no(1));
        volume.filter(|volume| volume.cloud_id.is_some())
    });
    let made: Vec<&Effect> = made.collect::<Option<_>>()?;
    let given = in_device_order(manifest, layout, &made).into_iter();
    let shapes = manifest.volumes.iter().zip(&layout.volumes);
    let volumes = shapes.zip(given).enumerate();
    let volumes = volumes.map(|(place, ((facts, layout), effect))| Placed {
        place,
        facts,
        layout,
        effect,
    });
    Some(volumes.collect())
}

/// The newest volume in the place of the first one that is there, and its number.
fn newest_of<'p, 'a: 'p>(decision: &DecisionBuilder<'a>, first: &Volume<'p>) -> (u32, Volume<'p>) {
    let tries = key::volume(first.place).made();
    let others = (2..).map_while(|number| Some((number, decision.effect(&tries.try_no(number))?)));
    let there = others.filter(|(_, volume)| volume.cloud_id.is_some());
    let (number, effect) = there.last().unwrap_or((1, first.effect));
    (number, Placed { effect, ..*first })
}

/// Where a volume is made and filled: with its donor, or in the tenant.
fn home_of(decision: &DecisionBuilder<'_>, volume: &VolumeLayout) -> Tenant {
    match &volume.donor {
        Some(donor) => tenant_of(decision.tenant(), donor),
        None => decision.tenant().clone(),
    }
}

/// Gives the made volumes to those of the manifest so that the order of their ids is that of the
/// devices, wherever they are alike. Nova on MariaDB names data disks by the order of the ids, a driver
/// may overrule a wish for a name, and nothing is in the volumes yet. One from a snapshot has its bytes,
/// so it is like no other.
fn in_device_order<'a>(
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

/// Restores into the volumes that were made empty: a restore that makes its own volume skips zeros. Where
/// Cinder fails to, the volume goes and another one takes its place; the others are not disturbed.
pub(super) fn restore<'p, 'a: 'p>(
    decision: &mut DecisionBuilder<'a>,
    input: &RestorePlanInput,
    target: &Target<'_>,
    layout: &Layout,
    first: Vec<Volume<'p>>,
) -> Step<Vec<Volume<'p>>> {
    let imported = target.import_tenant(decision.tenant()).project;
    let mut fills = Vec::new();
    let volumes = decision.each(first, |decision, first| {
        if first.layout.snapshot.is_some() {
            return Ok(first);
        }
        let (number, placed) = newest_of(decision, &first);
        let (index, volume) = (placed.place, placed.effect);
        let backup = backup_of(input, placed.facts)?;
        let project = target.project_of(&backup.id).unwrap_or(&imported);
        let request = Request::RestoreInto {
            backup: backup.id.clone(),
            backup_project: project.clone(),
            volume: VolumeId::new(volume.id()),
        };
        let home = home_of(decision, placed.layout);
        let key = key::volume(index).restore().try_no(number);
        let fill = DecisionBuilder::wish_in(home, key, request, Disposal::Keep);
        let asked = decision.effect(&fill.key);
        if asked.is_some_and(|fill| forgives(decision.limits(), fill)) {
            let other = volume_wish(decision, &input.manifest, layout, index, number + 1);
            replace(decision, volume, &fill.key, other)?;
            return Err(Stop::Pending);
        }
        if number == 1 || volume.state == EffectState::Done {
            fills.push(fill);
        } else {
            fills.push(volume_wish(
                decision,
                &input.manifest,
                layout,
                index,
                number,
            ));
        }
        Ok(placed)
    });
    both(volumes, decision.all(fills)).map(|(volumes, _)| volumes)
}

/// Another volume instead of one whose restore has failed, which goes first.
fn replace(
    decision: &mut DecisionBuilder<'_>,
    volume: &Effect,
    fill: &EffectKey,
    other: DesiredEffect,
) -> Step<()> {
    decision.gone(volume)?;
    decision.pause_after(fill, decision.limits().pause)?;
    decision.one(other).map(drop)
}

/// A restore that Cinder took and could not bring to its end, while another volume may be tried: its
/// service that restores was started anew, or could not read or write for a while.
pub(super) fn forgives(limits: &PatienceSettings, effect: &Effect) -> bool {
    effect.request.kind() == EffectKind::RestoreInto
        && effect.state == EffectState::Failed
        && effect.status.as_deref() == Some("error_restoring")
        && effect.key.try_no() < limits.tries
}

/// Takes over what was made with a donor. From here on the tenant has a volume more to let go of; the
/// row of the donor stays as it is, since the volume may be back there after a transfer that failed.
pub(super) fn take_over(decision: &mut DecisionBuilder<'_>, volumes: &[Volume<'_>]) -> Step<()> {
    let wishes = volumes.iter().filter_map(|volume| {
        let request = Make::AcceptTransfer {
            volume: VolumeId::new(volume.effect.id()),
            from: volume.layout.donor.clone()?,
        };
        Some(decision.wish(
            key::volume(volume.place).taken(),
            request,
            Disposal::Product,
        ))
    });
    decision.all(wishes.collect()).map(|_| ())
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

/// Whether bytes are being moved into any of them, or were.
pub(super) fn hold_bytes(decision: &DecisionBuilder<'_>) -> bool {
    let mut rows = decision.effects();
    rows.any(|row| {
        let moves = row.request.kind() == EffectKind::RestoreInto || is_from_snapshot(row);
        moves && row.cloud_id.is_some()
    })
}

/// Whether it is a volume that has its bytes from a snapshot, as soon as it is there.
fn is_from_snapshot(row: &Effect) -> bool {
    matches!(
        row.request,
        Request::Make(Make::Volume(NewVolume {
            snapshot: Some(_),
            ..
        }))
    )
}

/// Has those that have all their bytes stay whatever happens.
pub(super) fn keep(decision: &mut DecisionBuilder<'_>) {
    let filled: Vec<&str> = decision
        .effects()
        .filter(|row| {
            row.request.kind() == EffectKind::RestoreInto && row.state == EffectState::Done
        })
        .filter_map(|row| row.request.known_id())
        .collect();
    let has_bytes = |row: &Effect| {
        row.request.kind() == EffectKind::Make(ThingKind::Volume)
            && (filled.contains(&row.id())
                || is_from_snapshot(row) && row.state == EffectState::Done)
    };
    let kept: Vec<&Effect> = decision.effects().filter(|row| has_bytes(row)).collect();
    for row in kept {
        decision.keeps(row);
    }
}

/// Marks the volume that boots, without which Nova refuses the server, and gives all of them the looks of
/// the originals.
pub(super) fn prepare(decision: &mut DecisionBuilder<'_>, volumes: &[Volume<'_>]) -> Step<()> {
    let marks = volumes.iter().map(|volume| {
        let request = Apply::Bootable {
            volume: VolumeId::new(volume.effect.id()),
            bootable: volume.facts.bootable || volume.facts.boot_index == Some(0),
        };
        let key = key::volume(volume.place).bootable();
        decision.wish(key, request, Disposal::Keep)
    });
    let marked = decision.all(marks.collect());
    let wishes = volumes.iter().map(|volume| {
        let request = Apply::Volume(VolumeSettings {
            volume: VolumeId::new(volume.effect.id()),
            name: volume.facts.name.clone(),
            description: volume.facts.description.clone(),
            metadata: volume.facts.metadata.clone(),
            bootable: None,
            image_metadata: volume.facts.image_metadata.clone(),
        });
        let key = key::volume(volume.place).properties();
        decision.wish(key, request, Disposal::Keep)
    });
    let looks = decision.all_that_can(wishes.collect());
    both(marked, looks).map(drop)
}
