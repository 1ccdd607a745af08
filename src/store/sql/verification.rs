//! What was seen of the bytes of points of both kinds; it may not know who looked.

use std::collections::BTreeMap;

use diesel::{
    dsl::{count_star, min},
    prelude::*,
};
use diesel_async::RunQueryDsl;

use super::{Conn, point};
use crate::{
    domain::{
        event::Event,
        id::{CloudName, PointId, PointKind},
        lifecycle::State,
        time::Timestamp,
        verification::{Cause, Verification},
    },
    port::store::{Looked, PointsStanding, StoreError},
    store::{
        schema::points,
        text::{kind_of_word, word},
    },
};

/// Writes what looks brought to light, each where nothing has happened to its point since it was read;
/// answers the events of those that are news.
pub(super) async fn put(
    conn: &mut Conn,
    looks: &[Looked],
    now: Timestamp,
) -> Result<Vec<Event>, StoreError> {
    let mut events = Vec::new();
    for look in looks {
        if point::verify(conn, look, now).await? && look.told {
            events.extend(event_of(conn, look.point).await?);
        }
    }
    Ok(events)
}

/// Writes what a restoration proved or disproved of what it is made from; answers the event of that,
/// where it is there and that is news.
pub(super) async fn proved(
    conn: &mut Conn,
    id: PointId,
    proof: &Verification,
    now: Timestamp,
) -> Result<Vec<Event>, StoreError> {
    let Some(before) = point::get(conn, id).await? else {
        return Ok(Vec::new());
    };
    let known = Verification {
        time: proof.time.or(before.verification.time),
        doubt: proof.doubt.clone(),
    };
    let look = Looked {
        point: id,
        revision: before.head.revision,
        told: known.doubt != before.verification.doubt,
        known,
    };
    put(conn, &[look], now).await
}

async fn event_of(conn: &mut Conn, id: PointId) -> Result<Option<Event>, StoreError> {
    let there = point::get(conn, id).await?;
    there.as_ref().map(point::event_of).transpose()
}

/// How the points at rest stand, by cloud and kind.
pub(super) async fn standing(conn: &mut Conn) -> Result<Vec<PointsStanding>, StoreError> {
    let good = || points::state.eq(State::Ok.name());
    let doubtful: Vec<(String, String, i64)> = points::table
        .filter(good())
        .filter(points::doubt.is_not_null())
        .group_by((points::cloud, points::kind))
        .select((points::cloud, points::kind, count_star()))
        .load(conn)
        .await?;
    let unverified: Vec<(String, String, i64)> = points::table
        .filter(good())
        .filter(points::doubt.is_null())
        .filter(points::verified.is_null())
        .group_by((points::cloud, points::kind))
        .select((points::cloud, points::kind, count_star()))
        .load(conn)
        .await?;
    let verified: Vec<(String, String, i64, Option<i64>)> = points::table
        .filter(good())
        .filter(points::doubt.is_null())
        .filter(points::verified.is_not_null())
        .group_by((points::cloud, points::kind))
        .select((
            points::cloud,
            points::kind,
            count_star(),
            min(points::verified),
        ))
        .load(conn)
        .await?;
    let number = |count: i64| u64::try_from(count).unwrap_or(0);
    let mut of: BTreeMap<(String, PointKind), PointsStanding> = BTreeMap::new();
    let mut one = |cloud: String, kind: &str, change: &dyn Fn(&mut PointsStanding)| {
        let Ok(kind) = kind_of_word(kind) else {
            return;
        };
        let none = PointsStanding {
            cloud: CloudName::new(cloud.clone()),
            kind,
            doubtful: 0,
            unverified: 0,
            verified: 0,
            oldest: None,
        };
        change(of.entry((cloud, kind)).or_insert(none));
    };
    for (cloud, kind, count) in doubtful {
        one(cloud, &kind, &|standing| standing.doubtful = number(count));
    }
    for (cloud, kind, count) in unverified {
        one(cloud, &kind, &|standing| {
            standing.unverified = number(count);
        });
    }
    for (cloud, kind, count, oldest) in verified {
        one(cloud, &kind, &|standing| {
            standing.verified = number(count);
            standing.oldest = oldest.map(Timestamp);
        });
    }
    Ok(of.into_values().collect())
}

/// How a doubt that the next look settles is spelled in its column.
pub(super) fn is_urgent() -> Result<String, StoreError> {
    let cause = word(&Cause::BrokenOff)?;
    Ok(format!("%\"cause\":\"{cause}\"%"))
}
