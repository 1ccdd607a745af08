//! The metadata of a volume or snapshot as a resource of its own; it may not know which of the two.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Ask, nowhere, texts};
use crate::sim::reply::{Answer, Reply, missing};

/// Answers for the path below `…/metadata`.
pub(super) fn route(
    ask: &Ask<'_>,
    rest: &[&str],
    metadata: &mut BTreeMap<String, String>,
    owner: &str,
) -> Answer {
    let absent = |key: &str| missing(&format!("{owner} has no metadata with key {key}."));
    let body = ask.call.json();
    match (ask.call.method.as_str(), rest) {
        ("GET", []) => {}
        ("POST", []) => metadata.extend(texts(&body["metadata"])?),
        ("PUT", []) => *metadata = texts(&body["metadata"])?,
        ("GET", [key]) => {
            let value = metadata.get(*key).ok_or_else(|| absent(key))?;
            return Ok(Reply::ok(json!({"meta": {*key: value}})));
        }
        ("PUT", [key]) => {
            metadata.extend(texts(&body["meta"])?);
            let value = metadata.get(*key).ok_or_else(|| absent(key))?;
            return Ok(Reply::ok(json!({"meta": {*key: value}})));
        }
        ("DELETE", [key]) => {
            metadata.remove(*key).ok_or_else(|| absent(key))?;
            return Ok(Reply::empty(200));
        }
        _ => return Err(nowhere()),
    }
    Ok(Reply::ok(json!({"metadata": metadata})))
}
