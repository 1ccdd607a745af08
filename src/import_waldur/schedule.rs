//! A schedule of the original as one of ours; this file may not know how rows are read.

use std::time::Duration;

use uuid::Uuid;

use super::{
    Terms,
    point::{required, tenant_of},
    rows::{Row, ScheduleRow, Tables},
};
use crate::domain::{
    calendar::{Calendar, USUAL_ZONE},
    capture::Capture,
    id::{PointKind, ScheduleId, ServerId},
    schedule::{Keep, MissedRuns, Plan, Schedule, standing},
    time::Timestamp,
};

/// The original deactivated a schedule with the first failure; ours waits for a few.
const FAILURES_MAXIMUM: u32 = 3;

/// The schedule, and what was taken otherwise than it stands there.
pub(super) fn of(
    key: &str,
    row: &Row<ScheduleRow>,
    tables: &Tables,
    terms: &Terms,
) -> Result<(Schedule, Vec<String>), String> {
    let fields = &row.fields;
    let mut remarks = Vec::new();
    let id =
        Uuid::parse_str(&fields.uuid).map_err(|_| format!("uuid: `{}` is no UUID", fields.uuid))?;
    let instance = required(&tables.instances, &fields.instance, "instance", "instance")?;
    if instance.backend_id.is_empty() {
        return Err(
            "instance: its row has no backend_id, so there is nothing to back up".to_owned(),
        );
    }
    let kind = match fields.backup_type.to_ascii_lowercase().as_str() {
        "dr" => PointKind::Dr,
        // The column had no other value in the beginning, and no value then.
        "regular" | "" => PointKind::Regular,
        other => {
            return Err(format!(
                "backup_type: `{other}` is neither `DR` nor `Regular`"
            ));
        }
    };
    let time_zone = if fields.timezone.is_empty() {
        remarks.push("it has no timezone, so it runs on UTC".to_owned());
        USUAL_ZONE.to_owned()
    } else {
        fields.timezone.clone()
    };
    let calendar = Calendar::parse(&fields.schedule, &time_zone).map_err(|bad| {
        let problems = bad
            .iter()
            .map(|bad| format!("{}: {}", bad.field, bad.problem));
        problems.collect::<Vec<_>>().join("; ")
    })?;
    let active = fields.is_active && terms.active;
    if fields.is_active && !active {
        remarks.push("it was active and is taken in inactive".to_owned());
    }
    let name = if fields.description.is_empty() {
        format!("{} {key}", instance.name)
    } else {
        fields.description.clone()
    };
    let created = fields.created.as_deref().and_then(Timestamp::parse);
    let mut schedule = Schedule {
        id: ScheduleId(id),
        plan: Plan {
            name,
            description: fields.description.clone(),
            kind,
            capture: Capture::default(),
            minimum: None,
            full_every: 0,
            calendar: calendar.expression().to_owned(),
            time_zone,
            jitter: Duration::ZERO,
            missed: MissedRuns::RunOnce,
            failures_maximum: FAILURES_MAXIMUM,
            keep: Keep {
                days: fields.retention_time,
                maximum: fields.maximal_number_of_resources,
                ..Keep::default()
            },
        },
        tenant: tenant_of(tables, &instance.tenant, terms)?,
        server: ServerId::new(instance.backend_id.clone()),
        active,
        next: None,
        failures: 0,
        runtime_state: standing(active).to_owned(),
        error: None,
        created: created.unwrap_or(terms.now),
        updated: terms.now,
        revision: 1,
    };
    schedule.plan_ahead(&calendar, terms.now);
    Ok((schedule, remarks))
}
