//! Admits what is asked about regular backups; it may not know how one is made.

use std::time::Duration;

use super::{
    Service, content, refused,
    request::{Check, answer, check_etag, nothing_to_cancel},
    scope::Fields,
};
use crate::{
    domain::{
        backup::{Backup, BackupDetail},
        consistency::{Aim, ConsistencyLevel},
        error::Error,
        id::{BackupId, ResourceId, ServerId, Tenant},
        keeping::{Keeping, Rekeeping},
        lifecycle::{State, Transition},
        operation::{Ask, Operation},
        page::{Filter, Page, Query},
        progress::Progress,
        verification::Verification,
    },
    port::store::RequestKey,
};

/// What `CreateBackup` asks for.
#[derive(Debug, Clone)]
pub struct CreateBackup {
    /// Where the instance lives.
    pub tenant: Tenant,
    /// The instance.
    pub server: ServerId,
    /// Empty means the name of the instance.
    pub name: String,
    /// Mirrored to the snapshots.
    pub description: String,
    /// How well the volumes have to agree at least.
    pub minimum: Option<ConsistencyLevel>,
    /// How long it is kept.
    pub keeping: Keeping,
    /// How long it may take; nothing means the configured limit.
    pub deadline: Option<Duration>,
    /// Only check it.
    pub validate_only: bool,
    /// Makes a repeat harmless; empty means none.
    pub request_id: String,
}

/// What `UpdateBackup` asks for; what is nothing stays.
#[derive(Debug, Clone)]
pub struct UpdateBackup {
    /// Which.
    pub id: BackupId,
    /// The new name.
    pub name: Option<String>,
    /// The new description.
    pub description: Option<String>,
    /// How long it is kept from now on.
    pub keeping: Rekeeping,
    /// The etag it was read with; empty means any.
    pub etag: String,
    /// Makes a repeat harmless; empty means none.
    pub request_id: String,
}

/// What `DeleteBackup` asks for.
#[derive(Debug, Clone)]
pub struct DeleteBackup {
    /// Which.
    pub id: BackupId,
    /// Whether what lies in a cloud that does not answer may be forgotten.
    pub allow_missing_cloud: bool,
    /// The etag it was read with; empty means any.
    pub etag: String,
    /// Makes a repeat harmless; empty means none.
    pub request_id: String,
}

impl Service {
    /// Admits a new regular backup: from here on it happens, or is undone, whatever dies.
    pub async fn backup_create(&self, ask: CreateBackup) -> Result<Backup, Error> {
        let mut check = Check::default();
        check.present("cloud", ask.tenant.cloud.as_str());
        check.present("tenant", ask.tenant.project.as_str());
        check.present("instance_id", ask.server.as_str());
        self.check_words(&mut check, "", Some(&ask.name), Some(&ask.description));
        check.at_most(
            "request_id",
            &ask.request_id,
            self.limits.request_id_characters,
        );
        check.done()?;
        let key = content::create_backup(&ask);
        if let Some(answer) = self.backup_answered(key.as_ref()).await? {
            return Ok(answer);
        }
        let instance_name = self
            .look_at_instance(
                &ask.tenant,
                &ask.server,
                Aim::Backup,
                ask.minimum,
                Fields::PLAIN,
            )
            .await?;
        let validate_only = ask.validate_only;
        let (backup, operation) = self.backup_prepare(ask, instance_name);
        if validate_only {
            self.rehearse(&operation).await?;
            return Ok(backup);
        }
        let admitted = self
            .store
            .backup_admit(key, backup, operation)
            .await
            .map_err(refused)?;
        Ok(answer(admitted))
    }

    /// A regular backup that was not admitted yet, with the operation that makes it.
    pub(super) fn backup_prepare(
        &self,
        ask: CreateBackup,
        instance_name: String,
    ) -> (Backup, Operation) {
        let now = self.clock.now();
        let id = BackupId(self.clock.new_id());
        let name = if ask.name.is_empty() {
            instance_name.clone()
        } else {
            ask.name
        };
        let backup = Backup {
            id,
            name,
            description: ask.description.clone(),
            tenant: ask.tenant.clone(),
            server: ask.server.clone(),
            instance_name,
            keeping: ask.keeping,
            state: State::CreationScheduled,
            runtime_state: "Scheduled".to_owned(),
            progress: Progress::default(),
            error: None,
            detail: BackupDetail::default(),
            verification: Verification::default(),
            created: now,
            updated: now,
            revision: 1,
        };
        let creation = Ask::CreateBackup {
            server: ask.server,
            description: ask.description,
            minimum: ask.minimum,
        };
        let operation = self.operation(
            ResourceId::Backup(id),
            ask.tenant,
            creation,
            State::CreationScheduled,
            ask.deadline,
            None,
        );
        (backup, operation)
    }

    /// One regular backup.
    pub async fn backup_get(&self, id: BackupId) -> Result<Backup, Error> {
        self.store.backup_get(id).await.map_err(refused)
    }

    /// A page of regular backups.
    pub async fn backups_list(&self, query: Query) -> Result<Page<Backup>, Error> {
        let page = self.store.backups_list(query.clone()).await;
        let of = Filter {
            schedule: query.filter.schedule,
            ..Filter::default()
        };
        self.honest_of(&query, page.map_err(refused)?, of).await
    }

    /// Admits new words for a regular backup, and how long it is kept; a new description goes to its
    /// snapshots too.
    pub async fn backup_update(&self, ask: UpdateBackup) -> Result<Backup, Error> {
        let mut check = Check::default();
        let (name, description) = (ask.name.as_deref(), ask.description.as_deref());
        if let Some(name) = name {
            check.present("backup.name", name);
        }
        self.check_words(&mut check, "backup.", name, description);
        check.at_most(
            "request_id",
            &ask.request_id,
            self.limits.request_id_characters,
        );
        check.done()?;
        let key = content::update_backup(&ask);
        if let Some(answer) = self.backup_answered(key.as_ref()).await? {
            return Ok(answer);
        }
        let mut backup = self.backup_get(ask.id).await?;
        check_etag(&ask.etag, backup.revision, "the regular backup")?;
        let scheduled = backup.moved(Transition::ScheduleUpdate)?;
        if let Some(name) = ask.name {
            backup.name = name;
        }
        ask.keeping.apply(&mut backup.keeping);
        // What failed to travel before has to set out again, although the words are the same.
        let failed = backup.state == State::Erred;
        let described = ask
            .description
            .filter(|text| failed || *text != backup.description);
        let mut operation = None;
        // The rest lives with us alone; only a description has to travel.
        if let Some(description) = described {
            backup.description.clone_from(&description);
            let snapshots = backup.detail.snapshots.iter();
            let snapshots: Vec<_> = snapshots.map(|one| one.id.clone()).collect();
            if !snapshots.is_empty() {
                let ask = Ask::UpdateBackup {
                    description,
                    snapshots,
                };
                operation = Some(self.backup_operation(&backup, scheduled, ask));
                backup.state = scheduled;
                "Update scheduled".clone_into(&mut backup.runtime_state);
            }
        }
        backup.updated = self.clock.now();
        let admitted = self
            .store
            .backup_change(key, backup, operation)
            .await
            .map_err(refused)?;
        Ok(answer(admitted))
    }

    /// Admits the deletion of a regular backup with its snapshots.
    pub async fn backup_delete(&self, ask: DeleteBackup) -> Result<Backup, Error> {
        let key = content::delete_backup(&ask);
        if let Some(answer) = self.backup_answered(key.as_ref()).await? {
            return Ok(answer);
        }
        let mut backup = self.backup_get(ask.id).await?;
        check_etag(&ask.etag, backup.revision, "the regular backup")?;
        backup
            .keeping
            .check_deletable(&ResourceId::Backup(backup.id))?;
        let scheduled = backup.moved(Transition::ScheduleDeletion)?;
        let detail = Box::new(backup.detail.clone());
        let resource = ResourceId::Backup(backup.id);
        let leftovers = self.store.leftovers(resource).await.map_err(refused)?;
        let places = leftovers.iter().map(|one| &one.tenant);
        let missing = self
            .missing_clouds(ask.allow_missing_cloud, places.chain([&backup.tenant]))
            .await;
        let deletion = Ask::DeleteBackup {
            detail,
            leftovers,
            missing,
        };
        let operation = self.backup_operation(&backup, scheduled, deletion);
        backup.state = scheduled;
        "Deletion scheduled".clone_into(&mut backup.runtime_state);
        backup.updated = self.clock.now();
        let admitted = self
            .store
            .backup_change(key, backup, Some(operation))
            .await
            .map_err(refused)?;
        Ok(answer(admitted))
    }

    /// Cancels whatever is under way with a regular backup; it ends in `ERRED` with nothing left behind.
    pub async fn backup_cancel(&self, id: BackupId, request_id: &str) -> Result<Backup, Error> {
        let key = content::cancel_backup(id, request_id);
        if let Some(answer) = self.backup_answered(key.as_ref()).await? {
            return Ok(answer);
        }
        let backup = self.backup_get(id).await?;
        let resource = ResourceId::Backup(id);
        let now = self.clock.now();
        if !self
            .store
            .operation_cancel(key, resource, now, false)
            .await
            .map_err(refused)?
        {
            return Err(nothing_to_cancel(&resource, backup.state));
        }
        self.backup_get(id).await
    }

    /// The answer to the first copy of this request, so that a repeat is not refused because of the
    /// very change that the first one made.
    async fn backup_answered(&self, key: Option<&RequestKey>) -> Result<Option<Backup>, Error> {
        match key {
            None => Ok(None),
            Some(key) => self.store.backup_answered(key).await.map_err(refused),
        }
    }

    fn backup_operation(&self, backup: &Backup, state: State, ask: Ask) -> Operation {
        let resource = ResourceId::Backup(backup.id);
        self.operation(resource, backup.tenant.clone(), ask, state, None, None)
    }
}
