//! What a cloud answered, as it came in, and how much of it is taken: a cloud may be broken, or somebody else.
//! This file may not know what was asked.
//!
//! Nothing of a body is handed out but what was read here, and a body is read as what it should be, row by row:
//! a tree of all its values takes a hundred times its bytes.

use std::collections::HashMap;

use http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{fault::request_id, settings::OpenStackSettings};

/// A longer body is read where nobody else waits for the thread.
const READ_HERE_BYTES_MAX: usize = 256 << 10;

/// An answer as it came in.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Why a body is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is not what it should be.
    Malformed,
    /// It, or a row of it, has more bytes than this.
    Long(usize),
    /// A text in it has more bytes than this.
    LongText(usize),
    /// It has more rows than this.
    ManyRows(usize),
}

impl From<serde_json::Error> for Unread {
    fn from(_: serde_json::Error) -> Self {
        Self::Malformed
    }
}

impl Unread {
    /// What is said of an answer in which `what` was looked for.
    pub(super) fn in_search_of(self, what: &str) -> String {
        match self {
            Self::Malformed => format!("the answer has no usable `{what}`"),
            Self::Long(most) => {
                format!("the answer has more than {most} bytes about one thing")
            }
            Self::LongText(most) => format!("the answer has a text of more than {most} bytes"),
            Self::ManyRows(most) => format!("the list has more than {most} rows"),
        }
    }
}

impl Reply {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn request_id(&self) -> Option<String> {
        self.header("x-openstack-request-id")
            .or_else(|| self.header("x-compute-request-id"))
            .map(request_id)
    }

    pub(super) fn retry_after(&self) -> Option<u32> {
        self.header("retry-after")?.trim().parse().ok()
    }

    /// Takes the body for one thing.
    pub(super) async fn thing<T: DeserializeOwned + Send + 'static>(
        &mut self,
        limits: &OpenStackSettings,
    ) -> Result<T, Unread> {
        self.thing_read_by(limits, |body| Ok(serde_json::from_slice(body)?))
            .await
    }

    /// Takes what is below `key` of the body for one thing.
    pub(super) async fn field<T: DeserializeOwned + Send + 'static>(
        &mut self,
        limits: &OpenStackSettings,
        key: &str,
    ) -> Result<T, Unread> {
        let key = key.to_owned();
        self.thing_read_by(limits, move |body| {
            let body: HashMap<String, &RawValue> = serde_json::from_slice(body)?;
            let found = body.get(&key).ok_or(Unread::Malformed)?;
            Ok(serde_json::from_str(found.get())?)
        })
        .await
    }

    /// Takes the body for what `read` makes of it, which is one thing.
    pub(super) async fn thing_read_by<T: Send + 'static>(
        &mut self,
        limits: &OpenStackSettings,
        read: impl FnOnce(&[u8]) -> Result<T, Unread> + Send + 'static,
    ) -> Result<T, Unread> {
        if self.body.len() > limits.thing_bytes_max {
            return Err(Unread::Long(limits.thing_bytes_max));
        }
        self.read_by(limits, read).await
    }

    /// Takes the body for what `read` makes of it.
    pub(super) async fn read_by<T: Send + 'static>(
        &mut self,
        limits: &OpenStackSettings,
        read: impl FnOnce(&[u8]) -> Result<T, Unread> + Send + 'static,
    ) -> Result<T, Unread> {
        let body = std::mem::take(&mut self.body);
        let is_short = body.len() <= READ_HERE_BYTES_MAX;
        let text_bytes_max = limits.text_bytes_max;
        let work = move || {
            if has_longer_text(&body, text_bytes_max) {
                return Err(Unread::LongText(text_bytes_max));
            }
            read(&body)
        };
        if is_short {
            return work();
        }
        // It fails only where reading panics, or the process ends.
        let read = tokio::task::spawn_blocking(work).await;
        read.unwrap_or(Err(Unread::Malformed))
    }
}

/// Whether a text of a JSON document has more bytes than this.
fn has_longer_text(body: &[u8], most: usize) -> bool {
    let (mut begun, mut escaped) = (None, false);
    for (place, byte) in body.iter().enumerate() {
        match (begun, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(quote), b'"') => {
                if place - quote > most + 1 {
                    return true;
                }
                begun = None;
            }
            (None, b'"') => begun = Some(place),
            (Some(_) | None, _) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: String) -> Reply {
        Reply {
            status: 200,
            headers: HeaderMap::new(),
            body: body.into_bytes(),
        }
    }

    #[tokio::test]
    async fn as_much_of_an_answer_is_taken_as_one_thing_may_have() {
        let limits = OpenStackSettings {
            thing_bytes_max: 1 << 20,
            text_bytes_max: 1_000,
            ..OpenStackSettings::default()
        };
        let read = async |body: String| reply(body).thing::<Vec<String>>(&limits).await;
        let text = |count: usize| format!(r#"["{}"]"#, "x".repeat(count));
        assert_eq!(read(text(1_000)).await.map(|read| read.len()), Ok(1));
        assert_eq!(read(text(1_001)).await, Err(Unread::LongText(1_000)));
        // What is escaped does not end a text.
        let escaped = format!(r#"["{}"]"#, r#"\""#.repeat(501));
        assert_eq!(read(escaped).await, Err(Unread::LongText(1_000)));
        // A long one is read on another thread.
        let many = |count: usize| format!("[{}\"\"]", "\"\",".repeat(count - 1));
        assert_eq!(
            read(many(300_000)).await.map(|read| read.len()),
            Ok(300_000)
        );
        assert_eq!(read(many(400_000)).await, Err(Unread::Long(1 << 20)));
        assert_eq!(read("[1]".to_owned()).await, Err(Unread::Malformed));
        assert_eq!(read("[\"".to_owned()).await, Err(Unread::Malformed));
    }

    #[tokio::test]
    async fn a_field_is_read_without_the_rest() {
        let limits = OpenStackSettings::default();
        let body = r#"{"other": {"a": [1, 2]}, "token": 7}"#;
        assert_eq!(
            reply(body.to_owned()).field::<u32>(&limits, "token").await,
            Ok(7)
        );
        let missing = reply(body.to_owned()).field::<u32>(&limits, "tokens").await;
        assert_eq!(missing, Err(Unread::Malformed));
    }
}
