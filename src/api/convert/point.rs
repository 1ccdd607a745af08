//! Points of both kinds and what is asked about them; it may not know whether it may be done.
//!
//! The messages about regular backups have the fields of those about DR backups by the same names, but for a
//! few. So the ones about DR backups stand for both here, and each kind adds what is its own.

use std::{collections::BTreeSet, time::Duration};

use super::{
    dr_backup::capture_asked,
    duration,
    fields::{Fields, Times as _, named, tenant},
    progress, text, time,
};
use crate::{
    api::pb::{self, consistency::Level},
    domain::{
        consistency::{Consistency, ConsistencyLevel},
        error::Error,
        id::{PointId, PointKind, ServerId},
        keeping::{Keeping, Rekeeping},
        point::Point,
        restoration::Restoration,
        volume_backup::BackupAt,
    },
    service::{
        point::{CreatePoint, DeletePoint, UpdatePoint},
        request::etag,
        settings::RequestSettings,
    },
};

/// What an update may change.
const CHANGEABLE: [&str; 4] = ["name", "description", "kept_until", "held"];

/// The message of a kind of point.
pub(in crate::api) trait Message: Clone + Send + Sync + 'static {
    /// The kind.
    const KIND: PointKind;
    /// The method that lists them.
    const LIST: &'static str;

    /// A point of that kind.
    fn told(point: Point, depth: Depth<'_>) -> Self;
}

/// How much of a point is told.
#[derive(Clone, Copy)]
pub(in crate::api) enum Depth<'a> {
    /// What fits into a line, of one that was only checked: its id is in no store, so nobody should ask
    /// for it.
    Checked,
    /// What fits into a line.
    Basic,
    /// Everything, with what is kept elsewhere.
    Full {
        /// Its restorations, the newest first.
        restorations: &'a [Restoration],
        /// The imported records of its volume backups.
        mirrors: &'a [BackupAt],
        /// Whether what is sensitive is told as well.
        sensitive: bool,
    },
}

/// What is told of a point of either kind; without its bytes, and how they were taken.
pub(super) fn words(point: Point, depth: Depth<'_>) -> pb::DrBackup {
    let unrecoverable_reason = point.unrecoverable_reason();
    let (id, etag) = match depth {
        Depth::Checked => Default::default(),
        Depth::Basic | Depth::Full { .. } => (point.id.to_string(), etag(point.head.revision)),
    };
    let (metadata, restorations) = match depth {
        Depth::Checked | Depth::Basic => Default::default(),
        Depth::Full {
            restorations,
            sensitive,
            ..
        } => (
            point
                .detail
                .manifest
                .as_ref()
                .map(|one| super::manifest::manifest(one, sensitive)),
            restorations.iter().map(summary).collect(),
        ),
    };
    pb::DrBackup {
        id,
        name: point.name,
        description: point.description,
        cloud: point.tenant.cloud.to_string(),
        tenant: point.tenant.project.to_string(),
        instance_id: point.server.to_string(),
        instance_name: point.instance_name,
        state: progress::state(point.head.state).into(),
        runtime_state: point.head.runtime_state,
        progress: Some(progress::progress(point.head.progress)),
        error: point.head.error.map(progress::error),
        metadata,
        consistency: point.detail.consistency.as_ref().map(consistency),
        recoverable: unrecoverable_reason.is_none(),
        unrecoverable_reason: unrecoverable_reason.unwrap_or_default(),
        verified_time: point.verification.time.map(time),
        restorations,
        create_time: Some(time(point.head.created)),
        update_time: Some(time(point.head.updated)),
        etag,
        schedule_id: text(point.keeping.schedule.as_ref()),
        kept_until: point.keeping.until.map(time),
        held: point.keeping.held,
        ..Default::default()
    }
}

/// The id of a point in the field of its kind: that of a DR backup or that of a regular one.
pub(super) fn ids(point: PointId) -> (String, String) {
    match point.kind {
        PointKind::Dr => (point.to_string(), String::new()),
        PointKind::Regular => (String::new(), point.to_string()),
    }
}

fn consistency(consistency: &Consistency) -> pb::Consistency {
    pb::Consistency {
        level: level(consistency.level).into(),
        skew: consistency
            .skew_ms
            .map(|skew| duration(Duration::from_millis(skew))),
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

fn summary(restoration: &Restoration) -> pb::RestorationSummary {
    pb::RestorationSummary {
        id: restoration.id.to_string(),
        instance_id: restoration.instance.to_string(),
        instance_name: restoration.instance_name.clone(),
        state: progress::state(restoration.head.state).into(),
        create_time: Some(time(restoration.head.created)),
        cloud: restoration.tenant.cloud.to_string(),
        tenant: restoration.tenant.project.to_string(),
    }
}

/// What is asked for by `CreateDRBackup` and `CreateBackup`.
pub(in crate::api) fn create(
    kind: PointKind,
    message: pb::CreateDrBackupRequest,
    limits: &RequestSettings,
) -> Result<CreatePoint, Error> {
    let mut fields = Fields::new(limits);
    let ask = CreatePoint {
        kind,
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

/// The message of an update that holds the point.
pub(in crate::api) fn message(kind: PointKind) -> &'static str {
    match kind {
        PointKind::Dr => "dr_backup",
        PointKind::Regular => "backup",
    }
}

/// What is asked for by `UpdateDRBackup` and `UpdateBackup`. Without a mask, what is given of what may
/// change is changed.
pub(in crate::api) fn update(
    kind: PointKind,
    asked: pb::UpdateDrBackupRequest,
    limits: &RequestSettings,
) -> Result<UpdatePoint, Error> {
    let mut fields = Fields::new(limits);
    let within = message(kind);
    let field = |name: &str| format!("{within}.{name}");
    let Some(wanted) = asked.dr_backup else {
        return Err(Error::field(within, "is required"));
    };
    let given = [
        !wanted.name.is_empty(),
        !wanted.description.is_empty(),
        wanted.kept_until.is_some(),
        wanted.held,
    ];
    let given = CHANGEABLE.into_iter().zip(given);
    let given: BTreeSet<&str> = match asked.update_mask {
        Some(_) => BTreeSet::new(),
        None => given
            .filter_map(|(field, given)| given.then_some(field))
            .collect(),
    };
    let named = named(&mut fields, asked.update_mask.as_ref(), &CHANGEABLE, given);
    let changed = |field| named.contains(field);
    let (name, description) = (changed("name"), changed("description"));
    if name && wanted.name.trim().is_empty() {
        fields.bad(&field("name"), "is required");
    }
    let ask = UpdatePoint {
        id: PointId {
            kind,
            id: fields.id(&field("id"), &wanted.id),
        },
        name: name.then(|| fields.name(&field("name"), wanted.name)),
        description: description
            .then(|| fields.description(&field("description"), wanted.description)),
        keeping: Rekeeping {
            until: changed("kept_until")
                .then(|| fields.moment(&field("kept_until"), wanted.kept_until)),
            held: changed("held").then_some(wanted.held),
        },
        etag: wanted.etag,
        request_id: fields.request_id(asked.request_id),
    };
    fields.done().map(|()| ask)
}

/// What is asked for by `DeleteDRBackup` and `DeleteBackup`.
pub(in crate::api) fn delete(
    kind: PointKind,
    message: pb::DeleteDrBackupRequest,
    limits: &RequestSettings,
) -> Result<DeletePoint, Error> {
    let mut fields = Fields::new(limits);
    let ask = DeletePoint {
        allow_missing_cloud: message.allow_missing_cloud,
        id: PointId {
            kind,
            id: fields.id("id", &message.id),
        },
        etag: message.etag,
        request_id: fields.request_id(message.request_id),
    };
    fields.done().map(|()| ask)
}

#[cfg(test)]
mod tests {
    use prost_types::FieldMask;

    use super::*;
    use crate::domain::{error::ErrorKind, time::Timestamp};

    fn update_of(wanted: pb::DrBackup, paths: Option<&[&str]>) -> Result<UpdatePoint, Error> {
        let update_mask = paths.map(|paths| FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        });
        let message = pb::UpdateDrBackupRequest {
            dr_backup: Some(wanted),
            update_mask,
            request_id: String::new(),
        };
        update(PointKind::Dr, message, &RequestSettings::default())
    }

    fn wanted() -> pb::DrBackup {
        pb::DrBackup {
            id: uuid::Uuid::nil().to_string(),
            name: "new".to_owned(),
            kept_until: Some(prost_types::Timestamp {
                seconds: 1,
                nanos: 0,
            }),
            ..pb::DrBackup::default()
        }
    }

    #[test]
    fn a_bad_create_tells_all_of_it() {
        let message = pb::CreateDrBackupRequest {
            capture: 77,
            ..Default::default()
        };
        let error = create(PointKind::Dr, message, &RequestSettings::default()).expect_err("empty");
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
        assert_eq!(ask.keeping.until, Some(Some(Timestamp(1_000_000))));
        assert_eq!(ask.keeping.held, None);
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
    fn a_mask_can_take_back_a_hold_and_an_end() {
        let free = pb::DrBackup {
            kept_until: None,
            ..wanted()
        };
        let ask = update_of(free, Some(&["held", "kept_until"])).expect("good");
        assert_eq!(ask.keeping.until, Some(None));
        assert_eq!(ask.keeping.held, Some(false));
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
