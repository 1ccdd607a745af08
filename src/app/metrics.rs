//! What the parts of the process count, in the words of the metrics; it may not know who reads them.

use std::sync::Arc;

use prometheus_client::registry::Registry;

use crate::{
    engine::meter::Meter,
    openstack::Clouds,
    rest::metrics::{Counted, Metrics},
    service::Service,
};

/// The metrics of a process with these parts.
pub(super) fn metrics(service: Service, meter: Meter, clouds: Arc<Clouds>) -> Metrics {
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
    };
    Metrics {
        service,
        counted: Arc::new(counted),
        durations: Arc::new(durations),
    }
}

fn labels<const N: usize>(values: [&str; N]) -> Vec<String> {
    values.map(str::to_owned).into()
}
