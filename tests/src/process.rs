//! One server as a child process that cannot outlive the tests.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// How long a server may take to start or stop. Generous: test machines are busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Ends the server when our end of its standard input closes, which the system does however we die.
/// `$1` is the server's process, `$2` the signal that it ends by, `$3` the scratch folder.
const WATCHER: &str = r#"
cat >/dev/null
kill -s "$2" "$1"; kill -s CONT "$1"
tries=0
while [ -e "/proc/$1/exe" ] && [ $tries -lt 80 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -s KILL -- "-$1"
rm -rf -- "$3"
"#;

/// A folder for a server's files, owned by the user who runs it.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
    runs_as: Option<User>,
}

/// An unprivileged account.
#[derive(Debug, Clone, Copy)]
struct User {
    id: u32,
    group: u32,
}

impl Scratch {
    /// A folder for a server that runs as whoever runs the tests.
    pub(crate) fn new(name: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix(&format!("posada-{name}-"))
            .tempdir()
            .expect("the temporary folder can be written");
        Self {
            folder,
            runs_as: None,
        }
    }

    /// A folder for a server that refuses to run as root: tests of root run it as `postgres` or `nobody`.
    pub(crate) fn unprivileged(name: &str) -> Self {
        let mut scratch = Self::new(name);
        if rustix::process::getuid().is_root() {
            let user = unprivileged_user();
            std::os::unix::fs::chown(scratch.path(), Some(user.id), Some(user.group))
                .expect("root may chown");
            scratch.runs_as = Some(user);
        }
        scratch
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file that the server can read and nobody else.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).expect("the scratch folder can be written");
        if let Some(user) = self.runs_as {
            std::os::unix::fs::chown(&path, Some(user.id), Some(user.group)).expect("root may chown");
        }
        path
    }

    /// A command that runs in the folder, as the folder's owner.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(find_program(program));
        command
            .current_dir(self.path())
            .stdin(Stdio::null())
            .env("LC_ALL", "C.UTF-8");
        if let Some(user) = self.runs_as {
            command.uid(user.id).gid(user.group);
        }
        command
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    watcher: Child,
    log: PathBuf,
    /// The signal by which this server ends at once and cleanly.
    ends_by: Signal,
}

impl Process {
    /// Starts the server; its output goes to `NAME.log` in the scratch folder.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        scratch: &Scratch,
        ends_by: Signal,
    ) -> Self {
        let log = scratch.path().join(format!("{name}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("the log can be written");
        let errors = output.try_clone().expect("the log can be shared");
        // A group of its own: a Ctrl-C at the terminal reaches the tests alone, and they end the servers.
        let child = command
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|failure| panic!("{name} cannot be started: {failure}"));
        let watcher = Command::new("sh")
            .args([
                "-c",
                WATCHER,
                "watcher",
                &child.id().to_string(),
                signal_name(ends_by),
            ])
            .arg(scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh can be started");
        Self {
            name,
            child,
            watcher,
            log,
            ends_by,
        }
    }

    /// Probes until the server answers, and fails with its log if it dies or takes too long.
    pub(crate) fn wait_until_ready(&mut self, mut probe: impl FnMut() -> Result<(), String>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!("{} ended at its start ({status}):\n{}", self.name, self.log());
            }
            match probe() {
                Ok(()) => return,
                Err(reason) if Instant::now() > deadline => {
                    panic!("{} is not ready: {reason}\n{}", self.name, self.log());
                }
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal to the server's first process.
    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("the server can be signalled");
    }

    /// Sends a signal to the server and to every process that it started.
    pub(crate) fn signal_all(&self, signal: Signal) {
        self.signal(signal);
        for pid in descendants(self.pid()) {
            // It may have ended since it was listed.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Stops every process in the middle of whatever it does; peers see silence, not a closed connection.
    pub(crate) fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub(crate) fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    /// Ends the server cleanly and at once, frozen or not.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.end(self.ends_by)
    }

    /// Ends the server as a crash of the machine would.
    pub(crate) fn kill(mut self) {
        let children = descendants(self.pid());
        self.signal_all(Signal::KILL);
        self.end(Signal::KILL);
        wait_until("the crashed server's processes are gone", || {
            children
                .iter()
                .all(|pid| is_gone(*pid))
                .then_some(())
                .ok_or_else(|| "some are left".to_owned())
        });
    }

    fn end(&mut self, signal: Signal) -> ExitStatus {
        // The watcher first: once the child is reaped, its process id may be somebody else's.
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
        if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
            return status;
        }
        self.signal(signal);
        self.thaw();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => return status,
                None if Instant::now() > deadline => {
                    self.signal_all(Signal::KILL);
                    return self.child.wait().expect("a killed child can be waited for");
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(self.ends_by);
    }
}

/// Calls `probe` until it is content, and fails with its last reason after a minute.
pub fn wait_until(what: &str, mut probe: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(reason) = probe() {
        assert!(Instant::now() < deadline, "waited in vain until {what}: {reason}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The program's path: in `PATH`, or where distributions keep servers that are not in it.
pub(crate) fn find_program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.extend(["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"].map(PathBuf::from));
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("`{name}` was not found. The tests need postgresql, pgbouncer and redis-server: `make test` installs them on Debian and Ubuntu")
    })
}

fn unprivileged_user() -> User {
    let accounts = fs::read_to_string("/etc/passwd").expect("the accounts can be read");
    ["postgres", "nobody"]
        .iter()
        .find_map(|wanted| {
            accounts.lines().find_map(|line| {
                let fields: Vec<&str> = line.split(':').collect();
                let [name, _, id, group, ..] = fields.as_slice() else {
                    return None;
                };
                (name == wanted).then(|| {
                    Some(User {
                        id: id.parse().ok()?,
                        group: group.parse().ok()?,
                    })
                })?
            })
        })
        .expect("root needs an account `postgres` or `nobody` to run Postgres with")
}

/// All processes below `parent`. Postgres gives each of its processes a session of its own, so that signalling
/// the group would reach only the first.
fn descendants(parent: Pid) -> Vec<Pid> {
    let mut parents: Vec<(Pid, Pid)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
            .and_then(Pid::from_raw)
        else {
            continue;
        };
        if let Some((_, above)) = stat(pid) {
            parents.push((pid, above));
        }
    }
    let mut found = vec![parent];
    let mut next = 0;
    while next < found.len() {
        let above = found[next];
        found.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == above)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found.remove(0);
    found
}

fn is_gone(pid: Pid) -> bool {
    stat(pid).is_none_or(|(state, _)| state == "Z")
}

/// The state and the parent of a process.
fn stat(pid: Pid) -> Option<(String, Pid)> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let (_, after_name) = text.rsplit_once(") ")?;
    let mut fields = after_name.split(' ');
    Some((
        fields.next()?.to_owned(),
        Pid::from_raw(fields.next()?.parse().ok()?)?,
    ))
}

fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::QUIT => "QUIT",
        _ => "TERM",
    }
}
