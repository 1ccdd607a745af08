//! Lists that come in pages; this file may not know of what.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{access::Access, call::Call};
use crate::domain::fault::{Fault, FaultKind};

impl Access {
    /// Reads all pages of a list. A list that changes under the reader in a way that loses the place,
    /// or that does not end, is a fault: a list that may lack something is never handed out.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        call: Call,
        key: &str,
    ) -> Result<Vec<T>, Fault> {
        let limits = self.session.connection.limits();
        let mut call = call.query("limit", limits.page_size.to_string());
        let unmarked = call.query.len();
        let mut items = Vec::new();
        let mut last_marker = None;
        for page in 0..limits.pages_max {
            let mut body: Map<String, Value> = match self.read(&call).await {
                Err(fault) if page > 0 && lost_place(&fault) => {
                    return Err(Fault {
                        kind: FaultKind::Unanswered,
                        message: format!("the list changed while it was read: {}", fault.message),
                        ..fault
                    });
                }
                other => other?,
            };
            let Some(Value::Array(found)) = body.remove(key) else {
                return Err(call.unreadable(key));
            };
            let marker = next_marker(&body, key, &found);
            for item in found {
                items.push(serde_json::from_value(item).map_err(|_| call.unreadable(key))?);
            }
            let Some(marker) = marker else {
                return Ok(items);
            };
            if last_marker.as_ref() == Some(&marker) {
                break;
            }
            call.query.truncate(unmarked);
            call.query.push(("marker".to_owned(), marker.clone()));
            last_marker = Some(marker);
        }
        Err(Fault::new(
            FaultKind::Unanswered,
            call.service,
            call.action.clone(),
            format!("the list does not end after {} pages", limits.pages_max),
        ))
    }

    /// Reads a list that has at most so many rows; nothing when it is longer.
    pub(super) async fn short_list<T: DeserializeOwned>(
        &self,
        call: Call,
        key: &str,
        rows: usize,
    ) -> Result<Option<Vec<T>>, Fault> {
        let call = call.query("limit", self.short(rows));
        let mut body: Map<String, Value> = self.read(&call).await?;
        let Some(Value::Array(found)) = body.remove(key) else {
            return Err(call.unreadable(key));
        };
        if next_marker(&body, key, &found).is_some() {
            return Ok(None);
        }
        let items: Result<Vec<T>, _> = found.into_iter().map(serde_json::from_value).collect();
        items.map(Some).map_err(|_| call.unreadable(key))
    }

    /// The limit of a list of at most so many rows, which is one page.
    pub(super) fn short(&self, rows: usize) -> String {
        let page = self.session.connection.limits().page_size;
        u32::try_from(rows).unwrap_or(page).min(page).to_string()
    }
}

/// The marker of the next page was deleted.
fn lost_place(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::NotFound | FaultKind::Invalid)
}

/// Where the next page begins: out of the `next` link, or the last item where the link has no marker.
/// The rest of the link is not used: it may name a host that only the service itself can reach.
fn next_marker(body: &Map<String, Value>, key: &str, items: &[Value]) -> Option<String> {
    // Of group snapshots Cinder tells `group_snapshot_links`.
    let one = key.trim_end_matches('s');
    let links = [key, one]
        .iter()
        .find_map(|noun| body.get(&format!("{noun}_links")))
        .and_then(Value::as_array);
    let next = links
        .and_then(|links| {
            links
                .iter()
                .find(|link| link.get("rel").and_then(Value::as_str) == Some("next"))
        })
        .and_then(|link| link.get("href"))
        // Glance has one link, and no list of them.
        .or_else(|| body.get("next"))
        .and_then(Value::as_str)?;
    let from_link = next.split_once('?').and_then(|(_, query)| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "marker")
            .map(|(_, value)| value.into_owned())
    });
    from_link.or_else(|| items.last()?.get("id")?.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn next_page_begins_where_the_link_says() {
        let body = json!({"volumes_links": [
            {"rel": "previous", "href": "http://inside/x?marker=a"},
            {"rel": "next", "href": "http://inside/v3/p/volumes/detail?limit=2&marker=b%20c"},
        ]});
        let body = body.as_object().unwrap();
        assert_eq!(next_marker(body, "volumes", &[]).as_deref(), Some("b c"));
        assert_eq!(next_marker(body, "snapshots", &[]), None);
    }
}
