//! Programs that posada is compared with, each in a process of its own: Python with the packages of
//! `tests/python/requirements.txt`, and crates that the workspace does not depend upon.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

/// A program that answers one line to each line.
#[derive(Debug)]
pub struct Peer {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts `tests/python/<script>` with one argument.
    pub fn python(script: &str, argument: &str) -> Self {
        let script = tests_folder().join("python").join(script);
        Self::start(Command::new(&*INTERPRETER).arg(script).arg(argument))
    }

    /// Builds the crate `tests/<folder>` for speed, and starts it with one argument.
    pub fn cargo(folder: &str, argument: &str) -> Self {
        Self::start(
            Command::new(env!("CARGO"))
                .args(["run", "--quiet", "--release", "--manifest-path"])
                .arg(tests_folder().join(folder).join("Cargo.toml"))
                .arg("--target-dir")
                .arg(build_folder().join("peers"))
                .args(["--", argument]),
        )
    }

    fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|failure| panic!("{command:?} does not start: {failure}"));
        let questions = process.stdin.take().expect("its input is piped");
        let answers = BufReader::new(process.stdout.take().expect("its output is piped"));
        Self {
            process,
            questions,
            answers,
        }
    }

    /// Sends a line and waits for the answering one.
    pub fn ask(&mut self, question: &str) -> String {
        writeln!(self.questions, "{question}").expect("the peer reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the peer answers");
        assert!(!answer.is_empty(), "the peer ended; its own message stands above");
        answer
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An interpreter that has the packages of `tests/python/requirements.txt`, in a virtual environment under the
/// build folder. Made on first use, and anew when the requirements have changed.
static INTERPRETER: LazyLock<PathBuf> = LazyLock::new(|| {
    let environment = build_folder().join("python");
    let interpreter = environment.join("bin/python");
    let requirements = tests_folder().join("python/requirements.txt");
    let installed = environment.join("installed.txt");
    let wanted = fs::read(&requirements).expect("the requirements are readable");
    if fs::read(&installed).is_ok_and(|done| done == wanted) {
        return interpreter;
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&environment));
    run(Command::new(&interpreter)
        .args(["-m", "pip", "install", "--quiet", "-r"])
        .arg(&requirements));
    fs::write(installed, wanted).expect("the build folder is writable");
    interpreter
});

fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{command:?} failed: is Python 3 with venv installed?"
    );
}

fn tests_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `target`, or what stands for it: the tests run from a folder three levels below.
fn build_folder() -> PathBuf {
    let program = std::env::current_exe().expect("a test is a program");
    program
        .ancestors()
        .nth(3)
        .expect("it lies in the build folder")
        .to_owned()
}
