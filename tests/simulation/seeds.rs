//! Random lives: several at once, on replicas that die, stall and are replaced, with clouds that fail,
//! are slow or away and callers that change their minds; what a seed does is all in the seed.

use std::{sync::Arc, time::Duration};

use drbackup::{
    domain::{capture::Capture, id::PointKind},
    sim::{Action, Release, Rule},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::{
    fault::actions,
    life::Life,
    stage::{Guest, Replica, Scene, Stage, by_hand, scratch},
    sweep,
    tap::{Fall, Tap},
};

/// How many seeds run when nobody says otherwise.
const SEEDS: u64 = 1_000;

/// What the clouds may be.
const RELEASES: [Release; 3] = [Release::Zed, Release::Epoxy, Release::Gazpacho];

/// No life lasts longer, by the hand-wound clock.
const LIFETIME: Duration = Duration::from_secs(60 * 24 * 3600);

/// Runs one seed; panics where an invariant is broken.
fn run(seed: u64) {
    by_hand(async {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut scene = scene(seed, &mut dice);
        let schedule = schedule(seed, &scene);
        scene.ticks = schedule.is_some();
        let folder = scratch();
        let stage = Arc::new(Stage::sqlite(folder.path(), scene).await);
        let armed = trouble(&stage, &mut dice);
        if std::env::var_os("DRBACKUP_SEED").is_some() {
            println!("{armed}");
        }
        let capture = capture(&mut dice);
        let mut life = Life::new(&stage, capture, true);
        if lends(seed) {
            life = life.with_neighbour();
        }
        life.incremental = dice.random_bool(0.3);
        life.schedule = schedule;
        life.changes_of_mind = (0..dice.random_range(0..3))
            .map(|_| Duration::from_millis(dice.random_range(0..90_000)))
            .collect();
        let mut life = std::pin::pin!(tokio::time::timeout(LIFETIME, life.live()));
        let mut replicas: Vec<Replica> = Vec::new();
        for _ in 0..dice.random_range(1..=3) {
            replicas.push(replica(&stage, &mut dice));
        }
        let mut deaths = dice.random_range(0..6);
        // Told when the stage goes, however the run ends.
        let _story = Story(Arc::clone(&stage));
        loop {
            let died = futures::future::select_all(
                replicas.iter().map(|replica| Box::pin(replica.tap.death())),
            );
            let (index, heirs) = tokio::select! {
                biased;
                ended = &mut life => {
                    assert!(ended.is_ok(), "the life does not end:\n{}", stage.said().await);
                    return;
                }
                ((), index, _) = died => (index, dice.random_range(1..=2)),
            };
            replicas.swap_remove(index);
            for _ in 0..heirs {
                let tap = if deaths == 0 {
                    Tap::new([])
                } else {
                    deaths -= 1;
                    falls(&mut dice)
                };
                if replicas.len() < 3 {
                    replicas.push(stage.replica(tap, skew(&mut dice)));
                }
            }
        }
    });
}

/// The requests of a run, printed when one seed is replayed.
struct Story(Arc<Stage>);

impl Drop for Story {
    fn drop(&mut self) {
        if std::env::var_os("DRBACKUP_SEED").is_some() {
            println!("{}", self.0.asked());
        }
    }
}

/// Half of all instances are plain.
const GUESTS: [Guest; 6] = [
    Guest::Plain,
    Guest::Plain,
    Guest::Plain,
    Guest::HoldsStill,
    Guest::Grouped,
    Guest::FromImage,
];

fn scene(seed: u64, dice: &mut StdRng) -> Scene {
    let volumes: Vec<u64> = (0..*[1, 1, 2, 2, 3, 5].choose(dice).expect("some"))
        .map(|_| dice.random_range(1..4))
        .collect();
    let mut scene = Scene::new(&volumes);
    scene.seed = seed;
    scene.settings.observe_max = Duration::from_secs(300);
    scene.settings.lease = Duration::from_secs(*[9, 15, 120].choose(dice).expect("some"));
    let mut release = || *RELEASES.choose(dice).expect("some");
    scene.releases = [release(), release()];
    scene.page_limit = *[1, 2, 3, 1000, 1000, 1000].choose(dice).expect("some");
    scene.guest = *GUESTS.choose(dice).expect("some");
    scene.times.api_latency = Duration::from_millis(dice.random_range(1..1_000));
    scene
}

/// What a schedule is to make at the end of a life, in a third of them. It has dice of its own, so that what
/// else a seed does is what it did before there were schedules.
fn schedule(seed: u64, scene: &Scene) -> Option<(PointKind, u32)> {
    let mut dice = StdRng::seed_from_u64(!seed);
    let wanted = dice.random_bool(0.3);
    let kind = if dice.random_bool(0.3) && scene.guest != Guest::FromImage {
        PointKind::Regular
    } else {
        PointKind::Dr
    };
    wanted.then(|| (kind, dice.random_range(1..4)))
}

/// Whether the tenant gives something of what is restored to another server of its own, in a third of all
/// lives. Dice of its own, as for schedules.
fn lends(seed: u64) -> bool {
    StdRng::seed_from_u64(seed.rotate_left(32)).random_bool(0.3)
}

fn capture(dice: &mut StdRng) -> Capture {
    let ways = [
        Capture::Snapshot,
        Capture::VolumeInUse,
        Capture::SnapshotThenCopy,
    ];
    *ways.choose(dice).expect("some")
}

/// Arms the clouds with what will go wrong.
fn trouble(stage: &Stage, dice: &mut StdRng) -> String {
    let actions = actions();
    let mut armed = Vec::new();
    for _ in 0..dice.random_range(0..5) {
        let action = actions.choose(dice).expect("some").clone();
        // What vanishes or never ends behind everybody's back has its own sweep.
        if matches!(
            action,
            Action::Vanish | Action::Stuck | Action::Status { .. }
        ) {
            continue;
        }
        let cloud = if dice.random_bool(0.5) {
            &stage.source
        } else {
            &stage.dr
        };
        let rule = Rule::any(action)
            .after(dice.random_range(0..120))
            .times(dice.random_range(1..3));
        armed.push(format!("{} {rule:?}", cloud.name()));
        cloud.fault(rule).expect("a rule");
    }
    armed.join("\n")
}

/// Where the calendar of a replica may be.
fn skew(dice: &mut StdRng) -> i64 {
    *[0, 0, -30, 45, 3_600].choose(dice).expect("some")
}

fn falls(dice: &mut StdRng) -> Arc<Tap> {
    let mut falls = Vec::new();
    for _ in 0..dice.random_range(0..4) {
        let fall = match dice.random_range(0..4) {
            0 => Fall::Dies,
            1 => Fall::StoreFails,
            _ => Fall::Stalls(Duration::from_secs(dice.random_range(1..60))),
        };
        falls.push((dice.random_range(1..150), fall));
    }
    Tap::new(falls)
}

fn replica(stage: &Stage, dice: &mut StdRng) -> Replica {
    let tap = falls(dice);
    stage.replica(tap, skew(dice))
}

#[test]
fn a_thousand_seeds() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds: Vec<u64> = match number("DRBACKUP_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("DRBACKUP_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    println!("{} seeds", seeds.len());
    sweep::all(
        "a seed (replay one with DRBACKUP_SEED=N cargo test --test simulation seeds)",
        &seeds,
        |seed| run(*seed),
    );
}
