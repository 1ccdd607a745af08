//! Whether the service is well, asked as a probe asks: one line and an exit code; it may not know what
//! makes a service well.
//!
//! A container has no other program to ask with, and the API wants a login. So this asks the listener of
//! operators, in the least of HTTP.

use std::time::Duration;

use clap::Args;
use http::Uri;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    config::{self, Flags, Output},
    failure::Failure,
    json,
    out::Out,
};

/// More of an answer is not read.
const ANSWER_BYTES: u64 = 64 * 1024;
/// A probe is asked often, and gives up before its orchestrator does.
const PATIENCE_MAX: Duration = Duration::from_secs(10);

/// How to ask.
#[derive(Debug, Args)]
pub struct Health {
    /// Whether the process lives at all, instead of whether callers should come to it
    #[arg(long)]
    live: bool,
    /// Where the service answers probes [env: `DRBACKUP_OPS_ADDRESS`] [default: `http://127.0.0.1:7448`]
    #[arg(long, value_name = "URL")]
    ops_address: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

/// Asks, and says it in a line; the exit code is 1 for whatever is not well, also where nobody answers.
pub(super) async fn run(health: Health, out: &mut Out) -> Result<(), Failure> {
    let settings = config::load(health.flags)?;
    out.speak(settings.output);
    let address = health.ops_address.unwrap_or(settings.ops_address);
    let place = place(&address)?;
    let path = if health.live { "/livez" } else { "/readyz" };
    let patience = settings.timeout.0.min(PATIENCE_MAX);
    let answer = match timeout(patience, asked(&place, path)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::none(&address, &error.to_string()),
        Err(_late) => Answer::none(&address, &format!("no answer within {patience:?}")),
    };
    match settings.output {
        Output::Json => out.document(&json::line(&answer.document())?)?,
        Output::Yaml => out.document(&json::yaml(&answer.document())?)?,
        Output::Table | Output::Wide | Output::Id => out.line(&answer.line())?,
    }
    if answer.well {
        Ok(())
    } else {
        Err(Failure::Unwell)
    }
}

/// Host and port of an address.
fn place(address: &str) -> Result<String, Failure> {
    let usage = || {
        Failure::Usage(format!(
            "`{address}` is no address of probes; write http://HOST:PORT"
        ))
    };
    let uri: Uri = address.parse().map_err(|_| usage())?;
    let authority = uri.authority().ok_or_else(usage)?;
    if uri.scheme_str() != Some("http") || authority.port().is_none() {
        return Err(usage());
    }
    Ok(authority.to_string())
}

/// Asks once. In HTTP/1.0 the answer ends where the connection does.
async fn asked(place: &str, path: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(place).await?;
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: {place}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut bytes).await?;
    Ok(Answer::of(&String::from_utf8_lossy(&bytes)))
}

/// What was answered.
#[derive(Debug)]
struct Answer {
    well: bool,
    /// What is wrong, each with its name.
    troubles: Vec<(String, String)>,
    /// The whole answer, where it is a document.
    document: Option<Value>,
}

impl Answer {
    /// Nobody answered.
    fn none(address: &str, problem: &str) -> Self {
        Self {
            well: false,
            troubles: vec![(address.to_owned(), problem.to_owned())],
            document: None,
        }
    }

    fn of(text: &str) -> Self {
        let status = text.split_whitespace().nth(1).unwrap_or_default();
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let document: Option<Value> = serde_json::from_str(body).ok();
        let checks = document.as_ref().and_then(|all| all["checks"].as_array());
        let troubles = checks.into_iter().flatten().filter_map(|check| {
            let reason = check["reason"].as_str()?;
            Some((check["name"].as_str()?.to_owned(), reason.to_owned()))
        });
        let mut troubles: Vec<(String, String)> = troubles.collect();
        let well = status == "200";
        if !well && troubles.is_empty() {
            let told = text.lines().next().unwrap_or_default();
            troubles.push(("answer".to_owned(), format!("`{told}`")));
        }
        Self {
            well,
            troubles,
            document,
        }
    }

    /// In one line, clouds that do not answer included: they make nothing unwell.
    fn line(&self) -> String {
        let clouds = self
            .document
            .as_ref()
            .and_then(|all| all["clouds"].as_array());
        let silent = clouds
            .into_iter()
            .flatten()
            .filter(|cloud| cloud["answers"] == false)
            .filter_map(|cloud| Some(format!("cloud {} does not answer", cloud["name"].as_str()?)));
        let troubles = self.troubles.iter();
        let told: Vec<String> = troubles
            .map(|(name, reason)| format!("{name}: {reason}"))
            .chain(silent)
            .collect();
        let word = if self.well { "ok" } else { "not ok" };
        if told.is_empty() {
            word.to_owned()
        } else {
            format!("{word}: {}", told.join("; ")).replace('\n', " ")
        }
    }

    /// As a document, with `ok` in it whatever was answered.
    fn document(&self) -> Value {
        let mut document = self.document.clone().unwrap_or_else(|| {
            let troubles = self.troubles.iter();
            let checks: Vec<Value> = troubles
                .map(|(name, reason)| json!({"name": name, "reason": reason}))
                .collect();
            json!({ "checks": checks })
        });
        document["ok"] = self.well.into();
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_in_one_line() {
        let answer = |status: &str, body: &str| {
            Answer::of(&format!("HTTP/1.0 {status}\r\na: b\r\n\r\n{body}"))
        };
        let ready = r#"{"ready":true,"checks":[{"name":"database","reason":null}],
            "clouds":[{"name":"dr","answers":false},{"name":"old","answers":true}]}"#;
        let unready =
            r#"{"ready":false,"checks":[{"name":"database","reason":"it is\nfull"}],"clouds":[]}"#;
        for (answer, line) in [
            (answer("200 OK", "alive\n"), "ok"),
            (answer("200 OK", ready), "ok: cloud dr does not answer"),
            (
                answer("503 Service Unavailable", unready),
                "not ok: database: it is full",
            ),
            (Answer::of("SSH-2.0-x"), "not ok: answer: `SSH-2.0-x`"),
            (
                Answer::none("http://x:1", "refused"),
                "not ok: http://x:1: refused",
            ),
        ] {
            assert_eq!(answer.line(), line);
            assert_eq!(answer.document()["ok"], answer.well);
        }
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert_eq!(place("http://127.0.0.1:7448").unwrap(), "127.0.0.1:7448");
        for bad in ["", "127.0.0.1:7448", "https://x:1", "http://x"] {
            assert!(matches!(place(bad), Err(Failure::Usage(_))), "{bad}");
        }
    }
}
