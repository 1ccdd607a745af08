//! Admits what is asked about DR backups; it may not know how a DR backup is made.

use std::time::Duration;

use super::{
    Service, content, refused,
    request::{Check, answer, check_etag, nothing_to_cancel},
    scope::Fields,
};
use crate::{
    domain::{
        capture::Capture,
        consistency::{Aim, ConsistencyLevel},
        dr_backup::{DrBackup, DrBackupDetail, Mirror},
        error::Error,
        id::{DrBackupId, ResourceId, ServerId, Tenant},
        keeping::{Keeping, Rekeeping},
        lifecycle::{State, Transition},
        operation::{Ask, Operation},
        page::{Filter, Order, Page, Query},
        progress::Progress,
        verification::Verification,
    },
    port::store::RequestKey,
};

/// What `CreateDRBackup` asks for.
#[derive(Debug, Clone)]
pub struct CreateDrBackup {
    /// Where the instance lives.
    pub tenant: Tenant,
    /// The instance.
    pub server: ServerId,
    /// Empty means the name of the instance.
    pub name: String,
    /// Mirrored to the Cinder backups.
    pub description: String,
    /// How.
    pub capture: Capture,
    /// Whether each volume backup builds on the newest one of its volume, where there is one.
    pub incremental: bool,
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

/// What `UpdateDRBackup` asks for; what is nothing stays.
#[derive(Debug, Clone)]
pub struct UpdateDrBackup {
    /// Which.
    pub id: DrBackupId,
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

/// What `DeleteDRBackup` asks for.
#[derive(Debug, Clone)]
pub struct DeleteDrBackup {
    /// Which.
    pub id: DrBackupId,
    /// Whether what lies in a cloud that does not answer may be forgotten.
    pub allow_missing_cloud: bool,
    /// The etag it was read with; empty means any.
    pub etag: String,
    /// Makes a repeat harmless; empty means none.
    pub request_id: String,
}

impl Service {
    /// Admits a new DR backup: from here on it happens, or is undone, whatever dies.
    pub async fn dr_backup_create(&self, ask: CreateDrBackup) -> Result<DrBackup, Error> {
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
        let key = content::create_dr_backup(&ask);
        if let Some(answer) = self.dr_backup_answered(key.as_ref()).await? {
            return Ok(answer);
        }
        let aim = Aim::DrBackup(ask.capture);
        let instance_name = self
            .look_at_instance(&ask.tenant, &ask.server, aim, ask.minimum, Fields::PLAIN)
            .await?;
        let validate_only = ask.validate_only;
        let (backup, operation) = self.dr_backup_prepare(ask, instance_name).await?;
        if validate_only {
            self.rehearse(&operation).await?;
            return Ok(backup);
        }
        let admitted = self
            .store
            .dr_backup_admit(key, backup, operation)
            .await
            .map_err(refused)?;
        Ok(answer(admitted))
    }

    /// A DR backup that was not admitted yet, with the operation that makes it.
    pub(super) async fn dr_backup_prepare(
        &self,
        ask: CreateDrBackup,
        instance_name: String,
    ) -> Result<(DrBackup, Operation), Error> {
        let seen = self.seen_per_gib(&ask.tenant, &ask.server).await?;
        let now = self.clock.now();
        let id = DrBackupId(self.clock.new_id());
        let name = if ask.name.is_empty() {
            instance_name.clone()
        } else {
            ask.name
        };
        let backup = DrBackup {
            id,
            name,
            description: ask.description.clone(),
            tenant: ask.tenant.clone(),
            server: ask.server.clone(),
            instance_name,
            capture: ask.capture,
            keeping: ask.keeping,
            state: State::CreationScheduled,
            runtime_state: "Scheduled".to_owned(),
            progress: Progress::default(),
            error: None,
            detail: DrBackupDetail::default(),
            verification: Verification::default(),
            created: now,
            updated: now,
            revision: 1,
        };
        let creation = Ask::CreateDrBackup {
            server: ask.server,
            capture: ask.capture,
            description: ask.description,
            incremental: ask.incremental,
            minimum: ask.minimum,
        };
        let operation = self.operation(
            ResourceId::DrBackup(id),
            ask.tenant,
            creation,
            State::CreationScheduled,
            ask.deadline,
            seen,
        );
        Ok((backup, operation))
    }

    /// How long a GiB took when the instance was backed up the last time, if it ever was.
    async fn seen_per_gib(
        &self,
        tenant: &Tenant,
        server: &ServerId,
    ) -> Result<Option<Duration>, Error> {
        let last = Query {
            filter: Filter {
                cloud: Some(tenant.cloud.clone()),
                project: Some(tenant.project.clone()),
                server: Some(server.clone()),
                states: vec![State::Ok],
                ..Filter::default()
            },
            order: Order::default(),
            after: None,
            skip: 0,
            limit: 1,
        };
        let last = self.store.dr_backups_list(last).await.map_err(refused)?;
        let last = last.items.into_iter().next();
        Ok(last.and_then(|backup| backup.detail.took_per_gib()))
    }

    /// One DR backup.
    pub async fn dr_backup_get(&self, id: DrBackupId) -> Result<DrBackup, Error> {
        self.store.dr_backup_get(id).await.map_err(refused)
    }

    /// A page of DR backups.
    pub async fn dr_backups_list(&self, query: Query) -> Result<Page<DrBackup>, Error> {
        let page = self.store.dr_backups_list(query.clone()).await;
        let of = Filter {
            schedule: query.filter.schedule,
            ..Filter::default()
        };
        self.honest_of(&query, page.map_err(refused)?, of).await
    }

    /// The imported records that are known of every link that a DR backup holds.
    pub async fn dr_backup_mirrors(&self, id: DrBackupId) -> Result<Vec<Mirror>, Error> {
        self.store.mirrors_list(id).await.map_err(refused)
    }

    /// Admits new words for a DR backup; a new description goes to the Cinder backups too.
    pub async fn dr_backup_update(&self, ask: UpdateDrBackup) -> Result<DrBackup, Error> {
        let mut check = Check::default();
        let (name, description) = (ask.name.as_deref(), ask.description.as_deref());
        if let Some(name) = name {
            check.present("dr_backup.name", name);
        }
        self.check_words(&mut check, "dr_backup.", name, description);
        check.at_most(
            "request_id",
            &ask.request_id,
            self.limits.request_id_characters,
        );
        check.done()?;
        let key = content::update_dr_backup(&ask);
        if let Some(answer) = self.dr_backup_answered(key.as_ref()).await? {
            return Ok(answer);
        }
        let mut backup = self.dr_backup_get(ask.id).await?;
        check_etag(&ask.etag, backup.revision, "the DR backup")?;
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
        // A name lives with us alone; only a description has to travel.
        if let Some(description) = described {
            backup.description.clone_from(&description);
            if !backup.detail.volume_backups.is_empty() {
                let ask = Ask::UpdateDrBackup {
                    description,
                    backups: originals(&backup),
                };
                operation = Some(self.follow_up(&backup, scheduled, ask));
                backup.state = scheduled;
                "Update scheduled".clone_into(&mut backup.runtime_state);
            }
        }
        backup.updated = self.clock.now();
        let admitted = self
            .store
            .dr_backup_change(key, backup, operation)
            .await
            .map_err(refused)?;
        Ok(answer(admitted))
    }

    /// Admits the deletion of a DR backup with its bytes.
    pub async fn dr_backup_delete(&self, ask: DeleteDrBackup) -> Result<DrBackup, Error> {
        let key = content::delete_dr_backup(&ask);
        if let Some(answer) = self.dr_backup_answered(key.as_ref()).await? {
            return Ok(answer);
        }
        let mut backup = self.dr_backup_get(ask.id).await?;
        check_etag(&ask.etag, backup.revision, "the DR backup")?;
        backup
            .keeping
            .check_deletable(&ResourceId::DrBackup(backup.id))?;
        let scheduled = backup.moved(Transition::ScheduleDeletion)?;
        let mirrors = self.dr_backup_mirrors(ask.id).await?;
        let backups = originals(&backup);
        // The mirror of what was inherited is the owner's, or that of nobody here.
        let is_own = |mirror: &Mirror| backups.iter().any(|own| own.backup == mirror.backup);
        let mirrors: Vec<Mirror> = mirrors
            .into_iter()
            .filter(|mirror| is_own(mirror) && !backups.contains(mirror))
            .collect();
        let resource = ResourceId::DrBackup(backup.id);
        let leftovers = self.store.leftovers(resource).await.map_err(refused)?;
        let places = backups.iter().chain(&mirrors).map(|one| &one.tenant);
        let places = places.chain(leftovers.iter().map(|one| &one.tenant));
        let missing = self.missing_clouds(ask.allow_missing_cloud, places).await;
        let deletion = Ask::DeleteDrBackup {
            backups,
            mirrors,
            leftovers,
            missing,
        };
        let operation = self.follow_up(&backup, scheduled, deletion);
        backup.state = scheduled;
        "Deletion scheduled".clone_into(&mut backup.runtime_state);
        backup.updated = self.clock.now();
        let admitted = self
            .store
            .dr_backup_change(key, backup, Some(operation))
            .await
            .map_err(refused)?;
        Ok(answer(admitted))
    }

    /// Cancels whatever is under way with a DR backup; it ends in `ERRED` with nothing left behind.
    pub async fn dr_backup_cancel(
        &self,
        id: DrBackupId,
        request_id: &str,
    ) -> Result<DrBackup, Error> {
        let key = content::cancel_dr_backup(id, request_id);
        if let Some(answer) = self.dr_backup_answered(key.as_ref()).await? {
            return Ok(answer);
        }
        let backup = self.dr_backup_get(id).await?;
        let resource = ResourceId::DrBackup(id);
        let now = self.clock.now();
        if !self
            .store
            .operation_cancel(key, resource, now, false)
            .await
            .map_err(refused)?
        {
            return Err(nothing_to_cancel(&resource, backup.state));
        }
        self.dr_backup_get(id).await
    }

    /// The answer to the first copy of this request, so that a repeat is not refused because of the
    /// very change that the first one made.
    async fn dr_backup_answered(
        &self,
        key: Option<&RequestKey>,
    ) -> Result<Option<DrBackup>, Error> {
        match key {
            None => Ok(None),
            Some(key) => self.store.dr_backup_answered(key).await.map_err(refused),
        }
    }

    fn follow_up(&self, backup: &DrBackup, state: State, ask: Ask) -> Operation {
        let resource = ResourceId::DrBackup(backup.id);
        let seen = backup.detail.took_per_gib();
        self.operation(resource, backup.tenant.clone(), ask, state, None, seen)
    }
}

/// The volume backups that it made, where it made them.
fn originals(backup: &DrBackup) -> Vec<Mirror> {
    let backups = backup.detail.own_backups();
    backups
        .map(|one| Mirror {
            backup: one.id.clone(),
            tenant: one.tenant.clone(),
        })
        .collect()
}
