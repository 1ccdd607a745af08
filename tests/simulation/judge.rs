//! The invariants, judged from what the clouds remember and not from what we believe; it may not know
//! how a run went wrong.

use std::collections::BTreeMap;

use drbackup::{
    domain::{
        error::OperationError, event::Event, id::PointId, lifecycle::State, operation::NAME_MARK,
    },
    sim::{Cloud, Kind, Memory},
};
use serde_json::Value;

/// A status that no release of Cinder has.
pub(crate) const UNKNOWN_STATUS: &str = "perplexed";

/// Nothing was made twice under one of our names, and no record was imported that was there.
pub(crate) fn nothing_twice(cloud: &Cloud) {
    let mut made: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for memory in cloud.history() {
        let key = if memory.kind == Kind::ImportedBackup {
            // What vanished behind our back may be imported again.
            if memory.deleted.is_some() {
                continue;
            }
            memory.id.clone()
        } else {
            let mut names = memory.marks.iter().chain([&memory.name]);
            match names.find(|name| name.starts_with(NAME_MARK)) {
                Some(name) => name.clone(),
                None => continue,
            }
        };
        let ids = made.entry((format!("{:?}", memory.kind), key)).or_default();
        ids.push(memory.id);
    }
    made.retain(|_, ids| ids.len() > 1);
    assert!(made.is_empty(), "made twice in {}: {made:#?}", cloud.name());
}

/// Nothing that a server of somebody else's has was touched by anybody: each volume and port of `given` is
/// still its own, in use, and of the requests from number `from` on none was to delete it.
pub(crate) fn untouched(cloud: &Cloud, given: &[String], holder: &str, from: usize) {
    let projects = cloud.state()["projects"].take();
    let things = |kind: &str| -> Vec<Value> {
        let projects = projects.as_object().into_iter().flatten();
        let things = projects.filter_map(|(_, one)| one[kind].as_array().cloned());
        things.flatten().collect()
    };
    let has = |kind: &str, field: &str, id: &str| {
        let mut things = things(kind).into_iter();
        let one = things.find(|one| one["id"] == id);
        one.is_some_and(|one| one[field] == holder && one["status"] != "error")
    };
    for id in given {
        let kept = has("volumes", "server", id) || has("ports", "device_id", id);
        assert!(kept, "{id} was taken from {holder}");
        let requests = cloud.requests();
        let mut later = requests.iter().skip(from);
        let deletion = later.find(|one| one.method == "DELETE" && one.path.contains(id));
        assert!(deletion.is_none(), "{holder} uses it: {deletion:?}");
    }
}

/// A failure leaves nothing behind, but where a thing came to a status that nobody knows, or a server vanished
/// that its volumes belong to ever since. Then all that is left is named, and an admin does what the error asks
/// for, so that a deletion takes the rest.
pub(crate) fn left_behind(
    cloud: &Cloud,
    held: &[String],
    before: &[String],
    error: Option<&OperationError>,
) {
    if orphans(cloud, held).is_empty() && !held.iter().any(|one| is_perplexed(one)) {
        assert_eq!(held, before, "left behind: {error:#?}");
    }
    for one in held.iter().filter(|one| !before.contains(one)) {
        // What Cinder made with a group goes by the name of the group.
        let mut words = one.split(' ').skip(1);
        let (name, id) = (words.next().expect("a name"), words.next().expect("an id"));
        let is_named = |error: &OperationError| {
            error.message.contains(id) || !name.is_empty() && error.message.contains(name)
        };
        assert!(
            error.is_some_and(is_named),
            "left behind without a word: {one} {error:#?}"
        );
        if is_perplexed(one) {
            cloud.set_status(id, "error").expect("it is there");
        }
    }
    free_orphans(cloud, held, error);
}

/// Takes volumes from servers that vanished, which nobody but an admin does, and does where an error tells of
/// one: the next is met, and told, when that is free.
pub(crate) fn free_orphans(cloud: &Cloud, held: &[String], error: Option<&OperationError>) {
    let orphans = orphans(cloud, held);
    let is_told = |id: &String| error.is_some_and(|error| error.message.contains(id.as_str()));
    assert!(
        orphans.is_empty() || orphans.iter().any(is_told),
        "nobody is told of {orphans:?}: {error:#?}"
    );
    for orphan in orphans {
        cloud.let_go_of_volume(&orphan).expect("it is there");
    }
}

/// The volumes of these lines that belong to a server that is in none of them.
fn orphans(cloud: &Cloud, held: &[String]) -> Vec<String> {
    let is_held = |id: &str| held.iter().any(|line| line.contains(id));
    let state = cloud.state();
    let projects = state["projects"].as_object().into_iter().flatten();
    let volumes = projects.flat_map(|(_, one)| one["volumes"].as_array().into_iter().flatten());
    let orphans = volumes.filter(|one| {
        one["server"]
            .as_str()
            .is_some_and(|server| !is_held(server))
    });
    let ids = orphans.filter_map(|one| one["id"].as_str());
    ids.filter(|id| is_held(id)).map(str::to_owned).collect()
}

/// An admin gives records that came to a status that nobody knows back the one that they had.
pub(crate) fn reset_records(cloud: &Cloud, held: &[String]) {
    let perplexed = held.iter().filter(|one| is_perplexed(one));
    for one in perplexed.filter(|one| one.starts_with("backups ")) {
        let id = one.split(' ').nth(2).expect("an id");
        cloud.set_status(id, "available").expect("it is there");
    }
}

fn is_perplexed(one: &str) -> bool {
    one.ends_with(&format!(" {UNKNOWN_STATUS}"))
}

/// How many servers were ever made in a cloud, besides those that had failed to come up before the next one
/// was made.
pub(crate) fn servers_made(cloud: &Cloud) -> usize {
    let history = cloud.history();
    let servers: Vec<&Memory> = history
        .iter()
        .filter(|one| one.kind == Kind::Server)
        .collect();
    let replaced = servers
        .windows(2)
        .filter(|pair| pair[0].broken.is_some_and(|at| at < pair[1].created))
        .count();
    servers.len() - replaced
}

/// Nothing of what is claimed is gone: each of these points, which are said to be recoverable on a fresh
/// sight, has all that it rests on. What the cloud remembers is read first, because what is gone stays gone.
pub(crate) fn claims_hold(history: &[Memory], claimed: &[(PointId, Vec<String>)]) {
    for (point, parts) in claimed {
        for part in parts {
            let gone = history
                .iter()
                .find(|one| one.id == *part && one.deleted.is_some());
            assert!(gone.is_none(), "{point} is claimed without {gone:?}");
        }
    }
}

/// The events of one resource have no gap, and every step is one that a resource may take.
pub(crate) fn legal(story: &[Event]) {
    for (index, event) in story.iter().enumerate() {
        assert_eq!(event.sequence, index as u64 + 1, "a gap in {story:#?}");
    }
    for pair in story.windows(2) {
        let (from, to) = (pair[0].state, pair[1].state);
        assert!(follows(from, to), "{from:?} -> {to:?} in {story:#?}");
    }
}

/// Whether a state may come after another one, as the contract draws it.
fn follows(from: State, to: State) -> bool {
    let next: &[State] = match from {
        State::CreationScheduled => &[State::Creating, State::Erred],
        State::Creating | State::Updating => &[State::Ok, State::Erred],
        State::Ok | State::Erred => &[State::UpdateScheduled, State::DeletionScheduled],
        State::UpdateScheduled => &[State::Updating, State::Ok, State::Erred],
        State::DeletionScheduled => &[State::Deleting, State::Erred, State::Deleted],
        State::Deleting => &[State::Deleted, State::Erred],
        State::Deleted => &[],
    };
    from == to || next.contains(&to)
}
