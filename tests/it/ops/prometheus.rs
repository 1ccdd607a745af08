//! The Prometheus that Debian has, and its tool; it may not know what is scraped.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use drbackup::openstack::install_crypto;
use serde_json::Value;
use tempfile::TempDir;

use super::{list, text};
use crate::stage::until;

const MISSING: &str = "promtool and prometheus are missing: apt-get install prometheus";

/// Lets the tool judge a file.
pub(super) fn promtool(arguments: &[&str], file: &Path) {
    let judged = Command::new("promtool")
        .args(arguments)
        .arg(file)
        .output()
        .expect(MISSING);
    let told = String::from_utf8_lossy(&judged.stderr) + String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{told}");
}

/// Lets the tool judge names, types and helps of a scrape.
pub(super) fn check_metrics(scrape: &str) {
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(MISSING);
    let mut input = tool.stdin.take().expect("piped");
    input.write_all(classic(scrape).as_bytes()).expect("read");
    drop(input);
    let judged = tool.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&judged.stderr) + String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{told}");
}

/// A scrape in the older form, which is all that the tool reads: there a counter has its ending in its
/// comments too.
fn classic(scrape: &str) -> String {
    let mut lines: Vec<String> = scrape.lines().map(str::to_owned).collect();
    let types = scrape
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let counters: BTreeSet<&str> = types
        .filter_map(|line| line.strip_suffix(" counter"))
        .collect();
    for line in &mut lines {
        let mut words = line.splitn(4, ' ');
        if let (Some("#"), Some(what), Some(name), Some(rest)) =
            (words.next(), words.next(), words.next(), words.next())
            && counters.contains(name)
        {
            *line = format!("# {what} {name}_total {rest}");
        }
    }
    lines.retain(|line| line != "# EOF");
    lines.join("\n") + "\n"
}

/// One that scrapes a service, with the rules that are shipped.
pub(super) struct Prometheus {
    address: String,
    process: tokio::process::Child,
    _folder: TempDir,
}

impl Prometheus {
    /// One that has scraped `target` once.
    pub(super) async fn start(shipped: &Path, target: &str) -> Self {
        install_crypto();
        let folder = TempDir::new().expect("a folder");
        let config = fs::read_to_string(shipped.join("prometheus.yaml")).expect("shipped");
        let rules = shipped.join("drbackup.rules.yaml");
        let target = target.trim_start_matches("http://");
        let config = config
            .replace("- drbackup.rules.yaml", &format!("- {}", rules.display()))
            .replace("127.0.0.1:7448", target)
            .replace(
                "scrape_interval: 30s",
                "scrape_interval: 200ms\n    scrape_timeout: 200ms",
            );
        let config = format!("global:\n  evaluation_interval: 200ms\n{config}");
        let file = folder.path().join("prometheus.yaml");
        fs::write(&file, config).expect("written");
        // It cannot be asked which port it took.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let process = tokio::process::Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect(MISSING);
        let mut one = Self {
            address: format!("http://{address}"),
            process,
            _folder: folder,
        };
        until(|| {
            let ended = one.process.try_wait().expect("waited");
            assert!(ended.is_none(), "Prometheus ended: {ended:?}");
            let question = one.got("query", &[("query", "up == 1")]);
            async move { (!list(&question.await?["result"]).is_empty()).then_some(()) }
        })
        .await;
        one
    }

    /// The data that it answers with, once it answers.
    fn got(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> impl Future<Output = Option<Value>> + use<> {
        let url = format!("{}/api/v1/{path}", self.address);
        let request = reqwest::Client::new().get(url).query(query);
        async move {
            let answer: Value = request.send().await.ok()?.json().await.ok()?;
            assert_eq!(answer["status"], "success", "{answer}");
            Some(answer["data"].clone())
        }
    }

    /// The answer to a question.
    pub(super) async fn ask(&self, question: &str) -> Vec<Value> {
        let data = self.got("query", &[("query", question)]).await;
        list(&data.expect("answered")["result"]).to_vec()
    }

    /// The names of all that it knows.
    pub(super) async fn names(&self) -> BTreeSet<String> {
        let data = self
            .got("label/__name__/values", &[])
            .await
            .expect("answered");
        let names = list(&data).iter().filter_map(Value::as_str);
        names.map(str::to_owned).collect()
    }

    /// Each alert, with how it stands.
    pub(super) async fn alerts(&self) -> BTreeMap<String, String> {
        let data = self.got("rules", &[]).await.expect("answered");
        let groups = list(&data["groups"]).iter();
        let rules = groups.flat_map(|group| list(&group["rules"]));
        rules
            .map(|rule| {
                assert_ne!(rule["health"], "err", "{rule}");
                (
                    text(rule, "name").to_owned(),
                    text(rule, "state").to_owned(),
                )
            })
            .collect()
    }
}
