//! Examines the installation that this process's environment describes, and prints the report. The exit status is 0
//! when all is well, 1 when there are warnings, and 2 when something is wrong.

use std::process::ExitCode;

use posada::doctor::{Diagnosis, Severity};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let diagnosis = Diagnosis::from_env().await;
    println!("{diagnosis}");
    ExitCode::from(match diagnosis.severity() {
        Severity::Ok => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
    })
}
