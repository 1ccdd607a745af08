//! What another system made, taken in as it is; this file may not know how it was read.

use super::{Service, refused};
use crate::{
    domain::{error::Error, point::Point, schedule::Schedule},
    port::store::{Admitted, StoreError},
};

impl Service {
    /// Takes in a point at rest; answers whether it is new. One of the same id that is there already
    /// stays as it is, so repeating it is harmless. No cloud is asked: it may be gone.
    pub async fn point_take_in(&self, point: Point) -> Result<bool, Error> {
        self.gate.check_cloud(&point.tenant.cloud)?;
        let taken = self.store.point_take_in(point).await;
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
            .schedule_admit(None, schedule)
            .await
            .map_err(refused)?;
        Ok(true)
    }
}
