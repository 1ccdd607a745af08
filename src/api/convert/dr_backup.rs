//! DR backups and what is asked about them; it may not know whether it may be done.

use std::collections::BTreeSet;

use prost_types::FieldMask;

use super::{
    duration,
    fields::{Fields, Times as _},
    number, progress, text, time,
};
use crate::{
    api::pb::{self, consistency::Level},
    domain::{
        capture::Capture,
        consistency::{Consistency, ConsistencyLevel},
        error::Error,
        id::{CloudName, PointId, PointKind, ProjectId, ServerId, Tenant},
        keeping::{Keeping, Rekeeping},
        point::Point,
        restoration::Restoration,
        volume_backup::{Mirror, VolumeBackup},
    },
    service::{
        Limits,
        point::{CreatePoint, DeletePoint, UpdatePoint},
        request::etag,
    },
};

/// How much of a DR backup is told.
#[derive(Clone, Copy)]
pub(in crate::api) enum Depth<'a> {
    /// What fits into a line.
    Basic,
    /// Everything, with what is kept elsewhere.
    Full {
        /// Its restorations, the newest first.
        restorations: &'a [Restoration],
        /// The imported records of its volume backups.
        mirrors: &'a [Mirror],
        /// Whether what is sensitive is told as well.
        sensitive: bool,
    },
}

/// A DR backup.
pub(in crate::api) fn dr_backup(backup: Point, depth: Depth<'_>) -> pb::DrBackup {
    let unrecoverable_reason = backup.unrecoverable_reason();
    let detail = &backup.detail;
    let (metadata, volume_backups, restorations) = match depth {
        Depth::Basic => (None, Vec::new(), Vec::new()),
        Depth::Full {
            restorations,
            mirrors,
            sensitive,
        } => (
            detail
                .manifest
                .as_ref()
                .map(|one| super::manifest::manifest(one, sensitive)),
            detail
                .volume_backups()
                .iter()
                .map(|one| volume_backup(one, &backup, mirrors))
                .collect(),
            restorations.iter().map(summary).collect(),
        ),
    };
    pb::DrBackup {
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
        volume_backups,
        consistency: detail.consistency.as_ref().map(consistency),
        recoverable: unrecoverable_reason.is_none(),
        unrecoverable_reason: unrecoverable_reason.unwrap_or_default(),
        verified_time: backup.verification.time.map(time),
        restorations,
        capture: capture(backup.capture.unwrap_or_default()).into(),
        create_time: Some(time(backup.head.created)),
        update_time: Some(time(backup.head.updated)),
        etag: etag(backup.head.revision),
        schedule_id: text(backup.keeping.schedule.as_ref()),
        kept_until: backup.keeping.until.map(time),
        held: backup.keeping.held,
    }
}

fn volume_backup(
    volume_backup: &VolumeBackup,
    backup: &Point,
    mirrors: &[Mirror],
) -> pb::VolumeBackup {
    let volumes = backup
        .detail
        .manifest
        .iter()
        .flat_map(|manifest| &manifest.volumes);
    let mut volumes = volumes.filter(|volume| volume.id == volume_backup.volume);
    let own = mirrors
        .iter()
        .filter(|mirror| mirror.backup == volume_backup.id);
    pb::VolumeBackup {
        backup_id: volume_backup.id.to_string(),
        volume_id: volume_backup.volume.to_string(),
        volume_name: volumes
            .next()
            .map(|volume| volume.name.clone())
            .unwrap_or_default(),
        cloud: volume_backup.tenant.cloud.to_string(),
        tenant: volume_backup.tenant.project.to_string(),
        status: volume_backup.status.clone(),
        size_gib: number(volume_backup.size_gib),
        incremental: volume_backup.incremental,
        parent_id: text(volume_backup.parent.as_ref()),
        data_time: volume_backup.data_timestamp.map(time),
        record_held: volume_backup.record.is_some(),
        driver: text(volume_backup.record.as_ref().map(|record| &record.service)),
        mirrors: own.map(mirror).collect(),
        inherited: volume_backup.inherited,
    }
}

/// An imported record.
pub(super) fn mirror(mirror: &Mirror) -> pb::Mirror {
    pb::Mirror {
        backup_id: mirror.backup.to_string(),
        cloud: mirror.tenant.cloud.to_string(),
        tenant: mirror.tenant.project.to_string(),
    }
}

pub(super) fn consistency(consistency: &Consistency) -> pb::Consistency {
    pb::Consistency {
        level: level(consistency.level).into(),
        skew: consistency
            .skew_ms
            .map(|skew| duration(std::time::Duration::from_millis(skew))),
    }
}

pub(super) fn level(level: ConsistencyLevel) -> Level {
    match level {
        ConsistencyLevel::PerVolume => Level::PerVolume,
        ConsistencyLevel::VolumeSnapshots => Level::VolumeSnapshots,
        ConsistencyLevel::GroupSnapshot => Level::GroupSnapshot,
        ConsistencyLevel::Quiesced => Level::Quiesced,
        ConsistencyLevel::ShutOff => Level::ShutOff,
    }
}

pub(super) fn level_asked(number: i32) -> Result<Option<ConsistencyLevel>, String> {
    match Level::try_from(number) {
        Ok(Level::Unspecified) => Ok(None),
        Ok(Level::PerVolume) => Ok(Some(ConsistencyLevel::PerVolume)),
        Ok(Level::VolumeSnapshots) => Ok(Some(ConsistencyLevel::VolumeSnapshots)),
        Ok(Level::GroupSnapshot) => Ok(Some(ConsistencyLevel::GroupSnapshot)),
        Ok(Level::Quiesced) => Ok(Some(ConsistencyLevel::Quiesced)),
        Ok(Level::ShutOff) => Ok(Some(ConsistencyLevel::ShutOff)),
        Err(_) => Err(format!("{number} is not a level that is known here")),
    }
}

pub(super) fn summary(restoration: &Restoration) -> pb::RestorationSummary {
    pb::RestorationSummary {
        id: restoration.id.to_string(),
        instance_id: restoration.instance.to_string(),
        instance_name: restoration.instance_name.clone(),
        state: progress::state(restoration.state).into(),
        create_time: Some(time(restoration.created)),
        cloud: restoration.tenant.cloud.to_string(),
        tenant: restoration.tenant.project.to_string(),
    }
}

pub(super) fn capture(capture: Capture) -> pb::dr_backup::Capture {
    match capture {
        Capture::Snapshot => pb::dr_backup::Capture::Snapshot,
        Capture::VolumeInUse => pb::dr_backup::Capture::VolumeInUse,
        Capture::SnapshotThenCopy => pb::dr_backup::Capture::SnapshotThenCopy,
    }
}

pub(super) fn capture_asked(number: i32) -> Result<Capture, String> {
    match pb::dr_backup::Capture::try_from(number) {
        Ok(pb::dr_backup::Capture::Unspecified | pb::dr_backup::Capture::Snapshot) => {
            Ok(Capture::Snapshot)
        }
        Ok(pb::dr_backup::Capture::VolumeInUse) => Ok(Capture::VolumeInUse),
        Ok(pb::dr_backup::Capture::SnapshotThenCopy) => Ok(Capture::SnapshotThenCopy),
        Err(_) => Err(format!("{number} is not a capture that is known here")),
    }
}

/// What is asked for by `CreateDRBackup`.
pub(in crate::api) fn create(
    message: pb::CreateDrBackupRequest,
    limits: &Limits,
) -> Result<CreatePoint, Error> {
    let mut fields = Fields::new(limits);
    let ask = CreatePoint {
        kind: PointKind::Dr,
        tenant: tenant(&mut fields, message.cloud, message.tenant),
        server: ServerId::new(fields.required("instance_id", message.instance_id)),
        name: fields.name("name", message.name),
        description: fields.description("description", message.description),
        capture: fields.take("capture", capture_asked(message.capture)),
        incremental: message.incremental,
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

/// What an update may change.
const CHANGEABLE: [&str; 4] = ["name", "description", "kept_until", "held"];

/// What an update of a backup of either kind changes: what its mask names, else what is given of what
/// may change.
pub(super) fn changes(
    fields: &mut Fields<'_>,
    mask: Option<&FieldMask>,
    given: [bool; CHANGEABLE.len()],
) -> BTreeSet<&'static str> {
    let all = CHANGEABLE.into_iter().zip(given);
    let mut changes: BTreeSet<&str> = match mask {
        Some(_) => BTreeSet::new(),
        None => all
            .filter_map(|(field, given)| given.then_some(field))
            .collect(),
    };
    for path in mask.iter().flat_map(|mask| &mask.paths) {
        match CHANGEABLE.iter().find(|field| *field == path) {
            Some(field) => drop(changes.insert(field)),
            None if path == "*" => changes.extend(CHANGEABLE),
            None => fields.bad(
                "update_mask",
                format!(
                    "`{}` cannot be changed; {} can",
                    super::fields::brief(path),
                    CHANGEABLE.join(", ")
                ),
            ),
        }
    }
    if changes.is_empty() {
        fields.bad("update_mask", "names nothing to change");
    }
    changes
}

/// What is asked for by `UpdateDRBackup`.
pub(in crate::api) fn update(
    message: pb::UpdateDrBackupRequest,
    limits: &Limits,
) -> Result<UpdatePoint, Error> {
    let mut fields = Fields::new(limits);
    let Some(wanted) = message.dr_backup else {
        fields.bad("dr_backup", "is required");
        return fields
            .done()
            .and(Err(Error::field("dr_backup", "is required")));
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
        fields.bad("dr_backup.name", "is required");
    }
    let ask = UpdatePoint {
        id: PointId::dr(fields.id("dr_backup.id", &wanted.id)),
        name: name.then(|| fields.name("dr_backup.name", wanted.name)),
        description: description
            .then(|| fields.description("dr_backup.description", wanted.description)),
        keeping: Rekeeping {
            until: changed("kept_until")
                .then(|| fields.moment("dr_backup.kept_until", wanted.kept_until)),
            held: changed("held").then_some(wanted.held),
        },
        etag: wanted.etag,
        request_id: fields.request_id(message.request_id),
    };
    fields.done().map(|()| ask)
}

/// What is asked for by `DeleteDRBackup`.
pub(in crate::api) fn delete(
    message: pb::DeleteDrBackupRequest,
    limits: &Limits,
) -> Result<DeletePoint, Error> {
    let mut fields = Fields::new(limits);
    let ask = DeletePoint {
        allow_missing_cloud: message.allow_missing_cloud,
        id: PointId::dr(fields.id("id", &message.id)),
        etag: message.etag,
        request_id: fields.request_id(message.request_id),
    };
    fields.done().map(|()| ask)
}

/// A tenant of a cloud.
pub(in crate::api) fn tenant(fields: &mut Fields<'_>, cloud: String, project: String) -> Tenant {
    Tenant {
        cloud: CloudName::new(fields.required("cloud", cloud)),
        project: ProjectId::new(fields.required("tenant", project)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::ErrorKind;

    fn update_of(wanted: pb::DrBackup, paths: Option<&[&str]>) -> Result<UpdatePoint, Error> {
        let update_mask = paths.map(|paths| FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        });
        let request_id = String::new();
        let message = pb::UpdateDrBackupRequest {
            dr_backup: Some(wanted),
            update_mask,
            request_id,
        };
        update(message, &Limits::default())
    }

    fn wanted() -> pb::DrBackup {
        pb::DrBackup {
            id: uuid::Uuid::nil().to_string(),
            name: "new".to_owned(),
            ..pb::DrBackup::default()
        }
    }

    #[test]
    fn a_bad_create_tells_all_of_it() {
        let message = pb::CreateDrBackupRequest {
            capture: 77,
            ..Default::default()
        };
        let error = create(message, &Limits::default()).expect_err("empty");
        let ErrorKind::Invalid(bad) = error.kind else {
            panic!("{error}")
        };
        let names: Vec<&str> = bad.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(names, ["cloud", "tenant", "instance_id", "capture"]);
    }

    #[test]
    fn without_a_mask_what_is_not_empty_changes() {
        let ask = update_of(wanted(), None).expect("good");
        assert_eq!(
            (ask.name.as_deref(), ask.description.as_deref()),
            (Some("new"), None)
        );
    }

    #[test]
    fn a_mask_can_empty_the_description_but_not_the_name() {
        let ask = update_of(wanted(), Some(&["description"])).expect("good");
        assert_eq!((ask.name, ask.description.as_deref()), (None, Some("")));
        let nameless = pb::DrBackup {
            name: String::new(),
            ..wanted()
        };
        assert!(update_of(nameless, Some(&["*"])).is_err());
    }

    #[test]
    fn what_cannot_be_changed_is_named() {
        let error = update_of(wanted(), Some(&["state"])).expect_err("not changeable");
        assert!(
            error.message.contains("`state` cannot be changed"),
            "{error}"
        );
        assert!(update_of(wanted(), Some(&[])).is_err());
    }
}
