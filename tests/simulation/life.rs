//! A whole life of a DR backup and of a regular one — made, renamed, restored, all removed — and what has
//! to hold after each step; it may not know what goes wrong meanwhile.
//!
//! One file because a life is one story, told in its order.

use std::time::Duration;

use drbackup::{
    domain::{
        caller::Scope,
        capture::Capture,
        error::{Error, OperationError},
        id::{PointId, PointKind, ResourceId, RestorationId, ServerId},
        keeping::{Keeping, Rekeeping},
        lifecycle::State,
        page::{Filter, Order, Query},
        point::Point,
        restoration::{Restoration, RestoreOptions},
        sighting::ThingKind,
        verification::{Part, Verification},
    },
    service::{
        point::{CreatePoint, DeletePoint, UpdatePoint},
        restoration::{CreateRestoration, DeleteRestoration},
    },
    sim,
};

use crate::{
    judge,
    stage::{Guest, Stage},
};

/// How often a caller tries again what a fault has spoilt.
pub(crate) const TRIES: usize = 10;

/// How long something that nobody waits for any more may still be on its way.
pub(crate) const STRAGGLING: Duration = Duration::from_secs(120);

/// How old a sight may be on which a claim rests.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// One life on a stage.
pub(crate) struct Life<'s> {
    pub(crate) stage: &'s Stage,
    capture: Capture,
    /// Whether it is about an increment, made on top of a full DR backup.
    pub(crate) incremental: bool,
    /// Whether an operation may fail, with a good reason and nothing left behind.
    pub(crate) may_fail: bool,
    home: Vec<String>,
    refuge: Vec<String>,
    pub(crate) stories: Vec<ResourceId>,
    /// Restorations that were asked for.
    restorations: usize,
    /// Why operations failed.
    pub(crate) failures: Vec<String>,
    /// Which kind of point a schedule makes at the end, where one does, and how often a full one.
    pub(crate) schedule: Option<(PointKind, u32)>,
    /// After how long callers cancel what is under way, the next one last.
    pub(crate) changes_of_mind: Vec<Duration>,
    /// A server of the tenant's own in the refuge, to which it gives something of what is restored first.
    neighbour: Option<String>,
}

impl<'s> Life<'s> {
    pub(crate) fn new(stage: &'s Stage, capture: Capture, may_fail: bool) -> Self {
        Self {
            stage,
            capture,
            incremental: false,
            may_fail,
            home: stage.inventory(&stage.home),
            refuge: stage.inventory(&stage.refuge),
            stories: Vec::new(),
            restorations: 0,
            failures: Vec::new(),
            schedule: None,
            changes_of_mind: Vec::new(),
            neighbour: None,
        }
    }

    /// Has the tenant run a server of its own in the refuge, and give it something of what is restored there.
    pub(crate) fn with_neighbour(mut self) -> Self {
        let spec = sim::InstanceSpec {
            kib_of_data: 16,
            ..sim::InstanceSpec::new("neighbour", &[1])
        };
        let made = self.stage.dr.create_instance(&spec).expect("a neighbour");
        self.neighbour = Some(made.server);
        self.refuge = self.stage.inventory(&self.stage.refuge);
        // It counts among the servers that were ever made there.
        self.restorations += 1;
        self
    }

    /// The tenant gives the last of the restored data volumes, and the port, to its own server; the deletion
    /// of the restoration leaves them there and says so. Then it gives them back.
    async fn lend(&mut self, id: RestorationId) {
        let restoration = self
            .stage
            .service
            .internally("a test")
            .restoration_get(id)
            .await;
        let restoration = restoration.expect("it is there");
        if restoration.head.state != State::Ok {
            return;
        }
        let Some(neighbour) = self.neighbour.take() else {
            return;
        };
        let dr = &self.stage.dr;
        let port = restoration
            .detail
            .made
            .iter()
            .find(|one| one.kind == ThingKind::Port);
        let port = port.expect("it has a port").id.clone();
        dr.give_port(&port, &neighbour).expect("given");
        let mut given = vec![port.clone()];
        // Nobody can take the root disk of a server away.
        if let [_, .., data] = restoration.detail.volumes.as_slice() {
            let data = data.volume.to_string();
            dr.give_volume(&data, &neighbour).expect("given");
            given.push(data);
        }
        let from = dr.requests().len();
        let ask = DeleteRestoration {
            id,
            allow_missing_cloud: false,
            delete_instance: true,
            etag: String::new(),
            request_id: String::new(),
        };
        let admitted = self
            .stage
            .service
            .internally("a test")
            .restoration_delete(ask)
            .await;
        admitted.expect("admitted");
        let left = self.stage.restoration_at_rest(id).await;
        judge::untouched(dr, &given, &neighbour, from);
        let error = left.and_then(|left| left.head.error);
        let error = error.expect("what a neighbour uses stays, and is told");
        if error.reason == "IN_USE" {
            for id in given.iter().chain([&neighbour]) {
                assert!(error.message.contains(id), "{id} in {error:#?}");
            }
        }
        for id in &given {
            if *id == port {
                dr.let_go_of_port(id).expect("free");
            } else {
                dr.let_go_of_volume(id).expect("free");
            }
        }
    }

    /// Lives it; answers why operations failed, where that was allowed.
    pub(crate) async fn live(mut self) -> Vec<String> {
        let before = self.home.clone();
        let mut base = None;
        if self.incremental {
            base = Some(self.create(false).await);
            self.write();
            self.home = self.stage.inventory(&self.stage.home);
        }
        let backup = self.create(self.incremental).await;
        self.judge_claims().await;
        self.update(backup).await;
        self.judge_claims().await;
        let restoration = self.restore(backup).await;
        self.judge_claims().await;
        self.delete_restoration(restoration).await;
        self.judge_claims().await;
        self.delete_point(backup).await;
        self.judge_claims().await;
        if let Some(base) = base {
            self.delete_point(base).await;
        }
        self.home = before;
        // Snapshots do not bring back what has its root disk elsewhere.
        if self.stage.guest() != Guest::FromImage {
            self.regular_life().await;
        }
        if let Some((kind, full_every)) = self.schedule {
            self.scheduled_life(kind, full_every).await;
        }
        self.judge().await;
        self.failures
    }

    /// Notes a failure, which must say what was done and what to do.
    fn failed(&mut self, what: &str, error: Option<&OperationError>) {
        let error = error.unwrap_or_else(|| panic!("{what} is ERRED and nobody says why"));
        assert!(self.may_fail, "{what}: {error:#?}");
        assert!(
            !error.reason.is_empty() && !error.guidance.is_empty(),
            "{error:#?}"
        );
        assert!(!error.message.is_empty(), "{error:#?}");
        self.failures
            .push(format!("{what}: {}: {}", error.reason, error.message));
    }

    /// Notes a refusal, which must come from a fault that the caller may wait out.
    pub(crate) async fn refused(&mut self, what: &str, error: Error) {
        assert!(self.may_fail, "{what}: {error:#?}");
        self.failures.push(format!(
            "{what} refused: {}: {}",
            error.reason(),
            error.message
        ));
        tokio::time::sleep(Duration::from_secs(60)).await;
    }

    /// What is there once everything that may be on its way has arrived.
    async fn settled_home(&self) -> Vec<String> {
        tokio::time::sleep(STRAGGLING).await;
        self.stage.inventory(&self.stage.home)
    }

    /// Changes what is in every volume.
    fn write(&self) {
        for volume in &self.stage.instance.volumes {
            let written = self.stage.source.volume_write(volume, 3 << 20, b"news");
            written.expect("a volume");
        }
    }

    async fn create(&mut self, incremental: bool) -> PointId {
        for _ in 0..TRIES {
            let ask = CreatePoint {
                kind: PointKind::Dr,
                tenant: self.stage.home.clone(),
                server: ServerId::new(self.stage.instance.server.as_str()),
                name: String::new(),
                description: "nightly".to_owned(),
                capture: self.capture,
                incremental,
                minimum: None,
                keeping: Keeping::default(),
                deadline: None,
                validate_only: false,
                request_id: String::new(),
            };
            let backup = match self
                .stage
                .service
                .internally("a test")
                .point_create(ask)
                .await
            {
                Ok(backup) => backup,
                Err(error) => {
                    self.refused("the DR backup", error).await;
                    continue;
                }
            };
            self.stories.push(ResourceId::Point(backup.id));
            let made = self.point(backup.id).await;
            if made.head.state == State::Ok {
                let held = self.stage.inventory(&self.stage.home);
                let new: Vec<&String> =
                    held.iter().filter(|one| !self.home.contains(one)).collect();
                let backups = new.iter().filter(|one| one.starts_with("backups"));
                assert_eq!(backups.count(), self.volumes(), "{new:#?}");
                assert_eq!(new.len(), self.volumes(), "temporaries are left: {new:#?}");
                return backup.id;
            }
            self.failed("the DR backup", made.head.error.as_ref());
            let held = self.settled_home().await;
            judge::left_behind(
                &self.stage.source,
                &held,
                &self.home,
                made.head.error.as_ref(),
            );
            self.delete_point(backup.id).await;
            let held = self.stage.inventory(&self.stage.home);
            assert_eq!(held, self.home, "{:#?}", made.head.error);
        }
        panic!("no DR backup after {TRIES} tries: {:#?}", self.failures)
    }

    /// What is claimed at this moment on a sight within the interval, all of it.
    pub(crate) async fn judge_claims(&self) {
        let history = self.stage.source.history();
        let all = || Query {
            scope: Scope::All,
            filter: Filter::default(),
            order: Order::default(),
            after: None,
            skip: 0,
            limit: 1_000,
        };
        let service = &self.stage.service;
        let is_fresh = |known: &Verification| {
            let seen = known.time;
            seen.is_some_and(|seen| service.age_of(seen) <= INTERVAL.as_secs())
        };
        let ids = |parts: Vec<Part>| parts.into_iter().map(|part| part.thing.id).collect();
        let mut claimed: Vec<(PointId, Vec<String>)> = Vec::new();
        // A store that does not answer claims nothing.
        if let Ok(page) = service.internally("a test").points_list(all()).await {
            let good = page
                .items
                .into_iter()
                .filter(|one| one.unrecoverable_reason().is_none() && is_fresh(&one.verification));
            claimed.extend(good.map(|one| (one.id, ids(one.parts([])))));
        }
        judge::claims_hold(&history, &claimed);
    }

    async fn update(&mut self, id: PointId) {
        for _ in 0..TRIES {
            let ask = UpdatePoint {
                id,
                name: Some("weekly".to_owned()),
                description: Some("weekly".to_owned()),
                keeping: Rekeeping::default(),
                etag: String::new(),
                request_id: String::new(),
            };
            self.stage
                .service
                .internally("a test")
                .point_update(ask)
                .await
                .expect("admitted");
            let made = self.point(id).await;
            if made.head.state == State::Ok {
                return;
            }
            self.failed("the update", made.head.error.as_ref());
            assert_eq!(made.unrecoverable_reason(), None, "{made:#?}");
        }
        panic!("no update after {TRIES} tries: {:#?}", self.failures)
    }

    async fn restore(&mut self, backup: PointId) -> RestorationId {
        for _ in 0..TRIES {
            let ask = CreateRestoration {
                source: (backup),
                tenant: self.stage.refuge.clone(),
                options: RestoreOptions::default(),
                deadline: None,
                validate_only: false,
                request_id: String::new(),
            };
            let admitted = match self
                .stage
                .service
                .internally("a test")
                .restoration_create(ask)
                .await
            {
                Ok(restoration) => restoration,
                Err(error) => {
                    self.refused("the restoration", error).await;
                    continue;
                }
            };
            self.restorations += 1;
            self.stories.push(ResourceId::Restoration(admitted.id));
            let back = self.restoration(admitted.id).await;
            if back.head.state == State::Ok {
                self.same_bytes(&back, &self.stage.dr);
                return admitted.id;
            }
            self.failed("the restoration", back.head.error.as_ref());
            tokio::time::sleep(STRAGGLING).await;
            self.only_records_in_refuge(&back);
            self.delete_restoration(admitted.id).await;
            // The one thing that only a person can do.
            let why = back.head.error.as_ref().map(|error| error.message.as_str());
            let is_lost = |why: &str| {
                why.contains("cinder-backup is started anew") || why.contains("an admin may reset")
            };
            if why.is_some_and(is_lost) {
                self.stage.dr.backup_service_kill();
                self.stage.dr.backup_service_start();
            }
            judge::reset_records(&self.stage.dr, &self.stage.inventory(&self.stage.refuge));
        }
        panic!("no restoration after {TRIES} tries: {:#?}", self.failures)
    }

    fn same_bytes(&self, back: &Restoration, cloud: &sim::Cloud) {
        assert_eq!(back.detail.volumes.len(), self.volumes());
        for volume in &back.detail.volumes {
            let source = volume.source.as_str();
            let was = if source == self.stage.instance.server {
                self.stage.source.server_digest(source)
            } else {
                self.stage.source.volume_digest(source)
            };
            let is = cloud.volume_digest(volume.volume.as_str());
            assert_eq!(
                was.expect("the source"),
                is.expect("the volume"),
                "{back:#?}"
            );
        }
    }

    fn only_records_in_refuge(&self, why: &Restoration) {
        let mut held = self.stage.inventory(&self.stage.refuge);
        held.retain(|one| self.refuge.contains(one) || !one.starts_with("backups"));
        judge::left_behind(&self.stage.dr, &held, &self.refuge, why.head.error.as_ref());
    }

    async fn delete_restoration(&mut self, id: RestorationId) {
        self.lend(id).await;
        for _ in 0..TRIES {
            let ask = DeleteRestoration {
                id,
                allow_missing_cloud: false,
                delete_instance: true,
                etag: String::new(),
                request_id: String::new(),
            };
            self.stage
                .service
                .internally("a test")
                .restoration_delete(ask)
                .await
                .expect("admitted");
            match self.stage.restoration_at_rest(id).await {
                None => {
                    let held = self.stage.inventory(&self.stage.refuge);
                    let more = held.iter().filter(|one| !self.refuge.contains(one));
                    let left: Vec<&String> =
                        more.filter(|one| !one.starts_with("backups")).collect();
                    assert!(left.is_empty(), "left behind: {left:#?}");
                    return;
                }
                Some(left) => {
                    self.failed("the restoration's deletion", left.head.error.as_ref());
                    for tenant in [&self.stage.home, &self.stage.refuge] {
                        judge::free_orphans(
                            self.stage.cloud(tenant),
                            &self.stage.inventory(tenant),
                            left.head.error.as_ref(),
                        );
                    }
                }
            }
        }
        panic!("no deletion after {TRIES} tries: {:#?}", self.failures)
    }

    pub(crate) async fn delete_point(&mut self, id: PointId) {
        for _ in 0..TRIES {
            let ask = DeletePoint {
                id,
                allow_missing_cloud: false,
                etag: String::new(),
                request_id: String::new(),
            };
            self.stage
                .service
                .internally("a test")
                .point_delete(ask)
                .await
                .expect("admitted");
            match self.stage.point_at_rest(id).await {
                None => return,
                Some(left) => self.failed("the deletion of the point", left.head.error.as_ref()),
            }
            self.judge_claims().await;
        }
        panic!("no deletion after {TRIES} tries: {:#?}", self.failures)
    }

    /// The same with snapshots, which stay in the tenant.
    async fn regular_life(&mut self) {
        let backup = self.create_regular().await;
        self.update_regular(backup).await;
        self.restore_regular(backup).await;
        self.delete_point(backup).await;
        assert_eq!(self.settled_home().await, self.home);
    }

    /// What is at home and was not there at the beginning.
    fn new_at_home(&self) -> Vec<String> {
        let held = self.stage.inventory(&self.stage.home);
        held.into_iter()
            .filter(|one| !self.home.contains(one))
            .collect()
    }

    async fn create_regular(&mut self) -> PointId {
        for _ in 0..TRIES {
            let ask = CreatePoint {
                kind: PointKind::Regular,
                capture: Capture::default(),
                incremental: false,
                tenant: self.stage.home.clone(),
                server: ServerId::new(self.stage.instance.server.as_str()),
                name: String::new(),
                description: "hourly".to_owned(),
                minimum: None,
                keeping: Keeping::default(),
                deadline: None,
                validate_only: false,
                request_id: String::new(),
            };
            let backup = match self
                .stage
                .service
                .internally("a test")
                .point_create(ask)
                .await
            {
                Ok(backup) => backup,
                Err(error) => {
                    self.refused("the regular backup", error).await;
                    continue;
                }
            };
            self.stories.push(ResourceId::Point(backup.id));
            let made = self.point(backup.id).await;
            if made.head.state == State::Ok {
                let new = self.new_at_home();
                let snapshots = new.iter().filter(|one| one.starts_with("snapshots"));
                assert_eq!(snapshots.count(), self.volumes(), "{new:#?}");
                assert_eq!(new.len(), self.volumes(), "more than snapshots: {new:#?}");
                return backup.id;
            }
            self.failed("the regular backup", made.head.error.as_ref());
            let held = self.settled_home().await;
            judge::left_behind(
                &self.stage.source,
                &held,
                &self.home,
                made.head.error.as_ref(),
            );
            self.delete_point(backup.id).await;
            let held = self.stage.inventory(&self.stage.home);
            assert_eq!(held, self.home, "{:#?}", made.head.error);
        }
        panic!(
            "no regular backup after {TRIES} tries: {:#?}",
            self.failures
        )
    }

    async fn update_regular(&mut self, id: PointId) {
        for _ in 0..TRIES {
            let ask = UpdatePoint {
                id,
                name: None,
                description: Some("daily".to_owned()),
                keeping: Rekeeping::default(),
                etag: String::new(),
                request_id: String::new(),
            };
            let service = &self.stage.service;
            service
                .internally("a test")
                .point_update(ask)
                .await
                .expect("admitted");
            let made = self.point(id).await;
            if made.head.state == State::Ok {
                return;
            }
            self.failed("the regular backup's update", made.head.error.as_ref());
            assert_eq!(made.unrecoverable_reason(), None, "{made:#?}");
        }
        panic!("no update after {TRIES} tries: {:#?}", self.failures)
    }

    async fn restore_regular(&mut self, backup: PointId) {
        let before = self.new_at_home();
        for _ in 0..TRIES {
            let ask = CreateRestoration {
                source: (backup),
                tenant: self.stage.home.clone(),
                options: RestoreOptions::default(),
                deadline: None,
                validate_only: false,
                request_id: String::new(),
            };
            let admitted = match self
                .stage
                .service
                .internally("a test")
                .restoration_create(ask)
                .await
            {
                Ok(restoration) => restoration,
                Err(error) => {
                    self.refused("the restoration at home", error).await;
                    continue;
                }
            };
            self.stories.push(ResourceId::Restoration(admitted.id));
            let back = self.restoration(admitted.id).await;
            if back.head.state == State::Ok {
                self.same_bytes(&back, &self.stage.source);
            } else {
                self.failed("the restoration at home", back.head.error.as_ref());
                tokio::time::sleep(STRAGGLING).await;
                let held = self.new_at_home();
                judge::left_behind(&self.stage.source, &held, &before, back.head.error.as_ref());
            }
            self.delete_restoration(admitted.id).await;
            assert_eq!(self.new_at_home(), before, "left behind");
            if back.head.state == State::Ok {
                return;
            }
        }
        panic!(
            "no restoration at home after {TRIES} tries: {:#?}",
            self.failures
        )
    }

    async fn judge(&self) {
        assert_eq!(self.settled_home().await, self.home);
        assert_eq!(self.stage.inventory(&self.stage.refuge), self.refuge);
        for cloud in [&self.stage.source, &self.stage.dr] {
            judge::nothing_twice(cloud);
        }
        assert!(judge::servers_made(&self.stage.dr) <= self.restorations);
        for story in &self.stories {
            judge::legal(&self.stage.story(*story).await);
        }
    }

    /// How many disks the instance has that a DR backup takes.
    fn volumes(&self) -> usize {
        let root = usize::from(self.stage.guest() == Guest::FromImage);
        self.stage.instance.volumes.len() + root
    }

    async fn point(&mut self, id: PointId) -> Point {
        let rest = self.stage.point_at_rest(id);
        if let Some(patience) = self.changes_of_mind.pop()
            && let Err(_elapsed) = tokio::time::timeout(patience, rest).await
        {
            // It may have come to its end at this very moment.
            drop(
                self.stage
                    .service
                    .internally("a test")
                    .point_cancel(id, "")
                    .await,
            );
        }
        let rest = self.stage.point_at_rest(id).await;
        rest.expect("it is there")
    }

    async fn restoration(&mut self, id: RestorationId) -> Restoration {
        let rest = self.stage.restoration_at_rest(id);
        if let Some(patience) = self.changes_of_mind.pop()
            && let Err(_elapsed) = tokio::time::timeout(patience, rest).await
        {
            drop(
                self.stage
                    .service
                    .internally("a test")
                    .restoration_cancel(id, "", false)
                    .await,
            );
        }
        let rest = self.stage.restoration_at_rest(id).await;
        rest.expect("it is there")
    }
}
