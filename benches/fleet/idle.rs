//! What the service costs when nobody asks anything.

use std::time::Duration;

use drbackup::sim::{Cloud, Config};

use super::{
    process::{BINARY, Service, computed, memory},
    table::{Row, Table, size, span},
};

/// How long it is left alone.
const REST: Duration = Duration::from_secs(10);

/// Measures the section.
pub(crate) async fn measure(table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let cloud = Cloud::start(Config::new("source")).await?;
    let database = format!("sqlite:{}", folder.path().join("idle.db").display());
    let service = Service::start(&cloud, folder.path(), &database).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = computed(service.id())?;
    tokio::time::sleep(REST).await;
    let worked = computed(service.id())?.saturating_sub(before);
    let held = memory(service.id())?;
    table.add(
        Row::new("idle", "memory at rest")
            .ours(size(held))
            .ratio(format!("computes {} in {}", span(worked), span(REST))),
    );
    table.add(
        Row::new("idle", "until it lets callers in, with a new database")
            .ours(span(service.ready_after)),
    );
    #[expect(
        clippy::cast_precision_loss,
        reason = "a binary of less than a petabyte"
    )]
    let binary = std::fs::metadata(BINARY)?.len() as f64;
    table.add(Row::new("idle", "size of the binary, stripped").ours(size(binary)));
    service.kill().await
}
