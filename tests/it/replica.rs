//! Several processes of the service over one database of PostgreSQL and two simulated clouds, ended,
//! paused and followed one by one; it may not look inside the service.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use drbackup::{
    api::pb::{self, dr_backup_service_client::DrBackupServiceClient},
    sim::{self, Cloud, InstanceSpec, Times},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::watch,
    time::timeout,
};
use tonic::{Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::stage::signal;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The clouds and the database that all replicas share.
pub(crate) struct Fleet {
    pub(crate) source: Cloud,
    pub(crate) dr: Cloud,
    database: String,
    directory: TempDir,
}

/// One process of the service.
pub(crate) struct Replica {
    child: Child,
    log: watch::Receiver<Vec<String>>,
    pub(crate) address: String,
}

impl Fleet {
    /// Two clouds that take these times, and a database.
    pub(crate) async fn set(times: Times, database: String) -> Self {
        let mut clouds = Vec::new();
        for config in sim::Config::pair(times) {
            clouds.push(Cloud::start(config).await.expect("a cloud"));
        }
        let directory = TempDir::new().expect("a directory");
        let yaml = sim::clouds_yaml(&clouds);
        std::fs::write(directory.path().join("clouds.yaml"), yaml).expect("written");
        let [source, dr] = <[Cloud; 2]>::try_from(clouds).expect("two");
        Self {
            source,
            dr,
            database,
            directory,
        }
    }

    /// A process that has not started yet.
    pub(crate) fn command(&self) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_drbackup").as_ref())
    }

    /// The same of another program.
    pub(crate) fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .args(["serve", "--log-format", "json", "--listen", "127.0.0.1:0"])
            .args(["--cloud", "source=source-demo"])
            .args(["--admin", "source=source-operator"])
            .args(["--cloud", "dr=dr-demo", "--admin", "dr=dr-operator"])
            .args(["--database", &self.database, "--clouds-file"])
            .arg(self.file("clouds.yaml"))
            .env_clear()
            .env("HOME", self.directory.path())
            .env("DRBACKUP_ENGINE__OBSERVE_FIRST", "20ms")
            .env("DRBACKUP_ENGINE__OBSERVE_MIN", "20ms")
            .env("DRBACKUP_ENGINE__OBSERVE_MAX", "200ms")
            .env("DRBACKUP_ENGINE__SETTLE", "200ms")
            .env("DRBACKUP_ENGINE__LEASE", "3s")
            .env("DRBACKUP_ENGINE__LEASE_MARGIN", "1s")
            .env("DRBACKUP_ENGINE__STORE_RETRY", "100ms")
            .env("DRBACKUP_API__HEALTH_EVERY", "100ms")
            .env("DRBACKUP_OPS__LISTEN", "")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// One more replica, once it lets callers in.
    pub(crate) async fn replica(&self) -> Replica {
        Replica::start(self.command()).await
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// An instance in a project of the first cloud.
    pub(crate) fn instance(&self, project: &str, name: &str, volumes: &[u64]) -> String {
        let spec = InstanceSpec {
            project: project.to_owned(),
            ..InstanceSpec::new(name, volumes)
        };
        self.source.create_instance(&spec).expect("made").server
    }

    /// Starts a DR backup by way of one replica.
    pub(crate) async fn back_up(&self, by: &Replica, project: &str, server: &str) -> String {
        let request = pb::CreateDrBackupRequest {
            cloud: "source".to_owned(),
            tenant: self.source.project_id(project).expect("a project"),
            instance_id: server.to_owned(),
            ..Default::default()
        };
        let answer = by.backups().await.create_dr_backup(request).await;
        answer.expect("admitted").into_inner().id
    }
}

impl Replica {
    /// Starts a process and waits until it lets callers in.
    pub(crate) async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let (sender, log) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|read| read.push(line));
            }
        });
        let mut replica = Self {
            child,
            log,
            address: String::new(),
        };
        let line = replica.heard("drbackup serves").await;
        let entry: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        replica.address = format!("http://{}", entry["address"].as_str().expect("an address"));
        replica
    }

    /// Waits for a line of the log that contains this, and answers it.
    pub(crate) async fn heard(&mut self, text: &str) -> String {
        self.heard_with(text, "").await
    }

    /// The same, where the line has this in it too.
    pub(crate) async fn heard_with(&mut self, text: &str, detail: &str) -> String {
        let is_meant = |line: &&String| line.contains(text) && line.contains(detail);
        let found = |lines: &Vec<String>| lines.iter().find(is_meant).cloned();
        let waiting = self.log.wait_for(|lines| found(lines).is_some());
        let heard = timeout(PATIENCE, waiting).await;
        let heard = heard.ok().and_then(Result::ok);
        let line = heard.and_then(|lines| found(&lines));
        line.unwrap_or_else(|| {
            panic!(
                "{text:?} {detail:?} is not in the log: {:#?}",
                *self.log.borrow()
            )
        })
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for the end of the process; answers its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("in time").expect("waited").code()
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(self.address.clone()).expect("an address");
        endpoint.connect().await.expect("up")
    }

    pub(crate) async fn backups(&self) -> DrBackupServiceClient<Channel> {
        DrBackupServiceClient::new(self.channel().await)
    }

    /// The present and the future of one name of its health, as numbers of the protocol.
    pub(crate) async fn health(
        &self,
        service: &str,
    ) -> tonic::Streaming<tonic_health::pb::HealthCheckResponse> {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let watching = HealthClient::new(self.channel().await).watch(request).await;
        watching.expect("a known name").into_inner()
    }

    /// A stream of the events of a DR backup from a sequence on, until it is at rest.
    pub(crate) async fn watch(&self, id: &str, from: i64) -> tonic::Streaming<pb::Event> {
        self.try_watch(id, from).await.expect("a stream")
    }

    async fn try_watch(&self, id: &str, from: i64) -> Result<tonic::Streaming<pb::Event>, Status> {
        let request = pb::WatchDrBackupRequest {
            id: id.to_owned(),
            from_sequence: from,
            until_settled: true,
        };
        let answer = self.backups().await.watch_dr_backup(request).await;
        answer.map(tonic::Response::into_inner)
    }

    /// Reads the story of a DR backup on to its rest; fails at a gap.
    async fn follow(&self, id: &str, last: &mut Option<pb::Event>) -> Result<(), Status> {
        let next = |last: &Option<pb::Event>| last.as_ref().map_or(1, |event| event.sequence + 1);
        let mut stream = self.try_watch(id, next(last)).await?;
        while let Some(event) = stream.message().await? {
            assert_eq!(event.sequence, next(last), "a gap in the story");
            *last = Some(event);
        }
        Ok(())
    }

    /// Reads the story of a DR backup from its beginning to its rest, which it answers.
    pub(crate) async fn told(&self, id: &str) -> pb::Event {
        let mut last = None;
        let reading = timeout(PATIENCE, self.follow(id, &mut last)).await;
        reading.expect("in time").expect("it goes on");
        last.expect("a story")
    }

    /// The same, where trouble may end the stream: then it is read on from there.
    pub(crate) async fn told_through_trouble(&self, id: &str) -> pb::Event {
        let mut last = None;
        let reading = async { while self.follow(id, &mut last).await.is_err() {} };
        timeout(PATIENCE, reading).await.expect("in time");
        last.expect("a story")
    }
}
