//! The databases of before, opened by the program of today; it may not know how their rows are spelled.

use std::{fs, path::Path, time::Duration};

use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};
use drbackup::{
    domain::{
        effect::{Fact, Request},
        fault::Fault,
        id::ReplicaId,
        lifecycle::State,
        operation::Ask,
    },
    port::store::RequestKey,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    FIXTURES,
    recipe::lines,
    told::{Told, lost, told},
};
use crate::{house::House, postgres};

/// The names of the databases that this engine wrote.
fn names(engine: &str) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(FIXTURES).expect("the folder is there") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".sql"));
        names.extend(
            name.filter(|name| name.ends_with(engine))
                .map(str::to_owned),
        );
    }
    assert!(!names.is_empty(), "nothing of {engine}");
    names
}

fn statements(name: &str) -> std::path::PathBuf {
    Path::new(FIXTURES).join(format!("{name}.sql"))
}

/// What was told of a database when it was made; with `UPDATE_GOLDEN` that of a new one is what is told now.
fn told_before(name: &str, now: &Told) -> Told {
    let path = Path::new(FIXTURES).join(format!("{name}.json"));
    if !path.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
        // A line for each answer, so that one can find it.
        let lines = now.iter().map(|(asked, told)| format!("{asked:?}: {told}"));
        let lines: Vec<String> = lines.collect();
        fs::write(&path, format!("{{\n{}\n}}\n", lines.join(",\n"))).expect("written");
    }
    let text = fs::read_to_string(&path).expect("it was told");
    serde_json::from_str(&text).expect("JSON")
}

/// The requests that a database knows, as columns divided by `|`.
const REQUESTS: &str = "SELECT method || '|' || id || '|' || resource_kind AS text FROM requests";

/// Opens a database of before, and reads all of it.
async fn is_read_without_loss(name: &str, url: String, requests: &[String]) {
    let house = House::over(url).await;
    // Nothing that is told depends on how long ago it was.
    house.pass(Duration::from_secs(400 * 24 * 60 * 60));
    let now = told(&house).await;
    let before = told_before(name, &now);
    let mut missing = Vec::new();
    for (asked, before) in &before {
        let now = now.get(asked).unwrap_or(&Value::Null);
        lost(asked, before, now, &mut missing);
    }
    assert!(missing.is_empty(), "{name}: {missing:#?}");
    for request in requests {
        is_answered_again(request, &house).await;
    }
    work_goes_on(name, &house).await;
}

/// A repeat is answered as it was then, be the resource there or gone; how its digest is reckoned today says
/// nothing of one of before.
async fn is_answered_again(request: &str, house: &House) {
    let columns: Vec<&str> = request.split('|').collect();
    let [method, id, kind] = columns[..] else {
        panic!("{request}");
    };
    let key = RequestKey {
        method: method.to_owned().leak(),
        id: id.to_owned(),
        digest: "v1:today".to_owned(),
    };
    let store = &house.store;
    let answered = match (kind, method) {
        ("orphans", _) => store.orphans_answered(&key).await.map(|it| it.is_some()),
        (_, "RunSchedule") => store.run_answered(&key).await.map(|it| it.is_some()),
        ("dr_backup" | "backup", _) => store.point_answered(&key).await.map(|it| it.is_some()),
        ("restoration", _) => store
            .restoration_answered(&key)
            .await
            .map(|it| it.is_some()),
        ("schedule", _) => store.schedule_answered(&key).await.map(|it| it.is_some()),
        (other, _) => panic!("{other}"),
    };
    assert_eq!(answered, Ok(true), "{request}");
}

/// What was under way can be taken up: every lane loads, and every row of its ledgers is read.
async fn work_goes_on(name: &str, house: &House) {
    let store = &house.store;
    let lease = Duration::from_secs(60);
    let replica = ReplicaId::new("later");
    let lanes = store.lanes_claim(&replica, lease, 100, &[]).await;
    let lanes = lanes.expect("claimed");
    let mut kinds = Vec::new();
    for lane in &lanes {
        let loaded = store.lane_load(lane, &[]).await.expect("loaded");
        assert!(loaded.unread.is_empty(), "{name}: {:?}", loaded.unread);
        for open in loaded.open {
            assert!(open.ledger.iter().next().is_some(), "{name}: {open:?}");
            assert_ne!(open.operation.resource_state, State::Ok);
            kinds.push(open.operation.ask.name());
        }
    }
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        ["create_dr_backup", "delete_backup", "restore"],
        "{name}"
    );
}

/// What no caller sees is read without loss too: written again, it says all that it said.
fn is_spelled_as_before<T: Serialize + DeserializeOwned>(
    conn: &mut SqliteConnection,
    column: &str,
    table: &str,
) {
    let query = format!("SELECT {column} AS text FROM {table} WHERE {column} IS NOT NULL");
    let rows = lines(conn, &query);
    assert!(!rows.is_empty(), "{query}");
    let mut missing = Vec::new();
    for row in rows {
        let read: T = serde_json::from_str(&row).unwrap_or_else(|error| panic!("{row}: {error}"));
        let before: Value = serde_json::from_str(&row).expect("JSON");
        let now = serde_json::to_value(read).expect("JSON");
        lost(column, &before, &now, &mut missing);
    }
    assert!(missing.is_empty(), "{query}: {missing:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_before_are_read_without_loss_in_sqlite() {
    for name in names("sqlite") {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("drbackup.db");
        let path = path.to_str().expect("a text");
        let mut conn = SqliteConnection::establish(path).expect("opened");
        let text = fs::read_to_string(statements(&name)).expect("readable");
        // The rows come by table, not in the order of what they refer to.
        let loading = format!("PRAGMA foreign_keys = OFF; BEGIN; {text} COMMIT");
        conn.batch_execute(&loading).expect("loaded");
        is_spelled_as_before::<Ask>(&mut conn, "ask", "operations");
        is_spelled_as_before::<Request>(&mut conn, "request", "effects");
        is_spelled_as_before::<Fact>(&mut conn, "fact", "effects");
        is_spelled_as_before::<Fault>(&mut conn, "fault", "effects");
        let requests = lines(&mut conn, REQUESTS);
        drop(conn);
        is_read_without_loss(&name, format!("sqlite:{path}"), &requests).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_before_are_read_without_loss_in_postgresql() {
    for name in names("postgres") {
        let url = postgres::database();
        let database = url.rsplit('/').next().expect("a name");
        let server = postgres::server();
        server.load(database, &statements(&name));
        let requests = server.sql(database, REQUESTS);
        let requests: Vec<String> = requests.lines().map(str::to_owned).collect();
        is_read_without_loss(&name, url, &requests).await;
    }
}
