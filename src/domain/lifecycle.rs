//! The states of a resource and the one function that moves between them; it may not know storage.

use serde::{Deserialize, Serialize};

/// The state of a resource, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Admitted; nothing was done in a cloud yet.
    CreationScheduled,
    /// Being made.
    Creating,
    /// Good.
    Ok,
    /// The last operation failed; `error` says why.
    Erred,
    /// An update was admitted.
    UpdateScheduled,
    /// Being updated.
    Updating,
    /// A deletion was admitted.
    DeletionScheduled,
    /// Being deleted.
    Deleting,
    /// Gone: only the last event of a stream says so, no resource is in it.
    Deleted,
}

/// What may happen to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// A caller asked for an update.
    ScheduleUpdate,
    /// A caller asked for its deletion.
    ScheduleDeletion,
    /// The engine took the operation up.
    Begin,
    /// The operation reached its goal.
    Succeed,
    /// The operation gave up, with everything cleaned up.
    Fail,
}

impl State {
    /// All states, for tables and tests.
    pub const ALL: [Self; 9] = [
        Self::CreationScheduled,
        Self::Creating,
        Self::Ok,
        Self::Erred,
        Self::UpdateScheduled,
        Self::Updating,
        Self::DeletionScheduled,
        Self::Deleting,
        Self::Deleted,
    ];

    /// The state after `transition`, or nothing when it is not allowed now.
    #[must_use]
    pub fn after(self, transition: Transition) -> Option<Self> {
        match (self, transition) {
            (Self::Ok | Self::Erred, Transition::ScheduleUpdate) => Some(Self::UpdateScheduled),
            (Self::Ok | Self::Erred, Transition::ScheduleDeletion) => Some(Self::DeletionScheduled),
            (Self::CreationScheduled | Self::Creating, Transition::Begin) => Some(Self::Creating),
            (Self::UpdateScheduled | Self::Updating, Transition::Begin) => Some(Self::Updating),
            (Self::DeletionScheduled | Self::Deleting, Transition::Begin) => Some(Self::Deleting),
            (Self::Creating | Self::Updating, Transition::Succeed) => Some(Self::Ok),
            (Self::Deleting, Transition::Succeed) => Some(Self::Deleted),
            (Self::Creating | Self::Updating | Self::Deleting, Transition::Fail) => {
                Some(Self::Erred)
            }
            _ => None,
        }
    }

    /// Whether an operation is under way or about to be.
    pub fn is_busy(self) -> bool {
        match self {
            Self::CreationScheduled
            | Self::Creating
            | Self::UpdateScheduled
            | Self::Updating
            | Self::DeletionScheduled
            | Self::Deleting => true,
            Self::Ok | Self::Erred | Self::Deleted => false,
        }
    }

    /// The name in the API and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreationScheduled => "CREATION_SCHEDULED",
            Self::Creating => "CREATING",
            Self::Ok => "OK",
            Self::Erred => "ERRED",
            Self::UpdateScheduled => "UPDATE_SCHEDULED",
            Self::Updating => "UPDATING",
            Self::DeletionScheduled => "DELETION_SCHEDULED",
            Self::Deleting => "DELETING",
            Self::Deleted => "DELETED",
        }
    }

    /// Reads a name of the API or the store.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_resource_refuses_update_and_deletion() {
        for state in State::ALL.into_iter().filter(|state| state.is_busy()) {
            assert_eq!(state.after(Transition::ScheduleUpdate), None);
            assert_eq!(state.after(Transition::ScheduleDeletion), None);
        }
    }

    #[test]
    fn every_busy_state_ends_in_rest() {
        for state in State::ALL.into_iter().filter(|state| state.is_busy()) {
            let running = state
                .after(Transition::Begin)
                .expect("a busy state can begin");
            assert!(
                running
                    .after(Transition::Succeed)
                    .is_some_and(|end| !end.is_busy())
            );
            assert_eq!(running.after(Transition::Fail), Some(State::Erred));
        }
    }

    #[test]
    fn names_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
    }
}
