//! The command line against a service over simulated clouds: what it writes, how it ends, and what it
//! does when things go away.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, process::Stdio, time::Duration};

use drbackup::sim::{Quotas, Times};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::stage::{Stage, finish, signal, until};

#[tokio::test]
async fn tables_documents_and_refusals_read_as_they_always_did() {
    let stage = Stage::set(Times::instant()).await;
    stage.instance("shop", &[1, 2]);
    stage.instance("twin", &[1]);
    stage.instance("twin", &[1]);
    let mut page = String::new();
    for line in [
        "cloud list",
        "cloud list -o json",
        "cloud tenants -c source",
        "cloud instances -c source -t demo",
        "cloud instance shop -c source -t demo",
        "cloud networks -c dr -t demo -o yaml",
        "cloud volume-types -c dr -t demo",
        "backup create shop -c source -t demo --name friday --description weekly -q",
        "backup list",
        "backup list --state erred -o json",
        "backup get friday",
        "cloud flavors -c dr -t demo --backup friday",
        "cloud flavors -c dr -t demo --backup friday --fitting -o id",
        "restoration create friday -c dr -t demo --name shop-2 --metadata why=drill --network internal=internal -q",
        "restoration list --backup friday",
        "restoration instance shop-2",
        "backup update friday --description monthly -q -o id",
        "restoration delete shop-2 --instance -q",
        "backup delete friday -q",
        "backup list",
        "backup get friday",
        "regular-backup create shop -c source -t demo --name noon --description daily --keep-until 2027-01-01T00:00:00Z -q",
        "regular list",
        "regular update noon --hold --keep-for-ever -q",
        "restoration create noon --name shop-3 -q",
        "restoration list --backup noon",
        "restoration create noon -c dr -t demo",
        "restoration create noon --volume-type strange -q",
        "restoration delete shop-3 --instance -q",
        "regular-backup delete noon -q",
        "regular-backup update noon --release -q -o id",
        "regular-backup delete noon -q",
        "regular-backup get noon",
        "restoration create noon",
        "regular-backup update noon",
        "backup create twin -c source -t demo",
        "backup create shop -c nowhere -t demo",
        "backup create shop -c source -t nobody",
        "backup create shop -c source -t demo --name x --validate-only -o id",
        "backup get 00000000-0000-7000-8000-000000000000",
        "backup list --filter colour=red",
        "orphan list -c source -t demo",
        "orphan sweeps",
        "orphan delete 00000000-0000-7000-8000-000000000000 -c source -t demo",
        "backup frobnicate",
        "completion",
    ] {
        let answer = stage.run(line).await;
        writeln!(page, "$ drbackup {line}").expect("a string");
        page.push_str(&answer.stdout);
        page.push_str(&answer.stderr);
        writeln!(page, "= {}\n", answer.code).expect("a string");
    }
    golden("cli.txt", &plain(&page, &stage));
}

#[tokio::test]
async fn work_that_fails_ends_with_its_reason() {
    let stage = Stage::set(Times::instant()).await;
    stage.instance("shop", &[1]);
    stage
        .json("backup create shop -c source -t demo --name friday")
        .await;

    stage.dr.set_quotas(Quotas {
        instances: 0,
        ..Quotas::default()
    });
    let answer = stage
        .run("restoration create friday -c dr -t demo -q -o json")
        .await;

    assert_eq!(answer.code, 1, "{answer:?}");
    let restoration: serde_json::Value = serde_json::from_str(&answer.stdout).expect("JSON");
    assert_eq!(restoration["state"], "STATE_ERRED");
    let failure: serde_json::Value = serde_json::from_str(&answer.stderr).expect("JSON");
    let why = failure["error"].as_str().expect("a text");
    assert!(why.contains("quota of instances is short"), "{failure}");
    assert!(!failure["guidance"].as_str().expect("a text").is_empty());
    assert_eq!(failure["reason"], "QUOTA_SHORT", "{failure}");

    let id = restoration["id"].as_str().expect("an id");
    let again = format!("restoration watch {id} -q");
    let answer = stage.run(&again).await;
    assert_eq!(answer.code, 1, "{answer:?}");
    for words in ["quota of instances is short", "what to do: ", "reason: "] {
        assert!(answer.stderr.contains(words), "{words}: {answer:?}");
    }
}

#[tokio::test]
async fn a_check_says_that_nothing_was_started_or_all_that_is_in_the_way() {
    let stage = Stage::set(Times::instant()).await;
    stage.instance("shop", &[1]);
    let friday = "backup create shop -c source -t demo --name friday";
    stage.json(friday).await;

    let good = "restoration create friday -c dr -t demo --name shop-2 --validate-only";
    let answer = stage.run(good).await;
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(
        answer
            .stdout
            .starts_with("would restore instance shop-2 into"),
        "{answer:?}"
    );
    let answer = stage.run(&format!("{friday} --validate-only")).await;
    assert!(
        answer
            .stdout
            .starts_with("would make a DR backup of instance shop"),
        "{answer:?}"
    );
    assert!(answer.stdout.contains("nothing was started"), "{answer:?}");

    let bad = format!("{good} --flavor m1.nano --key nokey --volume-zone mars --volume-type nope");
    for line in [bad.clone(), bad.replace(" --validate-only", " -q")] {
        let answer = stage.run(&line).await;
        assert_ne!(answer.code, 0, "{answer:?}");
        for word in ["flavor_id", "RAM", "nokey", "mars", "nope"] {
            assert!(answer.stderr.contains(word), "{word}: {answer:?}");
        }
    }
    assert_eq!(stage.json("restoration list").await, serde_json::json!([]));
}

#[tokio::test]
async fn lists_take_names_and_refuse_places_that_do_not_exist() {
    let stage = Stage::set(Times::instant()).await;
    stage.instance("shop", &[1]);
    stage
        .json("backup create shop -c source -t demo --name friday")
        .await;

    for line in [
        "backup list -c source --tenant demo --instance shop -o id",
        "backup list --instance shop -o id",
        "backup list --tenant demo -c source -o id",
    ] {
        let answer = stage.run(line).await;
        assert_eq!(answer.code, 0, "{line}: {answer:?}");
        assert_eq!(answer.stdout.lines().count(), 1, "{line}: {answer:?}");
    }
    for (line, word) in [
        ("backup list --cloud nowhere", "nowhere"),
        ("backup list --tenant nobody", "nobody"),
        ("backup list --instance nothing", "nothing"),
        ("regular-backup list -c nowhere", "nowhere"),
        ("schedule list -c nowhere", "nowhere"),
        ("restoration list -c nowhere", "nowhere"),
        ("orphan sweeps -c nowhere", "nowhere"),
        (
            "orphan list -c source -t demo --filter kind=VOLUMES",
            "VOLUMES",
        ),
    ] {
        let answer = stage.run(line).await;
        assert_ne!(answer.code, 0, "{line}: {answer:?}");
        assert!(answer.stderr.contains(word), "{line}: {answer:?}");
    }
}

#[tokio::test]
async fn a_restored_instance_is_shown_by_its_own_id_too() {
    let stage = Stage::set(Times::instant()).await;
    stage.instance("shop", &[1]);
    stage
        .json("backup create shop -c source -t demo --name friday")
        .await;
    let restoration = stage
        .json("restoration create friday -c dr -t demo --name shop-2")
        .await;
    let id = restoration["instance"]["id"].as_str().expect("its id");
    let shown = stage.json(&format!("restoration instance --id {id}")).await;
    assert_eq!(shown["name"], "shop-2");
    assert_eq!(shown["restorationId"], restoration["id"]);

    for line in [
        "restoration instance".to_owned(),
        format!("restoration instance shop-2 --id {id}"),
    ] {
        let answer = stage.run(&line).await;
        assert_eq!(answer.code, 2, "{answer:?}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told_from_one_that_refuses() {
    let mut stage = Stage::set(Times::instant()).await;
    stage.kill().await;
    let answer = stage.run("backup list").await;
    assert_eq!(answer.code, 5, "{answer:?}");
    assert!(
        answer.stderr.contains("cannot reach a service"),
        "{answer:?}"
    );
    assert!(answer.stderr.contains("drbackup serve"), "{answer:?}");

    let answer = stage.run("backup list --address ftp://127.0.0.1:1").await;
    assert_eq!(answer.code, 2, "{answer:?}");
}

#[tokio::test]
async fn flags_win_over_the_environment_and_that_over_the_file() {
    let stage = Stage::set(Times::instant()).await;
    let home = stage.path(".config/drbackup");
    std::fs::create_dir_all(&home).expect("made");
    std::fs::write(
        home.join("config.toml"),
        "output = \"json\"\ncloud = \"dr\"\n",
    )
    .expect("written");

    let from_file = stage.run("cloud tenants").await;
    assert!(from_file.stdout.starts_with("[\n"), "{from_file:?}");
    assert!(
        from_file.stdout.contains("\"cloud\": \"dr\""),
        "{from_file:?}"
    );

    let mut command = stage.command("cloud tenants");
    command
        .env("DRBACKUP_OUTPUT", "yaml")
        .env("DRBACKUP_CLOUD", "source");
    let from_environment = finish(command).await;
    assert!(
        from_environment.stdout.starts_with("- id: "),
        "{from_environment:?}"
    );
    assert!(
        from_environment.stdout.contains("cloud: source"),
        "{from_environment:?}"
    );

    let mut command = stage.command("cloud tenants -o table -c dr");
    command
        .env("DRBACKUP_OUTPUT", "yaml")
        .env("DRBACKUP_CLOUD", "source");
    let from_flags = finish(command).await;
    assert!(from_flags.stdout.contains("DOMAIN"), "{from_flags:?}");

    std::fs::write(home.join("config.toml"), "colour = \"red\"\n").expect("written");
    let refused = stage.run("cloud tenants").await;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("colour"), "{refused:?}");
}

#[tokio::test]
async fn following_goes_on_after_the_service_was_killed_and_misses_nothing() {
    let mut stage = Stage::set(Times::realistic()).await;
    stage.instance("shop", &[1, 1]);
    let backup = stage
        .json("backup create shop -c source -t demo --name friday --no-wait")
        .await;
    let id = backup["id"].as_str().expect("an id");
    let mut watching = stage
        .command(&format!("backup watch {id} -o json"))
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(watching.stdout.take().expect("piped")).lines();
    let mut sequences = Vec::new();
    let mut last = serde_json::Value::Null;
    while let Some(line) = lines.next_line().await.expect("readable") {
        last = serde_json::from_str(&line).expect("a document a line");
        sequences.push(last["sequence"].as_str().expect("a number").to_owned());
        if sequences.len() == 3 {
            stage.kill().await;
            stage.serve().await;
        }
    }

    assert_eq!(watching.wait().await.expect("waited").code(), Some(0));
    assert_eq!(last["state"], "STATE_OK");
    let expected: Vec<String> = (1..=sequences.len()).map(|one| one.to_string()).collect();
    assert_eq!(sequences, expected);
}

#[tokio::test]
async fn a_person_who_stops_looking_does_not_stop_the_work() {
    let stage = Stage::set(Times::realistic()).await;
    stage.instance("shop", &[1]);
    let mut watching = stage
        .command("backup create shop -c source -t demo --name friday")
        .spawn()
        .expect("started");
    let mut remarks = BufReader::new(watching.stderr.take().expect("piped")).lines();
    remarks
        .next_line()
        .await
        .expect("readable")
        .expect("a line");
    signal(&watching, "INT");
    let mut rest = String::new();
    while let Some(line) = remarks.next_line().await.expect("readable") {
        rest = line;
    }

    assert_eq!(watching.wait().await.expect("waited").code(), Some(130));
    assert!(
        rest.contains("the work goes on: drbackup backup watch "),
        "{rest}"
    );
    until(async || {
        let backup = stage.json("backup get friday").await;
        (backup["state"] == "STATE_OK").then_some(())
    })
    .await;
}

#[tokio::test]
async fn cancelled_work_leaves_nothing_and_ends_well() {
    let stage = Stage::set(Times::realistic()).await;
    stage.instance("shop", &[1, 1]);
    stage
        .json("backup create shop -c source -t demo --name friday --no-wait")
        .await;

    let backup = stage.json("backup cancel friday").await;

    assert_eq!(backup["state"], "STATE_ERRED");
    assert_eq!(backup["error"]["reason"], "CANCELLED");
    let left = stage.source.state();
    assert_eq!(left["projects"]["demo"]["snapshots"], serde_json::json!([]));
    assert_eq!(left["projects"]["demo"]["backups"], serde_json::json!([]));
    let again = stage.run("backup cancel friday").await;
    assert_eq!(again.code, 4, "{again:?}");
}

#[tokio::test]
async fn the_same_request_id_makes_one_backup() {
    let stage = Stage::set(Times::instant()).await;
    stage.instance("shop", &[1]);
    let create = "backup create shop -c source -t demo --name friday --request-id once -o id -q";

    let first = stage.run(create).await;
    let second = stage.run(create).await;
    let other = stage
        .run("backup create shop -c source -t demo --name monday --request-id once -q")
        .await;

    assert_eq!((first.code, &first.stdout), (second.code, &second.stdout));
    assert_eq!(other.code, 4, "{other:?}");
    assert!(other.stderr.contains("REQUEST_ID_REUSED"), "{other:?}");
}

#[tokio::test]
async fn a_reader_that_has_gone_is_no_failure() {
    let stage = Stage::set(Times::instant()).await;
    let mut listing = stage.command("completion bash").spawn().expect("started");
    // Nobody will ever read what it writes.
    drop(listing.stdout.take());
    let mut remarks = String::new();
    let mut stderr = listing.stderr.take().expect("piped");
    stderr.read_to_string(&mut remarks).await.expect("read");

    assert_eq!(listing.wait().await.expect("waited").code(), Some(0));
    assert_eq!(remarks, "");
}

#[tokio::test]
async fn every_shell_has_its_completion() {
    let stage = Stage::set(Times::instant()).await;
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let answer = stage.run(&format!("completion {shell}")).await;
        assert_eq!(answer.code, 0, "{answer:?}");
        assert!(answer.stdout.contains("restoration"), "{shell}");
    }
}

#[tokio::test]
async fn the_service_takes_its_leave_properly() {
    let mut stage = Stage::set(Times::instant()).await;
    let mut watching = stage
        .command("backup watch --patience 1ms")
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    // The stream is open as soon as it has shown the present: nothing, so it is given a moment.
    tokio::time::sleep(Duration::from_millis(300)).await;

    let (code, log) = stage.terminate().await;

    assert_eq!(code, Some(0), "{log:?}");
    assert!(
        log.iter().any(|line| line.contains("THE API IS OPEN")),
        "{log:?}"
    );
    assert!(
        log.last().is_some_and(|line| line.contains("stopped")),
        "{log:?}"
    );
    assert_eq!(watching.wait().await.expect("waited").code(), Some(5));
}

#[tokio::test]
async fn the_service_is_not_opened_to_others_by_accident() {
    let stage = Stage::set(Times::instant()).await;
    let answer = stage.run("serve --listen 0.0.0.0:0").await;
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("--insecure-open"), "{answer:?}");

    let shown = stage
        .run("serve --show-config --database postgres://me:secret@db/drbackup")
        .await;
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(
        shown
            .stdout
            .contains("database = \"postgres://me@db/drbackup\""),
        "{shown:?}"
    );

    let second = stage
        .run(&format!(
            "serve --clouds-file {} --listen 127.0.0.1:0 --database sqlite:{}",
            stage.path("clouds.yaml").display(),
            stage.path("drbackup.db").display()
        ))
        .await;
    assert_eq!(second.code, 4, "{second:?}");
}

/// A page without what differs from run to run: ids, times, ports.
fn plain(page: &str, stage: &Stage) -> String {
    let mut page = page.to_owned();
    for (cloud, name) in [(&stage.source, "SOURCE"), (&stage.dr, "DR")] {
        page = page.replace(&cloud.url(), &format!("http://{name}"));
    }
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut plain = String::new();
    for line in page.lines() {
        let mut rest = line;
        let mut clean = String::new();
        while let Some(first) = rest.chars().next() {
            if let Some(length) = id_length(rest) {
                let number = known.len() + 1;
                let name = known
                    .entry(rest[..length].to_owned())
                    .or_insert_with(|| format!("<id-{number}>"));
                clean.push_str(name);
                rest = &rest[length..];
            } else if let Some(length) = mac_length(rest) {
                clean.push_str("<mac>");
                rest = &rest[length..];
            } else if let Some(length) = time_length(rest) {
                clean.push_str("<time>");
                rest = &rest[length..];
            } else {
                clean.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        // How often something changed, and how far apart a clock of whole seconds saw things.
        let line = match clean.trim_start().split_once(' ') {
            Some(("Etag", _)) => "Etag  <etag>".to_owned(),
            Some(("Captured", _)) => clean.replace("1.0 s apart", "0.0 s apart"),
            _ => squeezed(&clean),
        };
        plain.push_str(&squeezed(&line));
        plain.push('\n');
    }
    plain
}

/// Columns are as wide as the ids in them were, so runs of spaces inside a line are cut to two.
fn squeezed(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let mut squeezed = line[..indent].to_owned();
    let mut spaces = 0;
    for character in line[indent..].chars() {
        spaces = if character == ' ' { spaces + 1 } else { 0 };
        if spaces <= 2 {
            squeezed.push(character);
        }
    }
    squeezed
}

/// A UUID with or without its dashes.
fn id_length(text: &str) -> Option<usize> {
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(id) = text.get(..36)
        && uuid_shape(id)
    {
        return Some(36);
    }
    let id = text.get(..32)?;
    hex(id).then_some(32)
}

fn uuid_shape(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| {
        if [8, 13, 18, 23].contains(&at) {
            byte == b'-'
        } else {
            byte.is_ascii_hexdigit()
        }
    })
}

/// A MAC address.
fn mac_length(text: &str) -> Option<usize> {
    let mac = text.get(..17)?;
    let fits = mac.split(':').count() == 6 && mac.split(':').all(|part| part.len() == 2);
    fits.then_some(17)
}

/// A moment in UTC, to the second or finer.
fn time_length(text: &str) -> Option<usize> {
    let shape = "0000-00-00T00:00:00";
    let head = text.get(..shape.len())?;
    let fits = head.bytes().zip(shape.bytes()).all(|(byte, form)| {
        if form == b'0' {
            byte.is_ascii_digit()
        } else {
            byte == form
        }
    });
    let tail = text[shape.len()..].find('Z')?;
    (fits && tail <= 10).then_some(shape.len() + tail + 1)
}

/// Compares with a file of `tests/golden`; `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).expect("the golden is written");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        expected, actual,
        "{name} differs; if that is meant, run with UPDATE_GOLDEN=1"
    );
}
