//! Lists that come in pages; this file may not know of what.

use std::collections::HashMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{access::Access, call::Call, owner};
use crate::domain::{
    fault::{Fault, FaultKind, Service},
    id::{ProjectId, Tenant},
};

/// One page, with where the next one begins.
struct Page<T> {
    rows: Vec<T>,
    next: Option<String>,
}

impl Access {
    /// Reads all pages of a list. A list that changes under the reader in a way that loses the place,
    /// or that does not end, is a fault: a list that may lack something is never handed out.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        call: Call,
        key: &str,
    ) -> Result<Vec<T>, Fault> {
        self.every_page(call, key, None).await
    }

    /// The same of the things of a tenant: those of others that a service shows with them are left out.
    pub(super) async fn pages_of<T: DeserializeOwned>(
        &self,
        tenant: &Tenant,
        call: Call,
        key: &str,
    ) -> Result<Vec<T>, Fault> {
        self.every_page(call, key, Some(&tenant.project)).await
    }

    async fn every_page<T: DeserializeOwned>(
        &self,
        call: Call,
        key: &str,
        project: Option<&ProjectId>,
    ) -> Result<Vec<T>, Fault> {
        let limits = self.session.connection.limits();
        let mut call = call.query("limit", limits.page_size.to_string());
        let unmarked = call.query.len();
        let mut items = Vec::new();
        let mut last_marker = None;
        for page in 0..limits.pages_max {
            let found = match self.page(&call, key, project).await {
                Err(fault) if page > 0 && lost_place(&fault) => {
                    return Err(Fault {
                        kind: FaultKind::Unanswered,
                        message: format!("the list changed while it was read: {}", fault.message),
                        ..fault
                    });
                }
                other => other?,
            };
            items.extend(found.rows);
            let Some(marker) = found.next else {
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

    /// Reads a list of the things of a tenant, where it is named, that has at most so many rows; nothing
    /// when it is longer.
    pub(super) async fn short_list<T: DeserializeOwned>(
        &self,
        tenant: Option<&Tenant>,
        call: Call,
        key: &str,
        rows: usize,
    ) -> Result<Option<Vec<T>>, Fault> {
        let page = self.session.connection.limits().page_size;
        let rows = u32::try_from(rows).unwrap_or(page).min(page);
        let call = call.query("limit", rows.to_string());
        let project = tenant.map(|tenant| &tenant.project);
        let found = self.page(&call, key, project).await?;
        Ok(found.next.is_none().then_some(found.rows))
    }

    async fn page<T: DeserializeOwned>(
        &self,
        call: &Call,
        key: &str,
        project: Option<&ProjectId>,
    ) -> Result<Page<T>, Fault> {
        let reply = self.send(call).await?;
        read_page(&reply.body, key, call.service, project).map_err(|_| call.unreadable(key))
    }
}

/// The marker of the next page was deleted.
fn lost_place(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::NotFound | FaultKind::Invalid)
}

/// The rows of a page are read one by one, each as what it is: a page is never held as a tree of all its
/// values, which takes a hundred times the bytes of the answer.
fn read_page<T: DeserializeOwned>(
    body: &[u8],
    key: &str,
    service: Service,
    project: Option<&ProjectId>,
) -> serde_json::Result<Page<T>> {
    let body: HashMap<String, &RawValue> = serde_json::from_slice(body)?;
    let found = body.get(key).map_or("", |rows| rows.get());
    let found: Vec<&RawValue> = serde_json::from_str(found)?;
    let mut rows = Vec::with_capacity(found.len());
    for row in &found {
        let foreign = match project {
            Some(project) => owner::is_foreign(service, row.get(), project)?,
            None => false,
        };
        if !foreign {
            rows.push(serde_json::from_str(row.get())?);
        }
    }
    let next = next_marker(&body, key, found.last().copied());
    Ok(Page { rows, next })
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    rel: Option<String>,
    #[serde(default)]
    href: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
}

/// Where the next page begins: out of the `next` link, or the last item where the link has no marker.
/// The rest of the link is not used: it may name a host that only the service itself can reach.
fn next_marker(
    body: &HashMap<String, &RawValue>,
    key: &str,
    last: Option<&RawValue>,
) -> Option<String> {
    // Of group snapshots Cinder tells `group_snapshot_links`.
    let one = key.trim_end_matches('s');
    let links = [key, one]
        .iter()
        .find_map(|noun| body.get(&format!("{noun}_links")));
    let links: Vec<Link> = links
        .and_then(|links| serde_json::from_str(links.get()).ok())
        .unwrap_or_default();
    let next = links
        .into_iter()
        .find(|link| link.rel.as_deref() == Some("next"))
        .and_then(|link| link.href)
        // Glance has one link, and no list of them.
        .or_else(|| serde_json::from_str(body.get("next")?.get()).ok())?;
    let from_link = next.split_once('?').and_then(|(_, query)| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "marker")
            .map(|(_, value)| value.into_owned())
    });
    from_link.or_else(|| {
        let row: Row = serde_json::from_str(last?.get()).ok()?;
        Some(row.id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str, key: &str, project: Option<&str>) -> Option<(Vec<String>, Option<String>)> {
        let project = project.map(ProjectId::new);
        let read = read_page::<Row>(
            body.as_bytes(),
            key,
            Service::BlockStorage,
            project.as_ref(),
        );
        let page = read.ok()?;
        Some((page.rows.into_iter().map(|row| row.id).collect(), page.next))
    }

    #[test]
    fn next_page_begins_where_the_link_says_and_its_host_says_nothing() {
        let body = r#"{"volumes": [{"id": "a"}], "volumes_links": [
            {"rel": "previous", "href": "http://inside/x?marker=a"},
            {"rel": "next", "href": "http://inside/v3/p/volumes/detail?limit=2&marker=b%20c"}]}"#;
        let (_, next) = page(body, "volumes", None).unwrap();
        assert_eq!(next.as_deref(), Some("b c"));
        assert_eq!(page(body, "snapshots", None), None, "no such list");
        let body = r#"{"images": [{"id": "a"}], "next": "//elsewhere/v2/images"}"#;
        let (_, next) = page(body, "images", None).unwrap();
        assert_eq!(
            next.as_deref(),
            Some("a"),
            "the last row, where no marker is named"
        );
    }

    #[test]
    fn rows_of_others_are_left_out_and_a_page_of_them_still_leads_on() {
        let body = r#"{"group_snapshots": [{"id": "a", "project_id": "ours"}, {"id": "b"},
            {"id": "c", "project_id": "theirs"}], "group_snapshot_links": [{"rel": "next", "href": "?"}]}"#;
        let rows = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let next = Some("c".to_owned());
        assert_eq!(
            page(body, "group_snapshots", Some("ours")),
            Some((rows(&["a", "b"]), next.clone()))
        );
        assert_eq!(
            page(body, "group_snapshots", None),
            Some((rows(&["a", "b", "c"]), next))
        );
    }
}
