//! What a person can ask about backups of one kind, DR or regular; it may not know what tells the kinds
//! apart, nor how the answer is drawn.

mod kind;

use std::marker::PhantomData;

use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use prost_types::FieldMask;

use self::kind::Kind;
pub(super) use self::kind::{Backup, Wanted};
use super::{
    Context,
    args::{Keep, Only, TenantArgs},
    failure::Failure,
    follow, present, progress, resolve,
    work::{self, Sight, Work},
};
use crate::{api::pb, span::Span};

/// What to do with backups of a kind.
#[derive(Debug, Subcommand)]
pub enum Verb<K: Kind> {
    /// Make one.
    #[command(about = format!("Make a {} of an instance and follow it to its end", K::NAME))]
    Create(Box<Create<K>>),
    /// Show one.
    #[command(about = format!("Show one {} with all that it holds", K::NAME), visible_alias = "show")]
    Get(Get),
    /// List them.
    #[command(about = format!("List {}s, newest first", K::NAME), visible_alias = "ls")]
    List(List<K>),
    /// Follow one or all.
    #[command(about = format!("Follow one {} until it rests, or all of them until interrupted", K::NAME))]
    Watch(Watch),
    /// Change the name, the description, or how long it is kept
    Update(Update),
    /// Delete one.
    #[command(about = format!("Delete a {} with its {}", K::NAME, K::DATA), visible_alias = "rm")]
    Delete(Delete),
    /// Give one up.
    #[command(about = format!("Give up the work on a {}; what it made is removed", K::NAME))]
    Cancel(Cancel),
}

/// Which instance, and how.
#[derive(Debug, Args)]
pub struct Create<K: Kind> {
    /// Id or name of the instance
    instance: String,
    #[command(flatten)]
    place: TenantArgs,
    #[arg(
        long,
        help = format!("Name of the {} [default: the name of the instance]", K::NAME),
        value_parser = NonEmptyStringValueParser::new()
    )]
    name: Option<String>,
    #[arg(long, help = format!("Description, also written to the {} in the cloud", K::PARTS))]
    description: Option<String>,
    #[command(flatten)]
    how: K::How,
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

/// Which backup.
#[derive(Debug, Args)]
pub struct Get {
    /// Id or name
    backup: String,
    /// Show user data as well, which may hold passwords
    #[arg(long)]
    include_sensitive: bool,
}

/// Which backups.
#[derive(Debug, Args)]
pub struct List<K: Kind> {
    #[command(flatten)]
    only: Only,
    /// In what order: `create_time`, `update_time` or `name`, with an optional `desc`
    #[arg(long, value_name = "ORDER")]
    order_by: Option<String>,
    /// At most so many [default: all]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    #[arg(
        long,
        help = format!("With metadata, {} and restorations, which tables do not show", K::PARTS)
    )]
    full: bool,
    #[arg(skip)]
    kind: PhantomData<K>,
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

pub(super) async fn run<B: Backup>(
    verb: Verb<B>,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    match verb {
        Verb::Create(create) => self::create(*create, context).await,
        Verb::Get(get) => self::get::<B>(get, context).await,
        Verb::List(list) => self::list(list, context).await,
        Verb::Watch(watch) => self::watch::<B>(watch, context).await,
        Verb::Update(update) => Box::pin(self::update::<B>(update, context)).await,
        Verb::Delete(delete) => self::delete::<B>(delete, context).await,
        Verb::Cancel(cancel) => self::cancel::<B>(cancel, context).await,
    }
}

async fn create<B: Backup>(create: Create<B>, context: &mut Context<'_>) -> Result<(), Failure> {
    let (cloud, tenant) = create.place.find(context).await?;
    let instance_id = resolve::instance(&context.client, &cloud, &tenant, &create.instance).await?;
    let of = [cloud.clone(), tenant.clone(), instance_id];
    let answer = B::create(&context.client, of, &create).await?;
    if create.validate_only {
        let would = format!(
            "would make a {} of instance {} of tenant {tenant} in cloud {cloud}",
            B::NAME,
            answer.instance().name
        );
        return present::checked(context.out, context.settings.output, &answer, &would, &[]);
    }
    create.work.finish(context, answer).await
}

async fn get<B: Backup>(get: Get, context: &mut Context<'_>) -> Result<(), Failure> {
    let id = resolve::backup::<B>(&context.client, &get.backup).await?;
    let backup = B::get(&context.client, id, get.include_sensitive).await?;
    present::one(context.out, context.settings.output, &backup)
}

async fn list<B: Backup>(list: List<B>, context: &mut Context<'_>) -> Result<(), Failure> {
    let view = if list.full {
        pb::View::Full
    } else {
        pb::View::Basic
    };
    let wanted = Wanted {
        filter: list.only.filter(context).await?,
        order_by: list.order_by.unwrap_or_default(),
        view,
        limit: list.limit,
    };
    let backups = B::list(&context.client, wanted).await?;
    present::list(context.out, context.settings.output, &backups)
}

async fn watch<B: Backup>(watch: Watch, context: &mut Context<'_>) -> Result<(), Failure> {
    if let Some(backup) = &watch.backup {
        let id = resolve::backup::<B>(&context.client, backup).await?;
        return work::watch::<B>(context, &id, &watch.sight).await;
    }
    let filter = watch.filter.unwrap_or_default();
    let client = &context.client;
    let open = async || B::watch_all(client, &filter).await;
    let mut answers = progress::Answers {
        out: context.out,
        output: context.settings.output,
    };
    follow::follow_many(client, context.settings.patience.0, &mut answers, open).await
}

async fn update<B: Backup>(update: Update, context: &mut Context<'_>) -> Result<(), Failure> {
    let id = resolve::backup::<B>(&context.client, &update.backup).await?;
    let answer = B::update(&context.client, id, &update).await?;
    update.work.finish(context, answer).await
}

async fn delete<B: Backup>(delete: Delete, context: &mut Context<'_>) -> Result<(), Failure> {
    let id = resolve::backup::<B>(&context.client, &delete.backup).await?;
    let answer = B::delete(&context.client, id, &delete).await?;
    delete.work.finish(context, answer).await
}

async fn cancel<B: Backup>(cancel: Cancel, context: &mut Context<'_>) -> Result<(), Failure> {
    let id = resolve::backup::<B>(&context.client, &cancel.backup).await?;
    let answer = B::cancel(&context.client, id, &cancel).await?;
    cancel.work.finish_cancelled(context, answer).await
}

impl Update {
    /// Which fields are named.
    fn mask(&self) -> FieldMask {
        let keeping = self.keep.keep_until.is_some() || self.keep_for_ever;
        let named = [
            ("name", self.name.is_some()),
            ("description", self.description.is_some()),
            ("kept_until", keeping),
            ("held", self.keep.hold || self.release),
        ];
        let named = named.into_iter().filter(|(_, named)| *named);
        FieldMask {
            paths: named.map(|(path, _)| path.to_owned()).collect(),
        }
    }
}
