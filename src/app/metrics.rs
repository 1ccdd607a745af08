//! What the parts of the process count, in the words of the metrics; it may not know who reads them.

use std::{collections::BTreeMap, sync::Arc};

use prometheus_client::{metrics::MetricType, registry::Registry};

use super::{
    config::Config, entrance::counts::Counts, process::Process, requests, tls::Certificates,
};
use crate::{
    domain::{id::CloudName, operation::Ask},
    engine::meter::{Ended, Meter},
    openstack::Clouds,
    port::cloud::Cloud as _,
    rest::metrics::{Counted, Family, Metrics, Sample},
    service::Service,
};

/// The metrics of a process with these parts; schedules are told of one by one, so many at most.
pub(super) fn metrics(
    service: Service,
    meter: Meter,
    clouds: Arc<Clouds>,
    counts: Arc<Counts>,
    certificates: Option<Arc<Certificates>>,
    config: &Config,
) -> Metrics {
    let is_sealed = config.seal.seals();
    let mut durations = Registry::default();
    durations.register(
        "drbackup_operation_duration_seconds",
        "How long operations took that came to their end in this process, from their admission",
        meter.durations(),
    );
    durations.register(
        "drbackup_operation_phase_duration_seconds",
        "How long phases of operations took, as far as this process saw them",
        meter.phases(),
    );
    durations.register(
        "drbackup_cloud_call_duration_seconds",
        "How long calls of this process to a cloud took, whatever came of them",
        clouds.durations(),
    );
    requests::register(&mut durations);
    durations.register_collector(Box::new(Process::just_begun()));
    let counted = move || Counted {
        ended: ended(&clouds.cloud_names(), meter.ended()),
        calls: clouds
            .traffic()
            .into_iter()
            .flat_map(|(cloud, counts)| {
                counts.into_iter().map(move |one| {
                    let of = [cloud.as_str(), one.kind.name(), one.outcome.name()];
                    (labels(of), one.calls)
                })
            })
            .collect(),
        set_aside: meter
            .set_aside()
            .into_iter()
            .map(|(why, count)| (labels([why.name()]), count))
            .collect(),
        closed: meter.closed().iter().map(ToString::to_string).collect(),
        more: more(&meter, &clouds, &counts, certificates.as_deref(), is_sealed),
    };
    Metrics {
        service,
        counted: Arc::new(counted),
        durations: Arc::new(durations),
        schedules: config.ops.schedules,
    }
}

/// Also what has not happened yet, for every cloud: of a series that begins with 1 Prometheus does not see
/// that it grew, and the first failure would be missed.
fn ended(clouds: &[CloudName], counts: Vec<(CloudName, &'static str, Ended, u64)>) -> Vec<Sample> {
    let none = clouds.iter().flat_map(|cloud| {
        let kinds = Ask::NAMES.into_iter();
        kinds.flat_map(move |kind| Ended::ALL.map(|ended| (cloud.clone(), kind, ended, 0)))
    });
    let mut all = BTreeMap::new();
    for (cloud, kind, ended, count) in none.chain(counts) {
        let of = labels([cloud.as_str(), kind, ended.name()]);
        *all.entry(of).or_default() += count;
    }
    all.into_iter().collect()
}

/// What is not counted but stands so.
fn more(
    meter: &Meter,
    clouds: &Clouds,
    counts: &Counts,
    certificates: Option<&Certificates>,
    is_sealed: bool,
) -> Vec<Family> {
    let mut families = vec![
        Family {
            name: "drbackup_build_info",
            help: "The version of this program; always 1.",
            kind: MetricType::Gauge,
            labels: &["version"],
            samples: vec![(labels([env!("CARGO_PKG_VERSION")]), 1)],
        },
        Family {
            name: "drbackup_user_data_sealed",
            help: "Whether manifests and their user data are sealed before they are written into the database.",
            kind: MetricType::Gauge,
            labels: &[],
            samples: vec![(Vec::new(), is_sealed.into())],
        },
        Family {
            name: "drbackup_lanes",
            help: "Tenants that this process works for now.",
            kind: MetricType::Gauge,
            labels: &[],
            samples: vec![(Vec::new(), meter.lanes())],
        },
        Family {
            name: "drbackup_cloud_up",
            help: "Whether the last call of this process to a cloud was answered, in whatever way; 1 before the first.",
            kind: MetricType::Gauge,
            labels: &["cloud"],
            samples: clouds
                .answering()
                .into_iter()
                .map(|(cloud, answers)| (labels([cloud.as_str()]), answers.into()))
                .collect(),
        },
    ];
    families.extend(of_the_entrance(counts, certificates));
    families
}

/// What is known at the entrance.
fn of_the_entrance(counts: &Counts, certificates: Option<&Certificates>) -> [Family; 3] {
    let refusals = counts.refusals();
    let left = certificates.map(Certificates::seconds_left);
    [
        Family {
            name: "drbackup_connections",
            help: "Connections of callers that are open.",
            kind: MetricType::Gauge,
            labels: &[],
            samples: vec![(Vec::new(), counts.open())],
        },
        Family {
            name: "drbackup_not_served_total",
            help: "Connections and calls that were turned away at the entrance, by what kept them out.",
            kind: MetricType::Counter,
            labels: &["reason"],
            samples: refusals
                .map(|(reason, count)| (labels([reason.name()]), count))
                .collect(),
        },
        Family {
            name: "drbackup_certificate_seconds_left",
            help: "Seconds until the first certificate of a file of the listener expires; 0 once it has.",
            kind: MetricType::Gauge,
            labels: &["file"],
            samples: left
                .into_iter()
                .flatten()
                .map(|(file, left)| (labels([file]), left))
                .collect(),
        },
    ]
}

fn labels<const N: usize>(values: [&str; N]) -> Vec<String> {
    values.map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_happened_yet_is_told_for_every_cloud() {
        let clouds = ["dr", "source"].map(CloudName::new);
        let happened = vec![
            (CloudName::new("source"), "restore", Ended::Erred, 2),
            (CloudName::new("gone"), "restore", Ended::Done, 1),
        ];
        let told = ended(&clouds, happened);
        assert_eq!(told.len(), 2 * Ask::NAMES.len() * Ended::ALL.len() + 1);
        let of = |of: [&str; 3]| told.iter().find(|(one, _)| *one == labels(of)).unwrap().1;
        assert_eq!(of(["source", "restore", "erred"]), 2);
        assert_eq!(of(["dr", "create_dr_backup", "erred"]), 0);
        assert_eq!(of(["gone", "restore", "done"]), 1);
    }
}
