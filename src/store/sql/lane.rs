//! Who owns which lane, and until when; it may not know what is done in a lane.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Conn, dialect, operation::is_open};
use crate::{
    domain::{
        id::{Lane, ReplicaId},
        time::Timestamp,
    },
    port::store::StoreError,
    store::{
        schema::{lanes, operations},
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
}

type Key = (String, String, i64);

/// Refuses when the lane is not owned in that epoch; holds it until the end of the transaction, so
/// that nobody takes the lane over between this look and the commit.
pub(super) async fn hold(conn: &mut Conn, lane: &Lane) -> Result<(), StoreError> {
    if dialect::lane_hold(conn, lane).await? {
        return Ok(());
    }
    Err(StoreError::Fenced(lane.tenant.clone()))
}

/// Refuses the same way, without holding anything: for reads.
pub(super) async fn check(conn: &mut Conn, lane: &Lane) -> Result<(), StoreError> {
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
        None => Err(StoreError::Fenced(lane.tenant.clone())),
    }
}

/// Renews the lanes of a replica and takes over those that nobody owns, `limit` in all.
pub(super) async fn claim(
    conn: &mut Conn,
    replica: &ReplicaId,
    now: Timestamp,
    lease: Duration,
    limit: u32,
) -> Result<Vec<Lane>, StoreError> {
    let expires = now.after(lease);
    let mut claimed = renew(conn, replica, expires, limit).await?;
    let room = i64::from(limit).saturating_sub(i64::try_from(claimed.len()).unwrap_or(i64::MAX));
    if room > 0 {
        claimed.extend(take_over(conn, replica, now, expires, room).await?);
    }
    Ok(claimed
        .into_iter()
        .map(|(cloud, project, epoch)| Lane {
            tenant: tenant(cloud, project),
            epoch,
        })
        .collect())
}

async fn renew(
    conn: &mut Conn,
    replica: &ReplicaId,
    expires: Timestamp,
    limit: u32,
) -> Result<Vec<Key>, StoreError> {
    // The first lane too many; usually there is none and one statement renews all.
    let beyond: Option<(String, String)> = lanes::table
        .filter(lanes::owner.eq(replica.as_str()))
        .order((lanes::cloud, lanes::project))
        .offset(i64::from(limit))
        .limit(1)
        .select((lanes::cloud, lanes::project))
        .first(conn)
        .await
        .optional()?;
    let own = diesel::update(lanes::table)
        .filter(lanes::owner.eq(replica.as_str()))
        .set(lanes::expires_at.eq(expires.0));
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

async fn take_over(
    conn: &mut Conn,
    replica: &ReplicaId,
    now: Timestamp,
    expires: Timestamp,
    limit: i64,
) -> Result<Vec<Key>, StoreError> {
    let orphaned: Vec<(String, String)> = operations::table
        .left_join(
            lanes::table.on(lanes::cloud
                .eq(operations::cloud)
                .and(lanes::project.eq(operations::project))),
        )
        .filter(is_open())
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
        .await?;
    let rows: Vec<Row> = orphaned
        .iter()
        .map(|(cloud, project)| Row {
            cloud: cloud.clone(),
            project: project.clone(),
            owner: None,
            epoch: 0,
            expires_at: 0,
        })
        .collect();
    dialect::write_rows!(conn, rows, |rows| diesel::insert_into(lanes::table)
        .values(rows)
        .on_conflict_do_nothing());
    let mut taken = Vec::with_capacity(orphaned.len());
    for lane in orphaned {
        // Another replica may have been faster since the look above, so the condition is asked
        // again, under the lock of the row.
        let key: Option<Key> = diesel::update(lanes::table.find(lane))
            .filter(lanes::owner.is_null().or(lanes::expires_at.le(now.0)))
            .set((
                lanes::owner.eq(replica.as_str()),
                lanes::epoch.eq(lanes::epoch + 1),
                lanes::expires_at.eq(expires.0),
            ))
            .returning((lanes::cloud, lanes::project, lanes::epoch))
            .get_result(conn)
            .await
            .optional()?;
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
