//! What the parts of the process count, in the words of the metrics; it may not know who reads them.

use std::sync::Arc;

use prometheus_client::{metrics::MetricType, registry::Registry};

use super::{entrance::counts::Counts, tls::Certificates};
use crate::{
    engine::meter::Meter,
    openstack::Clouds,
    rest::metrics::{Counted, Family, Metrics},
    service::Service,
};

/// The metrics of a process with these parts.
pub(super) fn metrics(
    service: Service,
    meter: Meter,
    clouds: Arc<Clouds>,
    counts: Arc<Counts>,
    certificates: Option<Arc<Certificates>>,
) -> Metrics {
    let mut durations = Registry::default();
    durations.register(
        "drbackup_operation_duration_seconds",
        "How long operations took that came to their end in this process, from their admission",
        meter.durations(),
    );
    durations.register(
        "drbackup_cloud_call_duration_seconds",
        "How long calls of this process to a cloud took, whatever came of them",
        clouds.durations(),
    );
    let counted = move || Counted {
        ended: meter
            .ended()
            .into_iter()
            .map(|(kind, ended, count)| (labels([kind, ended.name()]), count))
            .collect(),
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
        more: of_the_entrance(&counts, certificates.as_deref()).into(),
    };
    Metrics {
        service,
        counted: Arc::new(counted),
        durations: Arc::new(durations),
    }
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
