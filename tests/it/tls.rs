//! Who proves what to whom over TLS: clouds to the service, the service to the command line, and
//! callers to either; it may not know what is said once a connection stands.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use drbackup::{
    domain::{
        fault::{Fault, FaultKind},
        id::CloudName,
        inventory::TenantInfo,
    },
    openstack::{
        Clouds,
        config::{CloudMapping, Config, Environment},
        install_crypto,
        settings::OpenStackSettings,
    },
    port::{clock::Clock, cloud::Cloud as _},
    sim::{self, Times},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        server::WebPkiClientVerifier,
    },
};

use crate::{stage::Stage, store_contract::still_clock};

/// Somebody whose word others take.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Paper {
    pub(crate) certificate: rcgen::Certificate,
    pub(crate) key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        Self { issuer }
    }

    /// A paper for a name or an address.
    fn paper(&self, name: &str) -> Paper {
        self.paper_until(name, 2049)
    }

    /// The same, good until the end of a year.
    pub(crate) fn paper_until(&self, name: &str, year: i32) -> Paper {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Paper { certificate, key }
    }
}

/// A folder with an authority, another one, papers of both, and a `clouds.yaml`.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    pub(crate) authority: Authority,
    pub(crate) other: Authority,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().expect("a folder"),
            authority: Authority::new(),
            other: Authority::new(),
        };
        desk.write("authority.pem", &desk.authority.issuer.pem());
        desk.write("other.pem", &desk.other.issuer.pem());
        for (name, authority) in [("own", &desk.authority), ("foreign", &desk.other)] {
            let paper = authority.paper("127.0.0.1");
            let (cert, key) = (paper.certificate.pem(), paper.key.serialize_pem());
            desk.write(&format!("{name}.pem"), &cert);
            desk.write(&format!("{name}.key"), &key);
            desk.write(&format!("{name}-both.pem"), &format!("{cert}{key}"));
        }
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }
}

/// A cloud whose Keystone is behind TLS, as it is in real life.
struct Front {
    cloud: sim::Cloud,
    address: SocketAddr,
    desk: Desk,
}

impl Front {
    /// One that shows a paper for `name`, and perhaps asks its callers for one.
    async fn open(name: &str, asks: bool) -> Self {
        install_crypto();
        let [config, _] = sim::Config::pair(Times::instant());
        let cloud = sim::Cloud::start(config).await.expect("a cloud");
        let desk = Desk::new();
        let paper = desk.authority.paper(name);
        let builder = ServerConfig::builder();
        let builder = if asks {
            let mut roots = RootCertStore::empty();
            roots
                .add(desk.authority.issuer.der().clone())
                .expect("an authority");
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(paper.key.serialize_der()));
        let tls = builder
            .with_single_cert(vec![paper.certificate.der().clone()], key)
            .expect("a server");
        let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0))
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let behind = cloud.url().trim_start_matches("http://").to_owned();
        tokio::spawn(pass_on(listener, TlsAcceptor::from(Arc::new(tls)), behind));
        Self {
            cloud,
            address,
            desk,
        }
    }

    /// What the credential reaches, with these lines in its entry.
    async fn tenants(&self, lines: &[&str]) -> Result<Vec<TenantInfo>, Fault> {
        let mut settings = String::from("    identity_api_version: 3\n");
        for line in lines {
            settings = format!("{settings}    {line}\n");
        }
        let entries = self
            .cloud
            .clouds_yaml_entries()
            .replace(&self.cloud.url(), &format!("https://{}", self.address))
            .replace("    identity_api_version: 3\n", &settings);
        self.desk
            .write("clouds.yaml", &format!("clouds:\n{entries}"));
        let environment = Environment {
            variables: BTreeMap::new(),
            working_directory: self.desk.folder.path().to_owned(),
            home: None,
        };
        let mapping = CloudMapping {
            name: "one".to_owned(),
            entries: vec![format!("{}-demo", self.cloud.name())],
            admin: None,
        };
        let config = Config::load(&environment, &[mapping], OpenStackSettings::default());
        let clock: Arc<dyn Clock> = still_clock();
        let clouds = Clouds::new(config.expect("a configuration"), &clock);
        clouds.tenants_list(&CloudName::new("one")).await
    }
}

/// Takes the encryption off and passes the rest on. Ends with the test.
async fn pass_on(listener: TcpListener, tls: TlsAcceptor, behind: String) {
    while let Ok((caller, _)) = listener.accept().await {
        let (tls, behind) = (tls.clone(), behind.clone());
        tokio::spawn(async move {
            let mut caller = match tls.accept(caller).into_fallible().await {
                Ok(caller) => caller,
                Err((_, mut caller)) => {
                    // Whoever proves nothing is not let in. Hanging up on what was not read could
                    // overtake the word that says so.
                    drop(tokio::io::copy(&mut caller, &mut tokio::io::sink()).await);
                    return;
                }
            };
            let mut cloud = TcpStream::connect(behind).await.expect("the cloud");
            drop(tokio::io::copy_bidirectional(&mut caller, &mut cloud).await);
        });
    }
}

/// A refusal that is about certificates and says what to do.
fn assert_refused(answer: Result<Vec<TenantInfo>, Fault>) {
    let fault = answer.expect_err("refused");
    let text = fault.to_string();
    assert!(text.to_lowercase().contains("certificate"), "{text}");
    assert!(text.contains("Keystone"), "{text}");
    assert!(fault.guidance().contains("cacert"), "{}", fault.guidance());
    assert!(fault.may_pass(), "an operator can repair it: {text}");
}

#[tokio::test]
async fn a_cloud_is_believed_for_its_own_authority_alone() {
    let front = Front::open("127.0.0.1", false).await;
    let reached = front.tenants(&["cacert: authority.pem"]).await;
    assert!(!reached.expect("believed").is_empty());
    assert_refused(front.tenants(&[]).await);
    assert_refused(front.tenants(&["cacert: other.pem"]).await);
}

#[tokio::test]
async fn a_cloud_with_a_paper_for_another_name_is_refused() {
    let front = Front::open("elsewhere.example", false).await;
    assert_refused(front.tenants(&["cacert: authority.pem"]).await);
}

#[tokio::test]
async fn verify_false_asks_a_cloud_for_no_proof() {
    for name in ["127.0.0.1", "elsewhere.example"] {
        let front = Front::open(name, false).await;
        let reached = front.tenants(&["verify: false"]).await;
        assert!(!reached.expect("not asked").is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_cloud_that_asks_for_a_client_certificate_gets_it() {
    let front = Front::open("127.0.0.1", true).await;
    for own in [
        &["cert: own.pem", "key: own.key"][..],
        &["cert: own-both.pem"],
    ] {
        let lines: Vec<&str> = ["cacert: authority.pem"]
            .iter()
            .chain(own)
            .copied()
            .collect();
        let reached = front.tenants(&lines).await;
        assert!(!reached.expect("let in").is_empty(), "{own:?}");
    }
    assert_refused(front.tenants(&["cacert: authority.pem"]).await);
    let foreign = ["cacert: authority.pem", "cert: foreign-both.pem"];
    front.tenants(&foreign).await.expect_err("of another one");
    // Proof of the one side is none of the other.
    assert_refused(front.tenants(&["cert: own-both.pem"]).await);
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_named() {
    let front = Front::open("127.0.0.1", false).await;
    front.desk.write("empty.pem", "nothing\n");
    for (line, named) in [
        ("cacert: missing.pem", "missing.pem"),
        ("cert: missing.pem", "missing.pem"),
        ("cert: own.pem", "own.pem"),
        ("cert: empty.pem", "empty.pem"),
    ] {
        let fault = front.tenants(&[line]).await.expect_err(line);
        assert_eq!(fault.kind, FaultKind::Unconfigured, "{line}: {fault}");
        assert!(fault.message.contains(named), "{line}: {fault}");
        assert!(fault.message.contains("entry"), "{line}: {fault}");
    }
}

/// The flags of a service that encrypts.
pub(crate) fn encrypting(desk: &Desk) -> Vec<String> {
    let file = |name: &str| desk.path(name).display().to_string();
    vec![
        "--tls-cert".to_owned(),
        file("own.pem"),
        "--tls-key".to_owned(),
        file("own.key"),
    ]
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a text")
}

#[tokio::test]
async fn the_command_line_believes_a_service_for_its_authority() {
    let desk = Desk::new();
    let stage = Stage::set_with(Times::instant(), encrypting(&desk)).await;
    assert!(stage.address.starts_with("https://"), "{}", stage.address);
    stage.instance("shop", &[1]);
    let authority = desk.path("authority.pem");

    let unknown = stage.run("backup list").await;
    assert_eq!(unknown.code, 5, "{unknown:?}");
    assert!(unknown.stderr.contains("certificate"), "{unknown:?}");
    assert!(unknown.stderr.contains("--cacert"), "{unknown:?}");

    let flag = format!("backup list --cacert {}", text(&authority));
    assert_eq!(stage.run(&flag).await.code, 0);
    let mut by_variable = stage.command("backup list");
    by_variable.env("DRBACKUP_CACERT", &authority);
    let by_variable = crate::stage::finish(by_variable).await;
    assert_eq!(by_variable.code, 0, "{by_variable:?}");
    let mut flag_first = stage.command(&flag);
    flag_first.env("DRBACKUP_CACERT", desk.path("other.pem"));
    let flag_first = crate::stage::finish(flag_first).await;
    assert_eq!(flag_first.code, 0, "{flag_first:?}");

    let home = stage.path(".config/drbackup");
    std::fs::create_dir_all(&home).expect("made");
    let setting = format!("cacert = {:?}\n", text(&authority));
    std::fs::write(home.join("config.toml"), setting).expect("written");
    // With a stream that follows the work.
    let made = stage
        .json("backup create shop -c source -t demo --name friday")
        .await;
    assert_eq!(made["state"], "STATE_OK");
    let other = format!("backup list --cacert {}", text(&desk.path("other.pem")));
    let other = stage.run(&other).await;
    assert_eq!(other.code, 5, "{other:?}");
}

#[tokio::test]
async fn a_service_shows_its_chain_and_is_believed_for_the_whole_of_it() {
    let desk = Desk::new();
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let between = CertifiedIssuer::signed_by(params, key, &desk.authority.issuer).expect("signed");
    let middle = Authority { issuer: between };
    let paper = middle.paper("127.0.0.1");
    let leaf = paper.certificate.pem();
    desk.write("own.key", &paper.key.serialize_pem());
    for (chain, code) in [(format!("{leaf}{}", middle.issuer.pem()), 0), (leaf, 5)] {
        desk.write("own.pem", &chain);
        let stage = Stage::set_with(Times::instant(), encrypting(&desk)).await;
        let line = format!("backup list --cacert {}", text(&desk.path("authority.pem")));
        let answer = stage.run(&line).await;
        assert_eq!(answer.code, code, "{answer:?}");
    }
}

#[tokio::test]
async fn a_service_lets_in_only_callers_with_a_certificate_where_it_asks_for_one() {
    let desk = Desk::new();
    let mut flags = encrypting(&desk);
    let authority = desk.path("authority.pem");
    flags.extend(["--tls-client-ca".to_owned(), text(&authority).to_owned()]);
    let stage = Stage::set_with(Times::instant(), flags).await;
    let file = |name: &str| text(&desk.path(name)).to_owned();
    let list = format!("backup list --cacert {}", text(&authority));

    let unproven = stage.run(&list).await;
    assert_eq!(unproven.code, 5, "{unproven:?}");
    assert!(unproven.stderr.contains("--client-cert"), "{unproven:?}");
    let foreign = format!("{list} --client-cert {}", file("foreign-both.pem"));
    let foreign = stage.run(&foreign).await;
    assert_eq!(foreign.code, 5, "{foreign:?}");
    let two_files = format!(
        "{list} --client-cert {} --client-key {}",
        file("own.pem"),
        file("own.key")
    );
    let one_file = format!("{list} --client-cert {}", file("own-both.pem"));
    for line in [two_files, one_file] {
        let proven = stage.run(&line).await;
        assert_eq!(proven.code, 0, "{proven:?}");
    }
}

#[tokio::test]
async fn a_certificate_says_who_it_is_beside_tokens() {
    let desk = Desk::new();
    for name in ["break-glass", "somebody"] {
        let paper = desk.authority.paper(name);
        let (cert, key) = (paper.certificate.pem(), paper.key.serialize_pem());
        desk.write(&format!("{name}.pem"), &format!("{cert}{key}"));
    }
    desk.write(
        "server.toml",
        "[auth]\nkeystones = [\"source\"]\n\
         [[auth.certificates]]\nsubject = \"break-glass\"\ngrants = [{ role = \"reader\" }]\n",
    );
    let authority = desk.path("authority.pem");
    let mut flags = encrypting(&desk);
    flags.extend(["--tls-client-ca".to_owned(), text(&authority).to_owned()]);
    flags.extend([
        "--config".to_owned(),
        text(&desk.path("server.toml")).to_owned(),
    ]);
    let stage = Stage::set_with(Times::instant(), flags).await;
    let list = format!("backup list --cacert {}", text(&authority));
    let with = |name: &str| format!("{list} --client-cert {}", text(&desk.path(name)));

    let known = stage.run(&with("break-glass.pem")).await;
    assert_eq!(known.code, 0, "{known:?}");
    let unknown = stage.run(&with("somebody.pem")).await;
    assert!(
        unknown.stderr.contains("no grant is configured"),
        "{unknown:?}"
    );
    // Whoever has a token needs no certificate, and whoever has neither is nobody.
    let nobody = stage.run(&list).await;
    assert!(nobody.stderr.contains("UNAUTHENTICATED"), "{nobody:?}");
    let token = stage.source.token("demo", "demo").expect("a token");
    let mut shown = stage.command(&list);
    shown.env("DRBACKUP_TOKEN", token);
    let shown = crate::stage::finish(shown).await;
    assert_eq!(shown.code, 0, "{shown:?}");
}

#[tokio::test]
async fn an_address_that_encrypts_at_one_end_only_is_told_so() {
    let plain = Stage::set(Times::instant()).await;
    let address = plain.address.replace("http://", "https://");
    let answer = plain.run(&format!("backup list --address {address}")).await;
    assert_eq!(answer.code, 5, "{answer:?}");
    assert!(answer.stderr.contains("write http://"), "{answer:?}");

    let desk = Desk::new();
    let encrypted = Stage::set_with(Times::instant(), encrypting(&desk)).await;
    let address = encrypted.address.replace("https://", "http://");
    let answer = encrypted
        .run(&format!("backup list --address {address}"))
        .await;
    assert_eq!(answer.code, 5, "{answer:?}");
    assert!(answer.stderr.contains("write https://"), "{answer:?}");
}

#[tokio::test]
async fn a_certificate_that_is_past_its_time_or_for_another_name_is_told_as_that() {
    for (name, year, told) in [
        ("127.0.0.1", 2024, "is past its time"),
        ("elsewhere.example", 2049, "is for another name"),
    ] {
        let desk = Desk::new();
        let paper = desk.authority.paper_until(name, year);
        desk.write("own.pem", &paper.certificate.pem());
        desk.write("own.key", &paper.key.serialize_pem());
        let stage = Stage::set_with(Times::instant(), encrypting(&desk)).await;
        let line = format!("backup list --cacert {}", text(&desk.path("authority.pem")));
        let answer = stage.run(&line).await;
        assert_eq!(answer.code, 5, "{answer:?}");
        assert!(answer.stderr.contains(told), "{answer:?}");
        assert!(!answer.stderr.contains("--cacert"), "{answer:?}");
    }
}

#[tokio::test]
async fn certificates_of_the_command_line_that_cannot_be_used_are_named() {
    let desk = Desk::new();
    let stage = Stage::set(Times::instant()).await;
    let file = |name: &str| text(&desk.path(name)).to_owned();
    let list = "backup list --address https://127.0.0.1:1";
    for (line, named) in [
        (
            format!("{list} --cacert {}", file("missing.pem")),
            "missing.pem",
        ),
        (format!("{list} --cacert {}", file("own.key")), "own.key"),
        (
            format!("{list} --client-cert {}", file("missing.pem")),
            "missing.pem",
        ),
        (
            format!("{list} --client-cert {}", file("own.pem")),
            "--client-key",
        ),
        (
            format!("{list} --client-key {}", file("own.key")),
            "--client-cert",
        ),
    ] {
        let answer = stage.run(&line).await;
        assert_eq!(answer.code, 2, "{line}: {answer:?}");
        assert!(answer.stderr.contains(named), "{line}: {answer:?}");
    }
}

#[tokio::test]
async fn a_service_refuses_certificates_that_cannot_be_used() {
    let desk = Desk::new();
    let stage = Stage::set(Times::instant()).await;
    let file = |name: &str| text(&desk.path(name)).to_owned();
    let (own, key) = (file("own.pem"), file("own.key"));
    let serve = format!(
        "serve --listen 127.0.0.1:0 --clouds-file {} --database sqlite:{}",
        text(&stage.path("clouds.yaml")),
        file("scratch.db")
    );
    for (flags, named) in [
        (
            format!("--tls-cert {own} --tls-key {}", file("foreign.key")),
            "foreign.key",
        ),
        (
            format!("--tls-cert {} --tls-key {key}", file("missing.pem")),
            "missing.pem",
        ),
        (format!("--tls-cert {own}"), "--tls-key"),
        (
            format!("--tls-client-ca {}", file("authority.pem")),
            "tls.client_ca",
        ),
    ] {
        let answer = stage.run(&format!("{serve} {flags}")).await;
        assert_eq!(answer.code, 2, "{flags}: {answer:?}");
        assert!(answer.stderr.contains(named), "{flags}: {answer:?}");
    }
}
