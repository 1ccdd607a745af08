//! The claims about the audit: entries are written with what they tell of, in a chain that another hand
//! cannot change unseen; they may not know SQL, but for that of the other hand.

use drbackup::domain::audit::{Break, Chain, Ends, Entry, Link, Note, Object, What, Who};
use serde_json::Value;

use super::*;

/// All of it, page by page.
async fn all(store: &dyn Store) -> (Ends, Vec<Entry>) {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let last = entries.last().map_or(0, |entry| entry.number);
        let (ends, page) = store.audit_page(last, 3).await.expect("read");
        if page.is_empty() {
            return (ends, entries);
        }
        entries.extend(page);
    }
}

async fn verified(store: &dyn Store) -> Result<u64, Break> {
    let (ends, entries) = all(store).await;
    let mut chain = Chain::behind(ends.anchor);
    entries.iter().try_for_each(|entry| chain.take(entry))?;
    chain.end(&ends.head)?;
    Ok(chain.entries())
}

/// What each entry says: what happened, which method, and to which object.
async fn told_of(store: &dyn Store) -> Vec<(String, String, String)> {
    let (_, entries) = all(store).await;
    let read = |entry: &Entry| -> (String, String, String) {
        let says: Value = serde_json::from_str(&entry.line()).expect("an object");
        assert_eq!(says["digest"], entry.digest.0);
        let of_a_tenant = says["object"]["tenant"].is_string();
        assert!(of_a_tenant && says["object"]["cloud"].is_string());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            text(&says["what"]),
            text(&says["method"]),
            text(&says["object"]["id"]),
        )
    };
    entries.iter().map(read).collect()
}

fn note(action: &str, time: Timestamp) -> Note {
    Note {
        time,
        what: What::AdminUsed {
            purpose: "import",
            service: "Cinder",
            method: "POST".to_owned(),
            action: action.to_owned(),
            calls: 1,
        },
        who: Who::internal("openstack"),
        object: Object::of("tenant", &home()),
    }
}

async fn an_entry_is_written_with_what_it_tells_or_not_at_all(site: Site) {
    let store = site.open().await;
    assert_eq!(verified(&*store).await, Ok(0));
    let (backup, _) = finished(&*store).await;
    let id = backup.id.to_string();
    let says = |what: &str, method: &str, id: &str| (what.into(), method.into(), id.into());
    let mut wanted: Vec<(String, String, String)> = vec![
        says("accepted", "Test", &id),
        says("ended", "create_dr_backup", &id),
    ];
    assert_eq!(told_of(&*store).await, wanted);

    let stale = Point {
        head: Head {
            revision: 1,
            ..backup.head.clone()
        },
        ..backup.clone()
    };
    let refused = store.point_change(asked(None), stale, None).await;
    assert!(matches!(refused, Err(StoreError::Outdated(_))));
    assert_eq!(told_of(&*store).await, wanted, "nothing was changed");

    let restoration = restoration(&backup);
    let making = restoring(&restoration);
    let admitted = store.restoration_admit(
        asked(Some(key("r", "x"))),
        restoration.clone(),
        making.clone(),
    );
    admitted.await.expect("admitted");
    let about = making.resource;
    let cancelled = store.operation_cancel(asked(None), about, at(6), false);
    assert_eq!(cancelled.await, Ok(true));
    let of = restoration.id.to_string();
    wanted.push(says("accepted", "CreateDRBackup", &of));
    wanted.push(says("accepted", "Test", &of));
    assert_eq!(told_of(&*store).await, wanted);

    let mut bad = ended(&making, State::Erred, 9);
    let written = bad.update.as_mut().expect("an update");
    written.report.detail = Some(Detail::Point(Box::new(PointDetail::none(PointKind::Dr))));
    written.detail_changed = true;
    let lane = lane_of(&*store, "one", &restoration.tenant).await;
    let refused = store.turn_record(&lane, vec![bad]).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(told_of(&*store).await, wanted, "the turn is not written");
    let turn = ended(&making, State::Erred, 9);
    store.turn_record(&lane, vec![turn]).await.expect("written");
    wanted.push(says("ended", "delete_restoration", &of));
    assert_eq!(told_of(&*store).await, wanted);
    assert_eq!(verified(&*store).await, Ok(5));
}

async fn a_repeat_of_a_request_writes_no_entry(site: Site) {
    let store = site.open().await;
    let one = backup();
    let admit = || {
        let asked = asked(Some(key("create", "same")));
        store.point_admit(asked, one.clone(), creation(&one))
    };
    admit().await.expect("admitted");
    admit().await.expect("answered");
    let about = ResourceId::Point(one.id);
    let cancel = || store.operation_cancel(asked(Some(key("cancel", "same"))), about, at(6), false);
    assert_eq!(cancel().await, Ok(true));
    assert_eq!(cancel().await, Ok(true));
    assert_eq!(verified(&*store).await, Ok(2));
    let (_, entries) = all(&*store).await;
    let first: Value = serde_json::from_str(&entries[0].text).expect("an object");
    assert_eq!(first["request_id"], "create");
    assert_eq!(first["by"]["name"], "test");

    let taken = Point {
        id: PointId::dr(Uuid::now_v7()),
        ..backup()
    };
    for _ in 0..2 {
        let in_there = store.point_take_in(asked(None), taken.clone()).await;
        in_there.expect("taken in");
    }
    assert_eq!(verified(&*store).await, Ok(3));
}

async fn numbers_have_no_gap_however_many_write_at_once(site: Site) {
    const WRITERS: usize = 24;
    let store = site.open().await;
    let (held, lane) = finished(&*store).await;
    let before = verified(&*store).await.expect("it holds");
    let admits = (0..WRITERS).map(|number| {
        let (store, held) = (&store, &held);
        async move {
            let one = backup();
            let admitted = store
                .point_admit(asked(None), one.clone(), creation(&one))
                .await;
            admitted.expect("admitted");
            // Every third one fails in the middle of its transaction, and must not use a number up.
            if number % 3 == 0 {
                let stale = Point {
                    head: Head {
                        revision: 1,
                        ..held.head.clone()
                    },
                    ..held.clone()
                };
                let refused = store.point_change(asked(None), stale, None).await;
                refused.expect_err("it is stale");
            }
            let noted = store.audit_note(note("import a record", at(1))).await;
            noted.expect("noted");
        }
    });
    futures::future::join_all(admits).await;
    store.lane_release(&lane).await.expect("released");
    let written = 2 * u64::try_from(WRITERS).expect("a few");
    assert_eq!(verified(&*store).await, Ok(before + written));
    let (ends, entries) = all(&*store).await;
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..=before + written).collect::<Vec<u64>>());
    assert_eq!(ends.head.number, before + written);
}

async fn old_entries_go_and_the_chain_holds_behind_them(site: Site) {
    let store = site.open().await;
    for second in 0..10 {
        let noted = store.audit_note(note("import a record", at(second))).await;
        noted.expect("noted");
    }
    let (_, entries) = all(&*store).await;
    assert_eq!(store.audit_prune(at(0), 100).await, Ok(0));
    assert_eq!(store.audit_prune(at(6), 4).await, Ok(4));
    assert_eq!(store.audit_prune(at(6), 4).await, Ok(2));
    assert_eq!(store.audit_prune(at(6), 4).await, Ok(0));
    let (ends, left) = all(&*store).await;
    assert_eq!(left, entries[6..]);
    assert_eq!(ends.anchor, entries[5].link());
    assert_eq!(verified(&*store).await, Ok(4));
    assert_eq!(store.audit_prune(at(100), 100).await, Ok(4));
    assert_eq!(verified(&*store).await, Ok(0));
    let noted = store.audit_note(note("import a record", at(200))).await;
    noted.expect("noted");
    let (ends, left) = all(&*store).await;
    assert_eq!(left[0].number, 11, "numbers go on");
    assert_eq!(ends.anchor, entries[9].link());
}

/// Takes the triggers away, as whoever means it would.
const UNGUARDED: &str = "DROP TRIGGER audit_stays ON audit; DROP TRIGGER audit_goes ON audit; \
                         DROP TRIGGER audit_comes ON audit; \
                         DROP TRIGGER audit_ends_grow ON audit_ends;";

async fn what_another_hand_does_to_the_audit_is_refused_or_found(site: Site) {
    let store = site.open().await;
    for second in 0..6 {
        let noted = store.audit_note(note("import a record", at(second))).await;
        noted.expect("noted");
    }
    for slip in [
        "UPDATE audit SET text = 'x' WHERE number = 3",
        "DELETE FROM audit WHERE number = 3",
        "UPDATE audit_ends SET head = 2",
        "DELETE FROM audit_ends",
        "INSERT INTO audit SELECT number + 1, time, text, digest FROM audit WHERE number = 6",
        "INSERT INTO audit SELECT 0, time, text, digest FROM audit WHERE number = 6",
    ] {
        let sql = std::panic::AssertUnwindSafe(|| site.sql(slip));
        assert!(std::panic::catch_unwind(sql).is_err(), "{slip}");
    }
    assert_eq!(verified(&*store).await, Ok(6));
    let is_lite = site.url.starts_with("sqlite:");
    let unguarded = UNGUARDED.to_owned();
    site.sql(&if is_lite {
        unguarded
            .replace(" ON audit_ends", "")
            .replace(" ON audit", "")
    } else {
        unguarded
    });
    let (_, good) = all(&*store).await;
    let Link { digest, .. } = good[4].link();
    let restore = |number: usize| {
        let Entry {
            text, digest, time, ..
        } = &good[number - 1];
        let time = time.0;
        format!(
            "DELETE FROM audit WHERE number = {number}; \
             INSERT INTO audit (number, time, text, digest) VALUES ({number}, {time}, '{text}', '{digest}')"
        )
    };
    for (number, deed, undone) in [
        (
            3,
            "UPDATE audit SET text = replace(text, 'import', 'export') WHERE number = 3".to_owned(),
            restore(3),
        ),
        (
            2,
            "UPDATE audit SET time = 0 WHERE number = 2".to_owned(),
            restore(2),
        ),
        (
            4,
            "DELETE FROM audit WHERE number = 4".to_owned(),
            restore(4),
        ),
        (
            2,
            "UPDATE audit SET number = 9 WHERE number = 2; \
             UPDATE audit SET number = 2 WHERE number = 3; \
             UPDATE audit SET number = 3 WHERE number = 9"
                .to_owned(),
            format!("{}; {}", restore(2), restore(3)),
        ),
        (
            6,
            "DELETE FROM audit WHERE number = 6".to_owned(),
            restore(6),
        ),
        // With the end moved, only what is known from elsewhere tells.
        (
            6,
            format!(
                "DELETE FROM audit WHERE number = 6; \
                 UPDATE audit_ends SET head = 5, head_digest = '{digest}'"
            ),
            String::new(),
        ),
    ] {
        site.sql(&deed);
        let (ends, entries) = all(&*store).await;
        let mut chain = Chain::behind(ends.anchor).with(Some(good[5].link()));
        let broken = entries
            .iter()
            .try_for_each(|entry| chain.take(entry))
            .and_then(|()| chain.end(&ends.head))
            .expect_err("it is found");
        assert_eq!(broken.number, number, "{deed}: {broken}");
        if undone.is_empty() {
            assert_eq!(verified(&*store).await, Ok(5));
        } else {
            site.sql(&undone);
            assert_eq!(verified(&*store).await, Ok(6), "{deed}");
        }
    }
}

contract! {
    an_entry_is_written_with_what_it_tells_or_not_at_all,
    a_repeat_of_a_request_writes_no_entry,
    numbers_have_no_gap_however_many_write_at_once,
    old_entries_go_and_the_chain_holds_behind_them,
    what_another_hand_does_to_the_audit_is_refused_or_found,
}
