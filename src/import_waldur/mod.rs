//! The rows of Waldur, the system that came before, read into our nouns; it may not know clouds, or
//! who keeps what it reads.
//!
//! Waldur kept its DR backups and schedules in tables of Django. `dumpdata` writes each row as
//! `{"model": "openstack.drbackup", "pk": 7, "fields": {…}}`; one such object is one line here. Rows
//! refer to each other by `pk`, so what a DR backup needs is read out of several tables:
//!
//! | Model | What it is read for |
//! |---|---|
//! | `drbackup` | the point itself, and the instance's metadata |
//! | `volumebackup`, `volumebackuprecord` | the Cinder backups and the records that import them |
//! | `volume` | Cinder's ids of the volumes, where a record does not tell them |
//! | `instance` | Nova's ids of the instances |
//! | `tenant` | Keystone's ids of the projects |
//! | `backupschedule` | the schedules |
//!
//! Ids of rows (`uuid`) are kept, so whoever imports twice gets everything once.

mod point;
mod rows;
mod schedule;

use std::collections::BTreeMap;

use crate::domain::{id::CloudName, point::Point, schedule::Schedule, time::Timestamp};

use self::rows::Tables;

/// What the rows do not tell.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Which of our clouds they are about.
    pub cloud: CloudName,
    /// Now: the time of what has none, and the time from which schedules are planned.
    pub now: Timestamp,
    /// Whether schedules that were active are so again; else all are taken inactive, because Waldur
    /// may still be running its own.
    pub active: bool,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Reading {
    /// The DR backups that can be taken in, in the order of the lines.
    pub dr_backups: Vec<Point>,
    /// The schedules that can be taken in, in the order of the lines.
    pub schedules: Vec<Schedule>,
    /// What was taken otherwise than it stood there.
    pub remarks: Vec<Remark>,
    /// What cannot be taken, and why.
    pub left: Vec<Remark>,
    /// Rows of models that nothing is read for, by model.
    pub ignored: BTreeMap<String, usize>,
}

/// Something to say about a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The line, from 1 on.
    pub line: usize,
    /// What it holds, for people: `DR backup friday`.
    pub what: String,
    /// What there is to say, in a sentence.
    pub why: String,
}

/// Reads lines of `dumpdata`; empty ones are skipped.
pub fn read(text: &str, terms: &Terms) -> Reading {
    let mut reading = Reading::default();
    let tables = Tables::read(text, &mut reading);
    for (key, row) in tables.schedules.iter() {
        match schedule::of(key, row, &tables, terms) {
            Ok((schedule, remarks)) => {
                reading.note(
                    row.line,
                    &format!("schedule {}", schedule.plan.name),
                    remarks,
                );
                reading.schedules.push(schedule);
            }
            Err(why) => reading.leave(row.line, "schedule", &row.fields.description, why),
        }
    }
    for (_, row) in tables.dr_backups.iter() {
        match point::of(row, &tables, terms) {
            Ok((mut backup, mut remarks)) => {
                // A schedule that is not taken in has no retention that would let its points go.
                let of = backup.keeping.schedule;
                if of.is_some_and(|id| reading.schedules.iter().all(|one| one.id != id)) {
                    backup.keeping.schedule = None;
                    remarks.push("its schedule is not taken in, so nothing lets it go".to_owned());
                }
                reading.note(row.line, &format!("DR backup {}", backup.name), remarks);
                reading.dr_backups.push(backup);
            }
            Err(why) => reading.leave(row.line, "DR backup", &row.fields.name, why),
        }
    }
    reading.remarks.sort_by_key(|remark| remark.line);
    reading.left.sort_by_key(|remark| remark.line);
    reading
}

impl Reading {
    fn note(&mut self, line: usize, what: &str, remarks: Vec<String>) {
        self.remarks.extend(remarks.into_iter().map(|why| Remark {
            line,
            what: what.to_owned(),
            why,
        }));
    }

    fn leave(&mut self, line: usize, kind: &str, name: &str, why: String) {
        self.left.push(Remark {
            line,
            what: format!("{kind} {name}").trim_end().to_owned(),
            why,
        });
    }
}

#[cfg(test)]
mod tests;
