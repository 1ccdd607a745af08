//! What an answer that is not a success means; this file may not know how it came in.

use serde_json::Value;

use super::{
    refusals::{Words, judge},
    settings::OpenStackSettings,
};
use crate::domain::fault::{Fault, Service};

/// A code is a name; what is longer is none.
const CODE_CHARACTERS_MAX: usize = 80;

/// `req-` and a UUID are 40.
const REQUEST_ID_CHARACTERS_MAX: usize = 80;

/// No service tells more about a refusal; a front door may send a page.
const READ_BYTES_MAX: usize = 64 << 10;

/// An answer that is not a success, as far as it counts here.
pub(super) struct Refusal<'a> {
    pub(super) service: Service,
    pub(super) action: &'a str,
    pub(super) status: u16,
    pub(super) body: &'a [u8],
    pub(super) request_id: Option<String>,
    pub(super) retry_after: Option<u32>,
    /// Where a redirect leads; it is not followed, since it would take the token along.
    pub(super) location: Option<&'a str>,
    /// What the request carried that nobody may read in a message.
    pub(super) secrets: &'a [&'a str],
}

/// The fault that a refusal is.
pub(super) fn of_refusal(refusal: &Refusal<'_>, limits: &OpenStackSettings) -> Fault {
    let body = refusal.body;
    let words = read_words(&body[..body.len().min(READ_BYTES_MAX)]);
    let kind = judge(refusal.service, refusal.status, &words);
    let message = if let Some(location) = refusal.location.filter(|_| refusal.status < 400) {
        let location = location.split('?').next().unwrap_or_default();
        presentable(
            &format!("it redirects to {location}: name that address in the configuration"),
            refusal.secrets,
            limits.message_characters_max,
        )
    } else if words.message.is_empty() {
        "no reason was given".to_owned()
    } else {
        presentable(
            &words.message,
            refusal.secrets,
            limits.message_characters_max,
        )
    };
    Fault {
        kind,
        service: refusal.service,
        action: refusal.action.to_owned(),
        status: Some(refusal.status),
        code: words
            .code
            .as_deref()
            .map(|code| presentable(code, refusal.secrets, CODE_CHARACTERS_MAX).into()),
        message,
        request_id: refusal
            .request_id
            .as_deref()
            .map(|id| request_id(id).into()),
        retry_after: refusal
            .retry_after
            .or(words.retry_after)
            // A quota's `Retry-After: 0` says nothing, and a day of it says too much.
            .filter(|seconds| *seconds > 0)
            .map(|seconds| seconds.min(limits.retry_after_seconds_max)),
        since: None,
    }
}

/// The request id of an answer, as long as one can be.
pub(super) fn request_id(told: &str) -> String {
    presentable(told, &[], REQUEST_ID_CHARACTERS_MAX)
}

pub(super) fn read_words(body: &[u8]) -> Words {
    let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(body) else {
        return Words {
            message: from_page(&String::from_utf8_lossy(body)),
            ..Words::default()
        };
    };
    let text = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    if let Some(error) = body.get("NeutronError") {
        return Words {
            code: Some(text(error, "type")).filter(|code| !code.is_empty()),
            message: error
                .as_str()
                .map_or_else(|| text(error, "message"), str::to_owned),
            own: true,
            retry_after: None,
        };
    }
    if let Some(error) = body.get("error") {
        return Words {
            code: Some(text(error, "title")).filter(|code| !code.is_empty()),
            message: text(error, "message"),
            own: true,
            retry_after: None,
        };
    }
    // Nova and Cinder: one key that names the fault; 406 has a list of `errors`.
    if let Some(Value::Array(errors)) = body.get("errors") {
        let first = errors.first().unwrap_or(&Value::Null);
        return Words {
            code: Some(text(first, "code")).filter(|code| !code.is_empty()),
            message: text(first, "detail"),
            own: true,
            retry_after: None,
        };
    }
    match body.iter().find(|(_, fault)| fault.is_object()) {
        Some((code, fault)) => Words {
            code: Some(code.clone()),
            message: text(fault, "message"),
            own: true,
            retry_after: fault.get("retryAfter").and_then(|seconds| {
                seconds
                    .as_u64()
                    .or_else(|| seconds.as_str()?.parse().ok())
                    .and_then(|seconds| u32::try_from(seconds).ok())
            }),
        },
        None => Words {
            message: body
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            own: body.contains_key("code"),
            ..Words::default()
        },
    }
}

/// The text of an HTML page, or of a plain one.
fn from_page(page: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for character in page.chars() {
        match character {
            '<' => {
                inside = true;
                text.push(' ');
            }
            '>' if inside => inside = false,
            _ if inside => {}
            other => text.push(other),
        }
    }
    text
}

/// A message on one line, without secrets, without long values, cut to a length.
pub(super) fn presentable(message: &str, secrets: &[&str], characters_max: usize) -> String {
    /// A schema error quotes the value that it did not like; ours are records and user data.
    const WORD_CHARACTERS_MAX: usize = 80;
    let hidden = secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(message.to_owned(), |message, secret| {
            message.replace(secret, "[hidden]")
        });
    let mut line = String::new();
    for word in hidden.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        if word.chars().count() > WORD_CHARACTERS_MAX {
            line.push_str("[long value]");
        } else {
            line.push_str(word);
        }
    }
    if line.chars().count() > characters_max {
        line = line.chars().take(characters_max).collect();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(service: Service, status: u16, body: &str) -> Fault {
        of_refusal(
            &Refusal {
                service,
                action: "do it",
                status,
                body: body.as_bytes(),
                request_id: Some("req-1".to_owned()),
                retry_after: None,
                location: Some("https://there/v3?x=1"),
                secrets: &["hunter2"],
            },
            &OpenStackSettings::default(),
        )
    }

    #[test]
    fn what_a_cloud_says_of_a_refusal_is_bounded() {
        let code = "c".repeat(1 << 20);
        let words = "m ".repeat(1 << 20);
        let body =
            format!(r#"{{"{code}": {{"code": 503, "message": "{words}", "retryAfter": 86400}}}}"#);
        for (body, header) in [
            (body, None),
            (String::new(), Some(u32::MAX)),
            ("<p>x</p>".repeat(1 << 20), Some(86_400)),
        ] {
            let refusal = Refusal {
                service: Service::Compute,
                action: "do it",
                status: 503,
                body: body.as_bytes(),
                request_id: Some("r".repeat(100_000)),
                retry_after: header,
                location: None,
                secrets: &[],
            };
            let fault = of_refusal(&refusal, &OpenStackSettings::default());
            let told = serde_json::to_string(&fault).unwrap();
            assert!(told.len() < 2_000, "{} bytes", told.len());
            assert!(
                fault.retry_after.unwrap_or(0)
                    <= OpenStackSettings::default().retry_after_seconds_max
            );
        }
    }

    #[test]
    fn message_is_one_short_line_without_secrets() {
        let long = "A".repeat(200);
        let body = format!(
            r#"{{"badRequest": {{"code": 400, "message": "Value: {long}.\n hunter2 is bad"}}}}"#
        );
        let fault = fault(Service::Compute, 400, &body);
        assert_eq!(fault.message, "Value: [long value] [hidden] is bad");
        assert_eq!(fault.code.as_deref(), Some("badRequest"));
        let cut = presentable(&"word ".repeat(500), &[], 20);
        assert_eq!(cut.chars().count(), 21);
    }

    #[test]
    fn redirect_is_told_and_nothing_else_is() {
        let message = |status| fault(Service::Identity, status, "").message;
        assert!(
            message(301).contains("https://there/v3:"),
            "{}",
            message(301)
        );
        assert_eq!(message(500), "no reason was given");
    }

    #[test]
    fn page_is_read_without_its_tags() {
        let fault = fault(
            Service::Image,
            404,
            "<html><title>404 Not Found</title><body>No image</body></html>",
        );
        assert_eq!(fault.message, "404 Not Found No image");
        assert_eq!(fault.code, None);
    }
}
