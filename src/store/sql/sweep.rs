//! When each tenant was looked through for orphans, and what came of it; it may not know how one looks.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use crate::{
    domain::{id::Tenant, orphan::Sweep, sighting::ThingKind, time::Timestamp},
    port::store::StoreError,
    store::{
        schema::{lanes, mirrors, sweeps},
        text::{from_json, json, tenant},
    },
};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = sweeps, treat_none_as_default_value = false)]
struct Row {
    cloud: String,
    project: String,
    begun: i64,
    ended: Option<i64>,
    problem: Option<String>,
    found: String,
}

/// Takes tenants whose sweep is due.
pub(super) async fn claim(
    conn: &mut Conn,
    before: Timestamp,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Tenant>, StoreError> {
    let mut taken = Vec::new();
    for (cloud, project) in due(conn, before, i64::from(limit)).await? {
        // Another replica may have been faster since the look above, so the condition is asked
        // again, under the lock of the row.
        let again = diesel::update(sweeps::table.find((&cloud, &project)))
            .filter(sweeps::begun.lt(before.0))
            .set((sweeps::begun.eq(now.0), sweeps::ended.eq(None::<i64>)))
            .execute(conn)
            .await?;
        let first = if again == 0 {
            let row = Row {
                cloud: cloud.clone(),
                project: project.clone(),
                begun: now.0,
                ended: None,
                problem: None,
                found: json(&BTreeMap::<ThingKind, u64>::new())?,
            };
            diesel::insert_into(sweeps::table)
                .values(row)
                .on_conflict_do_nothing()
                .execute(conn)
                .await?
        } else {
            0
        };
        if again + first > 0 {
            taken.push(tenant(cloud, project));
        }
    }
    Ok(taken)
}

/// The tenants in which we worked, or into which we imported, and that are due.
async fn due(
    conn: &mut Conn,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<(String, String)>, StoreError> {
    let late = || sweeps::begun.is_null().or(sweeps::begun.lt(before.0));
    let mut found: Vec<(String, String)> = lanes::table
        .left_join(
            sweeps::table.on(sweeps::cloud
                .eq(lanes::cloud)
                .and(sweeps::project.eq(lanes::project))),
        )
        .filter(late())
        .order((lanes::cloud, lanes::project))
        .limit(limit)
        .select((lanes::cloud, lanes::project))
        .load(conn)
        .await?;
    let others: Vec<(String, String)> = mirrors::table
        .left_join(
            sweeps::table.on(sweeps::cloud
                .eq(mirrors::cloud)
                .and(sweeps::project.eq(mirrors::project))),
        )
        .filter(late())
        .select((mirrors::cloud, mirrors::project))
        .distinct()
        .order((mirrors::cloud, mirrors::project))
        .limit(limit)
        .load(conn)
        .await?;
    found.extend(others);
    // In one order in every replica, so that two that claim at once do not wait for each other.
    found.sort_unstable();
    found.dedup();
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

/// Writes how a sweep has ended.
pub(super) async fn record(conn: &mut Conn, done: &Sweep) -> Result<(), StoreError> {
    let (cloud, project) = (done.tenant.cloud.as_str(), done.tenant.project.as_str());
    diesel::update(sweeps::table.find((cloud, project)))
        .set((
            sweeps::ended.eq(done.ended.map(|time| time.0)),
            sweeps::problem.eq(&done.problem),
        ))
        .execute(conn)
        .await?;
    if done.problem.is_none() {
        diesel::update(sweeps::table.find((cloud, project)))
            .set(sweeps::found.eq(json(&done.found)?))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// All of them.
pub(super) async fn list(conn: &mut Conn) -> Result<Vec<Sweep>, StoreError> {
    let rows: Vec<Row> = sweeps::table
        .order((sweeps::cloud, sweeps::project))
        .select(Row::as_select())
        .load(conn)
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Sweep {
                tenant: tenant(row.cloud, row.project),
                begun: Timestamp(row.begun),
                ended: row.ended.map(Timestamp),
                found: from_json("the number of orphans", &row.found)?,
                problem: row.problem,
            })
        })
        .collect()
}
