//! How a schedule and its runs look; it may not know where they are written.

use super::{Page, Shown, failed, span, standing, state, time, yes};
use crate::{
    api::pb::{
        self,
        schedule_run::{Cause, Outcome},
    },
    cli::consistency::words,
};

impl Shown for pb::Schedule {
    const MESSAGE: &'static str = "drbackup.v1.Schedule";
    const COLUMNS: &'static [&'static str] = &[
        "ID", "NAME", "CLOUD", "SCHEDULE", "ZONE", "ACTIVE", "NEXT", "STATE", "DETAIL",
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.cloud.clone(),
            self.schedule.clone(),
            self.time_zone.clone(),
            yes(self.is_active),
            time(self.next_trigger_at.as_ref()),
            state(self.state),
            self.runtime_state.clone(),
        ]
    }

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.fact("ID", &self.id);
        page.fact("Name", &self.name);
        page.fact("Description", &self.description);
        page.fact("Instance", &self.instance_id);
        page.fact(
            "In",
            format!("cloud {}, tenant {}", self.cloud, self.tenant),
        );
        let makes = match self.backup_type() {
            pb::schedule::BackupType::Regular => "regular backups",
            pb::schedule::BackupType::Dr | pb::schedule::BackupType::Unspecified => "DR backups",
        };
        page.fact("Makes", makes);
        page.fact("Runs", format!("{} in {}", self.schedule, self.time_zone));
        page.fact("Agree at least", words(self.minimum_consistency()));
        page.fact("Within", self.jitter.as_ref().map(span).unwrap_or_default());
        page.fact("Active", yes(self.is_active));
        page.fact("Next", time(self.next_trigger_at.as_ref()));
        page.fact("State", standing(self.state, &self.runtime_state));
        failed(&mut page, self.error.as_ref());
        page.fact(
            "Keeps",
            self.retention.as_ref().map(kept).unwrap_or_default(),
        );
        page.fact("Created", time(self.create_time.as_ref()));
        page.fact("Updated", time(self.update_time.as_ref()));
        page.fact("Etag", &self.etag);
        page
    }
}

impl Shown for pb::ScheduleRun {
    const MESSAGE: &'static str = "drbackup.v1.ScheduleRun";
    const COLUMNS: &'static [&'static str] = &[
        "ID", "FOR", "CAUSE", "OUTCOME", "BEGAN", "ENDED", "BACKUP", "REASON",
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        let outcome = match self.outcome() {
            Outcome::Unspecified => "unreadable",
            Outcome::Started => "started",
            Outcome::Succeeded => "succeeded",
            Outcome::Skipped => "skipped",
            Outcome::Failed => "failed",
        };
        let cause = match self.cause() {
            Cause::Unspecified => "unreadable",
            Cause::Calendar => "calendar",
            Cause::Missed => "missed",
            Cause::Retry => "retry",
            Cause::Caller => "caller",
        };
        vec![
            self.id.clone(),
            time(self.trigger_time.as_ref()),
            cause.to_owned(),
            outcome.to_owned(),
            time(self.begin_time.as_ref()),
            time(self.end_time.as_ref()),
            format!("{}{}", self.dr_backup_id, self.backup_id),
            self.reason.clone(),
        ]
    }
}

impl Shown for pb::PreviewScheduleResponse {
    const MESSAGE: &'static str = "drbackup.v1.PreviewScheduleResponse";
    const COLUMNS: &'static [&'static str] = &["NEXT"];

    fn id(&self) -> &'static str {
        ""
    }

    fn row(&self) -> Vec<String> {
        vec![time(self.run_times.first())]
    }

    fn page(&self) -> Page {
        let mut page = Page::default();
        let runs = self.run_times.iter().map(|run| vec![time(Some(run))]);
        page.table("Next runs", &["AT"], runs.collect());
        let verdicts = self.verdicts.iter().map(|verdict| {
            let fate = if verdict.keep { "stays" } else { "goes" };
            vec![
                format!("{}{}", verdict.dr_backup_id, verdict.backup_id),
                fate.to_owned(),
                verdict.reasons.join("; "),
            ]
        });
        page.table("Backups", &["ID", "FATE", "WHY"], verdicts.collect());
        page
    }
}

/// The rules of a retention in a line.
fn kept(retention: &pb::Retention) -> String {
    let rules = [
        (retention.retention_time, "days"),
        (retention.keep_last, "last"),
        (retention.keep_hourly, "hourly"),
        (retention.keep_daily, "daily"),
        (retention.keep_weekly, "weekly"),
        (retention.keep_monthly, "monthly"),
        (retention.keep_yearly, "yearly"),
        (retention.maximal_number_of_resources, "at most"),
        (retention.keep_at_least, "at least"),
    ];
    let told: Vec<String> = rules
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, rule)| format!("{rule} {count}"))
        .collect();
    if told.is_empty() {
        return "all".to_owned();
    }
    told.join(", ")
}
