//! What a turn of a lane reads and writes; it may not know how it was decided.

use std::collections::{HashMap, HashSet};

use super::{
    Conn, Handle, dialect, effect, lane, link, mirror,
    operation::{self, Standing},
    point, restoration, verification,
};
use crate::{
    domain::{
        audit::{Note, Object, Outcome, What, Who},
        decision::{Detail, Ending},
        effect::Effect,
        event::Event,
        id::{Lane, OperationId, PointId, PointKind, ResourceId},
        ledger::Ledger,
        lifecycle::State,
        time::Timestamp,
    },
    port::{
        journal::{JournalError, Loaded, OpenOperation, ResourceUpdate, Turn, UnreadOperation},
        store::StoreError,
    },
    store::{
        aside,
        notifier::CommitNotice,
        text::{unreadable, uuid},
    },
};

/// So many ids go into one statement, well below what either database takes.
const IDS_PER_STATEMENT: usize = 500;

/// The open operations of a lane with their ledgers, except those that are known and not cancelled.
pub(super) async fn load(
    conn: &mut Conn,
    lane: &Lane,
    known: &[OperationId],
) -> Result<Loaded, JournalError> {
    lane::check(conn, lane).await?;
    let known: HashSet<OperationId> = known.iter().copied().collect();
    let wanted: Vec<String> = operation::open(conn, &lane.tenant)
        .await?
        .into_iter()
        .filter(|(id, cancelled)| *cancelled || !known.contains(id))
        .map(|(id, _)| id.to_string())
        .collect();
    let mut loaded = Loaded::default();
    for ids in wanted.chunks(IDS_PER_STATEMENT) {
        load_some(conn, ids, &mut loaded).await?;
    }
    Ok(loaded)
}

/// An operation of which one row cannot be read is set aside whole: without that row it would do a second
/// time what it did before.
async fn load_some(conn: &mut Conn, ids: &[String], loaded: &mut Loaded) -> Result<(), StoreError> {
    let rows = operation::of_ids(conn, ids).await?;
    let mut ledgers: HashMap<String, Vec<Result<Effect, StoreError>>> = HashMap::new();
    for (id, effect) in effect::of_operations(conn, ids).await? {
        ledgers.entry(id).or_default().push(effect);
    }
    let resources: Vec<ResourceId> = rows.iter().filter_map(|row| row.resource().ok()).collect();
    let mut standing = resources_of(conn, &resources).await?;
    for row in rows {
        let key = row.id().to_owned();
        let operation = OperationId(uuid(&key)?);
        let resource = row.resource().ok();
        let effects = ledgers.remove(&key).unwrap_or_default();
        match read_one(row, effects, &mut standing) {
            Ok(open) => loaded.open.push(open),
            Err(problem) => {
                aside::set_aside("operation", &key, &problem);
                loaded.unread.push(UnreadOperation {
                    operation,
                    resource,
                    problem: problem.to_string(),
                });
            }
        }
    }
    Ok(())
}

fn read_one(
    row: operation::Row,
    effects: Vec<Result<Effect, StoreError>>,
    standing: &mut HashMap<ResourceId, (State, Detail)>,
) -> Result<OpenOperation, StoreError> {
    let about = row.resource()?;
    if matches!(about, ResourceId::Schedule(_)) {
        return Err(no_operation(about));
    }
    let (state, detail) = standing.remove(&about).ok_or_else(|| {
        unreadable(
            "the resource of an operation",
            format!("{about} is not there or is not readable"),
        )
    })?;
    let operation = row.operation(state)?;
    let effects: Vec<Effect> = effects.into_iter().collect::<Result<_, _>>()?;
    Ok(OpenOperation {
        operation,
        ledger: Ledger::new(effects),
        detail: Some(detail),
    })
}

/// Says on a resource why nothing is done for it; answers the event of it, where that is news.
pub(super) async fn set_aside(
    conn: &mut Conn,
    about: ResourceId,
    why: &str,
    now: Timestamp,
) -> Result<Option<Event>, StoreError> {
    match about {
        ResourceId::Point(id) => point::set_aside(conn, id, why, now).await,
        ResourceId::Restoration(id) => restoration::set_aside(conn, id, why, now).await,
        ResourceId::Schedule(_) => Ok(None),
    }
}

async fn resources_of(
    conn: &mut Conn,
    resources: &[ResourceId],
) -> Result<HashMap<ResourceId, (State, Detail)>, StoreError> {
    let mut points = Vec::new();
    let mut restorations = Vec::new();
    for about in resources {
        match about {
            ResourceId::Point(id) => points.push(id.to_string()),
            ResourceId::Restoration(id) => restorations.push(id.to_string()),
            // No operation is about one.
            ResourceId::Schedule(_) => {}
        }
    }
    let mut found = HashMap::new();
    if !points.is_empty() {
        for one in point::of_ids(conn, &points).await? {
            let detail = Detail::Point(Box::new(one.detail));
            found.insert(ResourceId::Point(one.id), (one.head.state, detail));
        }
    }
    if !restorations.is_empty() {
        for one in restoration::of_ids(conn, &restorations).await? {
            let detail = Detail::Restoration(Box::new(one.detail));
            found.insert(ResourceId::Restoration(one.id), (one.head.state, detail));
        }
    }
    Ok(found)
}

/// What one turn of a lane changed, in all its operations.
#[derive(Debug)]
pub(in super::super) struct LaneTurn {
    pub(in super::super) lane: Lane,
    pub(in super::super) turns: Vec<Turn>,
}

/// Writes what lanes changed in a turn each; answers the events of it, and that operations have ended. One that is alone waits for its
/// lane where somebody else holds it for a moment; several wait for none, and are refused as if it
/// were not ours: so nobody waits for a lane that is not his.
pub(in super::super) async fn record(
    conn: &mut Conn,
    lanes: &[LaneTurn],
    now: Timestamp,
) -> Result<CommitNotice, JournalError> {
    let waits = lanes.len() == 1;
    let turns: Vec<(&Lane, &Turn)> = lanes
        .iter()
        .flat_map(|of| of.turns.iter().map(|turn| (&of.lane, turn)))
        .collect();
    let updates: Vec<(&Turn, &ResourceUpdate)> = turns
        .iter()
        .filter_map(|(_, turn)| turn.update.as_ref().map(|update| (*turn, update)))
        .collect();
    // What is written before a refusal is known goes with the transaction, and the refusal comes first.
    let (held, open, written, told) = dialect::together!(
        conn,
        hold_all(conn, lanes, waits),
        check_open(conn, &turns),
        effect::put(conn, &turns),
        tell_all(conn, &updates),
    );
    held?;
    open?;
    written?;
    let told = told?;
    let mut details = Vec::new();
    for (turn, update) in &updates {
        if let ResourceId::Point(id) = turn.resource
            && id.kind == PointKind::Dr
            && let Some(detail) = point::written_detail(id, update)?
        {
            details.push((id, detail));
        }
    }
    link::put(conn, &details).await?;
    let mut proved = Vec::new();
    for ((turn, update), told) in updates.iter().zip(&told) {
        // A restoration that came to its end has used what it imported.
        let is_done = turn.ending == Ending::Done && update.state == State::Ok;
        if let (Some(of), Some(Detail::Restoration(detail))) =
            (told.restored, &update.report.detail)
            && of.kind == PointKind::Dr
            && (update.detail_changed || is_done)
        {
            mirror::keep(conn, of, &detail.mirrors, is_done).await?;
        }
        if let (Some(point), Some(proof)) = (told.restored, &update.report.verification) {
            proved.extend(verification::proved(conn, point, proof, now).await?);
        }
    }
    for (_, turn) in &turns {
        if let Some(idle) = turn.idle {
            operation::note_idle(conn, turn.operation, idle).await?;
        }
    }
    let audit = end_operations(conn, &turns, now).await?;
    for event in told.iter().map(|told| &told.event) {
        if event.state == State::Deleted {
            remove(conn, event.resource).await?;
        }
    }
    let events = told.into_iter().map(|told| told.event).chain(proved);
    Ok(CommitNotice {
        events: events.collect(),
        audit,
        admissions: false,
    })
}

async fn hold_all(
    conn: &mut Handle<'_>,
    lanes: &[LaneTurn],
    waits: bool,
) -> Result<(), JournalError> {
    let _held = dialect::each!(conn, lanes, |of| lane::hold(conn, &of.lane, waits));
    Ok(())
}

/// Refuses turns of operations that ended or never were in their lane: their ledgers are history.
async fn check_open(conn: &mut Handle<'_>, turns: &[(&Lane, &Turn)]) -> Result<(), JournalError> {
    let open = dialect::each!(conn, turns, |(lane, turn)| operation::is_open_in(
        conn,
        &lane.tenant,
        turn.operation
    ));
    match turns.iter().zip(open).find(|(_, open)| !open) {
        Some(((_, turn), _)) => Err(JournalError::Outdated(turn.resource)),
        None => Ok(()),
    }
}

/// What was told of one resource.
struct Written {
    event: Event,
    /// The point, where the resource restores one.
    restored: Option<PointId>,
}

async fn tell_all(
    conn: &mut Handle<'_>,
    updates: &[(&Turn, &ResourceUpdate)],
) -> Result<Vec<Written>, StoreError> {
    let told = dialect::each!(conn, updates, |(turn, update)| tell(conn, turn, update));
    Ok(told)
}

async fn tell(
    conn: &mut Handle<'_>,
    turn: &Turn,
    update: &ResourceUpdate,
) -> Result<Written, StoreError> {
    match turn.resource {
        ResourceId::Point(id) => Ok(Written {
            event: point::tell(conn, id, update, &turn.ending).await?,
            restored: None,
        }),
        ResourceId::Restoration(id) => {
            let (event, restored) = restoration::tell(conn, id, update, &turn.ending).await?;
            Ok(Written { event, restored })
        }
        ResourceId::Schedule(_) => Err(no_operation(turn.resource)),
    }
}

/// What only a foreign hand can have written: operations are about points and restorations.
fn no_operation(about: ResourceId) -> StoreError {
    unreadable("an operation", format!("it is about {about}"))
}

/// Ends operations; answers what the audit has to say of it.
async fn end_operations(
    conn: &mut Conn,
    turns: &[(&Lane, &Turn)],
    now: Timestamp,
) -> Result<Vec<Note>, StoreError> {
    let mut done = Vec::new();
    let mut erred = Vec::new();
    for (_, turn) in turns {
        match turn.ending {
            Ending::Open => {}
            Ending::Done => done.push(turn.operation.to_string()),
            Ending::Erred(_) => erred.push(turn.operation.to_string()),
        }
    }
    let ended: Vec<String> = done.iter().chain(&erred).cloned().collect();
    let begun = operation::begun(conn, &ended).await?;
    operation::end(conn, &done, Standing::Done, now).await?;
    operation::end(conn, &erred, Standing::Erred, now).await?;
    let notes = turns.iter().filter_map(|(lane, turn)| {
        let (outcome, why) = Outcome::of(&turn.ending)?;
        let (method, created) = begun.get(&turn.operation.to_string())?;
        let what = What::Ended {
            operation: Some(turn.operation),
            method: method.clone(),
            outcome,
            seconds: now.since(*created).as_secs_f64(),
            why,
        };
        Some(Note {
            time: now,
            what,
            who: Who::internal("engine"),
            object: Object::resource(turn.resource, &lane.tenant),
        })
    });
    Ok(notes.collect())
}

/// Removes a resource with its operations and their ledgers; its events stay.
async fn remove(conn: &mut Conn, about: ResourceId) -> Result<(), StoreError> {
    match about {
        ResourceId::Point(id) => point::remove(conn, id).await?,
        ResourceId::Restoration(id) => restoration::remove(conn, id).await?,
        ResourceId::Schedule(_) => return Err(no_operation(about)),
    }
    operation::remove_of(conn, about).await
}
