//! Whether what points rest on is still there: looked at in lists that many points share, and told; it may
//! not know how a cloud is listed, or how often that is wished for.
//!
//! One list of volume backups (of snapshots) of a tenant renews all points of its instances. What a list
//! does not show is asked for by its id before it is believed to be gone: unlike a restore, an export or a
//! deletion, which answer 404 also while no cinder-backup is up, a GET asks nobody but the database
//! (`BackupsController.show`, cinder/api/v3, Zed to 2025.1).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use futures::{StreamExt as _, stream};
use tracing::{info, warn};

use super::{Service, refused, scope::Fields};
use crate::{
    domain::{
        error::Error,
        fault::Fault,
        id::{PointId, PointKind, Tenant, VolumeBackupId},
        lifecycle::State,
        orphan::{Aim, Sweep},
        page::{Filter, Query},
        point::Point,
        sighting::{Thing, ThingKind},
        time::Timestamp,
        verification::{Cause, Found, Outcome, Part, Verification, judged},
        volume_backup::BackupAt,
    },
    port::store::{Looked, PointsStanding, StoreError},
};

/// So many things that a list does not show are asked for side by side.
const ASKED_AT_ONCE: usize = 8;

/// What was seen in lists, so that many points, tenants and schedules share them.
pub(super) struct Sights {
    /// When the first look may have begun: whatever was seen here was seen since.
    pub(super) since: Timestamp,
    lists: BTreeMap<(Tenant, ThingKind), Result<Listed, Fault>>,
    /// The tenants whose points were looked at.
    looked: BTreeSet<Tenant>,
}

struct Listed {
    begun: Timestamp,
    by_id: BTreeMap<String, Found>,
}

/// A point at rest, with what it rests on.
struct Resting {
    point: PointId,
    revision: i64,
    known: Verification,
    parts: Vec<Part>,
}

/// How many looks at points came to each outcome in this process.
#[derive(Debug, Default)]
pub(super) struct LookCounts([AtomicU64; Outcome::ALL.len()]);

impl LookCounts {
    fn count(&self, outcome: Outcome) {
        for (one, count) in Outcome::ALL.into_iter().zip(&self.0) {
            count.fetch_add(u64::from(one == outcome), Ordering::Relaxed);
        }
    }
}

impl Service {
    /// The times before which the last look at the points of a tenant must have begun for the next one to
    /// be due: in general, and where something was never seen or may be half deleted.
    pub fn points_due(
        &self,
        every: std::time::Duration,
        urgent: std::time::Duration,
    ) -> (Timestamp, Timestamp) {
        let now = self.clock.now();
        (now.before(every), now.before(urgent))
    }

    /// Looks at the points of up to `at_once` tenants that are due, by this or another replica; answers none
    /// when none is left.
    pub async fn points_verify(
        &self,
        (due, urgent): (Timestamp, Timestamp),
        at_once: u32,
    ) -> Result<Vec<Sweep>, StoreError> {
        let aim = Aim::Points { urgent };
        let tenants = self.store.sweeps_claim(aim, due, at_once).await?;
        let mut sights = self.sights();
        let mut sweeps = Vec::with_capacity(tenants.len());
        for tenant in tenants {
            let begun = self.clock.now();
            let problem = self.points_look(&tenant, &mut sights).await;
            let sweep = Sweep {
                tenant,
                begun,
                ended: Some(self.clock.now()),
                found: BTreeMap::new(),
                problem: problem.err().map(|error| error.message),
            };
            self.store.sweep_record(aim, &sweep).await?;
            sweeps.push(sweep);
        }
        Ok(sweeps)
    }

    /// How the points of each kind stand in each cloud.
    pub async fn points_standing(&self) -> Result<Vec<PointsStanding>, Error> {
        self.store.points_standing().await.map_err(refused)
    }

    /// How old a sight is, in seconds.
    pub fn age_of(&self, seen: Timestamp) -> u64 {
        self.clock.now().since(seen).as_secs()
    }

    /// How many looks at points of this process came to each outcome.
    pub fn looks_counted(&self) -> [(Outcome, u64); Outcome::ALL.len()] {
        let counts = self.looks.0.each_ref();
        let mut counts = counts
            .map(|count| count.load(Ordering::Relaxed))
            .into_iter();
        Outcome::ALL.map(|outcome| (outcome, counts.next().unwrap_or_default()))
    }

    /// Nothing was seen yet.
    pub(super) fn sights(&self) -> Sights {
        Sights {
            since: self.clock.now(),
            lists: BTreeMap::new(),
            looked: BTreeSet::new(),
        }
    }

    /// Looks at all points at rest of the instances of a tenant, unless that was done with these sights. A
    /// cloud that does not answer leaves them as they are, and is the error.
    pub(super) async fn points_look(
        &self,
        tenant: &Tenant,
        sights: &mut Sights,
    ) -> Result<(), Error> {
        if sights.looked.contains(tenant) {
            return Ok(());
        }
        // Read before the lists: a point to which something happens meanwhile is left alone.
        let (points, mirrors) = self.points_at_rest(tenant).await?;
        let places: BTreeSet<(Tenant, ThingKind)> = points
            .iter()
            .flat_map(|point| &point.parts)
            .map(|part| (part.tenant.clone(), part.thing.kind))
            .collect();
        for (place, kind) in &places {
            self.list(place, *kind, sights).await;
        }
        self.ask_for_missing(&points, sights).await;
        sights.looked.insert(tenant.clone());

        let mut looks = Vec::new();
        let mut trouble = None;
        for point in points {
            let found = point.parts.iter().map(|part| (part, sights.found(part)));
            let begun = |part: &Part| Some(sights.list_of(part)?.begun);
            let parts = point.parts.iter();
            let time = parts.filter(|part| !part.is_mirror).filter_map(begun).min();
            let known = time.and_then(|time| judged(&point.known, found, time));
            let Some(known) = known else {
                self.looks.count(Outcome::Unseen);
                trouble = trouble.or_else(|| sights.trouble_of(&point.parts));
                continue;
            };
            let told = known.doubt != point.known.doubt;
            self.looks.count(match known.doubt {
                None => Outcome::Recoverable,
                Some(_) => Outcome::Doubtful,
            });
            match &known.doubt {
                Some(doubt) if told => {
                    warn!(point = point.point.named(), %tenant, reason = doubt.reason, "a point is not recoverable");
                }
                None if told => {
                    info!(point = point.point.named(), %tenant, "a point is recoverable again");
                }
                Some(_) | None => {}
            }
            looks.push(Looked {
                point: point.point,
                revision: point.revision,
                known,
                told,
            });
        }
        let (seen, gone) = sights.mirrors(mirrors);
        if !looks.is_empty() || !seen.is_empty() || !gone.is_empty() {
            let written = self.store.points_verified(looks, seen, gone).await;
            written.map_err(refused)?;
        }
        trouble.map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// The points at rest of the instances of a tenant that hold anything, and the mirrors that are known.
    async fn points_at_rest(
        &self,
        tenant: &Tenant,
    ) -> Result<(Vec<Resting>, Vec<(BackupAt, bool)>), Error> {
        let mirrors = self.store.mirrors_of(tenant).await.map_err(refused)?;
        let seen: Vec<&BackupAt> = mirrors
            .iter()
            .filter(|(_, seen)| *seen)
            .map(|(mirror, _)| mirror)
            .collect();
        let mut points = Vec::new();
        for kind in PointKind::ALL {
            let mut rest = Some(Query {
                filter: Filter {
                    kind: Some(kind),
                    cloud: Some(tenant.cloud.clone()),
                    project: Some(tenant.project.clone()),
                    states: vec![State::Ok, State::Erred],
                    ..Filter::default()
                },
                limit: self.limits().page_max,
                ..Query::default()
            });
            while let Some(query) = rest.take() {
                let page = self
                    .store
                    .points_list(query.clone())
                    .await
                    .map_err(refused)?;
                let resting = |one: &Point| Resting {
                    point: one.id,
                    revision: one.head.revision,
                    known: one.verification.clone(),
                    parts: one.parts(seen.iter().copied()),
                };
                points.extend(page.items.iter().map(resting));
                rest = page.next.map(|next| Query {
                    after: Some(next),
                    ..query
                });
            }
        }
        // What failed to be made holds nothing that could be seen.
        points.retain(|point| !point.parts.is_empty());
        Ok((points, mirrors))
    }

    async fn list(&self, place: &Tenant, kind: ThingKind, sights: &mut Sights) {
        let key = (place.clone(), kind);
        if sights.lists.contains_key(&key) {
            return;
        }
        let begun = self.clock.now();
        let listed = self.gate.ours(place, Fields::PLAIN).things(kind).await;
        let listed = listed.map(|things| Listed {
            begun,
            by_id: things
                .iter()
                .map(|one| (one.thing.id.clone(), Found::from(one)))
                .collect(),
        });
        sights.lists.insert(key, listed);
    }

    /// Asks for each thing that a list does not show. What is known to be missing is not asked for again
    /// and again: a list that shows it is enough.
    async fn ask_for_missing(&self, points: &[Resting], sights: &mut Sights) {
        let unseen: BTreeSet<(Tenant, Thing, bool)> = points
            .iter()
            .flat_map(|point| {
                let doubt = point.known.doubt.as_ref();
                let seen = doubt.filter(|doubt| doubt.cause == Cause::Seen);
                let is_known = move |part: &Part| {
                    seen.is_some_and(|doubt| doubt.reason.contains(&part.thing.id))
                };
                point.parts.iter().map(move |part| (part, is_known(part)))
            })
            .filter(|(part, _)| {
                let list = sights.list_of(part);
                list.is_some_and(|list| !list.by_id.contains_key(&part.thing.id))
            })
            .map(|(part, known)| (part.tenant.clone(), part.thing.clone(), known))
            .collect();
        let answers: Vec<(Tenant, Thing, Found)> = stream::iter(unseen)
            .map(|(place, thing, known)| async move {
                if known {
                    return (place, thing, Found::Gone);
                }
                let found = match self.gate.ours(&place, Fields::PLAIN).thing(&thing).await {
                    Ok(Some(seen)) => Found::from(&seen),
                    Ok(None) => Found::Gone,
                    Err(fault) => {
                        warn!(%place, %thing, %fault, "it cannot be told whether it is gone");
                        Found::Unknown
                    }
                };
                (place, thing, found)
            })
            .buffer_unordered(ASKED_AT_ONCE)
            .collect()
            .await;
        for (place, thing, found) in answers {
            if let Some(Ok(list)) = sights.lists.get_mut(&(place, thing.kind)) {
                // Whoever asked knows better than who did not.
                let before = list.by_id.get(&thing.id);
                if before.is_none_or(|before| *before == Found::Gone) {
                    list.by_id.insert(thing.id, found);
                }
            }
        }
    }
}

impl Sights {
    fn list_of(&self, part: &Part) -> Option<&Listed> {
        let list = self.lists.get(&(part.tenant.clone(), part.thing.kind))?;
        list.as_ref().ok()
    }

    fn found(&self, part: &Part) -> &Found {
        self.list_of(part)
            .and_then(|list| list.by_id.get(&part.thing.id))
            .unwrap_or(&Found::Unknown)
    }

    /// Why one of these could not be looked at.
    fn trouble_of(&self, parts: &[Part]) -> Option<Fault> {
        parts.iter().find_map(|part| {
            let list = self.lists.get(&(part.tenant.clone(), part.thing.kind))?;
            list.as_ref().err().cloned()
        })
    }

    /// Which of these mirrors were seen for the first time, and which were seen and are gone.
    fn mirrors(&self, known: Vec<(BackupAt, bool)>) -> (Vec<BackupAt>, Vec<BackupAt>) {
        let (mut seen, mut gone) = (Vec::new(), Vec::new());
        for (mirror, was_seen) in known {
            match (self.mirror(&mirror.tenant, &mirror.backup), was_seen) {
                (Some(Found::There { .. }), false) => seen.push(mirror),
                (Some(Found::Gone), true) => gone.push(mirror),
                (Some(Found::There { .. } | Found::Gone | Found::Unknown) | None, _) => {}
            }
        }
        (seen, gone)
    }

    fn mirror(&self, place: &Tenant, backup: &VolumeBackupId) -> Option<&Found> {
        let list = self.lists.get(&(place.clone(), ThingKind::VolumeBackup))?;
        list.as_ref().ok()?.by_id.get(backup.as_str())
    }
}
