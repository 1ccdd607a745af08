//! What may be let go because nobody wants to keep it any more: judged, and asked for like anybody else
//! would; it may not know who looks, or how often.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{info, warn};

use super::{Service, point::DeletePoint, refused, verification::Sights};
use crate::{
    domain::{
        calendar::Calendar,
        caller::Scope,
        error::{Error, ErrorKind, OperationError},
        id::{PointId, PointKind, ServerId, Tenant},
        page::{Filter, Order, Query},
        point::PointFacts,
        retention::{Health, Judgement, Point, Policy, judge},
        schedule::Schedule,
        time::Timestamp,
    },
    port::schedules::KeptPoint,
};

impl Service {
    /// What retention thinks of the points of a schedule, where only those count as good that were seen
    /// `since` then, if that is named.
    pub(super) async fn judge(
        &self,
        schedule: &Schedule,
        calendar: &Calendar,
        now: Timestamp,
        since: Option<Timestamp>,
    ) -> Result<Judgement<PointId>, Error> {
        let points = self.store.points_of(schedule.id).await.map_err(refused)?;
        let policy = schedule.plan.keep.policy(calendar);
        Ok(judge(&seen_by_retention(&points, since), &policy, now))
    }

    /// Lets go what the retention of every active schedule does not keep any more; answers how many
    /// deletions it asked for. One that is not active makes nothing new, so it lets nothing go.
    pub async fn schedules_prune(&self, at_once: u32) -> Result<usize, Error> {
        let mut query = Query {
            scope: Scope::All,
            filter: Filter {
                active: Some(true),
                ..Filter::default()
            },
            order: Order::default(),
            after: None,
            skip: 0,
            limit: at_once,
        };
        let mut asked = 0;
        let mut sights = self.sights();
        loop {
            let page = self
                .store
                .schedules_list(query.clone())
                .await
                .map_err(refused)?;
            for schedule in &page.items {
                match self.schedule_prune(schedule, &mut sights).await {
                    Ok(deletions) => asked += deletions,
                    Err(error) if error.kind == ErrorKind::Unavailable => return Err(error),
                    // One that cannot be judged must not keep the others from it.
                    Err(error) => {
                        warn!(schedule = %schedule.id, %error, "what may go was not let go; it is tried again later");
                    }
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(asked),
            }
        }
    }

    /// Lets go what the retention of a schedule does not keep any more; answers how many deletions it
    /// asked for. What another point is built on goes in a later call, when that one is gone.
    ///
    /// Looks first: what goes does so only because others are good, so only those count that were seen
    /// with these sights. While their cloud does not answer nothing goes.
    pub(super) async fn schedule_prune(
        &self,
        schedule: &Schedule,
        sights: &mut Sights,
    ) -> Result<usize, Error> {
        OperationError::check_readable(schedule.error.as_ref())?;
        let calendar = schedule.plan.calendar()?;
        if let Err(error) = self.points_look(&schedule.tenant, sights).await {
            info!(schedule = %schedule.id, %error, "its points could not all be looked at: those do not count");
        }
        let now = self.clock.now();
        let judgement = self
            .judge(schedule, &calendar, now, Some(sights.since))
            .await?;
        let mut asked = 0;
        for point in judgement.deletions {
            asked += usize::from(self.let_go(point, "retention").await?);
        }
        Ok(asked)
    }

    /// Lets go the points whose time is over and that no schedule looks after; answers how many. The
    /// last good point of an instance stays: only a person may take that.
    pub async fn points_expire(&self, at_once: u32) -> Result<usize, Error> {
        let now = self.clock.now();
        let expired = self
            .store
            .points_expired(now, at_once)
            .await
            .map_err(refused)?;
        let used: BTreeSet<PointId> = expired
            .iter()
            .filter(|one| one.used)
            .map(|one| one.point.id)
            .collect();
        let over: BTreeSet<PointId> = expired.iter().map(|one| one.point.id).collect();
        let instances: BTreeSet<(Tenant, ServerId)> = expired
            .into_iter()
            .map(|one| (one.point.tenant, one.point.server))
            .collect();
        let mut asked = 0;
        let mut sights = self.sights();
        for (tenant, server) in instances {
            if let Err(error) = self.points_look(&tenant, &mut sights).await {
                info!(%tenant, %error, "its points could not all be looked at: those do not count");
            }
            // A regular backup goes with its cloud, so neither kind stands in for the other.
            for kind in PointKind::ALL {
                let points = self.points_of_instance(kind, &tenant, &server).await?;
                let points: Vec<KeptPoint> = points
                    .into_iter()
                    .map(|point| KeptPoint {
                        used: used.contains(&point.id),
                        point,
                    })
                    .collect();
                let policy = Policy::keep_all(chrono_tz::UTC);
                let goes = judge(
                    &seen_by_retention(&points, Some(sights.since)),
                    &policy,
                    now,
                )
                .deletions;
                for point in goes.into_iter().filter(|id| over.contains(id)) {
                    asked += usize::from(self.let_go(point, "the end of its time").await?);
                }
            }
        }
        Ok(asked)
    }

    /// All points of one kind of an instance.
    async fn points_of_instance(
        &self,
        kind: PointKind,
        tenant: &Tenant,
        server: &ServerId,
    ) -> Result<Vec<PointFacts>, Error> {
        let filter = Filter {
            kind: Some(kind),
            cloud: Some(tenant.cloud.clone()),
            project: Some(tenant.project.clone()),
            server: Some(server.clone()),
            ..Filter::default()
        };
        self.points_all(filter, |point| point.into()).await
    }

    /// Asks for the deletion of a point like anybody else; answers whether it was admitted. One that
    /// changed since it was judged, or that another still needs, is left for the next look.
    async fn let_go(&self, point: PointId, why: &str) -> Result<bool, Error> {
        let ask = DeletePoint {
            id: point,
            allow_missing_cloud: false,
            etag: String::new(),
            request_id: String::new(),
        };
        let admitted = self
            .internally("retention")
            .point_delete(ask)
            .await
            .map(drop);
        match admitted {
            Ok(()) => {
                info!(point = point.named(), why, "a point is let go");
                Ok(true)
            }
            Err(error) if error.is_about_the_resource() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Points as retention judges them: good ones that were not seen `since` then are doubtful, if that is
/// named.
fn seen_by_retention(points: &[KeptPoint], since: Option<Timestamp>) -> Vec<Point<PointId>> {
    let owner: BTreeMap<&str, PointId> = points
        .iter()
        .flat_map(|one| {
            one.point
                .made
                .iter()
                .map(|made| (made.as_str(), one.point.id))
        })
        .collect();
    let seen = |KeptPoint { point, used }: &KeptPoint| {
        let mut parents = point.builds_on.iter();
        let is_stale = since.is_some_and(|since| point.verified.is_none_or(|seen| seen < since));
        Point {
            id: point.id,
            taken: point.created,
            health: match point.health {
                Health::Good if is_stale => Health::Doubtful,
                Health::Good | Health::Doubtful | Health::Failed => point.health,
            },
            busy: point.state.is_busy(),
            used: *used,
            held: point.keeping.held,
            kept_until: point.keeping.until,
            parent: parents.find_map(|parent| owner.get(parent.as_str()).copied()),
        }
    };
    points.iter().map(seen).collect()
}
