//! The crash sweep: a life in which the replica is ended at every boundary, and its successor too.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use drbackup::{
    domain::{
        capture::Capture, decision::Decision, ledger::Ledger, operation::Operation, time::Timestamp,
    },
    plan,
};

use crate::{
    life::Life,
    server::Lent,
    stage::{Guest, Scene, Stage, by_hand, scratch},
    sweep::{self, every},
    tap::{Fall, Tap},
};

/// No life lasts longer, by the hand-wound clock.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Of so many lives over PostgreSQL, which take ten times as long, one is lived where nobody says
/// otherwise.
const USUAL: usize = 7;

/// The planners that were asked during the sweeps.
static SEEN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// The real planners, noted.
fn noted(operation: &Operation, ledger: &Ledger, now: Timestamp) -> Decision {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.insert(operation.ask.name());
    drop(seen);
    plan::plan(&plan::PatienceSettings::default(), operation, ledger, now)
}

/// Where the replicas of one life fall: the first at its n-th crossing, the next at its m-th; the last
/// one lives on. Answers how often that one crossed its boundary.
pub(crate) async fn live(stage: &Stage, life: Life<'_>, falls: &[(u64, Fall)]) -> u64 {
    let mut falls = falls.to_vec();
    falls.reverse();
    let mut life = std::pin::pin!(tokio::time::timeout(LIFETIME, life.live()));
    loop {
        let replica = stage.replica(Tap::new(falls.pop()), 0);
        let tap = replica.tap.clone();
        tokio::select! {
            biased;
            ended = &mut life => {
                assert!(ended.is_ok(), "the life does not end:\n{}", stage.said().await);
                return tap.crossings();
            }
            () = replica.death() => stage.bury().await,
        }
    }
}

fn scene(volumes: &[u64], reads: bool) -> Scene {
    Scene {
        planner: noted,
        reads,
        ..Scene::new(volumes)
    }
}

/// A life whose replicas die at these crossings.
async fn dying(stage: &Stage, deaths: &[u64]) -> u64 {
    let falls: Vec<(u64, Fall)> = deaths.iter().map(|at| (*at, Fall::Dies)).collect();
    live(stage, Life::new(stage, Capture::default(), false), &falls).await
}

fn in_sqlite(scene: &Scene, deaths: &[u64]) -> u64 {
    by_hand(async {
        let folder = scratch();
        let stage = Stage::sqlite(folder.path(), scene.clone()).await;
        dying(&stage, deaths).await
    })
}

fn in_postgresql(scene: &Scene, deaths: &[u64]) -> u64 {
    let lent = Lent::new();
    by_hand(async {
        let stage = Stage::over(lent.database(), scene.clone());
        dying(&stage, deaths).await
    })
}

/// Ends the replica at every boundary of a life, or at one of `every` so many, and then, at every
/// `stride`-th of them, its successor at one of the first boundaries that it comes to.
fn sweep(every: usize, stride: usize, run: impl Fn(&[u64]) -> u64 + Sync) {
    let crossings = run(&[]);
    let once = (1..=crossings).map(|at| vec![at]);
    let twice = (1..=crossings)
        .step_by(stride)
        .map(|at| vec![at, 1 + at * 7 % 40]);
    let points: Vec<Vec<u64>> = once.chain(twice).step_by(every).collect();
    println!("{crossings} boundaries, {} lives", points.len());
    sweep::all("deaths at", &points, |deaths| {
        run(deaths);
    });
}

#[test]
fn a_replica_may_die_anywhere_with_one_volume() {
    let scene = scene(&[1], true);
    sweep(every(1), 3, |deaths| in_sqlite(&scene, deaths));
    every_planner_was_swept();
}

#[test]
fn a_replica_may_die_anywhere_with_two_volumes() {
    let scene = scene(&[1, 2], false);
    sweep(every(1), 5, |deaths| in_sqlite(&scene, deaths));
}

#[test]
fn a_replica_may_die_anywhere_with_five_volumes() {
    let scene = scene(&[1, 1, 2, 1, 3], false);
    sweep(every(1), 11, |deaths| in_sqlite(&scene, deaths));
}

/// With fewer crossings than a plain life: most of what comes after the capture is the same.
fn sweep_of(guest: Guest, volumes: &[u64]) {
    let scene = Scene {
        guest,
        ..scene(volumes, false)
    };
    sweep(every(2), 7, |deaths| in_sqlite(&scene, deaths));
}

#[test]
fn a_replica_may_die_anywhere_while_the_guest_holds_still() {
    sweep_of(Guest::HoldsStill, &[1, 1]);
}

#[test]
fn a_replica_may_die_anywhere_while_a_group_is_captured() {
    sweep_of(Guest::Grouped, &[1, 1]);
}

#[test]
fn a_replica_may_die_anywhere_with_a_root_disk_that_is_no_volume() {
    sweep_of(Guest::FromImage, &[1]);
}

#[test]
fn a_replica_may_die_anywhere_over_postgresql_with_one_volume() {
    let scene = scene(&[1], true);
    sweep(every(USUAL), 3, |deaths| in_postgresql(&scene, deaths));
}

#[test]
fn a_replica_may_die_anywhere_over_postgresql_with_two_volumes() {
    let scene = scene(&[1, 2], false);
    sweep(every(USUAL), 5, |deaths| in_postgresql(&scene, deaths));
}

/// Every file of a planner is one that the sweep has asked, so that a new one is not forgotten.
fn every_planner_was_swept() {
    let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan");
    let mut planners = BTreeSet::new();
    for entry in fs::read_dir(below).expect("the planners are there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(&path).expect("readable");
        if text.contains("fn steps(") {
            let name = path.file_stem().expect("a name").to_string_lossy();
            planners.insert(name.into_owned());
        }
    }
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let missed: Vec<&String> = planners
        .iter()
        .filter(|name| !seen.contains(name.as_str()))
        .collect();
    assert!(
        planners.len() >= 5 && missed.is_empty(),
        "not swept: {missed:?}"
    );
}
