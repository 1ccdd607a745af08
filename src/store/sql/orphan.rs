//! What is known of marked things, and what was answered about them; it may not know which of them are
//! orphans.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Deserialize;

use super::{Conn, operation::is_open};
use crate::{
    domain::{
        audit::{Note, Object, Outcome, What, Why},
        effect::{EffectKind, Request},
        id::{OperationId, Tenant},
        orphan::{self, DeletionResult, Known},
        sighting::ThingKind,
        time::Timestamp,
    },
    port::store::{Asked, RequestKey, StoreError},
    store::{
        aside,
        schema::{effects, mirrors, operations, points, requests, restorations},
        seal,
        text::{from_json, uuid},
    },
};

/// So many ids go into one statement, well below what either database takes.
const IDS_PER_STATEMENT: usize = 500;

/// So many resources are read at once.
const RESOURCES_PER_STATEMENT: i64 = 200;

/// What the answers to requests about orphans are filed under: they are about no resource of ours.
const ORPHANS: &str = "orphans";

/// The part of a point that names things in clouds; the rest may be large.
#[derive(Deserialize)]
struct OfPoint {
    #[serde(flatten)]
    content: OfContent,
}

#[derive(Deserialize)]
enum OfContent {
    #[serde(rename = "volume_backups")]
    Dr(Vec<OfThing>),
    #[serde(rename = "snapshots")]
    Regular(Vec<OfThing>),
}

#[derive(Deserialize)]
struct OfThing {
    id: String,
}

/// The same of a restoration.
#[derive(Deserialize)]
struct OfRestoration {
    server: Option<String>,
    volumes: Vec<OfVolume>,
    mirrors: Vec<OfMirror>,
    made: Vec<OfThing>,
}

#[derive(Deserialize)]
struct OfVolume {
    volume: String,
}

#[derive(Deserialize)]
struct OfMirror {
    backup: String,
}

impl OfPoint {
    fn things(self) -> impl Iterator<Item = String> {
        let (OfContent::Dr(things) | OfContent::Regular(things)) = self.content;
        things.into_iter().map(|one| one.id)
    }
}

impl OfRestoration {
    fn things(self) -> impl Iterator<Item = String> {
        let volumes = self.volumes.into_iter().map(|one| one.volume);
        let mirrors = self.mirrors.into_iter().map(|one| one.backup);
        let made = self.made.into_iter().map(|one| one.id);
        self.server
            .into_iter()
            .chain(volumes)
            .chain(mirrors)
            .chain(made)
    }
}

/// What is known of these operations and things.
pub(super) async fn known(
    conn: &mut Conn,
    tenant: &Tenant,
    named: &[OperationId],
    things: &[String],
) -> Result<Known, StoreError> {
    let mut known = Known::default();
    let named: Vec<String> = named.iter().map(ToString::to_string).collect();
    for ids in named.chunks(IDS_PER_STATEMENT) {
        standing(conn, ids, &mut known).await?;
        made(conn, tenant, ids, &mut known).await?;
    }
    for ids in things.chunks(IDS_PER_STATEMENT) {
        let used: Vec<Option<String>> = effects::table
            .inner_join(operations::table.on(operations::id.eq(effects::operation)))
            .filter(is_open())
            .filter(effects::external.eq_any(ids))
            .select(effects::external)
            .load(conn)
            .await?;
        known.held.extend(used.into_iter().flatten());
        let mirrored: Vec<String> = mirrors::table
            .filter(mirrors::backup.eq_any(ids))
            .select(mirrors::backup)
            .load(conn)
            .await?;
        known.held.extend(mirrored);
    }
    let asked: BTreeSet<&String> = things.iter().collect();
    if !asked.is_empty() {
        held_by_resources(conn, tenant, &asked, &mut known).await?;
    }
    Ok(known)
}

/// Which of these operations are open, and which have ended.
async fn standing(conn: &mut Conn, ids: &[String], known: &mut Known) -> Result<(), StoreError> {
    let rows: Vec<(String, Option<i64>)> = operations::table
        .filter(operations::id.eq_any(ids))
        .select((operations::id, operations::ended))
        .load(conn)
        .await?;
    for (id, ended) in rows {
        let Ok(id) = uuid(&id).map(OperationId) else {
            continue;
        };
        match ended {
            Some(_) => known.ended.insert(id),
            None => known.open.insert(id),
        };
    }
    Ok(())
}

/// Which volume backups their ledgers say were made in this tenant.
async fn made(
    conn: &mut Conn,
    tenant: &Tenant,
    ids: &[String],
    known: &mut Known,
) -> Result<(), StoreError> {
    let rows: Vec<(Option<String>, String, String, String)> = effects::table
        .filter(effects::operation.eq_any(ids))
        .filter(effects::cloud.eq(tenant.cloud.as_str()))
        .filter(effects::project.eq(tenant.project.as_str()))
        .filter(effects::external.is_not_null())
        .select((
            effects::external,
            effects::operation,
            effects::key,
            effects::request,
        ))
        .load(conn)
        .await?;
    for (id, operation, key, request) in rows {
        // What cannot be read is not taken for made: that would allow its deletion.
        let row = [operation.as_str(), key.as_str()];
        let what = "the request of an effect";
        let Ok(request) = seal::REQUEST.read::<Request>(&row, what, request) else {
            continue;
        };
        if request.kind() == EffectKind::Make(ThingKind::VolumeBackup) {
            known.made.extend(id);
        }
    }
    Ok(())
}

/// What the resources of one kind in a tenant hold of these things, as `$of` reads it from a detail.
macro_rules! held_by {
    ($conn:ident, $tenant:ident, $asked:ident, $known:ident, $table:ident, $column:expr, $of:ty) => {{
        let mut last = String::new();
        // Ends because every round begins behind the last id of the one before.
        loop {
            let rows: Vec<(String, String)> = $table::table
                .filter($table::cloud.eq($tenant.cloud.as_str()))
                .filter($table::project.eq($tenant.project.as_str()))
                .filter($table::id.gt(&last))
                .order($table::id)
                .limit(RESOURCES_PER_STATEMENT)
                .select(($table::id, $table::detail))
                .load($conn)
                .await?;
            let Some((id, _)) = rows.last() else { break };
            last.clone_from(id);
            for (id, text) in rows {
                let opened = $column.open(&[&id], text);
                let text = match opened {
                    Ok(text) => text,
                    // It may hold any of them.
                    Err(problem) => {
                        aside::set_aside("detail", &id, &problem);
                        $known.held.extend($asked.iter().map(|id| (*id).clone()));
                        continue;
                    }
                };
                match from_json::<$of>("the detail of a resource", &text) {
                    Ok(detail) => {
                        let held = detail.things().filter(|id| $asked.contains(id));
                        $known.held.extend(held);
                    }
                    // Whatever it names, it may hold.
                    Err(problem) => {
                        aside::set_aside("detail", &id, &problem);
                        let named = $asked.iter().filter(|id| text.contains(id.as_str()));
                        $known.held.extend(named.map(|id| (*id).clone()));
                    }
                }
            }
        }
    }};
}

/// What the resources in a tenant hold of these things. The volume backups and the snapshots of backups
/// are where those are.
async fn held_by_resources(
    conn: &mut Conn,
    tenant: &Tenant,
    asked: &BTreeSet<&String>,
    known: &mut Known,
) -> Result<(), StoreError> {
    held_by!(
        conn,
        tenant,
        asked,
        known,
        points,
        seal::POINT_DETAIL,
        OfPoint
    );
    let column = seal::RESTORATION_DETAIL;
    held_by!(
        conn,
        tenant,
        asked,
        known,
        restorations,
        column,
        OfRestoration
    );
    Ok(())
}

/// What was answered to an earlier request of this key.
pub(super) async fn answered(
    conn: &mut Conn,
    key: &RequestKey,
) -> Result<Option<Vec<DeletionResult>>, StoreError> {
    let row: Option<(String, Option<String>)> = requests::table
        .find((key.method, &key.id))
        .select((requests::digest, requests::answer))
        .first(conn)
        .await
        .optional()?;
    match row {
        Some((digest, _)) if !key.repeats(&digest) => Err(StoreError::RequestReused),
        Some((_, Some(answer))) => {
            let row = [key.method, key.id.as_str()];
            seal::ANSWER
                .read(&row, "the answer about orphans", answer)
                .map(Some)
        }
        Some((_, None)) | None => Ok(None),
    }
}

/// Keeps an answer, unless there is one.
pub(super) async fn answer(
    conn: &mut Conn,
    key: &RequestKey,
    answer: &[DeletionResult],
    now: Timestamp,
) -> Result<(), StoreError> {
    diesel::insert_into(requests::table)
        .values((
            requests::method.eq(key.method),
            requests::id.eq(&key.id),
            requests::digest.eq(&key.digest),
            requests::resource_kind.eq(ORPHANS),
            requests::resource_id.eq(""),
            requests::created.eq(now.0),
            requests::answer.eq(seal::ANSWER.write(&[key.method, &key.id], &answer)?),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// The entry that a deletion of orphans has ended: what it let go, and whether that is all it was to.
pub(super) fn ended(
    asked: &Asked,
    tenant: &Tenant,
    answer: &[DeletionResult],
    (accepted, now): (Timestamp, Timestamp),
) -> Note {
    let is_gone = |one: &&DeletionResult| one.outcome == orphan::Outcome::Deleted;
    let gone: Vec<&str> = answer
        .iter()
        .filter(is_gone)
        .map(|one| one.id.as_str())
        .collect();
    let is_all = gone.len() == answer.len();
    let outcome = if is_all {
        Outcome::Done
    } else {
        Outcome::Erred
    };
    let why = Why {
        reason: "ORPHANS_KEPT".to_owned(),
        openstack_request_id: None,
    };
    let what = What::Ended {
        operation: None,
        method: asked.method.to_owned(),
        outcome,
        seconds: now.since(accepted).as_secs_f64(),
        why: Some(why).filter(|_| !is_all),
    };
    Note {
        time: now,
        what,
        who: asked.who.clone(),
        object: Object {
            id: gone.join(","),
            ..Object::of("orphans", tenant)
        },
    }
}
