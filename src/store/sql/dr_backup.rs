//! The rows of DR backups; it may not know operations.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::{
    Conn, Engine, Handle, dialect,
    page::{behind, cut, narrowed, ordered, text_cursor, time_cursor},
    prepared::Prepared,
};
use crate::{
    domain::{
        decision::{Detail, Ending},
        dr_backup::{DrBackup, DrBackupDetail},
        error::OperationError,
        event::Event,
        id::{DrBackupId, ResourceId, ScheduleId, ServerId},
        keeping::Keeping,
        lifecycle::State,
        page::{Cursor, OrderField, OrderValue, Page, Query},
        time::Timestamp,
        verification::Verification,
    },
    port::{journal::ResourceUpdate, store::StoreError},
    store::{
        aside::{Gaps, Stored, readable, readable_one},
        schema::dr_backups,
        text::{
            from_json, from_json_option, from_word, json, json_option, number, state, tenant,
            unreadable, uuid, word,
        },
    },
};

/// Also the form in which answers are kept, so a new column needs `#[serde(default)]`.
#[derive(Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = dr_backups, treat_none_as_default_value = false)]
struct Row {
    id: String,
    name: String,
    description: String,
    cloud: String,
    project: String,
    server: String,
    instance_name: String,
    capture: String,
    #[serde(default)]
    schedule: Option<String>,
    #[serde(default)]
    kept_until: Option<i64>,
    #[serde(default)]
    held: i64,
    state: String,
    runtime_state: String,
    progress: String,
    error: Option<String>,
    detail: String,
    created: i64,
    updated: i64,
    revision: i64,
    #[serde(default)]
    verified: Option<i64>,
    #[serde(default)]
    doubt: Option<String>,
}

/// What a turn writes; what is `None` stays as it is.
#[expect(
    clippy::option_option,
    reason = "diesel's way to tell what stays from what becomes nothing"
)]
#[derive(AsChangeset)]
#[diesel(table_name = dr_backups)]
struct Told {
    state: String,
    runtime_state: String,
    progress: String,
    error: Option<Option<String>>,
    instance_name: Option<String>,
    detail: Option<String>,
    updated: i64,
    verified: Option<i64>,
    doubt: Option<Option<String>>,
}

/// Writes a new one.
pub(super) async fn insert(conn: &mut Conn, backup: &DrBackup) -> Result<(), StoreError> {
    diesel::insert_into(dr_backups::table)
        .values(Row::of(backup)?)
        .execute(conn)
        .await?;
    Ok(())
}

/// One, where it is there.
pub(super) async fn get(conn: &mut Conn, id: DrBackupId) -> Result<Option<DrBackup>, StoreError> {
    let row: Option<Row> = dr_backups::table
        .find(id.to_string())
        .select(Row::as_select())
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(Row::salvaged))
}

/// The details of several, by id.
pub(super) async fn of_ids(conn: &mut Conn, ids: &[String]) -> Result<Vec<DrBackup>, StoreError> {
    let rows: Vec<Row> = dr_backups::table
        .filter(dr_backups::id.eq_any(ids))
        .select(Row::as_select())
        .load(conn)
        .await?;
    Ok(readable(rows))
}

/// Those that a schedule made, oldest first.
pub(super) async fn of_schedule(
    conn: &mut Conn,
    schedule: ScheduleId,
) -> Result<Vec<DrBackup>, StoreError> {
    let rows: Vec<Row> = dr_backups::table
        .filter(dr_backups::schedule.eq(schedule.to_string()))
        .order((dr_backups::created, dr_backups::id))
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
) -> Result<Vec<DrBackup>, StoreError> {
    let (mut found, mut passed) = (Vec::new(), 0);
    // What cannot be read must not take the places of what can.
    loop {
        let rows: Vec<Row> = dr_backups::table
            .filter(dr_backups::kept_until.le(now.0))
            .filter(dr_backups::schedule.is_null())
            .filter(dr_backups::held.eq(0))
            .filter(dr_backups::state.eq_any([State::Ok.name(), State::Erred.name()]))
            .order((dr_backups::kept_until, dr_backups::id))
            .limit(limit)
            .offset(passed)
            .select(Row::as_select())
            .load(conn)
            .await?;
        let count = i64::try_from(rows.len()).unwrap_or(limit);
        passed += count;
        found.extend(readable::<Row, DrBackup>(rows));
        if count < limit || found.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            return Ok(found);
        }
    }
}

/// The states and errors of several, by id; of a state that cannot be read there is none.
pub(super) async fn standing(
    conn: &mut Conn,
    ids: &[String],
) -> Result<Vec<(String, Option<(State, Option<OperationError>)>)>, StoreError> {
    let rows: Vec<(String, String, Option<String>)> = dr_backups::table
        .filter(dr_backups::id.eq_any(ids))
        .select((dr_backups::id, dr_backups::state, dr_backups::error))
        .load(conn)
        .await?;
    let told = rows.into_iter().map(|(id, is, error)| {
        let error = Gaps::default().or_default(from_json_option("the error of a DR backup", error));
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
) -> Result<Page<DrBackup>, StoreError> {
    let Query {
        filter,
        order,
        after,
        skip,
        limit: _,
    } = query;
    let mut rows = dr_backups::table
        .select(Row::as_select())
        .limit(i64::from(limit) + 1)
        .offset(i64::try_from(skip).unwrap_or(i64::MAX))
        .into_boxed::<Engine>();
    narrowed!(rows, filter, dr_backups, name);
    if let Some(server) = filter.server {
        rows = rows.filter(dr_backups::server.eq(server.as_str().to_owned()));
    }
    if let Some(schedule) = filter.schedule {
        rows = rows.filter(dr_backups::schedule.eq(schedule.to_string()));
    }
    if let Some(part) = filter.description_part {
        rows = rows.filter(dialect::place_in(dr_backups::description, part).gt(0));
    }
    if let Some(id) = filter.dr_backup {
        rows = rows.filter(dr_backups::id.eq(id.to_string()));
    }
    let rows = ordered!(rows, order, after, dr_backups, name);
    let rows: Vec<Row> = rows.load(conn).await?;
    let items = rows.into_iter().map(Row::salvaged).collect();
    Ok(cut(items, limit as usize, |backup| Cursor {
        value: match order.field {
            OrderField::Created => OrderValue::Time(backup.created),
            OrderField::Updated => OrderValue::Time(backup.updated),
            OrderField::Name => OrderValue::Text(backup.name.clone()),
        },
        id: backup.id.0,
    }))
}

/// Refuses one that cannot be read in full: what would be written over it is not all that it held.
async fn check_readable(conn: &mut Conn, id: DrBackupId) -> Result<(), StoreError> {
    let row: Option<Row> = dr_backups::table
        .find(id.to_string())
        .select(Row::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(DrBackup::try_from).transpose().map(drop)
}

/// Writes what a caller changed, at the revision that the caller saw.
pub(super) async fn change(conn: &mut Conn, backup: &DrBackup) -> Result<DrBackup, StoreError> {
    check_readable(conn, backup.id).await?;
    let row: Option<Row> = diesel::update(
        dr_backups::table
            .find(backup.id.to_string())
            .filter(dr_backups::revision.eq(backup.revision)),
    )
    .set((
        dr_backups::name.eq(&backup.name),
        dr_backups::description.eq(&backup.description),
        dr_backups::kept_until.eq(backup.keeping.until.map(|time| time.0)),
        dr_backups::held.eq(i64::from(backup.keeping.held)),
        dr_backups::state.eq(backup.state.name()),
        dr_backups::runtime_state.eq(&backup.runtime_state),
        dr_backups::progress.eq(json(&backup.progress)?),
        dr_backups::error.eq(json_option(backup.error.as_ref())?),
        dr_backups::updated.eq(backup.updated.0),
        dr_backups::revision.eq(dr_backups::revision + 1),
    ))
    .returning(Row::as_returning())
    .get_result(conn)
    .await
    .optional()?;
    if let Some(row) = row {
        return row.try_into();
    }
    let about = ResourceId::DrBackup(backup.id);
    if exists(conn, backup.id).await? {
        return Err(StoreError::Outdated(about));
    }
    Err(StoreError::NotFound(about))
}

/// Says why nothing is done for one, and changes nothing else of it; answers the event of it. Of one that
/// says so already, that is not there or that cannot be read there is none.
pub(super) async fn set_aside(
    conn: &mut Conn,
    id: DrBackupId,
    why: &str,
    now: Timestamp,
) -> Result<Option<Event>, StoreError> {
    let row: Option<Row> = dr_backups::table
        .find(id.to_string())
        .select(Row::as_select())
        .first(conn)
        .await
        .optional()?;
    let Some(before) = row.and_then(readable_one::<Row, DrBackup>) else {
        return Ok(None);
    };
    if before.runtime_state == why {
        return Ok(None);
    }
    let told = DrBackup {
        runtime_state: why.to_owned(),
        updated: now,
        revision: before.revision + 1,
        ..before
    };
    let written = diesel::update(
        dr_backups::table
            .find(id.to_string())
            .filter(dr_backups::revision.eq(told.revision - 1)),
    )
    .set((
        dr_backups::runtime_state.eq(why),
        dr_backups::updated.eq(now.0),
        dr_backups::revision.eq(told.revision),
    ))
    .execute(conn)
    .await?;
    (written == 1).then(|| event_of(&told)).transpose()
}

/// Writes what a turn tells; answers the event of it.
pub(super) async fn tell(
    conn: &mut Handle<'_>,
    id: DrBackupId,
    news: &ResourceUpdate,
    ending: &Ending,
) -> Result<Event, StoreError> {
    let detail = written_detail(news)?;
    let verification = news.report.verification.as_ref();
    let told = Told {
        state: news.state.name().to_owned(),
        runtime_state: news.report.runtime_state.clone(),
        progress: json(&news.report.progress)?,
        error: match ending {
            Ending::Open => None,
            Ending::Done => Some(None),
            Ending::Erred(error) => Some(Some(json(error)?)),
        },
        instance_name: detail
            .and_then(|detail| detail.manifest.as_ref())
            .map(|manifest| manifest.name.clone()),
        detail: json_option(detail)?,
        updated: news.time.0,
        verified: verification.and_then(|told| told.time).map(|time| time.0),
        doubt: verification
            .map(|told| json_option(told.doubt.as_ref()))
            .transpose()?,
    };
    let told = diesel::update(dr_backups::table.find(id.to_string()))
        .set((told, dr_backups::revision.eq(dr_backups::revision + 1)))
        .returning((dr_backups::revision, dr_backups::error));
    let row: Option<(i64, Option<String>)> = Prepared(told).get_result(conn).await.optional()?;
    let about = ResourceId::DrBackup(id);
    let (revision, error) = row.ok_or(StoreError::NotFound(about))?;
    Ok(Event {
        resource: about,
        sequence: number("a revision", revision)?,
        time: news.time,
        state: news.state,
        runtime_state: news.report.runtime_state.clone(),
        progress: news.report.progress.clone(),
        error: Gaps::default().or_default(from_json_option("the error of a DR backup", error)),
    })
}

/// Removes one, and its mirrors with it.
pub(super) async fn remove(conn: &mut Conn, id: DrBackupId) -> Result<(), StoreError> {
    diesel::delete(dr_backups::table.find(id.to_string()))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether one is there.
pub(super) async fn exists(conn: &mut Conn, id: DrBackupId) -> Result<bool, StoreError> {
    let found: Option<String> = dr_backups::table
        .find(id.to_string())
        .select(dr_backups::id)
        .first(conn)
        .await
        .optional()?;
    Ok(found.is_some())
}

/// One as an answer that is kept. It tells that there was user data, and not which: no answer does,
/// so the data goes with its DR backup.
pub(super) fn answer(backup: &DrBackup) -> Result<String, StoreError> {
    let mut backup = backup.clone();
    if let Some(manifest) = &mut backup.detail.manifest
        && let Some(data) = &mut manifest.user_data
    {
        data.clear();
    }
    json(&Row::of(&backup)?)
}

/// Reads an answer that was kept.
pub(super) fn answered(text: &str) -> Result<DrBackup, StoreError> {
    from_json::<Row>("the answer to a request", text)?.try_into()
}

/// The event that tells of a row as it is.
pub(super) fn event_of(backup: &DrBackup) -> Result<Event, StoreError> {
    Ok(Event {
        resource: ResourceId::DrBackup(backup.id),
        sequence: number("a revision", backup.revision)?,
        time: backup.updated,
        state: backup.state,
        runtime_state: backup.runtime_state.clone(),
        progress: backup.progress.clone(),
        error: backup.error.clone(),
    })
}

/// The detail that a turn writes, where it does.
pub(super) fn written_detail(news: &ResourceUpdate) -> Result<Option<&DrBackupDetail>, StoreError> {
    match (&news.report.detail, news.detail_changed) {
        (Some(Detail::DrBackup(detail)), true) => Ok(Some(detail)),
        (Some(Detail::Backup(_) | Detail::Restoration(_)), true) => Err(unreadable(
            "the detail of a DR backup",
            "it is that of another kind",
        )),
        (Some(_), false) | (None, _) => Ok(None),
    }
}

impl Row {
    fn of(backup: &DrBackup) -> Result<Self, StoreError> {
        Ok(Self {
            id: backup.id.to_string(),
            name: backup.name.clone(),
            description: backup.description.clone(),
            cloud: backup.tenant.cloud.as_str().to_owned(),
            project: backup.tenant.project.as_str().to_owned(),
            server: backup.server.as_str().to_owned(),
            instance_name: backup.instance_name.clone(),
            capture: word(&backup.capture)?,
            schedule: backup.keeping.schedule.map(|id| id.to_string()),
            kept_until: backup.keeping.until.map(|time| time.0),
            held: backup.keeping.held.into(),
            state: backup.state.name().to_owned(),
            runtime_state: backup.runtime_state.clone(),
            progress: json(&backup.progress)?,
            error: json_option(backup.error.as_ref())?,
            detail: json(&backup.detail)?,
            created: backup.created.0,
            updated: backup.updated.0,
            revision: backup.revision,
            verified: backup.verification.time.map(|time| time.0),
            doubt: json_option(backup.verification.doubt.as_ref())?,
        })
    }
}

impl Stored for Row {
    const KIND: &'static str = "DR backup";

    fn key(&self) -> &str {
        &self.id
    }
}

impl TryFrom<Row> for DrBackup {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let mut gaps = Gaps::default();
        let read = row.read(&mut gaps);
        gaps.refused().map(|()| read)
    }
}

impl Row {
    /// What can be read of it.
    fn read(self, gaps: &mut Gaps) -> DrBackup {
        DrBackup {
            id: DrBackupId(gaps.or_default(uuid(&self.id))),
            name: self.name,
            description: self.description,
            tenant: tenant(self.cloud, self.project),
            server: ServerId::new(self.server),
            instance_name: self.instance_name,
            capture: gaps.or_default(from_word("the capture of a DR backup", self.capture)),
            keeping: Keeping {
                schedule: gaps
                    .or_default(self.schedule.as_deref().map(uuid).transpose())
                    .map(ScheduleId),
                until: self.kept_until.map(Timestamp),
                held: self.held != 0,
            },
            state: gaps.fill(state(&self.state), State::Erred),
            runtime_state: self.runtime_state,
            progress: gaps.or_default(from_json("the progress of a DR backup", &self.progress)),
            error: gaps.or_default(from_json_option("the error of a DR backup", self.error)),
            detail: gaps.or_default(from_json("the detail of a DR backup", &self.detail)),
            created: Timestamp(self.created),
            updated: Timestamp(self.updated),
            revision: self.revision,
            verification: Verification {
                time: self.verified.map(Timestamp),
                doubt: gaps.or_default(from_json_option("the doubt about a DR backup", self.doubt)),
            },
        }
    }

    /// What can be read of it; where that is not all, it says so.
    fn salvaged(self) -> DrBackup {
        let (mut gaps, key) = (Gaps::default(), self.id.clone());
        let mut read = self.read(&mut gaps);
        if let Some((told, error)) = gaps.told(Self::KIND, &key) {
            read.runtime_state = told;
            read.error = Some(error);
        }
        read
    }
}
