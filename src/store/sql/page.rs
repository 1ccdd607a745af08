//! Pages that stay stable while rows come and go; it may not know what the rows are.

use crate::{
    domain::page::{Cursor, OrderValue, Page},
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
