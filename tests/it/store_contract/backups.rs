//! What the contract of the port `Store` says of regular backups and of what restores them; it may not
//! know SQL.

use drbackup::domain::{
    caller::Scope,
    id::{PointId, PointKind, ScheduleId, SnapshotId},
    volume_snapshot::VolumeSnapshot,
};

use super::*;

fn regular() -> Point {
    Point {
        id: PointId::regular(Uuid::now_v7()),
        name: "hourly".to_owned(),
        description: "of the shop".to_owned(),
        tenant: home(),
        server: ServerId::new("server-1"),
        instance_name: String::new(),
        capture: None,
        keeping: Keeping {
            schedule: Some(ScheduleId(Uuid::now_v7())),
            until: Some(at(9_000)),
            held: false,
        },
        detail: PointDetail::none(PointKind::Regular),
        verification: Verification::default(),
        head: Head {
            state: State::CreationScheduled,
            runtime_state: "scheduled".to_owned(),
            progress: Progress::default(),
            error: None,
            created: at(0),
            updated: at(0),
            revision: 1,
        },
    }
}

fn making(of: &Point) -> Operation {
    Operation {
        resource: ResourceId::Point(of.id),
        tenant: of.tenant.clone(),
        ask: Ask::CreateBackup {
            server: of.server.clone(),
            description: of.description.clone(),
            minimum: None,
        },
        ..creation(&backup())
    }
}

fn unmaking(of: &Point) -> Operation {
    Operation {
        ask: Ask::DeleteBackup {
            detail: Box::new(of.detail.clone()),
            leftovers: Vec::new(),
            missing: Vec::new(),
        },
        resource_state: State::DeletionScheduled,
        ..making(of)
    }
}

fn leaving(of: &Point) -> Point {
    Point {
        head: Head {
            state: State::DeletionScheduled,
            ..of.clone().head
        },
        ..of.clone()
    }
}

/// A restoration of a regular backup.
fn restored(of: &Point) -> Restoration {
    Restoration {
        source: of.id,
        tenant: of.tenant.clone(),
        ..restoration(&backup())
    }
}

async fn admit_regular(store: &dyn Store, one: &Point) -> Operation {
    let operation = making(one);
    let admitted = store.point_admit(asked(None), one.clone(), operation.clone());
    new_of(admitted.await.expect("admitted"));
    operation
}

/// A regular backup that is `OK` with one snapshot, and the lane that made it.
async fn good(store: &dyn Store, snapshot: &str) -> (Point, Lane) {
    let one = regular();
    let operation = admit_regular(store, &one).await;
    let lane = lane_of(store, "one", &home()).await;
    let detail = PointDetail {
        content: Content::Regular(vec![VolumeSnapshot {
            id: SnapshotId::new(snapshot),
            volume: VolumeId::new("volume-1"),
            size_gib: 2,
            status: "available".to_owned(),
            created: Some(at(4)),
        }]),
        ..PointDetail::none(PointKind::Regular)
    };
    let mut written = update(State::Ok, 20);
    written.detail_changed = true;
    written.report.detail = Some(Detail::Point(Box::new(detail.clone())));
    let last = Turn {
        update: Some(written),
        ..ended(&operation, State::Ok, 20)
    };
    store
        .turn_record(&lane, vec![last])
        .await
        .expect("recorded");
    let now = store.point_get(one.id).await.expect("there");
    assert_eq!(now.detail, detail);
    (now, lane)
}

async fn a_regular_backup_reads_back_and_a_repeat_answers_it(site: Site) {
    let store = site.open().await;
    let (one, two) = (regular(), regular());
    let key = RequestKey {
        method: "CreateBackup",
        ..key("word", "same")
    };
    assert_eq!(store.point_answered(&key).await, Ok(None));
    let admit = |backup: &Point| {
        store.point_admit(asked(Some(key.clone())), backup.clone(), making(backup))
    };
    assert_eq!(admit(&one).await, Ok(Admitted::New(one.clone())));
    assert_eq!(store.point_get(one.id).await, Ok(one.clone()));
    assert_eq!(admit(&two).await, Ok(Admitted::Before(one.clone())));
    assert_eq!(store.point_answered(&key).await, Ok(Some(one.clone())));
    assert_eq!(
        store.point_get(two.id).await,
        Err(StoreError::NotFound(ResourceId::Point(two.id)))
    );
    let told = events(&*store, ResourceId::Point(one.id)).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].resource, ResourceId::Point(one.id));
    assert_eq!((told[0].sequence, told[0].state), (1, one.head.state));
}

async fn words_a_term_and_a_hold_are_written_at_the_revision_that_was_seen(site: Site) {
    let store = site.open().await;
    let (before, _) = good(&*store, "snapshot-a").await;
    let wanted = Point {
        name: "daily".to_owned(),
        description: "of the new shop".to_owned(),
        keeping: Keeping {
            until: None,
            held: true,
            ..before.keeping
        },
        head: Head {
            updated: at(30),
            ..before.clone().head
        },
        ..before.clone()
    };
    let changed = store.point_change(asked(None), wanted.clone(), None).await;
    let expected = Point {
        head: Head {
            revision: before.head.revision + 1,
            ..wanted.clone().head
        },
        ..wanted.clone()
    };
    assert_eq!(changed, Ok(Admitted::New(expected.clone())));
    assert_eq!(store.point_get(before.id).await, Ok(expected));
    assert_eq!(
        store.point_change(asked(None), wanted, None).await,
        Err(StoreError::Outdated(ResourceId::Point(before.id)))
    );
}

async fn regular_backups_page_and_narrow(site: Site) {
    let store = site.open().await;
    let mut all = Vec::new();
    for number in 0..5 {
        let one = Point {
            name: format!("{}", 9 - number),
            server: ServerId::new(format!("server-{}", number % 2)),
            head: Head {
                created: at(number),
                ..regular().head
            },
            ..regular()
        };
        admit_regular(&*store, &one).await;
        all.push(one);
    }
    admit(&*store, &backup()).await;
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let query = Query {
            scope: Scope::All,
            filter: Filter {
                kind: Some(PointKind::Regular),
                ..Filter::default()
            },
            order: Order {
                field: OrderField::Name,
                descending: true,
            },
            after,
            skip: 0,
            limit: 2,
        };
        let page = store.points_list(query).await.expect("a page");
        listed.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, all, "and no DR backup");
    let narrowed = |filter| Query {
        scope: Scope::All,
        filter,
        order: Order::default(),
        after: None,
        skip: 0,
        limit: 10,
    };
    let of_server = Filter {
        kind: Some(PointKind::Regular),
        server: Some(ServerId::new("server-1")),
        ..Filter::default()
    };
    let page = store.points_list(narrowed(of_server)).await.expect("page");
    assert_eq!(page.items, [all[3].clone(), all[1].clone()]);
    let of_schedule = Filter {
        kind: Some(PointKind::Regular),
        schedule: all[4].keeping.schedule,
        ..Filter::default()
    };
    let page = store.points_list(narrowed(of_schedule)).await;
    assert_eq!(page.expect("page").items, [all[4].clone()]);
    let of_name = Filter {
        kind: Some(PointKind::Regular),
        name: Some("7".to_owned()),
        states: vec![State::CreationScheduled],
        ..Filter::default()
    };
    let page = store.points_list(narrowed(of_name)).await.expect("page");
    assert_eq!(page.items, [all[2].clone()]);
}

async fn a_regular_backup_that_is_restored_cannot_go_nor_be_restored_once_it_goes(site: Site) {
    let store = site.open().await;
    let (one, lane) = good(&*store, "snapshot-a").await;
    let (other, _) = finished(&*store).await;
    let back = restored(&one);
    let rebuilding = Operation {
        tenant: back.tenant.clone(),
        ..restoring(&back)
    };
    let admitted = store.restoration_admit(asked(None), back.clone(), rebuilding.clone());
    new_of(admitted.await.expect("admitted"));
    assert_eq!(
        store.restoration_get(back.id).await.map(|one| one.source),
        Ok(one.id)
    );
    let of = |source| store.restorations_of(source, &Scope::All, 10);
    assert_eq!(of(one.id).await, Ok(vec![back.clone()]));
    assert_eq!(of(other.id).await, Ok(Vec::new()));
    let query = Query {
        scope: Scope::All,
        filter: Filter {
            points: vec![one.id],
            ..Filter::default()
        },
        order: Order::default(),
        after: None,
        skip: 0,
        limit: 10,
    };
    let page = store.restorations_list(query).await.expect("a page");
    assert_eq!(page.items, std::slice::from_ref(&back));

    let delete = || store.point_change(asked(None), leaving(&one), Some(unmaking(&one)));
    assert_eq!(delete().await, Err(StoreError::InUse(vec![back.id])));
    assert_eq!(store.point_get(one.id).await, Ok(one.clone()));
    store
        .turn_record(&lane, vec![ended(&rebuilding, State::Ok, 40)])
        .await
        .expect("recorded");
    assert!(matches!(delete().await, Ok(Admitted::New(_))));

    for of in [one, regular()] {
        let too_late = restored(&of);
        assert_eq!(
            store
                .restoration_admit(asked(None), too_late.clone(), restoring(&too_late))
                .await,
            Err(StoreError::Outdated(ResourceId::Point(of.id)))
        );
        assert!(store.restoration_get(too_late.id).await.is_err());
    }
}

async fn restoration_and_deletion_of_a_regular_backup_at_once_never_both_begin(site: Site) {
    let store = site.open().await;
    for _ in 0..10 {
        let (one, _) = good(&*store, "snapshot-a").await;
        let back = restored(&one);
        let (restored, deleted) = tokio::join!(
            store.restoration_admit(asked(None), back.clone(), restoring(&back)),
            store.point_change(asked(None), leaving(&one), Some(unmaking(&one))),
        );
        assert_ne!(
            restored.is_ok(),
            deleted.is_ok(),
            "{restored:?} {deleted:?}"
        );
    }
}

async fn a_regular_backup_goes_and_its_story_is_history(site: Site) {
    let store = site.open().await;
    let (one, lane) = good(&*store, "snapshot-a").await;
    let going = unmaking(&one);
    let key = RequestKey {
        method: "DeleteBackup",
        ..key("word", "same")
    };
    let admitted = store
        .point_change(asked(Some(key.clone())), leaving(&one), Some(going.clone()))
        .await
        .expect("admitted");
    let admitted = new_of(admitted);
    let open = store.lane_load(&lane, &[]).await.expect("loaded").open;
    let mine = open.iter().find(|work| work.operation.id == going.id);
    let mine = mine.expect("it is open");
    assert_eq!(mine.operation.ask, going.ask);
    assert_eq!(
        mine.detail,
        Some(Detail::Point(Box::new(one.detail.clone())))
    );
    store
        .turn_record(&lane, vec![ended(&going, State::Deleted, 60)])
        .await
        .expect("recorded");
    let about = ResourceId::Point(one.id);
    assert_eq!(
        store.point_get(one.id).await,
        Err(StoreError::NotFound(about))
    );
    assert_eq!(
        store.point_answered(&key).await,
        Ok(Some(admitted)),
        "a repeat answers as the first did"
    );
    let (changed, _) = store.changes_list(0, 100).await.expect("changes");
    assert!(changed.contains(&about));
    let states: Vec<State> = events(&*store, about)
        .await
        .iter()
        .map(|one| one.state)
        .collect();
    assert_eq!(
        states,
        [
            State::CreationScheduled,
            State::Ok,
            State::DeletionScheduled,
            State::Deleted
        ]
    );
    site.clock.wind(Duration::from_secs(100));
    // A request and the four events; the operations went with what they were about.
    assert_eq!(prune_all(&*store, at(90), 100).await, 5);
    assert_eq!(events(&*store, about).await, Vec::new());
    assert_eq!(store.point_answered(&key).await, Ok(None));
}

async fn the_snapshots_of_a_living_regular_backup_are_held(site: Site) {
    let store = site.open().await;
    let (_, lane) = good(&*store, "held").await;
    let there = ["held", "nobody's"].map(str::to_owned);
    let known = store.orphans_known(&home(), &[], &there).await;
    assert_eq!(
        known.expect("known").held,
        BTreeSet::from(["held".to_owned()])
    );
    let elsewhere = tenant("away", "green");
    let known = store.orphans_known(&elsewhere, &[], &there).await;
    assert_eq!(known.expect("known").held, BTreeSet::new());
    assert_eq!(lane.tenant, home());
}

async fn a_cancellation_of_a_regular_backup_is_remembered(site: Site) {
    let store = site.open().await;
    let one = regular();
    let operation = admit_regular(&*store, &one).await;
    let about = ResourceId::Point(one.id);
    let key = RequestKey {
        method: "CancelBackup",
        ..key("word", "same")
    };
    let cancel = || store.operation_cancel(asked(Some(key.clone())), about, at(7), false);
    assert_eq!(cancel().await, Ok(true));
    assert_eq!(store.point_answered(&key).await, Ok(Some(one)));
    let lane = lane_of(&*store, "one", &home()).await;
    let open = store.lane_load(&lane, &[operation.id]).await;
    assert_eq!(
        open.expect("loaded").open[0].operation.cancelled,
        Some(at(7))
    );
}

contract! {
    a_regular_backup_reads_back_and_a_repeat_answers_it,
    words_a_term_and_a_hold_are_written_at_the_revision_that_was_seen,
    regular_backups_page_and_narrow,
    a_regular_backup_that_is_restored_cannot_go_nor_be_restored_once_it_goes,
    restoration_and_deletion_of_a_regular_backup_at_once_never_both_begin,
    a_regular_backup_goes_and_its_story_is_history,
    the_snapshots_of_a_living_regular_backup_are_held,
    a_cancellation_of_a_regular_backup_is_remembered,
}
