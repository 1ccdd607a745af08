//! The entrance from outside: whom it lets in, for how long, how many and how much at once; it may not know
//! what is asked for once somebody is in.

mod reload;

use std::{future::Future, time::Duration};

use drbackup::{
    api::pb::{
        self, dr_backup_service_client::DrBackupServiceClient,
        restoration_service_client::RestorationServiceClient,
    },
    sim::Times,
};
use h2::client::SendRequest;
use http::{Method, Request, StatusCode, Version};
use prost::{Message as _, bytes::Bytes};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tonic::{Code, codec::CompressionEncoding};
use tonic_types::StatusExt as _;

use crate::{
    stage::{Stage, until},
    tls::{Desk, encrypting},
};

const LIST: &str = "/drbackup.v1.DRBackupService/ListDRBackups";
const WATCH: &str = "/drbackup.v1.DRBackupService/WatchDRBackups";
const DR_BACKUPS: &str = "/api/openstack-dr-backups/";
/// An empty message as gRPC frames it.
const EMPTY: &[u8] = &[0; 5];

/// A service that has these settings.
async fn stage(settings: &[(&str, &str)], flags: Vec<String>) -> Stage {
    let mut stage = Stage::set_with(Times::instant(), flags).await;
    stage.terminate().await;
    for (name, value) in settings {
        stage.set_variable(&format!("DRBACKUP_{name}"), value);
    }
    stage.serve().await;
    stage
}

/// What comes within the patience of a test.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), what)
        .await
        .expect("in time")
}

fn host(stage: &Stage) -> &str {
    stage.address.split_once("://").expect("a scheme").1
}

/// A connection that says nothing by itself.
async fn silent(stage: &Stage) -> TcpStream {
    TcpStream::connect(host(stage)).await.expect("connected")
}

/// Waits until the other side ends a connection, and returns what it said before.
async fn ended(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is an end too.
    drop(soon(stream.read_to_end(&mut said)).await);
    said
}

/// Asks over HTTP/1.1 and reads the head of the answer; the connection stays.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut said = vec![0; 64];
    let length = soon(stream.read(&mut said)).await.expect("an answer");
    String::from_utf8_lossy(&said[..length]).into_owned()
}

fn http2() -> reqwest::Client {
    drbackup::openstack::install_crypto();
    let client = reqwest::Client::builder().no_proxy();
    client.http2_prior_knowledge().build().expect("a client")
}

fn http1() -> reqwest::Client {
    drbackup::openstack::install_crypto();
    let client = reqwest::Client::builder().no_proxy();
    client.http1_only().build().expect("a client")
}

/// The value of a series.
async fn counted(client: &reqwest::Client, stage: &Stage, series: &str) -> u64 {
    let told = client.get(format!("{}/metrics", stage.address)).send();
    let told = told.await.expect("an answer").text().await.expect("text");
    let line = told.lines().find_map(|line| line.strip_prefix(series));
    let line = line.unwrap_or_else(|| panic!("no {series} in {told}"));
    line.trim().parse().expect("a number")
}

async fn not_served(client: &reqwest::Client, stage: &Stage, reason: &str) -> u64 {
    let series = format!("drbackup_not_served_total{{reason=\"{reason}\"}}");
    counted(client, stage, &series).await
}

/// An HTTP/2 connection, and the task that ends with it.
async fn frames(stage: &Stage) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let (send, connection) = h2::client::handshake(silent(stage).await)
        .await
        .expect("a greeting");
    (send.ready().await.expect("ready"), tokio::spawn(connection))
}

/// A gRPC call whose message is still to come.
fn call(stage: &Stage, path: &str) -> Request<()> {
    Request::builder()
        .method(Method::POST)
        .uri(format!("{}{path}", stage.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request")
}

fn grpc_status(headers: &http::HeaderMap) -> &str {
    let status = headers.get("grpc-status");
    status.map_or("", |status| status.to_str().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_is_refused_at_every_path_in_every_version() {
    let stage = stage(&[], Vec::new()).await;
    for (client, version) in [(http1(), "1.1"), (http2(), "2")] {
        for path in [LIST, DR_BACKUPS, "/metrics", "/"] {
            for (name, value, reason) in [
                ("origin", "https://evil.example", "FROM_A_BROWSER"),
                ("sec-fetch-site", "cross-site", "FROM_A_BROWSER"),
                ("host", "rebound.example", "HOST_UNKNOWN"),
            ] {
                // With HTTP/2 the address itself says the name.
                if name == "host" && version == "2" {
                    continue;
                }
                let request = client.post(format!("{}{path}", stage.address));
                let request = request.header("content-type", "text/plain");
                let answer = request.header(name, value).body(EMPTY).send().await;
                let answer = answer.expect("an answer");
                assert_eq!(
                    answer.status(),
                    StatusCode::FORBIDDEN,
                    "{version} {path} {name}"
                );
                assert!(
                    answer.text().await.expect("text").contains(reason),
                    "{name}"
                );
            }
        }
    }
    let client = http2();
    let request = client.post(format!("{}{LIST}", stage.address));
    let request = request.header("content-type", "application/grpc");
    let answer = request.header("origin", "null").body(EMPTY).send().await;
    assert_eq!(grpc_status(answer.expect("an answer").headers()), "7");
    assert!(not_served(&client, &stage, "web_page").await >= 17);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_a_frame_of_grpc_in_another_type_does_nothing_and_http_1_is_spoken() {
    let desk = Desk::new();
    let stage = stage(&[], encrypting(&desk)).await;
    let client = |versions: fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder| {
        let pem = std::fs::read(desk.path("authority.pem")).expect("a file");
        let authority = reqwest::Certificate::from_pem(&pem).expect("an authority");
        let client = reqwest::Client::builder().no_proxy();
        let client = versions(client.tls_certs_only([authority]));
        client.build().expect("a client")
    };
    let instance = stage.instance("shop", &[1]);
    let wish = pb::CreateDrBackupRequest {
        cloud: "source".to_owned(),
        tenant: stage.source.project_id("demo").expect("a project"),
        instance_id: instance.server,
        ..Default::default()
    };
    let mut frame = vec![0, 0, 0, 0];
    frame.push(u8::try_from(wish.encoded_len()).expect("short"));
    frame.extend(wish.encode_to_vec());
    let both = client(|client| client);
    let create = format!(
        "{}/drbackup.v1.DRBackupService/CreateDRBackup",
        stage.address
    );
    for (kind, origin, status) in [
        ("text/plain", Some("https://evil.example"), 403),
        ("text/plain", None, 415),
        ("application/grpc-web", None, 415),
    ] {
        let mut request = both.post(&create).header("content-type", kind);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let answer = request.body(frame.clone()).send().await.expect("an answer");
        assert_eq!(
            (answer.version(), answer.status().as_u16()),
            (Version::HTTP_2, status)
        );
    }
    let one = client(reqwest::ClientBuilder::http1_only);
    for (client, version) in [(both, Version::HTTP_2), (one, Version::HTTP_11)] {
        let answer = client
            .get(format!("{}{DR_BACKUPS}", stage.address))
            .send()
            .await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.version(), version);
        assert_eq!(answer.text().await.expect("text"), "[]", "nothing was made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reverse_proxy_may_pass_on_the_names_of_the_configuration() {
    let names = [("REST__HOSTS", "[\"dr.example\"]")];
    let stage = stage(&names, Vec::new()).await;
    for (name, status) in [
        ("dr.example", 200),
        ("dr.example:443", 200),
        ("a.example", 403),
    ] {
        let request = http1().get(format!("{}{DR_BACKUPS}", stage.address));
        let answer = request
            .header("host", name)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_one_that_ends_makes_room() {
    let stage = stage(&[("DOOR__CONNECTIONS", "2")], Vec::new()).await;
    let client = http1();
    // Each was asked something, so that it is known to be in.
    assert_eq!(not_served(&client, &stage, "connections").await, 0);
    let mut second = silent(&stage).await;
    assert!(ask(&mut second, "/nowhere").await.starts_with("HTTP/1.1 "));
    assert_eq!(ended(&mut silent(&stage).await).await, b"");
    assert_eq!(not_served(&client, &stage, "connections").await, 1);
    assert_eq!(counted(&client, &stage, "drbackup_connections").await, 2);
    drop(second);
    until(|| async {
        let open = counted(&client, &stage, "drbackup_connections").await;
        (open == 1).then_some(())
    })
    .await;
    assert_eq!(stage.run("backup list").await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_nothing_or_nothing_more_is_left() {
    let times = [("DOOR__FIRST_REQUEST", "200ms"), ("DOOR__IDLE", "300ms")];
    let stage = stage(&times, Vec::new()).await;
    assert_eq!(ended(&mut silent(&stage).await).await, b"");
    let mut half = silent(&stage).await;
    half.write_all(b"GET /api/ HT").await.expect("sent");
    ended(&mut half).await;
    let mut asked = silent(&stage).await;
    ask(&mut asked, "/nowhere").await;
    ended(&mut asked).await;
    let (mut send, connection) = frames(&stage).await;
    let (answer, _) = send.send_request(call(&stage, LIST), false).expect("sent");
    drop(answer);
    soon(connection).await.expect("joined").expect("a farewell");
    assert_eq!(not_served(&http1(), &stage, "first_request").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_has_its_time_and_tls_1_1_is_no_tls() {
    let desk = Desk::new();
    let stage = stage(&[("DOOR__HANDSHAKE", "200ms")], encrypting(&desk)).await;
    assert_eq!(ended(&mut silent(&stage).await).await, b"");
    let mut old = silent(&stage).await;
    let mut hello = vec![0x03, 0x02];
    hello.extend([7; 32]);
    // No session, one cipher of that time, no compression.
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    let length = u8::try_from(hello.len()).expect("short");
    old.write_all(&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length])
        .await
        .expect("sent");
    old.write_all(&hello).await.expect("sent");
    let said = ended(&mut old).await;
    assert_eq!(
        (said.first(), said.get(5)),
        (Some(&0x15), Some(&2)),
        "a fatal alert: {said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_takes_nothing_new_and_ends_what_it_has() {
    let stage = stage(&[("DOOR__AGE", "500ms")], Vec::new()).await;
    let instance = stage.instance("shop", &[1]);
    let (mut send, connection) = frames(&stage).await;
    let (answer, mut body) = send.send_request(call(&stage, WATCH), false).expect("sent");
    body.send_data(Bytes::from_static(EMPTY), true)
        .expect("sent");
    let mut events = soon(answer).await.expect("an answer").into_body();
    while soon(std::future::poll_fn(|context| send.poll_ready(context)))
        .await
        .is_ok()
    {
        let Ok((asked, mut body)) = send.send_request(call(&stage, LIST), false) else {
            break;
        };
        drop(body.send_data(Bytes::from_static(EMPTY), true));
        if soon(asked).await.is_err() {
            break;
        }
    }
    assert!(!connection.is_finished(), "the stream goes on");
    // Over a connection that is new.
    let wish = serde_json::json!({
        "cloud": "source",
        "tenant": stage.source.project_id("demo").expect("a project"),
        "source_instance": instance.server,
    });
    let request = http1().post(format!("{}{DR_BACKUPS}", stage.address));
    let request = request.header("content-type", "application/json");
    let made = request.body(wish.to_string()).send().await;
    assert_eq!(made.expect("an answer").status(), StatusCode::CREATED);
    let event = soon(events.data()).await.expect("an event").expect("whole");
    assert!(event.len() > EMPTY.len());
    drop((events, body, send));
    soon(connection).await.expect("joined").expect("a farewell");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_without_end_keep_nobody_out_for_long() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("few-files");
    let script = format!(
        "#!/bin/sh\nulimit -n 64\nexec {} \"$@\"\n",
        env!("CARGO_BIN_EXE_drbackup")
    );
    std::fs::write(&program, script).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("set");
    let mut stage = Stage::built(Times::instant(), program, None).await;
    stage.set_variable("DRBACKUP_DOOR__FIRST_REQUEST", "500ms");
    stage.serve().await;
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(silent(&stage).await);
    }
    let answer = stage.run("backup list").await;
    assert_eq!(answer.code, 0, "{answer:?}");
    let (code, log) = stage.terminate().await;
    assert_eq!(code, Some(0));
    let lines = |words: &str| log.iter().filter(|line| line.contains(words)).count();
    assert_eq!(lines("fewer files than connections"), 1, "{log:#?}");
    assert_eq!(lines("\"reason\":\"files\""), 1, "{log:#?}");
    assert_eq!(lines("\"reason\":\"first_request\""), 1, "{log:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_are_bounded_and_whoever_looks_after_the_process_is_answered() {
    let stage = stage(&[("DOOR__CALLS", "1")], Vec::new()).await;
    let (mut send, _connection) = frames(&stage).await;
    let (answer, mut body) = send.send_request(call(&stage, LIST), false).expect("sent");
    let client = http1();
    let rest = || client.get(format!("{}{DR_BACKUPS}", stage.address)).send();
    let refused = until(|| async {
        let answer = rest().await.expect("an answer");
        (answer.status() == StatusCode::TOO_MANY_REQUESTS).then_some(answer)
    })
    .await;
    assert!(refused.headers().contains_key("retry-after"));
    assert!(
        refused
            .text()
            .await
            .expect("text")
            .contains("TOO_MANY_CALLS")
    );
    let mut grpc = DrBackupServiceClient::connect(stage.address.clone())
        .await
        .expect("connected");
    let refused = grpc
        .list_dr_backups(pb::ListDrBackupsRequest::default())
        .await;
    let refused = refused.expect_err("refused");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let details = refused.get_error_details();
    assert_eq!(details.error_info().expect("info").reason, "TOO_MANY_CALLS");
    assert!(details.retry_info().is_some());
    // A stream counts as one of its own once it is open.
    assert!(not_served(&client, &stage, "calls").await >= 2);
    let (health, mut asked) = send
        .send_request(call(&stage, "/grpc.health.v1.Health/Check"), false)
        .expect("sent");
    asked
        .send_data(Bytes::from_static(EMPTY), true)
        .expect("sent");
    assert_eq!(
        soon(health).await.expect("an answer").status(),
        StatusCode::OK
    );

    body.send_data(Bytes::from_static(EMPTY), true)
        .expect("sent");
    let answer = soon(answer).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    until(|| async { (rest().await.expect("an answer").status() == StatusCode::OK).then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_end_is_ended() {
    let stage = stage(&[("DOOR__BODY", "300ms")], Vec::new()).await;
    let (mut send, _connection) = frames(&stage).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let (answer, mut body) = send.send_request(call(&stage, LIST), false).expect("sent");
        // A message of 256 KiB begins.
        let begun = Bytes::from_static(&[0, 0, 4, 0, 0, 1, 2, 3]);
        body.send_data(begun, false).expect("sent");
        slow.push((answer, body));
    }
    for (answer, _body) in slow {
        let answer = soon(answer).await.expect("an answer");
        assert_eq!(grpc_status(answer.headers()), "4", "{answer:?}");
    }
    let mut slow = silent(&stage).await;
    let head = format!(
        "POST {DR_BACKUPS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.expect("sent");
    let said = String::from_utf8(ended(&mut slow).await).expect("text");
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(said.contains("REQUEST_TOO_SLOW"), "{said}");
    assert_eq!(not_served(&http1(), &stage, "body").await, 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_as_long_as_it_is_when_nothing_is_compressed() {
    let stage = stage(&[], Vec::new()).await;
    let client = RestorationServiceClient::connect(stage.address.clone()).await;
    let plain = client.expect("connected");
    let zipped = plain.clone().send_compressed(CompressionEncoding::Gzip);
    let with = |characters: usize| pb::CreateRestorationRequest {
        user_data: Some("A".repeat(characters)),
        ..Default::default()
    };
    for mut client in [plain, zipped] {
        for characters in [600_000, 4_000_000, 20_000_000] {
            let refused = client.create_restoration(with(characters)).await;
            let refused = refused.expect_err("refused");
            let code = refused.code();
            let too_long = [Code::OutOfRange, Code::ResourceExhausted].contains(&code);
            assert!(too_long, "{characters}: {refused:?}");
        }
        // What fits is read, and each bad field of it named.
        let refused = client.create_restoration(with(65_535)).await;
        let refused = refused.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        let details = refused.get_error_details();
        let bad = &details.bad_request().expect("fields").field_violations;
        assert!(bad.iter().any(|bad| bad.field == "cloud"), "{bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_end_is_refused_by_its_name() {
    let stage = stage(&[], Vec::new()).await;
    let client = RestorationServiceClient::connect(stage.address.clone()).await;
    let mut client = client.expect("connected");
    let networks = pb::CreateRestorationRequest {
        networks: vec![pb::NetworkMapping::default(); 200_000],
        ..Default::default()
    };
    let volumes = pb::CreateRestorationRequest {
        volumes: vec![pb::VolumeOverride::default(); 200_000],
        ..Default::default()
    };
    for (message, field) in [(networks, "networks"), (volumes, "volumes")] {
        let refused = client
            .create_restoration(message)
            .await
            .expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
        let details = refused.get_error_details();
        let bad = &details.bad_request().expect("fields").field_violations;
        assert_eq!((bad.len(), bad[0].field.as_str()), (1, field));
    }
}

/// The greeting of HTTP/2, and its first frame.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test(flavor = "multi_thread")]
async fn frames_without_end_end_their_connection_or_hold_up_nobody_else() {
    let stage = stage(&[], Vec::new()).await;
    let is_goaway = |said: &[u8]| said.windows(4).any(|four| four[3] == 7 && four[0] == 0);
    // A header that goes on and on.
    let mut endless = silent(&stage).await;
    let mut flood = [GREETING, &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]].concat();
    for _ in 0..10_000 {
        flood.extend([0, 0, 0, 9, 0, 0, 0, 0, 1]);
    }
    drop(endless.write_all(&flood).await);
    let said = ended(&mut endless).await;
    assert!(is_goaway(&said), "{said:?}");

    // Pings, settings and opened and reset streams, faster than anybody answers.
    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let mut floods = Vec::new();
    for frame in [&ping[..], &settings] {
        let mut stream = silent(&stage).await;
        let flood = [GREETING, &frame.repeat(100_000)].concat();
        floods.push(tokio::spawn(async move {
            drop(stream.write_all(&flood).await);
            stream
        }));
    }
    let (mut send, connection) = frames(&stage).await;
    for _ in 0..10_000 {
        if std::future::poll_fn(|context| send.poll_ready(context))
            .await
            .is_err()
        {
            break;
        }
        // Dropped at once, which resets it.
        if send.send_request(call(&stage, LIST), false).is_err() {
            break;
        }
    }
    assert_eq!(stage.run("backup list").await.code, 0);
    connection.abort();
    for flood in floods {
        flood.abort();
    }
}
