//! Whether a backup of an instance can be made at all: the rights and quotas that it needs, looked at
//! before anything is made; it may not know in which order that happens.

use super::{
    decision_builder::{DecisionBuilder, Step, Stop},
    headroom::{Payer, Sized, by_type, count, gib},
    layout::Findings,
};
use crate::domain::{
    effect::{Disposal, EffectKind, EffectState, Read, key::Single},
    inventory::{Allowance, Right},
    manifest::VolumeFacts,
};

const KEY: Single = Single::Allowance;

/// What will be made of the volumes of an instance.
#[derive(Debug, Default)]
pub(super) struct Needs<'a> {
    /// Of these a snapshot.
    pub(super) snapshots: Vec<&'a VolumeFacts>,
    /// Of these a temporary volume.
    pub(super) copies: Vec<&'a VolumeFacts>,
    /// Of these a volume backup, whose record is then exported.
    pub(super) backups: Vec<&'a VolumeFacts>,
}

/// Reads what the tenant may still make, and whether records may be exported where that is wanted. Nothing
/// where it could not be read, which is no reason to make no backup; nor where something was made before
/// anybody looked, because that would be counted against itself.
pub(super) fn read<'a>(
    decision: &mut DecisionBuilder<'a>,
    export: bool,
) -> Step<Option<&'a Allowance>> {
    let Some(read) = decision.effect(&KEY.into()) else {
        let makes = |kind| matches!(kind, EffectKind::Make(_));
        if decision.effects().any(|one| makes(one.request.kind())) {
            return Ok(None);
        }
        let wish = decision.wish(KEY, Read::Allowance { export }, Disposal::Keep);
        return decision.one(wish).map(|_| None);
    };
    match read.state {
        EffectState::Done => Ok(read.found()),
        EffectState::Requested | EffectState::Accepted => Err(Stop::Pending),
        EffectState::Failed | EffectState::Dropping | EffectState::Leaving | EffectState::Gone => {
            Ok(None)
        }
    }
}

/// Notes all that is wanting of rights and of room.
pub(super) fn check(allowance: Option<&Allowance>, needs: &Needs<'_>, findings: &mut Findings) {
    let Some(Allowance { quotas, export }) = allowance else {
        return;
    };
    if let Right::Refused(why) = export
        && !needs.backups.is_empty()
    {
        findings.problem(
            "EXPORT_FORBIDDEN",
            format!(
                "records of volume backups may not be exported, without which they are of no use in \
                 another cloud: {why}"
            ),
            "configure an admin entry for this cloud; or let its policy `backup:export-import` include our \
             user, and make one volume backup in the project, by which that is seen",
        );
    }
    let guidance = "raise the quota of the tenant or free some of it, then ask again";
    let mut payer = Payer::new(findings, String::new(), guidance);
    let (snapshots, copies) = (sized(&needs.snapshots), sized(&needs.copies));
    let (backups, all) = (
        sized(&needs.backups),
        [&snapshots[..], &copies[..]].concat(),
    );
    payer.needs("snapshots", count(snapshots.len()), quotas.snapshots);
    payer.needs("volumes", count(copies.len()), quotas.volumes);
    payer.needs("volume and snapshot GiB", gib(&all), quotas.gigabytes);
    let largest = copies.iter().map(|(_, gib)| *gib).max().unwrap_or(0);
    payer.needs("GiB of one volume", largest, quotas.per_volume_gigabytes);
    for (name, snapshots, quotas) in by_type(&snapshots, quotas) {
        let what = format!("snapshots of type {name}");
        payer.needs(&what, count(snapshots.len()), quotas.snapshots);
    }
    for (name, copies, quotas) in by_type(&copies, quotas) {
        let what = format!("volumes of type {name}");
        payer.needs(&what, count(copies.len()), quotas.volumes);
    }
    for (name, all, quotas) in by_type(&all, quotas) {
        let what = format!("volume and snapshot GiB of type {name}");
        payer.needs(&what, gib(&all), quotas.gigabytes);
    }
    payer.backups(count(backups.len()), gib(&backups), quotas);
}

fn sized<'a>(volumes: &[&'a VolumeFacts]) -> Vec<Sized<'a>> {
    let volumes = volumes.iter();
    volumes
        .map(|one| (one.volume_type.as_ref(), one.size_gib))
        .collect()
}
