//! What a person can ask about the configured clouds; it may not know how the answer is drawn.

use clap::{Args, Subcommand};

use super::{
    Context,
    args::{CloudArgs, TenantArgs},
    failure::Failure,
    present, resolve,
};
use crate::api::pb;

/// What to look at.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the configured clouds, each with a word on whether it answers
    #[command(visible_alias = "ls")]
    List,
    /// List the tenants (projects) of a cloud
    Tenants(CloudArgs),
    /// List the instances of a tenant
    Instances(TenantArgs),
    /// Show everything about one instance, as a DR backup made now would hold it
    Instance(Instance),
    /// List the flavors of a tenant; with a DR backup, which of them are large enough
    Flavors(Flavors),
    /// List the networks of a tenant
    Networks(TenantArgs),
    /// List the volume types of a tenant
    VolumeTypes(TenantArgs),
}

/// Which instance.
#[derive(Debug, Args)]
pub struct Instance {
    /// Id or name
    #[arg(value_name = "INSTANCE")]
    which: String,
    #[command(flatten)]
    place: TenantArgs,
    /// Show user data as well, which may hold passwords
    #[arg(long)]
    include_sensitive: bool,
}

/// Which flavors.
#[derive(Debug, Args)]
pub struct Flavors {
    #[command(flatten)]
    place: TenantArgs,
    /// Compare with what this DR backup needs, by id or name
    #[arg(long)]
    backup: Option<String>,
    /// Leave out those that are too small
    #[arg(long, requires = "backup")]
    fitting: bool,
}

pub(super) async fn run(verb: Verb, context: &mut Context<'_>) -> Result<(), Failure> {
    let output = context.settings.output;
    match verb {
        Verb::List => {
            let clouds = context.client.list_clouds().await?;
            present::list(context.out, output, &clouds)
        }
        Verb::Tenants(place) => {
            let cloud = place.cloud(context)?;
            let tenants = context.client.list_tenants(&cloud).await?;
            present::list(context.out, output, &tenants)
        }
        Verb::Instances(place) => {
            let (cloud, tenant) = place.find(context).await?;
            let instances = context.client.list_instances(&cloud, &tenant).await?;
            present::list(context.out, output, &instances)
        }
        Verb::Instance(instance) => self::instance(instance, context).await,
        Verb::Flavors(flavors) => self::flavors(flavors, context).await,
        Verb::Networks(place) => {
            let (cloud, tenant) = place.find(context).await?;
            let networks = context.client.list_networks(&cloud, &tenant).await?;
            present::list(context.out, output, &networks)
        }
        Verb::VolumeTypes(place) => {
            let (cloud, tenant) = place.find(context).await?;
            let types = context.client.list_volume_types(&cloud, &tenant).await?;
            present::list(context.out, output, &types)
        }
    }
}

async fn instance(wanted: Instance, context: &mut Context<'_>) -> Result<(), Failure> {
    let (cloud, tenant) = wanted.place.find(context).await?;
    let request = pb::GetInstanceRequest {
        instance_id: resolve::instance(&context.client, &cloud, &tenant, &wanted.which).await?,
        cloud,
        tenant,
        include_sensitive: wanted.include_sensitive,
    };
    let mut service = context.client.clouds();
    let instance = context.client.ask(service.get_instance(request)).await?;
    present::one(context.out, context.settings.output, &instance)
}

async fn flavors(wanted: Flavors, context: &mut Context<'_>) -> Result<(), Failure> {
    let (cloud, tenant) = wanted.place.find(context).await?;
    let dr_backup_id = match &wanted.backup {
        Some(backup) => resolve::backup::<pb::DrBackup>(&context.client, backup).await?,
        None => String::new(),
    };
    let request = pb::ListFlavorsRequest {
        cloud,
        tenant,
        dr_backup_id,
        fitting_only: wanted.fitting,
        ..pb::ListFlavorsRequest::default()
    };
    let flavors = context.client.list_flavors(request).await?;
    present::list(context.out, context.settings.output, &flavors)
}
