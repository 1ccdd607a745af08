//! The methods of the journal, each of them one transaction; it may not know how a transaction begins
//! and ends.

use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use tokio::sync::watch;

use super::{
    Db, dialect, lane,
    turn::{self, LaneTurn},
};
use crate::{
    domain::id::{Lane, OperationId, ReplicaId, ResourceId},
    port::journal::{Journal, JournalError, Loaded, Turn},
    store::notifier::CommitNotice,
};

#[async_trait]
impl Journal for Db {
    fn admissions(&self) -> watch::Receiver<u64> {
        self.notifier().admissions()
    }

    async fn lanes_claim(
        &self,
        replica: &ReplicaId,
        lease: Duration,
        limit: u32,
        unread: &[OperationId],
    ) -> Result<Vec<Lane>, JournalError> {
        let (replica, unread) = (replica.clone(), unread.to_vec());
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                let now = dialect::lease_time(conn, now).await?;
                let claimed = lane::claim(conn, &replica, now, lease, limit, &unread).await?;
                Ok((claimed, CommitNotice::NONE))
            }
            .boxed()
        })
        .await
    }

    async fn lane_release(&self, lane: &Lane) -> Result<(), JournalError> {
        let lane = lane.clone();
        self.write(move |conn| {
            async move {
                lane::release(conn, &lane).await?;
                Ok(((), CommitNotice::NONE))
            }
            .boxed()
        })
        .await
    }

    async fn replica_leave(&self, replica: &ReplicaId) -> Result<(), JournalError> {
        let replica = replica.clone();
        self.write(move |conn| {
            async move {
                lane::leave(conn, &replica).await?;
                // The others take over at once what they hear of.
                Ok(((), CommitNotice::ADMISSIONS))
            }
            .boxed()
        })
        .await
    }

    async fn lane_load(&self, lane: &Lane, known: &[OperationId]) -> Result<Loaded, JournalError> {
        let lane = lane.clone();
        let known = known.to_vec();
        self.snapshot(move |conn| async move { turn::load(conn, &lane, &known).await }.boxed())
            .await
    }

    async fn operation_set_aside(
        &self,
        lane: &Lane,
        resource: ResourceId,
        why: &str,
    ) -> Result<(), JournalError> {
        let (lane, why) = (lane.clone(), why.to_owned());
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                lane::check(conn, &lane).await?;
                let told = turn::set_aside(conn, resource, &why, now).await?;
                Ok(((), CommitNotice::of(told.into_iter().collect())))
            }
            .boxed()
        })
        .await
    }

    async fn turn_record(&self, lane: &Lane, turns: Vec<Turn>) -> Result<(), JournalError> {
        let lane = lane.clone();
        self.record(LaneTurn { lane, turns }).await
    }
}
