//! What lists and answers mean for single effects; these tests may not know planners or lanes.
//!
//! One file because all of it is said about the same few effects, with one watch wound by hand.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{
    EngineSettings,
    act::{self, EffectRuntime, NextStep, Outbound, next_step},
    observe::{self, Listing, Lists, Seen},
    turn::{WaitPlan, undecided},
};
use crate::{
    domain::{
        effect::{Disposal, Effect, EffectState, Make, NewVolume, Request, ServerPlan},
        fault::{Fault, FaultKind, Service},
        id::{CloudName, EffectKey, FlavorId, ProjectId, Tenant, VolumeBackupId, VolumeId},
        ledger::Ledger,
        record::BackupRecord,
        sighting::{Sighting, Thing, ThingKind},
        time::Timestamp,
    },
    port::cloud::Answer,
};

const NAME: &str = "drb-1-volume-0";

fn tenant() -> Tenant {
    Tenant {
        cloud: CloudName::new("dr"),
        project: ProjectId::new("demo"),
    }
}

fn effect(request: Request) -> Effect {
    Effect {
        key: EffectKey::new("volume-0"),
        ordinal: 0,
        tenant: tenant(),
        name: NAME.to_owned(),
        request,
        disposal: Disposal::Product,
        state: EffectState::Requested,
        cloud_id: None,
        status: None,
        fact: None,
        fault: None,
        held: None,
        attempt: 1,
        changed: Timestamp(0),
    }
}

fn make_volume() -> Effect {
    effect(Request::Make(Make::Volume(NewVolume {
        size_gib: 1,
        volume_type: None,
        availability_zone: None,
        snapshot: None,
        image: None,
        description: String::new(),
    })))
}

fn make_server() -> Request {
    Request::Make(Make::Server(Box::new(ServerPlan {
        name: String::new(),
        description: String::new(),
        flavor: FlavorId::new("f"),
        disks: Vec::new(),
        ports: Vec::new(),
        card_tags: Vec::new(),
        key_name: None,
        availability_zone: None,
        config_drive: false,
        user_data: None,
        metadata: BTreeMap::new(),
        tags: Vec::new(),
        hostname: None,
        disk_config: None,
    })))
}

fn restore() -> Effect {
    effect(Request::RestoreInto {
        backup: VolumeBackupId::new("b"),
        backup_project: ProjectId::new("demo"),
        volume: VolumeId::new("v"),
    })
}

fn import() -> Effect {
    effect(Request::Import {
        backup: VolumeBackupId::new("b"),
        record: BackupRecord {
            service: "posix".to_owned(),
            url: String::new(),
        },
    })
}

fn sighting(kind: ThingKind, id: &str, name: &str, status: &str) -> Sighting {
    Sighting {
        thing: Thing {
            kind,
            id: id.to_owned(),
        },
        name: name.to_owned(),
        tags: Vec::new(),
        status: status.to_owned(),
        message: None,
        created: i64::try_from(id.len()).ok().map(Timestamp),
        size_gib: Some(1),
        incremental: false,
        data_timestamp: None,
        volume: None,
    }
}

fn listing(kind: ThingKind, started: Instant, sightings: Vec<Sighting>) -> Listing {
    Listing::new(tenant(), kind, started, sightings)
}

fn fault(kind: FaultKind) -> Fault {
    Fault::new(kind, Service::BlockStorage, "create a volume", "no")
}

fn taken(cloud_id: &str) -> Answer {
    Answer {
        cloud_id: Some(cloud_id.to_owned()),
        ready: false,
        fact: None,
    }
}

/// Time that a test winds by hand.
struct Watch(Instant);

impl Watch {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn after(&mut self, milliseconds: u64) -> Instant {
        self.0 += Duration::from_millis(milliseconds);
        self.0
    }
}

#[test]
fn a_request_without_an_answer_is_adopted_from_a_list_that_started_later() {
    let (settings, mut watch) = (EngineSettings::default(), Watch::start());
    let (mut volume, mut runtime) = (make_volume(), EffectRuntime::fresh(watch.0));
    let early = watch.after(1);
    let lost = Err(fault(FaultKind::Unanswered));
    act::answered(&mut volume, &mut runtime, lost, &settings, watch.after(1));
    let there = || vec![sighting(ThingKind::Volume, "v", NAME, "creating")];
    let stale = listing(ThingKind::Volume, early, there());
    observe::seen(&mut volume, &mut runtime, &stale, &settings, watch.after(1));
    assert_eq!(
        volume.state,
        EffectState::Requested,
        "the list is older than the doubt"
    );
    let fresh = listing(ThingKind::Volume, watch.after(1), there());
    observe::seen(&mut volume, &mut runtime, &fresh, &settings, watch.after(1));
    assert_eq!(
        (volume.state, volume.cloud_id.as_deref()),
        (EffectState::Accepted, Some("v"))
    );
}

#[test]
fn a_request_is_repeated_only_after_two_lists_with_a_settling_time_between_them() {
    let (settings, mut watch) = (EngineSettings::default(), Watch::start());
    let (mut volume, mut runtime) = (make_volume(), EffectRuntime::doubtful(watch.0));
    let nothing = |at| listing(ThingKind::Volume, at, Vec::new());
    let first = nothing(watch.after(10));
    observe::seen(&mut volume, &mut runtime, &first, &settings, watch.0);
    let soon = nothing(watch.after(10));
    observe::seen(&mut volume, &mut runtime, &soon, &settings, watch.0);
    let next = next_step(&volume, &runtime, &settings, watch.0);
    assert!(matches!(next, NextStep::List(_)), "not yet: {next:?}");
    let settled = nothing(watch.after(6000));
    observe::seen(&mut volume, &mut runtime, &settled, &settings, watch.0);
    assert_eq!(
        next_step(&volume, &runtime, &settings, watch.0),
        NextStep::Call(Outbound::Send)
    );
}

#[test]
fn of_two_copies_the_older_stays_and_is_adopted_when_the_younger_is_gone() {
    let (settings, mut watch) = (EngineSettings::default(), Watch::start());
    let (mut volume, mut runtime) = (make_volume(), EffectRuntime::doubtful(watch.0));
    let older = sighting(ThingKind::Volume, "v", NAME, "available");
    let younger = sighting(ThingKind::Volume, "vv", NAME, "available");
    let both = listing(
        ThingKind::Volume,
        watch.after(1),
        vec![younger.clone(), older.clone()],
    );
    let seen = observe::seen(&mut volume, &mut runtime, &both, &settings, watch.0);
    assert_eq!(seen.copies, [younger.thing]);
    assert_eq!(volume.state, EffectState::Requested);
    let one = listing(ThingKind::Volume, watch.after(1), vec![older]);
    let seen = observe::seen(&mut volume, &mut runtime, &one, &settings, watch.0);
    assert_eq!(
        seen,
        Seen {
            changed: true,
            copies: Vec::new()
        }
    );
    assert_eq!(
        (volume.state, volume.cloud_id.as_deref()),
        (EffectState::Done, Some("v"))
    );
}

#[test]
fn a_refusal_that_passes_keeps_the_request_and_one_that_does_not_ends_it() {
    let (settings, watch) = (EngineSettings::default(), Watch::start());
    for kind in [
        FaultKind::Unreachable,
        FaultKind::Busy,
        FaultKind::ServiceDown,
    ] {
        let (mut volume, mut runtime) = (make_volume(), EffectRuntime::fresh(watch.0));
        act::answered(
            &mut volume,
            &mut runtime,
            Err(fault(kind)),
            &settings,
            watch.0,
        );
        assert_eq!(volume.state, EffectState::Requested, "{kind:?}");
        assert!(matches!(
            next_step(&volume, &runtime, &settings, watch.0),
            NextStep::Later(_)
        ));
    }
    for kind in [FaultKind::Quota, FaultKind::Forbidden, FaultKind::Invalid] {
        let (mut volume, mut runtime) = (make_volume(), EffectRuntime::fresh(watch.0));
        act::answered(
            &mut volume,
            &mut runtime,
            Err(fault(kind)),
            &settings,
            watch.0,
        );
        assert_eq!(volume.state, EffectState::Failed, "{kind:?}");
    }
}

#[test]
fn a_restore_is_judged_by_a_status_from_after_the_answer() {
    let (settings, mut watch) = (EngineSettings::default(), Watch::start());
    let (mut fill, mut runtime) = (restore(), EffectRuntime::fresh(watch.0));
    let before = watch.after(1);
    act::answered(
        &mut fill,
        &mut runtime,
        Ok(taken("v")),
        &settings,
        watch.after(1),
    );
    let available = || vec![sighting(ThingKind::Volume, "v", "x", "available")];
    let old = listing(ThingKind::Volume, before, available());
    observe::seen(&mut fill, &mut runtime, &old, &settings, watch.after(1));
    assert_eq!(
        fill.state,
        EffectState::Accepted,
        "the volume was available before, too"
    );
    let broken = vec![sighting(ThingKind::Volume, "v", "x", "error_restoring")];
    let failed = listing(ThingKind::Volume, watch.after(1), broken);
    let mut other = fill.clone();
    observe::seen(
        &mut other,
        &mut runtime.clone(),
        &failed,
        &settings,
        watch.after(1),
    );
    assert_eq!(other.state, EffectState::Failed);
    let new = listing(ThingKind::Volume, watch.after(1), available());
    observe::seen(&mut fill, &mut runtime, &new, &settings, watch.after(1));
    assert_eq!(fill.state, EffectState::Done);
}

#[test]
fn a_restore_without_an_answer_is_asked_for_again_unless_the_volume_shows_it() {
    let (settings, mut watch) = (EngineSettings::default(), Watch::start());
    let cases = [
        ("available", None),
        ("restoring-backup", Some(EffectState::Accepted)),
    ];
    for (status, becomes) in cases {
        let (mut fill, mut runtime) = (restore(), EffectRuntime::doubtful(watch.0));
        let volume = vec![sighting(ThingKind::Volume, "v", "x", status)];
        let list = listing(ThingKind::Volume, watch.after(1), volume);
        observe::seen(&mut fill, &mut runtime, &list, &settings, watch.0);
        match becomes {
            Some(state) => assert_eq!(fill.state, state),
            None => assert_eq!(
                next_step(&fill, &runtime, &settings, watch.0),
                NextStep::Call(Outbound::Send)
            ),
        }
    }
}

#[test]
fn an_import_that_was_done_by_somebody_else_is_adopted_by_its_id() {
    let (settings, mut watch) = (EngineSettings::default(), Watch::start());
    let (mut record, mut runtime) = (import(), EffectRuntime::fresh(watch.0));
    let conflict = Err(fault(FaultKind::Conflict));
    act::answered(
        &mut record,
        &mut runtime,
        conflict,
        &settings,
        watch.after(1),
    );
    assert_eq!(record.state, EffectState::Requested);
    let there = vec![sighting(
        ThingKind::VolumeBackup,
        "b",
        "whatever",
        "available",
    )];
    let list = listing(ThingKind::VolumeBackup, watch.after(1), there);
    observe::seen(&mut record, &mut runtime, &list, &settings, watch.0);
    assert_eq!(record.state, EffectState::Done);
    assert_eq!(
        record.thing(),
        None,
        "there is nothing of it that we would ever delete"
    );
}

#[test]
fn a_conflict_that_no_list_explains_ends_the_import() {
    let (settings, mut watch) = (EngineSettings::default(), Watch::start());
    let (mut record, mut runtime) = (import(), EffectRuntime::fresh(watch.0));
    let conflict = Err(fault(FaultKind::Conflict));
    act::answered(
        &mut record,
        &mut runtime,
        conflict,
        &settings,
        watch.after(1),
    );
    for _ in 0..2 {
        let list = listing(ThingKind::VolumeBackup, watch.after(6000), Vec::new());
        observe::seen(&mut record, &mut runtime, &list, &settings, watch.0);
    }
    assert_eq!(record.state, EffectState::Failed);
}

#[test]
fn what_a_list_does_not_show_is_asked_for_by_id_before_it_counts_as_vanished() {
    let (settings, mut watch) = (EngineSettings::default(), Watch::start());
    let (mut volume, mut runtime) = (make_volume(), EffectRuntime::fresh(watch.0));
    act::answered(
        &mut volume,
        &mut runtime,
        Ok(taken("v")),
        &settings,
        watch.after(1),
    );
    let list = listing(ThingKind::Volume, watch.after(1), Vec::new());
    observe::seen(&mut volume, &mut runtime, &list, &settings, watch.0);
    assert_eq!(
        next_step(&volume, &runtime, &settings, watch.0),
        NextStep::Call(Outbound::Confirm)
    );
    let (mut lagging, mut its) = (volume.clone(), runtime.clone());
    let there = sighting(ThingKind::Volume, "v", NAME, "available");
    observe::confirmed(&mut lagging, &mut its, Some(&there), watch.0, watch.0);
    assert_eq!(lagging.state, EffectState::Done, "the list was behind");
    observe::confirmed(&mut volume, &mut runtime, None, watch.0, watch.0);
    assert_eq!(volume.state, EffectState::Failed);
    assert!(volume.fault.unwrap().message.contains("vanished"));
}

#[test]
fn a_dropped_request_that_may_have_worked_is_looked_for_before_it_counts_as_gone() {
    let (settings, mut watch) = (EngineSettings::default(), Watch::start());
    let (mut volume, mut runtime) = (make_volume(), EffectRuntime::doubtful(watch.0));
    volume.state = EffectState::Dropping;
    assert!(matches!(
        next_step(&volume, &runtime, &settings, watch.0),
        NextStep::List(_)
    ));
    let there = vec![sighting(ThingKind::Volume, "v", NAME, "creating")];
    let list = listing(ThingKind::Volume, watch.after(1), there);
    observe::seen(&mut volume, &mut runtime, &list, &settings, watch.0);
    let held = next_step(&volume, &runtime, &settings, watch.0);
    assert!(
        matches!(held, NextStep::List(_)),
        "creating refuses its deletion: {held:?}"
    );
    let ready = vec![sighting(ThingKind::Volume, "v", NAME, "available")];
    let list = listing(ThingKind::Volume, watch.after(1), ready);
    observe::seen(&mut volume, &mut runtime, &list, &settings, watch.0);
    assert_eq!(
        next_step(&volume, &runtime, &settings, watch.0),
        NextStep::Call(Outbound::Delete)
    );
    act::deleted(&mut volume, &mut runtime, Ok(()), &settings, watch.after(1));
    assert_eq!(volume.state, EffectState::Leaving, "accepted is not gone");
    let list = listing(ThingKind::Volume, watch.after(1), Vec::new());
    observe::seen(&mut volume, &mut runtime, &list, &settings, watch.0);
    assert_eq!(volume.state, EffectState::Gone);
}

#[test]
fn a_list_from_before_does_not_prove_that_a_thing_is_gone() {
    let (settings, mut watch) = (EngineSettings::default(), Watch::start());
    let (mut volume, mut runtime) = (make_volume(), EffectRuntime::fresh(watch.0));
    let early = watch.after(1);
    act::answered(
        &mut volume,
        &mut runtime,
        Ok(taken("v")),
        &settings,
        watch.after(1),
    );
    act::enter(
        &mut volume,
        &mut runtime,
        EffectState::Dropping,
        watch.after(1),
    );
    let old = listing(ThingKind::Volume, early, Vec::new());
    observe::seen(&mut volume, &mut runtime, &old, &settings, watch.0);
    assert_eq!(
        volume.state,
        EffectState::Dropping,
        "it is younger than that list"
    );
    let new = listing(ThingKind::Volume, watch.after(1), Vec::new());
    observe::seen(&mut volume, &mut runtime, &new, &settings, watch.0);
    assert_eq!(volume.state, EffectState::Gone);
}

#[test]
fn one_list_serves_everybody_and_slow_things_are_looked_at_less_often() {
    let (settings, watch) = (EngineSettings::default(), Watch::start());
    let mut lists = Lists::default();
    let look = |since: Instant| list_wanted(since, since);
    lists.begin();
    // Two things that one operation waits for.
    let wait_plan = |looks: usize| WaitPlan {
        lists: vec![look(watch.0); looks],
        until: None,
    };
    for _ in 0..100 {
        lists.wait(&wait_plan(2), watch.0, &settings, watch.0);
    }
    assert_eq!(lists.start(watch.0, |_| true).len(), 1);
    lists.ended(
        &tenant(),
        ThingKind::Volume,
        watch.0,
        false,
        &settings,
        watch.0,
    );
    let due = |lists: &mut Lists, waited: u64| {
        let now = watch.0;
        lists.begin();
        lists.want(
            &look(now.checked_sub(Duration::from_secs(waited)).unwrap_or(now)),
            &settings,
            now,
        );
        lists.next_due().map(|due| due.duration_since(now))
    };
    let crowded = settings.observe_min / settings.observe_crowd;
    assert_eq!(due(&mut lists, 0), Some(crowded), "of the turn before");
    lists.begin();
    lists.wait(&wait_plan(2), watch.0, &settings, watch.0);
    assert_eq!(due(&mut lists, 0), Some(settings.observe_min), "one");
    assert_eq!(due(&mut lists, 40), Some(Duration::from_secs(5)));
    assert_eq!(due(&mut lists, 600), Some(settings.observe_max));
}

#[test]
fn after_news_the_next_look_is_soon_and_a_list_that_takes_long_is_asked_for_seldom() {
    let (settings, watch) = (EngineSettings::default(), Watch::start());
    let mut lists = Lists::default();
    let (tenant, kind) = (tenant(), ThingKind::Volume);
    let begun = watch.0;
    let after = |seconds| begun + Duration::from_secs(seconds);
    let looked = |lists: &mut Lists, at: Instant, took: u64, news: bool| {
        lists.begin();
        lists.want(&list_wanted(begun, begun), &settings, at);
        assert_eq!(lists.start(at, |_| true).len(), 1);
        let ended = at + Duration::from_secs(took);
        lists.ended(&tenant, kind, at, false, &settings, ended);
        if news {
            lists.told(&tenant, kind, ended);
        }
        lists.begin();
        lists.want(&list_wanted(begun, begun), &settings, ended);
        lists.next_due().map(|due| due.duration_since(at))
    };
    let quiet = looked(&mut lists, after(80), 0, false);
    assert_eq!(quiet, Some(Duration::from_secs(10)));
    let news = looked(&mut lists, after(100), 0, true);
    assert_eq!(news, Some(settings.observe_min));
    let long = looked(&mut lists, after(200), 5, true);
    let effort = Duration::from_secs(5) * settings.observe_effort;
    assert_eq!(long, Some(effort), "so much longer than the list took");
}

fn list_wanted(from: Instant, since: Instant) -> act::ListWanted {
    act::ListWanted {
        tenant: tenant(),
        kind: ThingKind::Volume,
        from,
        since,
    }
}

/// What a cloud answers about a thing that somebody else uses.
fn in_use() -> Fault {
    let message = "data is used by server production (s-1)";
    Fault::new(FaultKind::Held, Service::BlockStorage, "delete it", message)
}

#[test]
fn who_uses_what_is_to_go_is_kept_in_its_row_and_asked_again_ever_later() {
    let (settings, mut watch) = (EngineSettings::default(), Watch::start());
    let (mut volume, mut runtime) = (make_volume(), EffectRuntime::fresh(watch.0));
    volume.cloud_id = Some("v".to_owned());
    act::enter(&mut volume, &mut runtime, EffectState::Dropping, watch.0);
    let mut pauses = Vec::new();
    for looks in 1..=3 {
        assert_eq!(
            next_step(&volume, &runtime, &settings, watch.0),
            NextStep::Call(Outbound::Delete),
            "nothing but a look at the thing itself tells that it is free"
        );
        act::deleted(&mut volume, &mut runtime, Err(in_use()), &settings, watch.0);
        let hold = volume.held.clone().expect("a holder");
        assert_eq!((hold.looks, hold.by), (looks, in_use().message));
        assert_eq!(volume.fault, None, "it is not why the effect failed");
        let NextStep::Later(later) = next_step(&volume, &runtime, &settings, watch.0) else {
            panic!("it is asked again at once");
        };
        pauses.push(later - watch.0);
        watch.0 = later;
    }
    assert!(pauses.is_sorted() && pauses[0] < pauses[2], "{pauses:?}");
    // Not to be heard is no sight of it; to be kept by something else ends the row.
    let silent = Fault::new(FaultKind::Unreachable, Service::BlockStorage, "x", "away");
    act::deleted(&mut volume, &mut runtime, Err(silent), &settings, watch.0);
    assert_eq!(volume.held.as_ref().map(|hold| hold.looks), Some(3));
    let busy = Fault::new(
        FaultKind::Busy,
        Service::BlockStorage,
        "x",
        "it is detaching",
    );
    act::deleted(&mut volume, &mut runtime, Err(busy), &settings, watch.0);
    assert_eq!(volume.held, None);

    act::deleted(&mut volume, &mut runtime, Err(in_use()), &settings, watch.0);
    act::deleted(&mut volume, &mut runtime, Ok(()), &settings, watch.0);
    assert_eq!((volume.held, volume.state), (None, EffectState::Leaving));
}

#[test]
fn a_deletion_of_its_own_that_is_held_is_counted_too_and_goes_on() {
    let (settings, watch) = (EngineSettings::default(), Watch::start());
    let thing = Thing {
        kind: ThingKind::Port,
        id: "p".to_owned(),
    };
    let (mut drop, mut runtime) = (
        effect(Request::Drop { thing }),
        EffectRuntime::fresh(watch.0),
    );
    for looks in 1..=2 {
        act::answered(&mut drop, &mut runtime, Err(in_use()), &settings, watch.0);
        assert_eq!(drop.state, EffectState::Requested);
        assert_eq!(drop.held.as_ref().map(|hold| hold.looks), Some(looks));
    }
    let answer = Answer {
        cloud_id: None,
        ready: true,
        fact: None,
    };
    act::answered(&mut drop, &mut runtime, Ok(answer), &settings, watch.0);
    assert_eq!((drop.held, drop.state), (None, EffectState::Done));
}

#[test]
fn a_copy_that_somebody_uses_is_left_and_the_oldest_is_adopted() {
    let (settings, watch) = (EngineSettings::default(), Watch::start());
    let (mut volume, mut runtime) = (make_volume(), EffectRuntime::doubtful(watch.0));
    let there = ["old", "young"].map(|id| sighting(ThingKind::Volume, id, NAME, "available"));
    let list = listing(ThingKind::Volume, watch.0, there.to_vec());
    let seen = observe::seen(&mut volume, &mut runtime, &list, &settings, watch.0);
    let copies: Vec<String> = seen.copies.into_iter().map(|copy| copy.id).collect();
    assert_eq!(copies, ["young"]);
    runtime.given_up.extend(copies);
    let seen = observe::seen(&mut volume, &mut runtime, &list, &settings, watch.0);
    assert_eq!(seen.copies, []);
    assert_eq!((volume.id(), volume.state), ("old", EffectState::Done));
}

#[test]
fn only_a_look_that_began_after_the_decision_tells_what_may_be_destroyed() {
    let (settings, mut watch) = (EngineSettings::default(), Watch::start());
    let (mut volume, mut runtime) = (make_volume(), EffectRuntime::fresh(watch.0));
    act::answered(
        &mut volume,
        &mut runtime,
        Ok(taken("v")),
        &settings,
        watch.after(1),
    );
    let creating = || vec![sighting(ThingKind::Volume, "v", NAME, "creating")];
    let begun_before = watch.after(5);
    let decided = watch.after(5);
    let unseen = |volume: &Effect, runtime: &EffectRuntime, decided, now| {
        act::is_unseen(volume, runtime, settings.sight_age, decided, now)
    };
    assert!(
        unseen(&volume, &runtime, None, decided),
        "nothing is decided yet"
    );
    let before = listing(ThingKind::Volume, begun_before, creating());
    observe::seen(
        &mut volume,
        &mut runtime,
        &before,
        &settings,
        watch.after(5),
    );
    assert!(
        unseen(&volume, &runtime, Some(decided), watch.0),
        "the answer came after it, the look began before it"
    );
    let after = listing(ThingKind::Volume, watch.after(1), creating());
    observe::seen(&mut volume, &mut runtime, &after, &settings, watch.after(5));
    assert!(!unseen(&volume, &runtime, Some(decided), watch.0));
    let later = watch.0 + settings.sight_age * 2;
    assert!(
        unseen(&volume, &runtime, Some(decided), later),
        "it grew old meanwhile"
    );
}

#[test]
fn only_a_server_that_was_to_go_is_decided_upon_anew_after_a_load() {
    let mut ledger = Ledger::default();
    for (ordinal, request) in [make_server(), make_volume().request]
        .into_iter()
        .enumerate()
    {
        ledger.put(Effect {
            key: EffectKey::new(format!("made-{ordinal}")),
            state: EffectState::Dropping,
            cloud_id: Some("x".to_owned()),
            fault: Some(fault(FaultKind::Broken)),
            ..effect(request)
        });
    }
    // One that nobody knows by its id may not be there at all.
    ledger.put(Effect {
        key: EffectKey::new("unknown"),
        state: EffectState::Dropping,
        ..effect(make_server())
    });
    undecided(&mut ledger);
    let of = |key: &str| ledger.get(&EffectKey::new(key)).expect("a row");
    assert_eq!(of("made-0").state, EffectState::Accepted);
    assert_eq!(
        of("made-0").fault,
        None,
        "what spoke against it is looked at again"
    );
    assert_eq!(of("made-1").state, EffectState::Dropping);
    assert_eq!(of("unknown").state, EffectState::Dropping);
}
