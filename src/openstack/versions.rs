//! What each service of a cloud speaks, asked for once; this file may not know how it is asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::version::Range;
use crate::domain::fault::{Fault, Service};

/// The ranges of one cloud's services.
#[derive(Default)]
pub(super) struct Versions {
    known: Mutex<HashMap<Service, Arc<tokio::sync::OnceCell<Option<Range>>>>>,
}

impl Versions {
    /// The range of a service; those who ask at the same time wait for one answer.
    pub(super) async fn range<F>(
        &self,
        service: Service,
        ask: impl FnOnce() -> F,
    ) -> Result<Option<Range>, Fault>
    where
        F: Future<Output = Result<Option<Range>, Fault>>,
    {
        let cell = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(service).or_default())
        };
        cell.get_or_try_init(ask).await.copied()
    }

    /// Asks anew next time.
    pub(super) fn forget(&self, service: Service) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&service);
    }
}
