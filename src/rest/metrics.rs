//! What is counted, as Prometheus reads it, at `/metrics`; it may not know who counts.
//!
//! What the store knows is asked for at each scrape: what is under way, how points and schedules stand, the
//! last sweep of each tenant. Everything else is a number that is kept anyway, and is told also while the
//! store does not answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeMetric as _,
        text::{encode_eof, encode_registry},
    },
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use tokio::time::timeout;

use crate::{
    domain::{
        error::Error,
        id::{CloudName, PointKind},
        operation::UnderWay,
        orphan::KINDS,
        page::Filter,
        sighting::ThingKind,
    },
    service::{Service, freshness::Fresh},
};

/// The media type of the format.
pub const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long the store may take to answer a scrape: less than Prometheus waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// One value and what it is of: a value for each name of its family's labels.
pub type Sample = (Vec<String>, u64);

/// All values of one name.
#[derive(Debug, Clone)]
pub struct Family {
    /// The name.
    pub name: &'static str,
    /// What it tells, for people.
    pub help: &'static str,
    /// How it may change.
    pub kind: MetricType,
    /// What tells its values apart.
    pub labels: &'static [&'static str],
    /// The values.
    pub samples: Vec<Sample>,
}

/// What is counted.
#[derive(Clone)]
pub struct Metrics {
    /// Knows what is under way and what was left behind.
    pub service: Service,
    /// Counts the rest.
    pub counted: Arc<dyn Fn() -> Counted + Send + Sync>,
    /// How long things took, and whatever else knows by itself how it is told.
    pub durations: Arc<Registry>,
    /// Schedules that are told of one by one.
    pub schedules: u32,
}

/// What the parts of this process counted.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Operations that came to their end here, by cloud, kind and outcome.
    pub ended: Vec<Sample>,
    /// Calls to clouds, by cloud, kind of call and outcome.
    pub calls: Vec<Sample>,
    /// Operations that are set aside here, by reason.
    pub set_aside: Vec<Sample>,
    /// Clouds that are not asked for now, because they do not answer.
    pub closed: Vec<String>,
    /// What is complete as it is.
    pub more: Vec<Family>,
}

/// Tells all of it.
pub(super) async fn show(State(metrics): State<Metrics>) -> Response {
    ([(CONTENT_TYPE, TEXT)], metrics.text().await).into_response()
}

impl Metrics {
    /// All of it, as Prometheus reads it.
    pub async fn text(&self) -> String {
        let mut counted = (self.counted)();
        let closed = std::mem::take(&mut counted.closed);
        let mut families = of_this_process(&self.service, counted);
        let asked = timeout(PATIENCE, of_the_store(self, closed)).await;
        let told = asked.ok().and_then(Result::ok);
        families.push(Family {
            name: "drbackup_database_up",
            help: "Whether the database answered this scrape in time; if not, what it knows is missing here.",
            kind: MetricType::Gauge,
            labels: &[],
            samples: vec![(Vec::new(), told.is_some().into())],
        });
        families.extend(told.into_iter().flatten());
        text(families, &self.durations)
    }
}

/// What is told whatever the store does.
fn of_this_process(service: &Service, counted: Counted) -> Vec<Family> {
    let runs = service.runs_counted().into_iter();
    let looks = service.looks_counted().into_iter();
    let mut families = vec![
        Family {
            name: "drbackup_operations_ended_total",
            help: "Operations that came to their end in this process.",
            kind: MetricType::Counter,
            labels: &["cloud", "kind", "outcome"],
            samples: counted.ended,
        },
        Family {
            name: "drbackup_operations_set_aside",
            help: "Operations for which this process does nothing now: it cannot read them, their planner fails, or what happened cannot be written.",
            kind: MetricType::Gauge,
            labels: &["reason"],
            samples: counted.set_aside,
        },
        Family {
            name: "drbackup_rows_unread",
            help: "Rows of the store that this process could not read; a newer version may have written them.",
            kind: MetricType::Gauge,
            labels: &["kind"],
            samples: service
                .rows_unread()
                .into_iter()
                .map(|(kind, count)| (vec![label(kind)], count))
                .collect(),
        },
        Family {
            name: "drbackup_cloud_calls_total",
            help: "Calls of this process to a cloud.",
            kind: MetricType::Counter,
            labels: &["cloud", "method", "outcome"],
            samples: counted.calls,
        },
        Family {
            name: "drbackup_schedule_runs_total",
            help: "Runs of schedules that this process began, skipped, or brought to their end.",
            kind: MetricType::Counter,
            labels: &["outcome"],
            samples: runs
                .map(|(outcome, count)| (vec![outcome.name().to_lowercase()], count))
                .collect(),
        },
        Family {
            name: "drbackup_schedule_runs_missed_total",
            help: "How often this process found that times of a schedule had passed at which nothing ran, be they made up for or skipped.",
            kind: MetricType::Counter,
            labels: &[],
            samples: vec![(Vec::new(), service.runs_missed())],
        },
        Family {
            name: "drbackup_point_looks_total",
            help: "Looks at points by this process, by what came of them.",
            kind: MetricType::Counter,
            labels: &["outcome"],
            samples: looks
                .map(|(outcome, count)| (vec![outcome.name().to_owned()], count))
                .collect(),
        },
    ];
    families.extend(counted.more);
    families
}

/// What is asked for.
async fn of_the_store(metrics: &Metrics, closed: Vec<String>) -> Result<Vec<Family>, Error> {
    let under_way = metrics.service.operations_under_way().await?;
    let known = metrics.service.cloud_names();
    let waiting = waiting(&under_way, &known, closed);
    let mut families = vec![
        Family {
            name: "drbackup_operations_waiting",
            help: "Operations under way whose cloud is not asked for now: it does not answer, or is not configured.",
            kind: MetricType::Gauge,
            labels: &["cloud"],
            samples: waiting,
        },
        Family {
            name: "drbackup_operations_under_way",
            help: "Operations that did not come to their end yet, those of other replicas too.",
            kind: MetricType::Gauge,
            labels: &["cloud", "kind"],
            samples: under_way
                .iter()
                .map(|one| (vec![one.cloud.to_string(), one.kind.clone()], one.count))
                .collect(),
        },
        Family {
            name: "drbackup_operations_oldest_age_seconds",
            help: "How long ago the one of these was admitted that waits or works for longest.",
            kind: MetricType::Gauge,
            labels: &["cloud", "kind"],
            samples: under_way
                .iter()
                .map(|one| {
                    let of = vec![one.cloud.to_string(), one.kind.clone()];
                    (of, metrics.service.age_of(one.oldest))
                })
                .collect(),
        },
    ];
    families.extend(of_sweeps(metrics).await?);
    families.extend(of_points(metrics).await?);
    families.extend(of_schedules(metrics).await?);
    Ok(families)
}

/// How old what schedules made is. Each has series of its own, because a mean over many hides the one whose
/// instance could not be brought back. There may be tens of thousands of them, so only those are told of whose
/// newest good point is oldest: whatever is wrong is among these.
async fn of_schedules(metrics: &Metrics) -> Result<[Family; 3], Error> {
    let all = metrics.service.schedules_fresh(metrics.schedules).await?;
    let family = |name, help, value: &dyn Fn(&Fresh) -> u64| Family {
        name,
        help,
        kind: MetricType::Gauge,
        labels: &["cloud", "tenant", "schedule", "name"],
        samples: all
            .iter()
            .map(|one| {
                let of = [
                    one.tenant.cloud.to_string(),
                    one.tenant.project.to_string(),
                    one.schedule.to_string(),
                    one.name.clone(),
                ];
                (of.into(), value(one))
            })
            .collect(),
    };
    Ok([
        family(
            "drbackup_schedule_good_age_seconds",
            "How long ago the newest good point of an active schedule was begun, or the schedule made where it has none.",
            &|one| one.good,
        ),
        family(
            "drbackup_schedule_verified_age_seconds",
            "The same of the newest good point that was seen, and against which nothing speaks.",
            &|one| one.verified,
        ),
        family(
            "drbackup_schedule_slots_since_good",
            "How many times the calendar of a schedule has named since its newest good point was begun; 10 are 10 or more.",
            &|one| one.slots,
        ),
    ])
}

/// What waits for a cloud that does not answer, or that was taken out of the configuration.
fn waiting(under_way: &[UnderWay], known: &[CloudName], closed: Vec<String>) -> Vec<Sample> {
    let all = under_way.iter().map(|one| &one.cloud);
    let unknown = all.filter(|cloud| !known.contains(cloud));
    let silent: BTreeSet<String> = unknown.map(ToString::to_string).chain(closed).collect();
    let samples = silent.into_iter().map(|cloud| {
        let all = under_way.iter().filter(|one| one.cloud.as_str() == cloud);
        let count = all.map(|one| one.count).sum();
        (vec![cloud], count)
    });
    samples.collect()
}

/// What the last sweeps for orphans found.
async fn of_sweeps(metrics: &Metrics) -> Result<[Family; 2], Error> {
    let service = metrics.service.internally("metrics");
    let sweeps = service.sweeps_list(&Filter::default()).await?;
    let mut orphans: BTreeMap<(String, ThingKind), u64> = BTreeMap::new();
    let mut failed: BTreeMap<String, u64> = BTreeMap::new();
    for sweep in sweeps {
        let cloud = sweep.tenant.cloud.to_string();
        // Also a kind of which there is none: a series that is missing tells nothing.
        for kind in KINDS {
            let found = sweep.found.get(&kind).copied().unwrap_or(0);
            *orphans.entry((cloud.clone(), kind)).or_default() += found;
        }
        *failed.entry(cloud).or_default() += u64::from(sweep.problem.is_some());
    }
    Ok([
        Family {
            name: "drbackup_orphans",
            help: "Things with our mark that nothing accounts for, as the last sweeps found them.",
            kind: MetricType::Gauge,
            labels: &["cloud", "kind"],
            samples: orphans
                .into_iter()
                .map(|((cloud, kind), count)| (vec![cloud, label(kind.noun())], count))
                .collect(),
        },
        Family {
            name: "drbackup_orphan_sweeps_failed",
            help: "Tenants whose last sweep for orphans failed.",
            kind: MetricType::Gauge,
            labels: &["cloud"],
            samples: failed
                .into_iter()
                .map(|(cloud, count)| (vec![cloud], count))
                .collect(),
        },
    ])
}

/// What is known of points.
async fn of_points(metrics: &Metrics) -> Result<[Family; 2], Error> {
    let (mut points, mut ages) = (Vec::new(), Vec::new());
    for one in metrics.service.points_standing().await? {
        let of = vec![one.cloud.to_string(), kind_of(one.kind).to_owned()];
        for (standing, count) in [
            ("recoverable", one.verified),
            ("doubtful", one.doubtful),
            ("unverified", one.unverified),
        ] {
            let labels = of.iter().cloned().chain([standing.to_owned()]);
            points.push((labels.collect(), count));
        }
        ages.extend(one.oldest.map(|seen| (of, metrics.service.age_of(seen))));
    }
    Ok([
        Family {
            name: "drbackup_points",
            help: "Points that are OK, by what is known of their data: seen and good, doubtful, or never seen.",
            kind: MetricType::Gauge,
            labels: &["cloud", "kind", "standing"],
            samples: points,
        },
        Family {
            name: "drbackup_points_verified_age_seconds",
            help: "How long ago the good point that was not seen for longest was seen.",
            kind: MetricType::Gauge,
            labels: &["cloud", "kind"],
            samples: ages,
        },
    ])
}

/// A noun as the value of a label.
fn label(noun: &str) -> String {
    noun.replace(' ', "_").to_lowercase()
}

fn kind_of(kind: PointKind) -> &'static str {
    match kind {
        PointKind::Dr => "dr_backup",
        PointKind::Regular => "backup",
    }
}

/// What is read at a scrape.
#[derive(Debug)]
struct Scraped(Vec<Family>);

impl Collector for Scraped {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let Family { help, kind, .. } = family;
            // The encoder writes this behind the name of each value itself.
            let name = family.name.trim_end_matches("_total");
            let mut told = encoder.encode_descriptor(name, help, None, *kind)?;
            for (values, value) in &family.samples {
                let values = values.iter().map(String::as_str);
                let labels: Vec<(&str, &str)> = family.labels.iter().copied().zip(values).collect();
                let one = told.encode_family(&labels)?;
                if let MetricType::Counter = kind {
                    ConstCounter::new(*value).encode(one)?;
                } else {
                    ConstGauge::new(*value).encode(one)?;
                }
            }
        }
        Ok(())
    }
}

fn text(families: Vec<Family>, durations: &Registry) -> String {
    let mut scraped = Registry::default();
    scraped.register_collector(Box::new(Scraped(families)));
    let mut text = String::new();
    let _never_fails = encode_registry(&mut text, &scraped)
        .and_then(|()| encode_registry(&mut text, durations))
        .and_then(|()| encode_eof(&mut text));
    text
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::histogram::Histogram;

    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn what_waits_for_a_cloud_that_is_not_configured_is_counted() {
        let under_way = ["here", "gone", "silent"].map(|cloud| UnderWay {
            cloud: CloudName::new(cloud),
            kind: "restore".to_owned(),
            count: 2,
            oldest: Timestamp(0),
        });
        let known = ["here", "silent", "idle"].map(CloudName::new);
        let closed = vec!["silent".to_owned(), "idle".to_owned()];
        let told = waiting(&under_way, &known, closed);
        let counts = [("gone", 2), ("idle", 0), ("silent", 2)];
        assert_eq!(
            told,
            counts.map(|(cloud, count)| (vec![cloud.to_owned()], count))
        );
    }

    #[test]
    fn a_label_is_in_lower_case_whatever_its_noun_is() {
        assert_eq!(label("DR backup"), "dr_backup");
    }

    #[test]
    fn values_are_told_as_prometheus_reads_them() {
        let wait = Histogram::new([1.0]);
        wait.observe(2.0);
        let mut durations = Registry::default();
        durations.register("wait_seconds", "How long", wait);
        let families = vec![Family {
            name: "calls_total",
            help: "Calls.",
            kind: MetricType::Counter,
            labels: &["cloud", "outcome"],
            samples: vec![(vec!["a \"b\"\\\n".to_owned(), "success".to_owned()], 7)],
        }];
        assert_eq!(
            text(families, &durations),
            "# HELP calls Calls.\n# TYPE calls counter\n\
             calls_total{cloud=\"a \\\"b\\\"\\\\\\n\",outcome=\"success\"} 7\n\
             # HELP wait_seconds How long.\n# TYPE wait_seconds histogram\n\
             wait_seconds_sum 2.0\nwait_seconds_count 1\n\
             wait_seconds_bucket{le=\"1.0\"} 0\nwait_seconds_bucket{le=\"+Inf\"} 1\n\
             # EOF\n"
        );
    }
}
