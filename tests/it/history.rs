//! Time passing over a store: what a pruner lets go, and how it ends; it may not know SQL.

use std::{sync::Arc, time::Duration};

use drbackup::{
    domain::id::ResourceId,
    port::{clock::Clock, store::Store},
    worker::history_pruner::{AuditSettings, HistoryPruner, HistorySettings, Keep},
};
use tokio_util::sync::CancellationToken;

use crate::store_contract::{Site, asked, backup, creation, events, key};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn settings() -> HistorySettings {
    HistorySettings {
        every: Duration::from_millis(5),
        rows: 3,
        ..HistorySettings::default()
    }
}

async fn admit_keyed(store: &dyn Store, word: &str) -> ResourceId {
    let one = backup();
    store
        .point_admit(asked(Some(key(word, "same"))), one.clone(), creation(&one))
        .await
        .expect("admitted");
    ResourceId::Point(one.id)
}

#[tokio::test]
async fn a_sweep_takes_what_is_older_than_is_kept_and_nothing_else() {
    let site = Site::sqlite();
    let store = site.open().await;
    let clock: Arc<dyn Clock> = site.clock.clone();
    let pruner = HistoryPruner::new(
        Arc::clone(&store),
        clock,
        settings(),
        AuditSettings::default(),
    );
    let mut living = Vec::new();
    for number in 0..10 {
        living.push(admit_keyed(&*store, &format!("old-{number}")).await);
    }
    site.clock.wind(DAY * 29);
    admit_keyed(&*store, "young").await;
    assert_eq!(pruner.prune().await, Ok(0), "nothing is 30 days old");

    site.clock.wind(DAY * 2);
    assert_eq!(pruner.prune().await, Ok(10), "in several rounds");
    assert_eq!(store.point_answered(&key("old-3", "same")).await, Ok(None));
    let young = store.point_answered(&key("young", "same")).await;
    assert!(matches!(young, Ok(Some(_))), "{young:?}");
    for resource in living {
        assert_eq!(events(&*store, resource).await.len(), 1);
    }
}

#[tokio::test]
async fn the_audit_goes_by_an_age_of_its_own_or_never() {
    let site = Site::sqlite();
    let store = site.open().await;
    let kept = |keep: Keep| {
        let clock: Arc<dyn Clock> = site.clock.clone();
        HistoryPruner::new(
            Arc::clone(&store),
            clock,
            settings(),
            AuditSettings { keep },
        )
    };
    for number in 0..10 {
        admit_keyed(&*store, &format!("old-{number}")).await;
    }
    site.clock.wind(DAY * 401);
    admit_keyed(&*store, "young").await;
    assert_eq!(kept(Keep::Forever).prune_audit().await, Ok(0));
    let usual = kept(Keep::default());
    assert_eq!(usual.prune_audit().await, Ok(10), "in several rounds");
    let (ends, left) = store.audit_page(0, 10).await.expect("read");
    assert_eq!(
        (ends.anchor.number, ends.head.number, left.len()),
        (10, 11, 1)
    );
}

#[tokio::test]
async fn a_pruner_goes_on_until_it_is_stopped() {
    let site = Site::sqlite();
    let store = site.open().await;
    let clock: Arc<dyn Clock> = site.clock.clone();
    let stop = CancellationToken::new();
    let pruner = HistoryPruner::new(
        Arc::clone(&store),
        clock,
        settings(),
        AuditSettings::default(),
    );
    let pruning = tokio::spawn(pruner.run(stop.clone()));
    for word in ["first", "second"] {
        admit_keyed(&*store, word).await;
        site.clock.wind(DAY * 31);
        let gone = async {
            while store.point_answered(&key(word, "same")).await != Ok(None) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone)
            .await
            .expect("it is gone");
    }
    stop.cancel();
    pruning.await.expect("it ends");
}
