//! The gRPC door, asked without a socket: every method of the descriptors, with messages, with what was made of
//! messages, and with bytes that are none; it may not know what a method does.

use std::{borrow::Cow, fmt::Write as _, future::poll_fn, pin::Pin, time::Duration};

use axum::{Router, body::Body};
use drbackup::{
    api::{pb::DESCRIPTORS, server, settings::ApiSettings},
    domain::caller::Caller,
    service::{Service, acting::Login},
};
use http_body::Body as _;
use prost::{
    Message as _,
    bytes::Bytes,
    encoding::{WireType, encode_key, encode_varint},
};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    MethodDescriptor, ReflectMessage as _, ServiceDescriptor, Value,
};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::{runtime::Runtime, time::timeout};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::{
    corpus::{self, Kept},
    mutate, ports,
    run::{Door, Verdict},
    words,
};

/// Frames of an answer that are read: a stream has no end.
const FRAMES: usize = 4;

/// Messages in messages that are filled.
const DEEP: usize = 8;

/// A message that the corpus has for a method.
struct Example {
    name: String,
    bytes: Vec<u8>,
}

struct Method {
    descriptor: MethodDescriptor,
    path: String,
    examples: Vec<Example>,
    /// What the door itself gave out.
    tokens: Vec<String>,
}

impl Method {
    /// A message for this method, mostly one of the corpus with something else in it.
    fn message(&self, dice: &mut StdRng) -> DynamicMessage {
        let example = self.examples.choose(dice);
        let Some(example) = example.filter(|_| dice.random_ratio(3, 4)) else {
            return filled(dice, self, &self.descriptor.input(), 0);
        };
        let read = DynamicMessage::decode(self.descriptor.input(), example.bytes.as_slice());
        let mut message = read.unwrap_or_else(|_| DynamicMessage::new(self.descriptor.input()));
        for _ in 0..dice.random_range(1..=2_u8) {
            touch(dice, self, &mut message);
        }
        message
    }
}

/// What is sent to a method.
pub(crate) struct Input {
    method: usize,
    /// What it was made of.
    from: Cow<'static, str>,
    /// What stands before the length: whether the message is compressed.
    flag: u8,
    /// By how much the length is wrong.
    wrong: u32,
    bytes: Vec<u8>,
}

/// The door.
pub(crate) struct Grpc {
    runtime: Runtime,
    router: Router,
    methods: Vec<Method>,
    all: Vec<Vec<u8>>,
}

/// A runtime in which nothing is waited for in vain.
pub(crate) fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let built = builder.enable_time().start_paused(true).build();
    built.expect("a runtime")
}

/// The login of who may do everything.
pub(crate) fn login() -> Login {
    Login::lasting(Caller::anybody())
}

fn methods() -> Vec<Method> {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("descriptors");
    let kept = corpus::kept("grpc", "json");
    let hex = corpus::kept("grpc", "hex");
    let services: Vec<_> = pool.services().collect();
    let methods = services.iter().flat_map(ServiceDescriptor::methods);
    let methods: Vec<Method> = methods
        .map(|method| described(method, &kept, &hex))
        .collect();
    for one in kept.iter().chain(&hex) {
        let is_known = methods
            .iter()
            .any(|method| method.descriptor.name() == one.about());
        assert!(is_known, "{}: there is no method of this name", one.name);
    }
    methods
}

fn described(descriptor: MethodDescriptor, kept: &[Kept], hex: &[Kept]) -> Method {
    let mut examples = Vec::new();
    for one in kept.iter().filter(|one| one.about() == descriptor.name()) {
        let mut reader = serde_json::Deserializer::from_str(&one.text);
        let message = DynamicMessage::deserialize(descriptor.input(), &mut reader);
        let message = message.unwrap_or_else(|error| panic!("{}: {error}", one.name));
        examples.push(Example {
            name: one.name.clone(),
            bytes: message.encode_to_vec(),
        });
    }
    for one in hex.iter().filter(|one| one.about() == descriptor.name()) {
        examples.push(Example {
            name: one.name.clone(),
            bytes: from_hex(&one.text),
        });
    }
    let service = descriptor.parent_service().full_name().to_owned();
    Method {
        path: format!("/{service}/{}", descriptor.name()),
        descriptor,
        examples,
        tokens: Vec::new(),
    }
}

/// The bytes of a text of hexadecimal digits.
fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|one| !one.is_whitespace()).collect();
    let byte = |two: &[char]| u8::from_str_radix(&two.iter().collect::<String>(), 16);
    digits
        .chunks(2)
        .map(|two| byte(two).expect("hex"))
        .collect()
}

/// The hexadecimal digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string");
        text
    })
}

/// The name of a code, for a table.
fn code(number: &str) -> &'static str {
    let names = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let number: Option<usize> = number.parse().ok();
    number
        .and_then(|number| names.get(number).copied())
        .unwrap_or("no code")
}

impl Grpc {
    /// The door to a service of its own.
    pub(crate) fn open() -> Self {
        Self::to(ports::service())
    }

    /// The door to a service, which has been asked for one thing of each kind.
    pub(crate) fn to(service: Service) -> Self {
        let runtime = runtime();
        let stop = CancellationToken::new();
        let door = runtime.block_on(server::door(service, &ApiSettings::default(), stop));
        let router = door
            .expect("a door")
            .routes
            .into_axum_router()
            .with_state(());
        let mut grpc = Self {
            runtime,
            router,
            methods: methods(),
            all: Vec::new(),
        };
        for method in [
            "CreateDRBackup",
            "CreateBackup",
            "CreateRestoration",
            "CreateSchedule",
            "RunSchedule",
        ] {
            grpc.answer_to(method);
        }
        for index in 0..grpc.methods.len() {
            grpc.all.extend(
                grpc.methods[index]
                    .examples
                    .iter()
                    .map(|one| one.bytes.clone()),
            );
            let output = grpc.methods[index].descriptor.output();
            if output.get_field_by_name("next_page_token").is_none() {
                continue;
            }
            let name = grpc.methods[index].descriptor.name().to_owned();
            let answer = grpc.answer_to(&name);
            let answer = DynamicMessage::decode(output, &answer[5..]).expect("an answer");
            let token = answer
                .get_field_by_name("next_page_token")
                .expect("a token");
            let token = token.as_str().expect("text").to_owned();
            grpc.methods[index].tokens.push(token);
        }
        grpc
    }

    /// What the first example of a method is answered.
    fn answer_to(&self, name: &str) -> Vec<u8> {
        let method = self
            .methods
            .iter()
            .position(|one| one.descriptor.name() == name);
        let method = method.expect("a method");
        let example = self.methods[method].examples.first();
        let input = Input {
            method,
            from: Cow::from(name.to_owned()),
            flag: 0,
            wrong: 0,
            bytes: example.map(|one| one.bytes.clone()).unwrap_or_default(),
        };
        let (code, message, answer) = self.runtime.block_on(self.call(&input));
        assert_eq!(code, "OK", "{name}: {message}");
        answer
    }

    async fn call(&self, input: &Input) -> (&'static str, String, Vec<u8>) {
        let length = u32::try_from(input.bytes.len()).expect("short");
        let mut body = vec![input.flag];
        body.extend(length.wrapping_add(input.wrong).to_be_bytes());
        body.extend(&input.bytes);
        let request = http::Request::post(&self.methods[input.method].path)
            .header("content-type", "application/grpc")
            .header(
                "grpc-encoding",
                if input.flag == 0 { "identity" } else { "gzip" },
            )
            .header("te", "trailers")
            .extension(login())
            .body(Body::from(body))
            .expect("a request");
        let answered = self.router.clone().call(request).await;
        let (head, body) = answered.expect("it does not fail").into_parts();
        if let Some(status) = head.headers.get("grpc-status") {
            let message = head.headers.get("grpc-message");
            let message = message
                .and_then(|text| text.to_str().ok())
                .unwrap_or_default();
            return (
                code(status.to_str().unwrap_or_default()),
                message.to_owned(),
                Vec::new(),
            );
        }
        let (status, answer) = read(body).await;
        (
            code(status.as_deref().unwrap_or("0")),
            String::new(),
            answer,
        )
    }
}

/// The first frames of an answer, and the code at its end where that is among them.
async fn read(mut body: Body) -> (Option<String>, Vec<u8>) {
    let mut bytes = Vec::new();
    for _ in 0..FRAMES {
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let Ok(Some(frame)) = timeout(Duration::from_millis(10), frame).await else {
            break;
        };
        let frame = frame.expect("a frame");
        match frame.into_data() {
            Ok(data) => bytes.extend(data),
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                let status = trailers
                    .get("grpc-status")
                    .and_then(|one| one.to_str().ok());
                return (status.map(str::to_owned), bytes);
            }
        }
    }
    (None, bytes)
}

impl Door for Grpc {
    type Input = Input;

    fn known(&self) -> Vec<Input> {
        let known = self.methods.iter().enumerate().flat_map(|(method, one)| {
            one.examples.iter().map(move |example| Input {
                method,
                from: Cow::from(example.name.clone()),
                flag: 0,
                wrong: 0,
                bytes: example.bytes.clone(),
            })
        });
        known.collect()
    }

    fn make(&self, dice: &mut StdRng) -> Input {
        let method = dice.random_range(0..self.methods.len());
        let known = &self.methods[method];
        let mut input = Input {
            method,
            from: Cow::from("a message"),
            flag: 0,
            wrong: 0,
            bytes: Vec::new(),
        };
        match dice.random_range(0..32_u8) {
            0 => {
                input.from = Cow::from("noise");
                input.bytes = mutate::noise(dice);
            }
            1 => {
                input.from = Cow::from("a frame that lies");
                input.bytes = known.message(dice).encode_to_vec();
                input.flag = dice.random_range(0..3);
                input.wrong = *[0, 1, u32::MAX, 1 << 20, 1 << 31]
                    .choose(dice)
                    .unwrap_or(&0);
            }
            2..20 => input.bytes = known.message(dice).encode_to_vec(),
            20..24 => {
                input.from = Cow::from("a message and more");
                input.bytes = known.message(dice).encode_to_vec();
                append(dice, &mut input.bytes);
            }
            _ => {
                let example = known.examples.choose(dice);
                input.bytes = match example.filter(|_| dice.random()) {
                    Some(example) => {
                        input.from = Cow::from(format!("{}, changed", example.name));
                        example.bytes.clone()
                    }
                    None => known.message(dice).encode_to_vec(),
                };
                let other = self.all.choose(dice).map(Vec::as_slice).unwrap_or_default();
                mutate::bytes(dice, &mut input.bytes, other);
            }
        }
        input
    }

    fn ask(&self, input: &Input) -> Verdict {
        let (code, message, _) = self.runtime.block_on(self.call(input));
        match code {
            "OK" => Verdict::Taken,
            // That is what tonic says of a frame or a message that it cannot read.
            "INTERNAL" if message.contains("internal%20error%20happened") => {
                Verdict::Broken(format!("it was answered {code}: {message}"))
            }
            "UNKNOWN" | "DATA_LOSS" | "no code" => {
                Verdict::Broken(format!("it was answered {code}: {message}"))
            }
            other => Verdict::Refused(other),
        }
    }

    fn tell(&self, input: &Input) -> String {
        let method = &self.methods[input.method];
        format!(
            "{} asked with {} (flag {}, length off by {}):\n{}",
            method.path,
            input.from,
            input.flag,
            input.wrong,
            hex(&input.bytes)
        )
    }
}

/// A message of a type, with some of its fields.
fn filled(
    dice: &mut StdRng,
    method: &Method,
    of: &MessageDescriptor,
    depth: usize,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(of.clone());
    if depth > DEEP {
        return message;
    }
    for field in of.fields() {
        if dice.random_ratio(1, 2) {
            let value = value_for(dice, method, &field, depth);
            message.set_field(&field, value);
        }
    }
    message
}

/// Puts something else into one field, or into one of a message in it.
fn touch(dice: &mut StdRng, method: &Method, message: &mut DynamicMessage) {
    let fields: Vec<FieldDescriptor> = message.descriptor().fields().collect();
    let Some(field) = fields.choose(dice) else {
        return;
    };
    let is_message =
        matches!(field.kind(), Kind::Message(_)) && !field.is_list() && !field.is_map();
    if is_message
        && message.has_field(field)
        && dice.random_ratio(3, 4)
        && let Some(inner) = message.get_field_mut(field).as_message_mut()
    {
        return touch(dice, method, inner);
    }
    if dice.random_ratio(1, 6) {
        return message.clear_field(field);
    }
    let value = value_for(dice, method, field, 0);
    message.set_field(field, value);
}

fn value_for(dice: &mut StdRng, method: &Method, field: &FieldDescriptor, depth: usize) -> Value {
    // What is there often is empty, or the message would be longer than the door lets in.
    let (many, depth) = match dice.random_range(0..60_u8) {
        0 if depth == 0 => (1_100, DEEP),
        1 | 2 if depth == 0 => (260, DEEP),
        _ => (dice.random_range(0..4_usize), depth),
    };
    if field.is_map() {
        let entry = match field.kind() {
            Kind::Message(entry) => entry,
            _other => return field.default_value(),
        };
        let value = entry.map_entry_value_field();
        let pairs = (0..many).map(|number| {
            let key = format!("{}{number}", words::word(dice, "key"));
            (MapKey::String(key), single(dice, method, &value, depth))
        });
        return Value::Map(pairs.collect());
    }
    if field.is_list() {
        return Value::List(
            (0..many)
                .map(|_| single(dice, method, field, depth))
                .collect(),
        );
    }
    single(dice, method, field, depth)
}

fn single(dice: &mut StdRng, method: &Method, field: &FieldDescriptor, depth: usize) -> Value {
    match field.kind() {
        Kind::String => {
            let token = method
                .tokens
                .choose(dice)
                .filter(|_| field.name() == "page_token");
            match token.filter(|_| dice.random_ratio(1, 2)) {
                Some(token) => Value::String(token.clone()),
                None => Value::String(words::word(dice, field.name())),
            }
        }
        Kind::Bytes => Value::Bytes(Bytes::from(mutate::noise(dice))),
        Kind::Bool => Value::Bool(dice.random()),
        Kind::Enum(_) => Value::EnumNumber(short(dice)),
        Kind::Message(of) => Value::Message(filled(dice, method, &of, depth + 1)),
        Kind::Double => Value::F64(real(dice)),
        Kind::Float => Value::F32(f32::from_bits(dice.random())),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(short(dice)),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(whole(dice)),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(short(dice).cast_unsigned()),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(whole(dice).cast_unsigned()),
    }
}

fn whole(dice: &mut StdRng) -> i64 {
    let known = [
        0,
        1,
        2,
        3,
        -1,
        10,
        100,
        999_999_999,
        1_000_000_000,
        1_767_225_600,
        253_402_300_799,
        253_402_300_800,
        -62_135_596_801,
        315_576_000_000,
        315_576_000_001,
    ];
    let extreme = [
        i64::MAX,
        i64::MIN,
        i64::from(i32::MAX),
        i64::from(i32::MIN),
        i64::from(u32::MAX),
    ];
    match dice.random_range(0..8_u8) {
        0 => *extreme.choose(dice).unwrap_or(&0),
        1 => dice.random(),
        2 => 1 << dice.random_range(0..63_u8),
        3 => dice.random_range(-100..100),
        _ => *known.choose(dice).unwrap_or(&0),
    }
}

/// The same, as far as it fits.
fn short(dice: &mut StdRng) -> i32 {
    let whole = whole(dice);
    i32::try_from(whole).unwrap_or(if whole < 0 { i32::MIN } else { i32::MAX })
}

fn real(dice: &mut StdRng) -> f64 {
    let known = [
        0.0,
        -0.0,
        1.0,
        -1.5,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN_POSITIVE,
    ];
    *known.choose(dice).unwrap_or(&0.0)
}

/// Adds a field that is not known, that is of another type than it should be, or that is there often.
fn append(dice: &mut StdRng, bytes: &mut Vec<u8>) {
    let many = *[1, 1, 1, 2, 40, 1_200].choose(dice).unwrap_or(&1);
    let number = *[1, 2, 3, 4, 7, 21, 99, 536_870_911]
        .choose(dice)
        .unwrap_or(&1);
    let length = dice.random_range(0..24_usize);
    for _ in 0..many {
        match dice.random_range(0..6_u8) {
            0 => {
                encode_key(number, WireType::Varint, bytes);
                encode_varint(whole(dice).cast_unsigned(), bytes);
            }
            1 => {
                encode_key(number, WireType::SixtyFourBit, bytes);
                bytes.extend(whole(dice).to_le_bytes());
            }
            2 => {
                encode_key(number, WireType::ThirtyTwoBit, bytes);
                bytes.extend(short(dice).to_le_bytes());
            }
            3 => {
                encode_key(number, WireType::StartGroup, bytes);
                encode_key(number, WireType::EndGroup, bytes);
            }
            _ => {
                encode_key(number, WireType::LengthDelimited, bytes);
                encode_varint(length as u64, bytes);
                bytes.extend((0..length).map(|_| dice.random::<u8>()));
            }
        }
    }
}
