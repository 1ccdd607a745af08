//! Who owns which lane, and until when; it may not know what is done in a lane.

use std::time::Duration;

use diesel::{
    dsl::{count_star, sql},
    expression::SqlLiteral,
    prelude::*,
    sql_types::{BigInt, Bool},
};
use diesel_async::RunQueryDsl;

use super::{Conn, Handle, dialect, operation, prepared::Prepared};
use crate::{
    domain::{
        id::{Lane, OperationId, ReplicaId},
        time::Timestamp,
    },
    port::{journal::JournalError, store::StoreError},
    store::{
        schema::{lanes, operations, replicas},
        text::tenant,
    },
};

#[derive(Insertable)]
#[diesel(table_name = lanes, treat_none_as_default_value = false)]
struct Row {
    cloud: String,
    project: String,
    owner: Option<String>,
    epoch: i64,
    expires_at: i64,
    attended_at: i64,
}

type Key = (String, String, i64);

/// Refuses when the lane is not owned in that epoch; holds it until the end of the transaction, so
/// that nobody takes the lane over between this look and the commit. Where somebody else holds it now it
/// waits, or refuses too.
pub(super) async fn hold(
    conn: &mut Handle<'_>,
    lane: &Lane,
    waits: bool,
) -> Result<(), JournalError> {
    if dialect::lane_hold(conn, lane, waits).await? {
        return Ok(());
    }
    Err(JournalError::Fenced(lane.tenant.clone()))
}

/// Refuses the same way, without holding anything: for reads.
pub(super) async fn check(conn: &mut Conn, lane: &Lane) -> Result<(), JournalError> {
    let owned: Option<i64> = lanes::table
        .find((lane.tenant.cloud.as_str(), lane.tenant.project.as_str()))
        .filter(lanes::epoch.eq(lane.epoch))
        .filter(lanes::owner.is_not_null())
        .select(lanes::epoch)
        .first(conn)
        .await
        .optional()?;
    match owned {
        Some(_) => Ok(()),
        None => Err(JournalError::Fenced(lane.tenant.clone())),
    }
}

/// Says that a replica takes part, renews its lanes that have work, and takes over its share of
/// those that nobody owns, `limit` in all.
pub(super) async fn claim(
    conn: &mut Conn,
    replica: &ReplicaId,
    now: Timestamp,
    lease: Duration,
    limit: u32,
    unread: &[OperationId],
) -> Result<Vec<Lane>, StoreError> {
    let expires = now.after(lease);
    announce(conn, replica, expires).await?;
    let mut claimed = renew(conn, replica, now, expires, limit, unread).await?;
    let owned = i64::try_from(claimed.len()).unwrap_or(i64::MAX);
    let room = i64::from(limit).saturating_sub(owned);
    if room > 0 {
        let mut orphaned = orphaned(conn, replica, now, room, unread).await?;
        if !orphaned.is_empty() {
            let room = share(conn, now).await?.saturating_sub(owned);
            orphaned.truncate(usize::try_from(room).unwrap_or(0));
            claimed.extend(take_over(conn, replica, now, expires, orphaned).await?);
        }
    }
    Ok(claimed
        .into_iter()
        .map(|(cloud, project, epoch)| Lane {
            tenant: tenant(cloud, project),
            epoch,
        })
        .collect())
}

/// Lanes in which there is something to do. A lane without work is let go when its lease ends, so
/// that its next work goes to whoever has room then. What is `unread` is no work.
fn has_work(unread: &[OperationId]) -> SqlLiteral<Bool> {
    let besides = besides(unread);
    sql(&format!(
        "EXISTS (SELECT 1 FROM operations WHERE operations.state = 'open' \
         AND operations.cloud = lanes.cloud AND operations.project = lanes.project{besides})"
    ))
}

/// The condition that an operation is none of these. Their ids are UUIDs, in which nothing has to be
/// escaped.
fn besides(unread: &[OperationId]) -> String {
    if unread.is_empty() {
        return String::new();
    }
    let ids: Vec<String> = unread.iter().map(|id| format!("'{id}'")).collect();
    format!(" AND operations.id NOT IN ({})", ids.join(", "))
}

/// Says that a replica takes part. Each writes its own row only, so no replica waits for another.
async fn announce(
    conn: &mut Conn,
    replica: &ReplicaId,
    expires: Timestamp,
) -> Result<(), StoreError> {
    let at = replicas::expires_at.eq(expires.0);
    diesel::insert_into(replicas::table)
        .values((replicas::name.eq(replica.as_str()), at))
        .on_conflict(replicas::name)
        .do_update()
        .set(at)
        .execute(conn)
        .await?;
    Ok(())
}

/// How many of the lanes with work are one replica's: as many as any other's, rounded up, so that
/// all shares together are never less than what there is.
async fn share(conn: &mut Conn, now: Timestamp) -> Result<i64, StoreError> {
    let open = sql::<BigInt>(
        "(SELECT count(*) FROM (SELECT DISTINCT cloud, project FROM operations \
         WHERE operations.state = 'open') AS busy)",
    );
    let (live, open): (i64, i64) = replicas::table
        .filter(replicas::expires_at.gt(now.0))
        .select((count_star(), open))
        .first(conn)
        .await?;
    // This replica counts even when its lease is so short that it is over already.
    let live = live.max(1);
    Ok(open.saturating_add(live - 1) / live)
}

async fn renew(
    conn: &mut Conn,
    replica: &ReplicaId,
    now: Timestamp,
    expires: Timestamp,
    limit: u32,
    unread: &[OperationId],
) -> Result<Vec<Key>, StoreError> {
    // Its own lease may have ended before it came to renew it: then it did not act either.
    let outlived: Vec<(String, String, i64)> = lanes::table
        .filter(lanes::owner.eq(replica.as_str()))
        .filter(lanes::expires_at.le(now.0))
        .filter(has_work(unread))
        .select((lanes::cloud, lanes::project, lanes::attended_at))
        .load(conn)
        .await?;
    for (cloud, project, attended) in &outlived {
        operation::add_idle(conn, (cloud, project), *attended, now).await?;
    }
    // The first lane too many; usually there is none and one statement renews all.
    let beyond: Option<(String, String)> = lanes::table
        .filter(lanes::owner.eq(replica.as_str()))
        .filter(has_work(unread))
        .order((lanes::cloud, lanes::project))
        .offset(i64::from(limit))
        .limit(1)
        .select((lanes::cloud, lanes::project))
        .first(conn)
        .await
        .optional()?;
    let own = diesel::update(lanes::table)
        .filter(lanes::owner.eq(replica.as_str()))
        .filter(has_work(unread))
        .set((
            lanes::expires_at.eq(expires.0),
            lanes::attended_at.eq(now.0),
        ));
    let key = (lanes::cloud, lanes::project, lanes::epoch);
    let renewed = match beyond {
        None => own.returning(key).load(conn).await?,
        Some((cloud, project)) => {
            own.filter(
                lanes::cloud
                    .lt(cloud.clone())
                    .or(lanes::cloud.eq(cloud).and(lanes::project.lt(project))),
            )
            .returning(key)
            .load(conn)
            .await?
        }
    };
    Ok(renewed)
}

/// The lanes with work that nobody owns.
async fn orphaned(
    conn: &mut Conn,
    replica: &ReplicaId,
    now: Timestamp,
    limit: i64,
    unread: &[OperationId],
) -> Result<Vec<(String, String)>, StoreError> {
    let open = format!("operations.state = 'open'{}", besides(unread));
    Ok(operations::table
        .left_join(
            lanes::table.on(lanes::cloud
                .eq(operations::cloud)
                .and(lanes::project.eq(operations::project))),
        )
        .filter(sql::<Bool>(&open))
        .filter(
            lanes::owner.is_null().or(lanes::owner
                .ne(replica.as_str())
                .and(lanes::expires_at.le(now.0))),
        )
        .select((operations::cloud, operations::project))
        .distinct()
        .order((operations::cloud, operations::project))
        .limit(limit)
        .load(conn)
        .await?)
}

async fn take_over(
    conn: &mut Conn,
    replica: &ReplicaId,
    now: Timestamp,
    expires: Timestamp,
    orphaned: Vec<(String, String)>,
) -> Result<Vec<Key>, StoreError> {
    let rows: Vec<Row> = orphaned
        .iter()
        .map(|(cloud, project)| Row {
            cloud: cloud.clone(),
            project: project.clone(),
            owner: None,
            epoch: 0,
            expires_at: 0,
            attended_at: 0,
        })
        .collect();
    dialect::each!(conn, &rows, |row| Prepared(
        diesel::insert_into(lanes::table)
            .values(row)
            .on_conflict_do_nothing()
    )
    .execute(conn));
    let mut taken = Vec::with_capacity(orphaned.len());
    for lane in orphaned {
        let attended: i64 = lanes::table
            .find(lane.clone())
            .select(lanes::attended_at)
            .first(conn)
            .await?;
        // Another replica may have been faster since the looks above, so the condition is asked
        // again, under the lock of the row.
        let key: Option<Key> = diesel::update(lanes::table.find(lane))
            .filter(lanes::owner.is_null().or(lanes::expires_at.le(now.0)))
            .filter(lanes::attended_at.eq(attended))
            .set((
                lanes::owner.eq(replica.as_str()),
                lanes::epoch.eq(lanes::epoch + 1),
                lanes::expires_at.eq(expires.0),
                lanes::attended_at.eq(now.0),
            ))
            .returning((lanes::cloud, lanes::project, lanes::epoch))
            .get_result(conn)
            .await
            .optional()?;
        if let Some((cloud, project, _)) = &key {
            operation::add_idle(conn, (cloud, project), attended, now).await?;
        }
        taken.extend(key);
    }
    Ok(taken)
}

/// Gives a lane back, where it still is owned in that epoch.
pub(super) async fn release(conn: &mut Conn, lane: &Lane) -> Result<(), StoreError> {
    diesel::update(
        lanes::table
            .find((lane.tenant.cloud.as_str(), lane.tenant.project.as_str()))
            .filter(lanes::epoch.eq(lane.epoch)),
    )
    .set((lanes::owner.eq(None::<String>), lanes::expires_at.eq(0)))
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives back whatever a replica owns; from here on it takes part no more.
pub(super) async fn leave(conn: &mut Conn, replica: &ReplicaId) -> Result<(), StoreError> {
    diesel::update(lanes::table.filter(lanes::owner.eq(replica.as_str())))
        .set((lanes::owner.eq(None::<String>), lanes::expires_at.eq(0)))
        .execute(conn)
        .await?;
    diesel::delete(replicas::table.find(replica.as_str()))
        .execute(conn)
        .await?;
    Ok(())
}
