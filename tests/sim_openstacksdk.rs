//! Holds the simulator to the truth of a client that was written for real clouds: openstacksdk.

use std::error::Error;
use std::process::Command;

use drbackup::sim::{Config, Release, Times, run};

const PYTHON: &str = "/usr/bin/python3";

/// Walks the journey from an old cloud into one of this release.
async fn journey(release: Release) -> Result<(), Box<dyn Error>> {
    let found = Command::new(PYTHON)
        .args(["-c", "import openstack, requests"])
        .output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "this test needs {PYTHON} with openstacksdk (Debian: python3-openstacksdk)"
    );
    let [source, dr] = Config::pair(Times::fast());
    let pair = run(vec![source, Config { release, ..dr }]).await?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("clouds.yaml");
    std::fs::write(&file, &pair.clouds_yaml)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sim_openstacksdk.py");
    let output = tokio::process::Command::new(PYTHON)
        .args(["-W", "ignore", script])
        .args(pair.clouds.iter().map(drbackup::sim::Cloud::url))
        .env("OS_CLIENT_CONFIG_FILE", &file)
        .env_remove("http_proxy")
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the script complains:\n{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn openstacksdk_walks_the_whole_journey_between_two_old_clouds() -> Result<(), Box<dyn Error>>
{
    journey(Release::Zed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn openstacksdk_walks_the_whole_journey_into_a_newer_cloud() -> Result<(), Box<dyn Error>> {
    journey(Release::Gazpacho).await
}
