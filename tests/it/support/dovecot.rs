//! A real IMAP server: Debian's Dovecot, with one mailbox, a certificate and a configuration of its own. Like Postfix it drops
//! rights, so it must be started by root. It ends with the value.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::postfix::{NOBODY, as_root, done, free_ports};
use super::tls;

/// So long it may take to start.
const PATIENCE: Duration = Duration::from_mins(1);
/// Everybody's password.
pub const PASSWORD: &str = "a-good-secret";

/// A Dovecot that runs.
pub struct Dovecot {
    folder: tempfile::TempDir,
    master: Child,
    owner: u32,
    /// In the clear.
    pub imap: u16,
    /// TLS from the first byte.
    pub imaps: u16,
    /// Its certificate (PEM), for `localhost` and 127.0.0.1.
    pub trust: PathBuf,
}

impl Dovecot {
    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// Where Dovecot or root's rights are missing, or it does not start.
    pub fn start() -> Self {
        assert!(Path::new("/usr/sbin/dovecot").exists(), "dovecot is missing: apt-get install dovecot-imapd");
        let folder = tempfile::Builder::new().prefix("dovecot").tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["tls", "run", "state", "mail", "home"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let me = std::fs::metadata(folder.path()).unwrap().uid();
        let owner = if me == 0 { NOBODY } else { me };
        tls::certificate(&folder.path().join("tls"), "DNS:localhost,IP:127.0.0.1", false);
        let [imap, imaps] = free_ports();
        let (file, trust) = (folder.path().join("dovecot.conf"), folder.path().join("tls/cert.pem"));
        std::fs::write(&file, configuration(&folder.path().display().to_string(), owner, imap, imaps)).unwrap();
        done(as_root("chown").arg(owner.to_string()).args(["mail", "home"].map(|name| folder.path().join(name))));
        let log = std::fs::File::create(folder.path().join("master.log")).unwrap();
        let master = as_root("/usr/sbin/dovecot")
            .args(["-F", "-c"])
            .arg(&file)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut dovecot = Dovecot { folder, master, owner, imap, imaps, trust };
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", dovecot.imap)).is_err() {
            let ended = dovecot.master.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "Dovecot does not start: {}", dovecot.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        dovecot
    }

    /// Puts a mail into the inbox.
    pub fn put(&self, name: &str, mail: &str) {
        let folder = self.folder.path().join("mail/new");
        done(as_root("mkdir").args(["-p"]).arg(&folder));
        let file = self.folder.path().join(name);
        std::fs::write(&file, mail).unwrap();
        done(as_root("chown").arg(self.owner.to_string()).args([&file, &folder]));
        done(as_root("mv").args([&file, &folder]));
    }

    /// Puts many mails into the inbox, in the order of their numbers.
    pub fn put_all(&self, mails: &[String]) {
        let new = self.folder.path().join("mail/new");
        let heap = self.folder.path().join("heap");
        std::fs::create_dir(&heap).unwrap();
        for (n, mail) in mails.iter().enumerate() {
            std::fs::write(heap.join(format!("{n:06}.heap")), mail).unwrap();
        }
        done(as_root("mkdir").args(["-p"]).arg(&new));
        done(as_root("chown").arg("-R").arg(self.owner.to_string()).args([&heap, &new]));
        done(as_root("sh").args(["-c", r#"mv "$1"/* "$2" && rmdir "$1""#, "sh"]).args([&heap, &new]));
    }

    /// The names of the files in a folder of the mailbox, sorted; an empty name is the inbox. What stands after `:2,` are their marks.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let top = self.folder.path().join("mail").join(folder);
        let found = as_root("find")
            .args([top.join("new"), top.join("cur")])
            .args(["-type", "f", "-printf", "%f\n"])
            .output()
            .unwrap();
        let mut names: Vec<String> = String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    fn log(&self) -> String {
        let read = as_root("cat").args(["log", "master.log"].map(|name| self.folder.path().join(name))).output();
        String::from_utf8_lossy(&read.unwrap().stdout).into_owned()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let group = format!("-{}", self.master.id());
        for signal in ["-TERM", "-KILL"] {
            let _ = as_root("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
            let began = Instant::now();
            while matches!(self.master.try_wait(), Ok(None)) && began.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = self.master.wait();
        let _ = as_root("rm").arg("-rf").arg(self.folder.path()).status();
    }
}

fn configuration(folder: &str, owner: u32, imap: u16, imaps: u16) -> String {
    format!(
        "base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/tls/cert.pem
ssl_key = <{folder}/tls/key.pem
mail_location = maildir:{folder}/mail
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={folder}/home
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
"
    )
}
