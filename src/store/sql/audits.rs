//! The methods of the port of the audit, each of them one transaction; it may not know how a transaction
//! begins and ends.

use async_trait::async_trait;
use futures::FutureExt as _;

use super::{Db, audit, dialect};
use crate::{
    domain::{
        audit::{Ends, Entry, Note},
        time::Timestamp,
    },
    port::{audit::Audit, store::StoreError},
    store::notifier::CommitNotice,
};

#[async_trait]
impl Audit for Db {
    async fn audit_note(&self, note: Note) -> Result<(), StoreError> {
        self.write(move |_| async move { Ok(((), CommitNotice::NONE.with(note))) }.boxed())
            .await
    }

    async fn audit_page(&self, after: u64, limit: u32) -> Result<(Ends, Vec<Entry>), StoreError> {
        let limit = i64::from(self.page_limit(limit));
        self.snapshot(move |conn| audit::page(conn, after, limit).boxed())
            .await
    }

    async fn audit_prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let limit = i64::from(self.page_limit(limit));
        self.write(move |conn| {
            async move {
                if !dialect::history_hold(conn).await? {
                    return Ok((0, CommitNotice::NONE));
                }
                let removed = audit::prune(conn, before, limit).await?;
                Ok((removed, CommitNotice::NONE))
            }
            .boxed()
        })
        .await
    }
}
