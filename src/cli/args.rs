//! The arguments that several nouns take: where something is, what a list is narrowed to, how a point is
//! captured and kept; it may not know what is asked with them.

use clap::{Args, ValueEnum};

use super::{
    Context,
    config::{self, ClientSettings},
    failure::Failure,
    resolve,
};
use crate::{api::pb, span::Span};

/// How long a point is kept.
#[derive(Debug, Clone, Args)]
pub(super) struct Keep {
    /// Remove it by itself after this time (RFC 3339, or from now on, such as 30d), and nothing automatic
    /// before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) keep_until: Option<prost_types::Timestamp>,
    /// Put it on hold: nothing removes it until `--release`
    #[arg(long)]
    pub(super) hold: bool,
}

/// Reads a time, or how long it is until then.
fn moment(text: &str) -> Result<prost_types::Timestamp, String> {
    if let Ok(span) = text.parse::<Span>() {
        return config::in_future(span).ok_or_else(|| "is too far away".to_owned());
    }
    text.parse().map_err(|_| {
        "is neither a time such as 2027-01-31T00:00:00Z nor one from now on such as 30d".to_owned()
    })
}

/// Which cloud.
#[derive(Debug, Clone, Args)]
pub struct CloudArgs {
    /// Name of the cloud [env: `DRBACKUP_CLOUD`]
    #[arg(long, short = 'c')]
    cloud: Option<String>,
}

/// Where something is.
#[derive(Debug, Clone, Args)]
pub struct TenantArgs {
    #[command(flatten)]
    cloud: CloudArgs,
    /// Id or name of the tenant (project) [env: `DRBACKUP_TENANT`]
    #[arg(long, short = 't')]
    tenant: Option<String>,
}

/// The place that a list is narrowed to.
#[derive(Debug, Clone, Args)]
pub(super) struct Within {
    /// In this cloud; empty means in all [env: `DRBACKUP_CLOUD`]
    #[arg(long, short = 'c')]
    cloud: Option<String>,
    /// Of this tenant, by id or name; empty means of all [env: `DRBACKUP_TENANT`, where no cloud is named]
    #[arg(long, short = 't')]
    tenant: Option<String>,
}

/// How the data of the volumes is taken.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Capture {
    /// A snapshot of every volume, all at once, and a volume backup of each snapshot
    Snapshot,
    /// A volume backup straight from each volume while it is in use
    InUse,
    /// A snapshot, a temporary volume from it, and a volume backup of that
    Copy,
}

/// What a list is narrowed to.
#[derive(Debug, Clone, Args)]
pub(super) struct Only {
    #[command(flatten)]
    within: Within,
    /// Of this instance, by id or name
    #[arg(long)]
    instance: Option<String>,
    /// Of this name
    #[arg(long)]
    name: Option<String>,
    /// In this state, such as OK
    #[arg(long)]
    state: Option<String>,
    /// A filter of the API in addition, such as `create_time >= "2026-01-31T00:00:00Z"`
    #[arg(long)]
    filter: Option<String>,
}

impl Capture {
    /// As the API spells it.
    pub(super) fn message(self) -> pb::dr_backup::Capture {
        match self {
            Self::Snapshot => pb::dr_backup::Capture::Snapshot,
            Self::InUse => pb::dr_backup::Capture::VolumeInUse,
            Self::Copy => pb::dr_backup::Capture::SnapshotThenCopy,
        }
    }
}

impl TenantArgs {
    /// The cloud and the id of the tenant: what was named, else what the settings name.
    pub(super) async fn find(&self, context: &Context<'_>) -> Result<(String, String), Failure> {
        let cloud = self.cloud.cloud(context)?;
        let tenant = self
            .tenant
            .as_ref()
            .or(context.settings.tenant.as_ref())
            .ok_or_else(|| Failure::Usage("name the tenant with --tenant".to_owned()))?;
        let tenant = resolve::tenant(&context.client, &cloud, tenant).await?;
        Ok((cloud, tenant))
    }
}

impl CloudArgs {
    /// The cloud: what was named, else what the settings name.
    pub(super) fn cloud(&self, context: &Context<'_>) -> Result<String, Failure> {
        self.cloud
            .as_ref()
            .or(context.settings.cloud.as_ref())
            .cloned()
            .ok_or_else(|| Failure::Usage("name the cloud with --cloud".to_owned()))
    }
}

impl Within {
    /// The conditions of a filter that narrow a list so.
    pub(super) async fn conditions(
        self,
        instance: Option<String>,
        context: &Context<'_>,
    ) -> Result<Vec<String>, Failure> {
        let ClientSettings { cloud, tenant, .. } = &context.settings;
        // The tenant of the settings is one of their cloud.
        let usual = tenant.as_ref().filter(|_| self.cloud.is_none());
        let tenant = self.tenant.as_ref().or(usual);
        let place = resolve::TenantFilter {
            cloud: self.cloud.as_ref().or(cloud.as_ref()),
            tenant,
        };
        let place = place.named();
        resolve::conditions(&context.client, place, instance.as_deref()).await
    }
}

impl Only {
    pub(super) async fn filter(self, context: &Context<'_>) -> Result<String, Failure> {
        let mut conditions = self.within.conditions(self.instance, context).await?;
        if let Some(name) = self.name {
            conditions.push(resolve::equals("name", &name));
        }
        if let Some(state) = self.state {
            conditions.push(format!("state = {}", state.to_uppercase()));
        }
        conditions.extend(self.filter);
        Ok(conditions.join(" AND "))
    }
}
