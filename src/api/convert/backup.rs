//! Regular backups and what is asked about them; it may not know whether it may be done.

use super::{
    dr_backup::{changes, consistency, level_asked, summary, tenant},
    fields::{Fields, Times as _},
    number, progress, text, time,
};
use crate::{
    api::pb,
    domain::{
        capture::Capture,
        error::Error,
        id::{PointId, PointKind, ServerId},
        keeping::{Keeping, Rekeeping},
        manifest::Manifest,
        point::Point,
        restoration::Restoration,
        volume_snapshot::VolumeSnapshot,
    },
    service::{
        Limits,
        point::{CreatePoint, DeletePoint, UpdatePoint},
        request::etag,
    },
};

/// How much of a regular backup is told.
#[derive(Clone, Copy)]
pub(in crate::api) enum Depth<'a> {
    /// What fits into a line.
    Basic,
    /// Everything, with what is kept elsewhere.
    Full {
        /// Its restorations, the newest first.
        restorations: &'a [Restoration],
        /// Whether what is sensitive is told as well.
        sensitive: bool,
    },
}

/// A regular backup.
pub(in crate::api) fn backup(backup: Point, depth: Depth<'_>) -> pb::Backup {
    let unrecoverable_reason = backup.unrecoverable_reason();
    let detail = &backup.detail;
    let manifest = detail.manifest.as_deref();
    let (metadata, snapshots, restorations) = match depth {
        Depth::Basic => (None, Vec::new(), Vec::new()),
        Depth::Full {
            restorations,
            sensitive,
        } => (
            manifest.map(|one| super::manifest::manifest(one, sensitive)),
            detail
                .snapshots()
                .iter()
                .map(|one| snapshot(one, manifest))
                .collect(),
            restorations.iter().map(summary).collect(),
        ),
    };
    pb::Backup {
        id: backup.id.to_string(),
        name: backup.name,
        description: backup.description,
        cloud: backup.tenant.cloud.to_string(),
        tenant: backup.tenant.project.to_string(),
        instance_id: backup.server.to_string(),
        instance_name: backup.instance_name,
        state: progress::state(backup.head.state).into(),
        runtime_state: backup.head.runtime_state,
        progress: Some(progress::progress(backup.head.progress)),
        error: backup.head.error.map(progress::error),
        metadata,
        snapshots,
        consistency: detail.consistency.as_ref().map(consistency),
        recoverable: unrecoverable_reason.is_none(),
        unrecoverable_reason: unrecoverable_reason.unwrap_or_default(),
        verified_time: backup.verification.time.map(time),
        restorations,
        schedule_id: text(backup.keeping.schedule.as_ref()),
        kept_until: backup.keeping.until.map(time),
        held: backup.keeping.held,
        create_time: Some(time(backup.head.created)),
        update_time: Some(time(backup.head.updated)),
        etag: etag(backup.head.revision),
    }
}

fn snapshot(snapshot: &VolumeSnapshot, manifest: Option<&Manifest>) -> pb::VolumeSnapshot {
    let mut volumes = manifest.into_iter().flat_map(|one| &one.volumes);
    let volume = volumes.find(|volume| volume.id == snapshot.volume);
    pb::VolumeSnapshot {
        snapshot_id: snapshot.id.to_string(),
        volume_id: snapshot.volume.to_string(),
        volume_name: text(volume.map(|volume| &volume.name)),
        status: snapshot.status.clone(),
        size_gib: number(snapshot.size_gib),
        data_time: snapshot.created.map(time),
    }
}

/// What is asked for by `CreatePoint`.
pub(in crate::api) fn create(
    message: pb::CreateBackupRequest,
    limits: &Limits,
) -> Result<CreatePoint, Error> {
    let mut fields = Fields::new(limits);
    let ask = CreatePoint {
        kind: PointKind::Regular,
        tenant: tenant(&mut fields, message.cloud, message.tenant),
        server: ServerId::new(fields.required("instance_id", message.instance_id)),
        name: fields.name("name", message.name),
        description: fields.description("description", message.description),
        capture: Capture::default(),
        incremental: false,
        minimum: fields.take(
            "minimum_consistency",
            level_asked(message.minimum_consistency),
        ),
        keeping: Keeping {
            schedule: None,
            until: fields.moment("kept_until", message.kept_until),
            held: message.held,
        },
        deadline: fields.time_limit("time_limit", message.time_limit),
        validate_only: message.validate_only,
        request_id: fields.request_id(message.request_id),
    };
    fields.done().map(|()| ask)
}

/// What is asked for by `UpdatePoint`.
pub(in crate::api) fn update(
    message: pb::UpdateBackupRequest,
    limits: &Limits,
) -> Result<UpdatePoint, Error> {
    let mut fields = Fields::new(limits);
    let Some(wanted) = message.backup else {
        return Err(Error::field("backup", "is required"));
    };
    let given = [
        !wanted.name.is_empty(),
        !wanted.description.is_empty(),
        wanted.kept_until.is_some(),
        wanted.held,
    ];
    let named = changes(&mut fields, message.update_mask.as_ref(), given);
    let changed = |field| named.contains(field);
    let (name, description) = (changed("name"), changed("description"));
    if name && wanted.name.trim().is_empty() {
        fields.bad("backup.name", "is required");
    }
    let ask = UpdatePoint {
        id: PointId::regular(fields.id("backup.id", &wanted.id)),
        name: name.then(|| fields.name("backup.name", wanted.name)),
        description: description
            .then(|| fields.description("backup.description", wanted.description)),
        keeping: Rekeeping {
            until: changed("kept_until")
                .then(|| fields.moment("backup.kept_until", wanted.kept_until)),
            held: changed("held").then_some(wanted.held),
        },
        etag: wanted.etag,
        request_id: fields.request_id(message.request_id),
    };
    fields.done().map(|()| ask)
}

/// What is asked for by `DeletePoint`.
pub(in crate::api) fn delete(
    message: pb::DeleteBackupRequest,
    limits: &Limits,
) -> Result<DeletePoint, Error> {
    let mut fields = Fields::new(limits);
    let ask = DeletePoint {
        allow_missing_cloud: message.allow_missing_cloud,
        id: PointId::regular(fields.id("id", &message.id)),
        etag: message.etag,
        request_id: fields.request_id(message.request_id),
    };
    fields.done().map(|()| ask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{error::ErrorKind, time::Timestamp};

    fn update_of(wanted: pb::Backup, paths: Option<&[&str]>) -> Result<UpdatePoint, Error> {
        let update_mask = paths.map(|paths| prost_types::FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        });
        let message = pb::UpdateBackupRequest {
            backup: Some(wanted),
            update_mask,
            request_id: String::new(),
        };
        update(message, &Limits::default())
    }

    fn wanted() -> pb::Backup {
        pb::Backup {
            id: uuid::Uuid::nil().to_string(),
            kept_until: Some(prost_types::Timestamp {
                seconds: 1,
                nanos: 0,
            }),
            ..pb::Backup::default()
        }
    }

    #[test]
    fn without_a_mask_what_is_not_empty_changes() {
        let ask = update_of(wanted(), None).expect("good");
        assert_eq!(ask.keeping.until, Some(Some(Timestamp(1_000_000))));
        assert_eq!(ask.keeping.held, None);
        assert_eq!((ask.name, ask.description), (None, None));
    }

    #[test]
    fn a_mask_can_take_back_a_hold_and_an_end() {
        let free = pb::Backup {
            kept_until: None,
            ..wanted()
        };
        let ask = update_of(free, Some(&["held", "kept_until"])).expect("good");
        assert_eq!(ask.keeping.until, Some(None));
        assert_eq!(ask.keeping.held, Some(false));
    }

    #[test]
    fn every_bad_field_of_an_update_is_named() {
        let bad = pb::Backup {
            id: "seven".to_owned(),
            kept_until: Some(prost_types::Timestamp {
                seconds: i64::MAX,
                nanos: 0,
            }),
            ..pb::Backup::default()
        };
        let error = update_of(bad, Some(&["*", "state"])).expect_err("bad");
        let ErrorKind::Invalid(bad) = error.kind else {
            panic!("{error}")
        };
        let names: Vec<&str> = bad.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(
            names,
            [
                "update_mask",
                "backup.name",
                "backup.id",
                "backup.kept_until"
            ]
        );
        assert!(update_of(wanted(), Some(&[])).is_err());
    }
}
