//! Admits what is asked about points, DR backups and regular backups; it may not know how one is made.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    Service,
    acting::Acting,
    content,
    fields::Fields,
    refused,
    request::{answer, check_etag, nothing_to_cancel},
    scope::may_pass,
};
use crate::{
    domain::{
        action::Action,
        caller::Scope,
        capture::Capture,
        consistency::{self, ConsistencyLevel},
        error::{Error, ErrorKind},
        head::Head,
        id::{PointId, PointKind, ResourceId, ServerId, Tenant},
        keeping::{Keeping, Rekeeping},
        lifecycle::{State, Transition},
        operation::{Ask, Operation},
        page::{Filter, Order, Page, Query},
        point::{Point, PointDetail},
        restoration::Restoration,
        verification::Verification,
        volume_backup::BackupAt,
    },
    port::store::RequestKey,
};

/// What `CreateDRBackup` and `CreateBackup` ask for.
#[derive(Debug, Clone)]
pub struct CreatePoint {
    /// Of which kind.
    pub kind: PointKind,
    /// Where the instance lives.
    pub tenant: Tenant,
    /// The instance.
    pub server: ServerId,
    /// Empty means the name of the instance.
    pub name: String,
    /// Mirrored to the Cinder backups or snapshots.
    pub description: String,
    /// How the bytes of a DR backup are taken; not looked at for a regular backup.
    pub capture: Capture,
    /// Whether each volume backup of a DR backup builds on the newest one of its volume, where there is
    /// one; not looked at for a regular backup.
    pub incremental: bool,
    /// How well the volumes have to agree at least.
    pub minimum: Option<ConsistencyLevel>,
    /// How long it is kept.
    pub keeping: Keeping,
    /// How long it may take; nothing means the configured limit.
    pub deadline: Option<Duration>,
    /// Only check it.
    pub validate_only: bool,
    /// Makes a repeat harmless; empty means none.
    pub request_id: String,
}

impl CreatePoint {
    /// How the bytes are taken; nothing where snapshots stay.
    fn capture(&self) -> Option<Capture> {
        match self.kind {
            PointKind::Dr => Some(self.capture),
            PointKind::Regular => None,
        }
    }
}

/// What `UpdateDRBackup` and `UpdateBackup` ask for; what is nothing stays.
#[derive(Debug, Clone)]
pub struct UpdatePoint {
    /// Which.
    pub id: PointId,
    /// The new name.
    pub name: Option<String>,
    /// The new description.
    pub description: Option<String>,
    /// How long it is kept from now on.
    pub keeping: Rekeeping,
    /// The etag it was read with; empty means any.
    pub etag: String,
    /// Makes a repeat harmless; empty means none.
    pub request_id: String,
}

/// What `DeleteDRBackup` and `DeleteBackup` ask for.
#[derive(Debug, Clone)]
pub struct DeletePoint {
    /// Which.
    pub id: PointId,
    /// Whether what lies in a cloud that does not answer may be forgotten.
    pub allow_missing_cloud: bool,
    /// The etag it was read with; empty means any.
    pub etag: String,
    /// Makes a repeat harmless; empty means none.
    pub request_id: String,
}

impl Acting {
    /// Admits a new point: from here on it happens, or is undone, whatever dies.
    pub async fn point_create(&self, ask: CreatePoint) -> Result<Point, Error> {
        let mut check = Fields::new(self.service.limits());
        check.present("cloud", ask.tenant.cloud.as_str());
        check.present("tenant", ask.tenant.project.as_str());
        check.present("instance_id", ask.server.as_str());
        self.service
            .check_words(&mut check, Some(&ask.name), Some(&ask.description));
        check.at_most(
            "request_id",
            &ask.request_id,
            self.service.limits().request_id_characters,
        );
        check.done()?;
        self.may_in(Action::CreatePoint, &ask.tenant)?;
        let asked = self.asked(content::create_point(&ask));
        if let Some(answer) = self
            .point_answered(asked.key.as_ref(), Action::CreatePoint)
            .await?
        {
            return Ok(answer);
        }
        // Whoever only asks hears of all that is in the way at once, from the planner.
        let minimum = ask.minimum.filter(|_| !ask.validate_only);
        let instance_name = self
            .service
            .look_at_instance(&ask.tenant, &ask.server, ask.capture(), minimum)
            .await?;
        let validate_only = ask.validate_only;
        let (point, operation) = self.service.point_prepare(ask, instance_name).await?;
        if validate_only {
            self.service.rehearse(&operation).await?;
            return Ok(point);
        }
        let admitted = self
            .service
            .store
            .point_admit(asked, point, operation)
            .await
            .map_err(refused)?;
        Ok(answer(admitted))
    }

    /// One point.
    pub async fn point_get(&self, id: PointId) -> Result<Point, Error> {
        self.point(id, Action::ReadPoint).await
    }

    /// A page of points.
    pub async fn points_list(&self, query: Query) -> Result<Page<Point>, Error> {
        let page = self
            .service
            .store
            .points_list(self.scoped(query.clone()))
            .await;
        let of = Filter {
            schedule: query.filter.schedule,
            ..Filter::default()
        };
        self.honest_of(&query, page.map_err(refused)?, of).await
    }

    /// The imported records that are known of every link that a point holds, as far as the caller may be
    /// told of the tenants that they are in.
    pub async fn point_mirrors(&self, point: &Point) -> Result<Vec<BackupAt>, Error> {
        self.may_in(Action::ReadPoint, &point.tenant)?;
        let mut mirrors = self.mirrors(point.id).await?;
        mirrors.retain(|mirror| self.scope().has(&mirror.tenant));
        Ok(mirrors)
    }

    /// All of them; a regular backup has none.
    pub(super) async fn mirrors(&self, id: PointId) -> Result<Vec<BackupAt>, Error> {
        match id.kind {
            PointKind::Dr => self.service.store.mirrors_list(id).await.map_err(refused),
            PointKind::Regular => Ok(Vec::new()),
        }
    }

    /// Admits new words for a point, and how long it is kept; a new description goes to its Cinder backups
    /// or snapshots too.
    pub async fn point_update(&self, ask: UpdatePoint) -> Result<Point, Error> {
        let mut check = Fields::new(self.service.limits());
        let (name, description) = (ask.name.as_deref(), ask.description.as_deref());
        if let Some(name) = name {
            check.present("name", name);
        }
        self.service.check_words(&mut check, name, description);
        check.at_most(
            "request_id",
            &ask.request_id,
            self.service.limits().request_id_characters,
        );
        check.done()?;
        let asked = self.asked(content::update_point(&ask));
        if let Some(answer) = self
            .point_answered(asked.key.as_ref(), Action::UpdatePoint)
            .await?
        {
            return Ok(answer);
        }
        let mut point = self.point(ask.id, Action::UpdatePoint).await?;
        check_etag(&ask.etag, point.head.revision, the(ask.id.kind))?;
        let scheduled = point.moved(Transition::ScheduleUpdate)?;
        if let Some(name) = ask.name {
            point.name = name;
        }
        let kept = point.keeping;
        ask.keeping.apply(&mut point.keeping);
        if point.keeping.lets_go_earlier_than(&kept) {
            self.may_in(Action::ReleasePoint, &point.tenant)?;
        }
        // What failed to travel before has to set out again, although the words are the same.
        let failed = point.head.state == State::Erred;
        let described = ask
            .description
            .filter(|text| failed || *text != point.description);
        let mut operation = None;
        // The rest lives with us alone; only a description has to travel.
        if let Some(description) = described {
            point.description.clone_from(&description);
            if !point.detail.is_empty() {
                let update = match point.id.kind {
                    PointKind::Dr => Ask::UpdateDrBackup {
                        description,
                        backups: point.originals(),
                    },
                    PointKind::Regular => {
                        let snapshots = point.detail.snapshots().iter();
                        Ask::UpdateBackup {
                            description,
                            snapshots: snapshots.map(|one| one.id.clone()).collect(),
                        }
                    }
                };
                operation = Some(self.service.follow_up(&point, scheduled, update));
                point.head.state = scheduled;
                "Update scheduled".clone_into(&mut point.head.runtime_state);
            }
        }
        point.head.updated = self.service.clock.now();
        let admitted = self
            .service
            .store
            .point_change(asked, point, operation)
            .await
            .map_err(refused)?;
        Ok(answer(admitted))
    }

    /// Admits the deletion of a point with its bytes.
    pub async fn point_delete(&self, ask: DeletePoint) -> Result<Point, Error> {
        let asked = self.asked(content::delete_point(&ask));
        if let Some(answer) = self
            .point_answered(asked.key.as_ref(), Action::DeletePoint)
            .await?
        {
            return Ok(answer);
        }
        let mut point = self.point(ask.id, Action::DeletePoint).await?;
        check_etag(&ask.etag, point.head.revision, the(ask.id.kind))?;
        let resource = ResourceId::Point(point.id);
        point.keeping.check_deletable(&resource)?;
        let scheduled = point.moved(Transition::ScheduleDeletion)?;
        let leftovers = self
            .service
            .store
            .leftovers(resource)
            .await
            .map_err(refused)?;
        let left = leftovers.iter().map(|one| &one.tenant);
        let deletion = match point.id.kind {
            PointKind::Dr => {
                let backups = point.originals();
                // The mirror of what was inherited is the owner's, or that of nobody here.
                let is_own =
                    |mirror: &BackupAt| backups.iter().any(|own| own.backup == mirror.backup);
                let known = self.mirrors(point.id).await?.into_iter();
                let mirrors: Vec<BackupAt> = known
                    .filter(|mirror| is_own(mirror) && !backups.contains(mirror))
                    .collect();
                let places = backups.iter().chain(&mirrors).map(|one| &one.tenant);
                let missing = self
                    .service
                    .missing_clouds(ask.allow_missing_cloud, places.chain(left))
                    .await;
                Ask::DeleteDrBackup {
                    backups,
                    mirrors,
                    leftovers,
                    missing,
                }
            }
            PointKind::Regular => {
                let missing = self
                    .service
                    .missing_clouds(ask.allow_missing_cloud, left.chain([&point.tenant]))
                    .await;
                Ask::DeleteBackup {
                    detail: Box::new(point.detail.clone()),
                    leftovers,
                    missing,
                }
            }
        };
        let operation = self.service.follow_up(&point, scheduled, deletion);
        point.head.state = scheduled;
        "Deletion scheduled".clone_into(&mut point.head.runtime_state);
        point.head.updated = self.service.clock.now();
        let admitted = self
            .service
            .store
            .point_change(asked, point, Some(operation))
            .await
            .map_err(refused)?;
        Ok(answer(admitted))
    }

    /// Cancels whatever is under way with a point; it ends in `ERRED` with nothing left behind.
    pub async fn point_cancel(&self, id: PointId, request_id: &str) -> Result<Point, Error> {
        let asked = self.asked(content::cancel_point(id, request_id));
        if let Some(answer) = self
            .point_answered(asked.key.as_ref(), Action::UpdatePoint)
            .await?
        {
            return Ok(answer);
        }
        let point = self.point(id, Action::UpdatePoint).await?;
        let resource = ResourceId::Point(id);
        let now = self.service.clock.now();
        if !self
            .service
            .store
            .operation_cancel(asked, resource, now, false)
            .await
            .map_err(refused)?
        {
            return Err(nothing_to_cancel(&resource, point.head.state));
        }
        self.point_get(id).await
    }

    /// The answer to the first copy of this request, so that a repeat is not refused because of the
    /// very change that the first one made.
    async fn point_answered(
        &self,
        key: Option<&RequestKey>,
        action: Action,
    ) -> Result<Option<Point>, Error> {
        let Some(key) = key else { return Ok(None) };
        let answer = self.service.store.point_answered(key).await;
        let answer = answer.map_err(refused)?;
        if let Some(point) = &answer {
            self.may_repeat(action, &point.tenant, point.id.into())?;
        }
        Ok(answer)
    }

    /// The restorations of a point, newest first, as far as the caller may be told of them.
    pub async fn restorations_of(&self, source: PointId) -> Result<Vec<Restoration>, Error> {
        let limit = self.service.limits().listed_restorations;
        self.service
            .store
            .restorations_of(source, self.scope(), limit)
            .await
            .map_err(refused)
    }
}

impl Service {
    /// A point that was not admitted yet, with the operation that makes it.
    pub(super) async fn point_prepare(
        &self,
        ask: CreatePoint,
        instance_name: String,
    ) -> Result<(Point, Operation), Error> {
        let capture = ask.capture();
        let name = if ask.name.is_empty() {
            instance_name.clone()
        } else {
            ask.name
        };
        let id = PointId {
            kind: ask.kind,
            id: self.clock.new_id(),
        };
        let point = Point {
            id,
            name,
            description: ask.description.clone(),
            tenant: ask.tenant.clone(),
            server: ask.server.clone(),
            instance_name,
            capture,
            keeping: ask.keeping,
            head: Head::scheduled(self.clock.now()),
            detail: PointDetail::none(ask.kind),
            verification: Verification::default(),
        };
        // Snapshots copy nothing, so how long a GiB took says nothing of them.
        let (seen, creation) = match capture {
            Some(capture) => (
                self.seen_per_gib(&ask.tenant, &ask.server).await?,
                Ask::CreateDrBackup {
                    server: ask.server,
                    capture,
                    description: ask.description,
                    incremental: ask.incremental,
                    minimum: ask.minimum,
                },
            ),
            None => (
                None,
                Ask::CreateBackup {
                    server: ask.server,
                    description: ask.description,
                    minimum: ask.minimum,
                },
            ),
        };
        let operation = self.operation(
            id.into(),
            ask.tenant,
            creation,
            State::CreationScheduled,
            ask.deadline,
            seen,
        );
        Ok((point, operation))
    }

    /// How long a GiB took when a DR backup of the instance was made the last time, if ever.
    async fn seen_per_gib(
        &self,
        tenant: &Tenant,
        server: &ServerId,
    ) -> Result<Option<Duration>, Error> {
        let last = Query {
            scope: Scope::All,
            filter: Filter {
                kind: Some(PointKind::Dr),
                cloud: Some(tenant.cloud.clone()),
                project: Some(tenant.project.clone()),
                server: Some(server.clone()),
                states: vec![State::Ok],
                ..Filter::default()
            },
            order: Order::default(),
            after: None,
            skip: 0,
            limit: 1,
        };
        let last = self.store.points_list(last).await.map_err(refused)?;
        let last = last.items.into_iter().next();
        Ok(last.and_then(|point| point.detail.capture_duration_per_gib()))
    }

    /// What `part` makes of every point that a filter leaves, page by page.
    pub(super) async fn points_all<T>(
        &self,
        filter: Filter,
        part: impl Fn(&Point) -> T,
    ) -> Result<Vec<T>, Error> {
        let mut parts = Vec::new();
        let mut query = Query {
            scope: Scope::All,
            filter,
            limit: self.limits().page_max,
            ..Query::default()
        };
        loop {
            let page = self.store.points_list(query.clone()).await;
            let page = page.map_err(refused)?;
            parts.extend(page.items.iter().map(&part));
            if page.next.is_none() {
                return Ok(parts);
            }
            query.after = page.next;
        }
    }

    fn follow_up(&self, point: &Point, state: State, ask: Ask) -> Operation {
        let seen = point.detail.capture_duration_per_gib();
        self.operation(
            point.id.into(),
            point.tenant.clone(),
            ask,
            state,
            None,
            seen,
        )
    }

    /// Refuses an instance that is not there or cannot be captured, in one short read; and where more than
    /// nothing is wished for, in a longer one, what cannot be reached with the instance as it is. Admits
    /// when the cloud does not answer, because the operation looks again before it makes anything, and
    /// waits for it better than a caller can. Answers the name of the instance, where it is known.
    pub(super) async fn look_at_instance(
        &self,
        tenant: &Tenant,
        server: &ServerId,
        capture: Option<Capture>,
        minimum: Option<ConsistencyLevel>,
    ) -> Result<String, Error> {
        let Some(inside) = self.gate.enter_later(tenant).await? else {
            return Ok(String::new());
        };
        let name = match timeout(self.limits().peek, inside.peek(server)).await {
            Ok(Ok(instance)) if instance.root_is_volume || capture.is_some() => instance.name,
            Ok(Ok(instance)) => return Err(root_not_volume(&instance.name)),
            Ok(Err(error)) if may_pass(&error) => return Ok(String::new()),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(String::new()),
        };
        if minimum.is_some() {
            match timeout(self.limits().peek, inside.instance(server)).await {
                Ok(Ok(manifest)) => consistency::check(minimum, &manifest, capture)?,
                Ok(Err(error)) if may_pass(&error) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(name)
    }
}

/// The noun of a kind with its article, for texts.
fn the(kind: PointKind) -> &'static str {
    match kind {
        PointKind::Dr => "the DR backup",
        PointKind::Regular => "the regular backup",
    }
}

/// The refusal of an instance that snapshots of its volumes would not bring back.
pub(crate) fn root_not_volume(name: &str) -> Error {
    Error::new(
        ErrorKind::Precondition {
            reason: "INSTANCE_ROOT_NOT_VOLUME",
        },
        format!("instance `{name}` boots from an image: its root disk is not a volume"),
    )
    .advise("make a DR backup of it, which takes its root disk by an image")
}
