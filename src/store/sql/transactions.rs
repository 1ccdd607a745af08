//! The methods of the port, each of them one transaction; it may not know how a transaction begins
//! and ends.

use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use tokio::sync::watch;

use super::{
    Conn, Db, dialect, dr_backup, event, history, lane, link, mirror, operation, orphan,
    request::{self, Before, Claim},
    restoration, sweep, turn,
};
use crate::{
    domain::{
        dr_backup::{DrBackup, Mirror},
        event::Event,
        id::{
            DrBackupId, InstanceId, Lane, OperationId, ReplicaId, ResourceId, RestorationId, Tenant,
        },
        lifecycle::State,
        operation::Operation,
        orphan::{Farewell, Known, Sweep},
        page::{Page, Query},
        restoration::Restoration,
        time::Timestamp,
    },
    port::store::{Admitted, OpenOperation, RequestKey, Store, StoreError, Turn},
    store::{text, wake::Wake},
};

#[async_trait]
impl Store for Db {
    async fn dr_backup_answered(&self, key: &RequestKey) -> Result<Option<DrBackup>, StoreError> {
        let key = key.clone();
        self.read(move |conn| {
            async move {
                match request::find(conn, &key).await? {
                    Some(before) => dr_backup_before(conn, before).await.map(Some),
                    None => Ok(None),
                }
            }
            .boxed()
        })
        .await
    }

    async fn restoration_answered(
        &self,
        key: &RequestKey,
    ) -> Result<Option<Restoration>, StoreError> {
        let key = key.clone();
        self.read(move |conn| {
            async move {
                match request::find(conn, &key).await? {
                    Some(before) => restoration_before(conn, before).await.map(Some),
                    None => Ok(None),
                }
            }
            .boxed()
        })
        .await
    }

    async fn dr_backup_admit(
        &self,
        key: Option<RequestKey>,
        mut backup: DrBackup,
        operation: Operation,
    ) -> Result<Admitted<DrBackup>, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                let about = ResourceId::DrBackup(backup.id);
                let key = key.as_ref();
                if let Claim::Before(before) = request::claim(conn, key, about, now).await? {
                    let before = dr_backup_before(conn, before).await?;
                    return Ok((Admitted::Before(before), Wake::NONE));
                }
                backup.revision = FIRST_REVISION;
                dr_backup::insert(conn, &backup).await?;
                operation::insert(conn, &operation).await?;
                request::keep(conn, key, || dr_backup::answer(&backup)).await?;
                event::append(conn, &[dr_backup::event_of(&backup)?]).await?;
                Ok((Admitted::New(backup), Wake::BOTH))
            }
            .boxed()
        })
        .await
    }

    async fn dr_backup_change(
        &self,
        key: Option<RequestKey>,
        backup: DrBackup,
        operation: Option<Operation>,
    ) -> Result<Admitted<DrBackup>, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                let about = ResourceId::DrBackup(backup.id);
                let key = key.as_ref();
                if let Claim::Before(before) = request::claim(conn, key, about, now).await? {
                    let before = dr_backup_before(conn, before).await?;
                    return Ok((Admitted::Before(before), Wake::NONE));
                }
                // The row is locked by this change before the restorations are looked at: one that
                // is admitted meanwhile waits for us and then sees the deletion. An increment that is
                // being made meanwhile is not known to build on it yet: there Cinder refuses.
                let changed = dr_backup::change(conn, &backup).await?;
                if changed.state == State::DeletionScheduled {
                    let busy = restoration::busy(conn, backup.id).await?;
                    if !busy.is_empty() {
                        return Err(StoreError::InUse(busy));
                    }
                    let heirs = link::heirs(conn, backup.id).await?;
                    if !heirs.is_empty() {
                        return Err(StoreError::BuiltUpon(heirs));
                    }
                }
                let wake = follow(conn, operation).await?;
                request::keep(conn, key, || dr_backup::answer(&changed)).await?;
                event::append(conn, &[dr_backup::event_of(&changed)?]).await?;
                Ok((Admitted::New(changed), wake))
            }
            .boxed()
        })
        .await
    }

    async fn dr_backup_get(&self, id: DrBackupId) -> Result<DrBackup, StoreError> {
        self.read(move |conn| dr_backup::get(conn, id).boxed())
            .await?
            .ok_or(StoreError::NotFound(ResourceId::DrBackup(id)))
    }

    async fn dr_backups_list(&self, query: Query) -> Result<Page<DrBackup>, StoreError> {
        let limit = self.page_limit(query.limit);
        self.read(move |conn| dr_backup::page(conn, query, limit).boxed())
            .await
    }

    async fn dr_backup_restorations(
        &self,
        id: DrBackupId,
        limit: u32,
    ) -> Result<Vec<Restoration>, StoreError> {
        let limit = i64::from(self.page_limit(limit));
        self.read(move |conn| restoration::of_dr_backup(conn, id, limit).boxed())
            .await
    }

    async fn mirrors_list(&self, id: DrBackupId) -> Result<Vec<Mirror>, StoreError> {
        self.read(move |conn| mirror::list(conn, id).boxed()).await
    }

    async fn restoration_admit(
        &self,
        key: Option<RequestKey>,
        mut restoration: Restoration,
        operation: Operation,
    ) -> Result<Admitted<Restoration>, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                let about = ResourceId::Restoration(restoration.id);
                let key = key.as_ref();
                if let Claim::Before(before) = request::claim(conn, key, about, now).await? {
                    let before = restoration_before(conn, before).await?;
                    return Ok((Admitted::Before(before), Wake::NONE));
                }
                check_not_leaving(conn, restoration.dr_backup).await?;
                restoration.revision = FIRST_REVISION;
                restoration::insert(conn, &restoration).await?;
                operation::insert(conn, &operation).await?;
                request::keep(conn, key, || restoration::answer(&restoration)).await?;
                event::append(conn, &[restoration::event_of(&restoration)?]).await?;
                Ok((Admitted::New(restoration), Wake::BOTH))
            }
            .boxed()
        })
        .await
    }

    async fn restoration_change(
        &self,
        key: Option<RequestKey>,
        restoration: Restoration,
        operation: Operation,
    ) -> Result<Admitted<Restoration>, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                let about = ResourceId::Restoration(restoration.id);
                let key = key.as_ref();
                if let Claim::Before(before) = request::claim(conn, key, about, now).await? {
                    let before = restoration_before(conn, before).await?;
                    return Ok((Admitted::Before(before), Wake::NONE));
                }
                let changed = restoration::change(conn, &restoration).await?;
                let wake = follow(conn, Some(operation)).await?;
                request::keep(conn, key, || restoration::answer(&changed)).await?;
                event::append(conn, &[restoration::event_of(&changed)?]).await?;
                Ok((Admitted::New(changed), wake))
            }
            .boxed()
        })
        .await
    }

    async fn restoration_get(&self, id: RestorationId) -> Result<Restoration, StoreError> {
        self.read(move |conn| restoration::get(conn, id).boxed())
            .await?
            .ok_or(StoreError::NotFound(ResourceId::Restoration(id)))
    }

    async fn restoration_of_instance(
        &self,
        instance: InstanceId,
    ) -> Result<Option<Restoration>, StoreError> {
        self.read(move |conn| restoration::of_instance(conn, instance).boxed())
            .await
    }

    async fn restorations_list(&self, query: Query) -> Result<Page<Restoration>, StoreError> {
        let limit = self.page_limit(query.limit);
        self.read(move |conn| restoration::page(conn, query, limit).boxed())
            .await
    }

    async fn operation_cancel(
        &self,
        key: Option<RequestKey>,
        resource: ResourceId,
        time: Timestamp,
    ) -> Result<bool, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                // A repeated request must not cancel an operation that began since the first one.
                if let Some(key) = &key
                    && request::find(conn, key).await?.is_some()
                {
                    return Ok((true, Wake::NONE));
                }
                if !operation::cancel(conn, resource, time).await? {
                    return Ok((false, Wake::NONE));
                }
                let key = key.as_ref();
                request::claim(conn, key, resource, now).await?;
                keep_present(conn, key, resource).await?;
                Ok((true, Wake::ADMISSIONS))
            }
            .boxed()
        })
        .await
    }

    async fn events_list(
        &self,
        resource: ResourceId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let limit = i64::from(self.page_limit(limit));
        self.read(move |conn| event::list(conn, resource, after, limit).boxed())
            .await
    }

    async fn changes_list(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<(Vec<ResourceId>, u64), StoreError> {
        let limit = i64::from(self.page_limit(limit));
        self.read(move |conn| event::changes(conn, after, limit).boxed())
            .await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.wakes().changes()
    }

    fn admissions(&self) -> watch::Receiver<u64> {
        self.wakes().admissions()
    }

    async fn lanes_claim(
        &self,
        replica: &ReplicaId,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Lane>, StoreError> {
        let replica = replica.clone();
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                let now = dialect::lease_time(conn, now).await?;
                let claimed = lane::claim(conn, &replica, now, lease, limit).await?;
                Ok((claimed, Wake::NONE))
            }
            .boxed()
        })
        .await
    }

    async fn lane_release(&self, lane: &Lane) -> Result<(), StoreError> {
        let lane = lane.clone();
        self.write(move |conn| {
            async move {
                lane::release(conn, &lane).await?;
                Ok(((), Wake::NONE))
            }
            .boxed()
        })
        .await
    }

    async fn replica_leave(&self, replica: &ReplicaId) -> Result<(), StoreError> {
        let replica = replica.clone();
        self.write(move |conn| {
            async move {
                lane::leave(conn, &replica).await?;
                // The others take over at once what they hear of.
                Ok(((), Wake::ADMISSIONS))
            }
            .boxed()
        })
        .await
    }

    async fn lane_load(
        &self,
        lane: &Lane,
        known: &[OperationId],
    ) -> Result<Vec<OpenOperation>, StoreError> {
        let lane = lane.clone();
        let known = known.to_vec();
        self.snapshot(move |conn| async move { turn::load(conn, &lane, &known).await }.boxed())
            .await
    }

    async fn turn_record(&self, lane: &Lane, turns: Vec<Turn>) -> Result<(), StoreError> {
        let lane = lane.clone();
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                let changes = turn::record(conn, &lane, turns, now).await?;
                let wake = Wake {
                    changes,
                    admissions: false,
                };
                Ok(((), wake))
            }
            .boxed()
        })
        .await
    }

    async fn history_prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let limit = self.page_limit(limit);
        self.write(move |conn| {
            async move {
                if !dialect::history_hold(conn).await? {
                    return Ok((0, Wake::NONE));
                }
                let removed = history::prune(conn, before, limit).await?;
                Ok((removed, Wake::NONE))
            }
            .boxed()
        })
        .await
    }

    async fn orphans_known(
        &self,
        tenant: &Tenant,
        operations: &[OperationId],
        things: &[String],
    ) -> Result<Known, StoreError> {
        let (tenant, operations, things) = (tenant.clone(), operations.to_vec(), things.to_vec());
        self.snapshot(move |conn| {
            async move { orphan::known(conn, &tenant, &operations, &things).await }.boxed()
        })
        .await
    }

    async fn orphans_answered(
        &self,
        key: &RequestKey,
    ) -> Result<Option<Vec<Farewell>>, StoreError> {
        let key = key.clone();
        self.read(move |conn| async move { orphan::answered(conn, &key).await }.boxed())
            .await
    }

    async fn orphans_answer(
        &self,
        key: &RequestKey,
        answer: &[Farewell],
    ) -> Result<(), StoreError> {
        let (key, answer) = (key.clone(), answer.to_vec());
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                orphan::answer(conn, &key, &answer, now).await?;
                Ok(((), Wake::NONE))
            }
            .boxed()
        })
        .await
    }

    async fn sweeps_claim(&self, before: Timestamp, limit: u32) -> Result<Vec<Tenant>, StoreError> {
        let limit = self.page_limit(limit);
        let now = self.clock().now();
        self.write(move |conn| {
            async move { Ok((sweep::claim(conn, before, now, limit).await?, Wake::NONE)) }.boxed()
        })
        .await
    }

    async fn sweep_record(&self, done: &Sweep) -> Result<(), StoreError> {
        let done = done.clone();
        self.write(move |conn| {
            async move {
                sweep::record(conn, &done).await?;
                Ok(((), Wake::NONE))
            }
            .boxed()
        })
        .await
    }

    async fn sweeps_list(&self) -> Result<Vec<Sweep>, StoreError> {
        self.read(|conn| sweep::list(conn).boxed()).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // With a row that is written, because a store that can only be read is not up.
        self.write(|conn| {
            async move {
                event::ping(conn).await?;
                Ok(((), Wake::NONE))
            }
            .boxed()
        })
        .await
    }
}

/// What a resource is admitted with; from then on every event is one revision.
const FIRST_REVISION: i64 = 1;

/// Writes the operation that follows a change, where one does.
async fn follow(conn: &mut Conn, operation: Option<Operation>) -> Result<Wake, StoreError> {
    let Some(operation) = operation else {
        return Ok(Wake::CHANGES);
    };
    operation::insert(conn, &operation).await?;
    Ok(Wake::BOTH)
}

/// Refuses when a DR backup is gone or going; holds it as it is until the end of the transaction.
async fn check_not_leaving(conn: &mut Conn, id: DrBackupId) -> Result<(), StoreError> {
    let outdated = StoreError::Outdated(ResourceId::DrBackup(id));
    let Some(state) = dialect::dr_backup_hold(conn, id).await? else {
        return Err(outdated);
    };
    match text::state(&state)? {
        State::DeletionScheduled | State::Deleting | State::Deleted => Err(outdated),
        State::CreationScheduled
        | State::Creating
        | State::Ok
        | State::Erred
        | State::UpdateScheduled
        | State::Updating => Ok(()),
    }
}

/// What a repeat of a request about a DR backup answers.
async fn dr_backup_before(conn: &mut Conn, before: Before) -> Result<DrBackup, StoreError> {
    let gone = StoreError::NotFound(before.about);
    let ResourceId::DrBackup(id) = before.about else {
        return Err(gone);
    };
    if let Some(backup) = dr_backup::get(conn, id).await? {
        return Ok(backup);
    }
    before
        .answer
        .map_or(Err(gone), |text| dr_backup::answered(&text))
}

/// What a repeat of a request about a restoration answers.
async fn restoration_before(conn: &mut Conn, before: Before) -> Result<Restoration, StoreError> {
    let gone = StoreError::NotFound(before.about);
    let ResourceId::Restoration(id) = before.about else {
        return Err(gone);
    };
    if let Some(restoration) = restoration::get(conn, id).await? {
        return Ok(restoration);
    }
    before
        .answer
        .map_or(Err(gone), |text| restoration::answered(&text))
}

/// Keeps a resource as it is as the answer to a request.
async fn keep_present(
    conn: &mut Conn,
    key: Option<&RequestKey>,
    about: ResourceId,
) -> Result<(), StoreError> {
    if key.is_none() {
        return Ok(());
    }
    match about {
        ResourceId::DrBackup(id) => match dr_backup::get(conn, id).await? {
            Some(backup) => request::keep(conn, key, || dr_backup::answer(&backup)).await,
            None => Ok(()),
        },
        ResourceId::Restoration(id) => match restoration::get(conn, id).await? {
            Some(one) => request::keep(conn, key, || restoration::answer(&one)).await,
            None => Ok(()),
        },
    }
}
