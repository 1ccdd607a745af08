//! The rows of points of both kinds; it may not know operations.

use diesel::{dsl::case_when, prelude::*, sql_types::Text};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::{
    Conn, Engine, Handle, dialect,
    head::{self, ended, head_columns},
    page::{
        behind, cursor, cut, first, first_readable, in_states, narrowed, ordered,
        projects_by_cloud, text_cursor, time_cursor, within,
    },
    prepared::Prepared,
};
use crate::{
    domain::{
        caller::Scope,
        decision::{Detail, Ending},
        error::OperationError,
        event::Event,
        head::Head,
        id::{PointId, PointKind, ResourceId, ScheduleId, ServerId},
        keeping::Keeping,
        lifecycle::State,
        page::{OrderField, Page, Query},
        point::{Point, PointDetail},
        time::Timestamp,
        user_data::UserData,
        verification::Verification,
    },
    port::{
        journal::ResourceUpdate,
        store::{Looked, StoreError},
    },
    store::{
        aside::{Gaps, Stored, readable, readable_one},
        schema::points,
        seal,
        text::{
            from_json, from_json_option, from_word, json, json_option, kind_of_word, kind_word,
            state, tenant, unreadable, uuid, word,
        },
    },
};

head_columns!(points);

/// Also the form in which answers are kept, so a new column needs `#[serde(default)]`.
#[derive(Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = points, treat_none_as_default_value = false)]
struct Row {
    id: String,
    /// Answers of before there was one table for both kinds have none; what they are about says it.
    #[serde(default)]
    kind: String,
    name: String,
    description: String,
    cloud: String,
    project: String,
    server: String,
    instance_name: String,
    capture: Option<String>,
    #[serde(default)]
    schedule: Option<String>,
    #[serde(default)]
    kept_until: Option<i64>,
    #[serde(default)]
    held: i64,
    #[diesel(embed)]
    #[serde(flatten)]
    head: HeadRow,
    detail: String,
    #[serde(default)]
    verified: Option<i64>,
    #[serde(default)]
    doubt: Option<String>,
}

/// What a point says for people when nothing is wrong with it.
const GOOD: &str = "Available";

/// What a turn writes; what is `None` stays as it is.
#[expect(
    clippy::option_option,
    reason = "diesel's way to tell what stays from what becomes nothing"
)]
#[derive(AsChangeset)]
#[diesel(table_name = points)]
struct Changeset {
    instance_name: Option<String>,
    detail: Option<String>,
    verified: Option<i64>,
    doubt: Option<Option<String>>,
}

/// The row of a point of this kind; asked for under the other kind it is not there.
macro_rules! row_of {
    ($id:expr) => {
        points::table
            .find($id.to_string())
            .filter(points::kind.eq(kind_word($id.kind)))
    };
}

/// Writes a new one.
pub(super) async fn insert(conn: &mut Conn, point: &Point) -> Result<(), StoreError> {
    diesel::insert_into(points::table)
        .values(Row::of(point)?.sealed()?)
        .execute(conn)
        .await?;
    Ok(())
}

/// One, where it is there.
pub(super) async fn get(conn: &mut Conn, id: PointId) -> Result<Option<Point>, StoreError> {
    let row = first!(conn, row_of!(id));
    Ok(row.map(Row::salvaged))
}

/// The details of several, by id.
pub(super) async fn of_ids(conn: &mut Conn, ids: &[String]) -> Result<Vec<Point>, StoreError> {
    let rows: Vec<Row> = points::table
        .filter(points::id.eq_any(ids))
        .select(Row::as_select())
        .load(conn)
        .await?;
    Ok(readable(rows))
}

/// Those that a schedule made, oldest first.
pub(super) async fn of_schedule(
    conn: &mut Conn,
    schedule: ScheduleId,
) -> Result<Vec<Point>, StoreError> {
    let rows: Vec<Row> = points::table
        .filter(points::schedule.eq(schedule.to_string()))
        .order((points::created, points::id))
        .select(Row::as_select())
        .load(conn)
        .await?;
    Ok(readable(rows))
}

/// Those that no schedule made, that rest and are not held, and that were to be kept until `now` or
/// before, the longest over first.
pub(super) async fn expired(
    conn: &mut Conn,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Point>, StoreError> {
    let rows = || {
        points::table
            .filter(points::kept_until.le(now.0))
            .filter(points::schedule.is_null())
            .filter(points::held.eq(0))
            .filter(points::state.eq_any([State::Ok.name(), State::Erred.name()]))
            .order((points::kept_until, points::id))
    };
    Ok(first_readable!(conn, limit, rows()))
}

/// The states and errors of several, by id; of a state that cannot be read there is none.
pub(super) async fn standing(
    conn: &mut Conn,
    ids: &[String],
) -> Result<Vec<(String, Option<(State, Option<OperationError>)>)>, StoreError> {
    let rows: Vec<(String, String, Option<String>)> = points::table
        .filter(points::id.eq_any(ids))
        .select((points::id, points::state, points::error))
        .load(conn)
        .await?;
    let told = rows.into_iter().map(|(id, is, error)| {
        let error = Gaps::default().or_default(from_json_option("the error of a point", error));
        let state = state(&is).ok();
        (id, state.map(|state| (state, error)))
    });
    Ok(told.collect())
}

/// A page, of at most `limit` rows.
pub(super) async fn page(
    conn: &mut Conn,
    query: Query,
    limit: u32,
) -> Result<Page<Point>, StoreError> {
    let Query {
        scope,
        filter,
        order,
        after,
        skip,
        ..
    } = query;
    let mut rows = points::table
        .select(Row::as_select())
        .limit(i64::from(limit) + 1)
        .offset(i64::try_from(skip).unwrap_or(i64::MAX))
        .into_boxed::<Engine>();
    within!(rows, scope, points);
    narrowed!(rows, filter, points, name);
    in_states!(rows, filter, points);
    if let Some(server) = filter.server {
        rows = rows.filter(points::server.eq(server.as_str().to_owned()));
    }
    if let Some(schedule) = filter.schedule {
        rows = rows.filter(points::schedule.eq(schedule.to_string()));
    }
    if let Some(part) = filter.description_part {
        rows = rows.filter(dialect::place_in(points::description, part).gt(0));
    }
    if let Some(kind) = filter.kind {
        rows = rows.filter(points::kind.eq(kind_word(kind)));
    }
    for id in filter.points {
        rows = rows
            .filter(points::id.eq(id.to_string()))
            .filter(points::kind.eq(kind_word(id.kind)));
    }
    let rows = ordered!(rows, order, after, points, name);
    let rows: Vec<Row> = rows.load(conn).await?;
    let items = rows.into_iter().map(Row::salvaged).collect();
    Ok(cut(items, limit as usize, |point| {
        let times = (point.head.created, point.head.updated);
        cursor(order, times, &point.name, point.id.id)
    }))
}

/// Refuses one that cannot be read in full: what would be written over it is not all that it held.
async fn check_readable(conn: &mut Conn, id: PointId) -> Result<(), StoreError> {
    let row = first!(conn, row_of!(id));
    row.map(Row::whole).transpose().map(drop)
}

/// Writes what a caller changed, at the revision that the caller saw.
pub(super) async fn change(conn: &mut Conn, point: &Point) -> Result<Point, StoreError> {
    check_readable(conn, point.id).await?;
    let row: Option<Row> =
        diesel::update(row_of!(point.id).filter(points::revision.eq(point.head.revision)))
            .set((
                points::name.eq(&point.name),
                points::description.eq(&point.description),
                points::kept_until.eq(point.keeping.until.map(|time| time.0)),
                points::held.eq(i64::from(point.keeping.held)),
                HeadChange::of(&point.head)?,
                points::revision.eq(points::revision + 1),
            ))
            .returning(Row::as_returning())
            .get_result(conn)
            .await
            .optional()?;
    if let Some(row) = row {
        return row.whole();
    }
    let about = ResourceId::Point(point.id);
    if exists(conn, point.id).await? {
        return Err(StoreError::Outdated(about));
    }
    Err(StoreError::NotFound(about))
}

/// Says why nothing is done for one, and changes nothing else of it; answers the event of it. Of one that
/// says so already, that is not there or that cannot be read there is none.
pub(super) async fn set_aside(
    conn: &mut Conn,
    id: PointId,
    why: &str,
    now: Timestamp,
) -> Result<Option<Event>, StoreError> {
    let row = first!(conn, row_of!(id));
    let Some(before) = row.and_then(readable_one) else {
        return Ok(None);
    };
    let Some(head) = before.head.set_aside(why, now) else {
        return Ok(None);
    };
    let row = row_of!(id);
    let written = diesel::update(row.filter(points::revision.eq(before.head.revision)))
        .set((
            points::runtime_state.eq(why),
            points::updated.eq(now.0),
            points::revision.eq(head.revision),
        ))
        .execute(conn)
        .await?;
    let event = || head::event_of(ResourceId::Point(id), &head);
    (written == 1).then(event).transpose()
}

/// Writes what a turn tells; answers the event of it.
pub(super) async fn tell(
    conn: &mut Handle<'_>,
    id: PointId,
    news: &ResourceUpdate,
    ending: &Ending,
) -> Result<Event, StoreError> {
    let detail = written_detail(id, news)?;
    let verification = news.report.verification.as_ref();
    let sealed = detail.map(|detail| seal::POINT_DETAIL.write(&[&id.to_string()], detail));
    let told = Changeset {
        instance_name: detail
            .and_then(|detail| detail.manifest.as_ref())
            .map(|manifest| manifest.name.clone()),
        detail: sealed.transpose()?,
        verified: verification.and_then(|told| told.time).map(|time| time.0),
        doubt: verification
            .map(|told| json_option(told.doubt.as_ref()))
            .transpose()?,
    };
    let told = diesel::update(row_of!(id))
        .set((
            HeadChange::told(news, ending)?,
            told,
            points::revision.eq(points::revision + 1),
        ))
        .returning((points::revision, points::error));
    let row: Option<(i64, Option<String>)> = Prepared(told).get_result(conn).await.optional()?;
    let about = ResourceId::Point(id);
    let (revision, error) = row.ok_or(StoreError::NotFound(about))?;
    head::event_told(about, news, revision, error)
}

/// Removes one, and its mirrors with it.
pub(super) async fn remove(conn: &mut Conn, id: PointId) -> Result<(), StoreError> {
    diesel::delete(row_of!(id)).execute(conn).await?;
    Ok(())
}

/// Whether one is there.
pub(super) async fn exists(conn: &mut Conn, id: PointId) -> Result<bool, StoreError> {
    let found: Option<String> = row_of!(id)
        .select(points::id)
        .first(conn)
        .await
        .optional()?;
    Ok(found.is_some())
}

/// One as an answer that is kept. It tells that there was user data, and not which: no answer does,
/// so the data goes with its point.
pub(super) fn answer(point: &Point) -> Result<String, StoreError> {
    let mut point = point.clone();
    if let Some(manifest) = &mut point.detail.manifest
        && let Some(data) = &mut manifest.user_data
    {
        *data = UserData::default();
    }
    json(&Row::of(&point)?)
}

/// Reads an answer about a point of this kind that was kept.
pub(super) fn answered(kind: PointKind, text: &str) -> Result<Point, StoreError> {
    let mut row = from_json::<Row>("the answer to a request", text)?;
    kind_word(kind).clone_into(&mut row.kind);
    row.whole()
}

/// The event that tells of a row as it is.
pub(super) fn event_of(point: &Point) -> Result<Event, StoreError> {
    head::event_of(ResourceId::Point(point.id), &point.head)
}

/// The detail that a turn writes of a point, where it does.
pub(super) fn written_detail(
    id: PointId,
    news: &ResourceUpdate,
) -> Result<Option<&PointDetail>, StoreError> {
    match (&news.report.detail, news.detail_changed) {
        (Some(Detail::Point(detail)), true) if detail.content.kind() == id.kind => Ok(Some(detail)),
        (Some(Detail::Point(_) | Detail::Restoration(_)), true) => Err(unreadable(
            "the detail of a point",
            "it is that of another kind",
        )),
        (Some(_), false) | (None, _) => Ok(None),
    }
}

/// Writes what is known of one from now on, where its revision is still this one; answers whether it was.
/// A time that is not told stays. Counts as a change only where that is told.
pub(super) async fn verify(
    conn: &mut Conn,
    look: &Looked,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Looked {
        point,
        revision,
        known,
        told,
    } = look;
    let written = diesel::update(row_of!(point))
        .filter(points::revision.eq(revision))
        .set((
            points::verified.eq(known.time.map(|time| time.0)),
            points::doubt.eq(json_option(known.doubt.as_ref())?),
        ))
        .execute(conn)
        .await?;
    if written > 0 && *told {
        let text = match &known.doubt {
            Some(doubt) => format!("Not recoverable: {}", doubt.reason),
            None => GOOD.to_owned(),
        };
        // Why an operation failed goes on being told.
        diesel::update(row_of!(point))
            .set((
                points::updated.eq(now.0),
                points::revision.eq(points::revision + 1),
                points::runtime_state.eq(case_when(
                    points::state.eq(State::Ok.name()),
                    text.into_sql::<Text>(),
                )
                .otherwise(points::runtime_state)),
            ))
            .execute(conn)
            .await?;
    }
    Ok(written > 0)
}

impl Row {
    /// One as an answer holds it, which is sealed as a whole.
    fn of(point: &Point) -> Result<Self, StoreError> {
        Ok(Self {
            id: point.id.to_string(),
            kind: kind_word(point.id.kind).to_owned(),
            name: point.name.clone(),
            description: point.description.clone(),
            cloud: point.tenant.cloud.as_str().to_owned(),
            project: point.tenant.project.as_str().to_owned(),
            server: point.server.as_str().to_owned(),
            instance_name: point.instance_name.clone(),
            capture: point.capture.as_ref().map(word).transpose()?,
            schedule: point.keeping.schedule.map(|id| id.to_string()),
            kept_until: point.keeping.until.map(|time| time.0),
            held: point.keeping.held.into(),
            head: HeadRow::of(&point.head)?,
            detail: json(&point.detail)?,
            verified: point.verification.time.map(|time| time.0),
            doubt: json_option(point.verification.doubt.as_ref())?,
        })
    }

    /// The same as its table holds it.
    fn sealed(self) -> Result<Self, StoreError> {
        Ok(Self {
            detail: seal::POINT_DETAIL.seal(&[&self.id], self.detail)?,
            ..self
        })
    }
}

impl Stored for Row {
    type Resource = Point;

    fn kind(&self) -> &'static str {
        kind_of_word(&self.kind).map_or("point", PointKind::noun)
    }

    fn key(&self) -> &str {
        &self.id
    }

    fn read(self, gaps: &mut Gaps) -> Point {
        let kind = gaps.fill(kind_of_word(&self.kind), PointKind::Dr);
        let detail = seal::POINT_DETAIL.read(&[&self.id], "the detail of a point", self.detail);
        let capture = self
            .capture
            .map(|word| from_word("the capture of a point", word));
        Point {
            id: PointId {
                kind,
                id: gaps.or_default(uuid(&self.id)),
            },
            name: self.name,
            description: self.description,
            tenant: tenant(self.cloud, self.project),
            server: ServerId::new(self.server),
            instance_name: self.instance_name,
            capture: gaps.or_default(capture.transpose()),
            keeping: Keeping {
                schedule: gaps
                    .or_default(self.schedule.as_deref().map(uuid).transpose())
                    .map(ScheduleId),
                until: self.kept_until.map(Timestamp),
                held: self.held != 0,
            },
            head: self.head.read("a point", gaps),
            detail: gaps.fill(detail, PointDetail::none(kind)),
            verification: Verification {
                time: self.verified.map(Timestamp),
                doubt: gaps.or_default(from_json_option("the doubt about a point", self.doubt)),
            },
        }
    }

    fn say(point: &mut Point, told: String, error: OperationError) {
        point.head.runtime_state = told;
        point.head.error = Some(error);
    }
}
