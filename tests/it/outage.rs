//! What the service says and does while its database does not work, and afterwards; it may not look
//! inside the service.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};
use drbackup::{api::pb, sim::Quotas};
use tempfile::TempDir;
use tokio::time::timeout;
use tonic::{Code, Streaming};
use tonic_health::{ServingStatus, pb::HealthCheckResponse};
use tonic_types::StatusExt as _;

use crate::{
    judge,
    postgres::{Server, give_away},
    replica::{Fleet, PATIENCE, Replica},
    replicas::{asked, is_ok, unhurried},
    stage::until,
};

/// DR backups of one instance of two volumes, in the midst of being made by one process.
struct Work {
    fleet: Fleet,
    replica: Replica,
    server: String,
    admitted: Vec<String>,
    ready: Streaming<HealthCheckResponse>,
    alive: Streaming<HealthCheckResponse>,
}

impl Work {
    async fn under_way(database: String) -> Self {
        let fleet = Fleet::set(unhurried(), database).await;
        // How much is admitted before a disk is full is not known.
        fleet.source.set_quotas(Quotas::generous());
        let replica = fleet.replica().await;
        let server = fleet.instance("demo", "web", &[1, 1]);
        let id = fleet.back_up(&replica, "demo", &server).await;
        until(|| async { (asked(&fleet.source, "POST", "/backups") >= 1).then_some(()) }).await;
        let mut ready = replica.health("drbackup.v1.DRBackupService").await;
        said(&mut ready, ServingStatus::Serving).await;
        let mut alive = replica.health("liveness").await;
        said(&mut alive, ServingStatus::Serving).await;
        Self {
            fleet,
            replica,
            server,
            admitted: vec![id],
            ready,
            alive,
        }
    }

    /// The service says so to everybody, and why in its log; who wants something new is sent away.
    async fn is_held_up(&mut self, why: &str) {
        said(&mut self.ready, ServingStatus::NotServing).await;
        let reason = "the database does not work";
        self.replica.heard_with(reason, why).await;
        let request = pb::CreateDrBackupRequest {
            cloud: "source".to_owned(),
            tenant: self.fleet.source.project_id("demo").expect("a project"),
            instance_id: self.server.clone(),
            description: "long ".repeat(50),
            ..Default::default()
        };
        let mut client = self.replica.backups().await;
        let refused = loop {
            match client.create_dr_backup(request.clone()).await {
                // On a full disk there may be room for a few more rows, and then they are kept.
                Ok(admitted) => self.admitted.push(admitted.into_inner().id),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        assert!(refused.get_error_details().retry_info().is_some());
    }

    /// Everything goes on by itself, and nothing is lost or doubled.
    async fn goes_on(mut self) {
        said(&mut self.ready, ServingStatus::Serving).await;
        for id in &self.admitted {
            let last = self.replica.told_through_trouble(id).await;
            assert!(is_ok(&last), "{last:?}");
        }
        let each = 2 * self.admitted.len();
        for (kind, made) in [("/snapshots", each), ("/backups", each)] {
            assert_eq!(asked(&self.fleet.source, "POST", kind), made, "{kind}");
        }
        judge::nothing_twice(&self.fleet.source);
        self.replica.signal("TERM");
        assert_eq!(self.replica.ended().await, Some(0));
        // All the time until then it was alive, and nothing else was ever said.
        while let Ok(Some(next)) = self.alive.message().await {
            assert_eq!(next.status, ServingStatus::Serving as i32);
        }
    }
}

/// Waits until health says this.
async fn said(health: &mut Streaming<HealthCheckResponse>, wanted: ServingStatus) {
    let said = async {
        loop {
            let next = health.message().await.expect("a stream");
            if next.expect("a status").status == wanted as i32 {
                return;
            }
        }
    };
    timeout(PATIENCE, said).await.expect("in time");
}

/// A small disk, taken away with the test.
struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Nothing where this user may not mount one, which is told.
    fn mount(size: &str) -> Option<Self> {
        let folder = TempDir::new().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { folder });
        }
        // Not by a macro, whose words nobody sees where a test passes.
        let words = b"NOT SHOWN: what a full disk does; this user may not mount a small one\n";
        std::io::stderr().write_all(words).expect("told");
        None
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Writes until there is no room for a single byte more.
    fn fill(&self) {
        std::fs::write(self.filler(), vec![1; 256 << 20]).expect_err("full");
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).expect("removed");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // At once for new users, for those who still have it open when they end.
        let _unmounted = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_sqlite_is_told_and_the_work_goes_on_when_there_is_room() {
    let Some(disk) = Disk::mount("2m") else {
        return;
    };
    let url = format!("sqlite:{}", disk.path().join("drbackup.db").display());
    let mut work = Work::under_way(url).await;
    disk.fill();
    work.is_held_up("full").await;
    disk.make_room();
    work.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_file_that_another_process_locks_is_told_and_the_work_goes_on_behind_it() {
    let folder = TempDir::new().expect("a directory");
    let path = folder.path().join("drbackup.db");
    let mut work = Work::under_way(format!("sqlite:{}", path.display())).await;
    let mut other = SqliteConnection::establish(&path.to_string_lossy()).expect("opened");
    other
        .batch_execute("PRAGMA busy_timeout = 10000; BEGIN EXCLUSIVE")
        .expect("locked");
    work.is_held_up("locked").await;
    other.batch_execute("ROLLBACK").expect("unlocked");
    work.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_crashes_is_told_and_the_work_goes_on_when_it_is_back() {
    let server = Server::start("");
    let mut work = Work::under_way(server.database("")).await;
    server.crash();
    work.is_held_up("refused").await;
    assert!(server.resume());
    work.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_is_gone_for_good_is_told_and_the_work_goes_on_at_its_standby() {
    let server = Server::start("");
    server.sql("postgres", "CREATE DATABASE kept");
    let standby = server.standby();
    let mut work = Work::under_way(server.url_here_or_at(&standby, "kept")).await;
    server.crash();
    work.is_held_up("does not allow writes").await;
    standby.promote();
    work.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_postgresql_is_told_and_the_work_goes_on_when_there_is_room() {
    let Some(disk) = Disk::mount("24m") else {
        return;
    };
    give_away(disk.path());
    let server = Server::start("");
    let small = format!(
        "CREATE TABLESPACE small LOCATION '{}'",
        disk.path().display()
    );
    server.sql("postgres", &small);
    let mut work = Work::under_way(server.database("TABLESPACE small")).await;
    disk.fill();
    work.is_held_up("No space").await;
    disk.make_room();
    work.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_whose_connections_others_hold_is_told_and_the_work_goes_on_behind_them() {
    let server = Server::start(&format!("max_connections = {CONNECTIONS}"));
    let url = server.database("");
    let mut work = Work::under_way(url.clone()).await;
    let crowd = crowd(&url).await;
    work.is_held_up("too many clients").await;
    drop(crowd);
    work.goes_on().await;
}

/// How many connections the crowded server has.
const CONNECTIONS: usize = 20;

/// Holds every connection of a server, also those that the service had.
async fn crowd(url: &str) -> Vec<tokio_postgres::Client> {
    let url = format!("{url}?sslmode=disable&application_name=crowd");
    let mut held: Vec<tokio_postgres::Client> = Vec::new();
    while held.len() < CONNECTIONS {
        match tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
            Ok((client, wire)) => {
                tokio::spawn(wire);
                held.push(client);
            }
            Err(_full) => {
                let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE backend_type = 'client backend' AND application_name <> 'crowd'";
                let first = held.first().expect("the service does not need all");
                first.query(others, &[]).await.expect("answered");
            }
        }
    }
    held
}
