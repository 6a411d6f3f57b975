//! The `pressrun` program: runs a command, prints its report, returns its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    pressrun::cli::main()
}
