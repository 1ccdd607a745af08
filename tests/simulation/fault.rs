//! The fault sweep: a life in which one call goes wrong, each call in each way.

use std::time::Duration;

use drbackup::{
    domain::capture::Capture,
    sim::{Action, Rule},
};
use serde_json::json;

use crate::{
    crash::live,
    judge,
    life::Life,
    stage::{Guest, Scene, Stage, by_hand, scratch},
    sweep,
};

/// One life with one fault.
#[derive(Debug, Clone)]
struct Point {
    cloud: &'static str,
    /// How many requests go well first.
    after: u32,
    action: Action,
}

fn answer(status: u16, message: &str, headers: &[(&str, &str)]) -> Action {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Action::Answer {
        status,
        body: json!({"error": {"code": status, "message": message, "title": message}}),
        headers: headers.collect(),
        acted: false,
    }
}

/// Everything that one call can suffer.
pub(crate) fn actions() -> Vec<Action> {
    let late = Duration::from_secs(61);
    let milliseconds = u64::try_from(late.as_millis()).ok();
    let mut actions = vec![
        Action::ResetBefore,
        Action::ResetAfter,
        Action::Hang {
            milliseconds,
            acted: true,
        },
        Action::Truncate,
        Action::Malformed,
        Action::OtherResource,
        Action::Stale { requests: 1 },
        Action::Stuck,
        Action::Status {
            status: judge::UNKNOWN_STATUS.to_owned(),
        },
        Action::Fail {
            reason: "no valid host".to_owned(),
        },
        Action::Vanish,
        Action::ClockSkew { seconds: 5 * 3600 },
        answer(429, "Over Limit", &[("Retry-After", "7")]),
        answer(413, "VolumeLimitExceeded", &[("Retry-After", "7")]),
    ];
    actions.extend(
        [400, 401, 403, 404, 409, 413, 429, 500, 503]
            .map(|status| answer(status, "the simulation says so", &[])),
    );
    actions
}

async fn stage_with(folder: &std::path::Path, scene: &Scene, point: Option<&Point>) -> Stage {
    let stage = Stage::sqlite(folder, scene.clone()).await;
    if let Some(point) = point {
        let cloud = if point.cloud == "source" {
            &stage.source
        } else {
            &stage.dr
        };
        let rule = Rule::any(point.action.clone()).after(point.after).once();
        cloud.fault(rule).expect("a rule");
    }
    stage
}

/// How many requests each cloud gets in a life without trouble.
fn requests(scene: &Scene) -> [u32; 2] {
    by_hand(async {
        let folder = scratch();
        let stage = stage_with(folder.path(), scene, None).await;
        live(&stage, Life::new(&stage, Capture::default(), false), &[]).await;
        [&stage.source, &stage.dr].map(|cloud| u32::try_from(cloud.requests().len()).expect("few"))
    })
}

fn run(scene: &Scene, point: &Point) {
    by_hand(async {
        let folder = scratch();
        let stage = stage_with(folder.path(), scene, Some(point)).await;
        live(&stage, Life::new(&stage, Capture::default(), true), &[]).await;
    });
}

#[test]
fn any_call_may_go_wrong_in_any_way() {
    sweep_of(Guest::Plain, sweep::every(1));
}

#[test]
fn any_call_may_go_wrong_while_the_guest_holds_still() {
    sweep_of(Guest::HoldsStill, sweep::every(5));
}

#[test]
fn any_call_may_go_wrong_while_a_group_is_captured() {
    sweep_of(Guest::Grouped, sweep::every(7));
}

#[test]
fn any_call_may_go_wrong_with_a_root_disk_that_is_no_volume() {
    sweep_of(Guest::FromImage, sweep::every(5));
}

fn sweep_of(guest: Guest, every: usize) {
    // An image has no volume but its own root disk here.
    let volumes: &[u64] = match guest {
        Guest::FromImage => &[],
        Guest::Plain | Guest::HoldsStill | Guest::Grouped => &[1],
    };
    let mut scene = Scene::new(volumes);
    scene.guest = guest;
    // What is stuck is looked at for days.
    scene.settings.observe_max = Duration::from_secs(300);
    scene.settings.lease = Duration::from_secs(120);
    let [source, dr] = requests(&scene);
    println!("{source} + {dr} calls");
    let mut points = Vec::new();
    for action in actions() {
        for (cloud, calls) in [("source", source), ("dr", dr)] {
            points.extend((0..calls).map(|after| Point {
                cloud,
                after,
                action: action.clone(),
            }));
        }
    }
    if let Ok(wanted) = std::env::var("DRBACKUP_FAULT") {
        points.retain(|point| {
            wanted
                .split('|')
                .any(|one| format!("{point:?}").contains(one))
        });
    }
    // A bounded run takes every so many of them, which still meets every call and every way.
    points = points.into_iter().step_by(every).collect();
    println!("{} lives", points.len());
    sweep::all("a fault", &points, |point| run(&scene, point));
}
