//! Reads the parameters that lists have in common; it may not know of what.

use std::str::FromStr as _;

use super::{extract::Paging, responses};
use crate::{
    domain::{
        error::Error,
        lifecycle::State,
        page::{Filter, Order, OrderField, Query},
    },
    service::fields::{Fields, brief},
};

/// Sizes of pages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Where the caller names none.
    pub(super) default: u32,
    /// At most.
    pub(super) most: u32,
}

/// The page that is asked for, and its number.
pub(super) fn query(
    mut fields: Fields<'_>,
    filter: Filter,
    paging: &Paging,
    sizes: Sizes,
) -> Result<(Query, u64), Error> {
    let page = number(&mut fields, "page", paging.page.as_deref()).unwrap_or(1);
    let size = number(&mut fields, "page_size", paging.page_size.as_deref());
    let size = size.map_or(sizes.default, |size| {
        u32::try_from(size).unwrap_or(u32::MAX)
    });
    let limit = size.min(sizes.most).max(1);
    let order = order(&mut fields, paging.o.as_deref());
    fields.done()?;
    let query = Query {
        filter,
        order,
        skip: (page - 1).saturating_mul(limit.into()),
        limit,
        ..Query::default()
    };
    Ok((query, page))
}

/// A whole number from 1.
fn number(fields: &mut Fields<'_>, field: &str, given: Option<&str>) -> Option<u64> {
    let given = given?;
    let digits = given.bytes().all(|one| one.is_ascii_digit());
    let number = i64::from_str(given).ok().filter(|one| digits && *one > 0);
    if number.is_none() {
        fields.bad(field, "is not a whole number from 1 to 9223372036854775807");
    }
    number.map(i64::unsigned_abs)
}

fn order(fields: &mut Fields<'_>, given: Option<&str>) -> Order {
    let Some(given) = given else {
        return Order::default();
    };
    let (name, descending) = given
        .strip_prefix('-')
        .map_or((given, false), |name| (name, true));
    let field = match name {
        "created" => OrderField::Created,
        "modified" => OrderField::Updated,
        "name" => OrderField::Name,
        _ => {
            fields.bad(
                "o",
                "is none of created, modified and name, or one of them behind a `-`",
            );
            OrderField::Created
        }
    };
    Order { field, descending }
}

/// The states of these names.
pub(super) fn states(fields: &mut Fields<'_>, given: &[String]) -> Vec<State> {
    let mut states = Vec::with_capacity(given.len());
    for name in given {
        let mut listed = responses::LISTED.into_iter();
        match listed.find(|state| responses::state(*state).name() == name) {
            Some(state) if !states.contains(&state) => states.push(state),
            Some(_) => {}
            None => {
                let known = responses::LISTED
                    .map(|state| responses::state(state).name())
                    .join(", ");
                let problem = format!("`{}` is no state; there are: {known}", brief(name));
                fields.bad("state", problem);
            }
        }
    }
    states
}

/// An id of ours, where one is given.
pub(super) fn id<T>(
    fields: &mut Fields<'_>,
    field: &str,
    given: Option<String>,
    id: impl Fn(uuid::Uuid) -> T,
) -> Option<T> {
    given.map(|given| id(fields.id(field, &given)))
}

/// A part of a text, where one is given.
pub(super) fn part(fields: &mut Fields<'_>, field: &str, given: Option<String>) -> Option<String> {
    given.map(|given| fields.name(field, given))
}

/// A name or an id that a cloud or the configuration gave, where one is given.
pub(super) fn foreign(
    fields: &mut Fields<'_>,
    field: &str,
    given: Option<String>,
) -> Option<String> {
    given.map(|given| fields.required(field, given))
}
