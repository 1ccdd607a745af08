//! What a person can ask about DR backups; it may not know how the answer is drawn.

use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use prost_types::FieldMask;

use super::{
    Context,
    args::{Capture, Keep, Only, Place},
    client::Noun,
    config::Span,
    consistency::Consistency,
    failure::Failure,
    follow, present, progress, resolve,
    work::{self, Sight, Work},
};
use crate::api::pb;

/// What to do with DR backups.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a DR backup of an instance and follow it to its end
    Create(Box<Create>),
    /// Show one DR backup with all that it holds
    #[command(visible_alias = "show")]
    Get(Get),
    /// List DR backups, newest first
    #[command(visible_alias = "ls")]
    List(List),
    /// Follow one DR backup until it rests, or all of them until interrupted
    Watch(Watch),
    /// Change the name, the description, or how long it is kept
    Update(Update),
    /// Delete a DR backup with its data
    #[command(visible_alias = "rm")]
    Delete(Delete),
    /// Give up the work on a DR backup; what it made is removed
    Cancel(Cancel),
}

/// Which instance, and how.
#[derive(Debug, Args)]
pub struct Create {
    /// Id or name of the instance
    instance: String,
    #[command(flatten)]
    place: Place,
    /// Name of the DR backup [default: the name of the instance]
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// Description, also written to the volume backups in the cloud
    #[arg(long)]
    description: Option<String>,
    /// How to take the data
    #[arg(long, value_enum, default_value_t = Capture::Snapshot)]
    capture: Capture,
    /// How well the volumes have to agree at least; less is refused
    #[arg(long, value_enum)]
    consistency: Option<Consistency>,
    /// Only what changed since the last volume backup of each volume, where there is one
    #[arg(long)]
    incremental: bool,
    /// Give up and undo if it takes longer, such as 4h [default: the limit of the service]
    #[arg(long, value_name = "TIME")]
    time_limit: Option<Span>,
    #[command(flatten)]
    keep: Keep,
    /// Only check whether it could be done
    #[arg(long)]
    validate_only: bool,
    #[command(flatten)]
    work: Work,
}

/// Which DR backup.
#[derive(Debug, Args)]
pub struct Get {
    /// Id or name
    backup: String,
    /// Show user data as well, which may hold passwords
    #[arg(long)]
    include_sensitive: bool,
}

/// Which DR backups.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    only: Only,
    /// In what order: `create_time`, `update_time` or `name`, with an optional `desc`
    #[arg(long, value_name = "ORDER")]
    order_by: Option<String>,
    /// At most so many [default: all]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// With metadata, volume backups and restorations, which tables do not show
    #[arg(long)]
    full: bool,
}

/// What to follow.
#[derive(Debug, Args)]
pub struct Watch {
    /// Id or name; without one all that fit the filter
    backup: Option<String>,
    #[command(flatten)]
    sight: Sight,
    /// Which ones, in the API's words, when none is named
    #[arg(long, conflicts_with = "backup")]
    filter: Option<String>,
}

/// What to change.
#[derive(Debug, Args)]
pub struct Update {
    /// Id or name
    backup: String,
    /// The new name
    #[arg(long, required_unless_present_any = ["description", "keep_until", "keep_for_ever", "hold", "release"])]
    name: Option<String>,
    /// The new description; empty removes it
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    keep: Keep,
    /// No time at which it is removed by itself
    #[arg(long, conflicts_with = "keep_until")]
    keep_for_ever: bool,
    /// Lift the hold
    #[arg(long, conflicts_with = "hold")]
    release: bool,
    /// Only if it is still this version
    #[arg(long)]
    etag: Option<String>,
    #[command(flatten)]
    work: Work,
}

/// What to delete.
#[derive(Debug, Args)]
pub struct Delete {
    /// Id or name
    backup: String,
    /// Forget what lies in a cloud that does not answer, instead of waiting for it
    #[arg(long)]
    allow_missing_cloud: bool,
    /// Only if it is still this version
    #[arg(long)]
    etag: Option<String>,
    #[command(flatten)]
    work: Work,
}

/// What to give up.
#[derive(Debug, Args)]
pub struct Cancel {
    /// Id or name
    backup: String,
    #[command(flatten)]
    work: Work,
}

pub(super) async fn run(verb: Verb, context: &mut Context<'_>) -> Result<(), Failure> {
    match verb {
        Verb::Create(create) => self::create(*create, context).await,
        Verb::Get(get) => self::get(get, context).await,
        Verb::List(list) => self::list(list, context).await,
        Verb::Watch(watch) => self::watch(watch, context).await,
        Verb::Update(update) => Box::pin(self::update(update, context)).await,
        Verb::Delete(delete) => self::delete(delete, context).await,
        Verb::Cancel(cancel) => self::cancel(cancel, context).await,
    }
}

async fn create(create: Create, context: &mut Context<'_>) -> Result<(), Failure> {
    let (cloud, tenant) = create.place.find(context).await?;
    let instance_id = resolve::instance(&context.client, &cloud, &tenant, &create.instance).await?;
    let request_id = create.work.request_id();
    let request = pb::CreateDrBackupRequest {
        cloud,
        tenant,
        instance_id,
        name: create.name.unwrap_or_default(),
        description: create.description.unwrap_or_default(),
        capture: create.capture.message().into(),
        incremental: create.incremental,
        minimum_consistency: create
            .consistency
            .map(Consistency::message)
            .unwrap_or_default()
            .into(),
        time_limit: create.time_limit.and_then(|limit| limit.0.try_into().ok()),
        request_id: request_id.clone(),
        validate_only: create.validate_only,
        kept_until: create.keep.keep_until,
        held: create.keep.hold,
    };
    let mut service = context.client.backups();
    let answer = context
        .client
        .start(&request_id, service.create_dr_backup(request))
        .await?;
    if create.validate_only {
        let would = format!(
            "would make a DR backup of instance {} of tenant {} in cloud {}",
            answer.instance_name, answer.tenant, answer.cloud
        );
        return present::checked(context.out, context.settings.output, &answer, &would, &[]);
    }
    create.work.finish(context, answer).await
}

async fn get(get: Get, context: &mut Context<'_>) -> Result<(), Failure> {
    let request = pb::GetDrBackupRequest {
        id: resolve::backup(&context.client, &get.backup).await?,
        include_sensitive: get.include_sensitive,
    };
    let mut service = context.client.backups();
    let backup = context.client.ask(service.get_dr_backup(request)).await?;
    present::one(context.out, context.settings.output, &backup)
}

async fn list(list: List, context: &mut Context<'_>) -> Result<(), Failure> {
    let view = if list.full {
        pb::View::Full
    } else {
        pb::View::Basic
    };
    let request = pb::ListDrBackupsRequest {
        filter: list.only.filter(context).await?,
        order_by: list.order_by.unwrap_or_default(),
        view: view.into(),
        ..pb::ListDrBackupsRequest::default()
    };
    let backups = context.client.list_backups(request, list.limit).await?;
    present::list(context.out, context.settings.output, &backups)
}

async fn watch(watch: Watch, context: &mut Context<'_>) -> Result<(), Failure> {
    if let Some(backup) = &watch.backup {
        let id = resolve::backup(&context.client, backup).await?;
        return work::watch(context, Noun::Backup, &id, &watch.sight).await;
    }
    let filter = watch.filter.unwrap_or_default();
    let client = &context.client;
    let open = async || {
        let filter = filter.clone();
        let request = pb::WatchDrBackupsRequest { filter };
        client.backups().watch_dr_backups(request).await
    };
    let mut answers = progress::Answers {
        out: context.out,
        output: context.settings.output,
    };
    follow::follow_many(client, context.settings.patience.0, &mut answers, open).await
}

async fn update(update: Update, context: &mut Context<'_>) -> Result<(), Failure> {
    let request_id = update.work.request_id();
    let changed = [
        ("name", update.name.is_some()),
        ("description", update.description.is_some()),
        (
            "kept_until",
            update.keep.keep_until.is_some() || update.keep_for_ever,
        ),
        ("held", update.keep.hold || update.release),
    ];
    let changed = changed.into_iter().filter(|(_, changed)| *changed);
    let paths = changed.map(|(path, _)| path.to_owned()).collect();
    let request = pb::UpdateDrBackupRequest {
        dr_backup: Some(pb::DrBackup {
            id: resolve::backup(&context.client, &update.backup).await?,
            name: update.name.unwrap_or_default(),
            description: update.description.unwrap_or_default(),
            kept_until: update.keep.keep_until,
            held: update.keep.hold,
            etag: update.etag.unwrap_or_default(),
            ..pb::DrBackup::default()
        }),
        update_mask: Some(FieldMask { paths }),
        request_id: request_id.clone(),
    };
    let mut service = context.client.backups();
    let answer = context
        .client
        .start(&request_id, Box::pin(service.update_dr_backup(request)))
        .await?;
    update.work.finish(context, answer).await
}

async fn delete(delete: Delete, context: &mut Context<'_>) -> Result<(), Failure> {
    let request_id = delete.work.request_id();
    let request = pb::DeleteDrBackupRequest {
        id: resolve::backup(&context.client, &delete.backup).await?,
        etag: delete.etag.unwrap_or_default(),
        allow_missing_cloud: delete.allow_missing_cloud,
        request_id: request_id.clone(),
    };
    let mut service = context.client.backups();
    let answer = context
        .client
        .start(&request_id, service.delete_dr_backup(request))
        .await?;
    delete.work.finish(context, answer).await
}

async fn cancel(cancel: Cancel, context: &mut Context<'_>) -> Result<(), Failure> {
    let request_id = cancel.work.request_id();
    let request = pb::CancelDrBackupRequest {
        id: resolve::backup(&context.client, &cancel.backup).await?,
        request_id: request_id.clone(),
    };
    let mut service = context.client.backups();
    let answer = context
        .client
        .start(&request_id, service.cancel_dr_backup(request))
        .await?;
    cancel.work.finish_cancelled(context, answer).await
}
