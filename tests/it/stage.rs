//! Two simulated clouds and the service as a process of its own, asked by the command line as a person
//! would ask; it may not look inside the service.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use drbackup::sim::{self, Cloud, Instance, InstanceSpec, Times};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_drbackup");
/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// The clouds, the service and a place for its files.
pub(crate) struct Stage {
    pub(crate) source: Cloud,
    pub(crate) dr: Cloud,
    pub(crate) address: String,
    /// Where JSON is spoken, if not there.
    pub(crate) rest_address: String,
    /// Where metrics and probes are answered.
    pub(crate) ops_address: String,
    directory: TempDir,
    /// What is run, as the service and as its client.
    program: PathBuf,
    /// Where the service keeps what it knows; in a file of the stage, if nothing else is said.
    database: Option<String>,
    /// Flags of the service beside the usual ones.
    flags: Vec<String>,
    /// Its variables beside the usual ones.
    variables: BTreeMap<String, String>,
    service: Option<Service>,
}

struct Service {
    child: Child,
    log: JoinHandle<Vec<String>>,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Stage {
    /// Clouds that take these times, a network `internal` in each, and a service over them.
    pub(crate) async fn set(times: Times) -> Self {
        Self::set_with(times, Vec::new()).await
    }

    /// The same, and the service gets more flags.
    pub(crate) async fn set_with(times: Times, flags: Vec<String>) -> Self {
        let mut stage = Self::built(times, BINARY.into(), None).await;
        stage.flags = flags;
        stage.serve().await;
        stage
    }

    /// The same, before the service runs.
    pub(crate) async fn unserved(times: Times) -> Self {
        Self::built(times, BINARY.into(), None).await
    }

    /// Gives the service that is started next more flags.
    pub(crate) fn add_flags(&mut self, flags: &[&str]) {
        self.flags.extend(flags.iter().map(ToString::to_string));
    }

    /// The same, with another program and another database, before the service runs.
    pub(crate) async fn built(times: Times, program: PathBuf, database: Option<String>) -> Self {
        Self::made(times, program, database, |_| {}).await
    }

    /// The same with our program, and clouds that were changed before they started.
    pub(crate) async fn changed(
        times: Times,
        database: Option<String>,
        change: impl Fn(&mut sim::Config),
    ) -> Self {
        Self::made(times, BINARY.into(), database, change).await
    }

    async fn made(
        times: Times,
        program: PathBuf,
        database: Option<String>,
        change: impl Fn(&mut sim::Config),
    ) -> Self {
        let mut clouds = Vec::new();
        for mut config in sim::Config::pair(times) {
            change(&mut config);
            // The same ids in every run, so that a page of output can be compared.
            config.seed = 7 + u64::try_from(clouds.len()).expect("small");
            clouds.push(Cloud::start(config).await.expect("a cloud"));
        }
        let directory = TempDir::new().expect("a directory");
        let yaml = sim::clouds_yaml(&clouds);
        std::fs::write(directory.path().join("clouds.yaml"), yaml).expect("written");
        let [source, dr] = <[Cloud; 2]>::try_from(clouds).expect("two");
        for cloud in [&source, &dr] {
            cloud.create_network("demo", "internal").expect("a network");
        }
        Self {
            source,
            dr,
            address: String::new(),
            rest_address: String::new(),
            ops_address: String::new(),
            directory,
            program,
            database,
            flags: Vec::new(),
            variables: BTreeMap::new(),
            service: None,
        }
    }

    /// An instance in project demo of the first cloud.
    pub(crate) fn instance(&self, name: &str, volumes: &[u64]) -> Instance {
        let spec = InstanceSpec::new(name, volumes);
        self.source.create_instance(&spec).expect("an instance")
    }

    /// Gives the service that is started next these flags beside the usual ones.
    pub(crate) fn set_flags(&mut self, flags: Vec<String>) {
        self.flags = flags;
    }

    /// Gives the service that is started next another setting.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Starts the service, on the port that it had before if it had one.
    pub(crate) async fn serve(&mut self) {
        let listen = self
            .address
            .split_once("://")
            .map_or("127.0.0.1:0", |(_, address)| address)
            .to_owned();
        let file = || format!("sqlite:{}", self.path("drbackup.db").display());
        let database = self.database.clone().unwrap_or_else(file);
        let mut child = self
            .command("serve --log-format json --cloud source=source-demo --admin source=source-admin --cloud dr=dr-demo --admin dr=dr-admin")
            .args(["--listen", &listen])
            .args(&self.flags)
            .arg("--clouds-file")
            .arg(self.path("clouds.yaml"))
            .arg("--database")
            .arg(database)
            .env("DRBACKUP_ENGINE__OBSERVE_FIRST", "20ms")
            .env("DRBACKUP_ENGINE__OBSERVE_MIN", "20ms")
            .env("DRBACKUP_ENGINE__OBSERVE_MAX", "200ms")
            .env("DRBACKUP_ENGINE__SETTLE", "200ms")
            .env("DRBACKUP_STOP_NOTICE", "100ms")
            .env("DRBACKUP_OPS__LISTEN", "127.0.0.1:0")
            .env("DRBACKUP_ENGINE__LEASE", "2s")
            .env("DRBACKUP_ENGINE__LEASE_MARGIN", "500ms")
            .envs(&self.variables)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the service starts");
        let log = child.stderr.take().expect("piped");
        let mut lines = BufReader::new(log).lines();
        let mut read = Vec::new();
        let (address, rest_address, encrypted) = loop {
            let line = timeout(PATIENCE, lines.next_line()).await.expect("in time");
            let line = line.expect("readable");
            let line = line.unwrap_or_else(|| panic!("the service ended: {read:?}"));
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            read.push(line);
            if entry["message"] == "metrics and probes are answered" {
                let address = entry["ops_address"].as_str().expect("an address");
                self.ops_address = format!("http://{address}");
            }
            if entry["message"] == "drbackup serves" {
                let address = entry["address"].as_str().expect("an address").to_owned();
                let rest_address = entry["rest_address"].as_str().map(str::to_owned);
                break (address, rest_address, entry["encrypted"] == true);
            }
        };
        // Read on, or the service would wait for a reader.
        let log = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                read.push(line);
            }
            read
        });
        let scheme = if encrypted { "https" } else { "http" };
        self.address = format!("{scheme}://{address}");
        self.rest_address = rest_address.map_or_else(
            || self.address.clone(),
            |address| format!("{scheme}://{address}"),
        );
        self.service = Some(Service { child, log });
    }

    /// Ends the service as its operator would, and returns its exit code and its log.
    pub(crate) async fn terminate(&mut self) -> (Option<i32>, Vec<String>) {
        let mut service = self.service.take().expect("it runs");
        signal(&service.child, "TERM");
        let ended = timeout(PATIENCE, service.child.wait()).await;
        let status = ended.expect("in time").expect("waited");
        (status.code(), service.log.await.expect("a log"))
    }

    /// Sends the service a signal that does not end it.
    pub(crate) fn hang_up(&self) {
        let service = self.service.as_ref().expect("it runs");
        signal(&service.child, "HUP");
    }

    /// Asks the service to stop, and does not wait for it.
    pub(crate) fn ask_to_stop(&self) {
        let service = self.service.as_ref().expect("it runs");
        signal(&service.child, "TERM");
    }

    /// Ends the service as a power cut would.
    pub(crate) async fn kill(&mut self) {
        let mut service = self.service.take().expect("it runs");
        service.child.kill().await.expect("killed");
    }

    /// A file of the stage.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A command line, cut at spaces, that has not started yet.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(line.split(' '))
            .env_clear()
            .env("HOME", self.directory.path())
            .env("DRBACKUP_ADDRESS", &self.address)
            .env("DRBACKUP_OPS_ADDRESS", &self.ops_address)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command line to its end.
    pub(crate) async fn run(&self, line: &str) -> Answer {
        finish(self.command(line)).await
    }

    /// Runs a command line that has to succeed, and reads its answer as JSON.
    pub(crate) async fn json(&self, line: &str) -> serde_json::Value {
        let answer = self.run(&format!("{line} --output json --quiet")).await;
        assert_eq!(answer.code, 0, "{line}: {answer:?}");
        serde_json::from_str(&answer.stdout).expect("JSON")
    }
}

/// Waits for a command.
pub(crate) async fn finish(mut command: Command) -> Answer {
    let ended = timeout(PATIENCE, command.output()).await;
    Answer::from(ended.expect("in time").expect("started"))
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// Sends a signal to a process that we started.
pub(crate) fn signal(child: &Child, name: &str) {
    let id = child.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill")
        .args(["-s", name, &id])
        .status();
    assert!(sent.expect("kill runs").success());
}

/// Waits until something holds, looking often.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, found).await.expect("in time")
}
