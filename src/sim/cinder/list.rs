//! Lists of Cinder: filters, order, pages and the links between them; it may not know how a resource
//! is shown.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{Ask, Backup, Snapshot, Volume};
use crate::sim::call::truth;
use crate::sim::clock::cinder as written;
use crate::sim::reply::{Reply, bad};
use crate::sim::world::World;

/// What a list needs to know of a resource.
pub(super) trait Listed {
    fn id(&self) -> &str;
    fn sequence(&self) -> u64;
    fn project(&self) -> &str;
    /// The value of a field as text, for filters and order.
    fn field(&self, name: &str) -> Option<String>;
    fn metadata(&self) -> &std::collections::BTreeMap<String, String>;
}

impl Listed for Volume {
    fn id(&self) -> &str {
        &self.id
    }
    fn sequence(&self) -> u64 {
        self.sequence
    }
    fn project(&self) -> &str {
        &self.project
    }
    fn field(&self, name: &str) -> Option<String> {
        match name {
            "name" => self.name.clone(),
            "status" => Some(self.status.clone()),
            "size" => Some(self.size.to_string()),
            "bootable" => Some(self.bootable.to_string()),
            "availability_zone" => Some(super::ZONE.to_owned()),
            "created_at" => Some(written(self.created)),
            "updated_at" => self.updated.map(written),
            _ => None,
        }
    }
    fn metadata(&self) -> &std::collections::BTreeMap<String, String> {
        &self.metadata
    }
}

impl Listed for Snapshot {
    fn id(&self) -> &str {
        &self.id
    }
    fn sequence(&self) -> u64 {
        self.sequence
    }
    fn project(&self) -> &str {
        &self.project
    }
    fn field(&self, name: &str) -> Option<String> {
        match name {
            "name" => self.name.clone(),
            "status" => Some(self.status.clone()),
            "volume_id" => Some(self.volume.clone()),
            "created_at" => Some(written(self.created)),
            _ => None,
        }
    }
    fn metadata(&self) -> &std::collections::BTreeMap<String, String> {
        &self.metadata
    }
}

impl Listed for Backup {
    fn id(&self) -> &str {
        &self.id
    }
    fn sequence(&self) -> u64 {
        self.sequence
    }
    fn project(&self) -> &str {
        &self.project
    }
    fn field(&self, name: &str) -> Option<String> {
        match name {
            "name" => self.name.clone(),
            "status" => Some(self.status.clone()),
            "volume_id" => Some(self.volume.clone()),
            "snapshot_id" => self.snapshot.clone(),
            "parent_id" => self.parent.clone(),
            "created_at" => Some(written(self.created)),
            _ => None,
        }
    }
    fn metadata(&self) -> &std::collections::BTreeMap<String, String> {
        &self.metadata
    }
}

/// What every list takes besides filters.
const COMMON: [&str; 8] = [
    "limit",
    "marker",
    "offset",
    "sort",
    "sort_key",
    "sort_dir",
    "with_count",
    "all_tenants",
];

/// A page of resources, and what goes round it.
pub(super) struct Page<T> {
    pub(super) rows: Vec<T>,
    next: Option<String>,
    count: Option<usize>,
}

impl<T> Page<T> {
    /// The body of the answer: the views, the link to the next page, the count.
    pub(super) fn body(self, name: &str, view: impl Fn(T) -> Value) -> Value {
        let mut body = Map::new();
        body.insert(name.to_owned(), self.rows.into_iter().map(view).collect());
        if let Some(next) = self.next {
            body.insert(
                format!("{name}_links"),
                json!([{"rel": "next", "href": next}]),
            );
        }
        if let Some(count) = self.count {
            body.insert("count".to_owned(), json!(count));
        }
        Value::Object(body)
    }
}

/// Picks the page of `all` that a request asks for. `filters` are those that anybody may use.
pub(super) fn page<'world, T: Listed>(
    world: &World,
    ask: &Ask<'_>,
    path: &str,
    all: impl Iterator<Item = &'world T>,
    filters: &[&str],
    absent: impl Fn(&str) -> Reply,
) -> Result<Page<&'world T>, Reply> {
    let call = ask.call;
    let everybody = ask.who.is_admin() && call.param("all_tenants").is_some_and(truth);
    let unknown: Vec<&str> = call
        .query
        .iter()
        .map(|(key, _)| key.as_str())
        .filter(|key| !COMMON.contains(key) && !filters.contains(key))
        .filter(|key| !(everybody && *key == "project_id"))
        .collect();
    if !unknown.is_empty() && !ask.who.is_admin() && ask.since(31) {
        let names = unknown.join(",");
        return Err(bad(&format!(
            "Invalid filters {names} are found in query options."
        )));
    }
    let nonsense = ask.who.is_admin() && unknown.iter().any(|key| !is_admin_filter(key));
    let mut rows: Vec<&T> = all
        .filter(|row| everybody || row.project() == ask.who.project)
        .collect();
    if nonsense {
        rows.clear();
    }
    for (key, value) in &call.query {
        match key.as_str() {
            "metadata" => {
                let wanted = metadata_filter(value);
                rows.retain(|row| wanted.iter().all(|(k, v)| row.metadata().get(k) == Some(v)));
            }
            "created_at" | "updated_at" if !ask.since(60) => {}
            "created_at" | "updated_at" => {
                let test = time_filter(key, value)?;
                rows.retain(|row| row.field(key).is_some_and(|moment| test(&moment)));
            }
            "project_id" => rows.retain(|row| row.project() == value),
            key if filters.contains(&key) || ask.who.is_admin() && !COMMON.contains(&key) => {
                rows.retain(|row| row.field(key).as_deref() == Some(value.as_str()));
            }
            _ => {}
        }
    }
    order(ask, &mut rows);
    let count =
        (ask.since(45) && call.param("with_count").is_some_and(truth)).then_some(rows.len());
    if let Some(marker) = call.param("marker") {
        let Some(position) = rows.iter().position(|row| row.id() == marker) else {
            return Err(absent(marker));
        };
        rows.drain(..=position);
    }
    if let Some(offset) = call
        .param("offset")
        .and_then(|offset| offset.parse::<usize>().ok())
    {
        rows.drain(..offset.min(rows.len()));
    }
    let limit = match call.param("limit") {
        None => world.config.page_limit,
        Some(text) => match text.parse::<i64>() {
            Ok(limit) if limit >= 0 => usize::try_from(limit)
                .unwrap_or(0)
                .min(world.config.page_limit),
            Ok(_) => return Err(bad("limit param must be positive")),
            Err(_) => return Err(bad("limit param must be an integer")),
        },
    };
    rows.truncate(limit);
    let full = !rows.is_empty() && rows.len() >= limit;
    let next = rows
        .last()
        .filter(|_| full)
        .map(|last| next_link(ask, path, last.id()));
    Ok(Page { rows, next, count })
}

/// The fields that an admin may filter by although nobody else may.
fn is_admin_filter(key: &str) -> bool {
    [
        "snapshot_id",
        "parent_id",
        "project_id",
        "user_id",
        "host",
        "created_at",
        "updated_at",
    ]
    .contains(&key)
}

fn order<T: Listed>(ask: &Ask<'_>, rows: &mut [&T]) {
    let asked = match (ask.call.param("sort"), ask.call.param("sort_key")) {
        (Some(sort), _) => sort.to_owned(),
        (None, Some(key)) => format!("{key}:{}", ask.call.param("sort_dir").unwrap_or("desc")),
        (None, None) => "created_at:desc".to_owned(),
    };
    let first = asked.split(',').next().unwrap_or_default();
    let (key, direction) = first.split_once(':').unwrap_or((first, "desc"));
    rows.sort_by_cached_key(|row| {
        let value = match key {
            "created_at" => String::new(),
            "id" => row.id().to_owned(),
            key => row.field(key).unwrap_or_default(),
        };
        (value, row.sequence())
    });
    if direction != "asc" {
        rows.reverse();
    }
}

fn next_link(ask: &Ask<'_>, path: &str, marker: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in ask.call.query.iter().filter(|(key, _)| key != "marker") {
        query.append_pair(key, value);
    }
    query.append_pair("marker", marker);
    format!("{}?{}", ask.link(path), query.finish())
}

/// `{"key": "value"}`, or the same as Python writes it.
fn metadata_filter(text: &str) -> Vec<(String, String)> {
    let parsed: Value = serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(&text.replace('\'', "\"")))
        .unwrap_or(Value::Null);
    let object = parsed.as_object().cloned().unwrap_or_default();
    object
        .into_iter()
        .map(|(key, value)| {
            (
                key,
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned),
            )
        })
        .collect()
}

type Test = Box<dyn Fn(&str) -> bool>;

/// `gt:2026-01-01T00:00:00,lt:…`
fn time_filter(name: &str, text: &str) -> Result<Test, Reply> {
    let mut limits: Vec<(String, String)> = Vec::new();
    for part in text.split(',') {
        let Some((operator, moment)) = part.split_once(':') else {
            return Err(bad(&format!("Invalid {name} value")));
        };
        if !["gt", "gte", "eq", "neq", "lt", "lte"].contains(&operator) {
            return Err(bad(&format!("Invalid {operator} operator")));
        }
        let parsed = moment
            .parse::<DateTime<Utc>>()
            .or_else(|_| format!("{moment}Z").parse::<DateTime<Utc>>())
            .map_err(|_| bad(&format!("Invalid {moment} value")))?;
        limits.push((operator.to_owned(), written(parsed)));
    }
    Ok(Box::new(move |moment| {
        limits
            .iter()
            .all(|(operator, limit)| match operator.as_str() {
                "gt" => moment > limit.as_str(),
                "gte" => moment >= limit.as_str(),
                "lt" => moment < limit.as_str(),
                "lte" => moment <= limit.as_str(),
                "neq" => moment != limit,
                _ => moment == limit,
            })
    }))
}
