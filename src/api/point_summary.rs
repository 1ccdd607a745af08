//! What a point is judged by where only its place among others matters; it may not know
//! what it holds.

use crate::domain::{
    id::{PointId, ScheduleId, ServerId, Tenant},
    lifecycle::State,
    point::Point,
    time::Timestamp,
};

/// How a point stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PointSummary {
    /// Which.
    pub(super) id: PointId,
    /// Where its instance lives.
    pub(super) tenant: Tenant,
    /// Its instance.
    pub(super) server: ServerId,
    /// The schedule that made it.
    pub(super) schedule: Option<ScheduleId>,
    /// Its name.
    pub(super) name: String,
    /// Its state.
    pub(super) state: State,
    /// When it was admitted.
    pub(super) created: Timestamp,
    /// Its revision.
    pub(super) revision: i64,
}

impl From<Point> for PointSummary {
    fn from(point: Point) -> Self {
        Self {
            id: point.id,
            tenant: point.tenant,
            server: point.server,
            schedule: point.keeping.schedule,
            name: point.name,
            state: point.head.state,
            created: point.head.created,
            revision: point.head.revision,
        }
    }
}
