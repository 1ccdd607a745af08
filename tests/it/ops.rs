//! What an operator sees: probes, metrics, alert rules and the dashboard, with the Prometheus that Debian has;
//! it may not look inside the service.

mod prometheus;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use drbackup::{
    openstack::install_crypto,
    sim::{Action, Rule, Service, Times},
};
use regex::Regex;
use serde_json::Value;

use self::prometheus::{Prometheus, promtool};
use crate::{
    postgres::Server,
    stage::{Answer, Stage, until},
};

/// What is shipped.
fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(shipped(name)).expect("it is shipped")
}

fn yaml(name: &str) -> Value {
    serde_norway::from_str(&read(name)).expect("YAML")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// The alert rules, by name.
fn rules() -> BTreeMap<String, String> {
    let file = yaml("prometheus/drbackup.rules.yaml");
    let groups = list(&file["groups"]).iter();
    let rules = groups.flat_map(|group| list(&group["rules"]));
    rules
        .map(|rule| {
            (
                text(rule, "alert").to_owned(),
                text(rule, "expr").to_owned(),
            )
        })
        .collect()
}

/// The questions of the dashboard, for all clouds.
fn panels() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("grafana/drbackup.json")).expect("JSON");
    let panels = list(&dashboard["panels"]).iter();
    let targets = panels.flat_map(|panel| list(&panel["targets"]));
    targets
        .map(|target| text(target, "expr").replace("$cloud", ".*"))
        .collect()
}

#[test]
fn each_alert_fires_when_its_fault_is_there_and_is_silent_otherwise() {
    let tests = shipped("prometheus/drbackup.rules.test.yaml");
    promtool(&["test", "rules"], &tests);
    let file = yaml("prometheus/drbackup.rules.test.yaml");
    let tests = list(&file["tests"]).iter();
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for one in tests.flat_map(|test| list(&test["alert_rule_test"])) {
        let name = text(one, "alertname").to_owned();
        let expected = list(&one["exp_alerts"]);
        if expected.is_empty() {
            &mut silent
        } else {
            &mut fires
        }
        .insert(name);
    }
    let all: BTreeSet<String> = rules().into_keys().collect();
    assert_eq!(fires, all, "each is seen to fire");
    assert_eq!(silent, all, "each is seen to be silent");
}

/// Names that a healthy service without encryption has nothing to tell under.
const NOT_ALWAYS: [&str; 2] = ["drbackup_certificate_seconds_left", "drbackup_rows_unread"];

#[tokio::test(flavor = "multi_thread")]
async fn what_rules_and_dashboard_ask_for_is_told_by_a_real_service() {
    let mut stage = Stage::set(Times::instant()).await;
    stage.terminate().await;
    for name in [
        "ORPHANS__EVERY",
        "VERIFICATION__EVERY",
        "VERIFICATION__URGENT",
    ] {
        stage.set_variable(&format!("DRBACKUP_{name}"), "1s");
    }
    stage.serve().await;
    let prometheus = Prometheus::start(&shipped("prometheus"), &stage.ops_address).await;
    let instance = stage.instance("shop", &[1]);
    let made = stage
        .json("schedule create shop -c source -t demo --schedule @daily --name nightly")
        .await;
    let id = made["id"].as_str().expect("an id");
    stage.json(&format!("schedule run {id}")).await;
    until(|| async {
        let runs = stage.json(&format!("schedule runs {id}")).await;
        (runs[0]["outcome"] == "OUTCOME_SUCCEEDED").then_some(())
    })
    .await;
    // Work that waits for a cloud; by ids, for which nobody has to ask it.
    let silent = Rule::any(Action::ResetBefore);
    stage.source.fault(silent).expect("a fault");
    let (server, tenant) = (
        instance.server,
        stage.source.project_id("demo").expect("known"),
    );
    let waits = format!("backup create {server} -c source -t {tenant} --name later --no-wait");
    assert_eq!(stage.run(&waits).await.code, 0);
    let waiting = "drbackup_operations_waiting{cloud=\"source\"} == 1";
    until(|| async { (!prometheus.ask(waiting).await.is_empty()).then_some(()) }).await;

    let scrape = scraped(&stage).await;
    prometheus::check_metrics(&scrape);
    let value = |series: &str| {
        let mut lines = scrape.lines();
        lines.find_map(|line| Some(line.strip_prefix(series)?.trim().to_owned()))
    };
    let restored =
        "drbackup_operations_ended_total{cloud=\"dr\",kind=\"restore\",outcome=\"erred\"}";
    assert_eq!(
        value(restored).as_deref(),
        Some("0"),
        "told before it happens"
    );
    assert_eq!(value("drbackup_database_up").as_deref(), Some("1"));

    let known = prometheus.names().await;
    let named = Regex::new(r"\b(drbackup|process)_[a-z_]+").expect("a pattern");
    let rules = rules();
    for (place, question) in rules
        .iter()
        .map(|(alert, question)| (alert.as_str(), question))
        .chain(panels().iter().map(|question| ("the dashboard", question)))
    {
        // An answer, be it an empty one: Prometheus understands it.
        prometheus.ask(question).await;
        for name in named.find_iter(question).map(|found| found.as_str()) {
            assert!(
                known.contains(name) || NOT_ALWAYS.contains(&name),
                "{place} asks for {name}, which nobody tells: {known:?}"
            );
        }
    }
    let loaded = prometheus.alerts().await;
    assert_eq!(loaded.len(), rules.len(), "all are loaded: {loaded:?}");
    let unreachable = until(|| async {
        let alerts = prometheus.alerts().await;
        let stands = alerts["DrbackupCloudUnreachable"].clone();
        (stands != "inactive").then_some(stands)
    });
    assert_eq!(unreachable.await, "pending", "it fires when that lasts");
    let alerts = prometheus.alerts().await;
    let others = [
        "DrbackupDown",
        "DrbackupDatabaseDown",
        "DrbackupScheduleBehind",
        "DrbackupOperationFailed",
    ];
    for other in others {
        assert_eq!(alerts[other], "inactive", "{other}");
    }
}

async fn scraped(stage: &Stage) -> String {
    install_crypto();
    let answer = reqwest::get(format!("{}/metrics", stage.ops_address)).await;
    let answer = answer.expect("answered");
    assert_eq!(answer.status(), 200);
    answer.text().await.expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_hears_in_a_line_and_a_code_whether_the_service_is_well() {
    let mut stage = Stage::set(Times::instant()).await;
    stage.terminate().await;
    stage.set_variable("DRBACKUP_STOP_NOTICE", "60s");
    stage.serve().await;
    let told = |answer: Answer| (answer.code, answer.stdout);
    let well = (0, "ok\n".to_owned());
    assert_eq!(told(stage.run("health").await), well);
    assert_eq!(told(stage.run("health --live").await), well);
    let document = stage.json("health").await;
    assert_eq!(
        (&document["ok"], &document["ready"]),
        (&true.into(), &true.into())
    );

    // A cloud that is gone is told, and sends nobody away.
    let silent = Rule::any(Action::ResetBefore);
    stage.source.fault(silent).expect("a fault");
    stage.run("cloud instances -c source -t demo").await;
    assert_eq!(
        told(stage.run("health").await),
        (0, "ok: cloud source does not answer\n".to_owned())
    );

    stage.ask_to_stop();
    let leaving = until(|| async {
        let answer = stage.run("health").await;
        (answer.code != 0).then_some(answer)
    });
    let leaving = told(leaving.await);
    assert!(
        leaving
            .1
            .starts_with("not ok: stop: the service was asked to stop"),
        "{leaving:?}"
    );
    assert_eq!(leaving.0, 1);
    assert_eq!(told(stage.run("health --live").await), well);
    stage.kill().await;
    let gone = stage.run("health -o json").await;
    assert_eq!(gone.code, 1, "{gone:?}");
    let document: Value = serde_json::from_str(&gone.stdout).expect("JSON");
    assert_eq!(document["ok"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_told_with_its_reason_and_takes_nothing_else_along() {
    let server = Server::start("");
    let program = env!("CARGO_BIN_EXE_drbackup").into();
    let mut stage = Stage::built(Times::instant(), program, Some(server.database(""))).await;
    stage.set_variable("DRBACKUP_API__HEALTH_EVERY", "100ms");
    stage.serve().await;
    server.crash();
    let unwell = until(|| async {
        let answer = stage.run("health").await;
        (answer.code != 0).then_some(answer)
    });
    let unwell = unwell.await;
    assert_eq!(unwell.code, 1);
    assert!(
        unwell.stdout.starts_with("not ok: database: "),
        "{unwell:?}"
    );
    assert_eq!(stage.run("health --live").await.code, 0);
    let scrape = scraped(&stage).await;
    for line in [
        "drbackup_database_up 0",
        "drbackup_operations_ended_total{cloud=\"dr\",kind=\"restore\",outcome=\"erred\"} 0",
    ] {
        assert!(scrape.lines().any(|one| one == line), "{line}: {scrape}");
    }
    assert!(server.resume());
    until(|| async { (stage.run("health").await.code == 0).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_work_is_a_line_of_the_log() {
    let mut stage = Stage::set(Times::instant()).await;
    stage.instance("shop", &[1]);
    stage
        .json("backup create shop -c source -t demo --name friday")
        .await;
    let refusal = Action::Answer {
        status: 400,
        body: serde_json::json!({"badRequest": {"code": 400, "message": "no"}}),
        headers: vec![("x-openstack-request-id".to_owned(), "req-7".to_owned())],
        acted: false,
    };
    let rule = Rule::on(Service::Volume, "POST", "/backups$", refusal);
    stage.source.fault(rule).expect("a fault");
    let failed = stage
        .run("backup create shop -c source -t demo --name monday")
        .await;
    assert_eq!(failed.code, 1, "{failed:?}");
    let (_, log) = stage.terminate().await;
    let lines: Vec<Value> = log
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["message"] == "an operation ended")
        .collect();
    let [done, erred] = lines.as_slice() else {
        panic!("two ended: {log:#?}");
    };
    assert_eq!(
        (text(done, "level"), text(done, "outcome")),
        ("INFO", "done")
    );
    assert_eq!(
        (text(erred, "level"), text(erred, "outcome")),
        ("WARN", "erred")
    );
    assert_eq!(text(erred, "kind"), "create_dr_backup");
    assert_eq!(text(erred, "cloud"), "source");
    assert_eq!(text(erred, "request_id"), "req-7", "{erred}");
    assert!(!text(erred, "reason").is_empty(), "{erred}");
    assert!(erred["seconds"].is_number(), "{erred}");
}
