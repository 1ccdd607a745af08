//! The wall clock and the source of new ids; it may not know the operating system.

use uuid::Uuid;

use crate::domain::time::Timestamp;

/// Where times and ids come from, so that a test can wind them.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
    /// An id that was never handed out before, ordered by time (UUID version 7).
    fn new_id(&self) -> Uuid;
}
