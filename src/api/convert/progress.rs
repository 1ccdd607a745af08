//! State, progress, errors and events as messages; it may not know whose they are.

use super::{number, text, time};
use crate::{
    api::pb,
    domain::{
        error::OperationError,
        event::Event,
        lifecycle::State,
        progress::{Progress, VolumeProgress},
    },
};

/// The state of a resource.
pub(in crate::api) fn state(state: State) -> pb::State {
    match state {
        State::CreationScheduled => pb::State::CreationScheduled,
        State::Creating => pb::State::Creating,
        State::Ok => pb::State::Ok,
        State::Erred => pb::State::Erred,
        State::UpdateScheduled => pb::State::UpdateScheduled,
        State::Updating => pb::State::Updating,
        State::DeletionScheduled => pb::State::DeletionScheduled,
        State::Deleting => pb::State::Deleting,
        State::Deleted => pb::State::Deleted,
    }
}

/// How far an operation is.
pub(in crate::api) fn progress(progress: Progress) -> pb::Progress {
    pb::Progress {
        phase: progress.phase,
        volumes: progress.volumes.into_iter().map(volume).collect(),
        effects_done: number(progress.effects_done),
        effects_total: number(progress.effects_total),
        start_time: progress.started.map(time),
        last_change_time: progress.changed.map(time),
        waiting: progress.waiting.unwrap_or_default(),
        stall_time: progress.stalled.map(time),
    }
}

fn volume(volume: VolumeProgress) -> pb::VolumeProgress {
    pb::VolumeProgress {
        volume_id: volume.volume.to_string(),
        volume_name: volume.name,
        status: volume.status,
        size_gib: number(volume.size_gib),
        done: volume.done,
        failed: volume.failed,
    }
}

/// Why an operation failed.
pub(in crate::api) fn error(error: OperationError) -> pb::OperationError {
    pb::OperationError {
        reason: error.reason,
        message: error.message,
        guidance: error.guidance,
        service: error
            .service
            .map(|service| service.project().to_owned())
            .unwrap_or_default(),
        status: error.status.map(number).unwrap_or_default(),
        code: text(error.code.as_ref()),
        request_id: text(error.request_id.as_ref()),
        retryable: error.retryable,
    }
}

/// One step in the story of a resource.
pub(in crate::api) fn event(event: Event) -> pb::Event {
    pb::Event {
        sequence: super::large(event.sequence),
        time: Some(time(event.time)),
        resource_id: event.resource.uuid().to_string(),
        state: state(event.state).into(),
        runtime_state: event.runtime_state,
        progress: Some(progress(event.progress)),
        error: event.error.map(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_same_name_on_the_wire() {
        for one in State::ALL {
            assert_eq!(state(one).as_str_name(), format!("STATE_{}", one.name()));
        }
    }
}
