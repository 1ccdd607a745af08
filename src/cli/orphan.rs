//! What a person can do about what was left behind in clouds; it may not know how the answer is drawn.

use clap::{Args, Subcommand};

use super::{
    Context, args::TenantArgs, config::new_request_id, failure::Failure, present, resolve::equals,
};
use crate::api::pb::{self, orphan_deletion::Outcome};

/// What to do about orphans.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List what drbackup made in a tenant and nothing of it accounts for any more
    #[command(visible_alias = "ls")]
    List(List),
    /// Delete orphans, each only if it still is one
    #[command(visible_alias = "rm")]
    Delete(Delete),
    /// List how many orphans the last sweep found in each tenant
    Sweeps(Sweeps),
}

/// Which orphans.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    place: TenantArgs,
    /// A filter of the API, such as `kind = VOLUME`
    #[arg(long)]
    filter: Option<String>,
}

/// Which ones to delete.
#[derive(Debug, Args)]
pub struct Delete {
    /// Ids, as `orphan list` shows them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    place: TenantArgs,
    /// Also those whose operation the service does not know: it lost its database, or they belong to
    /// another drbackup over the same cloud
    #[arg(long)]
    include_unknown: bool,
    /// A word by which the service recognises a repeated request [default: a random one]
    #[arg(long, value_name = "WORD")]
    request_id: Option<String>,
}

/// Which sweeps.
#[derive(Debug, Args)]
pub struct Sweeps {
    /// In this cloud; empty means in all [env: `DRBACKUP_CLOUD`]
    #[arg(long, short = 'c')]
    cloud: Option<String>,
}

pub(super) async fn run(verb: Verb, context: &mut Context<'_>) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => self::list(list, context).await,
        Verb::Delete(delete) => self::delete(delete, context).await,
        Verb::Sweeps(sweeps) => self::sweeps(sweeps, context).await,
    }
}

async fn list(list: List, context: &mut Context<'_>) -> Result<(), Failure> {
    let (cloud, tenant) = list.place.find(context).await?;
    let request = pb::ListOrphansRequest {
        cloud,
        tenant,
        filter: list.filter.unwrap_or_default(),
        ..pb::ListOrphansRequest::default()
    };
    let orphans = context.client.list_orphans(request).await?;
    present::list(context.out, context.settings.output, &orphans)
}

async fn delete(delete: Delete, context: &mut Context<'_>) -> Result<(), Failure> {
    let (cloud, tenant) = delete.place.find(context).await?;
    let request_id = delete.request_id.unwrap_or_else(new_request_id);
    let request = pb::DeleteOrphansRequest {
        cloud,
        tenant,
        ids: delete.ids,
        include_unknown: delete.include_unknown,
        request_id: request_id.clone(),
    };
    let mut service = context.client.orphans();
    let answer = context
        .client
        .start(&request_id, service.delete_orphans(request))
        .await?;
    present::list(context.out, context.settings.output, &answer.deletions)?;
    let left = answer
        .deletions
        .iter()
        .filter(|one| one.outcome() != Outcome::Deleted)
        .count();
    if left == 0 {
        return Ok(());
    }
    Err(Failure::Conflict(format!(
        "{left} of {} were not deleted",
        answer.deletions.len()
    )))
}

async fn sweeps(sweeps: Sweeps, context: &mut Context<'_>) -> Result<(), Failure> {
    let cloud = sweeps.cloud.or_else(|| context.settings.cloud.clone());
    let cloud = cloud.filter(|cloud| !cloud.is_empty());
    let request = pb::ListOrphanSweepsRequest {
        filter: cloud
            .map(|cloud| equals("cloud", &cloud))
            .unwrap_or_default(),
        ..pb::ListOrphanSweepsRequest::default()
    };
    let sweeps = context.client.list_orphan_sweeps(request).await?;
    present::list(context.out, context.settings.output, &sweeps)
}
