//! The REST door, asked without a socket: every path and method of its document, with queries and bodies made by
//! that document, and with what was made of those; it may not know what an address does.

use axum::{Router, body::Body};
use drbackup::rest::{
    metrics::{Counted, Metrics},
    server,
    settings::RestSettings,
};
use http::{Method, StatusCode, Uri};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::runtime::Runtime;
use tower::Service as _;
use url::form_urlencoded::Serializer;

use crate::{
    corpus,
    grpc::{Grpc, login},
    mutate, ports,
    run::{Door, Verdict},
    words,
};

/// Bytes of an answer that are read.
const ANSWER: usize = 16 << 20;

/// A method of an address.
struct Operation {
    method: Method,
    path: String,
    /// The names of the parameters behind the `?`.
    query: Vec<String>,
    /// What its body may be.
    body: Option<Value>,
}

/// A request.
pub(crate) struct Input {
    from: String,
    method: Method,
    uri: String,
    kind: &'static str,
    repeat: Option<String>,
    body: Vec<u8>,
}

/// The door.
pub(crate) struct Rest {
    runtime: Runtime,
    router: Router,
    operations: Vec<Operation>,
    schemas: Value,
    known: Vec<(String, Value)>,
}

/// What the document says.
fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().expect("paths");
    let mut all = Vec::new();
    for (path, methods) in paths {
        for (method, told) in methods.as_object().expect("methods") {
            let Ok(method) = method.to_uppercase().parse() else {
                continue;
            };
            let parameters = told["parameters"].as_array().into_iter().flatten();
            let query = parameters.filter(|one| one["in"] == "query");
            let names = query.filter_map(|one| one["name"].as_str().map(str::to_owned));
            let body = &told["requestBody"]["content"]["application/json"]["schema"];
            all.push(Operation {
                method,
                path: path.clone(),
                query: names.collect(),
                body: (!body.is_null()).then(|| body.clone()),
            });
        }
    }
    all
}

impl Rest {
    /// The door to a service of its own, which has been asked for one thing of each kind.
    pub(crate) fn open() -> Self {
        let service = ports::service();
        // Which asks for them.
        drop(Grpc::to(service.clone()));
        let metrics = Metrics {
            service: service.clone(),
            counted: Arc::new(Counted::default),
            durations: Arc::default(),
            schedules: 10,
        };
        let router = server::door(service, metrics, &RestSettings::default(), Router::new());
        let document = serde_json::to_value(server::document()).expect("JSON");
        let kept = corpus::kept("rest", "json").into_iter();
        let known = kept.map(|one| {
            let told = serde_json::from_str(&one.text);
            (one.name, told.expect("JSON"))
        });
        Self {
            runtime: crate::grpc::runtime(),
            router: router.with_state(()),
            operations: operations(&document),
            schemas: document["components"]["schemas"].clone(),
            known: known.collect(),
        }
    }

    /// A value that a schema allows, or nearly.
    fn fitting(&self, dice: &mut StdRng, schema: &Value, name: &str, depth: usize) -> Value {
        if depth > 8 {
            return Value::Null;
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let last = reference.rsplit('/').next().unwrap_or_default();
            return self.fitting(dice, &self.schemas[last], name, depth + 1);
        }
        for several in ["oneOf", "anyOf", "allOf"] {
            let choices = schema[several].as_array().and_then(|all| all.choose(dice));
            if let Some(choice) = choices {
                return self.fitting(dice, choice, name, depth + 1);
            }
        }
        if let Some(choices) = schema["enum"].as_array() {
            return choices.choose(dice).cloned().unwrap_or_default();
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.choose(dice).and_then(Value::as_str),
            kind => kind.as_str(),
        };
        match kind {
            Some("object") => {
                let mut fields = Map::new();
                for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                    if dice.random_ratio(7, 8) {
                        fields.insert(name.clone(), self.fitting(dice, schema, name, depth + 1));
                    }
                }
                Value::Object(fields)
            }
            Some("array") => {
                let count = dice.random_range(0..3);
                (0..count)
                    .map(|_| self.fitting(dice, &schema["items"], name, depth + 1))
                    .collect()
            }
            Some("boolean") => Value::Bool(dice.random()),
            Some("integer" | "number") => Value::from(dice.random_range(0..40)),
            Some("string") => Value::String(words::plausible(dice, plausible_name(name))),
            Some(_) | None => Value::Null,
        }
    }

    /// An address with plausible parts.
    fn uri(dice: &mut StdRng, operation: &Operation) -> String {
        let id = words::word(dice, "uuid");
        let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        let path = operation.path.replace("{uuid}", &id);
        let mut query = Serializer::new(String::new());
        for name in &operation.query {
            for _ in 0..*[0, 0, 1, 1, 1, 2].choose(dice).unwrap_or(&0) {
                query.append_pair(name, &words::word(dice, plausible_name(name)));
            }
        }
        if dice.random_ratio(1, 16) {
            query.append_pair(&words::word(dice, "name"), &words::word(dice, "name"));
        }
        let mut query = query.finish();
        if dice.random_ratio(1, 8) {
            let mut bytes = query.into_bytes();
            mutate::bytes(dice, &mut bytes, b"&page=%zz%C3%28;o=+&&==");
            query = bytes
                .iter()
                .filter(|one| one.is_ascii_graphic())
                .map(|one| char::from(*one))
                .collect();
        }
        format!("{path}?{query}")
    }
}

/// The name by which plausible texts are known.
fn plausible_name(name: &str) -> &str {
    match name {
        "backup" | "instance" | "source_instance" | "flavor" => "uuid",
        "created" | "modified" | "kept_until" => "time",
        other => other,
    }
}

impl Door for Rest {
    type Input = Input;

    fn known(&self) -> Vec<Input> {
        let input = |(name, told): &(String, Value)| Input {
            from: name.clone(),
            method: told["method"]
                .as_str()
                .expect("a method")
                .parse()
                .expect("a method"),
            uri: told["uri"].as_str().expect("an address").to_owned(),
            kind: "application/json",
            repeat: None,
            body: match &told["body"] {
                Value::Null => Vec::new(),
                // What is no JSON stands there as text.
                Value::String(text) => text.clone().into_bytes(),
                body => body.to_string().into_bytes(),
            },
        };
        self.known.iter().map(input).collect()
    }

    fn make(&self, dice: &mut StdRng) -> Input {
        let operation = &self.operations[dice.random_range(0..self.operations.len())];
        let example = self.known.choose(dice).filter(|_| dice.random_ratio(1, 8));
        let mut body = match (&operation.body, example) {
            (_, Some((_, told))) => told["body"].clone(),
            (Some(schema), None) => self.fitting(dice, schema, "", 0),
            (None, None) if dice.random_ratio(7, 8) => Value::Null,
            (None, None) => json!({ "name": "web" }),
        };
        let (mut from, mut uri) = ("the document".to_owned(), Self::uri(dice, operation));
        if let Some((name, told)) = example {
            from = format!("{name}, changed");
            uri = told["uri"].as_str().map_or(uri, str::to_owned);
        }
        if dice.random_ratio(1, 2) {
            mutate::json(dice, &mut body);
        }
        let mut bytes = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        if dice.random_ratio(1, 6) {
            mutate::bytes(
                dice,
                &mut bytes,
                br#"{"name":"a","name":"b","held":tru,"x":1e999,"y":"\ud800"}"#,
            );
        }
        let kinds = [
            "application/json",
            "application/json; charset=latin1",
            "text/plain",
            "",
            "APPLICATION/JSON;",
        ];
        let kind = if dice.random_ratio(15, 16) {
            kinds[0]
        } else {
            kinds.choose(dice).unwrap_or(&"")
        };
        Input {
            from,
            method: operation.method.clone(),
            uri,
            kind,
            repeat: dice
                .random_ratio(1, 4)
                .then(|| words::word(dice, "request_id")),
            body: bytes,
        }
    }

    fn ask(&self, input: &Input) -> Verdict {
        let Ok(uri) = input.uri.parse::<Uri>() else {
            // Which no listener lets in either.
            return Verdict::Refused("no address");
        };
        let mut request = http::Request::builder()
            .method(input.method.clone())
            .uri(uri)
            .header("content-type", input.kind)
            .extension(login());
        let key = input.repeat.as_deref();
        if let Some(key) = key.and_then(|key| http::HeaderValue::from_bytes(key.as_bytes()).ok()) {
            request = request.header("idempotency-key", key);
        }
        let request = request
            .body(Body::from(input.body.clone()))
            .expect("a request");
        let (status, answer) = self.runtime.block_on(async {
            let answered = self.router.clone().call(request).await;
            let (head, body) = answered.expect("it does not fail").into_parts();
            let body = axum::body::to_bytes(body, ANSWER).await;
            (head.status, body.expect("a short answer"))
        });
        if !status.is_success() && serde_json::from_slice::<Value>(&answer).is_err() {
            return Verdict::Broken(format!("{status} without JSON"));
        }
        match status {
            StatusCode::BAD_REQUEST => Verdict::Refused("400"),
            StatusCode::NOT_FOUND => Verdict::Refused("404"),
            StatusCode::CONFLICT => Verdict::Refused("409"),
            StatusCode::PAYLOAD_TOO_LARGE => Verdict::Refused("413"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Verdict::Refused("415"),
            status if status.is_success() => Verdict::Taken,
            status if status.is_client_error() => Verdict::Refused("another 4xx"),
            status => Verdict::Broken(format!("it was answered {status}")),
        }
    }

    fn tell(&self, input: &Input) -> String {
        let (kind, repeat) = (input.kind, &input.repeat);
        let body = String::from_utf8_lossy(&input.body);
        let (method, uri, from) = (&input.method, &input.uri, &input.from);
        format!(
            "{method} {uri} ({from}; {kind}; key {repeat:?})\n{body}\nin hex: {}",
            crate::grpc::hex(&input.body)
        )
    }
}
