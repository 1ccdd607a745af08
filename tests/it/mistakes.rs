//! Slips of the pen and wrong surroundings: each is told as what it is, with what to do, and a status that a
//! script can go by. The tests may not look inside the program.

use std::net::TcpListener;

use drbackup::sim::{InstanceSpec, Times};
use serde_json::Value;

use crate::stage::{Stage, finish};

/// Runs `serve` with more arguments, which it must refuse.
async fn refused_to_serve(stage: &Stage, more: &str) -> (i32, String) {
    let line = format!(
        "serve --database sqlite:{} {more}",
        stage.path("other.db").display()
    );
    let answer = stage.run(&line).await;
    assert_eq!(answer.stdout, "", "{answer:?}");
    (answer.code, answer.stderr)
}

#[tokio::test]
async fn a_service_that_cannot_start_says_what_is_in_the_way() {
    let stage = Stage::set(Times::instant()).await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address");
    let clouds = stage.path("clouds.yaml").display().to_string();
    let nowhere = stage.path("nope.yaml").display().to_string();
    for (more, code, told) in [
        (
            format!("--clouds-file {clouds} --listen {taken}"),
            4,
            vec!["another program listens on", "--listen"],
        ),
        (
            format!("--clouds-file {clouds} --listen 192.0.2.1:7447 --insecure-open"),
            2,
            vec!["192.0.2.1 is no address of this machine", "--listen"],
        ),
        (
            format!("--clouds-file {nowhere} --listen 127.0.0.1:0"),
            2,
            vec!["there is no clouds file", "nope.yaml", "--clouds-file"],
        ),
    ] {
        let (found, text) = refused_to_serve(&stage, &more).await;
        assert_eq!(found, code, "{more}: {text}");
        for words in told {
            assert!(text.contains(words), "{more}: {text}");
        }
    }
}

#[tokio::test]
async fn who_asks_for_documents_is_told_of_failures_by_one() {
    let stage = Stage::set(Times::instant()).await;
    let nobody = "00000000-0000-7000-8000-000000000000";
    for (line, exit, reason) in [
        (format!("backup get {nobody} -o json"), 3, "NOT_FOUND"),
        (format!("backup get {nobody} -o yaml"), 3, "NOT_FOUND"),
        (
            "backup list --filter colour=red -o json".to_owned(),
            2,
            "INVALID_FIELDS",
        ),
        (
            "backup list -o json --address http://127.0.0.1:1".to_owned(),
            5,
            "UNREACHABLE",
        ),
        ("backup get nobody -o json".to_owned(), 3, ""),
    ] {
        let answer = stage.run(&line).await;
        assert_eq!(answer.code, exit, "{answer:?}");
        let document: Value = serde_json::from_str(&answer.stderr).expect("one document");
        assert_eq!(document["exit"], exit, "{document}");
        assert_eq!(
            document["reason"].as_str().unwrap_or_default(),
            reason,
            "{document}"
        );
        assert!(!document["error"].as_str().expect("a text").is_empty());
    }
    let bad = stage.run("backup list --filter colour=red -o json").await;
    let document: Value = serde_json::from_str(&bad.stderr).expect("one document");
    assert_eq!(document["violations"][0]["field"], "filter", "{document}");
}

#[tokio::test]
async fn what_people_type_is_taken_as_they_mean_it() {
    let stage = Stage::set(Times::instant()).await;
    stage.instance("shop", &[1]);
    let version = stage.run("version").await;
    assert_eq!(
        (version.code, version.stdout.starts_with("drbackup ")),
        (0, true)
    );
    let first = format!("--address {} -o id backup list", stage.address);
    assert_eq!(stage.run(&first).await.code, 0);
    let kept = "backup create shop -c source -t demo --name friday --keep-until 30d";
    let kept = stage.json(kept).await;
    let until = kept["keptUntil"].as_str().expect("a time");
    let until: prost_types::Timestamp = until.parse().expect("a time");
    let made: prost_types::Timestamp = kept["createTime"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    let days = (until.seconds - made.seconds) / 86_400;
    assert!((29..=30).contains(&days), "{kept}");
    let wrong = stage
        .run("backup create shop -c source -t demo --keep-until soon")
        .await;
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.stderr.contains("such as 30d"), "{wrong:?}");
}

#[tokio::test]
async fn no_name_moves_the_cursor_or_makes_lines_of_its_own() {
    let stage = Stage::set(Times::instant()).await;
    let name = "shop\u{1b}[2J\u{7}\r\u{202e}evil\u{9b}31m";
    let spec = InstanceSpec::new(name, &[1]);
    let server = stage.source.create_instance(&spec).expect("made").server;
    let obeyed = |one: char| (one.is_control() && one != '\n') || one == '\u{202e}';
    let lines = [
        "cloud instances -c source -t demo".to_owned(),
        "cloud instances -c source -t demo -o json".to_owned(),
        "cloud instances -c source -t demo -o yaml".to_owned(),
        "cloud instances -c source -t demo -o wide".to_owned(),
        format!("cloud instance {server} -c source -t demo"),
        format!("backup create {server} -c source -t demo --name friday"),
        "backup get friday".to_owned(),
        "backup list".to_owned(),
        "backup get friday -o json".to_owned(),
    ];
    for line in lines {
        let answer = finish(stage.command(&line)).await;
        assert_eq!(answer.code, 0, "{line}: {answer:?}");
        assert!(
            !answer.stdout.contains(obeyed),
            "{line}: {:?}",
            answer.stdout
        );
        assert!(
            !answer.stderr.contains(obeyed),
            "{line}: {:?}",
            answer.stderr
        );
    }
    let listed = stage.run("cloud instances -c source -t demo -o json").await;
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!(listed[0]["name"], name, "a program reads what is there");
}

#[tokio::test]
async fn a_slip_of_the_pen_in_a_configuration_is_told_with_its_line_and_what_was_meant() {
    let stage = Stage::set(Times::instant()).await;
    let file = stage.path("server.toml");
    for (text, told) in [
        (
            "databse = \"x\"\n",
            "server.toml:1: `databse`: there is no such key; did you mean `database`?",
        ),
        (
            "listen = \"127.0.0.1:0\"\n\n[engine]\nlease = \"15s\"\nobserve_mim = \"1s\"\n",
            "server.toml:5: `engine.observe_mim`: there is no such key; did you mean `observe_min`?",
        ),
        (
            "[engine]\nlease = \"soon\"\n",
            "server.toml:2: `engine.lease`: write a number and",
        ),
        (
            "colour = 1\n",
            "server.toml:1: `colour`: there is no such key; docs/configuration.md",
        ),
    ] {
        std::fs::write(&file, text).expect("written");
        let (code, found) = refused_to_serve(&stage, &format!("--config {}", file.display())).await;
        assert_eq!(code, 2, "{found}");
        assert!(found.contains(told), "{text}: {found}");
    }
    let shown = stage.run("serve --show-config").await;
    assert_eq!(shown.code, 0, "{shown:?}");
    std::fs::write(&file, &shown.stdout).expect("written");
    let again = format!("serve --show-config --config {}", file.display());
    assert_eq!(stage.run(&again).await.stdout, shown.stdout);
}
