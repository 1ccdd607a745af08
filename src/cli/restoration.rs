//! What a person can ask about restorations; it may not know how the answer is drawn.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};

use super::{
    Context,
    client::Client,
    config,
    failure::Failure,
    present,
    resolve::{self, Source, TenantFilter},
    work::{self, Sight, Subject as _, Work},
};
use crate::{api::pb, span::Span};

/// What to do with restorations.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Bring an instance back from a DR backup or a regular one and follow it to its end
    Create(Box<Create>),
    /// Show one restoration
    #[command(visible_alias = "show")]
    Get(Which),
    /// List restorations, newest first
    #[command(visible_alias = "ls")]
    List(List),
    /// Follow one restoration until it rests
    Watch(Watch),
    /// Give up a restoration; what it made is removed
    Cancel(Cancel),
    /// Delete a restoration; the instance stays unless its deletion is asked for
    #[command(visible_alias = "rm")]
    Delete(Delete),
    /// Show the restored instance as its cloud has it now
    Instance(Instance),
}

/// What to restore, where to, and what to change on the way.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Create {
    /// Id or name of the DR backup or the regular backup
    backup: String,
    /// Name of the cloud to restore into; a regular backup has only its own
    #[arg(long, short = 'c')]
    cloud: Option<String>,
    /// Id or name of the tenant (project) to restore into; a regular backup has only its own
    #[arg(long, short = 't')]
    tenant: Option<String>,
    /// Id or name of the flavor [default: that of the same name, else the smallest that fits]
    #[arg(long)]
    flavor: Option<String>,
    /// Name of the restored instance [default: that of the original]
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// Network for one of the original's, both by id or name; may be repeated [default: the one of
    /// the same name]
    #[arg(long = "network", value_name = "OLD=NEW[,ADDRESS]", value_parser = network_wish)]
    networks: Vec<NetworkOptions>,
    /// Give each port its old fixed addresses where that is possible
    #[arg(long)]
    keep_fixed_addresses: bool,
    /// Give each port its old MAC address where that is possible
    #[arg(long)]
    keep_mac_addresses: bool,
    /// Id of a security group for all ports in place of the original's; may be repeated
    #[arg(long = "security-group", value_name = "ID")]
    security_groups: Vec<String>,
    /// How to make one volume (by id, name or device) differently; may be repeated
    #[arg(
        long = "volume",
        value_name = "VOLUME:KEY=VALUE[,…]",
        value_parser = volume_wish,
        long_help = "How to make one volume, by id, name or device, differently; may be repeated. \
                     Keys: type, zone, size (GiB), such as vdb:type=ssd,size=20"
    )]
    volumes: Vec<VolumeOptions>,
    /// Volume type for all volumes without one of their own
    #[arg(long)]
    volume_type: Option<String>,
    /// Availability zone for all volumes without one of their own; without it one of the same name, if there is one
    #[arg(long, value_name = "ZONE")]
    volume_zone: Option<String>,
    /// Availability zone of the instance; without it one of the same name, if there is one
    #[arg(long, value_name = "ZONE")]
    availability_zone: Option<String>,
    /// Name of a key pair [default: that of the original]
    #[arg(long, value_name = "NAME", conflicts_with = "no_key")]
    key: Option<String>,
    /// Without a key pair
    #[arg(long)]
    no_key: bool,
    /// Whether the instance runs in the end
    #[arg(long, value_enum, default_value_t = StartName::AsCaptured)]
    start: StartName,
    /// File with user data, `-` for standard input [default: that of the original]
    #[arg(long, value_name = "FILE", conflicts_with = "no_user_data")]
    user_data: Option<String>,
    /// Without user data
    #[arg(long)]
    no_user_data: bool,
    /// Whether the instance gets a config drive [default: as the original]
    #[arg(long, value_name = "BOOL")]
    config_drive: Option<bool>,
    /// Metadata of the instance in addition to the original's; may be repeated
    #[arg(long = "metadata", value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Keep the volumes that have their bytes where the restoration cannot be brought to its end
    #[arg(long)]
    keep_volumes: bool,
    /// Give up and undo if it takes longer, such as 4h [default: the limit of the service]
    #[arg(long, value_name = "TIME")]
    time_limit: Option<Span>,
    /// Only check whether it could be done
    #[arg(long)]
    validate_only: bool,
    #[command(flatten)]
    work: Work,
}

/// Whether the instance runs in the end.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum StartName {
    /// If the original did
    AsCaptured,
    /// It runs
    Running,
    /// It is switched off
    Stopped,
}

impl StartName {
    fn message(self) -> pb::Start {
        match self {
            Self::AsCaptured => pb::Start::AsCaptured,
            Self::Running => pb::Start::Running,
            Self::Stopped => pb::Start::Stopped,
        }
    }
}

/// A network for one of the original's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NetworkOptions {
    source: String,
    target: String,
    fixed_address: String,
}

/// How to make one volume differently.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct VolumeOptions {
    volume: String,
    volume_type: String,
    zone: String,
    size_gib: i32,
}

/// Which restoration.
#[derive(Debug, Args)]
pub struct Which {
    /// Id of the restoration or name of its instance
    restoration: String,
}

/// Which restorations.
#[derive(Debug, Args)]
pub struct List {
    /// Into this cloud
    #[arg(long, short = 'c')]
    cloud: Option<String>,
    /// Into this tenant, by id or name
    #[arg(long, short = 't')]
    tenant: Option<String>,
    /// Of this DR backup or regular backup, by id or name
    #[arg(long)]
    backup: Option<String>,
    /// Of an instance of this name
    #[arg(long)]
    name: Option<String>,
    /// In this state, such as OK
    #[arg(long)]
    state: Option<String>,
    /// A filter of the API in addition, such as `create_time >= "2026-01-31T00:00:00Z"`
    #[arg(long)]
    filter: Option<String>,
    /// In what order: `create_time`, `update_time` or `name`, with an optional `desc`
    #[arg(long, value_name = "ORDER")]
    order_by: Option<String>,
    /// At most so many [default: all]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

/// What to follow.
#[derive(Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    sight: Sight,
}

/// What to give up.
#[derive(Debug, Args)]
pub struct Cancel {
    #[command(flatten)]
    which: Which,
    /// Keep the volumes that have their bytes
    #[arg(long)]
    keep_volumes: bool,
    #[command(flatten)]
    work: Work,
}

/// What to delete.
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    which: Which,
    /// Delete the instance too, with its volumes and their data, ports and security groups
    #[arg(long)]
    instance: bool,
    /// Forget what lies in a cloud that does not answer, instead of waiting for it
    #[arg(long)]
    allow_missing_cloud: bool,
    /// Only if it is still this version
    #[arg(long)]
    etag: Option<String>,
    #[command(flatten)]
    work: Work,
}

/// Which restored instance.
#[derive(Debug, Args)]
pub struct Instance {
    /// Id of the restoration or name of its instance
    #[arg(required_unless_present = "id")]
    restoration: Option<String>,
    /// Id that the restoration gave to its instance, in place of the restoration
    #[arg(long, value_name = "ID", conflicts_with = "restoration")]
    id: Option<String>,
    /// Show user data as well, which may hold passwords
    #[arg(long)]
    include_sensitive: bool,
}

pub(super) async fn run(verb: Verb, context: &mut Context<'_>) -> Result<(), Failure> {
    match verb {
        Verb::Create(create) => self::create(*create, context).await,
        Verb::Get(which) => {
            let id = resolve::restoration(&context.client, &which.restoration).await?;
            let restoration = context.client.restoration(&id).await?;
            present::one(context.out, context.settings.output, &restoration)
        }
        Verb::List(list) => self::list(list, context).await,
        Verb::Watch(watch) => {
            let id = resolve::restoration(&context.client, &watch.which.restoration).await?;
            work::watch::<pb::Restoration>(context, &id, &watch.sight).await
        }
        Verb::Cancel(cancel) => self::cancel(cancel, context).await,
        Verb::Delete(delete) => self::delete(delete, context).await,
        Verb::Instance(instance) => self::instance(instance, context).await,
    }
}

async fn create(create: Create, context: &mut Context<'_>) -> Result<(), Failure> {
    let client = &context.client;
    let source = resolve::source(client, &create.backup).await?;
    let (cloud, tenant) = target(&create, &source, client).await?;
    let flavor_id = match &create.flavor {
        Some(flavor) => resolve::flavor(client, &cloud, &tenant, flavor).await?,
        None => String::new(),
    };
    let (networks, volumes) = mappings(&create, &source, &cloud, &tenant, context).await?;
    let (dr_backup_id, backup_id) = match source {
        Source::DrBackup(id) => (id, String::new()),
        Source::Regular(backup) => (String::new(), backup.id),
    };
    let request_id = create.work.request_id();
    let request = pb::CreateRestorationRequest {
        dr_backup_id,
        backup_id,
        cloud,
        tenant,
        flavor_id,
        name: create.name.unwrap_or_default(),
        volumes,
        volume_type: create.volume_type.unwrap_or_default(),
        volume_availability_zone: create.volume_zone.unwrap_or_default(),
        networks,
        keep_fixed_addresses: create.keep_fixed_addresses,
        keep_mac_addresses: create.keep_mac_addresses,
        security_group_ids: create.security_groups,
        key_name: create.key.unwrap_or_default(),
        availability_zone: create.availability_zone.unwrap_or_default(),
        user_data: user_data(create.user_data.as_deref(), create.no_user_data)?,
        config_drive: create.config_drive,
        metadata: create.metadata.into_iter().collect::<HashMap<_, _>>(),
        time_limit: create.time_limit.and_then(|limit| limit.0.try_into().ok()),
        request_id: request_id.clone(),
        validate_only: create.validate_only,
        keep_volumes: create.keep_volumes,
        start: create.start.message().into(),
        no_key_pair: create.no_key,
    };
    let mut service = context.client.restorations();
    let answer = context
        .client
        .start(&request_id, service.create_restoration(request))
        .await?;
    if create.validate_only {
        let instance = answer.instance.clone().unwrap_or_default();
        let would = format!(
            "would restore instance {} into tenant {} of cloud {}",
            instance.name, answer.tenant, answer.cloud
        );
        let (output, beside) = (context.settings.output, answer.adjustments.clone());
        return present::checked(context.out, output, &answer, &would, &beside);
    }
    create.work.finish(context, answer).await
}

/// Where to restore to: what was named, and for a regular backup else where it is.
async fn target(
    create: &Create,
    source: &Source,
    client: &Client,
) -> Result<(String, String), Failure> {
    let home = match source {
        Source::DrBackup(_) => None,
        Source::Regular(backup) => Some((&backup.cloud, &backup.tenant)),
    };
    let missing = |flag: &str| {
        Failure::Usage(format!(
            "name the {flag} to restore the DR backup into with --{flag}"
        ))
    };
    let cloud = create.cloud.as_ref().or(home.map(|(cloud, _)| cloud));
    let cloud = cloud.ok_or_else(|| missing("cloud"))?;
    let tenant = match (&create.tenant, home) {
        (Some(tenant), _) => resolve::tenant(client, cloud, tenant).await?,
        (None, Some((_, tenant))) => tenant.clone(),
        (None, None) => return Err(missing("tenant")),
    };
    Ok((cloud.clone(), tenant))
}

/// The ids behind what was said about networks and volumes; asks only if something was said.
async fn mappings(
    create: &Create,
    source: &Source,
    cloud: &str,
    tenant: &str,
    context: &Context<'_>,
) -> Result<(Vec<pb::NetworkMapping>, Vec<pb::VolumeOverride>), Failure> {
    if create.networks.is_empty() && create.volumes.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let manifest = match source {
        Source::DrBackup(id) => pb::DrBackup::read(&context.client, id).await?.metadata,
        Source::Regular(backup) => backup.metadata.clone(),
    };
    let manifest = manifest.unwrap_or_default();
    let mut volumes = Vec::new();
    for wish in &create.volumes {
        volumes.push(pb::VolumeOverride {
            source_volume_id: resolve::source_volume(&wish.volume, &manifest)?,
            volume_type: wish.volume_type.clone(),
            availability_zone: wish.zone.clone(),
            size_gib: wish.size_gib,
        });
    }
    let mut networks = Vec::new();
    if !create.networks.is_empty() {
        let there = context.client.list_networks(cloud, tenant).await?;
        for wish in &create.networks {
            networks.push(pb::NetworkMapping {
                source_network_id: resolve::source_network(&wish.source, &manifest)?,
                target_network_id: resolve::network(&wish.target, &there)?,
                fixed_address: wish.fixed_address.clone(),
            });
        }
    }
    Ok((networks, volumes))
}

async fn list(list: List, context: &mut Context<'_>) -> Result<(), Failure> {
    let mut conditions = Vec::new();
    if let Some(backup) = &list.backup {
        conditions.push(match resolve::source(&context.client, backup).await? {
            Source::DrBackup(id) => resolve::equals("dr_backup_id", &id),
            Source::Regular(backup) => resolve::equals("backup_id", &backup.id),
        });
    }
    // The place of the settings is where backups are made, and not where they go to.
    let place = TenantFilter {
        cloud: list.cloud.as_ref(),
        tenant: list.tenant.as_ref(),
    };
    conditions.extend(resolve::conditions(&context.client, place.named(), None).await?);
    if let Some(name) = &list.name {
        conditions.push(resolve::equals("name", name));
    }
    if let Some(state) = &list.state {
        conditions.push(format!("state = {}", state.to_uppercase()));
    }
    conditions.extend(list.filter);
    let request = pb::ListRestorationsRequest {
        filter: conditions.join(" AND "),
        order_by: list.order_by.unwrap_or_default(),
        ..pb::ListRestorationsRequest::default()
    };
    let restorations = context
        .client
        .list_restorations(request, list.limit)
        .await?;
    present::list(context.out, context.settings.output, &restorations)
}

async fn cancel(cancel: Cancel, context: &mut Context<'_>) -> Result<(), Failure> {
    let request_id = cancel.work.request_id();
    let request = pb::CancelRestorationRequest {
        id: resolve::restoration(&context.client, &cancel.which.restoration).await?,
        request_id: request_id.clone(),
        keep_volumes: cancel.keep_volumes,
    };
    let mut service = context.client.restorations();
    let answer = context
        .client
        .start(&request_id, service.cancel_restoration(request))
        .await?;
    cancel.work.finish_cancelled(context, answer).await
}

async fn delete(delete: Delete, context: &mut Context<'_>) -> Result<(), Failure> {
    let request_id = delete.work.request_id();
    let request = pb::DeleteRestorationRequest {
        id: resolve::restoration(&context.client, &delete.which.restoration).await?,
        etag: delete.etag.unwrap_or_default(),
        delete_instance: delete.instance,
        allow_missing_cloud: delete.allow_missing_cloud,
        request_id: request_id.clone(),
    };
    let mut service = context.client.restorations();
    let answer = context
        .client
        .start(&request_id, service.delete_restoration(request))
        .await?;
    delete.work.finish(context, answer).await
}

async fn instance(wanted: Instance, context: &mut Context<'_>) -> Result<(), Failure> {
    let restoration_id = match &wanted.restoration {
        Some(restoration) => resolve::restoration(&context.client, restoration).await?,
        None => String::new(),
    };
    let request = pb::GetRestoredInstanceRequest {
        restoration_id,
        instance_id: wanted.id.unwrap_or_default(),
        include_sensitive: wanted.include_sensitive,
    };
    let mut service = context.client.restorations();
    let instance = context
        .client
        .ask(service.get_restored_instance(request))
        .await?;
    present::one(context.out, context.settings.output, &instance)
}

fn user_data(file: Option<&str>, none: bool) -> Result<Option<String>, Failure> {
    if none {
        return Ok(Some(String::new()));
    }
    let Some(file) = file else { return Ok(None) };
    Ok(Some(STANDARD.encode(config::read_file(file)?)))
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

fn network_wish(text: &str) -> Result<NetworkOptions, String> {
    let (source, rest) = pair(text).map_err(|_| "write OLD=NEW or OLD=NEW,ADDRESS".to_owned())?;
    let (target, address) = rest.split_once(',').unwrap_or((&rest, ""));
    if target.is_empty() {
        return Err("write OLD=NEW or OLD=NEW,ADDRESS".to_owned());
    }
    Ok(NetworkOptions {
        source,
        target: target.to_owned(),
        fixed_address: address.to_owned(),
    })
}

fn volume_wish(text: &str) -> Result<VolumeOptions, String> {
    let Some((volume, rest)) = text.split_once(':') else {
        return Err("write VOLUME:KEY=VALUE, such as vdb:type=ssd".to_owned());
    };
    let mut wish = VolumeOptions {
        volume: volume.to_owned(),
        ..VolumeOptions::default()
    };
    for part in rest.split(',') {
        let (key, value) = pair(part)?;
        match key.as_str() {
            "type" => wish.volume_type = value,
            "zone" => wish.zone = value,
            "size" => {
                let size = value.parse().ok().filter(|size| *size > 0);
                wish.size_gib = size.ok_or_else(|| format!("`{value}` is no size in GiB"))?;
            }
            _ => return Err(format!("`{key}` is not type, zone or size")),
        }
    }
    Ok(wish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_about_networks_and_volumes_are_read() {
        let network = network_wish("old=new,10.0.0.5").unwrap();
        assert_eq!(
            (
                network.source.as_str(),
                network.target.as_str(),
                network.fixed_address.as_str()
            ),
            ("old", "new", "10.0.0.5")
        );
        assert!(network_wish("old").is_err());
        assert!(network_wish("old=").is_err());
        let volume = volume_wish("vdb:type=ssd,size=20").unwrap();
        assert_eq!(
            volume,
            VolumeOptions {
                volume: "vdb".to_owned(),
                volume_type: "ssd".to_owned(),
                zone: String::new(),
                size_gib: 20,
            }
        );
        assert!(volume_wish("vdb:colour=red").is_err());
        for size in ["big", "0", "-1"] {
            assert!(volume_wish(&format!("vdb:size={size}")).is_err(), "{size}");
        }
    }
}
