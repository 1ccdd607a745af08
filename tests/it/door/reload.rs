//! Certificates that change while the service runs; it may not know how they are read.

use drbackup::{
    api::pb::{self, dr_backup_service_client::DrBackupServiceClient},
    sim::Times,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use super::{counted, soon, stage};
use crate::{
    stage::{Stage, until},
    tls::{Desk, encrypting},
};

/// Puts the paper of an authority in the place of that of the service.
fn replace(desk: &Desk, with: &str) {
    for kind in ["pem", "key"] {
        let text = std::fs::read_to_string(desk.path(&format!("{with}.{kind}")));
        desk.write(&format!("own.{kind}"), &text.expect("a file"));
    }
}

/// Whether the command line believes the service for this authority.
async fn believes(stage: &Stage, desk: &Desk, authority: &str) -> bool {
    let file = desk.path(authority);
    let line = format!("backup list --cacert {}", file.display());
    stage.run(&line).await.code == 0
}

async fn channel(stage: &Stage, desk: &Desk) -> Channel {
    let pem = std::fs::read(desk.path("authority.pem")).expect("a file");
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    let endpoint = Channel::from_shared(stage.address.clone()).expect("an address");
    let endpoint = endpoint.tls_config(tls).expect("a configuration");
    endpoint.connect().await.expect("connected")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_renews_the_certificate_and_drops_no_stream() {
    let desk = Desk::new();
    let mut stage = stage(&[("TLS__LOOK_EVERY", "1h")], encrypting(&desk)).await;
    stage.instance("shop", &[1]);
    let mut client = DrBackupServiceClient::new(channel(&stage, &desk).await);
    let watch = client.watch_dr_backups(pb::WatchDrBackupsRequest::default());
    let mut events = watch.await.expect("a stream").into_inner();

    replace(&desk, "foreign");
    assert!(believes(&stage, &desk, "authority.pem").await, "as before");
    stage.hang_up();
    until(|| async { believes(&stage, &desk, "other.pem").await.then_some(()) }).await;
    assert!(!believes(&stage, &desk, "authority.pem").await);
    let other = desk.path("other.pem");
    let make = "backup create shop -c source -t demo --name friday --cacert";
    stage.json(&format!("{make} {}", other.display())).await;
    let event = soon(events.message()).await.expect("it goes on");
    assert!(event.is_some());

    desk.write("own.key", "no key\n");
    stage.hang_up();
    assert!(believes(&stage, &desk, "other.pem").await, "as before");
    drop((events, client));
    let (code, log) = stage.terminate().await;
    assert_eq!(code, Some(0), "a signal to read again does not end it");
    let told = |words: &str| log.iter().any(|line| line.contains(words));
    assert!(told("read again; new connections use them"), "{log:#?}");
    assert!(told("those from before stay in force"), "{log:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_change_are_seen_without_a_signal_and_the_authorities_of_callers_too() {
    let desk = Desk::new();
    desk.write(
        "callers.pem",
        &std::fs::read_to_string(desk.path("authority.pem")).expect("read"),
    );
    let mut flags = encrypting(&desk);
    flags.extend([
        "--tls-client-ca".to_owned(),
        desk.path("callers.pem").display().to_string(),
    ]);
    let stage = stage(&[("TLS__LOOK_EVERY", "50ms")], flags).await;
    let as_caller = async |paper: &str, authority: &str| {
        let (paper, authority) = (desk.path(paper), desk.path(authority));
        let (paper, authority) = (paper.display(), authority.display());
        let line = format!("backup list --cacert {authority} --client-cert {paper}");
        stage.run(&line).await.code == 0
    };
    assert!(as_caller("own-both.pem", "authority.pem").await);
    assert!(!as_caller("foreign-both.pem", "authority.pem").await);
    let other = std::fs::read_to_string(desk.path("other.pem")).expect("read");
    desk.write("callers.pem", &other);
    until(|| async {
        as_caller("foreign-both.pem", "authority.pem")
            .await
            .then_some(())
    })
    .await;
    assert!(!as_caller("own-both.pem", "authority.pem").await);
    replace(&desk, "foreign");
    until(|| async {
        as_caller("foreign-both.pem", "other.pem")
            .await
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_is_told_in_the_log_and_counted_down() {
    for (year, words) in [(2024, "HAS EXPIRED"), (2049, "expires soon")] {
        let desk = Desk::new();
        let paper = desk.authority.paper_until("127.0.0.1", year);
        desk.write("own.pem", &paper.certificate.pem());
        desk.write("own.key", &paper.key.serialize_pem());
        let mut stage = Stage::built(
            Times::instant(),
            env!("CARGO_BIN_EXE_drbackup").into(),
            None,
        )
        .await;
        stage.set_flags(encrypting(&desk));
        stage.set_variable("DRBACKUP_TLS__EXPIRY_WARNING", "36500d");
        stage.serve().await;
        let client = reqwest::Client::builder().no_proxy();
        let client = client.tls_danger_accept_invalid_certs(true).build();
        let left = "drbackup_certificate_seconds_left{file=\"cert\"}";
        let left = counted(&client.expect("a client"), &stage, left).await;
        assert_eq!(left == 0, year == 2024, "{left}");
        let probe = reqwest::get(format!("{}/readyz", stage.ops_address)).await;
        let told = probe.expect("an answer").text().await.expect("text");
        let line = told
            .lines()
            .find(|line| line.starts_with("certificate tls.cert: "));
        let line = line.expect("it is told");
        assert_eq!(line.contains("HAS EXPIRED"), year == 2024, "{told}");
        let (_, log) = stage.terminate().await;
        let told = log.iter().filter(|line| line.contains(words)).count();
        assert_eq!(told, 1, "{log:#?}");
    }
}
