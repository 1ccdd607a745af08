//! Cinder backups and their records; this file may not know which DR backup they belong to.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    access::Access,
    call::Call,
    path::Path,
    thing::cinder_everywhere,
    version::Microversion,
    wire::{as_gib, cut, flag, gib, nullable, short},
};
use crate::domain::{
    effect::Presence,
    fault::{Fault, FaultKind, Service},
    id::{ProjectId, SnapshotId, VolumeBackupId, VolumeId},
    inventory::Right,
    record::{BackupRecord, Exported},
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
};

const CINDER: Service = Service::BlockStorage;

/// The volume of a record that is not taken in yet.
const NO_VOLUME: &str = "00000000-0000-0000-0000-000000000000";
/// From here on the name and description of a backup may be changed.
const UPDATE: Microversion = Microversion(3, 9);
/// From here on an admin is told the project of a backup.
pub(super) const PROJECT: Microversion = Microversion(3, 18);

/// A backup as Cinder shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Backup {
    id: String,
    /// `null` while an import is under way.
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default, deserialize_with = "short")]
    status: String,
    #[serde(default, deserialize_with = "gib")]
    size: u64,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    data_timestamp: Option<String>,
    #[serde(default)]
    volume_id: Option<String>,
    #[serde(default)]
    snapshot_id: Option<String>,
    #[serde(default)]
    fail_reason: Option<String>,
    #[serde(default)]
    container: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    is_incremental: bool,
    #[serde(default, rename = "os-backup-project-attr:project_id")]
    project: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct One {
    pub(super) backup: Backup,
}

impl Backup {
    /// Whether it knows of no bytes: of no volume, and without a place in the store, as an import makes
    /// it first. It knows no driver either, so that Cinder deletes its row and touches nothing else.
    fn is_bare(&self) -> bool {
        self.container.as_deref().is_none_or(str::is_empty)
            && self.volume_id.as_deref() == Some(NO_VOLUME)
    }

    /// Whether its bytes are those of a volume itself, and not of a snapshot of it.
    pub(super) fn is_of_volume(&self, volume: &str) -> bool {
        self.volume_id.as_deref() == Some(volume)
    }

    /// Whether its bytes are those of a snapshot.
    pub(super) fn is_of_snapshot(&self, snapshot: &str) -> bool {
        self.snapshot_id.as_deref() == Some(snapshot)
    }

    fn use_of(&self) -> Use {
        match (self.is_bare(), self.status.eq_ignore_ascii_case("error")) {
            (true, true) => Use::FailedImport,
            (true, false) => Use::PendingImport,
            (false, _) => Use::Live,
        }
    }

    pub(super) fn sighting(self) -> Sighting {
        Sighting {
            thing: Thing {
                kind: ThingKind::VolumeBackup,
                id: self.id,
            },
            name: self.name,
            tags: Vec::new(),
            status: self.status.to_lowercase(),
            message: self.fail_reason.filter(|reason| !reason.is_empty()),
            created: self.created_at.as_deref().and_then(Timestamp::parse),
            size_gib: Some(self.size),
            incremental: self.is_incremental,
            data_timestamp: self.data_timestamp.as_deref().and_then(Timestamp::parse),
            volume: self.volume_id.map(VolumeId::new),
        }
    }
}

/// Makes a backup of a volume, from its snapshot where there is one. Without a snapshot `force`
/// allows a volume in use.
pub(super) async fn make(
    access: &Access,
    name: &str,
    volume: &VolumeId,
    snapshot: Option<&SnapshotId>,
    description: &str,
    incremental: bool,
) -> Result<String, Fault> {
    let mut backup = Map::new();
    backup.insert("volume_id".to_owned(), json!(volume));
    backup.insert("name".to_owned(), json!(name));
    backup.insert("description".to_owned(), json!(cut(description)));
    backup.insert("incremental".to_owned(), json!(incremental));
    match snapshot {
        Some(snapshot) => backup.insert("snapshot_id".to_owned(), json!(snapshot)),
        None => backup.insert("force".to_owned(), json!(true)),
    };
    let call = Call::post(
        CINDER,
        "backups",
        format!("create the volume backup {name} of the volume {volume}"),
        json!({ "backup": backup }),
    );
    let made = access.read::<One>(&call).await?.backup;
    call.tells_of(name, &made.name)?;
    Ok(made.id)
}

/// Restores a backup into a volume that exists.
pub(super) async fn restore(
    access: &Access,
    backup: &VolumeBackupId,
    volume: &VolumeId,
) -> Result<(), Fault> {
    let call = Call::post(
        CINDER,
        Path::of("backups", &backup).word("restore"),
        format!("restore the volume backup {backup} into the volume {volume}"),
        json!({"restore": {"volume_id": volume}}),
    );
    let fault = match access.send(&call).await {
        Ok(_) => return Ok(()),
        Err(fault) if fault.kind == FaultKind::Busy => fault,
        Err(fault) => return Err(fault),
    };
    // Most that keeps a backup from being restored passes; `error` does not.
    let seen = Call::get(
        CINDER,
        Path::of("backups", &backup),
        format!("look at the volume backup {backup}"),
    );
    let seen: Option<One> = access.read_if_there(&seen).await?;
    let hopeless = seen.is_some_and(|seen| seen.backup.status.eq_ignore_ascii_case("error"));
    Err(Fault {
        kind: if hopeless {
            FaultKind::Broken
        } else {
            FaultKind::Busy
        },
        ..fault
    })
}

/// A backup that Cinder is writing at the moment, in whatever project, of what `is_of` looks for.
pub(super) async fn being_written(
    access: &Access,
    is_of: impl Fn(&Backup) -> bool,
) -> Result<Option<Thing>, Fault> {
    let action = "look for volume backups that are being written";
    let call = cinder_everywhere(access, "backups/detail", action).await?;
    let call = call.query("status", "creating");
    let rows: Vec<Backup> = access.pages(call, "backups").await?;
    let found = rows.into_iter().find(is_of);
    Ok(found.map(|one| one.sighting().thing))
}

/// Gives a backup a description. A Cinder that is too old for it keeps the one it has.
pub(super) async fn describe(
    access: &Access,
    backup: &VolumeBackupId,
    description: &str,
) -> Result<(), Fault> {
    let version = access.first_of(CINDER, &[UPDATE]).await?;
    if version.is_none() {
        tracing::info!(%backup, "this Cinder cannot change the description of a backup");
        return Ok(());
    }
    let call = Call::put(
        CINDER,
        Path::of("backups", &backup),
        format!("describe the volume backup {backup}"),
        json!({"backup": {"description": cut(description)}}),
    );
    access.send(&call.at(version)).await?;
    Ok(())
}

#[derive(Deserialize)]
struct First {
    backups: Vec<Backup>,
}

#[derive(Deserialize)]
struct Export {
    #[serde(rename = "backup-record")]
    record: ExportedRecord,
}

#[derive(Deserialize)]
struct ExportedRecord {
    backup_service: String,
    backup_url: String,
}

/// What an increment of each of these volumes would build on: the newest usable backup of it in the
/// project, whoever made it.
pub(super) async fn parents(access: &Access, volumes: &[VolumeId]) -> Result<Vec<Sighting>, Fault> {
    let call = Call::get(CINDER, "backups/detail", "list the volume backups");
    let there: Vec<Backup> = access.pages(call, "backups").await?;
    let seen: Vec<Sighting> = there.into_iter().map(Backup::sighting).collect();
    let newest = volumes.iter().filter_map(|volume| {
        // Lists begin with the newest, and of equals the last one counts.
        let older_first = seen.iter().rev();
        older_first
            .filter(|one| one.volume.as_ref() == Some(volume))
            .filter(|one| one.status == "available" && one.data_timestamp.is_some())
            .max_by_key(|one| one.data_timestamp)
    });
    Ok(newest.cloned().collect())
}

/// Exports the record of a backup, and reads out of it what no list tells.
pub(super) async fn export(access: &Access, backup: &VolumeBackupId) -> Result<Exported, Fault> {
    let action = format!("export the record of the volume backup {backup}");
    let call = Call::get(
        CINDER,
        Path::of("backups", &backup).word("export_record"),
        action.as_str(),
    );
    let exported: Export = access.read(&call).await?;
    let fields = fields_of(&exported.record.backup_url).ok_or_else(|| {
        Fault::new(
            FaultKind::Broken,
            CINDER,
            action,
            "the record is not the base64 of a JSON object",
        )
    })?;
    let record = BackupRecord {
        service: exported.record.backup_service,
        url: exported.record.backup_url,
    };
    let text = |field: &str| fields.get(field).and_then(Value::as_str);
    Ok(Exported {
        record,
        parent: text("parent_id")
            .filter(|parent| !parent.is_empty())
            .map(VolumeBackupId::new),
        size_gib: fields.get("size").and_then(Value::as_u64).map(as_gib),
        data_timestamp: text("data_timestamp").and_then(Timestamp::parse),
    })
}

/// Whether records may be exported with this access. By default only the role `admin` lets one do it, so
/// that is taken at its word; any other policy shows in a record of a volume backup that is there. Cinder
/// looks for the volume backup first and asks the policy second (seen on Zed and 2026.1), so one that is not
/// there tells nothing, and the right is unknown where there is none.
pub(super) async fn export_right(access: &Access) -> Result<Right, Fault> {
    if access.token().await?.is_admin() {
        return Ok(Right::Granted);
    }
    let list = Call::get(CINDER, "backups", "list the volume backups").query("limit", "1");
    let first: First = access.read(&list).await?;
    let Some(one) = first.backups.into_iter().next() else {
        return Ok(Right::Unknown);
    };
    let call = Call::get(
        CINDER,
        Path::of("backups", &one.id).word("export_record"),
        "see whether records may be exported",
    );
    judged(access.send(&call).await)
}

/// Whether records may be imported with this access. Cinder asks the policy before it looks into the record,
/// and takes none without an id: so one without is refused in any case, and how tells (403 to a member, 400
/// to an admin, seen on Zed and 2026.1).
pub(super) async fn import_right(access: &Access) -> Result<Right, Fault> {
    if access.token().await?.is_admin() {
        return Ok(Right::Granted);
    }
    let call = Call::post(
        CINDER,
        "backups/import_record",
        "see whether records may be imported",
        json!({"backup-record": {"backup_service": "none", "backup_url": STANDARD.encode("{}")}}),
    );
    judged(access.send(&call).await)
}

/// What an answer says about the right to ask: anything but a refusal comes behind the policy.
fn judged<T>(answer: Result<T, Fault>) -> Result<Right, Fault> {
    match answer {
        Err(fault) if fault.kind == FaultKind::Forbidden => Ok(Right::Refused(fault.to_string())),
        Err(fault) if fault.concerns_the_cloud() || fault.kind == FaultKind::Unanswered => {
            Err(fault)
        }
        Ok(_) | Err(_) => Ok(Right::Granted),
    }
}

/// The fields of a record; nothing when it cannot be read.
fn fields_of(url: &str) -> Option<Map<String, Value>> {
    // Releases differ in the alphabet and the padding.
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = [&alphabet::STANDARD, &alphabet::URL_SAFE]
        .into_iter()
        .find_map(|alphabet| {
            GeneralPurpose::new(alphabet, config)
                .decode(url.trim())
                .ok()
        })?;
    serde_json::from_slice(&decoded).ok()
}

/// Imports a record into the project of `access`.
pub(super) async fn import(
    access: &Access,
    backup: &VolumeBackupId,
    record: &BackupRecord,
) -> Result<String, Fault> {
    let call = Call::post(
        CINDER,
        "backups/import_record",
        format!("import the record of the volume backup {backup}"),
        json!({"backup-record": {
            "backup_service": record.service,
            "backup_url": record.url,
        }}),
    )
    .hiding(&record.url);
    let imported = access.read::<One>(&call).await?.backup.id;
    if imported == backup.as_str() {
        return Ok(imported);
    }
    Err(Fault::new(
        FaultKind::Unanswered,
        CINDER,
        format!("import the record of the volume backup {backup}"),
        format!("the answer speaks of the volume backup {imported}"),
    ))
}

/// Frees a record that is stuck, as an admin may: one whose bytes are there gets the status `available`.
/// What is at rest, gone or going is left alone, and so is what Cinder is still writing. It is looked at
/// right before.
///
/// One that is being restored is freed only to `interrupt_restore` that restore: Cinder cancels it then, and leaves
/// its volume in `error`. A record that knows of no bytes is beyond every call: Cinder takes a reset of it
/// and does nothing.
pub(super) async fn reset_status(
    access: &Access,
    backup: &VolumeBackupId,
    interrupt_restore: bool,
) -> Result<(), Fault> {
    let call = Call::get(
        CINDER,
        Path::of("backups", &backup),
        format!("look at the volume backup {backup}"),
    );
    let Some(One { backup: seen }) = access.read_if_there(&call).await? else {
        return Ok(());
    };
    let action = format!("free the volume backup {backup}, which is {}", seen.status);
    let refused = |why| Err(Fault::new(FaultKind::Invalid, CINDER, action.as_str(), why));
    let status = seen.status.to_lowercase();
    match (status.as_str(), seen.is_bare()) {
        ("available" | "error" | "deleting" | "error_deleting", _) | ("creating", false) => Ok(()),
        (_, true) => refused(
            "its import has not ended, and Cinder gives one up only when its cinder-backup is started anew",
        ),
        ("restoring", false) if !interrupt_restore => refused(
            "somebody else restores it; where that restore is lost, an admin may reset the status to \
             available, which ends it",
        ),
        ("restoring", false) => {
            let reset = json!({"os-reset_status": {"status": "available"}});
            let path = Path::of("backups", &backup).word("action");
            let call = Call::post(CINDER, path, action.as_str(), reset);
            access.send(&call).await.map(drop)
        }
        // Nothing but a restore that was lost is ended by force.
        (_, false) => Err(Fault::new(
            FaultKind::Busy,
            CINDER,
            action.as_str(),
            "no service's death leaves that behind: somebody works on it",
        )),
    }
}

/// Deletes the row that a failed import has left, looked at right before: whoever has imported the record since
/// then would lose its bytes, because a deletion takes those of the original.
pub(super) async fn clear_failed_import(
    access: &Access,
    backup: &VolumeBackupId,
) -> Result<(), Fault> {
    let path = Path::of("backups", &backup);
    let action = format!("clear away the failed import of the volume backup {backup}");
    let call = Call::get(CINDER, path.clone(), action.as_str());
    let Some(One { backup: seen }) = access.read_if_there(&call).await? else {
        return Ok(());
    };
    let going = seen.status.eq_ignore_ascii_case("deleting");
    match seen.use_of() {
        Use::Live => return Ok(()),
        Use::PendingImport if !going => return Ok(()),
        Use::PendingImport => {}
        Use::FailedImport => {
            access
                .send(&Call::delete(CINDER, path, action.as_str()))
                .await?;
        }
    }
    Err(Fault::new(
        FaultKind::Busy,
        CINDER,
        action,
        "its deletion has not ended yet",
    ))
}

/// What a record is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It has its bytes.
    Live,
    /// Its import has failed.
    FailedImport,
    /// Its import has not ended.
    PendingImport,
}

/// A volume backup that was found, the project that it is in, and what it is good for there.
type FoundRecord = (VolumeBackupId, ProjectId, Use);

/// Which of `wanted` are there, and where: by one list of each project, then the rest one by one by an
/// admin, who sees all projects. Whether records may be imported is not asked.
pub(super) async fn presence(
    projects: &[Access],
    admin: Option<&Access>,
    wanted: &[VolumeBackupId],
) -> Result<Presence, Fault> {
    let mut seen: Vec<FoundRecord> = Vec::new();
    let mut rest: Vec<&VolumeBackupId> = wanted.iter().collect();
    rest.sort();
    rest.dedup();
    for access in projects {
        if rest.is_empty() {
            break;
        }
        let call = Call::get(CINDER, "backups/detail", "list the volume backups");
        let there: Vec<Backup> = access.pages(call, "backups").await?;
        rest.retain(|wanted| {
            let here = there.iter().find(|backup| backup.id == wanted.as_str());
            if let Some(backup) = here {
                let project = access.project.clone();
                seen.push(((*wanted).clone(), project, backup.use_of()));
            }
            here.is_none()
        });
    }
    if let Some(admin) = admin.filter(|_| !rest.is_empty()) {
        let version = admin.first_of(CINDER, &[PROJECT]).await?;
        let asked: Vec<_> = rest
            .into_iter()
            .map(|wanted| look_for(admin, wanted, version))
            .collect();
        let found: Vec<Option<FoundRecord>> = stream::iter(asked)
            .buffered(admin.session.connection.limits().side_by_side)
            .try_collect()
            .await?;
        seen.extend(found.into_iter().flatten());
    }
    let of_use = |wanted: Use| {
        let of_use = seen.iter().filter(|(_, _, of_use)| *of_use == wanted);
        of_use
            .map(|(id, project, _)| (id.clone(), project.clone()))
            .collect()
    };
    Ok(Presence {
        live: of_use(Use::Live),
        failed_imports: of_use(Use::FailedImport),
        pending_imports: of_use(Use::PendingImport),
        import: Right::Unknown,
    })
}

async fn look_for(
    admin: &Access,
    wanted: &VolumeBackupId,
    version: Option<Microversion>,
) -> Result<Option<FoundRecord>, Fault> {
    let call = Call::get(
        CINDER,
        Path::of("backups", &wanted),
        format!("look for the volume backup {wanted}"),
    );
    let found: Option<One> = admin.read_if_there(&call.at(version)).await?;
    Ok(found.map(|found| {
        let of_use = found.backup.use_of();
        let project = found.backup.project;
        let project = project.map_or_else(|| admin.project.clone(), ProjectId::new);
        (wanted.clone(), project, of_use)
    }))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn a_record_is_read_out_of_any_base64() {
        let child = r#"{"id": "b", "parent_id": "a", "x": "??>>"}"#;
        for url in [STANDARD.encode(child), URL_SAFE_NO_PAD.encode(child)] {
            let fields = fields_of(&url).expect("readable");
            assert_eq!(fields["parent_id"], "a");
        }
        assert_eq!(fields_of("!"), None);
    }
}
