//! How old what schedules made is; it may not know what is too old.

use std::collections::HashMap;

use diesel::{dsl::max, prelude::*};
use diesel_async::RunQueryDsl;

use super::Conn;
use crate::{
    domain::{id::ScheduleId, lifecycle::State, schedule::Plan, time::Timestamp},
    port::{schedules::Freshness, store::StoreError},
    store::{
        aside,
        schema::{points, schedules},
        text::{from_json, tenant, uuid},
    },
};

/// When the newest point of a schedule was begun, for each that has one.
type Newest = HashMap<String, i64>;

/// Of the schedules that run, or have failed too often, those whose newest good point is oldest, the oldest first.
pub(super) async fn oldest(conn: &mut Conn, limit: usize) -> Result<Vec<Freshness>, StoreError> {
    let good = || {
        points::table
            .filter(points::schedule.is_not_null())
            .filter(points::state.eq(State::Ok.name()))
            .group_by(points::schedule)
            .select((points::schedule, max(points::created)))
    };
    let verified = good()
        .filter(points::verified.is_not_null())
        .filter(points::doubt.is_null());
    let verified = newest(verified.load(conn).await?);
    let good = newest(good().load(conn).await?);
    // Without what they are to do, which is long and of which only a few are told.
    let mut active: Vec<(String, i64)> = schedules::table
        .filter(schedules::active.eq(1))
        .select((schedules::id, schedules::created))
        .load(conn)
        .await?;
    active.extend(given_up(conn).await?);
    active.sort_by_key(|(id, created)| good.get(id).copied().unwrap_or(*created));
    active.truncate(limit);
    let ids: Vec<&String> = active.iter().map(|(id, _)| id).collect();
    let rows: Vec<(String, String, String, String, String)> = schedules::table
        .filter(schedules::id.eq_any(ids))
        .select((
            schedules::id,
            schedules::name,
            schedules::cloud,
            schedules::project,
            schedules::plan,
        ))
        .load(conn)
        .await?;
    let mut rows: HashMap<String, _> = rows
        .into_iter()
        .map(|(id, name, cloud, project, plan)| (id, (name, cloud, project, plan)))
        .collect();
    let told = active.into_iter().filter_map(|(id, created)| {
        let (name, cloud, project, plan) = rows.remove(&id)?;
        let read = || -> Result<Freshness, StoreError> {
            let plan: Plan = from_json("the plan of a schedule", &plan)?;
            Ok(Freshness {
                schedule: ScheduleId(uuid(&id)?),
                name,
                tenant: tenant(cloud, project),
                calendar: (plan.calendar, plan.time_zone),
                created: Timestamp(created),
                good: good.get(&id).copied().map(Timestamp),
                verified: verified.get(&id).copied().map(Timestamp),
            })
        };
        let read = read().inspect_err(|problem| aside::set_aside("schedule", &id, problem));
        read.ok()
    });
    Ok(told.collect())
}

/// Those that were deactivated because they failed too often: they make no points, and nobody wanted that.
async fn given_up(conn: &mut Conn) -> Result<Vec<(String, i64)>, StoreError> {
    let rows: Vec<(String, i64, i64, String)> = schedules::table
        .filter(schedules::active.eq(0))
        .filter(schedules::error.is_not_null())
        .filter(schedules::failures.gt(0))
        .select((
            schedules::id,
            schedules::created,
            schedules::failures,
            schedules::plan,
        ))
        .load(conn)
        .await?;
    let hopeless = rows.into_iter().filter(|(_, _, failures, plan)| {
        let plan: Result<Plan, StoreError> = from_json("the plan of a schedule", plan);
        plan.is_ok_and(|plan| {
            plan.failures_maximum > 0 && *failures >= i64::from(plan.failures_maximum)
        })
    });
    Ok(hopeless.map(|(id, created, ..)| (id, created)).collect())
}

fn newest(rows: Vec<(Option<String>, Option<i64>)>) -> Newest {
    let rows = rows.into_iter();
    rows.filter_map(|(schedule, time)| schedule.zip(time))
        .collect()
}
