//! One answer on its way out, and the shapes of errors; it may not know what the request was.

use std::time::Duration;

use serde_json::{Value, json};

/// Whether a text has nothing in it that cannot be printed: no line ends and no other control characters, and
/// nothing beyond the first plane of Unicode, which the pattern of the services does not know.
pub(crate) fn is_printable(text: &str) -> bool {
    text.chars()
        .all(|c| !c.is_control() && u32::from(c) <= 0xffff)
}

/// What a service answers; an `Err` is an answer too, one that ends the work early.
pub(crate) type Answer = Result<Reply, Reply>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Empty,
    Json(Value),
    Html(String),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Body,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The resources whose further fate a fault may decide.
    pub(crate) touched: Vec<String>,
    /// How long the service itself waits before it answers.
    pub(crate) wait: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16, body: Value) -> Self {
        Self::with(status, Body::Json(body))
    }

    pub(crate) fn ok(body: Value) -> Self {
        Self::new(200, body)
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::with(status, Body::Empty)
    }

    /// The page that pastes and webobs make of an error.
    pub(crate) fn page(status: u16, text: &str) -> Self {
        let title = format!("{status} {}", reason(status));
        let html = format!(
            "<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n  {text}<br /><br />\n\n\n\n </body>\n</html>"
        );
        Self::with(status, Body::Html(html))
    }

    pub(crate) fn with(status: u16, body: Body) -> Self {
        Self {
            status,
            body,
            headers: Vec::new(),
            touched: Vec::new(),
            wait: Duration::ZERO,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn touching(mut self, id: &str) -> Self {
        self.touched.push(id.to_owned());
        self
    }

    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}

/// An error as Cinder and Nova wrap it: in one key that tells its kind.
pub(crate) fn fault(status: u16, message: &str) -> Reply {
    let kind = match status {
        400 => "badRequest",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "itemNotFound",
        405 => "badMethod",
        409 => "conflictingRequest",
        413 | 429 => "overLimit",
        415 => "badMediaType",
        501 => "notImplemented",
        503 => "serviceUnavailable",
        _ => "computeFault",
    };
    let mut inner = json!({"code": status, "message": message});
    if status != 413 {
        return Reply::new(status, json!({kind: inner}));
    }
    if let Some(object) = inner.as_object_mut() {
        object.insert("retryAfter".to_owned(), json!("0"));
    }
    Reply::new(status, json!({kind: inner})).header("retry-after", "0")
}

pub(crate) fn bad(message: &str) -> Reply {
    fault(400, message)
}

pub(crate) fn missing(message: &str) -> Reply {
    fault(404, message)
}

/// An error as Keystone, and the check of tokens in front of every service, puts it.
pub(crate) fn identity_fault(status: u16, message: &str) -> Reply {
    Reply::new(
        status,
        json!({"error": {"code": status, "message": message, "title": reason(status)}}),
    )
}

/// An error as Neutron puts it.
pub(crate) fn neutron_fault(status: u16, kind: &str, message: &str) -> Reply {
    Reply::new(
        status,
        json!({"NeutronError": {"type": kind, "message": message, "detail": ""}}),
    )
}

pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        300 => "Multiple Choices",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Error",
    }
}
