//! What regular backups alone have, as messages, and requests about them by the words of those about DR
//! backups; it may not know whether it may be done.

use super::{
    number,
    point::{Depth, Message, words},
    text, time,
};
use crate::{
    api::pb,
    domain::{id::PointKind, manifest::Manifest, point::Point, volume_snapshot::VolumeSnapshot},
};

impl Message for pb::Backup {
    const KIND: PointKind = PointKind::Regular;
    const LIST: &'static str = "ListBackups";

    fn told(point: Point, depth: Depth<'_>) -> Self {
        let manifest = point.detail.manifest.as_deref();
        let snapshots = point.detail.snapshots().iter();
        let snapshots = match depth {
            Depth::Checked | Depth::Basic => Vec::new(),
            Depth::Full { .. } => snapshots.map(|one| snapshot(one, manifest)).collect(),
        };
        let words = words(point, depth);
        Self {
            id: words.id,
            name: words.name,
            description: words.description,
            cloud: words.cloud,
            tenant: words.tenant,
            instance_id: words.instance_id,
            instance_name: words.instance_name,
            state: words.state,
            runtime_state: words.runtime_state,
            progress: words.progress,
            error: words.error,
            metadata: words.metadata,
            snapshots,
            consistency: words.consistency,
            recoverable: words.recoverable,
            unrecoverable_reason: words.unrecoverable_reason,
            verified_time: words.verified_time,
            restorations: words.restorations,
            schedule_id: words.schedule_id,
            kept_until: words.kept_until,
            held: words.held,
            create_time: words.create_time,
            update_time: words.update_time,
            etag: words.etag,
        }
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

impl From<pb::CreateBackupRequest> for pb::CreateDrBackupRequest {
    fn from(message: pb::CreateBackupRequest) -> Self {
        Self {
            cloud: message.cloud,
            tenant: message.tenant,
            instance_id: message.instance_id,
            name: message.name,
            description: message.description,
            time_limit: message.time_limit,
            request_id: message.request_id,
            validate_only: message.validate_only,
            kept_until: message.kept_until,
            held: message.held,
            minimum_consistency: message.minimum_consistency,
            ..Self::default()
        }
    }
}

impl From<pb::ListBackupsRequest> for pb::ListDrBackupsRequest {
    fn from(message: pb::ListBackupsRequest) -> Self {
        Self {
            page_size: message.page_size,
            page_token: message.page_token,
            filter: message.filter,
            order_by: message.order_by,
            view: message.view,
        }
    }
}

impl From<pb::UpdateBackupRequest> for pb::UpdateDrBackupRequest {
    fn from(message: pb::UpdateBackupRequest) -> Self {
        // The other fields are told alone.
        let wanted = message.backup.map(|wanted| pb::DrBackup {
            id: wanted.id,
            name: wanted.name,
            description: wanted.description,
            kept_until: wanted.kept_until,
            held: wanted.held,
            etag: wanted.etag,
            ..Default::default()
        });
        Self {
            dr_backup: wanted,
            update_mask: message.update_mask,
            request_id: message.request_id,
        }
    }
}

impl From<pb::DeleteBackupRequest> for pb::DeleteDrBackupRequest {
    fn from(message: pb::DeleteBackupRequest) -> Self {
        Self {
            id: message.id,
            etag: message.etag,
            request_id: message.request_id,
            allow_missing_cloud: message.allow_missing_cloud,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::convert::point::update,
        domain::{
            error::{Error, ErrorKind},
            id::PointId,
            time::Timestamp,
        },
        service::{point::UpdatePoint, settings::RequestSettings},
    };

    fn update_of(wanted: pb::Backup, paths: &[&str]) -> Result<UpdatePoint, Error> {
        let message = pb::UpdateBackupRequest {
            backup: Some(wanted),
            update_mask: Some(prost_types::FieldMask {
                paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            }),
            request_id: String::new(),
        };
        update(
            PointKind::Regular,
            message.into(),
            &RequestSettings::default(),
        )
    }

    #[test]
    fn all_that_may_change_arrives() {
        let id = uuid::Uuid::from_u128(7);
        let wanted = pb::Backup {
            id: id.to_string(),
            name: "new".to_owned(),
            description: "text".to_owned(),
            kept_until: Some(prost_types::Timestamp {
                seconds: 1,
                nanos: 0,
            }),
            held: true,
            etag: "1".to_owned(),
            ..pb::Backup::default()
        };
        let ask = update_of(wanted, &["*"]).expect("good");
        assert_eq!(ask.id, PointId::regular(id));
        assert_eq!(ask.name.as_deref(), Some("new"));
        assert_eq!(ask.description.as_deref(), Some("text"));
        assert_eq!(ask.keeping.until, Some(Some(Timestamp(1_000_000))));
        assert_eq!((ask.keeping.held, ask.etag.as_str()), (Some(true), "1"));
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
        let error = update_of(bad, &["*", "state"]).expect_err("bad");
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
    }
}
