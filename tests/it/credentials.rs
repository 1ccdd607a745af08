//! Credentials of clouds that change while the service runs.

use drbackup::sim::Times;

use crate::stage::{Stage, until};

/// Whether the Keystone of the source takes what the service has.
async fn lets_in(stage: &Stage) -> bool {
    let clouds = stage.json("cloud list").await;
    let clouds = clouds.as_array().expect("a list").clone();
    let source = clouds.iter().find(|one| one["name"] == "source");
    source.expect("it is configured")["reachable"] == true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_changed_is_used_after_a_signal_and_a_broken_file_changes_nothing() {
    let mut stage = Stage::unserved(Times::instant()).await;
    let file = stage.path("clouds.yaml");
    let right = std::fs::read_to_string(&file).expect("a file");
    let wrong = right.replace("password: ", "password: no-more-");
    assert_ne!(right, wrong);
    std::fs::write(&file, &wrong).expect("written");
    stage.set_variable("DRBACKUP_TLS__LOOK_EVERY", "1h");
    stage.serve().await;
    assert!(!lets_in(&stage).await, "nobody may log in with it");

    std::fs::write(&file, &right).expect("written");
    stage.hang_up();
    until(|| async { lets_in(&stage).await.then_some(()) }).await;

    std::fs::write(&file, "clouds: [").expect("written");
    stage.hang_up();
    assert!(lets_in(&stage).await, "as before");
    let (code, log) = stage.terminate().await;
    assert_eq!(code, Some(0), "{log:#?}");
    let told = |words: &str| log.iter().any(|line| line.contains(words));
    assert!(told("read again; new calls use them"), "{log:#?}");
    assert!(told("those from before stay in force"), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("lab-secret")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_seen_without_a_signal() {
    let mut stage = Stage::unserved(Times::instant()).await;
    let file = stage.path("clouds.yaml");
    let right = std::fs::read_to_string(&file).expect("a file");
    stage.set_variable("DRBACKUP_TLS__LOOK_EVERY", "50ms");
    stage.serve().await;
    assert!(lets_in(&stage).await);
    let wrong = right.replace("password: ", "password: no-more-");
    std::fs::write(&file, &wrong).expect("written");
    until(|| async { (!lets_in(&stage).await).then_some(()) }).await;
}
