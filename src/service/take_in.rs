//! What another system made, taken in as it is; this file may not know how it was read.

use super::{Service, refused};
use crate::{
    domain::{
        audit::Who,
        caller::{Caller, Door},
        error::Error,
        point::Point,
        schedule::Schedule,
    },
    port::store::{Admitted, Asked, StoreError},
};

impl Service {
    /// Takes in a point at rest; answers whether it is new. One of the same id that is there already
    /// stays as it is, so repeating it is harmless. No cloud is asked: it may be gone.
    pub async fn point_take_in(&self, point: Point) -> Result<bool, Error> {
        self.gate.check_cloud(&point.tenant.cloud)?;
        let taken = self.store.point_take_in(taken_in(), point).await;
        match taken.map_err(refused)? {
            Admitted::New(_) => Ok(true),
            Admitted::Before(_) => Ok(false),
        }
    }

    /// The same for a schedule.
    pub async fn schedule_take_in(&self, schedule: Schedule) -> Result<bool, Error> {
        self.gate.check_cloud(&schedule.tenant.cloud)?;
        match self.store.schedule_get(schedule.id).await {
            Ok(_) => return Ok(false),
            Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(refused(error)),
        }
        self.store
            .schedule_admit(taken_in(), schedule)
            .await
            .map_err(refused)?;
        Ok(true)
    }
}

/// The command that takes in is the only one who asks for it.
fn taken_in() -> Asked {
    let caller = Caller::internal("import");
    Asked {
        who: Who::new(&caller, Door::Command, None),
        ..Asked::internally("import", "Import")
    }
}
