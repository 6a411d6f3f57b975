//! A real mail server: Debian's Postfix, with a configuration, a queue, a certificate, users and mailboxes of its own.
//!
//! ```text
//!   Postfix::start(&Setup { mailboxes: &["ana@example.net"], ..Setup::default() })
//!     .submission   STARTTLS and AUTH required     (smtp://desk@localhost:PORT)
//!     .submissions  TLS from the first byte, AUTH  (smtps://desk@localhost:PORT)
//!     .open         in the clear, as other machines speak: what comes back, what readers send
//!   .trust          the certificate, for `smtp: trust:`
//!   .mails(address) what lies in a mailbox, oldest first, as Postfix wrote it
//! ```
//!
//! Every domain that has a mailbox is its own; nothing ever leaves the machine: mail for other domains is refused, or comes
//! back. Nothing of the system's own configuration is used or changed. Postfix drops rights, so its master must be started
//! by root: who is not root needs `sudo` without a password. It ends with the value, and after ten minutes in any case.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::tls;

/// So long a mail may take from its acceptance to the mailbox, and Postfix to start.
const PATIENCE: Duration = Duration::from_mins(1);
/// A forgotten Postfix ends by itself, after so many seconds.
const LIFE: &str = "600";
/// `nobody`, whom mailboxes belong to where root runs the tests.
pub const NOBODY: u32 = 65534;

/// What a Postfix is to be.
pub struct Setup<'a> {
    /// Who has a mailbox; addresses beyond ASCII may be among them.
    pub mailboxes: &'a [&'a str],
    /// Takes mail for unknown users of its domains too, and returns it to its sender (RFC 3464), instead of refusing it.
    pub returns: bool,
    /// The user and the password of submission.
    pub login: (&'a str, &'a str),
    /// More lines of `main.cf`, each `name = value`.
    pub more: &'a str,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Setup { mailboxes: &[], returns: false, login: ("desk", "a good secret"), more: "" }
    }
}

/// A Postfix that runs.
pub struct Postfix {
    folder: tempfile::TempDir,
    master: Child,
    /// STARTTLS and AUTH required.
    pub submission: u16,
    /// TLS from the first byte, and AUTH.
    pub submissions: u16,
    /// In the clear and without a login, for its own domains only.
    pub open: u16,
    /// Its certificate (PEM), for `localhost` and 127.0.0.1.
    pub trust: PathBuf,
}

impl Postfix {
    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// Where Postfix, the password database's tool or root's rights are missing, or it does not start.
    pub fn start(setup: &Setup<'_>) -> Self {
        for (tool, package) in [("/usr/sbin/postfix", "postfix"), ("/usr/sbin/saslpasswd2", "sasl2-bin")] {
            assert!(Path::new(tool).exists(), "{tool} is missing: apt-get install {package}");
        }
        let folder = tempfile::Builder::new().prefix("postfix").tempdir().unwrap();
        // Postfix's own users must come through.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["etc", "etc/sasl", "tls", "queue", "data", "mail"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        let me = std::fs::metadata(folder.path()).unwrap().uid();
        let (owner, trust) = (if me == 0 { NOBODY } else { me }, path("tls/cert.pem"));
        tls::certificate(&path("tls"), "DNS:localhost,IP:127.0.0.1", false);
        let [submission, submissions, open] = free_ports();
        std::fs::write(path("etc/main.cf"), main_cf(folder.path(), setup, owner)).unwrap();
        std::fs::write(path("etc/master.cf"), master_cf(submission, submissions, open)).unwrap();
        std::fs::write(path("etc/mailboxes"), mailboxes(setup)).unwrap();
        // Debian's Postfix reads it there, whatever `cyrus_sasl_config_path` says.
        let passwords = path("etc/sasl/passwords");
        std::fs::write(
            path("etc/sasl/smtpd.conf"),
            format!(
                "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\nmech_list: PLAIN LOGIN\n",
                passwords.display()
            ),
        )
        .unwrap();
        add_user(&passwords, setup.login);
        done(as_root("chown").args(["-R", "postfix"]).args([path("data"), passwords]));
        done(as_root("chown").arg(owner.to_string()).arg(path("mail")));
        // Makes the queue's folders, and looks whether all is sound.
        done(as_root("/usr/sbin/postfix").arg("-c").arg(path("etc")).arg("check"));

        let log = std::fs::File::create(path("master.log")).unwrap();
        let master = as_root("/usr/lib/postfix/sbin/master")
            .args(["-d", "-e", LIFE, "-c"])
            .arg(path("etc"))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut postfix = Postfix { folder, master, submission, submissions, open, trust };
        postfix.wait_until_it_answers();
        postfix
    }

    fn wait_until_it_answers(&mut self) {
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.open)).is_err() {
            let ended = self.master.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "Postfix does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What lies in a mailbox, oldest first.
    pub fn mails(&self, address: &str) -> Vec<Vec<u8>> {
        let Ok(entries) = std::fs::read_dir(self.maildir(address).join("new")) else {
            return vec![];
        };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    /// Waits until a mailbox holds so many mails; these.
    #[track_caller]
    pub fn wait_for(&self, address: &str, mails: usize) -> Vec<Vec<u8>> {
        let began = Instant::now();
        loop {
            let found = self.mails(address);
            if found.len() >= mails {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "{address} has {} of {mails} mails: {}", found.len(), self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The folder of a mailbox: a Maildir, once it has got a mail.
    pub fn maildir(&self, address: &str) -> PathBuf {
        self.folder.path().join("mail").join(address)
    }

    /// Waits until nothing is under way any more: each mail lies in a mailbox, or was returned and that lies in one.
    #[track_caller]
    pub fn wait_until_idle(&self) {
        let began = Instant::now();
        let queue = self.folder.path().join("queue");
        let folders = ["maildrop", "incoming", "active", "deferred", "hold"].map(|name| queue.join(name));
        loop {
            let found = as_root("find").args(&folders).args(["-type", "f"]).output().unwrap();
            if found.stdout.is_empty() {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "still in the queue: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What Postfix has written down.
    pub fn log(&self) -> String {
        let read = |name: &str| {
            let read = as_root("cat").arg(self.folder.path().join(name)).output().unwrap();
            String::from_utf8_lossy(&read.stdout).into_owned()
        };
        [read("master.log"), read("data/log")].concat()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // It is the leader of its group: all that it started ends with it.
        let group = format!("-{}", self.master.id());
        for signal in ["-TERM", "-KILL"] {
            let _ = as_root("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
            let began = Instant::now();
            while matches!(self.master.try_wait(), Ok(None)) && began.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = self.master.wait();
        // Much of it belongs to others.
        let _ = as_root("rm").arg("-rf").arg(self.folder.path()).status();
    }
}

fn main_cf(folder: &Path, setup: &Setup<'_>, owner: u32) -> String {
    let folder = folder.display();
    let domains: BTreeSet<&str> = setup.mailboxes.iter().filter_map(|a| a.rsplit_once('@')).map(|(_, d)| d).collect();
    let domains = domains.into_iter().collect::<Vec<_>>().join(" ");
    let refuse = if setup.returns { "no" } else { "yes" };
    let more = setup.more;
    format!(
        "compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/data/log
maillog_file_prefixes = {folder}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = localhost
mydomain = localhost
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
biff = no
alias_maps =
alias_database =
local_transport = error:5.1.2 there is nobody here
default_transport = error:5.4.4 nothing leaves this machine
relay_transport = error:5.4.4 nothing leaves this machine
virtual_transport = virtual
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = texthash:{folder}/etc/mailboxes
virtual_mailbox_base = {folder}/mail
virtual_uid_maps = static:{owner}
virtual_gid_maps = static:{owner}
virtual_minimum_uid = 1
smtputf8_enable = yes
smtpd_reject_unlisted_recipient = {refuse}
smtpd_client_connection_count_limit = 0
smtpd_tls_cert_file = {folder}/tls/cert.pem
smtpd_tls_key_file = {folder}/tls/key.pem
smtpd_tls_auth_only = yes
smtpd_tls_received_header = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = localhost
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
bounce_queue_lifetime = 1h
{more}
"
    )
}

fn master_cf(submission: u16, submissions: u16, open: u16) -> String {
    let login = "-o smtpd_sasl_auth_enable=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject";
    format!(
        "127.0.0.1:{submission} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt {login}
127.0.0.1:{submissions} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_tls_security_level=encrypt {login}
127.0.0.1:{open} inet n - n - - smtpd -o smtpd_tls_security_level=none
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"
    )
}

/// Each mailbox is a Maildir (it ends in a slash) named like the address.
fn mailboxes(setup: &Setup<'_>) -> String {
    setup.mailboxes.iter().flat_map(|address| [address, " ", address, "/\n"]).collect()
}

fn add_user(passwords: &Path, (user, password): (&str, &str)) {
    use std::io::Write;
    let mut child = Command::new("/usr/sbin/saslpasswd2")
        .args(["-p", "-c", "-u", "localhost", "-f"])
        .arg(passwords)
        .arg(user)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "saslpasswd2 failed");
}

/// A command with root's rights.
pub fn as_root(program: &str) -> Command {
    let me = std::fs::metadata("/proc/self").unwrap().uid();
    if me == 0 {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

#[track_caller]
pub fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; Postfix must be started by root, or by somebody with sudo and no password")
    });
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [_; N] = std::array::from_fn(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
