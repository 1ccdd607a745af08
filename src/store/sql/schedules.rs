//! The methods of the port of schedules, each of them one transaction; it may not know how a
//! transaction begins and ends.

use async_trait::async_trait;
use futures::FutureExt as _;

use super::{
    Conn, Db,
    admission::{self, StoredResource as _},
    freshness, point,
    request::{self, Before, Claim},
    restoration, run, schedule,
};
use crate::{
    domain::{
        audit::{Object, What},
        event::Event,
        id::{CloudName, ResourceId, ScheduleId},
        page::{Cursor, Page, Query},
        point::{Point, PointFacts},
        schedule::{Run, RunOutcome, Schedule},
        time::Timestamp,
    },
    port::{
        schedules::{Freshness, KeptPoint, Made, NewPoint, Schedules},
        store::{Admitted, Asked, RequestKey, StoreError},
    },
    store::{notifier::CommitNotice, text::uuid},
};

#[async_trait]
impl Schedules for Db {
    async fn schedule_answered(&self, key: &RequestKey) -> Result<Option<Schedule>, StoreError> {
        let key = key.clone();
        self.read(move |conn| async move { admission::answered(conn, &key).await }.boxed())
            .await
    }

    async fn schedule_admit(
        &self,
        asked: Asked,
        admitted: Schedule,
    ) -> Result<Admitted<Schedule>, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move { admission::admit(conn, &asked, admitted, None, now).await }.boxed()
        })
        .await
    }

    async fn schedule_change(
        &self,
        asked: Asked,
        wanted: Schedule,
    ) -> Result<Admitted<Schedule>, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move { admission::change(conn, &asked, wanted, None, now).await }.boxed()
        })
        .await
    }

    async fn schedule_wait(&self, wanted: Schedule) -> Result<(), StoreError> {
        self.write(move |conn| {
            async move {
                let changed = change(conn, &wanted).await?;
                Ok(((), CommitNotice::of(vec![changed])))
            }
            .boxed()
        })
        .await
    }

    async fn schedule_remove(
        &self,
        asked: Asked,
        removed: Schedule,
    ) -> Result<Admitted<Schedule>, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                let about = ResourceId::Schedule(removed.id);
                let key = asked.key.as_ref();
                if let Claim::Before(before) = request::claim(conn, key, about, now).await? {
                    let before = admission::before(conn, before).await?;
                    return Ok((Admitted::Before(before), CommitNotice::NONE));
                }
                match schedule::get(conn, removed.id).await? {
                    None => return Err(StoreError::NotFound(about)),
                    Some(there) if there.revision != removed.revision => {
                        return Err(StoreError::Outdated(about));
                    }
                    Some(_) => schedule::remove(conn, removed.id).await?,
                }
                request::keep(conn, key, || schedule::answer(&removed)).await?;
                let notice = CommitNotice::of(vec![schedule::farewell(&removed)?]);
                let note = removed.note(&asked, now);
                Ok((Admitted::New(removed), notice.with(note)))
            }
            .boxed()
        })
        .await
    }

    async fn schedule_get(&self, id: ScheduleId) -> Result<Schedule, StoreError> {
        self.read(move |conn| schedule::get(conn, id).boxed())
            .await?
            .ok_or(StoreError::NotFound(ResourceId::Schedule(id)))
    }

    async fn schedules_list(&self, query: Query) -> Result<Page<Schedule>, StoreError> {
        let limit = self.page_limit(query.limit);
        self.read(move |conn| schedule::page(conn, query, limit).boxed())
            .await
    }

    async fn schedules_due(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<Schedule>, Option<Timestamp>), StoreError> {
        let limit = i64::from(self.page_limit(limit));
        self.snapshot(move |conn| {
            async move {
                let due = schedule::due(conn, now, limit).await?;
                Ok((due, schedule::next(conn, now).await?))
            }
            .boxed()
        })
        .await
    }

    async fn schedules_freshness(&self, limit: u32) -> Result<Vec<Freshness>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.snapshot(move |conn| freshness::oldest(conn, limit).boxed())
            .await
    }

    async fn run_answered(&self, key: &RequestKey) -> Result<Option<Run>, StoreError> {
        let key = key.clone();
        self.read(move |conn| {
            async move {
                match request::find(conn, &key).await? {
                    Some(before) => run_before(conn, before).await.map(Some),
                    None => Ok(None),
                }
            }
            .boxed()
        })
        .await
    }

    async fn run_begin(
        &self,
        asked: Asked,
        wanted: Schedule,
        begun: Run,
        point: Option<NewPoint>,
    ) -> Result<Run, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                let about = ResourceId::Schedule(wanted.id);
                let key = asked.key.as_ref();
                if let Claim::Before(before) = request::claim(conn, key, about, now).await? {
                    return Ok((run_before(conn, before).await?, CommitNotice::NONE));
                }
                let changed = change(conn, &wanted).await?;
                run::insert(conn, &begun, &wanted.tenant.cloud).await?;
                request::keep(conn, key, || Ok(begun.id.to_string())).await?;
                let mut note = wanted.note(&asked, now);
                let Some(point) = point else {
                    return Ok((begun, CommitNotice::of(vec![changed]).with(note)));
                };
                let NewPoint { point, operation } = point;
                if let What::Accepted { makes, .. } = &mut note.what {
                    *makes = Some(Object::resource(point.id.into(), &point.tenant));
                }
                let (_, mut notice) = admission::begin(conn, point, Some(&operation)).await?;
                notice.events.insert(0, changed);
                Ok((begun, notice.with(note)))
            }
            .boxed()
        })
        .await
    }

    async fn run_end(&self, wanted: Schedule, ended: Run) -> Result<(), StoreError> {
        self.write(move |conn| {
            async move {
                let changed = change(conn, &wanted).await?;
                run::end(conn, &ended).await?;
                Ok(((), CommitNotice::of(vec![changed])))
            }
            .boxed()
        })
        .await
    }

    async fn runs_list(
        &self,
        of: ScheduleId,
        outcome: Option<RunOutcome>,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Run>, StoreError> {
        let limit = self.page_limit(limit);
        self.read(move |conn| run::page(conn, of, outcome, after, limit).boxed())
            .await
    }

    async fn runs_rested(&self, limit: u32) -> Result<Vec<(Run, Made)>, StoreError> {
        let limit = self.page_limit(limit);
        self.snapshot(move |conn| run::rested(conn, limit).boxed())
            .await
    }

    async fn runs_under_way(&self, cloud: &CloudName) -> Result<u64, StoreError> {
        let cloud = cloud.clone();
        self.read(move |conn| async move { run::under_way(conn, &cloud).await }.boxed())
            .await
    }

    async fn points_of(&self, of: ScheduleId) -> Result<Vec<KeptPoint>, StoreError> {
        self.snapshot(move |conn| {
            async move {
                let points = point::of_schedule(conn, of).await?;
                kept_points(conn, &points).await
            }
            .boxed()
        })
        .await
    }

    async fn points_expired(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<KeptPoint>, StoreError> {
        let limit = i64::from(self.page_limit(limit));
        self.snapshot(move |conn| {
            async move {
                let points = point::expired(conn, now, limit).await?;
                kept_points(conn, &points).await
            }
            .boxed()
        })
        .await
    }
}

/// Writes a schedule; answers the event of it.
async fn change(conn: &mut Conn, wanted: &Schedule) -> Result<Event, StoreError> {
    schedule::event_of(&schedule::change(conn, wanted).await?)
}

/// Points with whether a restoration of them runs.
async fn kept_points(conn: &mut Conn, points: &[Point]) -> Result<Vec<KeptPoint>, StoreError> {
    let points: Vec<PointFacts> = points.iter().map(PointFacts::from).collect();
    let ids: Vec<String> = points.iter().map(|one| one.id.to_string()).collect();
    let used = restoration::in_use(conn, &ids).await?;
    let kept = points.into_iter().zip(ids).map(|(point, id)| KeptPoint {
        used: used.contains(&id),
        point,
    });
    Ok(kept.collect())
}

/// The run that an earlier request began.
async fn run_before(conn: &mut Conn, before: Before) -> Result<Run, StoreError> {
    let gone = StoreError::NotFound(before.about);
    let Some(id) = before.answer else {
        return Err(gone);
    };
    let id = crate::domain::id::RunId(uuid(&id?)?);
    run::get(conn, id).await?.ok_or(gone)
}
