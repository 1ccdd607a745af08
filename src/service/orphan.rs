//! Marked things in clouds that nothing of ours accounts for: found, counted, and deleted on an
//! operator's word; it may not know how clouds are asked or how it is kept what we know.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::try_join_all;
use tracing::info;

use super::{Service, acting::Acting, content, fields::Fields, refused, scope::Inside};
use crate::{
    domain::{
        action::Action,
        audit::Object,
        error::Error,
        fault::FaultKind,
        id::{OperationId, Tenant},
        orphan::{self, Aim, DeletionResult, KINDS, Orphan, Outcome, Sweep, Why},
        page::Filter,
        sighting::{Sighting, Thing},
        time::Timestamp,
    },
    port::store::StoreError,
};

/// What `DeleteOrphans` asks for.
#[derive(Debug, Clone)]
pub struct DeleteOrphans {
    /// Where they are.
    pub tenant: Tenant,
    /// Which, by the cloud's ids.
    pub ids: Vec<String>,
    /// Also those whose operation is not known here.
    pub include_unknown: bool,
    /// Makes a repeat harmless; empty means none.
    pub request_id: String,
}

impl Acting {
    /// The orphans of a tenant as they are now, in an order in which they can be deleted.
    pub async fn orphans_list(&self, tenant: &Tenant) -> Result<Vec<Orphan>, Error> {
        self.may_in(Action::ReadOrphan, tenant)?;
        let inside = self.service.gate.enter(tenant).await?;
        let look = self.service.orphans_look(tenant, &inside).await?;
        Ok(look.orphans)
    }

    /// Deletes things, each only if it is an orphan at this moment, and tells what became of each in
    /// the order of the request.
    ///
    /// The answer is kept when all of them were asked for. Whoever asks again because none came may
    /// hear that something is not there: the first time deleted it.
    pub async fn orphans_delete(&self, ask: DeleteOrphans) -> Result<Vec<DeletionResult>, Error> {
        let mut check = Fields::new(self.service.limits());
        if ask.ids.is_empty() {
            check.bad("ids", "is required");
        }
        if ask.ids.len() > self.service.settings.orphans.deleted_at_once {
            check.bad(
                "ids",
                format!(
                    "has {} ids, at most {} are possible",
                    ask.ids.len(),
                    self.service.settings.orphans.deleted_at_once
                ),
            );
        }
        check.done()?;
        self.service.gate.check_cloud(&ask.tenant.cloud)?;
        self.may_in(Action::DeleteOrphan, &ask.tenant)?;
        let asked = self.asked(content::delete_orphans(&ask));
        if let Some(key) = &asked.key
            && let Some(answer) = self
                .service
                .store
                .orphans_answered(key)
                .await
                .map_err(refused)?
        {
            return Ok(answer);
        }
        let inside = self.service.gate.enter(&ask.tenant).await?;
        let look = self.service.orphans_look(&ask.tenant, &inside).await?;
        // Before anything goes: what is not in the audit is not done.
        let accepted = self.service.clock.now();
        let object = Object {
            id: ask.ids.join(","),
            ..Object::of("orphans", &ask.tenant)
        };
        let note = asked.note(object, accepted);
        self.service.store.audit_note(note).await.map_err(refused)?;
        let wanted: BTreeSet<&str> = ask.ids.iter().map(String::as_str).collect();
        let mut farewells = Vec::with_capacity(wanted.len());
        // What goes together keeps nothing of it from going; what stays keeps what it uses.
        let mut going: Vec<Thing> = look
            .orphans
            .iter()
            .filter(|one| wanted.contains(one.sighting.thing.id.as_str()))
            .filter(|one| ask.include_unknown || one.why != Why::Unknown)
            .map(|one| one.sighting.thing.clone())
            .collect();
        for orphan in &look.orphans {
            let thing = &orphan.sighting.thing;
            if !wanted.contains(thing.id.as_str()) {
                continue;
            }
            let farewell = match orphan.why {
                Why::Unknown if !ask.include_unknown => kept_as_unknown(&orphan.sighting),
                Why::Ended | Why::Unknown => {
                    orphan_delete(&ask.tenant, &inside, orphan, &going).await
                }
            };
            if !matches!(farewell.outcome, Outcome::Deleted | Outcome::NotFound) {
                going.retain(|other| other != thing);
            }
            farewells.push(farewell);
        }
        let mut told = BTreeSet::new();
        let answer: Vec<DeletionResult> = ask
            .ids
            .iter()
            .filter(|id| told.insert(id.as_str()))
            .map(|id| {
                let farewell = farewells.iter().find(|one| one.id == *id);
                farewell.cloned().unwrap_or_else(|| look.left_alone(id))
            })
            .collect();
        self.service
            .store
            .orphans_answer(asked, &ask.tenant, accepted, &answer)
            .await
            .map_err(refused)?;
        Ok(answer)
    }

    /// The last sweep of every tenant in a place.
    pub async fn sweeps_list(&self, place: &Filter) -> Result<Vec<Sweep>, Error> {
        fn is_in<T: PartialEq>(wanted: Option<&T>, is: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == is)
        }
        let mut sweeps = self
            .service
            .store
            .sweeps_list(Aim::Orphans)
            .await
            .map_err(refused)?;
        sweeps.retain(|sweep| {
            self.allows(Action::ReadOrphan, &sweep.tenant)
                && is_in(place.cloud.as_ref(), &sweep.tenant.cloud)
                && is_in(place.project.as_ref(), &sweep.tenant.project)
        });
        if sweeps.is_empty() {
            self.check_filter(place).await?;
        }
        Ok(sweeps)
    }
}

impl Service {
    /// The time before which the last sweep of a tenant must have begun for the next one to be due.
    pub fn orphans_due(&self, every: Duration) -> Timestamp {
        self.clock.now().before(every)
    }

    /// Looks through up to `at_once` tenants whose last sweep began before `due`, by this or another
    /// replica, and counts their orphans; answers none when none is left.
    pub async fn orphans_sweep(
        &self,
        due: Timestamp,
        at_once: u32,
    ) -> Result<Vec<Sweep>, StoreError> {
        let tenants = self.store.sweeps_claim(Aim::Orphans, due, at_once).await?;
        let mut sweeps = Vec::with_capacity(tenants.len());
        for tenant in tenants {
            let begun = self.clock.now();
            let inside = self.gate.ours(&tenant);
            let look = self.orphans_look(&tenant, &inside).await;
            let (orphans, problem) = match look {
                Ok(look) => (look.orphans, None),
                Err(error) => (Vec::new(), Some(error.message)),
            };
            let mut found = BTreeMap::new();
            for orphan in orphans {
                *found.entry(orphan.sighting.thing.kind).or_default() += 1;
            }
            let sweep = Sweep {
                tenant,
                begun,
                ended: Some(self.clock.now()),
                found,
                problem,
            };
            self.store.sweep_record(Aim::Orphans, &sweep).await?;
            sweeps.push(sweep);
        }
        Ok(sweeps)
    }

    /// One list of each kind, and then what is known: whatever came to an end between the two is
    /// known as what it became, or gone.
    async fn orphans_look(&self, tenant: &Tenant, inside: &Inside<'_>) -> Result<Look, Error> {
        let young = self.clock.now().before(self.settings.orphans.grace);
        let lists = KINDS.map(|kind| inside.things(kind));
        let seen = try_join_all(lists).await?.concat();
        let marked: Vec<(&Sighting, OperationId)> = seen
            .iter()
            .filter_map(|one| Some((one, orphan::marked(one)?)))
            .collect();
        let operations: BTreeSet<OperationId> = marked.iter().map(|(_, id)| *id).collect();
        let operations: Vec<OperationId> = operations.into_iter().collect();
        let things: Vec<String> = marked.iter().map(|(one, _)| one.thing.id.clone()).collect();
        if things.is_empty() {
            return Ok(Look {
                seen,
                orphans: Vec::new(),
            });
        }
        let known = self
            .store
            .orphans_known(tenant, &operations, &things)
            .await
            .map_err(refused)?;
        let orphans = orphan::orphans(&seen, &known, young);
        Ok(Look { seen, orphans })
    }
}

async fn orphan_delete(
    tenant: &Tenant,
    inside: &Inside<'_>,
    orphan: &Orphan,
    going: &[Thing],
) -> DeletionResult {
    let seen = &orphan.sighting;
    let (outcome, problem) = match inside.delete(&seen.thing, going).await {
        Ok(()) => (Outcome::Deleted, String::new()),
        Err(fault) if fault.kind == FaultKind::NotFound => (Outcome::NotFound, String::new()),
        // Nobody of ours accounts for it, but somebody has come to use it.
        Err(fault) if fault.kind == FaultKind::Held => (Outcome::Kept, fault.message),
        Err(fault) => (Outcome::Refused, fault.to_string()),
    };
    info!(
        %tenant,
        thing = %seen.thing,
        name = seen.name,
        operation = %orphan.operation,
        ?outcome,
        problem,
        "an orphan was to be deleted"
    );
    DeletionResult {
        id: seen.thing.id.clone(),
        thing: Some(seen.thing.clone()),
        name: seen.name.clone(),
        outcome,
        problem,
    }
}

/// What is said of an orphan that another service over the same cloud may be at.
fn kept_as_unknown(seen: &Sighting) -> DeletionResult {
    DeletionResult {
        id: seen.thing.id.clone(),
        thing: Some(seen.thing.clone()),
        name: seen.name.clone(),
        outcome: Outcome::Kept,
        problem: format!(
            "{}; if no other drbackup works in this cloud, ask again with include_unknown",
            Why::Unknown.sentence()
        ),
    }
}

/// What was seen in a tenant, and which of it are orphans.
struct Look {
    seen: Vec<Sighting>,
    orphans: Vec<Orphan>,
}

impl Look {
    /// What is said of an id that is none of the orphans.
    fn left_alone(&self, id: &str) -> DeletionResult {
        let seen = self.seen.iter().find(|one| one.thing.id == id);
        let (outcome, problem) = match seen {
            None => (
                Outcome::NotFound,
                "nothing in this tenant that could be an orphan has this id",
            ),
            Some(one) if orphan::marked(one).is_none() => {
                (Outcome::Kept, "it does not carry our mark")
            }
            Some(_) => (
                Outcome::Kept,
                "it is no orphan: it is in use, too young, or may be an imported record",
            ),
        };
        DeletionResult {
            id: id.to_owned(),
            thing: seen.map(|one| one.thing.clone()),
            name: seen.map(|one| one.name.clone()).unwrap_or_default(),
            outcome,
            problem: problem.to_owned(),
        }
    }
}
