//! What is found while everything is chosen: what is in the way, and what is put back otherwise; it may not
//! know how anything is chosen.

use crate::{
    domain::{
        difference::Difference,
        error::{Blocker, Concern, Error, OperationError, Shortage},
        id::VolumeId,
        restoration::{RestoreOptions, VolumeOptions},
    },
    plan::decision_builder::{Step, Stop},
};

/// Collects what is in the way, so that a user hears of everything at once.
#[derive(Default)]
pub(in crate::plan) struct Findings {
    blockers: Vec<Blocker>,
    pub(super) differences: Vec<Difference>,
}

impl Findings {
    /// Something is there, or is not, that no other value in the request would change.
    pub(in crate::plan) fn problem(
        &mut self,
        reason: &'static str,
        text: String,
        guidance: &'static str,
    ) {
        self.block(Concern::State, reason, text, guidance);
    }

    /// Another value of this field would do.
    pub(in crate::plan) fn field(
        &mut self,
        field: impl Into<String>,
        reason: &'static str,
        text: &str,
        guidance: &'static str,
    ) {
        let field = field.into();
        let text = format!("{field}: {text}");
        self.block(Concern::Field(field), reason, text, guidance);
    }

    /// A quota or a limit is short.
    pub(in crate::plan) fn short(&mut self, short: Shortage, text: String, guidance: &'static str) {
        self.block(Concern::Short(short), "QUOTA_SHORT", text, guidance);
    }

    /// What was refused elsewhere.
    pub(in crate::plan) fn refused(&mut self, error: &Error) {
        self.blockers.push(Blocker {
            reason: error.reason().to_owned(),
            message: error.message.clone(),
            guidance: error.guidance.clone(),
            concern: Concern::State,
        });
    }

    fn block(
        &mut self,
        concern: Concern,
        reason: &'static str,
        message: String,
        guidance: &'static str,
    ) {
        let blocker = Blocker {
            reason: reason.to_owned(),
            message,
            guidance: guidance.to_owned(),
            concern,
        };
        // What is wished for all volumes is missed once.
        if !self.blockers.contains(&blocker) {
            self.blockers.push(blocker);
        }
    }

    /// All that is in the way, as why it cannot be done.
    pub(in crate::plan) fn refusal(&self) -> Option<Box<OperationError>> {
        OperationError::blocked(self.blockers.clone()).map(Box::new)
    }

    /// Gives up where anything is in the way, with all of it.
    pub(in crate::plan) fn none(&self) -> Step<()> {
        self.refusal().map_or(Ok(()), |all| Err(Stop::GiveUp(all)))
    }

    /// Something is put back otherwise than it was.
    pub(super) fn differs(&mut self, difference: Difference) {
        self.differences.push(difference);
    }
}

/// What the request calls the wishes for one volume: by the volume's own override, where that has one.
pub(super) struct Named<'o> {
    own: Option<(usize, &'o VolumeOptions)>,
}

impl<'o> Named<'o> {
    pub(super) fn of(options: &'o RestoreOptions, volume: &VolumeId) -> Self {
        let mut volumes = options.volumes.iter().enumerate();
        let own = volumes.find(|(_, one)| one.volume == *volume);
        Self { own }
    }

    pub(super) fn volume_type(&self) -> String {
        match self.own {
            Some((index, options)) if options.volume_type.is_some() => {
                format!("volumes[{index}].volume_type")
            }
            Some(_) | None => "volume_type".to_owned(),
        }
    }

    pub(super) fn zone(&self) -> String {
        match self.own {
            Some((index, options)) if options.availability_zone.is_some() => {
                format!("volumes[{index}].availability_zone")
            }
            Some(_) | None => "volume_availability_zone".to_owned(),
        }
    }
}
