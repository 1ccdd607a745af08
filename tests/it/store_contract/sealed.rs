//! What the contract of the port `Store` says of what is sealed: what a thief of the database reads, what a
//! missing key does, and how everything is sealed again; it may not know how a text is sealed.

use drbackup::{
    domain::{error::UNREADABLE_TEXT, record::BackupRecord},
    store::sealing::{self, Counted, Standing},
};

use super::*;

const OLD: &str = "0000000000000000000000000000000000000000000000000000000000000001";
const NEW: &str = "0000000000000000000000000000000000000000000000000000000000000002";

/// What lies in the columns that are sealed.
const PLANTED: [&str; 7] = [
    "planted-in-a-record",
    "planted-in-a-wish",
    "planted-in-a-restoration",
    "planted-in-an-ask",
    "planted-in-a-request",
    "planted-in-a-fact",
    "planted-in-an-answer",
];

async fn open(site: &Site, keys: &[&str]) -> Arc<dyn Store> {
    let opened = store::open(site.config(keys)).await;
    opened.expect("the store opens")
}

fn id_of(key: &str) -> String {
    SealKey::parse(key).expect("a key").id().to_owned()
}

/// What a life leaves in every column that is sealed.
#[derive(Debug, PartialEq)]
struct Life {
    point: Point,
    restoration: Restoration,
    loaded: Loaded,
    answer: Option<Vec<DeletionResult>>,
    page_key: Vec<u8>,
}

/// The ids by which a life is found again.
struct Lived {
    point: PointId,
    restoration: RestorationId,
}

impl Lived {
    async fn on(store: &dyn Store) -> Self {
        let [record, wish, made, ask, request, fact, answer] = PLANTED;
        let point = backup();
        let operation = admit(store, &point).await;
        let lane = lane_of(store, "one", &home()).await;
        let mut done = ended(&operation, State::Ok, 20);
        let link = VolumeBackup {
            record: Some(BackupRecord {
                service: "s".to_owned(),
                url: record.to_owned(),
            }),
            ..link(&("b1", false))
        };
        let detail = PointDetail {
            content: Content::Dr(vec![link]),
            ..PointDetail::none(PointKind::Dr)
        };
        if let Some(update) = &mut done.update {
            update.detail_changed = true;
            update.report.detail = Some(Detail::Point(Box::new(detail)));
        }
        store
            .turn_record(&lane, vec![done])
            .await
            .expect("recorded");

        let again = backup();
        let second = Operation {
            ask: Ask::CreateDrBackup {
                server: ServerId::new("server-1"),
                capture: Capture::SnapshotThenCopy,
                description: ask.to_owned(),
                incremental: false,
                minimum: None,
            },
            ..creation(&again)
        };
        let admitted = store.point_admit(asked(None), again, second.clone()).await;
        new_of(admitted.expect("admitted"));
        let effect = Effect {
            request: Request::Make(Make::Snapshot {
                volume: VolumeId::new("volume-1"),
                description: request.to_owned(),
            }),
            fact: Some(Fact::Presence(Presence {
                live: vec![(VolumeBackupId::new(fact), ProjectId::new("blue"))],
                failed_imports: Vec::new(),
                pending_imports: Vec::new(),
                import: Right::Granted,
            })),
            ..effect("volume-1-snapshot", EffectState::Requested)
        };
        let turn = Turn {
            effects: vec![effect],
            ..told(&second, State::Creating, 5)
        };
        store
            .turn_record(&lane, vec![turn])
            .await
            .expect("recorded");

        let mut of = restoration(&point);
        of.options.user_data = Some(UserData::new(wish));
        of.detail.server = Some(ServerId::new(made));
        let wanted = asked(Some(key("r1", "same")));
        let admitted = store.restoration_admit(wanted, of.clone(), restoring(&of));
        new_of(admitted.await.expect("admitted"));
        let result = DeletionResult {
            id: "thing-1".to_owned(),
            thing: None,
            name: String::new(),
            outcome: Outcome::Refused,
            problem: answer.to_owned(),
        };
        let wanted = asked(Some(key("o1", "same")));
        let answer = [result];
        let answered = store.orphans_answer(wanted, &point.tenant, at(0), &answer);
        answered.await.expect("kept");
        Self {
            point: point.id,
            restoration: of.id,
        }
    }

    /// All of it, as the store tells it.
    async fn read(&self, store: &dyn Store) -> Life {
        let answered = store.restoration_answered(&key("r1", "same")).await;
        let restoration = store
            .restoration_get(self.restoration)
            .await
            .expect("there");
        assert_eq!(answered.as_ref(), Ok(&Some(restoration.clone())));
        // A file that was opened anew has no owners of lanes.
        let lane = lane_of(store, "one", &home()).await;
        Life {
            point: store.point_get(self.point).await.expect("there"),
            restoration,
            loaded: store.lane_load(&lane, &[]).await.expect("loaded"),
            answer: store
                .orphans_answered(&key("o1", "same"))
                .await
                .expect("kept"),
            page_key: store.page_key().await.expect("a key").bytes().to_vec(),
        }
    }
}

/// What of it a thief reads.
fn read_by_a_thief(site: &Site) -> Vec<&'static str> {
    let stolen = site.stolen();
    let read = PLANTED
        .into_iter()
        .filter(|planted| stolen.contains(planted));
    read.collect()
}

async fn a_thief_of_the_database_reads_nothing_that_is_sealed(site: Site) {
    let store = open(&site, &[OLD]).await;
    let lived = Lived::on(&*store).await;
    let life = lived.read(&*store).await;
    assert_eq!(read_by_a_thief(&site), [""; 0]);
    let key = String::from_utf8(life.page_key.clone()).expect("text");
    drop(store);
    // A migration wrote it before there was a key, and the log of SQLite has that until it is emptied.
    let sealed = sealing::rotate(site.config(&[OLD])).await;
    sealed.expect("everything is sealed");
    assert!(!site.stolen().contains(&key), "the key of page tokens");
    let store = open(&site, &[NEW, OLD]).await;
    assert_eq!(lived.read(&*store).await, life, "another key opens it too");
}

async fn without_a_key_everything_is_as_it_was(site: Site) {
    let store = site.open().await;
    let lived = Lived::on(&*store).await;
    let life = lived.read(&*store).await;
    assert_eq!(read_by_a_thief(&site), PLANTED);
    drop(store);
    let store = open(&site, &[NEW]).await;
    assert_eq!(
        lived.read(&*store).await,
        life,
        "what is plain is read with a key too"
    );
}

async fn a_sealed_text_opens_in_no_other_row_or_column(site: Site) {
    let store = open(&site, &[OLD]).await;
    let (first, lane) = finished(&*store).await;
    let second = backup();
    let operation = admit(&*store, &second).await;
    let turn = ended(&operation, State::Ok, 20);
    store
        .turn_record(&lane, vec![turn])
        .await
        .expect("recorded");
    let whole = store.point_get(first.id).await.expect("there");
    assert_eq!(whole, first);
    site.sql(&format!(
        "UPDATE points SET detail = (SELECT detail FROM points WHERE id = '{}') WHERE id = '{}'",
        second.id, first.id
    ));
    let told = store.point_get(first.id).await.expect("there");
    assert!(
        told.head.runtime_state.starts_with(UNREADABLE_TEXT),
        "{told:#?}"
    );
    assert!(
        store
            .point_get(second.id)
            .await
            .expect("there")
            .head
            .error
            .is_none()
    );
}

async fn what_a_missing_key_sealed_is_told_and_kept(site: Site) {
    let store = open(&site, &[OLD]).await;
    let (first, _) = holding(&*store, &[("b1", false)]).await;
    drop(store);

    let none = store::open(site.config(&[])).await.err();
    assert_eq!(
        none,
        Some(OpenError::Sealed {
            missing: id_of(OLD)
        })
    );
    let told = none.map(|error| error.to_string()).unwrap_or_default();
    assert!(told.contains("seal.keys"), "{told}");

    let store = open(&site, &[NEW]).await;
    let told = store.point_get(first.id).await.expect("there");
    let says = &told.head.runtime_state;
    assert!(
        says.starts_with(UNREADABLE_TEXT) && says.contains(&id_of(OLD)),
        "{says}"
    );
    let change = store.point_change(asked(None), scheduled_for_deletion(&told), None);
    assert!(matches!(change.await, Err(StoreError::Unreadable(_))));
    // What it holds is not known, so it may hold anything.
    let things = ["b1".to_owned(), "thing-2".to_owned()];
    let known = store
        .orphans_known(&home(), &[], &things)
        .await
        .expect("known");
    assert_eq!(known.held.len(), 2, "{known:?}");
    drop(store);

    let store = open(&site, &[OLD]).await;
    assert_eq!(store.point_get(first.id).await, Ok(first));
}

/// How many texts stand so.
fn standing(counted: &[Counted], wanted: &Standing) -> u64 {
    let alike = counted.iter().filter(|one| one.standing == *wanted);
    alike.map(|one| one.texts).sum()
}

async fn everything_is_sealed_again_and_the_old_key_is_wanted_no_more(site: Site) {
    let store = site.open().await;
    let lived = Lived::on(&*store).await;
    let life = lived.read(&*store).await;
    drop(store);
    let all = standing(
        &sealing::status(site.config(&[])).await.expect("counted"),
        &Standing::Plain,
    );
    for (keys, texts) in [(&[OLD][..], all), (&[NEW, OLD], all), (&[NEW], 0)] {
        let done = sealing::rotate(site.config(keys)).await.expect("rotated");
        let sealed: u64 = done.iter().map(|one| one.texts).sum();
        // The page key is sealed with the first start.
        assert_eq!(sealed, texts.saturating_sub(1), "{done:#?}");
        assert!(done.iter().all(|one| one.left == 0), "{done:#?}");
        assert_eq!(
            read_by_a_thief(&site),
            [""; 0],
            "not in what is free by now either"
        );
        let counted = sealing::status(site.config(&[])).await.expect("counted");
        assert_eq!(standing(&counted, &Standing::Sealed(id_of(keys[0]))), all);
    }
    let without = store::open(site.config(&[])).await.err();
    assert_eq!(
        without,
        Some(OpenError::Sealed {
            missing: id_of(NEW)
        })
    );
    let store = open(&site, &[NEW]).await;
    assert_eq!(lived.read(&*store).await, life);
}

async fn what_does_not_open_is_left_as_it_is_by_a_rotation(site: Site) {
    let store = open(&site, &[OLD]).await;
    let (first, _) = finished(&*store).await;
    drop(store);
    let done = sealing::rotate(site.config(&[NEW])).await.expect("rotated");
    let left: u64 = done.iter().map(|one| one.left).sum();
    assert!(left > 0, "{done:#?}");
    let store = open(&site, &[NEW, OLD]).await;
    assert_eq!(store.point_get(first.id).await, Ok(first));
}

async fn what_is_written_beside_a_rotation_stays(site: Site) {
    let store = open(&site, &[NEW, OLD]).await;
    if site.url.starts_with("sqlite:") {
        let refused = sealing::rotate(site.config(&[NEW, OLD])).await.err();
        assert!(
            matches!(refused, Some(OpenError::InUse { .. })),
            "{refused:?}"
        );
        return;
    }
    // A replica that seals with the old key still, and makes enough for several pages.
    let other = open(&site, &[OLD, NEW]).await;
    let lane = {
        admit(&*store, &backup()).await;
        lane_of(&*store, "one", &home()).await
    };
    let writing = async {
        let mut last = Vec::new();
        for round in 0..30 {
            let point = backup();
            let operation = admit(&*other, &point).await;
            let turn = Turn {
                effects: vec![effect("volume-1-snapshot", EffectState::Requested)],
                ..told(&operation, State::Creating, 5)
            };
            other
                .turn_record(&lane, vec![turn])
                .await
                .expect("recorded");
            let state = EffectState::Done;
            let effects = (0..20).map(|number| effect(&format!("{round}-{number}"), state));
            let turn = Turn {
                effects: effects.collect(),
                ..told(&operation, State::Creating, 6)
            };
            other
                .turn_record(&lane, vec![turn])
                .await
                .expect("recorded");
            last.push(point.id);
        }
        last
    };
    let rotating = async {
        for _ in 0..5 {
            let done = sealing::rotate(site.config(&[NEW, OLD])).await;
            done.expect("rotated");
        }
    };
    let (written, ()) = futures::join!(writing, rotating);
    let loaded = store.lane_load(&lane, &[]).await.expect("loaded");
    assert_eq!(loaded.unread, Vec::new());
    assert_eq!(loaded.open.len(), written.len() + 1);
    let rows = |one: &drbackup::port::journal::OpenOperation| one.ledger.iter().count();
    let full = loaded.open.iter().filter(|one| rows(one) == 21).count();
    assert_eq!(full, written.len(), "no row of a ledger was lost");
    let done = loaded.open.iter().flat_map(|one| one.ledger.iter());
    let done = done
        .filter(|effect| effect.state == EffectState::Done)
        .count();
    assert_eq!(done, written.len() * 20);
    let done = sealing::rotate(site.config(&[NEW, OLD])).await;
    let left: u64 = done.expect("rotated").iter().map(|one| one.left).sum();
    assert_eq!(left, 0);
    let counted = sealing::status(site.config(&[])).await.expect("counted");
    let left = counted
        .iter()
        .find(|one| one.standing != Standing::Sealed(id_of(NEW)));
    assert_eq!(left, None);
}

contract! {
    a_thief_of_the_database_reads_nothing_that_is_sealed,
    without_a_key_everything_is_as_it_was,
    a_sealed_text_opens_in_no_other_row_or_column,
    what_a_missing_key_sealed_is_told_and_kept,
    everything_is_sealed_again_and_the_old_key_is_wanted_no_more,
    what_does_not_open_is_left_as_it_is_by_a_rotation,
    what_is_written_beside_a_rotation_stays,
}
