//! The service as a process of its own, as an operator runs it, and what the system says of a process.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use drbackup::{
    api::pb::dr_backup_service_client::DrBackupServiceClient,
    sim::{Cloud, clouds_yaml},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};
use tonic::transport::Channel;

/// The service, built with the same settings as this.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_drbackup");
/// How long a service may take to let callers in.
const PATIENCE: Duration = Duration::from_secs(120);

/// A service that runs over the first of these clouds and ends with this value.
pub(crate) struct Service {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
    /// How long it took until it let callers in.
    pub(crate) ready_after: Duration,
}

impl Service {
    /// Starts one over `cloud` that keeps everything at `database`, with its files in `folder`.
    pub(crate) async fn start(
        cloud: &Cloud,
        folder: &Path,
        database: &str,
    ) -> anyhow::Result<Self> {
        Self::start_with(cloud, folder, database, &[]).await
    }

    /// The same with some settings that differ from the usual ones.
    pub(crate) async fn start_with(
        cloud: &Cloud,
        folder: &Path,
        database: &str,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let yaml = folder.join("clouds.yaml");
        std::fs::write(&yaml, clouds_yaml([cloud]))?;
        let mut command = Command::new(BINARY);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(["--database", database, "--clouds-file"])
            .arg(&yaml)
            .args(["--cloud", "source=source-demo"])
            .args(["--admin", "source=source-operator"])
            .env_clear()
            .env("HOME", folder)
            .envs(settings.iter().map(|(name, value)| (*name, value)))
            .envs(tried_out())
            .current_dir(folder);
        let begun = Instant::now();
        let (child, address) = launch(command).await?;
        Ok(Self {
            child,
            address,
            ready_after: begun.elapsed(),
        })
    }

    /// A connection of its own.
    pub(crate) async fn channel(&self) -> anyhow::Result<Channel> {
        connect(&self.address).await
    }

    /// A client with a connection of its own.
    pub(crate) async fn client(&self) -> anyhow::Result<DrBackupServiceClient<Channel>> {
        Ok(DrBackupServiceClient::new(self.channel().await?))
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Ends it as a loss of power would.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("ending the service")
    }
}

/// A connection to a loopback address.
pub(crate) async fn connect(address: &str) -> anyhow::Result<Channel> {
    let endpoint = Channel::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    endpoint.connect().await.context("connecting")
}

/// Starts a process that tells where it listens, in a line with `"address":"…"`.
pub(crate) async fn launch(mut command: Command) -> anyhow::Result<(Child, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let log = child.stderr.take().context("the log of the process")?;
    let mut lines = BufReader::new(log).lines();
    let mut said = Vec::new();
    let address = async {
        while let Some(line) = lines.next_line().await? {
            if let Some(address) = address_in(&line) {
                return Ok(address);
            }
            said.push(line);
        }
        anyhow::bail!("it ended before it listened:\n{}", said.join("\n"))
    };
    let address = tokio::time::timeout(PATIENCE, address).await??;
    // A process whose log nobody reads would stand still when the pipe is full.
    tokio::spawn(async move {
        let watched = std::env::var_os("FLEET_LOG").is_some();
        while let Ok(Some(line)) = lines.next_line().await {
            if watched {
                super::table::note(&line);
            }
        }
    });
    Ok((child, address))
}

/// Settings to try out: `FLEET_DRBACKUP_…` is `DRBACKUP_…` for every service. What else the environment
/// says of a service is somebody's own and does not belong into a figure.
fn tried_out() -> impl Iterator<Item = (String, String)> {
    std::env::vars().filter_map(|(name, value)| {
        let name = name.strip_prefix("FLEET_")?;
        name.starts_with("DRBACKUP_")
            .then(|| (name.to_owned(), value))
    })
}

fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("\"address\":\"")?;
    let (address, _) = rest.split_once('"')?;
    Some(address.to_owned())
}

/// What a process has in memory, in bytes, with the pages of files that it has mapped.
pub(crate) fn memory(process: u32) -> anyhow::Result<f64> {
    status(process, "VmRSS:")
}

/// What a process has in memory that is its own, in bytes.
pub(crate) fn own_memory(process: u32) -> anyhow::Result<f64> {
    status(process, "RssAnon:")
}

fn status(process: u32, field: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .context("the system tells no memory")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0)
}

/// The time that a process has computed so far, with its children that ended.
pub(crate) fn computed(process: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program may hold anything; what comes behind it is numbers.
    let (_, numbers) = stat.rsplit_once(')').context("the system tells no times")?;
    let fields: Vec<&str> = numbers.split_whitespace().collect();
    let ticks = |place: usize| -> anyhow::Result<u64> {
        Ok(fields.get(place).context("too few numbers")?.parse()?)
    };
    // Hundredths of a second, on every Linux that there is.
    Ok(Duration::from_millis(10 * (ticks(11)? + ticks(12)?)))
}
