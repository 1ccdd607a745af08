//! Lists that come in pages; this file may not know of what.

use std::collections::HashMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{access::Access, answer::Unread, call::Call, owner};
use crate::domain::{
    fault::{Fault, FaultKind, Service},
    id::{ProjectId, Tenant},
};

/// One page, with where the next one begins.
struct Page<T> {
    rows: Vec<T>,
    /// So many rows came in, also of others.
    count: usize,
    bytes: usize,
    next: Option<String>,
}

impl Access {
    /// Reads all pages of a list. A list that changes under the reader in a way that loses the place,
    /// or that does not end, is a fault: a list that may lack something is never handed out.
    pub(super) async fn pages<T: DeserializeOwned + Send + 'static>(
        &self,
        call: Call,
        key: &str,
    ) -> Result<Vec<T>, Fault> {
        self.every_page(call, key, None).await
    }

    /// The same of the things of a tenant: those of others that a service shows with them are left out.
    pub(super) async fn pages_of<T: DeserializeOwned + Send + 'static>(
        &self,
        tenant: &Tenant,
        call: Call,
        key: &str,
    ) -> Result<Vec<T>, Fault> {
        self.every_page(call, key, Some(&tenant.project)).await
    }

    async fn every_page<T: DeserializeOwned + Send + 'static>(
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
        let mut bytes_left = limits.list_bytes_max;
        let mut rows_left = limits.list_rows_max;
        for page in 0..limits.pages_max {
            let found = match self.page(&call, key, project, rows_left).await {
                Err(fault) if page > 0 && lost_place(&fault) => {
                    return Err(Fault {
                        kind: FaultKind::Unanswered,
                        message: format!("the list changed while it was read: {}", fault.message),
                        ..fault
                    });
                }
                other => other?,
            };
            let left = bytes_left.checked_sub(found.bytes);
            bytes_left = left.ok_or_else(|| {
                let message = format!("the list has more than {} bytes", limits.list_bytes_max);
                Fault::new(
                    FaultKind::Unanswered,
                    call.service,
                    call.action.clone(),
                    message,
                )
            })?;
            rows_left = rows_left.saturating_sub(found.count);
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
    pub(super) async fn short_list<T: DeserializeOwned + Send + 'static>(
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
        let most = self.session.connection.limits().list_rows_max;
        let found = self.page(&call, key, project, most).await?;
        Ok(found.next.is_none().then_some(found.rows))
    }

    /// Reads one page of at most so many rows.
    async fn page<T: DeserializeOwned + Send + 'static>(
        &self,
        call: &Call,
        key: &str,
        project: Option<&ProjectId>,
        rows_max: usize,
    ) -> Result<Page<T>, Fault> {
        let mut reply = self.send(call).await?;
        let limits = self.session.connection.limits();
        let reader = PageReader {
            key: key.to_owned(),
            service: call.service,
            project: project.cloned(),
            rows_max,
            row_bytes_max: limits.thing_bytes_max,
        };
        let read = reply.read_by(limits, move |body| reader.read(body)).await;
        read.map_err(|why| match why {
            // Told as it is set: these are what the pages before have left.
            Unread::ManyRows(_) => call.unreadable(key, Unread::ManyRows(limits.list_rows_max)),
            Unread::Malformed | Unread::Long(_) | Unread::LongText(_) => call.unreadable(key, why),
        })
    }
}

/// The marker of the next page was deleted.
fn lost_place(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::NotFound | FaultKind::Invalid)
}

/// How a page is read.
struct PageReader {
    /// Below which the rows are.
    key: String,
    service: Service,
    /// Whose rows are wanted; nothing for everybody's.
    project: Option<ProjectId>,
    rows_max: usize,
    row_bytes_max: usize,
}

impl PageReader {
    fn read<T: DeserializeOwned>(&self, text: &[u8]) -> Result<Page<T>, Unread> {
        let body: HashMap<String, &RawValue> = serde_json::from_slice(text)?;
        let found = body.get(&self.key).ok_or(Unread::Malformed)?;
        let found: Vec<&RawValue> = serde_json::from_str(found.get())?;
        if found.len() > self.rows_max {
            return Err(Unread::ManyRows(self.rows_max));
        }
        let mut rows = Vec::with_capacity(found.len());
        for row in &found {
            if row.get().len() > self.row_bytes_max {
                return Err(Unread::Long(self.row_bytes_max));
            }
            let foreign = match &self.project {
                Some(project) => owner::is_foreign(self.service, row.get(), project)?,
                None => false,
            };
            if !foreign {
                rows.push(serde_json::from_str(row.get())?);
            }
        }
        Ok(Page {
            rows,
            count: found.len(),
            bytes: text.len(),
            next: next_marker(&body, &self.key, found.last().copied()),
        })
    }
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

    fn reader(key: &str, project: Option<&str>) -> PageReader {
        PageReader {
            key: key.to_owned(),
            service: Service::BlockStorage,
            project: project.map(ProjectId::new),
            rows_max: 3,
            row_bytes_max: 100,
        }
    }

    fn page(body: &str, key: &str, project: Option<&str>) -> Option<(Vec<String>, Option<String>)> {
        let page = reader(key, project).read::<Row>(body.as_bytes()).ok()?;
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

    #[test]
    fn more_rows_and_longer_ones_than_a_list_may_have_are_no_list() {
        let read = |rows: &str| {
            let body = format!(r#"{{"volumes": [{rows}]}}"#);
            let read = reader("volumes", None).read::<Row>(body.as_bytes());
            read.map(|page| (page.count, page.bytes == body.len()))
        };
        let row = r#"{"id": "a"}"#;
        assert_eq!(read(&[row; 3].join(",")), Ok((3, true)));
        assert_eq!(read(&[row; 4].join(",")), Err(Unread::ManyRows(3)));
        let long = format!(r#"{{"id": "{}"}}"#, "a".repeat(100));
        assert_eq!(read(&long), Err(Unread::Long(100)));
        assert_eq!(read("{}"), Err(Unread::Malformed));
    }
}
