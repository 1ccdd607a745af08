//! Pages that stay stable while rows come and go; it may not know what the rows are.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{
    domain::{
        caller::Places,
        page::{Cursor, Order, OrderField, OrderValue, Page},
        time::Timestamp,
    },
    port::store::StoreError,
    store::text::unreadable,
};

/// Orders a boxed query by a column and the id, behind a row of the same order.
///
/// The first comparison alone is what an index can seek to; the second one drops the rows of the
/// same value that were on the page before.
macro_rules! behind {
    ($rows:expr, $column:expr, $id:expr, $descending:expr, $after:expr) => {{
        let rows = match ($after, $descending) {
            (Some((value, id)), true) => $rows
                .filter($column.le(value.clone()))
                .filter($column.lt(value).or($id.lt(id))),
            (Some((value, id)), false) => $rows
                .filter($column.ge(value.clone()))
                .filter($column.gt(value).or($id.gt(id))),
            (None, _) => $rows,
        };
        if $descending {
            rows.order(($column.desc(), $id.desc()))
        } else {
            rows.order(($column.asc(), $id.asc()))
        }
    }};
}
pub(super) use behind;

/// Narrows a boxed query over a table, which nothing has narrowed before, to what may be told of.
macro_rules! within {
    ($rows:ident, $scope:expr, $table:ident) => {
        if let Scope::Places(places) = &$scope {
            let mut tenants = places.tenants.iter();
            // One tenant is what most callers have, and two plain comparisons are what an index can seek to.
            $rows = match (tenants.len(), tenants.next()) {
                (1, Some(tenant)) if places.clouds.is_empty() => $rows
                    .filter($table::cloud.eq(tenant.cloud.to_string()))
                    .filter($table::project.eq(tenant.project.to_string())),
                _ => {
                    let clouds = places.clouds.iter().map(ToString::to_string);
                    let clouds: Vec<String> = clouds.collect();
                    projects_by_cloud(places).into_iter().fold(
                        $rows.filter($table::cloud.eq_any(clouds)),
                        |rows, (cloud, projects)| {
                            let these = $table::cloud.eq(cloud);
                            rows.or_filter(these.and($table::project.eq_any(projects)))
                        },
                    )
                }
            };
        }
    };
}
pub(super) use within;

/// The tenants of some places, by their cloud.
pub(super) fn projects_by_cloud(places: &Places) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for tenant in &places.tenants {
        let projects = found.entry(tenant.cloud.to_string()).or_default();
        projects.push(tenant.project.to_string());
    }
    found
}

/// Narrows a boxed query over a table to what a filter says of every kind of resource.
macro_rules! narrowed {
    ($rows:ident, $filter:ident, $table:ident, $name:ident) => {
        if let Some(cloud) = &$filter.cloud {
            $rows = $rows.filter($table::cloud.eq(cloud.as_str().to_owned()));
        }
        if let Some(project) = &$filter.project {
            $rows = $rows.filter($table::project.eq(project.as_str().to_owned()));
        }
        if let Some(name) = &$filter.name {
            $rows = $rows.filter($table::$name.eq(name.clone()));
        }
        if let Some(part) = &$filter.name_part {
            $rows = $rows.filter(dialect::place_in($table::$name, part.clone()).gt(0));
        }
        if let Some(from) = $filter.created_from {
            $rows = $rows.filter($table::created.ge(from.0));
        }
        if let Some(before) = $filter.created_before {
            $rows = $rows.filter($table::created.lt(before.0));
        }
    };
}
pub(super) use narrowed;

/// Narrows a boxed query over a table that has states to those of a filter.
macro_rules! in_states {
    ($rows:ident, $filter:ident, $table:ident) => {
        match $filter.states.as_slice() {
            [] => {}
            [state] => $rows = $rows.filter($table::state.eq(state.name())),
            several => {
                let names: Vec<&str> = several.iter().map(|state| state.name()).collect();
                $rows = $rows.filter($table::state.eq_any(names));
            }
        }
    };
}
pub(super) use in_states;

/// Orders a boxed query over a table, behind a row of the same order.
macro_rules! ordered {
    ($rows:expr, $order:ident, $after:expr, $table:ident, $name:ident) => {{
        let (id, descending) = ($table::id, $order.descending);
        match $order.field {
            OrderField::Created => {
                behind!($rows, $table::created, id, descending, time_cursor($after)?)
            }
            OrderField::Updated => {
                behind!($rows, $table::updated, id, descending, time_cursor($after)?)
            }
            OrderField::Name => {
                behind!($rows, $table::$name, id, descending, text_cursor($after)?)
            }
        }
    }};
}
pub(super) use ordered;

/// The first row of a query, where there is one.
macro_rules! first {
    ($conn:ident, $rows:expr) => {{
        let row: Option<Row> = $rows
            .select(Row::as_select())
            .first($conn)
            .await
            .optional()?;
        row
    }};
}
pub(super) use first;

/// What the first rows of a query hold, at most `limit`. What cannot be read must not take the places of
/// what can.
macro_rules! first_readable {
    ($conn:ident, $limit:ident, $rows:expr) => {{
        let (mut found, mut passed) = (Vec::new(), 0);
        let most = usize::try_from($limit).unwrap_or(usize::MAX);
        loop {
            let rows: Vec<Row> = $rows
                .limit($limit)
                .offset(passed)
                .select(Row::as_select())
                .load($conn)
                .await?;
            let count = i64::try_from(rows.len()).unwrap_or($limit);
            passed += count;
            found.extend(readable(rows));
            if count < $limit || found.len() >= most {
                found.truncate(most);
                break found;
            }
        }
    }};
}
pub(super) use first_readable;

/// Where the page ends that has this row as its last.
pub(super) fn cursor(
    order: Order,
    (created, updated): (Timestamp, Timestamp),
    name: &str,
    id: Uuid,
) -> Cursor {
    let value = match order.field {
        OrderField::Created => OrderValue::Time(created),
        OrderField::Updated => OrderValue::Time(updated),
        OrderField::Name => OrderValue::Text(name.to_owned()),
    };
    Cursor { value, id }
}

/// The cursor of an order by time, as columns hold it.
pub(super) fn time_cursor(after: Option<Cursor>) -> Result<Option<(i64, String)>, StoreError> {
    match after {
        None => Ok(None),
        Some(Cursor { value, id }) => match value {
            OrderValue::Time(time) => Ok(Some((time.0, id.to_string()))),
            OrderValue::Text(text) => Err(foreign(text)),
        },
    }
}

/// The cursor of an order by text, as columns hold it.
pub(super) fn text_cursor(after: Option<Cursor>) -> Result<Option<(String, String)>, StoreError> {
    match after {
        None => Ok(None),
        Some(Cursor { value, id }) => match value {
            OrderValue::Text(text) => Ok(Some((text, id.to_string()))),
            OrderValue::Time(time) => Err(foreign(time)),
        },
    }
}

/// Cuts what was read with a limit of one more than the page may hold.
pub(super) fn cut<T>(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> Cursor) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(cursor);
    Page { items, next }
}

fn foreign(value: impl std::fmt::Display) -> StoreError {
    unreadable("the cursor of another order", value)
}
