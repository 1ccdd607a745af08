//! What the contract of the port `Store` says of the turns of lanes that are recorded at the same time;
//! it may not know how many share a commit.

use futures::future::join_all;
use tokio::time::timeout;

use super::*;
use crate::replica::PATIENCE;

/// Less than the store waits for a lock.
const WITHOUT_WAITING: Duration = Duration::from_secs(8);

/// A lane of ours with an open operation.
struct Busy {
    backup: Point,
    operation: Operation,
    lane: Lane,
}

impl Busy {
    async fn lanes(store: &dyn Store, count: usize) -> Vec<Self> {
        let mut busy = Vec::new();
        for number in 0..count {
            let backup = Point {
                tenant: tenant("home", &format!("project-{number}")),
                ..backup()
            };
            let operation = admit(store, &backup).await;
            let lane = lane_of(store, "one", &backup.tenant).await;
            busy.push(Self {
                backup,
                operation,
                lane,
            });
        }
        busy
    }

    /// A turn with a row of the ledger and an event.
    fn turn(&self) -> Vec<Turn> {
        vec![Turn {
            effects: vec![effect("volume-1-snapshot", EffectState::Requested)],
            ..told(&self.operation, State::Creating, 5)
        }]
    }

    /// Rows of the ledger, and the number of the last event.
    async fn written(&self, store: &dyn Store) -> (usize, u64) {
        let about = ResourceId::Point(self.backup.id);
        let last = events(store, about).await.last().map(|told| told.sequence);
        let owned = lane_of(store, "one", &self.backup.tenant).await;
        let open = store.lane_load(&owned, &[]).await.expect("loaded").open;
        let rows = open.first().map_or(0, |one| one.ledger.iter().count());
        (rows, last.expect("it was admitted"))
    }
}

async fn turns_at_once_are_refused_each_for_itself(site: Site) {
    let store = site.open().await;
    let mut busy = Busy::lanes(&*store, 6).await;
    busy[1].lane.epoch -= 1;
    let over = ended(&busy[4].operation, State::Ok, 4);
    let recorded = store.turn_record(&busy[4].lane, vec![over]).await;
    recorded.expect("recorded");

    let at_once = busy
        .iter()
        .map(|one| store.turn_record(&one.lane, one.turn()));
    let recorded = join_all(at_once).await;
    for (number, (one, recorded)) in busy.iter().zip(recorded).enumerate() {
        let about = ResourceId::Point(one.backup.id);
        let (refused, written) = match number {
            1 => (Err(JournalError::Fenced(one.lane.tenant.clone())), (0, 1)),
            4 => (Err(JournalError::Outdated(about)), (0, 2)),
            _ => (Ok(()), (1, 2)),
        };
        assert_eq!(recorded, refused, "lane {number}");
        if number != 4 {
            assert_eq!(one.written(&*store).await, written, "lane {number}");
        }
    }
    let told = events(&*store, ResourceId::Point(busy[4].backup.id)).await;
    assert_eq!(told.len(), 2, "its admission and its end");
}

async fn concurrent_turns_of_many_lanes_all_count(site: Site) {
    let store = site.open().await;
    let mut workers = Vec::new();
    let mut backups = Vec::new();
    for Busy {
        backup,
        operation,
        lane,
    } in Busy::lanes(&*store, 8).await
    {
        backups.push(backup.id);
        let store = Arc::clone(&store);
        workers.push(tokio::spawn(async move {
            for second in 1..=20 {
                let mut turn = told(&operation, State::Creating, second);
                turn.effects = vec![effect(&format!("effect-{second}"), EffectState::Done)];
                store
                    .turn_record(&lane, vec![turn])
                    .await
                    .expect("recorded");
            }
            let open = store.lane_load(&lane, &[]).await.expect("loaded").open;
            open[0].ledger.iter().count()
        }));
    }
    for worker in workers {
        assert_eq!(worker.await.expect("no panic"), 20);
    }
    for id in backups {
        let told = events(&*store, ResourceId::Point(id)).await;
        let numbers: Vec<u64> = told.iter().map(|event| event.sequence).collect();
        assert_eq!(numbers, (1..=21).collect::<Vec<u64>>());
    }
}

/// In SQLite nobody can hold a lane: there is one that writes.
#[tokio::test]
async fn a_lane_that_another_replica_looks_at_keeps_no_other_waiting() {
    let site = Site::postgres();
    let store = site.open().await;
    let busy = Busy::lanes(&*store, 4).await;
    let (other, wire) = tokio_postgres::connect(&site.url, tokio_postgres::NoTls)
        .await
        .expect("connected");
    tokio::spawn(wire);
    other
        .batch_execute("BEGIN; SELECT epoch FROM lanes WHERE project = 'project-2' FOR UPDATE")
        .await
        .expect("held");

    let mut at_once: Vec<_> = busy
        .iter()
        .map(|one| {
            let (store, lane, turn) = (Arc::clone(&store), one.lane.clone(), one.turn());
            tokio::spawn(async move { store.turn_record(&lane, turn).await })
        })
        .collect();
    let held = at_once.remove(2);
    let others = timeout(WITHOUT_WAITING, join_all(at_once)).await;
    for recorded in others.expect("they do not wait") {
        assert_eq!(recorded.expect("no panic"), Ok(()));
    }
    assert!(!held.is_finished(), "its lane is held");

    other.batch_execute("COMMIT").await.expect("let go");
    let recorded = timeout(PATIENCE, held).await.expect("it goes on");
    assert_eq!(recorded.expect("no panic"), Ok(()));
    for one in &busy {
        assert_eq!(one.written(&*store).await, (1, 2));
    }
}

/// How long nobody worked at the only operation of a lane, as its next owner is told.
async fn idle(store: &dyn Store, owner: &str) -> (Lane, Operation) {
    let lane = lane_of(store, owner, &home()).await;
    let mut open = store.lane_load(&lane, &[]).await.expect("loaded");
    (lane, open.open.remove(0).operation)
}

async fn time_in_which_nobody_attended_to_a_lane_is_counted(site: Site) {
    // The clock of PostgreSQL is its own, and nobody winds that.
    let away = Duration::from_secs(3 * 24 * 60 * 60);
    let away = away * u32::from(site.url.starts_with("sqlite:"));
    let counted = |idle: Duration, wanted: Duration| {
        assert!(
            idle >= wanted && idle < wanted + LEASE,
            "{idle:?} {wanted:?}"
        );
    };
    let store = site.open().await;
    admit(&*store, &backup()).await;
    let (lane, first) = idle(&*store, "one").await;
    site.clock.wind(LEASE / 3);
    let (_, renewed) = idle(&*store, "one").await;
    assert_eq!(renewed.idle, first.idle, "it was worked at all the time");

    store.lane_release(&lane).await.expect("released");
    site.clock.wind(away);
    let (lane, taken) = idle(&*store, "two").await;
    counted(taken.idle, first.idle + away);

    // Its own lease may have ended too, before it came to renew it.
    site.clock.wind(away);
    let (_, outlived) = idle(&*store, "two").await;
    counted(outlived.idle, first.idle + away * 2);

    // What the owner itself notes stays, whoever comes next.
    let noted = Turn {
        idle: Some(away * 3),
        ..turn(&taken)
    };
    let recorded = store.turn_record(&lane, vec![noted]).await;
    recorded.expect("recorded");
    store.lane_release(&lane).await.expect("released");
    let (_, next) = idle(&*store, "three").await;
    counted(next.idle, away * 3);
    assert_eq!(next.gives_up(0), next.deadline.after(next.idle));
}

async fn a_cancel_says_once_whether_volumes_are_kept(site: Site) {
    let store = site.open().await;
    let one = backup();
    admit(&*store, &one).await;
    let about = ResourceId::Point(one.id);
    for keeps in [true, false] {
        let cancelled = store
            .operation_cancel(asked(None), about, at(9), keeps)
            .await;
        assert_eq!(cancelled, Ok(true));
    }
    let (_, cancelled) = idle(&*store, "one").await;
    assert!(cancelled.cancel_keeps_volumes, "the first one counts");
}

contract! {
    turns_at_once_are_refused_each_for_itself,
    time_in_which_nobody_attended_to_a_lane_is_counted,
    a_cancel_says_once_whether_volumes_are_kept,
    concurrent_turns_of_many_lanes_all_count,
}
