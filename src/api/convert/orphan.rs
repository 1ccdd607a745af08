//! What was left behind in clouds, as messages; it may not know how it is found.

use super::{
    fields::{Fields, tenant},
    number, text, time,
};
use crate::{
    api::pb::{self, orphan_deletion},
    domain::{
        error::Error,
        id::Tenant,
        orphan::{DeletionResult, KINDS, Orphan, Outcome, Sweep, Why},
        sighting::ThingKind,
    },
    service::{orphan::DeleteOrphans, settings::RequestSettings},
};

/// An orphan of a tenant.
pub(in crate::api) fn orphan(tenant: &Tenant, orphan: Orphan) -> pb::Orphan {
    let seen = orphan.sighting;
    pb::Orphan {
        kind: kind(seen.thing.kind).into(),
        id: seen.thing.id,
        name: seen.name,
        status: seen.status,
        create_time: seen.created.map(time),
        size_gib: number(seen.size_gib.unwrap_or_default()),
        operation_id: orphan.operation.to_string(),
        reason: orphan.why.sentence().to_owned(),
        cloud: tenant.cloud.to_string(),
        tenant: tenant.project.to_string(),
        operation_known: match orphan.why {
            Why::Ended => true,
            Why::Unknown => false,
        },
    }
}

/// What became of one that was to be deleted.
pub(in crate::api) fn deletion(farewell: DeletionResult) -> pb::OrphanDeletion {
    let kind = farewell.thing.map(|thing| kind(thing.kind));
    let outcome = match farewell.outcome {
        Outcome::Deleted => orphan_deletion::Outcome::Deleted,
        Outcome::NotFound => orphan_deletion::Outcome::NotFound,
        Outcome::Kept => orphan_deletion::Outcome::Kept,
        Outcome::Refused => orphan_deletion::Outcome::Refused,
    };
    pb::OrphanDeletion {
        id: farewell.id,
        kind: kind.unwrap_or_default().into(),
        name: farewell.name,
        outcome: outcome.into(),
        problem: farewell.problem,
    }
}

/// A look through a tenant.
pub(in crate::api) fn sweep(sweep: &Sweep) -> pb::OrphanSweep {
    pb::OrphanSweep {
        cloud: sweep.tenant.cloud.to_string(),
        tenant: sweep.tenant.project.to_string(),
        begin_time: Some(time(sweep.begun)),
        end_time: sweep.ended.map(time),
        orphan_count: number(sweep.orphans()),
        problem: text(sweep.problem.as_ref()),
        counts: sweep.found.iter().map(count).collect(),
    }
}

fn count((of, count): (&ThingKind, &u64)) -> pb::OrphanCount {
    pb::OrphanCount {
        kind: kind(*of).into(),
        count: number(*count),
    }
}

/// What is asked for by `DeleteOrphans`.
pub(in crate::api) fn delete(
    message: pb::DeleteOrphansRequest,
    limits: &RequestSettings,
) -> Result<DeleteOrphans, Error> {
    let mut fields = Fields::new(limits);
    let tenant = tenant(&mut fields, message.cloud, message.tenant);
    let ids = message.ids.into_iter().enumerate();
    let ask = DeleteOrphans {
        tenant,
        ids: ids
            .map(|(index, id)| fields.required(&format!("ids[{index}]"), id))
            .collect(),
        include_unknown: message.include_unknown,
        request_id: fields.request_id(message.request_id),
    };
    fields.done().map(|()| ask)
}

/// The kinds that an orphan may have, as filters spell them.
pub(in crate::api) fn kind_words() -> Vec<String> {
    KINDS.map(|one| kind_word(kind(one))).into()
}

/// A kind as filters spell it.
pub(in crate::api) fn kind_word(kind: pb::ThingKind) -> String {
    kind.as_str_name()
        .trim_start_matches("THING_KIND_")
        .to_owned()
}

fn kind(kind: ThingKind) -> pb::ThingKind {
    match kind {
        ThingKind::Volume => pb::ThingKind::Volume,
        ThingKind::Snapshot => pb::ThingKind::Snapshot,
        ThingKind::VolumeBackup => pb::ThingKind::VolumeBackup,
        ThingKind::Server => pb::ThingKind::Server,
        ThingKind::Port => pb::ThingKind::Port,
        ThingKind::SecurityGroup => pb::ThingKind::SecurityGroup,
        ThingKind::KeyPair => pb::ThingKind::KeyPair,
        ThingKind::GroupSnapshot => pb::ThingKind::GroupSnapshot,
        ThingKind::Image => pb::ThingKind::Image,
        ThingKind::Trunk => pb::ThingKind::Trunk,
    }
}
