//! What a person would do today, run beside us: a script over openstacksdk, against the same cloud.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::Context as _;
use drbackup::sim::{Cloud, Instance, LoggedRequest, clouds_yaml};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};

/// Debian's, for which openstacksdk is packaged.
const PYTHON: &str = "/usr/bin/python3";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/fleet/sdk_baseline.py");

/// What the script took.
pub(crate) struct Run {
    /// From its first request to the end of its last thread.
    pub(crate) wall: Duration,
    /// The time that it computed.
    pub(crate) computed: Duration,
    /// What the cloud was asked.
    pub(crate) requests: Vec<LoggedRequest>,
}

#[derive(Deserialize)]
struct Told {
    seconds: f64,
    computed: f64,
}

/// Whether openstacksdk is here.
pub(crate) fn is_there() -> bool {
    std::process::Command::new(PYTHON)
        .args(["-c", "import openstack"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Backs up these instances with a thread for each of their volumes.
pub(crate) async fn run(
    cloud: &Cloud,
    fleet: &[Instance],
    manifest: bool,
    folder: &Path,
) -> anyhow::Result<Run> {
    let (yaml, list) = (folder.join("sdk.yaml"), folder.join("fleet.json"));
    std::fs::write(&yaml, clouds_yaml([cloud]))?;
    let instances: Vec<_> = fleet
        .iter()
        .map(|one| serde_json::json!({"server": one.server, "volumes": one.volumes}))
        .collect();
    std::fs::write(&list, serde_json::to_vec(&instances)?)?;
    let mut command = Command::new(PYTHON);
    command.args(["-W", "ignore", SCRIPT]).arg(&list);
    if manifest {
        command.arg("--manifest");
    }
    let mut child = command
        .env("OS_CLIENT_CONFIG_FILE", &yaml)
        .env_remove("http_proxy")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut begin = child.stdin.take().context("the script's input")?;
    let output = child.stdout.take().context("the script's output")?;
    let mut lines = BufReader::new(output).lines();
    let ready = lines.next_line().await?;
    anyhow::ensure!(ready.as_deref() == Some("ready"), "the script ended early");
    cloud.clear_requests();
    begin.write_all(b"begin\n").await?;
    let told = lines.next_line().await?.context("the script failed")?;
    let told: Told = serde_json::from_str(&told)?;
    child.wait().await?;
    Ok(Run {
        wall: Duration::from_secs_f64(told.seconds),
        computed: Duration::from_secs_f64(told.computed),
        requests: cloud.requests(),
    })
}
