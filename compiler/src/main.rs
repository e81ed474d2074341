//! The `hecc` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    hecc::cli::main()
}
