//! What a list may be narrowed and ordered by; it may not know SQL or tokens.

use std::fmt;

use uuid::Uuid;

use super::{
    caller::Scope,
    id::{CloudName, PointId, PointKind, ProjectId, ScheduleId, ServerId},
    lifecycle::State,
    time::Timestamp,
};

/// What a list is narrowed to; what is not named is not narrowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Cloud.
    pub cloud: Option<CloudName>,
    /// Project.
    pub project: Option<ProjectId>,
    /// The server that was backed up (backups of either kind).
    pub server: Option<ServerId>,
    /// The kind of the point (points), or of the point that is restored (restorations).
    pub kind: Option<PointKind>,
    /// The point itself (points), or the point that is restored (restorations); two different ones match
    /// nothing.
    pub points: Vec<PointId>,
    /// The schedule that made it (points).
    pub schedule: Option<ScheduleId>,
    /// Whether it runs by itself (schedules).
    pub active: Option<bool>,
    /// One of these states; none named means any.
    pub states: Vec<State>,
    /// Exact name (of the backup, or of the instance that a restoration makes).
    pub name: Option<String>,
    /// A part of that name.
    pub name_part: Option<String>,
    /// A part of the description (backups of either kind).
    pub description_part: Option<String>,
    /// Made at or after.
    pub created_from: Option<Timestamp>,
    /// Made before.
    pub created_before: Option<Timestamp>,
}

/// What a list is ordered by; the id breaks ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderField {
    /// When it was made.
    #[default]
    Created,
    /// When it last changed.
    Updated,
    /// Its name.
    Name,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub field: OrderField,
    /// Largest first.
    pub descending: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            field: OrderField::Created,
            descending: true,
        }
    }
}

/// The value of the order's field in one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderValue {
    /// A time.
    Time(Timestamp),
    /// A text.
    Text(String),
}

/// The last row of a page: the next page starts behind it, however many rows came since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The value of the order's field.
    pub value: OrderValue,
    /// The id.
    pub id: Uuid,
}

/// A page that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// About what of it may be told at all: nothing, unless somebody says so.
    pub scope: Scope,
    /// Narrowed to.
    pub filter: Filter,
    /// Ordered by.
    pub order: Order,
    /// Behind this row.
    pub after: Option<Cursor>,
    /// So many rows are passed over first, for doors that number their pages; those move when rows come
    /// and go, and [`Self::after`] does not.
    pub skip: u64,
    /// At most so many rows.
    pub limit: u32,
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// Its rows.
    pub items: Vec<T>,
    /// Where the next page starts, when there is one.
    pub next: Option<Cursor>,
}

/// What the tokens of pages are sealed with.
#[derive(Clone, PartialEq, Eq)]
pub struct PageKey(String);

impl PageKey {
    /// A key that is not to be guessed.
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// Its bytes, for the one who seals.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for PageKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PageKey")
    }
}
