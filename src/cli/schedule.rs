//! What a person can ask about schedules; it may not know how the answer is drawn.

use clap::{Args, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};
use prost_types::FieldMask;

use super::{
    Context,
    args::{Capture, TenantArgs, Within},
    config::new_request_id,
    consistency::Consistency,
    failure::Failure,
    present, resolve,
};
use crate::{api::pb, span::Span};

/// What to do with schedules.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Back an instance up again and again
    Create(Box<Create>),
    /// Show one schedule
    #[command(visible_alias = "show")]
    Get(One),
    /// List schedules, newest first
    #[command(visible_alias = "ls")]
    List(List),
    /// Change what a schedule does
    Update(Box<Update>),
    /// Delete a schedule; what it made stays
    #[command(visible_alias = "rm")]
    Delete(Change),
    /// Let a schedule run by itself
    Activate(Change),
    /// Keep a schedule from running by itself
    Deactivate(Change),
    /// Run a schedule now
    Run(Change),
    /// Tell the next runs, and what retention would let go now
    Preview(Preview),
    /// List what became of its runs, newest first
    Runs(Runs),
}

/// Which instance, when, and what to keep.
#[derive(Debug, Args)]
pub struct Create {
    /// Id or name of the instance
    instance: String,
    #[command(flatten)]
    place: TenantArgs,
    /// When, as five cron fields or @daily and the like, such as "30 3 * * *"
    #[arg(long, value_name = "CRON")]
    schedule: String,
    /// Which kind of backup to make
    #[arg(long, value_enum, default_value_t = BackupType::Dr)]
    backup_type: BackupType,
    #[command(flatten)]
    plan: Plan,
    /// Do not run by itself yet
    #[arg(long)]
    inactive: bool,
    /// Only check whether it could be made
    #[arg(long)]
    validate_only: bool,
    /// A word by which the service recognises a repeated request [default: a random one]
    #[arg(long, value_name = "WORD")]
    request_id: Option<String>,
}

/// What a schedule does.
#[derive(Debug, Clone, Args)]
struct Plan {
    /// Name [default: the name of the instance]
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// Description
    #[arg(long)]
    description: Option<String>,
    /// Time zone of the IANA database [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Begin each run at a moment of its own within this span, such as 10m
    #[arg(long, value_name = "TIME")]
    jitter: Option<Span>,
    /// What becomes of runs that were missed while the service was down
    #[arg(long, value_enum)]
    missed_runs: Option<MissedRuns>,
    /// Deactivate it after so many failed runs one after the other
    #[arg(long, value_name = "COUNT")]
    failures_maximum: Option<i32>,
    /// One of so many is a full one, the others build on the one before
    #[arg(long, value_name = "COUNT")]
    full_every: Option<i32>,
    /// How to take the data
    #[arg(long, value_enum)]
    capture: Option<Capture>,
    /// How well the volumes of each backup have to agree at least; a run that cannot reach it fails
    #[arg(long, value_enum)]
    consistency: Option<Consistency>,
    #[command(flatten)]
    keep: Keep,
}

/// What to keep; without any of these everything is kept.
#[derive(Debug, Clone, Args)]
struct Keep {
    /// Keep those that are younger than so many days
    #[arg(long = "keep-days", value_name = "DAYS")]
    days: Option<i32>,
    /// Keep the newest so many
    #[arg(long = "keep-last", value_name = "COUNT")]
    last: Option<i32>,
    /// Keep the newest of each of the last so many hours
    #[arg(long = "keep-hourly", value_name = "COUNT")]
    hourly: Option<i32>,
    /// Keep the newest of each of the last so many days
    #[arg(long = "keep-daily", value_name = "COUNT")]
    daily: Option<i32>,
    /// Keep the newest of each of the last so many weeks
    #[arg(long = "keep-weekly", value_name = "COUNT")]
    weekly: Option<i32>,
    /// Keep the newest of each of the last so many months
    #[arg(long = "keep-monthly", value_name = "COUNT")]
    monthly: Option<i32>,
    /// Keep the newest of each of the last so many years
    #[arg(long = "keep-yearly", value_name = "COUNT")]
    yearly: Option<i32>,
    /// Keep no more than so many of all these
    #[arg(long = "keep-at-most", value_name = "COUNT")]
    at_most: Option<i32>,
    /// Keep so many good ones whatever else is said
    #[arg(long = "keep-at-least", value_name = "COUNT")]
    at_least: Option<i32>,
}

/// Which kind of backup is made.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum BackupType {
    /// DR backups, which can be restored in another cloud
    Dr,
    /// Regular backups: snapshots, which are restored in the tenant of the instance
    Regular,
}

/// What becomes of runs that were missed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum MissedRuns {
    /// One run makes up for them
    RunOnce,
    /// They are skipped
    Skip,
}

/// Which schedule.
#[derive(Debug, Args)]
pub struct One {
    /// Id or name
    schedule: String,
}

/// Which schedule to do something with.
#[derive(Debug, Args)]
pub struct Change {
    /// Id or name
    schedule: String,
    /// Only if it is still this version
    #[arg(long)]
    etag: Option<String>,
    /// A word by which the service recognises a repeated request [default: a random one]
    #[arg(long, value_name = "WORD")]
    request_id: Option<String>,
}

/// Which schedules.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    within: Within,
    /// Of this instance, by id or name
    #[arg(long)]
    instance: Option<String>,
}

/// What to change; what is not named stays. Naming any rule of retention replaces all of them.
#[derive(Debug, Args)]
pub struct Update {
    /// Id or name
    of: String,
    /// When, as five cron fields or @daily and the like
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,
    #[command(flatten)]
    plan: Plan,
    /// Keep everything from now on
    #[arg(long)]
    keep_all: bool,
    /// Only if it is still this version
    #[arg(long)]
    etag: Option<String>,
    /// A word by which the service recognises a repeated request [default: a random one]
    #[arg(long, value_name = "WORD")]
    request_id: Option<String>,
}

/// How far to look ahead.
#[derive(Debug, Args)]
pub struct Preview {
    /// Id or name
    schedule: String,
    /// How many runs to tell
    #[arg(long, default_value_t = 10)]
    runs: i32,
}

/// Whose runs.
#[derive(Debug, Args)]
pub struct Runs {
    /// Id or name
    schedule: String,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
}

pub(super) async fn run(verb: Verb, context: &mut Context<'_>) -> Result<(), Failure> {
    match verb {
        Verb::Create(create) => self::create(*create, context).await,
        Verb::Get(one) => get(one, context).await,
        Verb::List(list) => self::list(list, context).await,
        Verb::Update(update) => self::update(*update, context).await,
        Verb::Delete(change) => delete(change, context).await,
        Verb::Activate(change) => activate(change, context).await,
        Verb::Deactivate(change) => deactivate(change, context).await,
        Verb::Run(change) => run_now(change, context).await,
        Verb::Preview(preview) => self::preview(preview, context).await,
        Verb::Runs(runs) => self::runs(runs, context).await,
    }
}

async fn create(create: Create, context: &mut Context<'_>) -> Result<(), Failure> {
    let (cloud, tenant) = create.place.find(context).await?;
    let instance_id = resolve::instance(&context.client, &cloud, &tenant, &create.instance).await?;
    let request_id = create.request_id.unwrap_or_else(new_request_id);
    let (wanted, _) = create.plan.message();
    let request = pb::CreateScheduleRequest {
        schedule: Some(pb::Schedule {
            cloud,
            tenant,
            instance_id,
            schedule: create.schedule,
            backup_type: match create.backup_type {
                BackupType::Dr => pb::schedule::BackupType::Dr,
                BackupType::Regular => pb::schedule::BackupType::Regular,
            }
            .into(),
            is_active: !create.inactive,
            ..wanted
        }),
        request_id: request_id.clone(),
        validate_only: create.validate_only,
    };
    let mut service = context.client.schedules();
    let call = service.create_schedule(request);
    let answer = context.client.start(&request_id, call).await?;
    present::one(context.out, context.settings.output, &answer)
}

async fn get(one: One, context: &mut Context<'_>) -> Result<(), Failure> {
    let id = resolve::schedule(&context.client, &one.schedule).await?;
    let mut service = context.client.schedules();
    let call = service.get_schedule(pb::GetScheduleRequest { id });
    let answer = context.client.ask(call).await?;
    present::one(context.out, context.settings.output, &answer)
}

async fn list(list: List, context: &mut Context<'_>) -> Result<(), Failure> {
    let conditions = list.within.conditions(list.instance, context).await?;
    let request = pb::ListSchedulesRequest {
        filter: conditions.join(" AND "),
        ..pb::ListSchedulesRequest::default()
    };
    let schedules = context.client.list_schedules(request, None).await?;
    present::list(context.out, context.settings.output, &schedules)
}

async fn update(update: Update, context: &mut Context<'_>) -> Result<(), Failure> {
    let request_id = update.request_id.unwrap_or_else(new_request_id);
    let (wanted, mut paths) = update.plan.message();
    if update.schedule.is_some() {
        paths.push("schedule".to_owned());
    }
    if update.keep_all && !paths.iter().any(|path| path == "retention") {
        paths.push("retention".to_owned());
    }
    let request = pb::UpdateScheduleRequest {
        schedule: Some(pb::Schedule {
            id: resolve::schedule(&context.client, &update.of).await?,
            schedule: update.schedule.unwrap_or_default(),
            etag: update.etag.unwrap_or_default(),
            ..wanted
        }),
        update_mask: Some(FieldMask { paths }),
        request_id: request_id.clone(),
    };
    let mut service = context.client.schedules();
    let call = service.update_schedule(request);
    let answer = context.client.start(&request_id, call).await?;
    present::one(context.out, context.settings.output, &answer)
}

/// Makes the request of a verb that names one schedule and no more, and writes the answer.
macro_rules! change {
    ($change:ident, $context:ident, $request:ident, $method:ident) => {{
        let request_id = $change.request_id.unwrap_or_else(new_request_id);
        let request = pb::$request {
            id: resolve::schedule(&$context.client, &$change.schedule).await?,
            etag: $change.etag.unwrap_or_default(),
            request_id: request_id.clone(),
        };
        let mut service = $context.client.schedules();
        let call = service.$method(request);
        let answer = $context.client.start(&request_id, call).await?;
        present::one($context.out, $context.settings.output, &answer)
    }};
}

async fn delete(change: Change, context: &mut Context<'_>) -> Result<(), Failure> {
    change!(change, context, DeleteScheduleRequest, delete_schedule)
}

async fn activate(change: Change, context: &mut Context<'_>) -> Result<(), Failure> {
    change!(change, context, ActivateScheduleRequest, activate_schedule)
}

async fn deactivate(change: Change, context: &mut Context<'_>) -> Result<(), Failure> {
    change!(
        change,
        context,
        DeactivateScheduleRequest,
        deactivate_schedule
    )
}

async fn run_now(change: Change, context: &mut Context<'_>) -> Result<(), Failure> {
    change!(change, context, RunScheduleRequest, run_schedule)
}

async fn preview(preview: Preview, context: &mut Context<'_>) -> Result<(), Failure> {
    let request = pb::PreviewScheduleRequest {
        id: resolve::schedule(&context.client, &preview.schedule).await?,
        run_count: preview.runs,
    };
    let mut service = context.client.schedules();
    let call = service.preview_schedule(request);
    let answer = context.client.ask(call).await?;
    present::one(context.out, context.settings.output, &answer)
}

async fn runs(runs: Runs, context: &mut Context<'_>) -> Result<(), Failure> {
    let request = pb::ListScheduleRunsRequest {
        schedule_id: resolve::schedule(&context.client, &runs.schedule).await?,
        ..pb::ListScheduleRunsRequest::default()
    };
    let runs = context.client.list_schedule_runs(request, Some(runs.limit));
    let runs = runs.await?;
    present::list(context.out, context.settings.output, &runs)
}

impl Plan {
    /// The fields that are named, and which those are.
    fn message(self) -> (pb::Schedule, Vec<String>) {
        let (retention, keeps) = self.keep.message();
        let named = [
            ("name", self.name.is_some()),
            ("description", self.description.is_some()),
            ("time_zone", self.time_zone.is_some()),
            ("jitter", self.jitter.is_some()),
            ("missed_runs", self.missed_runs.is_some()),
            ("failures_maximum", self.failures_maximum.is_some()),
            ("full_every", self.full_every.is_some()),
            ("capture", self.capture.is_some()),
            ("minimum_consistency", self.consistency.is_some()),
            ("retention", keeps),
        ];
        let missed = self.missed_runs.map(|missed| match missed {
            MissedRuns::RunOnce => pb::schedule::MissedRuns::RunOnce,
            MissedRuns::Skip => pb::schedule::MissedRuns::Skip,
        });
        let wanted = pb::Schedule {
            name: self.name.unwrap_or_default(),
            description: self.description.unwrap_or_default(),
            time_zone: self.time_zone.unwrap_or_default(),
            jitter: self.jitter.and_then(|jitter| jitter.0.try_into().ok()),
            missed_runs: missed.unwrap_or_default().into(),
            failures_maximum: self.failures_maximum.unwrap_or_default(),
            full_every: self.full_every.unwrap_or_default(),
            capture: self
                .capture
                .map(Capture::message)
                .unwrap_or_default()
                .into(),
            minimum_consistency: self
                .consistency
                .map(Consistency::message)
                .unwrap_or_default()
                .into(),
            retention: Some(retention),
            ..pb::Schedule::default()
        };
        let paths = named
            .into_iter()
            .filter(|(_, named)| *named)
            .map(|(path, _)| path.to_owned());
        (wanted, paths.collect())
    }
}

impl Keep {
    /// The rules, and whether any is named.
    fn message(self) -> (pb::Retention, bool) {
        let rules = [
            self.days,
            self.last,
            self.hourly,
            self.daily,
            self.weekly,
            self.monthly,
            self.yearly,
            self.at_most,
            self.at_least,
        ];
        let retention = pb::Retention {
            retention_time: self.days.unwrap_or_default(),
            maximal_number_of_resources: self.at_most.unwrap_or_default(),
            keep_last: self.last.unwrap_or_default(),
            keep_hourly: self.hourly.unwrap_or_default(),
            keep_daily: self.daily.unwrap_or_default(),
            keep_weekly: self.weekly.unwrap_or_default(),
            keep_monthly: self.monthly.unwrap_or_default(),
            keep_yearly: self.yearly.unwrap_or_default(),
            keep_at_least: self.at_least.unwrap_or_default(),
        };
        (retention, rules.iter().any(Option::is_some))
    }
}
