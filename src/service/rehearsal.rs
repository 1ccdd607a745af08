//! Whether something can be done, answered before it is begun: the operation is planned as the engine would
//! plan it, and all that it reads before it makes anything is read; it may not know what any operation does.
//!
//! So what is called possible here is refused later only for what changed in between: it is the same code
//! that looks, and the same that judges.

use futures::future::try_join_all;

use super::Service;
use crate::domain::{
    decision::{self, DesiredEffect, Ending, Report},
    effect::{Effect, EffectKind, EffectState},
    error::{Error, ErrorKind},
    ledger::Ledger,
    operation::Operation,
};

impl Service {
    /// Goes through an operation up to the first thing that it would make; answers what it would tell then,
    /// or all that is in its way. Nothing is written, here or in a cloud.
    pub(super) async fn rehearse(&self, operation: &Operation) -> Result<Report, Error> {
        let mut ledger = Ledger::default();
        loop {
            let asked = decision::ask(&self.planner, operation, &ledger, self.clock.now());
            let decision = asked.map_err(|panic| defect(&panic))?;
            if let Ending::Erred(error) = decision.ending {
                return Err(error.into());
            }
            let is_read = |wish: &DesiredEffect| wish.request.kind() == EffectKind::Read;
            let only_reads = decision.wishes.iter().all(is_read);
            if decision.wishes.is_empty() || !only_reads {
                return Ok(decision.report);
            }
            let reads = decision
                .wishes
                .into_iter()
                .map(|wish| self.read_ahead(operation, wish));
            for mut effect in try_join_all(reads).await? {
                effect.ordinal = ledger.next_ordinal();
                ledger.put(effect);
            }
        }
    }

    /// The row that the engine would write of a read.
    async fn read_ahead(
        &self,
        operation: &Operation,
        wish: DesiredEffect,
    ) -> Result<Effect, Error> {
        let fact = self.gate.read(&wish.tenant, &wish.request).await?;
        Ok(Effect {
            name: operation.name_of(&wish.key),
            key: wish.key,
            ordinal: 0,
            tenant: wish.tenant,
            request: wish.request,
            disposal: wish.disposal,
            state: EffectState::Done,
            cloud_id: None,
            status: None,
            fact,
            fault: None,
            held: None,
            attempt: 1,
            changed: self.clock.now(),
        })
    }
}

/// What the planner panicked with.
fn defect(panic: &str) -> Error {
    tracing::error!(panic, "a planner panicked when it was asked beforehand");
    let message = format!("a defect of this version keeps it from being looked at ({panic})");
    Error::new(ErrorKind::Internal, message).advise("report this as a defect")
}
