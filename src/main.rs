//! The `pressrun` program: runs a command, prints its report, returns its exit code.

use std::process::ExitCode;

/// A fifth of a build's time went into the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pressrun::cli::main()
}
