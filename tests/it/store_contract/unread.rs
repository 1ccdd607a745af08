//! What the contract of the port `Store` says of rows that this version cannot read; it may not know how
//! they are read.
//!
//! A word that no version knows stands for what a newer one wrote. Each claim goes through all columns that
//! are read as more than a text or a number.

use drbackup::domain::{caller::Scope, error::UNREADABLE_TEXT, orphan::Known};

use super::*;

/// What a newer version may have written into the rows of an operation and its ledger.
const OF_WORK: [(&str, &str, &str); 8] = [
    ("effects", "request", r#"{"ask":"made_by_a_newer_version"}"#),
    ("effects", "request", "no JSON at all"),
    ("effects", "disposal", "lent"),
    ("effects", "state", "resting"),
    ("effects", "fact", r#"{"newer":{"x":1}}"#),
    (
        "effects",
        "fault",
        r#"{"kind":"newer","service":"compute","doing":"","message":""}"#,
    ),
    ("operations", "ask", r#"{"newer":{"x":1}}"#),
    ("operations", "resource_kind", "drill"),
];

/// The same of a DR backup.
const OF_DR_BACKUP: [(&str, &str); 5] = [
    ("capture", "by_magic"),
    ("state", "PAUSED"),
    ("progress", "none"),
    ("error", r#"{"reason":3}"#),
    ("detail", r#"{"manifest":3}"#),
];

/// The same of a restoration.
const OF_RESTORATION: [(&str, &str); 5] = [
    ("wish", r#"{"name":3}"#),
    ("state", "PAUSED"),
    ("progress", "none"),
    ("error", r#"{"reason":3}"#),
    ("detail", r#"{"server":3}"#),
];

/// Two DR backups that are being made in one lane, each with a row in its ledger.
struct Pair {
    spoilt: (Point, Operation),
    good: (Point, Operation),
    lane: Lane,
}

impl Pair {
    async fn of(store: &dyn Store) -> Self {
        let (spoilt, good) = (backup(), backup());
        let first = admit(store, &spoilt).await;
        let second = admit(store, &good).await;
        let lane = lane_of(store, "one", &home()).await;
        let turns = [&first, &second].map(|operation| Turn {
            effects: vec![effect("volume-1-snapshot", EffectState::Requested)],
            ..told(operation, State::Creating, 5)
        });
        let recorded = store.turn_record(&lane, turns.into()).await;
        recorded.expect("recorded");
        Self {
            spoilt: (spoilt, first),
            good: (good, second),
            lane,
        }
    }

    /// Whether the good operation is loaded, and alone.
    async fn loaded(&self, store: &dyn Store) -> Loaded {
        let loaded = store.lane_load(&self.lane, &[]).await.expect("loaded");
        let open: Vec<OperationId> = loaded.open.iter().map(|one| one.operation.id).collect();
        assert_eq!(open, [self.good.1.id], "{loaded:#?}");
        loaded
    }
}

/// Where the spoilt row is.
fn place(pair: &Pair, table: &str) -> String {
    match table {
        "effects" => format!("operation = '{}'", pair.spoilt.1.id),
        "operations" => format!("id = '{}'", pair.spoilt.1.id),
        _ => format!("id = '{}'", pair.spoilt.0.id),
    }
}

async fn an_operation_that_cannot_be_read_is_left_alone_and_the_others_are_loaded(site: Site) {
    for (table, column, value) in OF_WORK {
        let store = site.open().await;
        let pair = Pair::of(&*store).await;
        let at = place(&pair, table);
        site.sql(&format!(
            "UPDATE {table} SET {column} = '{value}' WHERE {at}"
        ));

        let loaded = pair.loaded(&*store).await;
        let [unread] = <[_; 1]>::try_from(loaded.unread).expect("the other one");
        assert_eq!(unread.operation, pair.spoilt.1.id, "{table}.{column}");
        let about = ResourceId::Point(pair.spoilt.0.id);
        let known = (column != "resource_kind").then_some(about);
        assert_eq!(unread.resource, known, "{table}.{column}");
        let known = [pair.good.1.id, pair.spoilt.1.id];
        let again = store.lane_load(&pair.lane, &known).await;
        assert_eq!(
            again,
            Ok(Loaded::default()),
            "it is not read again and again"
        );
        // Whoever can read it finds it as it was left.
        site.sql(&format!(
            "DELETE FROM effects WHERE operation = '{0}'; DELETE FROM operations WHERE id IN ('{0}', '{1}')",
            pair.spoilt.1.id, pair.good.1.id
        ));
    }
    assert!(!site.open().await.unread().is_empty(), "they are counted");
}

async fn a_resource_says_why_nothing_is_done_for_it(site: Site) {
    let store = site.open().await;
    let pair = Pair::of(&*store).await;
    let about = ResourceId::Point(pair.spoilt.0.id);
    let before = store.point_get(pair.spoilt.0.id).await.expect("there");
    let why = format!("{UNREADABLE_TEXT}: the request of an effect");
    for _ in 0..2 {
        let told = store.operation_set_aside(&pair.lane, about, &why).await;
        told.expect("told");
    }
    let now = store.point_get(pair.spoilt.0.id).await.expect("there");
    assert_eq!(now.head.runtime_state, why);
    assert_eq!(now.head.revision, before.head.revision + 1, "told once");
    let same = Point {
        head: Head {
            runtime_state: before.head.runtime_state.clone(),
            updated: before.head.updated,
            revision: before.head.revision,
            ..now.head
        },
        ..now
    };
    assert_eq!(same, before, "nothing else is written");
    let last = events(&*store, about).await.pop().expect("an event");
    assert_eq!((last.runtime_state, last.state), (why, State::Creating));

    let old = Lane {
        epoch: pair.lane.epoch - 1,
        ..pair.lane.clone()
    };
    let refused = store.operation_set_aside(&old, about, "late").await;
    assert_eq!(refused, Err(JournalError::Fenced(home())));
}

async fn a_lane_of_which_nothing_can_be_read_is_left_to_one_who_can(site: Site) {
    let store = site.open().await;
    let backup = backup();
    let operation = admit(&*store, &backup).await;
    let unread = [operation.id];
    let (old, new) = (replica("old"), replica("new"));
    let claimed = store.lanes_claim(&old, LEASE, 9, &unread).await;
    assert_eq!(claimed, Ok(Vec::new()), "it is no work for that one");
    let claimed = store.lanes_claim(&new, LEASE, 9, &[]).await;
    assert_eq!(claimed.expect("claimed").len(), 1);

    // What can be read makes it work again.
    admit(&*store, &super::backup()).await;
    store.replica_leave(&new).await.expect("left");
    let claimed = store.lanes_claim(&old, LEASE, 9, &unread).await;
    assert_eq!(claimed.expect("claimed").len(), 1);
}

async fn a_dr_backup_that_cannot_be_read_says_so_and_holds_up_no_list(site: Site) {
    let store = site.open().await;
    let (spoilt, lane) = finished(&*store).await;
    let good = backup();
    let operation = admit(&*store, &good).await;
    let ended = store.turn_record(&lane, vec![ended(&operation, State::Ok, 20)]);
    ended.await.expect("recorded");
    for (column, value) in OF_DR_BACKUP {
        let whole = store.point_get(spoilt.id).await.expect("there");
        assert_eq!(whole, spoilt, "{column}");
        let set = |value: &str| {
            let id = spoilt.id;
            site.sql(&format!(
                "UPDATE points SET {column} = {value} WHERE id = '{id}'"
            ));
        };
        site.sql("CREATE TABLE kept AS SELECT * FROM points");
        set(&format!("'{value}'"));

        let told = store.point_get(spoilt.id).await.expect("there");
        let says = told.head.runtime_state.starts_with(UNREADABLE_TEXT);
        assert!(says, "{column}: {told:#?}");
        assert!(
            told.head
                .error
                .as_ref()
                .is_some_and(OperationError::is_unreadable)
        );
        assert!(told.check_restorable(&told.tenant).is_err(), "{column}");
        assert_eq!(
            (&told.name, told.head.created),
            (&spoilt.name, spoilt.head.created)
        );
        let query = Query {
            scope: Scope::All,
            filter: Filter::default(),
            order: Order::default(),
            after: None,
            skip: 0,
            limit: 9,
        };
        let page = store.points_list(query).await.expect("a list").items;
        assert_eq!(page.len(), 2, "{column}");
        assert!(page.contains(&told), "{column}");
        let change = store.point_change(asked(None), scheduled_for_deletion(&told), None);
        assert!(
            matches!(change.await, Err(StoreError::Unreadable(_))),
            "{column}: nothing is written over it"
        );

        set(&format!(
            "(SELECT {column} FROM kept WHERE kept.id = points.id)"
        ));
        site.sql("DROP TABLE kept");
    }
}

async fn a_restoration_that_cannot_be_read_says_so_and_holds_up_no_list(site: Site) {
    let store = site.open().await;
    let (of, _) = finished(&*store).await;
    let (spoilt, good) = (restoration(&of), restoration(&of));
    for one in [&spoilt, &good] {
        let admitted = store.restoration_admit(asked(None), one.clone(), restoring(one));
        admitted.await.expect("admitted");
    }
    for (column, value) in OF_RESTORATION {
        let id = spoilt.id;
        site.sql("CREATE TABLE kept AS SELECT * FROM restorations");
        site.sql(&format!(
            "UPDATE restorations SET {column} = '{value}' WHERE id = '{id}'"
        ));
        let told = store.restoration_get(id).await.expect("there");
        assert!(
            told.head.runtime_state.starts_with(UNREADABLE_TEXT),
            "{column}"
        );
        let all = store.restorations_of(of.id, &Scope::All, 9).await;
        let all = all.expect("listed");
        assert!(all.contains(&told) && all.contains(&good), "{column}");
        let change = store.restoration_change(asked(None), told.clone(), restoring(&told));
        assert!(
            matches!(change.await, Err(StoreError::Unreadable(_))),
            "{column}"
        );
        let lane = lane_of(&*store, "one", &spoilt.tenant).await;
        let loaded = store.lane_load(&lane, &[]).await.expect("loaded");
        assert_eq!((loaded.open.len(), loaded.unread.len()), (1, 1), "{column}");
        site.sql(&format!(
            "UPDATE restorations SET {column} = (SELECT {column} FROM kept WHERE kept.id = '{id}') WHERE id = '{id}'"
        ));
        site.sql("DROP TABLE kept");
        assert_eq!(store.restoration_get(id).await, Ok(spoilt.clone()));
    }
}

async fn an_event_that_cannot_be_read_hides_none_behind_it(site: Site) {
    let store = site.open().await;
    let backup = backup();
    let operation = admit(&*store, &backup).await;
    let lane = lane_of(&*store, "one", &home()).await;
    for second in 5..9 {
        let turn = told(&operation, State::Creating, second);
        store
            .turn_record(&lane, vec![turn])
            .await
            .expect("recorded");
    }
    let about = ResourceId::Point(backup.id);
    let spoil = |column: &str, value: &str, sequence: u64| {
        site.sql(&format!(
            "UPDATE events SET {column} = '{value}' WHERE sequence = {sequence} AND resource_id = '{}'",
            backup.id
        ));
    };
    spoil("state", "PAUSED", 2);
    spoil("progress", "none", 4);
    let sequences =
        |told: Vec<Event>| -> Vec<u64> { told.iter().map(|one| one.sequence).collect() };
    let told = events(&*store, about).await;
    assert!(
        told[2].runtime_state.starts_with(UNREADABLE_TEXT),
        "{told:#?}"
    );
    assert_eq!(sequences(told), [1, 3, 4, 5]);
    let one = store.events_list(about, 1, 1).await.expect("events");
    assert_eq!(
        sequences(one),
        [3],
        "an empty answer would be taken for the end"
    );
    // A kind of resource that only a newer version has.
    site.sql(&format!(
        "UPDATE events SET resource_kind = 'drill' WHERE sequence = 1 AND resource_id = '{}'",
        backup.id
    ));
    let (changed, _) = store.changes_list(0, 100).await.expect("changes");
    assert_eq!(changed, [about]);
}

async fn a_sweep_that_cannot_be_read_says_so(site: Site) {
    let store = site.open().await;
    admit(&*store, &backup()).await;
    lane_of(&*store, "one", &home()).await;
    let claimed = store
        .sweeps_claim(Aim::Orphans, at(100), 9)
        .await
        .expect("claimed");
    assert_eq!(claimed, [home()]);
    site.sql("UPDATE sweeps SET found = 'many'");
    let [sweep] = <[Sweep; 1]>::try_from(store.sweeps_list(Aim::Orphans).await.expect("listed"))
        .expect("one");
    assert!(
        sweep
            .problem
            .is_some_and(|told| told.starts_with(UNREADABLE_TEXT))
    );
}

async fn what_an_unread_row_names_is_no_orphan(site: Site) {
    let store = site.open().await;
    let (spoilt, _) = finished(&*store).await;
    let detail = r#"{"manifest":3,"volume_backups":3,"things":["thing-1"]}"#;
    site.sql(&format!(
        "UPDATE points SET detail = '{detail}' WHERE id = '{}'",
        spoilt.id
    ));
    let things = ["thing-1".to_owned(), "thing-2".to_owned()];
    let known: Known = store
        .orphans_known(&home(), &[], &things)
        .await
        .expect("known");
    assert!(known.held.contains("thing-1"), "{known:?}");
    assert!(!known.held.contains("thing-2"), "{known:?}");
}

contract! {
    an_operation_that_cannot_be_read_is_left_alone_and_the_others_are_loaded,
    a_resource_says_why_nothing_is_done_for_it,
    a_lane_of_which_nothing_can_be_read_is_left_to_one_who_can,
    a_dr_backup_that_cannot_be_read_says_so_and_holds_up_no_list,
    a_restoration_that_cannot_be_read_says_so_and_holds_up_no_list,
    an_event_that_cannot_be_read_hides_none_behind_it,
    a_sweep_that_cannot_be_read_says_so,
    what_an_unread_row_names_is_no_orphan,
}
