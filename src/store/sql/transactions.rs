//! The methods of the port, each of them one transaction; it may not know how a transaction begins
//! and ends.

use async_trait::async_trait;
use futures::FutureExt as _;
use tokio::sync::watch;

use super::{
    Db, admission, dialect, effect, event, history, mirror, operation, orphan, point, request,
    restoration, secret, sweep, verification,
};
use crate::{
    domain::{
        audit::Object,
        caller::Scope,
        event::Event,
        id::{InstanceId, OperationId, PointId, ResourceId, RestorationId, Tenant},
        operation::{Leftover, Operation, UnderWay},
        orphan::{Aim, DeletionResult, Known, Sweep},
        page::{Page, PageKey, Query},
        point::Point,
        restoration::Restoration,
        time::Timestamp,
        volume_backup::BackupAt,
    },
    port::store::{Admitted, Asked, Looked, PointsStanding, RequestKey, Store, StoreError},
    store::{aside, notifier::CommitNotice},
};

#[async_trait]
impl Store for Db {
    async fn point_answered(&self, key: &RequestKey) -> Result<Option<Point>, StoreError> {
        let key = key.clone();
        self.read(move |conn| async move { admission::answered(conn, &key).await }.boxed())
            .await
    }

    async fn restoration_answered(
        &self,
        key: &RequestKey,
    ) -> Result<Option<Restoration>, StoreError> {
        let key = key.clone();
        self.read(move |conn| async move { admission::answered(conn, &key).await }.boxed())
            .await
    }

    async fn point_admit(
        &self,
        asked: Asked,
        point: Point,
        operation: Operation,
    ) -> Result<Admitted<Point>, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move { admission::admit(conn, &asked, point, Some(&operation), now).await }
                .boxed()
        })
        .await
    }

    async fn point_take_in(
        &self,
        asked: Asked,
        point: Point,
    ) -> Result<Admitted<Point>, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move { admission::take_in(conn, &asked, point, now).await }.boxed()
        })
        .await
    }

    async fn point_change(
        &self,
        asked: Asked,
        point: Point,
        operation: Option<Operation>,
    ) -> Result<Admitted<Point>, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move { admission::change(conn, &asked, point, operation, now).await }.boxed()
        })
        .await
    }

    async fn point_get(&self, id: PointId) -> Result<Point, StoreError> {
        self.read(move |conn| point::get(conn, id).boxed())
            .await?
            .ok_or(StoreError::NotFound(ResourceId::Point(id)))
    }

    async fn points_list(&self, query: Query) -> Result<Page<Point>, StoreError> {
        let limit = self.page_limit(query.limit);
        self.read(move |conn| point::page(conn, query, limit).boxed())
            .await
    }

    async fn restorations_of(
        &self,
        source: PointId,
        scope: &Scope,
        limit: u32,
    ) -> Result<Vec<Restoration>, StoreError> {
        let (scope, limit) = (scope.clone(), i64::from(self.page_limit(limit)));
        self.read(move |conn| restoration::of_source(conn, source, scope, limit).boxed())
            .await
    }

    async fn mirrors_list(&self, id: PointId) -> Result<Vec<BackupAt>, StoreError> {
        self.read(move |conn| mirror::list(conn, id).boxed()).await
    }

    async fn mirrors_of(&self, tenant: &Tenant) -> Result<Vec<(BackupAt, bool)>, StoreError> {
        let tenant = tenant.clone();
        self.read(move |conn| async move { mirror::of_tenant(conn, &tenant).await }.boxed())
            .await
    }

    async fn points_verified(
        &self,
        looks: Vec<Looked>,
        seen: Vec<BackupAt>,
        gone: Vec<BackupAt>,
    ) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                mirror::looked(conn, &seen, &gone).await?;
                let events = verification::put(conn, &looks, now).await?;
                Ok(((), CommitNotice::of(events)))
            }
            .boxed()
        })
        .await
    }

    async fn points_standing(&self) -> Result<Vec<PointsStanding>, StoreError> {
        self.snapshot(|conn| verification::standing(conn).boxed())
            .await
    }

    async fn leftovers(&self, resource: ResourceId) -> Result<Vec<Leftover>, StoreError> {
        self.snapshot(move |conn| effect::leftovers(conn, resource).boxed())
            .await
    }

    async fn restoration_admit(
        &self,
        asked: Asked,
        restoration: Restoration,
        operation: Operation,
    ) -> Result<Admitted<Restoration>, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move { admission::admit(conn, &asked, restoration, Some(&operation), now).await }
                .boxed()
        })
        .await
    }

    async fn restoration_change(
        &self,
        asked: Asked,
        restoration: Restoration,
        operation: Operation,
    ) -> Result<Admitted<Restoration>, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move { admission::change(conn, &asked, restoration, Some(operation), now).await }
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
        asked: Asked,
        resource: ResourceId,
        time: Timestamp,
        keep_volumes: bool,
    ) -> Result<bool, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                // A repeated request must not cancel an operation that began since the first one.
                let key = asked.key.as_ref();
                if let Some(key) = key
                    && request::find(conn, key).await?.is_some()
                {
                    return Ok((true, CommitNotice::NONE));
                }
                let cancelled = operation::cancel(conn, resource, time, keep_volumes).await?;
                let Some(tenant) = cancelled else {
                    return Ok((false, CommitNotice::NONE));
                };
                request::claim(conn, key, resource, now).await?;
                admission::keep_present(conn, key, resource).await?;
                let note = asked.note(Object::resource(resource, &tenant), now);
                Ok((true, CommitNotice::ADMISSIONS.with(note)))
            }
            .boxed()
        })
        .await
    }

    async fn operations_under_way(&self) -> Result<Vec<UnderWay>, StoreError> {
        self.read(|conn| operation::under_way(conn).boxed()).await
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

    fn version(&self) -> Option<u64> {
        self.version_now()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.notifier().changes()
    }

    fn unread(&self) -> Vec<(&'static str, u64)> {
        aside::counted()
    }

    async fn page_key(&self) -> Result<PageKey, StoreError> {
        self.read(move |conn| secret::page_key(conn).boxed()).await
    }

    async fn history_prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let limit = self.page_limit(limit);
        self.write(move |conn| {
            async move {
                if !dialect::history_hold(conn).await? {
                    return Ok((0, CommitNotice::NONE));
                }
                let removed = history::prune(conn, before, limit).await?;
                Ok((removed, CommitNotice::NONE))
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
    ) -> Result<Option<Vec<DeletionResult>>, StoreError> {
        let key = key.clone();
        self.read(move |conn| async move { orphan::answered(conn, &key).await }.boxed())
            .await
    }

    async fn orphans_answer(
        &self,
        asked: Asked,
        tenant: &Tenant,
        accepted: Timestamp,
        answer: &[DeletionResult],
    ) -> Result<(), StoreError> {
        let (tenant, answer) = (tenant.clone(), answer.to_vec());
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                if let Some(key) = &asked.key {
                    orphan::answer(conn, key, &answer, now).await?;
                }
                let note = orphan::ended(&asked, &tenant, &answer, (accepted, now));
                Ok(((), CommitNotice::NONE.with(note)))
            }
            .boxed()
        })
        .await
    }

    async fn sweeps_claim(
        &self,
        aim: Aim,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Tenant>, StoreError> {
        let limit = self.page_limit(limit);
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                Ok((
                    sweep::claim(conn, aim, before, now, limit).await?,
                    CommitNotice::NONE,
                ))
            }
            .boxed()
        })
        .await
    }

    async fn sweep_record(&self, aim: Aim, done: &Sweep) -> Result<(), StoreError> {
        let done = done.clone();
        self.write(move |conn| {
            async move {
                sweep::record(conn, aim, &done).await?;
                Ok(((), CommitNotice::NONE))
            }
            .boxed()
        })
        .await
    }

    async fn sweeps_list(&self, aim: Aim) -> Result<Vec<Sweep>, StoreError> {
        self.read(move |conn| sweep::list(conn, aim).boxed()).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // With a row that is written, because a store that can only be read is not up.
        self.write(|conn| {
            async move {
                event::ping(conn).await?;
                dialect::room(conn).await?;
                Ok(((), CommitNotice::NONE))
            }
            .boxed()
        })
        .await
    }
}
