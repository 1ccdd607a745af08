//! What was seen of the bytes of points of both kinds; it may not know who looked.

use std::collections::BTreeMap;

use diesel::{
    dsl::{case_when, count_star, min},
    prelude::*,
    sql_types::Text,
};
use diesel_async::RunQueryDsl;

use super::{Conn, backup, dr_backup};
use crate::{
    domain::{
        event::Event,
        id::{CloudName, ResourceId},
        lifecycle::State,
        schedule::PointKind,
        time::Timestamp,
        verification::{Cause, Verification},
    },
    port::store::{Looked, PointsStanding, StoreError},
    store::{
        schema::{backups, dr_backups},
        text::{json_option, word},
    },
};

/// What a point of this kind says for people when nothing is wrong with it.
const GOOD: &str = "Available";

/// Writes what is known of one from now on, where its revision is still this one; a time that is not told
/// stays. Counts as a change only where that is `told`.
macro_rules! written {
    ($conn:ident, $table:ident, $id:expr, $revision:expr, $known:expr, $told:expr, $now:expr) => {{
        let text = match &$known.doubt {
            Some(doubt) => format!("Not recoverable: {}", doubt.reason),
            None => GOOD.to_owned(),
        };
        let known = diesel::update($table::table.find($id.to_string()))
            .filter($table::revision.eq($revision))
            .set((
                $table::verified.eq($known.time.map(|time| time.0)),
                $table::doubt.eq(json_option($known.doubt.as_ref())?),
            ))
            .execute($conn)
            .await?;
        if known > 0 && $told {
            // Why an operation failed goes on being told.
            diesel::update($table::table.find($id.to_string()))
                .set((
                    $table::updated.eq($now.0),
                    $table::revision.eq($table::revision + 1),
                    $table::runtime_state.eq(case_when(
                        $table::state.eq(State::Ok.name()),
                        text.into_sql::<Text>(),
                    )
                    .otherwise($table::runtime_state)),
                ))
                .execute($conn)
                .await?;
        }
        known > 0
    }};
}

/// Writes what looks brought to light, each where nothing has happened to its point since it was read;
/// answers the events of those that are news.
pub(super) async fn put(
    conn: &mut Conn,
    looks: &[Looked],
    now: Timestamp,
) -> Result<Vec<Event>, StoreError> {
    let mut events = Vec::new();
    for look in looks {
        let Looked {
            point,
            revision,
            known,
            told,
        } = look;
        let written = match point {
            ResourceId::DrBackup(id) => {
                written!(conn, dr_backups, id, *revision, known, *told, now)
            }
            ResourceId::Backup(id) => written!(conn, backups, id, *revision, known, *told, now),
            ResourceId::Restoration(_) | ResourceId::Schedule(_) => false,
        };
        if written && *told {
            events.extend(event_of(conn, *point).await?);
        }
    }
    Ok(events)
}

/// Writes what a restoration proved or disproved of what it is made from; answers the event of that,
/// where it is there and that is news.
pub(super) async fn proved(
    conn: &mut Conn,
    point: ResourceId,
    proof: &Verification,
    now: Timestamp,
) -> Result<Vec<Event>, StoreError> {
    let found = match point {
        ResourceId::DrBackup(id) => dr_backup::get(conn, id)
            .await?
            .map(|one| (one.revision, one.verification)),
        ResourceId::Backup(id) => backup::get(conn, id)
            .await?
            .map(|one| (one.revision, one.verification)),
        ResourceId::Restoration(_) | ResourceId::Schedule(_) => None,
    };
    let Some((revision, before)) = found else {
        return Ok(Vec::new());
    };
    let known = Verification {
        time: proof.time.or(before.time),
        doubt: proof.doubt.clone(),
    };
    let look = Looked {
        point,
        revision,
        told: known.doubt != before.doubt,
        known,
    };
    put(conn, &[look], now).await
}

async fn event_of(conn: &mut Conn, point: ResourceId) -> Result<Option<Event>, StoreError> {
    match point {
        ResourceId::DrBackup(id) => {
            let there = dr_backup::get(conn, id).await?;
            there.as_ref().map(dr_backup::event_of).transpose()
        }
        ResourceId::Backup(id) => {
            let there = backup::get(conn, id).await?;
            there.as_ref().map(backup::event_of).transpose()
        }
        ResourceId::Restoration(_) | ResourceId::Schedule(_) => Ok(None),
    }
}

/// How the points at rest stand, by cloud and kind.
pub(super) async fn standing(conn: &mut Conn) -> Result<Vec<PointsStanding>, StoreError> {
    let mut of: BTreeMap<(String, PointKind), PointsStanding> = BTreeMap::new();
    macro_rules! counted {
        ($table:ident, $kind:expr) => {
            let good = || $table::state.eq(State::Ok.name());
            let doubtful: Vec<(String, i64)> = $table::table
                .filter(good())
                .filter($table::doubt.is_not_null())
                .group_by($table::cloud)
                .select(($table::cloud, count_star()))
                .load(conn)
                .await?;
            let unverified: Vec<(String, i64)> = $table::table
                .filter(good())
                .filter($table::doubt.is_null())
                .filter($table::verified.is_null())
                .group_by($table::cloud)
                .select(($table::cloud, count_star()))
                .load(conn)
                .await?;
            let verified: Vec<(String, i64, Option<i64>)> = $table::table
                .filter(good())
                .filter($table::doubt.is_null())
                .filter($table::verified.is_not_null())
                .group_by($table::cloud)
                .select(($table::cloud, count_star(), min($table::verified)))
                .load(conn)
                .await?;
            let number = |count: i64| u64::try_from(count).unwrap_or(0);
            let mut one = |cloud: String, change: &dyn Fn(&mut PointsStanding)| {
                let standing = of.entry((cloud.clone(), $kind)).or_insert(PointsStanding {
                    cloud: CloudName::new(cloud),
                    kind: $kind,
                    doubtful: 0,
                    unverified: 0,
                    verified: 0,
                    oldest: None,
                });
                change(standing);
            };
            for (cloud, count) in doubtful {
                one(cloud, &|standing| standing.doubtful = number(count));
            }
            for (cloud, count) in unverified {
                one(cloud, &|standing| standing.unverified = number(count));
            }
            for (cloud, count, oldest) in verified {
                one(cloud, &|standing| {
                    standing.verified = number(count);
                    standing.oldest = oldest.map(Timestamp);
                });
            }
        };
    }
    counted!(dr_backups, PointKind::DrBackup);
    counted!(backups, PointKind::Backup);
    Ok(of.into_values().collect())
}

/// How a doubt that the next look settles is spelled in its column.
pub(super) fn is_urgent() -> Result<String, StoreError> {
    let cause = word(&Cause::BrokenOff)?;
    Ok(format!("%\"cause\":\"{cause}\"%"))
}
