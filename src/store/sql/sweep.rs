//! When each tenant was looked through, for orphans or for what points rest on, and what came of it; it
//! may not know how one looks.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Conn, verification};
use crate::{
    domain::{
        id::Tenant,
        lifecycle::State,
        orphan::{Aim, Sweep},
        sighting::ThingKind,
        time::Timestamp,
    },
    port::store::StoreError,
    store::{
        aside::Gaps,
        schema::{lanes, points, sweeps},
        text::{from_json, json, tenant},
    },
};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = sweeps, treat_none_as_default_value = false)]
struct Row {
    aim: String,
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
    aim: Aim,
    before: Timestamp,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Tenant>, StoreError> {
    let mut taken = Vec::new();
    let word = aim.name().to_owned();
    let found = match aim {
        Aim::Orphans => due(conn, before, i64::from(limit)).await?,
        Aim::Points { urgent } => due_points(conn, before, urgent, i64::from(limit)).await?,
    };
    for (cloud, project, before) in found {
        // Another replica may have been faster since the look above, so the condition is asked
        // again, under the lock of the row.
        let again = diesel::update(sweeps::table.find((&word, &cloud, &project)))
            .filter(sweeps::begun.lt(before.0))
            .set((sweeps::begun.eq(now.0), sweeps::ended.eq(None::<i64>)))
            .execute(conn)
            .await?;
        let first = if again == 0 {
            let row = Row {
                aim: word.clone(),
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

/// The tenants in which we worked, and that are due, in one order in every replica, so that two that claim at
/// once do not wait for each other. Where nothing of ours is but what an admin imported, there are no orphans: a
/// record never is one.
async fn due(
    conn: &mut Conn,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<(String, String, Timestamp)>, StoreError> {
    let late = || sweeps::begun.is_null().or(sweeps::begun.lt(before.0));
    let found: Vec<(String, String)> = lanes::table
        .left_join(
            sweeps::table.on(sweeps::cloud
                .eq(lanes::cloud)
                .and(sweeps::project.eq(lanes::project))
                .and(sweeps::aim.eq(Aim::Orphans.name()))),
        )
        .filter(late())
        .order((lanes::cloud, lanes::project))
        .limit(limit)
        .select((lanes::cloud, lanes::project))
        .load(conn)
        .await?;
    let due = |(cloud, project)| (cloud, project, before);
    Ok(found.into_iter().map(due).collect())
}

/// The tenants with points at rest that are due, each with the time before which its last sweep must have
/// begun: what was never seen, or may be half deleted, is looked at sooner than the rest.
async fn due_points(
    conn: &mut Conn,
    before: Timestamp,
    urgent: Timestamp,
    limit: i64,
) -> Result<Vec<(String, String, Timestamp)>, StoreError> {
    let mut found: BTreeMap<(String, String), Timestamp> = BTreeMap::new();
    let broken_off = verification::is_urgent()?;
    macro_rules! due {
        ($before:expr, $wanted:expr) => {
            let rows: Vec<(String, String)> = points::table
                .left_join(
                    sweeps::table.on(sweeps::cloud
                        .eq(points::cloud)
                        .and(sweeps::project.eq(points::project))
                        .and(sweeps::aim.eq(Aim::Points { urgent }.name()))),
                )
                .filter(points::state.eq_any([State::Ok.name(), State::Erred.name()]))
                .filter(sweeps::begun.is_null().or(sweeps::begun.lt($before.0)))
                .filter($wanted)
                .select((points::cloud, points::project))
                .distinct()
                .order((points::cloud, points::project))
                .limit(limit)
                .load(conn)
                .await?;
            for place in rows {
                let due = found.entry(place).or_insert($before);
                *due = (*due).max($before);
            }
        };
    }
    let is_ok = || points::state.eq(State::Ok.name());
    // What failed to be made has nothing to be seen.
    due!(before, is_ok().or(points::verified.is_not_null()));
    due!(
        urgent,
        is_ok()
            .and(points::verified.is_null())
            .or(points::doubt.assume_not_null().like(broken_off.clone()))
    );
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let due = |((cloud, project), before)| (cloud, project, before);
    Ok(found.into_iter().take(limit).map(due).collect())
}

/// Writes how a sweep has ended.
pub(super) async fn record(conn: &mut Conn, aim: Aim, done: &Sweep) -> Result<(), StoreError> {
    let aim = aim.name();
    let (cloud, project) = (done.tenant.cloud.as_str(), done.tenant.project.as_str());
    diesel::update(sweeps::table.find((aim, cloud, project)))
        .set((
            sweeps::ended.eq(done.ended.map(|time| time.0)),
            sweeps::problem.eq(&done.problem),
        ))
        .execute(conn)
        .await?;
    if done.problem.is_none() {
        diesel::update(sweeps::table.find((aim, cloud, project)))
            .set(sweeps::found.eq(json(&done.found)?))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// All of them with this aim.
pub(super) async fn list(conn: &mut Conn, aim: Aim) -> Result<Vec<Sweep>, StoreError> {
    let rows: Vec<Row> = sweeps::table
        .filter(sweeps::aim.eq(aim.name()))
        .order((sweeps::cloud, sweeps::project))
        .select(Row::as_select())
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(Row::salvaged).collect())
}

impl Row {
    /// What can be read of it; where that is not all, it says so.
    fn salvaged(self) -> Sweep {
        let (mut gaps, tenant) = (Gaps::default(), tenant(self.cloud, self.project));
        let found = gaps.or_default(from_json("the number of orphans", &self.found));
        let told = gaps.told("sweep", &tenant.to_string());
        Sweep {
            tenant,
            begun: Timestamp(self.begun),
            ended: self.ended.map(Timestamp),
            found,
            problem: told.map(|(told, _)| told).or(self.problem),
        }
    }
}
