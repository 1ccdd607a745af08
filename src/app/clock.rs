//! The clock of the machine and the ids that it makes; it may not know who asks.

use chrono::Utc;
use uuid::Uuid;

use crate::{domain::time::Timestamp, port::clock::Clock};

/// The clock of the machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(Utc::now().timestamp_micros())
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}
