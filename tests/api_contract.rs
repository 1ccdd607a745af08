//! The contract with callers, read from the built descriptors; it may not know how anything is done.
//!
//! A change of the API shows as a change of `golden/api.txt`, of the REST door as one of
//! `golden/openapi.json`, a change of the errors as one of `golden/status.txt`. Run with `UPDATE_GOLDEN=1` to write them anew, and look at the difference.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use drbackup::{
    api::{pb::DESCRIPTORS, status::status},
    domain::{
        error::{BadField, Blocker, Concern, Error, ErrorKind, Shortage},
        fault::{Fault, FaultKind, Service},
    },
    rest::{problem, server::document},
};
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, ServiceDescriptorProto, field_descriptor_proto::Type,
};
use tonic_types::StatusExt as _;

/// What an element is in its file: the numbers by which its comment is found.
type Place = Vec<i32>;

/// A file of ours with its comments.
struct File {
    descriptor: FileDescriptorProto,
    comments: BTreeMap<Place, String>,
}

impl File {
    fn comment(&self, place: &[i32]) -> &str {
        self.comments.get(place).map_or("", String::as_str)
    }

    /// All messages, also nested ones, with their names and places.
    fn messages(&self) -> Vec<(String, Place, &DescriptorProto)> {
        let mut found = Vec::new();
        let mut open: Vec<(String, Place, &DescriptorProto)> = Vec::new();
        for (index, message) in (0..).zip(&self.descriptor.message_type) {
            open.push((message.name().to_owned(), vec![4, index], message));
        }
        while let Some((name, place, message)) = open.pop() {
            for (index, inner) in (0..).zip(&message.nested_type) {
                if !inner
                    .options
                    .as_ref()
                    .is_some_and(prost_types::MessageOptions::map_entry)
                {
                    let inner_place = [place.as_slice(), &[3, index]].concat();
                    open.push((format!("{name}.{}", inner.name()), inner_place, inner));
                }
            }
            found.push((name, place, message));
        }
        found
    }

    /// All enums, also nested ones, with their names and places.
    fn enums(&self) -> Vec<(String, Place, &EnumDescriptorProto)> {
        let own = (0..).zip(&self.descriptor.enum_type);
        let mut found: Vec<(String, Place, &EnumDescriptorProto)> = own
            .map(|(index, one)| (one.name().to_owned(), vec![5, index], one))
            .collect();
        for (name, place, message) in self.messages() {
            for (index, one) in (0..).zip(&message.enum_type) {
                let inner_place = [place.as_slice(), &[4, index]].concat();
                found.push((format!("{name}.{}", one.name()), inner_place, one));
            }
        }
        found
    }

    fn services(&self) -> Vec<(Place, &ServiceDescriptorProto)> {
        (0..)
            .zip(&self.descriptor.service)
            .map(|(index, one)| (vec![6, index], one))
            .collect()
    }
}

fn files() -> Vec<File> {
    let Ok(set) = FileDescriptorSet::decode(DESCRIPTORS) else {
        panic!("unreadable descriptors")
    };
    let ours = set
        .file
        .into_iter()
        .filter(|file| file.package() == "drbackup.v1");
    let files: Vec<File> = ours
        .map(|descriptor| {
            let locations = descriptor
                .source_code_info
                .iter()
                .flat_map(|information| &information.location);
            let comments = locations
                .map(|one| (one.path.clone(), one.leading_comments().trim().to_owned()))
                .filter(|(_, comment)| !comment.is_empty())
                .collect();
            File {
                descriptor,
                comments,
            }
        })
        .collect();
    assert!(!files.is_empty());
    files
}

fn messages(files: &[File]) -> BTreeMap<String, &DescriptorProto> {
    let all = files.iter().flat_map(File::messages);
    all.map(|(name, _, message)| (name, message)).collect()
}

/// The last part of a full name.
fn short(name: &str) -> &str {
    name.trim_start_matches(".drbackup.v1.")
        .trim_start_matches('.')
}

fn kind(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    let name = short(field.type_name());
    let entry = message.nested_type.iter().find(|inner| {
        name.ends_with(inner.name())
            && inner
                .options
                .as_ref()
                .is_some_and(prost_types::MessageOptions::map_entry)
    });
    if let Some(entry) = entry {
        let parts: Vec<String> = entry.field.iter().map(|part| kind(part, entry)).collect();
        return format!("map<{}>", parts.join(", "));
    }
    let bare = if matches!(field.r#type(), Type::Message | Type::Enum) {
        name.to_owned()
    } else {
        field
            .r#type()
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase()
    };
    if field.label() == prost_types::field_descriptor_proto::Label::Repeated {
        return format!("repeated {bare}");
    }
    if field.proto3_optional() {
        format!("optional {bare}")
    } else {
        bare
    }
}

fn compare_with_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        assert!(
            fs::write(&path, text).is_ok(),
            "cannot write {}",
            path.display()
        );
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "{name} has changed; run with UPDATE_GOLDEN=1 and look at the difference"
    );
}

#[test]
fn services_messages_and_numbers_are_as_agreed() {
    let files = files();
    let mut lines = BTreeMap::new();
    for file in &files {
        for (_, service) in file.services() {
            let mut text = String::new();
            for method in &service.method {
                let stream = if method.server_streaming() {
                    "stream "
                } else {
                    ""
                };
                let (input, output) = (short(method.input_type()), short(method.output_type()));
                let name = method.name();
                writeln!(text, "  {name}({input}) returns ({stream}{output})").expect("text");
            }
            lines.insert((0, format!("service {}", service.name())), text);
        }
        for (name, _, message) in file.messages() {
            let mut text = String::new();
            for field in &message.field {
                let (number, kind) = (field.number(), kind(field, message));
                writeln!(text, "  {number} {} {kind}", field.name()).expect("text");
            }
            lines.insert((1, format!("message {name}")), text);
        }
        for (name, _, one) in file.enums() {
            let mut text = String::new();
            for value in &one.value {
                writeln!(text, "  {} {}", value.number(), value.name()).expect("text");
            }
            lines.insert((2, format!("enum {name}")), text);
        }
    }
    let blocks: Vec<String> = lines
        .into_iter()
        .map(|((_, head), text)| format!("{head}\n{text}"))
        .collect();
    compare_with_golden("api.txt", &blocks.join("\n"));
}

#[test]
fn every_element_has_a_comment() {
    let mut silent = Vec::new();
    for file in files() {
        let mut check = |place: &[i32], name: String| {
            if file.comment(place).is_empty() {
                silent.push(name);
            }
        };
        for (name, place, message) in file.messages() {
            check(&place, name.clone());
            for (index, field) in (0..).zip(&message.field) {
                check(
                    &[place.as_slice(), &[2, index]].concat(),
                    format!("{name}.{}", field.name()),
                );
            }
        }
        for (name, place, one) in file.enums() {
            check(&place, name.clone());
            for (index, value) in (0..).zip(&one.value) {
                check(
                    &[place.as_slice(), &[2, index]].concat(),
                    format!("{name}.{}", value.name()),
                );
            }
        }
        for (place, service) in file.services() {
            check(&place, service.name().to_owned());
        }
    }
    assert_eq!(silent, [""; 0]);
}

#[test]
fn every_field_opens_with_who_sets_it() {
    let mut strangers = Vec::new();
    for file in files() {
        for (name, place, message) in file.messages() {
            let openings: &[&str] = if name.ends_with("Request") {
                &["Required. ", "Optional. "]
            } else if name.ends_with("Response") {
                &["Output only. "]
            } else {
                &["Required. ", "Optional. ", "Output only. "]
            };
            for (index, field) in (0..).zip(&message.field) {
                let comment = file.comment(&[place.as_slice(), &[2, index]].concat());
                if !openings.iter().any(|opening| comment.starts_with(opening)) {
                    strangers.push(format!("{name}.{}: {comment}", field.name()));
                }
            }
        }
    }
    assert_eq!(strangers, [""; 0]);
}

#[test]
fn every_method_says_what_a_repeat_does_and_how_it_fails() {
    let mut silent = Vec::new();
    for file in files() {
        for (place, service) in file.services() {
            for (index, method) in (0..).zip(&service.method) {
                let comment = file.comment(&[place.as_slice(), &[2, index]].concat());
                let lines: Vec<&str> = comment.lines().map(str::trim).collect();
                let says = |word: &str| lines.iter().any(|line| line.starts_with(word));
                if !(says("Repeat: ") && says("Fails: ")) {
                    silent.push(method.name().to_owned());
                }
            }
        }
    }
    assert_eq!(silent, [""; 0]);
}

#[test]
fn every_method_that_changes_something_can_be_repeated_safely() {
    const READS: [&str; 4] = ["Get", "List", "Watch", "Preview"];
    let files = files();
    let messages = messages(&files);
    for (_, service) in files.iter().flat_map(File::services) {
        for method in &service.method {
            let request = messages[short(method.input_type())];
            let has = |name: &str| request.field.iter().any(|field| field.name() == name);
            let reads = READS.iter().any(|verb| method.name().starts_with(verb));
            assert!(
                reads || has("request_id"),
                "{} has no request_id",
                method.name()
            );
        }
    }
}

#[test]
fn every_list_has_pages_and_a_filter() {
    let files = files();
    let messages = messages(&files);
    for (_, service) in files.iter().flat_map(File::services) {
        for method in service
            .method
            .iter()
            .filter(|method| method.name().starts_with("List"))
        {
            let has = |message: &str, name: &str| {
                messages[message]
                    .field
                    .iter()
                    .any(|field| field.name() == name)
            };
            let (input, output) = (short(method.input_type()), short(method.output_type()));
            for name in ["page_size", "page_token", "filter"] {
                assert!(has(input, name), "{input} has no {name}");
            }
            assert!(
                has(output, "next_page_token"),
                "{output} has no next_page_token"
            );
        }
    }
}

#[test]
fn every_enum_starts_unspecified() {
    for file in files() {
        for (name, _, one) in file.enums() {
            let first = one.value.first().expect("a value");
            assert_eq!(first.number(), 0, "{name}");
            assert!(
                first.name().ends_with("_UNSPECIFIED"),
                "{name} starts with {}",
                first.name()
            );
        }
    }
}

fn blocker(concern: Concern) -> Blocker {
    Blocker {
        reason: "SOME_BLOCKER".into(),
        message: "it is in the way".into(),
        guidance: "do that".into(),
        concern,
    }
}

/// One error of each kind.
fn errors() -> Vec<Error> {
    let new = |kind| Error::new(kind, "doing this went wrong").advise("do that");
    let mut errors = vec![
        new(ErrorKind::Invalid(vec![BadField {
            field: "f".into(),
            problem: "p".into(),
        }])),
        new(ErrorKind::NotFound {
            noun: "DR backup",
            id: "1".into(),
        }),
        new(ErrorKind::RequestReused),
        new(ErrorKind::Outdated),
        new(ErrorKind::Precondition {
            reason: "SOME_PRECONDITION",
        }),
        new(ErrorKind::Short(vec![Shortage {
            subject: "cores".into(),
            needed: 2,
            available: 1,
        }])),
        new(ErrorKind::Blocked(vec![blocker(Concern::Field(
            "flavor_id".into(),
        ))])),
        new(ErrorKind::Blocked(vec![blocker(Concern::State)])),
        new(ErrorKind::Unreached),
        new(ErrorKind::Unauthenticated),
        new(ErrorKind::Forbidden),
        new(ErrorKind::Unavailable),
        new(ErrorKind::Internal),
    ];
    let kinds = FaultKind::ALL;
    errors.extend(kinds.map(|kind| Fault::new(kind, Service::Compute, "do it", "no").into()));
    errors
}

fn name(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::Invalid(_) => "Invalid".to_owned(),
        ErrorKind::NotFound { .. } => "NotFound".to_owned(),
        ErrorKind::RequestReused => "RequestReused".to_owned(),
        ErrorKind::Outdated => "Outdated".to_owned(),
        ErrorKind::Precondition { .. } => "Precondition".to_owned(),
        ErrorKind::Short(_) => "Short".to_owned(),
        ErrorKind::Blocked(blockers) => format!("Blocked {:?}", Concern::of(blockers)),
        ErrorKind::Unreached => "Unreached".to_owned(),
        ErrorKind::Unauthenticated => "Unauthenticated".to_owned(),
        ErrorKind::Forbidden => "Forbidden".to_owned(),
        ErrorKind::Cloud(fault) => format!("Cloud {:?}", fault.kind),
        ErrorKind::Unavailable => "Unavailable".to_owned(),
        ErrorKind::Internal => "Internal".to_owned(),
    }
}

#[test]
fn the_document_of_the_rest_door_is_as_agreed() {
    let mut text = document().to_pretty_json().expect("JSON");
    text.push('\n');
    compare_with_golden("openapi.json", &text);
}

#[test]
fn errors_have_the_codes_and_details_that_are_agreed() {
    let mut text = String::new();
    for error in errors() {
        let status = status(&error);
        let details = status.get_error_details();
        let present = [
            ("BadRequest", details.bad_request().is_some()),
            ("ResourceInfo", details.resource_info().is_some()),
            (
                "PreconditionFailure",
                details.precondition_failure().is_some(),
            ),
            ("QuotaFailure", details.quota_failure().is_some()),
            ("RetryInfo", details.retry_info().is_some()),
        ];
        let information = details.error_info().expect("every refusal has a reason");
        let mut line = format!(
            "{}: {:?} {} {}",
            name(&error.kind),
            status.code(),
            problem::status(&error).as_u16(),
            information.reason
        );
        for (detail, _) in present.iter().filter(|(_, present)| *present) {
            write!(line, " {detail}").expect("text");
        }
        writeln!(text, "{line}").expect("text");
    }
    compare_with_golden("status.txt", &text);
}
