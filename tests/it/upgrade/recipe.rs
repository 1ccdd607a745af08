//! How the databases of `tests/upgrade/fixtures` were made: the program of before lives through all that it
//! can do, and is killed in the midst of it; nothing here may know how rows are spelled.
//!
//! To add another pair of them, once `tests/upgrade/old` builds another program of before:
//!
//! ```sh
//! tests/upgrade/old
//! cargo test --test it upgrade::recipe -- --ignored
//! UPDATE_GOLDEN=1 cargo test --test it upgrade::before
//! ```

use std::{fmt::Write as _, fs, path::Path};

use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query,
    sql_types::Text,
};
use drbackup::{
    domain::{
        effect::{Make, NewVolume, Request},
        id::{CloudName, ProjectId, Tenant},
        operation::NAME_MARK,
        sighting::ThingKind,
    },
    sim::{Action, Cloud, Rule, Service, Times},
};
use uuid::Uuid;

use super::{FIXTURES, old_program};
use crate::{
    house::clouds,
    postgres,
    stage::{Answer, Stage, finish, until},
};

/// What comes to its end, in this order. All but the schedules are waited for.
const LIFE: &[&str] = &[
    "backup create shop --name friday --description nightly --consistency snapshots --request-id friday",
    "backup create shop --name saturday --incremental --hold --keep-until 2099-01-01T00:00:00Z --request-id saturday",
    "backup create mail --name thursday --capture in-use --time-limit 2h --request-id thursday",
    "backup update friday --description weekly --keep-until 2098-01-01T00:00:00Z --request-id words",
    "regular-backup create shop --name noon --description hourly --hold --request-id noon",
    "regular-backup create mail --name evening --request-id evening",
    "regular-backup create mail --name night --request-id night",
    "schedule create shop --name nightly --schedule @daily --time-zone Europe/Berlin --jitter 10m --full-every 7 --keep-days 7 --keep-last 3 --keep-at-most 20 --failures-maximum 5 --request-id nightly",
    "schedule create mail --name hourly --schedule @hourly --backup-type regular --missed-runs skip --keep-hourly 24 --request-id hourly",
    "schedule create mail --name never --schedule @yearly --request-id never",
    "schedule update hourly --description snapshots --request-id other-words",
    "schedule deactivate hourly --request-id quiet",
    "schedule run hourly --request-id now",
    "schedule delete never --request-id never-more",
    "restoration create friday --cloud dr --tenant demo --name back --network internal=internal --start stopped --keep-mac-addresses --request-id back",
    "restoration create noon --name here --request-id here",
    "restoration create thursday --cloud dr --tenant demo --name gone --request-id gone",
    "restoration delete gone --instance --request-id gone-for-good",
    "backup delete thursday --request-id farewell",
    "regular-backup delete evening --request-id good-night",
];

/// What ends in ERRED, because the cloud cannot do what is sent there.
const FAILURES: &[(Service, &str, &str)] = &[
    (
        Service::Volume,
        "/backups$",
        "backup create mail --name spoilt --request-id spoilt",
    ),
    (
        Service::Volume,
        "/snapshots$",
        "regular-backup create mail --name blurred --request-id blurred",
    ),
];

/// What is under way when the program is killed, and the write of which nobody ever hears the answer.
const OPEN: &[(bool, &str, &str, &str)] = &[
    (
        true,
        "POST",
        "/restore$",
        "restoration create saturday --cloud dr --tenant demo --name under-way --request-id under-way --no-wait",
    ),
    (
        false,
        "POST",
        "/backups$",
        "backup create mail --name being-made --request-id being-made --no-wait",
    ),
    (
        false,
        "DELETE",
        "/snapshots/[^/]+$",
        "regular-backup delete night --request-id going --no-wait",
    ),
];

fn on(cloud: &Cloud, service: Service, method: &str, path: &str, action: Action) -> u64 {
    let rule = Rule::on(service, method, path, action);
    cloud.fault(rule).expect("a rule")
}

/// Carries out a line of the client, with what is left out in most of them.
async fn does(stage: &Stage, line: &str) -> Answer {
    let mut command = stage.command(&format!("{line} --output id --quiet"));
    command
        .env("DRBACKUP_CLOUD", "source")
        .env("DRBACKUP_TENANT", "demo");
    finish(command).await
}

/// The life up to its sudden end.
async fn life(stage: &mut Stage) {
    for (name, value) in [
        ("DRBACKUP_PATIENCE__TRIES", "1"),
        ("DRBACKUP_ORPHANS__GRACE", "1ms"),
        ("DRBACKUP_ORPHANS__EVERY", "1s"),
        ("DRBACKUP_VERIFICATION__EVERY", "1s"),
        ("DRBACKUP_SCHEDULES__TICK_LONGEST", "1s"),
    ] {
        stage.set_variable(name, value);
    }
    stage.serve().await;
    stage.instance("shop", &[1, 2]);
    stage.instance("mail", &[1]);
    for line in LIFE {
        let answer = does(stage, line).await;
        assert_eq!(answer.code, 0, "{line}: {answer:?}");
    }
    for (service, path, line) in FAILURES {
        let reason = "out of order".to_owned();
        let rule = on(
            &stage.source,
            *service,
            "POST",
            path,
            Action::Fail { reason },
        );
        let answer = does(stage, line).await;
        assert_eq!(answer.code, 1, "{line}: {answer:?}");
        stage.source.fault_remove(rule);
    }
    orphans(stage).await;
    losses(stage).await;
    for (away, method, path, line) in OPEN {
        let cloud = if *away { &stage.dr } else { &stage.source };
        let hangs = Action::Hang {
            milliseconds: None,
            acted: true,
        };
        let rule = on(cloud, Service::Volume, method, path, hangs);
        let answer = does(stage, line).await;
        assert_eq!(answer.code, 0, "{line}: {answer:?}");
        until(|| async { (cloud.fault_happened(rule) > 0).then_some(()) }).await;
    }
    stage.kill().await;
}

/// Two things that nothing accounts for, one of which is deleted by request.
async fn orphans(stage: &Stage) {
    let cloud = clouds(&stage.path("clouds.yaml"));
    let tenant = Tenant {
        cloud: CloudName::new("source"),
        project: ProjectId::new(stage.source.project_id("demo").expect("a project")),
    };
    let mut ids = Vec::new();
    for _ in 0..2 {
        let name = format!("{NAME_MARK}{}-volume-0", Uuid::now_v7().simple());
        let request = Request::Make(Make::Volume(NewVolume {
            size_gib: 1,
            volume_type: None,
            availability_zone: None,
            snapshot: None,
            image: None,
            description: String::new(),
        }));
        let made = cloud.request_perform(&tenant, &name, &request).await;
        ids.push(made.expect("made").cloud_id.expect("an id"));
    }
    until(|| async {
        let all = cloud.things_list(&tenant, ThingKind::Volume).await;
        let ready = |id: &String| {
            let mut all = all.iter().flatten();
            all.any(|one| one.thing.id == *id && one.status == "available")
        };
        ids.iter().all(ready).then_some(())
    })
    .await;
    let line = format!(
        "orphan delete {} --include-unknown --request-id rubbish",
        ids[0]
    );
    let answer = does(stage, &line).await;
    assert_eq!(answer.code, 0, "{answer:?}");
}

/// A point that cannot be restored any more, and a look that has seen it; the same look counts orphans.
async fn losses(stage: &Stage) {
    let id = does(
        stage,
        "regular-backup create mail --name lost --request-id lost",
    )
    .await;
    let show = format!("regular-backup get {}", id.stdout.trim());
    let lost = stage.json(&show).await;
    let snapshot = lost["snapshots"][0]["snapshotId"].as_str();
    stage.source.vanish(snapshot.expect("a snapshot"));
    until(|| async {
        let lost = stage.json(&show).await;
        (lost["recoverable"] == false).then_some(())
    })
    .await;
    until(|| async {
        let sweeps = stage.json("orphan sweeps").await;
        let found = sweeps.as_array().is_some_and(|found| !found.is_empty());
        found.then_some(())
    })
    .await;
}

fn keep(engine: &str, statements: &str) {
    let program = old_program().expect("it is there");
    let commit = fs::read_to_string(program.with_file_name("commit")).expect("its commit");
    let name = format!("{}.{engine}.sql", &commit[..7]);
    let path = Path::new(FIXTURES).join(name);
    assert!(!path.exists(), "{} stays as it is", path.display());
    fs::write(path, statements).expect("written");
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

pub(super) fn lines(conn: &mut SqliteConnection, query: &str) -> Vec<String> {
    let lines: Vec<Line> = sql_query(query).load(conn).expect(query);
    lines.into_iter().map(|line| line.text).collect()
}

/// All that a file of SQLite holds, as statements.
fn dump(path: &Path) -> String {
    let mut conn = SqliteConnection::establish(path.to_str().expect("a text")).expect("opened");
    let mut dump = String::new();
    let schema = |kinds: &str| {
        format!("SELECT sql AS text FROM sqlite_schema WHERE type {kinds} AND sql IS NOT NULL")
    };
    for statement in lines(&mut conn, &schema("= 'table' AND name NOT LIKE 'sqlite_%'")) {
        writeln!(dump, "{statement};").expect("a string");
    }
    let tables = "SELECT name AS text FROM sqlite_schema \
        WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    for table in lines(&mut conn, tables) {
        let columns = format!("SELECT name AS text FROM pragma_table_info('{table}')");
        let columns: Vec<String> = lines(&mut conn, &columns)
            .into_iter()
            .map(|column| format!("quote(\"{column}\")"))
            .collect();
        let rows = format!(
            "SELECT 'INSERT INTO \"{table}\" VALUES(' || {} || ');' AS text FROM \"{table}\"",
            columns.join(" || ',' || ")
        );
        for row in lines(&mut conn, &rows) {
            writeln!(dump, "{row}").expect("a string");
        }
    }
    for statement in lines(&mut conn, &schema("<> 'table'")) {
        writeln!(dump, "{statement};").expect("a string");
    }
    dump
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it makes what lies in tests/upgrade/fixtures"]
async fn a_database_of_sqlite_is_made() {
    let program = old_program().expect("tests/upgrade/old builds it");
    let mut stage = Stage::built(Times::fast(), program, None).await;
    life(&mut stage).await;
    keep("sqlite", &dump(&stage.path("drbackup.db")));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it makes what lies in tests/upgrade/fixtures"]
async fn a_database_of_postgresql_is_made() {
    let program = old_program().expect("tests/upgrade/old builds it");
    let url = postgres::database();
    let name = url.rsplit('/').next().expect("a name").to_owned();
    let mut stage = Stage::built(Times::fast(), program, Some(url)).await;
    life(&mut stage).await;
    let dump = postgres::server().dump(&name);
    // What another version of the server or its client may not know says nothing of the rows.
    let kept = dump.lines().filter(|line| {
        let passing = ["SET ", "--", "\\", "SELECT pg_catalog.set_config"];
        !line.is_empty() && !passing.iter().any(|one| line.starts_with(one))
    });
    let kept: Vec<&str> = kept.collect();
    keep("postgres", &(kept.join("\n") + "\n"));
}
