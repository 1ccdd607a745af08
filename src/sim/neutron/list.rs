//! Lists of Neutron: filters, pages and the links between them; it may not know what the rows mean.

use serde_json::{Value, json};

use crate::sim::call::truth as is_true;
use crate::sim::reply::Reply;
use crate::sim::world::World;

use super::{Ask, Row, sees, text, view};

const NO_FILTERS: [&str; 7] = [
    "fields",
    "limit",
    "marker",
    "sort_key",
    "sort_dir",
    "page_reverse",
    "all_projects",
];

pub(super) fn list(world: &World, ask: &Ask<'_>, table: &'static str) -> Reply {
    let call = ask.call;
    let mut rows: Vec<&Row> = world
        .neutron
        .rows(table)
        .filter(|row| sees(world, &ask.who, table, row))
        .filter(|row| {
            call.query
                .iter()
                .filter(|(key, _)| !NO_FILTERS.contains(&key.as_str()))
                .all(|(key, _)| matches(row, key, &call.params(key).collect::<Vec<_>>()))
        })
        .collect();
    if let Some(marker) = call.param("marker")
        && let Some(position) = rows.iter().position(|row| text(row, "id") == marker)
    {
        rows.drain(..=position);
    }
    let limit = call
        .param("limit")
        .and_then(|limit| limit.parse::<usize>().ok())
        .filter(|limit| *limit > 0);
    let mut links = Vec::new();
    if let Some(limit) = limit {
        let more = rows.len() > limit;
        rows.truncate(limit);
        if let Some(last) = rows.last().filter(|_| more) {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            for (key, value) in call.query.iter().filter(|(key, _)| key != "marker") {
                query.append_pair(key, value);
            }
            query.append_pair("marker", text(last, "id"));
            let path = table.replace('_', "-");
            links.push(json!({"rel": "next",
                "href": format!("{}/network/v2.0/{path}?{}", call.base, query.finish())}));
        }
    }
    let views: Vec<Value> = rows
        .into_iter()
        .map(|row| view(world, ask, table, row))
        .collect();
    let mut body = json!({table: views});
    if !links.is_empty() {
        body[format!("{table}_links")] = json!(links);
    }
    Reply::ok(body)
}

fn matches(row: &Row, key: &str, wanted: &[&str]) -> bool {
    let strings = |value: Option<&Value>| -> Vec<String> {
        let list = value.and_then(Value::as_array).cloned().unwrap_or_default();
        list.iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let tags = || strings(row.get("tags"));
    let asked = || {
        wanted
            .iter()
            .flat_map(|value| value.split(','))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    match key {
        "tags" => asked().iter().all(|tag| tags().contains(tag)),
        "tags-any" => asked().iter().any(|tag| tags().contains(tag)),
        "not-tags" => !asked().iter().all(|tag| tags().contains(tag)),
        "not-tags-any" => !asked().iter().any(|tag| tags().contains(tag)),
        "fixed_ips" => {
            let addresses = row
                .get("fixed_ips")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            wanted.iter().all(|one| {
                let (field, value) = one.split_once('=').unwrap_or((one, ""));
                addresses.iter().any(|address| address[field] == value)
            })
        }
        "security_groups" => wanted
            .iter()
            .any(|id| strings(row.get("security_groups")).contains(&(*id).to_owned())),
        "tenant_id" => wanted.contains(&text(row, "project_id")),
        key => match row.get(key) {
            Some(Value::String(text)) => wanted.contains(&text.as_str()),
            Some(Value::Null) | None => wanted.iter().all(|value| value.is_empty()),
            Some(value) => {
                let shown = value.to_string();
                wanted.iter().any(|one| {
                    one.eq_ignore_ascii_case(&shown)
                        || value.is_boolean() && is_true(one) == (shown == "true")
                })
            }
        },
    }
}
