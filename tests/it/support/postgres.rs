//! A PostgreSQL server of our own, from the system's binaries, for as long as the test process lives.

use pressrun::store::PostgresStore;
use pressrun::store::postgres::{LIMIT, Options, Tls};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A server on this machine, with a port and a socket.
#[derive(Debug)]
pub struct Server {
    bin: PathBuf,
    home: PathBuf,
    pub port: u16,
    password: &'static str,
    /// The shell that ends the server and throws its folder away when our end of the pipe is closed, however that happens.
    _keeper: Child,
}

/// A database of its own.
#[derive(Debug, Clone)]
pub struct Database {
    pub options: Options,
}

/// Everybody's server; `None` where PostgreSQL is not installed and nobody insists on it.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(Server::start).as_ref()
}

/// A fresh database on everybody's server.
pub fn database() -> Option<Database> {
    server().map(Server::database)
}

impl Server {
    /// Starts a server that lets everybody in; `None` as for [`server`].
    pub fn start() -> Option<Self> {
        Self::start_asking("")
    }

    /// As [`Server::start`]; it asks for this password.
    pub fn start_asking(password: &'static str) -> Option<Self> {
        Self::start_with(password, "", &[])
    }

    /// As [`Server::start_asking`], by TLS alone, with this certificate and key.
    pub fn start_encrypted(password: &'static str, certificate: &Path, key: &Path) -> Option<Self> {
        Self::start_with(password, "ssl=on", &[(certificate, "server.crt"), (key, "server.key")])
    }

    /// As Debian configures it: what is committed survives a power cut.
    pub fn start_durable() -> Option<Self> {
        Self::start_with("", "fsync=on -c full_page_writes=on", &[])
    }

    /// `more` is one setting more; files go beside the data.
    fn start_with(password: &'static str, more: &str, files: &[(&Path, &str)]) -> Option<Self> {
        let Some(bin) = binaries() else {
            assert!(std::env::var_os("PRESSRUN_TESTS_COMPLETE").is_none(), "PostgreSQL is missing");
            return None;
        };
        let home = tempfile::Builder::new().prefix("pressrun-postgres-").tempdir().unwrap().keep();
        // PostgreSQL refuses to run as root.
        let root = std::fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m)).unwrap() == 0;
        let drop = if root { "setpriv --reuid=nobody --regid=nogroup --clear-groups" } else { "" };
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        for (file, name) in files {
            std::fs::copy(file, home.join(name)).unwrap();
            let ours = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(home.join(name), ours).unwrap();
        }
        let script = r#"
            set -e; cd /; home=$1 bin=$2 port=$3 drop=$4 password=$5 more=$6 asks=trust
            if [ -n "$password" ]; then asks=scram-sha-256; fi
            echo "$password" >"$home/password"
            [ -z "$drop" ] || chown -R nobody "$home"
            $drop "$bin/initdb" -D "$home/data" -U postgres -A $asks ${password:+--pwfile="$home/password"} \
                -E UTF8 --locale=C --no-sync >"$home.log" 2>&1
            if [ -e "$home/server.key" ]; then
                mv "$home/server.crt" "$home/server.key" "$home/data/"
                sed -i "s/^host /hostssl /" "$home/data/pg_hba.conf"
            fi
            $drop "$bin/pg_ctl" -D "$home/data" -l "$home/log" -w -o "-p $port -k $home -h 127.0.0.1 -c fsync=off \
                -c full_page_writes=off -c max_connections=300 -c shared_buffers=32MB ${more:+-c $more}" start >>"$home.log" 2>&1
            echo ready
            cat >/dev/null || true
            $drop "$bin/pg_ctl" -D "$home/data" -m immediate stop >/dev/null 2>&1 || true
            rm -rf "$home" "$home.log"
        "#;
        let mut keeper = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([home.as_os_str(), bin.as_os_str(), port.to_string().as_ref(), drop.as_ref(), password.as_ref()])
            .arg(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group_of_its_own()
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let log = std::fs::read_to_string(home.with_extension("log")).unwrap_or_default();
        assert_eq!(said, "ready\n", "PostgreSQL does not start: {log}");
        Some(Server { bin, home, port, password, _keeper: keeper })
    }

    /// A fresh database.
    pub fn database(&self) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::SeqCst));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        let options = Options {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: "postgres".to_owned(),
            password: None,
            database: name,
            tls: Tls::Off,
            connections: 8,
            limit: LIMIT,
        };
        Database { options }
    }

    /// What a statement answers, one line a row.
    #[track_caller]
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let psql = self.bin.join("psql");
        let said = Command::new(psql)
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"])
            .arg(&self.home)
            .env("PGPASSWORD", self.password)
            .args(["-p", &self.port.to_string(), "-d", database, "-c", statement])
            .output()
            .unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().trim_end().to_owned()
    }

    /// As a power cut would do it, and back again.
    pub fn restart(&self) {
        let script = r#"cd /; $3 "$1/pg_ctl" -D "$2/data" -m immediate -w -l "$2/log" restart"#;
        let root = std::fs::metadata(self.home.join("data")).unwrap();
        let ours = std::os::unix::fs::MetadataExt::uid(&root)
            == std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
        let drop = if ours { "" } else { "setpriv --reuid=nobody --regid=nogroup --clear-groups" };
        let done = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([self.bin.as_os_str(), self.home.as_os_str(), drop.as_ref()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(done.unwrap().success(), "PostgreSQL does not come back");
    }
}

impl Database {
    /// Its address, as the configuration takes it.
    pub fn url(&self) -> String {
        let Options { host, port, user, database, .. } = &self.options;
        format!("postgres://{user}@{host}:{port}/{database}")
    }

    /// A store on it, whose clock is the caller's.
    pub fn store(&self) -> impl Future<Output = PostgresStore> + use<> {
        let options = self.options.clone();
        async move { PostgresStore::open(&options).await.unwrap().with_callers_clock() }
    }
}

/// The folder with `initdb` and `pg_ctl`: the newest installed.
fn binaries() -> Option<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|out| PathBuf::from(String::from_utf8_lossy(&out.stdout).trim()));
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort_by_key(|path| {
        let version = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|name| name.parse::<u32>().ok())
    });
    versions.extend(told);
    versions.into_iter().rev().find(|bin| bin.join("initdb").exists() && bin.join("pg_ctl").exists())
}

/// Ctrl-C at the terminal ends the tests, and then the server; not both at once.
trait OfItsOwn {
    fn process_group_of_its_own(&mut self) -> &mut Self;
}

impl OfItsOwn for Command {
    fn process_group_of_its_own(&mut self) -> &mut Self {
        std::os::unix::process::CommandExt::process_group(self, 0)
    }
}
