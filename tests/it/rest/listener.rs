//! The port of REST and the metrics: whom it lets in, what it shares with gRPC, where it can be.

use drbackup::sim::{Action, Rule, Times};
use http::Method;
use serde_json::json;

use super::{Client, DR_BACKUPS, wanted};
use crate::stage::{Stage, until};

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_are_refused_and_grpc_is_not_for_http_1() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    for (header, reason) in [
        (("origin", "http://127.0.0.1"), "FROM_A_BROWSER"),
        (("sec-fetch-site", "same-origin"), "FROM_A_BROWSER"),
        (("host", "rebound.example"), "HOST_UNKNOWN"),
    ] {
        for path in [DR_BACKUPS, "/metrics"] {
            let refused = client.with(Method::GET, path, &[header], None).await;
            assert_eq!(refused.expect(403)["reason"], reason, "{header:?}");
        }
    }
    let call = "/drbackup.v1.DRBackupService/ListDRBackups";
    let plain = [("content-type", "text/plain")];
    let refused = client
        .with(Method::POST, call, &plain, Some("\0\0\0\0\0"))
        .await;
    assert_eq!(refused.expect(426)["reason"], "HTTP_2_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_answers_both_and_the_metrics_change_with_the_work() {
    let mut stage = Stage::set(Times::instant()).await;
    stage.terminate().await;
    stage.set_variable("DRBACKUP_ORPHANS__EVERY", "1s");
    stage.serve().await;
    let client = Client::of(&stage);
    stage.instance("shop", &[1]);
    let value = async |line: &str| -> u64 {
        let told = client.get("/metrics").await;
        assert_eq!(told.status, 200, "{told:?}");
        assert!(
            told.header("content-type")
                .starts_with("application/openmetrics-text; version=1.0.0")
        );
        let mut lines = told.text.lines();
        let found = lines.find_map(|one| one.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_default()
    };
    let ended = "drbackup_operations_ended_total{cloud=\"source\",kind=\"create_dr_backup\",outcome=\"done\"}";
    let written =
        "drbackup_cloud_calls_total{cloud=\"source\",method=\"write\",outcome=\"success\"}";
    assert_eq!((value(ended).await, value(written).await), (0, 0));
    // By gRPC, as the command line speaks it, on the same port.
    let made = stage
        .json("backup create shop -c source -t demo --name friday")
        .await;
    until(|| async { (value(ended).await == 1).then_some(()) }).await;
    let operations =
        "drbackup_operation_duration_seconds_count{kind=\"create_dr_backup\",outcome=\"done\"}";
    assert_eq!(value(operations).await, 1);
    let calls = "drbackup_cloud_call_duration_seconds_count{cloud=\"source\",service=\"cinder\"}";
    assert!(value(calls).await >= 3);
    assert!(value(written).await >= 3);
    let one = format!("{DR_BACKUPS}{}/", made["id"].as_str().expect("an id"));
    assert_eq!(client.get(&one).await.expect(200)["name"], "friday");

    let schedule = stage
        .json("schedule create shop -c source -t demo --schedule @daily --name nightly")
        .await;
    let id = schedule["id"].as_str().expect("an id");
    stage.json(&format!("schedule run {id}")).await;
    assert_eq!(
        value("drbackup_schedule_runs_total{outcome=\"started\"}").await,
        1
    );
    until(|| async {
        let succeeded = value("drbackup_schedule_runs_total{outcome=\"succeeded\"}").await;
        (succeeded == 1).then_some(())
    })
    .await;
    let sweeps = until(|| async {
        let told = client.get("/metrics").await.text;
        told.contains("drbackup_orphans{cloud=\"source\",kind=\"volume_backup\"} 0")
            .then_some(told)
    });
    assert!(
        sweeps
            .await
            .contains("drbackup_orphan_sweeps_failed{cloud=\"source\"} 0")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_cloud_that_does_not_answer_is_counted() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    let instance = stage.instance("shop", &[1]);
    let silent = Rule::any(Action::ResetBefore);
    stage.source.fault(silent).expect("a fault");
    client
        .post(DR_BACKUPS, &wanted(&stage, &instance.server))
        .await
        .expect(201);
    let told = until(|| async {
        let told = client.get("/metrics").await.text;
        let waiting = "drbackup_operations_waiting{cloud=\"source\"} 1";
        told.contains(waiting).then_some(told)
    });
    let under_way = "drbackup_operations_under_way{cloud=\"source\",kind=\"create_dr_backup\"} 1";
    assert!(told.await.contains(under_way));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_can_be_shut_or_be_elsewhere() {
    let mut stage = Stage::set(Times::instant()).await;
    let shut = Client::of(&stage);
    stage.terminate().await;
    stage.set_variable("DRBACKUP_REST__ENABLED", "false");
    stage.serve().await;
    let refused = shut
        .http
        .get(format!("{}{DR_BACKUPS}", shut.address))
        .send()
        .await;
    assert!(refused.is_err(), "HTTP/1 is not spoken");
    assert_eq!(stage.run("backup list").await.code, 0);

    stage.terminate().await;
    stage.set_variable("DRBACKUP_REST__ENABLED", "true");
    stage.set_variable("DRBACKUP_REST__LISTEN", "127.0.0.1:0");
    stage.serve().await;
    let elsewhere = Client::at(&stage.rest_address);
    assert_ne!(stage.rest_address, stage.address);
    assert_eq!(elsewhere.get(DR_BACKUPS).await.expect(200), json!([]));
    assert_eq!(stage.run("backup list").await.code, 0);
    let (code, _) = stage.terminate().await;
    assert_eq!(code, Some(0));
    let refused = elsewhere
        .http
        .get(format!("{}{DR_BACKUPS}", elsewhere.address))
        .send()
        .await;
    assert!(refused.is_err(), "both doors are shut");

    let mut far = stage.command("serve --listen 127.0.0.1:0");
    far.env("DRBACKUP_REST__LISTEN", "0.0.0.0:0");
    let far = crate::stage::finish(far).await;
    assert_eq!(far.code, 2, "{far:?}");
    assert!(far.stderr.contains("rest.listen"), "{far:?}");
}
