//! A real PostgreSQL server for this test process, a database of its own for each test, and servers
//! for tests that ill-treat one; it may not know who asks for one.
//!
//! The server is Debian's package `postgresql`, started on the first demand in a folder of its own.
//! It ends with the process however that ends, because its guard waits for a pipe to close.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The user that a server runs as, since it refuses to run as root.
const USER: &str = "postgres";

/// A running server.
pub(crate) struct Server {
    folder: PathBuf,
    bin: PathBuf,
    port: u16,
    /// Its standard input is the pipe that closes with this process.
    _guard: Child,
}

/// The server of this process.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(""))
}

/// The url of a new and empty database.
pub(crate) fn database() -> String {
    server().database("")
}

impl Server {
    /// A server with these settings beside the usual ones; it ends when it is dropped.
    pub(crate) fn start(settings: &str) -> Self {
        let bin = programs();
        let folder = folder();
        let data = folder.join("data");
        let mut initdb = as_server(&bin.join("initdb"));
        initdb
            .args(["--auth=trust", "--no-sync", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--username", USER, "--pgdata"])
            .arg(&data);
        run(&mut initdb);
        certify(&folder);
        configure(&folder, &data, settings);
        Self::over(bin, folder)
    }

    /// A standby of this one, without which nothing is committed from now on.
    pub(crate) fn standby(&self) -> Self {
        let folder = folder();
        let mut copy = as_server(&self.bin.join("pg_basebackup"));
        copy.args(["--write-recovery-conf", "--no-sync", "--checkpoint=fast"])
            .args(["--dbname", &self.url("postgres"), "--pgdata"])
            .arg(folder.join("data"));
        run(&mut copy);
        let standby = Self::over(self.bin.clone(), folder);
        self.sql(
            "postgres",
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
        );
        self.sql("postgres", "SELECT pg_reload_conf()");
        standby
    }

    /// Lets a standby take over.
    pub(crate) fn promote(&self) {
        run(&mut self.control("promote"));
    }

    /// A server over data that are there.
    fn over(bin: PathBuf, folder: PathBuf) -> Self {
        let guard = guard(&bin, &folder, &folder.join("data"));
        let mut server = Self {
            folder,
            bin,
            port: 0,
            _guard: guard,
        };
        // Another process may take the port first, then it is another one.
        for _ in 0..5 {
            server.port = free_port();
            if server.resume() {
                return server;
            }
        }
        let log = fs::read_to_string(server.folder.join("log")).unwrap_or_default();
        panic!("PostgreSQL does not start:\n{log}");
    }

    /// Ends it as a crash would.
    pub(crate) fn crash(&self) {
        let mut stop = self.control("stop");
        run(stop.arg("--mode=immediate"));
    }

    /// Starts it where it was before; says whether it runs.
    pub(crate) fn resume(&self) -> bool {
        let mut start = self.control("start");
        start
            .arg("--log")
            .arg(self.folder.join("log"))
            .args(["--options", &format!("-p {}", self.port)]);
        // What it writes goes to the log; an inherited pipe would never be closed.
        let started = start.stdout(Stdio::null()).status();
        started.expect("pg_ctl runs").success()
    }

    fn control(&self, what: &str) -> Command {
        let mut control = as_server(&self.bin.join("pg_ctl"));
        control
            .args([what, "--wait", "--silent", "--pgdata"])
            .arg(self.folder.join("data"));
        control
    }

    /// The url of a new and empty database, made with these options.
    pub(crate) fn database(&self, options: &str) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} {options}"));
        self.url(&name)
    }

    /// The url of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The url of a database that is here or at another server, wherever it can be written.
    pub(crate) fn url_here_or_at(&self, other: &Self, database: &str) -> String {
        format!(
            "postgres://{USER}@127.0.0.1:{},127.0.0.1:{}/{database}?target_session_attrs=read-write",
            self.port, other.port
        )
    }

    /// The certificate that it shows, which is its own authority.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("server.crt")
    }

    /// Runs statements in one of its databases; answers the rows, columns divided by `|`.
    pub(crate) fn sql(&self, database: &str, statements: &str) -> String {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set", "ON_ERROR_STOP=1", "--command", statements])
            .arg(self.url(database));
        run(&mut psql)
    }

    /// All that one of its databases holds, as statements.
    pub(crate) fn dump(&self, database: &str) -> String {
        let mut dump = Command::new(self.bin.join("pg_dump"));
        dump.args(["--inserts", "--no-owner", "--no-privileges", "--dbname"])
            .arg(self.url(database));
        run(&mut dump)
    }

    /// Runs the statements of a file in one of its databases.
    pub(crate) fn load(&self, database: &str, file: &Path) {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"])
            .arg("--file")
            .arg(file)
            .arg(self.url(database));
        run(&mut psql);
    }
}

/// A folder that belongs to a server.
fn folder() -> PathBuf {
    let folder = tempfile::Builder::new()
        .prefix("drbackup-postgres-")
        .tempdir()
        .expect("a folder for the server")
        .keep();
    give_away(&folder);
    folder
}

/// The newest installed programs of the server.
fn programs() -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    versions.sort();
    let (_, bin) = versions.pop().expect(
        "these tests need a PostgreSQL server: install Debian's package `postgresql` \
         (apt-get install postgresql)",
    );
    bin
}

/// A command of the server, as a user that it accepts.
fn as_server(program: &Path) -> Command {
    if id("-u", None) != 0 {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", USER, "--"]).arg(program);
    // The folder in which the tests run may be closed to that user.
    command.current_dir("/");
    command
}

/// Gives a file to the user that a server runs as.
pub(crate) fn give_away(path: &Path) {
    if id("-u", None) == 0 {
        chown(path, Some(id("-u", Some(USER))), Some(id("-g", Some(USER)))).expect("chown");
    }
}

fn id(what: &str, user: Option<&str>) -> u32 {
    let mut id = Command::new("id");
    id.arg(what).args(user);
    run(&mut id).trim().parse().expect("a number")
}

/// Makes a certificate for 127.0.0.1 and localhost that is its own authority.
fn certify(folder: &Path) {
    let (key, certificate) = (folder.join("server.key"), folder.join("server.crt"));
    let mut openssl = Command::new("openssl");
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext"])
        .arg("subjectAltName=DNS:localhost,IP:127.0.0.1")
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    run(&mut openssl);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("permissions");
    give_away(&key);
    give_away(&certificate);
}

fn configure(folder: &Path, data: &Path, settings: &str) {
    let settings = format!(
        "listen_addresses = '127.0.0.1'\nunix_socket_directories = '{folder}'\nfsync = off\n\
         max_connections = 400\nssl = on\nssl_cert_file = '{folder}/server.crt'\n\
         ssl_key_file = '{folder}/server.key'\n{settings}\n",
        folder = folder.display()
    );
    fs::OpenOptions::new()
        .append(true)
        .open(data.join("postgresql.conf"))
        .and_then(|mut file| file.write_all(settings.as_bytes()))
        .expect("the settings of the server");
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

/// Waits for the end of this process, then ends the server and removes its folder. It is in a
/// process group of its own, so that an interrupt of the tests does not end it first.
fn guard(bin: &Path, folder: &Path, data: &Path) -> Child {
    Command::new("sh")
        .arg("-c")
        .arg(r#"cat >/dev/null; "$@"; rm -rf "$0""#)
        .arg(folder)
        .args(arguments(
            as_server(&bin.join("pg_ctl"))
                .args(["stop", "--mode=immediate", "--silent", "--pgdata"])
                .arg(data),
        ))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("the guard of the server")
}

/// A command as the words that it consists of.
fn arguments(command: &Command) -> Vec<std::ffi::OsString> {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(ToOwned::to_owned)
        .collect()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{} does not run: {error}", command.get_program().display());
    });
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
