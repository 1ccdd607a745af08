//! The rows of restorations; it may not know operations.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Conn, Engine, Handle, dialect,
    head::{self, ended, head_columns},
    page::{
        behind, cursor, cut, first, in_states, narrowed, ordered, projects_by_cloud, text_cursor,
        time_cursor, within,
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
        id::{InstanceId, PointId, PointKind, ResourceId, RestorationId},
        lifecycle::State,
        page::{OrderField, Page, Query},
        restoration::{Restoration, RestorationDetail},
        time::Timestamp,
        user_data::UserData,
    },
    port::{journal::ResourceUpdate, store::StoreError},
    store::{
        aside::{Gaps, Stored, readable, readable_one},
        schema::restorations,
        seal,
        text::{from_json, from_json_option, json, json_option, state, tenant, unreadable, uuid},
    },
};

head_columns!(restorations);

/// Also the form in which answers are kept, so a new column needs `#[serde(default)]`.
#[derive(Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = restorations, treat_none_as_default_value = false)]
struct Row {
    id: String,
    dr_backup: Option<String>,
    backup: Option<String>,
    cloud: String,
    project: String,
    instance: String,
    instance_name: String,
    wish: String,
    #[diesel(embed)]
    #[serde(flatten)]
    head: HeadRow,
    detail: String,
}

/// Writes a new one.
pub(super) async fn insert(conn: &mut Conn, restoration: &Restoration) -> Result<(), StoreError> {
    diesel::insert_into(restorations::table)
        .values(Row::of(restoration)?.sealed()?)
        .execute(conn)
        .await?;
    Ok(())
}

/// One, where it is there.
pub(super) async fn get(
    conn: &mut Conn,
    id: RestorationId,
) -> Result<Option<Restoration>, StoreError> {
    let row = first!(conn, restorations::table.find(id.to_string()));
    Ok(row.map(Row::salvaged))
}

/// The one that makes an instance, where it is there.
pub(super) async fn of_instance(
    conn: &mut Conn,
    instance: InstanceId,
) -> Result<Option<Restoration>, StoreError> {
    let row = first!(
        conn,
        restorations::table.filter(restorations::instance.eq(instance.to_string()))
    );
    Ok(row.map(Row::salvaged))
}

/// Several, by id.
pub(super) async fn of_ids(
    conn: &mut Conn,
    ids: &[String],
) -> Result<Vec<Restoration>, StoreError> {
    let rows: Vec<Row> = restorations::table
        .filter(restorations::id.eq_any(ids))
        .select(Row::as_select())
        .load(conn)
        .await?;
    Ok(readable(rows))
}

/// The rows that restore a backup.
fn of(source: PointId, scope: &Scope) -> restorations::BoxedQuery<'static, Engine> {
    let mut rows = restorations::table.into_boxed();
    within!(rows, *scope, restorations);
    match source.kind {
        PointKind::Dr => rows.filter(restorations::dr_backup.eq(source.to_string())),
        PointKind::Regular => rows.filter(restorations::backup.eq(source.to_string())),
    }
}

/// Those of a backup, newest first.
pub(super) async fn of_source(
    conn: &mut Conn,
    source: PointId,
    scope: Scope,
    limit: i64,
) -> Result<Vec<Restoration>, StoreError> {
    let rows: Vec<Row> = of(source, &scope)
        .order((restorations::created.desc(), restorations::id.desc()))
        .limit(limit)
        .select(Row::as_select())
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(Row::salvaged).collect())
}

/// Those of a backup that have an operation under way.
pub(super) async fn busy(
    conn: &mut Conn,
    source: PointId,
) -> Result<Vec<RestorationId>, StoreError> {
    let ids: Vec<String> = of(source, &Scope::All)
        .filter(restorations::state.ne_all(resting()))
        .order((restorations::created, restorations::id))
        .select(restorations::id)
        .load(conn)
        .await?;
    ids.iter().map(|id| uuid(id).map(RestorationId)).collect()
}

/// Those of some backups, of either kind, of which a restoration runs.
pub(super) async fn in_use(
    conn: &mut Conn,
    backups: &[String],
) -> Result<HashSet<String>, StoreError> {
    let of_them = restorations::dr_backup
        .eq_any(backups)
        .or(restorations::backup.eq_any(backups));
    let used: Vec<(Option<String>, Option<String>)> = restorations::table
        .filter(of_them)
        .filter(restorations::state.ne_all(resting()))
        .select((restorations::dr_backup, restorations::backup))
        .load(conn)
        .await?;
    Ok(used
        .into_iter()
        .filter_map(|(dr_backup, backup)| dr_backup.or(backup))
        .collect())
}

fn resting() -> impl Iterator<Item = &'static str> {
    State::ALL
        .into_iter()
        .filter(|state| !state.is_busy())
        .map(State::name)
}

/// A page, of at most `limit` rows.
pub(super) async fn page(
    conn: &mut Conn,
    query: Query,
    limit: u32,
) -> Result<Page<Restoration>, StoreError> {
    let Query {
        scope,
        filter,
        order,
        after,
        skip,
        ..
    } = query;
    let mut rows = restorations::table
        .select(Row::as_select())
        .limit(i64::from(limit) + 1)
        .offset(i64::try_from(skip).unwrap_or(i64::MAX))
        .into_boxed::<Engine>();
    within!(rows, scope, restorations);
    narrowed!(rows, filter, restorations, instance_name);
    in_states!(rows, filter, restorations);
    match filter.kind {
        None => {}
        Some(PointKind::Dr) => rows = rows.filter(restorations::dr_backup.is_not_null()),
        Some(PointKind::Regular) => rows = rows.filter(restorations::backup.is_not_null()),
    }
    for id in filter.points {
        rows = match id.kind {
            PointKind::Dr => rows.filter(restorations::dr_backup.eq(id.to_string())),
            PointKind::Regular => rows.filter(restorations::backup.eq(id.to_string())),
        };
    }
    let rows = ordered!(rows, order, after, restorations, instance_name);
    let rows: Vec<Row> = rows.load(conn).await?;
    let items = rows.into_iter().map(Row::salvaged).collect();
    Ok(cut(items, limit as usize, |restoration| {
        let times = (restoration.head.created, restoration.head.updated);
        cursor(order, times, &restoration.instance_name, restoration.id.0)
    }))
}

/// Refuses one that cannot be read in full: what would be written over it is not all that it held.
async fn check_readable(conn: &mut Conn, id: RestorationId) -> Result<(), StoreError> {
    let row = first!(conn, restorations::table.find(id.to_string()));
    row.map(Row::whole).transpose().map(drop)
}

/// Writes what a caller changed, at the revision that the caller saw.
pub(super) async fn change(
    conn: &mut Conn,
    restoration: &Restoration,
) -> Result<Restoration, StoreError> {
    check_readable(conn, restoration.id).await?;
    let row: Option<Row> = diesel::update(
        restorations::table
            .find(restoration.id.to_string())
            .filter(restorations::revision.eq(restoration.head.revision)),
    )
    .set((
        HeadChange::of(&restoration.head)?,
        restorations::revision.eq(restorations::revision + 1),
    ))
    .returning(Row::as_returning())
    .get_result(conn)
    .await
    .optional()?;
    if let Some(row) = row {
        return row.whole();
    }
    let about = ResourceId::Restoration(restoration.id);
    match get(conn, restoration.id).await? {
        Some(_) => Err(StoreError::Outdated(about)),
        None => Err(StoreError::NotFound(about)),
    }
}

/// Says why nothing is done for one, and changes nothing else of it; answers the event of it. Of one that
/// says so already, that is not there or that cannot be read there is none.
pub(super) async fn set_aside(
    conn: &mut Conn,
    id: RestorationId,
    why: &str,
    now: Timestamp,
) -> Result<Option<Event>, StoreError> {
    let row = first!(conn, restorations::table.find(id.to_string()));
    let Some(before) = row.and_then(readable_one) else {
        return Ok(None);
    };
    let Some(head) = before.head.set_aside(why, now) else {
        return Ok(None);
    };
    let row = restorations::table.find(id.to_string());
    let written = diesel::update(row.filter(restorations::revision.eq(before.head.revision)))
        .set((
            restorations::runtime_state.eq(why),
            restorations::updated.eq(now.0),
            restorations::revision.eq(head.revision),
        ))
        .execute(conn)
        .await?;
    let event = || head::event_of(ResourceId::Restoration(id), &head);
    (written == 1).then(event).transpose()
}

/// Revision, error, DR backup and regular backup of a row.
type Named = (i64, Option<String>, Option<String>, Option<String>);

/// Writes what a turn tells; answers the event of it, and the point that is restored.
pub(super) async fn tell(
    conn: &mut Handle<'_>,
    id: RestorationId,
    news: &ResourceUpdate,
    ending: &Ending,
) -> Result<(Event, Option<PointId>), StoreError> {
    let detail = written_detail(news)?;
    let detail = detail.map(|detail| seal::RESTORATION_DETAIL.write(&[&id.to_string()], detail));
    let detail = detail.transpose()?;
    let told = diesel::update(restorations::table.find(id.to_string()))
        .set((
            HeadChange::told(news, ending)?,
            detail.map(|detail| restorations::detail.eq(detail)),
            restorations::revision.eq(restorations::revision + 1),
        ))
        .returning((
            restorations::revision,
            restorations::error,
            restorations::dr_backup,
            restorations::backup,
        ));
    let row: Option<Named> = Prepared(told).get_result(conn).await.optional()?;
    let about = ResourceId::Restoration(id);
    let (revision, error, dr_backup, backup) = row.ok_or(StoreError::NotFound(about))?;
    let event = head::event_told(about, news, revision, error)?;
    let dr_backup = dr_backup.as_deref().map(uuid).transpose()?;
    let backup = backup.as_deref().map(uuid).transpose()?;
    let dr_backup = dr_backup.map(PointId::dr);
    let backup = backup.map(PointId::regular);
    Ok((event, dr_backup.or(backup)))
}

/// Removes one.
pub(super) async fn remove(conn: &mut Conn, id: RestorationId) -> Result<(), StoreError> {
    diesel::delete(restorations::table.find(id.to_string()))
        .execute(conn)
        .await?;
    Ok(())
}

/// One as an answer that is kept. It tells that there was user data, and not which: no answer does,
/// so the data goes with its restoration.
pub(super) fn answer(restoration: &Restoration) -> Result<String, StoreError> {
    let mut restoration = restoration.clone();
    if let Some(data) = &mut restoration.options.user_data {
        *data = UserData::default();
    }
    json(&Row::of(&restoration)?)
}

/// Reads an answer that was kept.
pub(super) fn answered(text: &str) -> Result<Restoration, StoreError> {
    from_json::<Row>("the answer to a request", text)?.whole()
}

/// The event that tells of a row as it is.
pub(super) fn event_of(restoration: &Restoration) -> Result<Event, StoreError> {
    head::event_of(ResourceId::Restoration(restoration.id), &restoration.head)
}

/// The detail that a turn writes, where it does.
pub(super) fn written_detail(
    news: &ResourceUpdate,
) -> Result<Option<&RestorationDetail>, StoreError> {
    match (&news.report.detail, news.detail_changed) {
        (Some(Detail::Restoration(detail)), true) => Ok(Some(detail)),
        (Some(Detail::Point(_)), true) => Err(unreadable(
            "the detail of a restoration",
            "it is that of another kind",
        )),
        (Some(_), false) | (None, _) => Ok(None),
    }
}

impl Row {
    /// One as an answer holds it, which is sealed as a whole.
    fn of(restoration: &Restoration) -> Result<Self, StoreError> {
        let source = restoration.source;
        let (dr_backup, backup) = match source.kind {
            PointKind::Dr => (Some(source.to_string()), None),
            PointKind::Regular => (None, Some(source.to_string())),
        };
        Ok(Self {
            id: restoration.id.to_string(),
            dr_backup,
            backup,
            cloud: restoration.tenant.cloud.as_str().to_owned(),
            project: restoration.tenant.project.as_str().to_owned(),
            instance: restoration.instance.to_string(),
            instance_name: restoration.instance_name.clone(),
            wish: json(&restoration.options)?,
            head: HeadRow::of(&restoration.head)?,
            detail: json(&restoration.detail)?,
        })
    }

    /// The same as its table holds it.
    fn sealed(self) -> Result<Self, StoreError> {
        Ok(Self {
            wish: seal::WISH.seal(&[&self.id], self.wish)?,
            detail: seal::RESTORATION_DETAIL.seal(&[&self.id], self.detail)?,
            ..self
        })
    }
}

impl Stored for Row {
    type Resource = Restoration;

    fn kind(&self) -> &'static str {
        "restoration"
    }

    fn key(&self) -> &str {
        &self.id
    }

    fn read(self, gaps: &mut Gaps) -> Restoration {
        let row = [self.id.as_str()];
        let wish = seal::WISH.read(&row, "the wish of a restoration", self.wish);
        let what = "the detail of a restoration";
        let detail = seal::RESTORATION_DETAIL.read(&row, what, self.detail);
        let none = PointId::dr(Uuid::nil());
        let source = match (self.dr_backup, self.backup) {
            (Some(id), None) => uuid(&id).map(PointId::dr),
            (None, Some(id)) => uuid(&id).map(PointId::regular),
            (None, None) | (Some(_), Some(_)) => Err(unreadable(
                "a restoration",
                "it restores not exactly one backup",
            )),
        };
        Restoration {
            id: RestorationId(gaps.or_default(uuid(&self.id))),
            source: gaps.fill(source, none),
            tenant: tenant(self.cloud, self.project),
            instance: InstanceId(gaps.or_default(uuid(&self.instance))),
            instance_name: self.instance_name,
            options: gaps.or_default(wish),
            head: self.head.read("a restoration", gaps),
            detail: gaps.or_default(detail),
        }
    }

    fn say(restoration: &mut Restoration, told: String, error: OperationError) {
        restoration.head.runtime_state = told;
        restoration.head.error = Some(error);
    }
}
