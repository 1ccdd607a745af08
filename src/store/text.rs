//! How words of the domain are spelled in columns, and what a database's error means; it may not
//! know which database it is.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    domain::{
        id::{
            CloudName, PointId, PointKind, ProjectId, ResourceId, RestorationId, ScheduleId, Tenant,
        },
        lifecycle::State,
    },
    port::{journal::JournalError, store::StoreError},
};

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        if matches!(error, DieselError::DeserializationError(_)) {
            return Self::Unreadable(error.to_string());
        }
        if is_defect(&error) {
            return Self::Defect(error.to_string());
        }
        Self::Unavailable(error.to_string())
    }
}

impl From<DieselError> for JournalError {
    fn from(error: DieselError) -> Self {
        StoreError::from(error).into()
    }
}

/// Whether the database said no to what was written: asking again would not help. A broken reference is
/// a race with a deletion, so it passes like all the others.
fn is_defect(error: &DieselError) -> bool {
    matches!(
        error,
        DieselError::DatabaseError(
            DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::CheckViolation,
            _,
        ) | DieselError::SerializationError(_)
            | DieselError::InvalidCString(_)
            | DieselError::QueryBuilderError(_)
    )
}

/// Something stored that cannot be read.
pub(super) fn unreadable(what: &str, problem: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable(format!("{what}: {problem}"))
}

/// A structured value as a column holds it.
pub(super) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Defect(error.to_string()))
}

/// The same, where there may be nothing.
pub(super) fn json_option<T: Serialize>(value: Option<&T>) -> Result<Option<String>, StoreError> {
    value.map(json).transpose()
}

/// Reads a structured value; `what` names the column for the error.
pub(super) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| unreadable(what, error))
}

/// The same, where there may be nothing.
pub(super) fn from_json_option<T: DeserializeOwned>(
    what: &str,
    text: Option<String>,
) -> Result<Option<T>, StoreError> {
    text.map(|text| from_json(what, &text)).transpose()
}

/// A plain enum as the bare word that serde gives it.
pub(super) fn word<T: Serialize>(value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(other) => Err(StoreError::Defect(format!("{other} is no word"))),
        Err(error) => Err(StoreError::Defect(error.to_string())),
    }
}

/// Reads a plain enum.
pub(super) fn from_word<T: DeserializeOwned>(what: &str, word: String) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(|error| unreadable(what, error))
}

/// Reads a state.
pub(super) fn state(name: &str) -> Result<State, StoreError> {
    State::from_name(name).ok_or_else(|| unreadable("a state", name))
}

/// Reads an id of ours.
pub(super) fn uuid(text: &str) -> Result<Uuid, StoreError> {
    Uuid::parse_str(text).map_err(|error| unreadable("an id", error))
}

/// Reads a number that never is negative.
pub(super) fn number<T: TryFrom<i64>>(what: &str, value: i64) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| unreadable(what, value))
}

/// A number as a column holds it, ending at the largest.
pub(super) fn column(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A tenant from its two columns.
pub(super) fn tenant(cloud: String, project: String) -> Tenant {
    Tenant {
        cloud: CloudName::new(cloud),
        project: ProjectId::new(project),
    }
}

const DR_BACKUP: &str = "dr_backup";
const BACKUP: &str = "backup";
const RESTORATION: &str = "restoration";
const SCHEDULE: &str = "schedule";

/// The kind of a point as a column holds it.
pub(super) fn kind_word(kind: PointKind) -> &'static str {
    match kind {
        PointKind::Dr => DR_BACKUP,
        PointKind::Regular => BACKUP,
    }
}

/// The kind of a point from its column.
pub(super) fn kind_of_word(word: &str) -> Result<PointKind, StoreError> {
    match word {
        DR_BACKUP => Ok(PointKind::Dr),
        BACKUP => Ok(PointKind::Regular),
        _ => Err(unreadable("the kind of a point", word)),
    }
}

/// The kind of a resource as a column holds it.
pub(super) fn resource_kind(resource: ResourceId) -> &'static str {
    match resource {
        ResourceId::Point(point) => kind_word(point.kind),
        ResourceId::Restoration(_) => RESTORATION,
        ResourceId::Schedule(_) => SCHEDULE,
    }
}

/// A resource from its two columns.
pub(super) fn resource(kind: &str, id: &str) -> Result<ResourceId, StoreError> {
    match kind {
        DR_BACKUP => Ok(ResourceId::Point(PointId::dr(uuid(id)?))),
        BACKUP => Ok(ResourceId::Point(PointId::regular(uuid(id)?))),
        RESTORATION => Ok(ResourceId::Restoration(RestorationId(uuid(id)?))),
        SCHEDULE => Ok(ResourceId::Schedule(ScheduleId(uuid(id)?))),
        _ => Err(unreadable("a kind of resource", kind)),
    }
}
