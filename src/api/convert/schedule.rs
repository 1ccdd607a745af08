//! Schedules and what is asked about them; it may not know whether it may be done.

use std::{collections::BTreeSet, time::Duration};

use super::{
    dr_backup::{capture, capture_asked},
    duration,
    fields::{Fields, named, span, tenant},
    number,
    point::{ids, level, level_asked},
    progress, time,
};
use crate::{
    api::pb::{self, schedule},
    domain::{
        calendar::USUAL_ZONE,
        error::Error,
        id::{PointId, PointKind, ScheduleId, ServerId},
        retention::{PointVerdict, Verdict},
        schedule::{Keep, MissedRuns, Plan, Run, RunCause, RunOutcome, Schedule},
    },
    service::{
        request::etag,
        schedule::{CreateSchedule, OneSchedule, PlanChange, UpdateSchedule},
        settings::RequestSettings,
    },
};

/// What an update may change.
const CHANGEABLE: [&str; 11] = [
    "name",
    "description",
    "capture",
    "minimum_consistency",
    "full_every",
    "schedule",
    "time_zone",
    "jitter",
    "missed_runs",
    "failures_maximum",
    "retention",
];

/// A schedule.
pub(in crate::api) fn schedule(schedule: Schedule) -> pb::Schedule {
    let state = schedule.state();
    let plan = schedule.plan;
    let backup_type = match plan.kind {
        PointKind::Dr => schedule::BackupType::Dr,
        PointKind::Regular => schedule::BackupType::Regular,
    };
    let of_dr_backups = match plan.kind {
        PointKind::Dr => capture(plan.capture),
        PointKind::Regular => pb::dr_backup::Capture::Unspecified,
    };
    let missed_runs = match plan.missed {
        MissedRuns::RunOnce => schedule::MissedRuns::RunOnce,
        MissedRuns::Skip => schedule::MissedRuns::Skip,
    };
    pb::Schedule {
        id: schedule.id.to_string(),
        name: plan.name,
        description: plan.description,
        cloud: schedule.tenant.cloud.to_string(),
        tenant: schedule.tenant.project.to_string(),
        instance_id: schedule.server.to_string(),
        backup_type: backup_type.into(),
        capture: of_dr_backups.into(),
        minimum_consistency: plan.minimum.map(level).unwrap_or_default().into(),
        schedule: plan.calendar,
        time_zone: plan.time_zone,
        jitter: (!plan.jitter.is_zero()).then(|| duration(plan.jitter)),
        missed_runs: missed_runs.into(),
        failures_maximum: number(plan.failures_maximum),
        full_every: number(plan.full_every),
        retention: Some(retention(plan.keep)),
        is_active: schedule.active,
        next_trigger_at: schedule.next.map(|slot| time(slot.begins)),
        state: progress::state(state).into(),
        runtime_state: schedule.runtime_state,
        error: schedule.error.map(progress::error),
        failures: number(schedule.failures),
        create_time: Some(time(schedule.created)),
        update_time: Some(time(schedule.updated)),
        etag: etag(schedule.revision),
    }
}

fn retention(keep: Keep) -> pb::Retention {
    pb::Retention {
        retention_time: number(keep.days),
        maximal_number_of_resources: number(keep.maximum),
        keep_last: number(keep.last),
        keep_hourly: number(keep.hourly),
        keep_daily: number(keep.daily),
        keep_weekly: number(keep.weekly),
        keep_monthly: number(keep.monthly),
        keep_yearly: number(keep.yearly),
        keep_at_least: number(keep.floor),
    }
}

/// A run.
pub(in crate::api) fn run(run: Run) -> pb::ScheduleRun {
    use pb::schedule_run::{Cause, Outcome};
    let cause = match run.cause {
        RunCause::Calendar => Cause::Calendar,
        RunCause::Missed => Cause::Missed,
        RunCause::Retry => Cause::Retry,
        RunCause::Caller => Cause::Caller,
        RunCause::Unreadable => Cause::Unspecified,
    };
    let outcome = match run.outcome {
        RunOutcome::Started => Outcome::Started,
        RunOutcome::Succeeded => Outcome::Succeeded,
        RunOutcome::Skipped => Outcome::Skipped,
        RunOutcome::Failed => Outcome::Failed,
        RunOutcome::Unreadable => Outcome::Unspecified,
    };
    let (dr_backup_id, backup_id) = run.point.map(ids).unwrap_or_default();
    pb::ScheduleRun {
        id: run.id.to_string(),
        schedule_id: run.schedule.to_string(),
        trigger_time: Some(time(run.slot)),
        cause: cause.into(),
        outcome: outcome.into(),
        reason: run.reason,
        dr_backup_id,
        backup_id,
        begin_time: Some(time(run.began)),
        end_time: run.ended.map(time),
    }
}

/// What retention thinks of one point.
pub(in crate::api) fn verdict(verdict: &PointVerdict<PointId>) -> pb::RetentionVerdict {
    let (dr_backup_id, backup_id) = ids(verdict.id);
    pb::RetentionVerdict {
        dr_backup_id,
        backup_id,
        keep: match verdict.verdict {
            Verdict::Keep => true,
            Verdict::Delete => false,
        },
        reasons: verdict.reasons.iter().map(ToString::to_string).collect(),
    }
}

/// What is asked for by `CreateSchedule`.
pub(in crate::api) fn create(
    message: pb::CreateScheduleRequest,
    limits: &RequestSettings,
) -> Result<CreateSchedule, Error> {
    let mut fields = Fields::new(limits);
    let Some(mut wanted) = message.schedule else {
        return Err(Error::field("schedule", "is required"));
    };
    let (cloud, project) = (
        std::mem::take(&mut wanted.cloud),
        std::mem::take(&mut wanted.tenant),
    );
    let ask = CreateSchedule {
        tenant: tenant(&mut fields, cloud, project),
        server: ServerId::new(fields.required(
            "schedule.instance_id",
            std::mem::take(&mut wanted.instance_id),
        )),
        active: wanted.is_active,
        plan: plan(&mut fields, wanted),
        validate_only: message.validate_only,
        request_id: fields.request_id(message.request_id),
    };
    fields.done().map(|()| ask)
}

/// What is asked for by `UpdateSchedule`.
pub(in crate::api) fn update(
    message: pb::UpdateScheduleRequest,
    limits: &RequestSettings,
) -> Result<UpdateSchedule, Error> {
    let mut fields = Fields::new(limits);
    let Some(wanted) = message.schedule else {
        return Err(Error::field("schedule", "is required"));
    };
    let changes = named(
        &mut fields,
        message.update_mask.as_ref(),
        &CHANGEABLE,
        BTreeSet::new(),
    );
    let ask = UpdateSchedule {
        id: ScheduleId(fields.id("schedule.id", &wanted.id)),
        etag: wanted.etag.clone(),
        change: PlanChange {
            wanted: plan(&mut fields, wanted),
            fields: changes.into_iter().collect(),
        },
        request_id: fields.request_id(message.request_id),
    };
    fields.done().map(|()| ask)
}

/// Which schedule, for requests that say no more.
pub(in crate::api) fn one(
    id: &str,
    etag: String,
    request_id: String,
    limits: &RequestSettings,
) -> Result<OneSchedule, Error> {
    let mut fields = Fields::new(limits);
    let ask = OneSchedule {
        id: ScheduleId(fields.id("id", id)),
        etag,
        request_id: fields.request_id(request_id),
    };
    fields.done().map(|()| ask)
}

fn plan(fields: &mut Fields<'_>, wanted: pb::Schedule) -> Plan {
    use schedule::{BackupType, MissedRuns as Missed};
    let kind = match BackupType::try_from(wanted.backup_type) {
        Ok(BackupType::Unspecified | BackupType::Dr) => PointKind::Dr,
        Ok(BackupType::Regular) => PointKind::Regular,
        Err(_) => {
            fields.bad("schedule.backup_type", unknown(wanted.backup_type));
            PointKind::Dr
        }
    };
    if kind == PointKind::Regular {
        for (field, given) in [
            ("schedule.capture", wanted.capture != 0),
            ("schedule.full_every", wanted.full_every > 1),
        ] {
            if given {
                fields.bad(field, "is only for DR backups");
            }
        }
    }
    let missed = match Missed::try_from(wanted.missed_runs) {
        Ok(Missed::Unspecified | Missed::RunOnce) => MissedRuns::RunOnce,
        Ok(Missed::Skip) => MissedRuns::Skip,
        Err(_) => {
            fields.bad("schedule.missed_runs", unknown(wanted.missed_runs));
            MissedRuns::RunOnce
        }
    };
    let jitter = wanted.jitter.map(|given| span(given).ok_or("is negative"));
    let keep = wanted.retention.unwrap_or_default();
    let mut count = |field: &str, given: i32| -> u32 {
        fields.take(
            &format!("schedule.{field}"),
            u32::try_from(given).map_err(|_| "is negative"),
        )
    };
    let keep = Keep {
        days: count("retention.retention_time", keep.retention_time),
        maximum: count(
            "retention.maximal_number_of_resources",
            keep.maximal_number_of_resources,
        ),
        last: count("retention.keep_last", keep.keep_last),
        hourly: count("retention.keep_hourly", keep.keep_hourly),
        daily: count("retention.keep_daily", keep.keep_daily),
        weekly: count("retention.keep_weekly", keep.keep_weekly),
        monthly: count("retention.keep_monthly", keep.keep_monthly),
        yearly: count("retention.keep_yearly", keep.keep_yearly),
        floor: count("retention.keep_at_least", keep.keep_at_least),
    };
    Plan {
        kind,
        missed,
        keep,
        full_every: count("full_every", wanted.full_every),
        failures_maximum: count("failures_maximum", wanted.failures_maximum),
        name: fields.name("schedule.name", wanted.name),
        description: fields.description("schedule.description", wanted.description),
        capture: fields.take("schedule.capture", capture_asked(wanted.capture)),
        minimum: fields.take(
            "schedule.minimum_consistency",
            level_asked(wanted.minimum_consistency),
        ),
        calendar: wanted.schedule,
        time_zone: if wanted.time_zone.is_empty() {
            USUAL_ZONE.to_owned()
        } else {
            wanted.time_zone
        },
        jitter: match jitter {
            None => Duration::ZERO,
            Some(Ok(jitter)) => jitter,
            Some(Err(problem)) => {
                fields.bad("schedule.jitter", problem);
                Duration::ZERO
            }
        },
    }
}

fn unknown(number: i32) -> String {
    format!("{number} is not one that is known here")
}
