//! One file a command. The only module that knows the configuration and the stores.

use std::process::ExitCode;

/// Runs the command of this process.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
