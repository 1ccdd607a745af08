//! How stores open, are refused, are killed and come back; it may not know what they keep.

mod names;

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{BigInt, Text},
};
use drbackup::{
    domain::{
        caller::Scope,
        id::{PointId, ResourceId},
    },
    port::{
        clock::Clock as _,
        store::{Store, StoreError},
    },
    store::{self, Config, OpenError},
};

use crate::{
    postgres,
    store_contract::{
        Site, admit, asked, backup, events, finished_with_a_ledger, holding,
        scheduled_for_deletion, still_clock,
    },
};

/// The store that a child process should open.
const CHILD_URL: &str = "DRBACKUP_TEST_CHILD_STORE";

/// So many DR backups are committed by a child before it says so.
const COMMITTED: usize = 20;

fn path_of(site: &Site) -> PathBuf {
    PathBuf::from(site.url.trim_start_matches("sqlite:"))
}

fn sqlite(site: &Site) -> SqliteConnection {
    let path = path_of(site);
    SqliteConnection::establish(path.to_str().expect("a text")).expect("a connection")
}

fn database_of(site: &Site) -> &str {
    site.url.rsplit('/').next().expect("a name")
}

async fn open(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    store::open(Config::new(url, still_clock())).await
}

/// Starts this very program again, to run nothing but this test of a child; what it tells of its
/// commits ends with it.
fn child_of(site: &Site, test: &str) -> (Child, impl Iterator<Item = PointId> + use<>) {
    let mut child = Command::new(std::env::current_exe().expect("a program"))
        .args(["--exact", &format!("store_opening::{test}")])
        .args(["--ignored", "--nocapture"])
        .env(CHILD_URL, &site.url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let ids = output
        .lines()
        .map(|line| line.expect("a line"))
        // The last line of one that was killed may be a part of a line.
        .filter_map(|line| line.split("committed ").nth(1)?.parse().ok())
        .map(PointId::dr);
    (child, ids)
}

/// A child that runs [`a_child_commits_and_waits`], once that has committed.
fn child(site: &Site) -> (Child, Vec<PointId>) {
    let (child, ids) = child_of(site, "a_child_commits_and_waits");
    (child, ids.take(COMMITTED).collect())
}

#[tokio::test]
#[ignore = "it is the other process of the claims about processes"]
async fn a_child_commits_and_waits() {
    let Ok(url) = std::env::var(CHILD_URL) else {
        return;
    };
    let store = open(&url).await.expect("the store opens");
    for _ in 0..COMMITTED {
        let one = backup();
        admit(&*store, &one).await;
        println!("committed {}", one.id);
    }
    // Until it is killed, or the process that started it is gone.
    let mut end = String::new();
    std::io::stdin().read_line(&mut end).expect("an end");
}

#[tokio::test]
#[ignore = "it is the process that is killed while it commits"]
async fn a_child_commits_until_it_is_killed() {
    let Ok(url) = std::env::var(CHILD_URL) else {
        return;
    };
    let store = open(&url).await.expect("the store opens");
    let callers = (0..16).map(|_| async {
        loop {
            let one = backup();
            admit(&*store, &one).await;
            println!("committed {}", one.id);
        }
    });
    futures::future::join_all(callers).await;
}

/// A number that a statement answers.
fn number(conn: &mut SqliteConnection, statement: &str) -> i64 {
    let text = format!("SELECT ({statement}) AS nullable, '' AS \"of\", '' AS name");
    let rows: Vec<Column> = sql_query(text).load(conn).expect("a row");
    rows[0].nullable
}

#[tokio::test]
async fn kills_in_the_midst_of_commits_lose_nothing_that_was_answered_and_keep_nothing_by_halves() {
    let site = Site::sqlite();
    let mut answered = Vec::new();
    for round in 0..10 {
        let (mut child, mut ids) = child_of(&site, "a_child_commits_until_it_is_killed");
        answered.extend(ids.by_ref().take(10 + 23 * round));
        child.kill().expect("killed");
        child.wait().expect("ended");
        answered.extend(ids);

        let mut conn = sqlite(&site);
        let sound = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";
        assert_eq!(number(&mut conn, sound), 1, "round {round}");
        let kept = ["points", "operations", "events"]
            .map(|table| number(&mut conn, &format!("SELECT count(*) FROM {table}")));
        assert_eq!(kept, [kept[0]; 3], "round {round}");
        let store = site.open().await;
        for id in &answered {
            assert_eq!(store.point_get(*id).await.expect("there").id, *id);
        }
    }
    assert!(answered.len() > 1_000, "{}", answered.len());
}

async fn a_killed_process_loses_nothing(site: &Site) {
    let (mut child, ids) = child(site);
    child.kill().expect("killed");
    child.wait().expect("ended");
    let store = site.open().await;
    assert_eq!(ids.len(), COMMITTED);
    for id in ids {
        assert_eq!(store.point_get(id).await.expect("there").id, id);
        assert_eq!(events(&*store, ResourceId::Point(id)).await.len(), 1);
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_in_sqlite() {
    a_killed_process_loses_nothing(&Site::sqlite()).await;
}

#[tokio::test]
async fn a_killed_process_loses_nothing_in_postgresql() {
    a_killed_process_loses_nothing(&Site::postgres()).await;
}

#[tokio::test]
async fn a_second_process_on_one_sqlite_file_is_refused_until_the_first_is_gone() {
    let site = Site::sqlite();
    let (mut child, _) = child(&site);
    let refused = site.try_open().await.err().expect("refused");
    let process = child.id().to_string();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
    assert!(refused.to_string().contains(&process), "{refused}");
    child.kill().expect("killed");
    child.wait().expect("ended");
    site.open().await;
}

#[tokio::test]
async fn a_second_store_on_one_sqlite_file_is_refused_in_the_same_process_too() {
    let site = Site::sqlite();
    let first = site.open().await;
    let refused = site.try_open().await.err().expect("refused");
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
    drop(first);
    site.open().await;
}

#[tokio::test]
async fn a_sqlite_file_is_readable_for_its_owner_only() {
    let site = Site::sqlite();
    let store = site.open().await;
    admit(&*store, &backup()).await;
    for suffix in ["", "-wal"] {
        let path = format!("{}{suffix}", path_of(&site).display());
        let mode = std::fs::metadata(&path).expect("a file").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{path}");
    }
}

#[tokio::test]
async fn a_database_has_one_key_of_page_tokens_for_all_who_open_it() {
    for make in [Site::sqlite, Site::postgres] {
        let (site, other) = (make(), make());
        let key = async |site: &Site| site.open().await.page_key().await.expect("a key");
        let first = key(&site).await;
        assert!(first.bytes().len() >= 64, "256 bits in hexadecimal digits");
        assert!(first == key(&site).await, "it stays");
        assert!(first != key(&other).await, "it is this database's own");
        assert_eq!(format!("{first:?}"), "PageKey");
    }
}

#[tokio::test]
async fn a_locked_sqlite_file_answers_unavailable_and_recovers() {
    let site = Site::sqlite();
    let store = site.open().await;
    let mut other = sqlite(&site);
    other.batch_execute("BEGIN IMMEDIATE").expect("locked");
    let one = backup();
    let admission = || {
        let creation = crate::store_contract::creation(&one);
        store.point_admit(asked(None), one.clone(), creation)
    };
    // Whoever waits behind another one is told the same.
    for refused in futures::future::join_all([admission(), admission()]).await {
        let Err(StoreError::Unavailable(why)) = refused else {
            panic!("{refused:?}");
        };
        assert!(why.contains("locked"), "{why}");
    }
    other.batch_execute("ROLLBACK").expect("unlocked");
    assert_eq!(store.ping().await, Ok(()));
    admit(&*store, &one).await;
}

#[tokio::test]
async fn a_broken_schema_answers_every_caller() {
    let site = Site::sqlite();
    let store = site.open().await;
    sqlite(&site)
        .batch_execute("ALTER TABLE counters RENAME TO hidden")
        .expect("broken");
    let callers = (0..20).map(|_| {
        let one = backup();
        let operation = crate::store_contract::creation(&one);
        store.point_admit(asked(None), one, operation)
    });
    for answer in futures::future::join_all(callers).await {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))));
    }
    sqlite(&site)
        .batch_execute("ALTER TABLE hidden RENAME TO counters")
        .expect("mended");
    admit(&*store, &backup()).await;
}

const FROM_THE_FUTURE: &str =
    "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')";

#[tokio::test]
async fn a_newer_schema_is_refused_with_the_remedy() {
    let lite = Site::sqlite();
    drop(lite.open().await);
    sqlite(&lite).batch_execute(FROM_THE_FUTURE).expect("newer");
    let server = Site::postgres();
    drop(server.open().await);
    postgres::server().sql(database_of(&server), FROM_THE_FUTURE);

    for site in [lite, server] {
        let refused = site.try_open().await.err().expect("refused");
        assert_eq!(
            refused,
            OpenError::Newer {
                version: "29990101000000".to_owned()
            }
        );
        assert!(refused.to_string().contains("run that version"));
    }
}

#[tokio::test]
async fn an_older_schema_is_refused_with_the_remedy_where_it_may_not_be_brought_up() {
    for site in [Site::sqlite(), Site::postgres()] {
        let careful = || {
            let mut config = Config::new(site.url.clone(), still_clock());
            config.settings.migrate = false;
            store::open(config)
        };
        let refused = careful().await.err().expect("refused");
        assert!(matches!(refused, OpenError::Older { .. }), "{refused:?}");
        assert!(refused.to_string().contains("store.migrate = true"));
        drop(site.open().await);
        assert_eq!(careful().await.expect("it opens").ping().await, Ok(()));
    }
}

/// Takes the schema back to before this migration, step by step as every migration says.
fn back_before(site: &Site, migration: &str) {
    let is_sqlite = site.url.starts_with("sqlite:");
    let folder = if is_sqlite { "sqlite" } else { "postgres" };
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("migrations")
        .join(folder);
    let folders = std::fs::read_dir(folder).expect("the migrations");
    let mut folders: Vec<PathBuf> = folders.map(|one| one.expect("one").path()).collect();
    folders.sort();
    let name = |folder: &PathBuf| {
        folder
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned()
    };
    for folder in folders
        .iter()
        .rev()
        .take_while(|one| name(one).as_str() >= migration)
    {
        let down = std::fs::read_to_string(folder.join("down.sql")).expect("the way back");
        let version: String = name(folder)
            .chars()
            .filter(char::is_ascii_digit)
            .take(14)
            .collect();
        let forget = format!("DELETE FROM __diesel_schema_migrations WHERE version = '{version}'");
        if is_sqlite {
            let mut conn = sqlite(site);
            conn.batch_execute(&down).expect("down");
            conn.batch_execute(&forget).expect("forgotten");
        } else {
            postgres::server().sql(database_of(site), &down);
            postgres::server().sql(database_of(site), &forget);
        }
    }
}

#[tokio::test]
async fn dr_backups_from_before_there_were_links_own_what_they_hold() {
    let sites = [Site::sqlite(), Site::postgres()];
    for site in sites {
        let store = site.open().await;
        let (parent, lane) = holding(&*store, &[("b1", false)]).await;
        store.lane_release(&lane).await.expect("released");
        drop(store);
        back_before(&site, "2026-11-23-000012_links");
        let store = site.open().await;
        let (child, _) = holding(&*store, &[("b2", false), ("b1", true)]).await;
        let going = scheduled_for_deletion(&parent);
        let refused = store.point_change(asked(None), going, None).await;
        assert_eq!(refused, Err(StoreError::BuiltUpon(vec![child.id])));
    }
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    of: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    nullable: i64,
}

#[tokio::test]
async fn both_folders_of_migrations_make_the_same_tables() {
    let lite = Site::sqlite();
    drop(lite.open().await);
    let columns: Vec<Column> = sql_query(
        "SELECT m.name AS \"of\", c.name AS name, 1 - c.\"notnull\" AS nullable \
         FROM sqlite_schema m JOIN pragma_table_info(m.name) c \
         WHERE m.type = 'table' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\'",
    )
    .load(&mut sqlite(&lite))
    .expect("columns");
    let lite: BTreeSet<String> = columns
        .into_iter()
        .map(|c| format!("{}.{} {}", c.of, c.name, c.nullable))
        .collect();

    let server = Site::postgres();
    drop(server.open().await);
    let columns = postgres::server().sql(
        database_of(&server),
        "SELECT table_name || '.' || column_name || ' ' || (is_nullable = 'YES')::int \
         FROM information_schema.columns JOIN information_schema.tables \
         USING (table_schema, table_name) \
         WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT LIKE '\\_\\_%'",
    );
    let server: BTreeSet<String> = columns.lines().map(ToOwned::to_owned).collect();
    assert!(lite.len() > 50, "{lite:?}");
    assert_eq!(lite, server);
}

#[tokio::test]
async fn a_restoration_from_before_regular_backups_is_kept() {
    for site in [Site::sqlite(), Site::postgres()] {
        let store = site.open().await;
        let (backup, _) = crate::store_contract::finished(&*store).await;
        let restoration = crate::store_contract::restoration(&backup);
        let operation = crate::store_contract::restoring(&restoration);
        store
            .restoration_admit(asked(None), restoration.clone(), operation)
            .await
            .expect("admitted");
        drop(store);
        back_before(&site, "2026-11-23-000010_backups");
        let store = site.open().await;
        assert_eq!(
            store
                .restorations_of(restoration.source, &Scope::All, 10)
                .await,
            Ok(vec![restoration])
        );
    }
}

#[tokio::test]
async fn a_ledger_goes_with_the_history_of_its_operation() {
    let rows = "SELECT count(*) AS nullable, '' AS \"of\", '' AS name FROM effects";
    for server in [false, true] {
        let site = if server {
            Site::postgres()
        } else {
            Site::sqlite()
        };
        let count = || -> i64 {
            if server {
                let count =
                    postgres::server().sql(database_of(&site), "SELECT count(*) FROM effects");
                return count.trim().parse().expect("a number");
            }
            let counted: Vec<Column> = sql_query(rows).load(&mut sqlite(&site)).expect("a row");
            counted[0].nullable
        };
        let store = site.open().await;
        finished_with_a_ledger(&*store).await;
        assert_eq!(count(), 1);
        site.clock.wind(Duration::from_secs(1));
        let pruned = store.history_prune(site.clock.now(), 100).await;
        assert_eq!(pruned, Ok(1), "the operation");
        assert_eq!(count(), 0);
    }
}

#[tokio::test]
async fn replicas_that_start_at_once_bring_the_schema_up_once() {
    let site = Site::postgres();
    let opened = futures::future::join_all((0..6).map(|_| site.open())).await;
    for store in opened {
        assert_eq!(store.ping().await, Ok(()));
    }
}

#[tokio::test]
async fn what_one_replica_writes_wakes_the_others() {
    let site = Site::postgres();
    let (one, two) = (site.open().await, site.open().await);
    let (mut changes, mut admissions) = (two.changes(), two.admissions());
    admit(&*one, &backup()).await;
    changes.changed().await.expect("open");
    admissions.changed().await.expect("open");
}

#[tokio::test]
async fn a_replica_that_lost_its_connections_comes_back_and_is_woken() {
    let site = Site::postgres();
    let (one, two) = (site.open().await, site.open().await);
    admit(&*one, &backup()).await;
    assert_eq!(two.ping().await, Ok(()));
    let mut changes = two.changes();
    changes.mark_unchanged();
    postgres::server().sql(
        database_of(&site),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    // A call that meets a dead connection may be told so, but not for long.
    let patience = tokio::time::timeout(Duration::from_secs(20), async {
        while one.ping().await.is_err() || two.ping().await.is_err() {
            tokio::task::yield_now().await;
        }
        admit(&*one, &backup()).await;
        changes.changed().await.expect("open");
    });
    patience.await.expect("both are back");
}

#[tokio::test]
async fn encryption_is_as_the_url_asks() {
    let site = Site::postgres();
    let certificate = postgres::server().certificate();
    let verified = format!("sslmode=verify-full&sslrootcert={}", certificate.display());
    let cases = [
        ("", true),
        ("sslmode=disable", false),
        ("sslmode=prefer", true),
        ("sslmode=require", true),
        (verified.as_str(), true),
    ];
    for (number, (options, encrypted)) in cases.into_iter().enumerate() {
        let url = format!("{}?application_name=case-{number}&{options}", site.url);
        let store = open(&url).await.expect(options);
        assert_eq!(store.ping().await, Ok(()), "{options}");
        let seen = postgres::server().sql(
            database_of(&site),
            &format!(
                "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE application_name = 'case-{number}'"
            ),
        );
        let expected = if encrypted { "t" } else { "f" };
        assert_eq!(seen.trim(), expected, "{options}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_itself_is_refused_where_that_is_asked() {
    let site = Site::postgres();
    let unknown = format!("{}?sslmode=verify-full", site.url);
    let refused = open(&unknown).await.err().expect("refused");
    assert!(matches!(refused, OpenError::Unavailable(_)), "{refused:?}");
    assert!(refused.to_string().contains("certificate"), "{refused}");
}

#[tokio::test]
async fn a_url_that_says_nothing_useful_is_refused_at_once() {
    for url in [
        "mysql://somewhere",
        "postgres://localhost/db?sslmode=verify-ca",
        "postgres://localhost/db?sslmode=require&sslrootcert=/tmp/x",
        "postgres://localhost/db?sslmode=verify-full&sslrootcert=/does/not/exist",
        "postgres://localhost/db?no_such_option=1",
    ] {
        let refused = open(url).await.err().expect(url);
        assert!(matches!(refused, OpenError::Url(_)), "{url}: {refused:?}");
    }
}
