//! Makes a DR backup of an instance; it may not know how its volumes are stored.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Reading the instance | read, with the rights and quotas that it takes (see `allowance`) | keep | it only reads; the first answer stays |
//! | Creating temporary snapshots | as the instance allows (see `snapshots`) | temporary | found by name |
//! | | an image of a root disk that is no volume (see `root_disk`) | temporary | found by name |
//! | Looking at the instance again (after the last capture) | read: what is claimed rests on it | keep | it only reads |
//! | Creating temporary volumes (of that image; snapshot-then-copy: of all) | make | temporary | found by name |
//! | Creating volume backups | make; another one where that fails (see `volume_backup`) | product | found by name |
//! | | free a snapshot that a volume backup which failed has left busy | keep | any other status stays |
//! | Exporting records | read, parent by parent until a full one | keep | it only reads |
//! | Removing temporary snapshots | drop | | gone is gone |
//!
//! Cinder chooses the parent of an increment itself: the newest usable volume backup of that volume,
//! whoever made it. So what an increment builds on is read from its record afterwards, and the whole
//! chain is held: no other DR backup is needed to bring this one back.

use std::time::Duration;

use super::{
    allowance,
    decision_builder::{DecisionBuilder, Step, Stop, both},
    instance,
    layout::Findings,
    root_disk, snapshots, volume_backup,
};
use crate::domain::{
    capture::Capture,
    consistency::{Consistency, ConsistencyLevel},
    decision::{DesiredEffect, Detail},
    effect::{
        Disposal, Effect, EffectState, Make, NewVolume, Parents, Read,
        key::{self, Single},
    },
    id::{ServerId, SnapshotId, VolumeBackupId, VolumeId},
    manifest::{Manifest, VolumeFacts},
    point::{Content, PointDetail},
    sighting::Sighting,
    time::Timestamp,
    verification::Verification,
    volume_backup::VolumeBackup,
};

/// What is asked for.
pub(super) struct CreateOptions<'w> {
    /// The instance.
    pub(super) server: &'w ServerId,
    /// How the bytes are taken.
    pub(super) capture: Capture,
    /// The description of the DR backup.
    pub(super) description: &'w str,
    /// Whether to build on what is there.
    pub(super) incremental: bool,
    /// How well the volumes have to agree at least.
    pub(super) minimum: Option<ConsistencyLevel>,
}

/// The steps, in order.
pub(super) fn steps(decision: &mut DecisionBuilder<'_>, wish: &CreateOptions<'_>) -> Step<()> {
    let CreateOptions {
        capture,
        description,
        incremental,
        ..
    } = *wish;
    decision.phase("Reading the instance");
    let allowance = allowance::read(decision, true);
    let read = instance::read(decision, wish.server)?;
    let manifest = root_disk::among_volumes(decision, read);
    let manifest = manifest.as_ref();
    decision.tell_volumes(manifest, |index| key::volume(index).record(0));
    hold(decision, manifest, capture, None);
    let mut findings = Findings::default();
    check_capturable(manifest, &mut findings);
    instance::check_consistency(manifest, Some(capture), wish.minimum, &mut findings);
    allowance::check(allowance?, &needs(manifest, capture), &mut findings);
    findings.none()?;
    // Before what goes then, so that the reason stays.
    check_captured(decision, manifest, wish)?;

    // A copy is a new volume, which has nothing to build on.
    let parents = match capture {
        Capture::Snapshot | Capture::VolumeInUse if incremental => read_parents(decision, manifest),
        Capture::Snapshot | Capture::VolumeInUse | Capture::SnapshotThenCopy => Ok(&[][..]),
    };
    // All snapshots before any data moves, so that the volumes are as close together as can be.
    let image = root_disk::image(decision, manifest);
    if !image.is_empty() || capture != Capture::VolumeInUse {
        decision.phase("Creating temporary snapshots");
    }
    let image = decision.all(image);
    let snapshots = match capture {
        Capture::VolumeInUse => Vec::new(),
        Capture::Snapshot | Capture::SnapshotThenCopy => {
            let plan = snapshots::Plan {
                server: wish.server,
                manifest,
                capture: Some(capture),
                minimum: wish.minimum,
                description: "temporary snapshot of a DR backup",
                disposal: Disposal::Temporary,
            };
            snapshots::take(decision, &plan)?
        }
    };
    image?;
    if capture != Capture::VolumeInUse {
        decision.phase("Looking at the instance again");
        instance::look_again(decision, manifest)?;
    }
    copy(decision, manifest, capture, &snapshots)?;

    decision.phase("Creating volume backups");
    check_chains(decision, manifest)?;
    let parents = parents?;
    let mut wishes = Vec::new();
    let volumes = manifest.volumes.iter().enumerate();
    let others = decision.each(volumes, |decision, (index, volume)| {
        let copy = decision.effect(&key::volume(index).copy());
        let copy = copy.map(|one| VolumeId::new(one.id()));
        let plan = volume_backup::Plan {
            volume: copy.unwrap_or_else(|| volume.id.clone()),
            snapshot: match capture {
                Capture::Snapshot => snapshot_of(&snapshots, volume),
                Capture::VolumeInUse | Capture::SnapshotThenCopy => None,
            },
            description,
            incremental: may_build_on(parents, volume),
        };
        wishes.push(volume_backup::wish(decision, index, &plan)?);
        Ok(())
    });
    let (_, backups) = both(others, decision.all(wishes))?;
    if capture == Capture::VolumeInUse {
        decision.phase("Looking at the instance again");
        instance::look_again(decision, manifest)?;
    }

    // Nothing needs the snapshots any more, so they go meanwhile.
    decision.phase("Exporting records");
    let gone = decision.drop_temporaries();
    export_chains(decision, &backups)?;

    decision.phase("Removing temporary snapshots");
    decision.stand_until(gone)?;

    decision.phase("Available");
    hold(decision, manifest, capture, Some(decision.spent()));
    decision.claim(Verification {
        time: decision.sighted(),
        doubt: None,
    });
    Ok(())
}

/// Refuses what the last look at the instance, when all of it was captured, has shown to be less than is
/// wished for.
fn check_captured(
    decision: &DecisionBuilder<'_>,
    manifest: &Manifest,
    wish: &CreateOptions<'_>,
) -> Step<()> {
    if !instance::has_looked_again(decision) {
        return Ok(());
    }
    // What took hours stays, and tells what it lacks.
    if wish.capture != Capture::VolumeInUse {
        instance::check_complete(decision, manifest)?;
    }
    let reached = consistency(decision, manifest, wish.capture);
    instance::check_reached(manifest, reached.as_ref(), wish.minimum)
}

/// What will be made of the volumes.
fn needs(manifest: &Manifest, capture: Capture) -> allowance::Needs<'_> {
    let of = |from_image: bool| {
        let volumes = manifest.volumes.iter();
        volumes.filter(move |volume| volume.from_image == from_image)
    };
    let mut needs = allowance::Needs {
        copies: of(true).collect(),
        backups: manifest.volumes.iter().collect(),
        ..allowance::Needs::default()
    };
    match capture {
        Capture::VolumeInUse => {}
        Capture::Snapshot => needs.snapshots.extend(of(false)),
        Capture::SnapshotThenCopy => {
            needs.snapshots.extend(of(false));
            needs.copies.extend(of(false));
        }
    }
    needs
}

/// Makes the temporary volumes: that of a root disk which is none, and where they are wished for those of
/// all snapshots.
fn copy(
    decision: &mut DecisionBuilder<'_>,
    manifest: &Manifest,
    capture: Capture,
    snapshots: &[snapshots::Taken],
) -> Step<()> {
    let volumes = manifest.volumes.iter().enumerate();
    let wishes = decision.each(volumes, |decision, (index, volume)| {
        if volume.from_image {
            root_disk::copy(decision, volume).map(Some)
        } else if capture == Capture::SnapshotThenCopy {
            let request = Make::Volume(NewVolume {
                size_gib: volume.size_gib,
                volume_type: volume.volume_type.clone(),
                availability_zone: volume.availability_zone.clone(),
                snapshot: snapshot_of(snapshots, volume),
                image: None,
                description: "temporary copy of a DR backup".to_owned(),
            });
            let key = key::volume(index).copy();
            Ok(Some(decision.wish(key, request, Disposal::Temporary)))
        } else {
            Ok(None)
        }
    })?;
    let wishes: Vec<DesiredEffect> = wishes.into_iter().flatten().collect();
    if !wishes.is_empty() {
        decision.phase("Creating temporary volumes");
    }
    decision.all(wishes).map(drop)
}

fn snapshot_of(snapshots: &[snapshots::Taken], volume: &VolumeFacts) -> Option<SnapshotId> {
    let mut snapshots = snapshots.iter();
    let found = snapshots.find(|(of, _)| *of == volume.id);
    found.map(|(_, snapshot)| snapshot.clone())
}

/// What increments would build on.
fn read_parents<'a>(
    decision: &mut DecisionBuilder<'a>,
    manifest: &Manifest,
) -> Step<&'a [Sighting]> {
    let volumes = instance::each(manifest, |_, volume| volume.clone());
    let read: &Parents = decision.read(Single::Parents, Read::Parents { volumes })?;
    Ok(&read.newest)
}

/// Whether an increment of a volume has something to build on. What has grown since needs a full one.
fn may_build_on(parents: &[Sighting], volume: &VolumeFacts) -> bool {
    let mut parents = parents.iter();
    let parent = parents.find(|parent| parent.volume.as_ref() == Some(&volume.id));
    parent.is_some_and(|parent| parent.size_gib.is_none_or(|size| size >= volume.size_gib))
}

/// Refuses chains that are too long. By their records and before anything that they are about, so that
/// the reason stays when their volume backups are gone.
fn check_chains(decision: &DecisionBuilder<'_>, manifest: &Manifest) -> Step<()> {
    let last = decision.limits().links_max.saturating_sub(1);
    let goes_on = |volume| {
        let read = decision.effect(&key::volume(volume).record(last));
        read.and_then(Effect::exported)
            .is_some_and(|told| told.parent.is_some())
    };
    if !(0..manifest.volumes.len()).any(goes_on) {
        return Ok(());
    }
    Err(Stop::give_up(
        "CHAIN_TOO_LONG",
        format!(
            "the chain of a volume backup has more than {} links",
            decision.limits().links_max
        ),
        "make a full DR backup, on which the next ones can build",
    ))
}

/// Exports the records of these volume backups, then those of their parents, and so on until every
/// chain has come to a full one.
fn export_chains(decision: &mut DecisionBuilder<'_>, backups: &[&Effect]) -> Step<()> {
    let heads = backups.iter().map(|one| VolumeBackupId::new(one.id()));
    let mut links: Vec<(usize, VolumeBackupId)> = heads.enumerate().collect();
    for depth in 0..decision.limits().links_max {
        let wishes = links.iter().map(|(volume, link)| {
            let request = Read::Record {
                backup: link.clone(),
            };
            decision.wish(key::volume(*volume).record(depth), request, Disposal::Keep)
        });
        let records = decision.all(wishes.collect())?;
        let parents = links.iter().zip(records).filter_map(|((volume, _), read)| {
            let parent = read.exported()?.parent.clone()?;
            Some((*volume, parent))
        });
        links = parents.collect();
        if links.is_empty() {
            break;
        }
    }
    Ok(())
}

/// What cannot be brought back is not backed up.
fn check_capturable(manifest: &Manifest, findings: &mut Findings) {
    if manifest.root_is_volume {
        instance::check_root(manifest, findings);
    }
    instance::check_volumes(manifest, findings);
    let encrypted: Vec<&str> = manifest
        .volumes
        .iter()
        .filter(|volume| volume.encrypted)
        .map(|volume| volume.id.as_str())
        .collect();
    if !encrypted.is_empty() {
        findings.problem(
            "VOLUME_ENCRYPTED",
            format!(
                "volumes are encrypted with a key of the source's key manager, which another cloud cannot read: {}",
                encrypted.join(", ")
            ),
            "copy them to volumes of an unencrypted type, or retype them, and back those up",
        );
    }
}

/// What the DR backup holds by now.
fn hold(
    decision: &mut DecisionBuilder<'_>,
    manifest: &Manifest,
    capture: Capture,
    capture_duration: Option<Duration>,
) {
    let volumes = manifest.volumes.iter().enumerate();
    let links = volumes.flat_map(|(index, volume)| links_of(decision, index, volume));
    let links = links.collect();
    let consistency = consistency(decision, manifest, capture);
    let mut manifest = manifest.clone();
    manifest.gaps.extend(instance::missed(decision, &manifest));
    decision.hold(Detail::Point(Box::new(PointDetail {
        manifest: Some(Box::new(manifest)),
        content: Content::Dr(links),
        consistency,
        capture_duration,
    })));
}

/// The chain of a volume as far as it is known, the newest link first.
fn links_of(
    decision: &DecisionBuilder<'_>,
    index: usize,
    volume: &VolumeFacts,
) -> Vec<VolumeBackup> {
    let made =
        volume_backup::newest(decision, index).filter(|made| made.state == EffectState::Done);
    let Some((made, seen)) = made.and_then(|made| Some((made, made.seen()?))) else {
        return Vec::new();
    };
    let mut links = Vec::new();
    let mut id = VolumeBackupId::new(made.id());
    while let Some(read) = decision.effect(&key::volume(index).record(links.len())) {
        let inherited = !links.is_empty();
        let told = read.exported();
        // Only what is available is exported, so a parent is known to be that by its record.
        if inherited && told.is_none() {
            break;
        }
        let parent = told.and_then(|told| told.parent.clone());
        let size = told.and_then(|told| told.size_gib);
        let time = told.and_then(|told| told.data_timestamp);
        links.push(VolumeBackup {
            id,
            volume: volume.id.clone(),
            tenant: read.tenant.clone(),
            size_gib: if inherited { size } else { seen.size_gib }.unwrap_or(volume.size_gib),
            incremental: parent.is_some() || !inherited && seen.incremental,
            parent: parent.clone(),
            status: if inherited { "available" } else { &seen.status }.to_owned(),
            data_timestamp: if inherited {
                time
            } else {
                seen.data_timestamp.or(seen.created)
            },
            record: told.map(|told| told.record.clone()),
            inherited,
        });
        match parent {
            Some(parent) => id = parent,
            None => break,
        }
    }
    links
}

/// What was reached: by the snapshots, where there are any. A root disk that is no volume is taken in its
/// own time.
fn consistency(
    decision: &DecisionBuilder<'_>,
    manifest: &Manifest,
    capture: Capture,
) -> Option<Consistency> {
    let (mut level, mut taken) = match capture {
        Capture::Snapshot | Capture::SnapshotThenCopy => {
            snapshots::reached(decision, manifest, Some(capture))?
        }
        Capture::VolumeInUse => {
            let volumes = manifest.volumes.iter().enumerate();
            let taken = volumes.filter(|(_, volume)| !volume.from_image);
            let taken = taken.map(|(index, _)| {
                let seen = volume_backup::newest(decision, index)?.seen()?;
                seen.data_timestamp.or(seen.created)
            });
            let taken: Option<Vec<Timestamp>> = taken.collect();
            (ConsistencyLevel::PerVolume, taken?)
        }
    };
    if !manifest.root_is_volume {
        let [begun, ended] = root_disk::taken(decision)?;
        level = ConsistencyLevel::PerVolume;
        taken.push(begun);
        // Alone, it has nobody to differ from.
        if manifest.volumes.len() > 1 {
            taken.push(ended);
        }
    }
    instance::consistency(decision, manifest, &taken, level)
}
