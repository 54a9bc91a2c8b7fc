//! The subcommands `completions` and `man` of both programs: made from the same definitions as the help.

use std::fs;
use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::Command;
use clap_complete::Shell;

/// Prints a script that completes commands and options in a shell
///
/// Exit codes: 0 printed, 2 could not run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes manual pages, one a command
///
/// Exit codes: 0 written, 2 could not run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Man {
    /// The directory that they are written into
    directory: PathBuf,
}

pub(crate) fn completions(
    options: &Completions,
    mut command: Command,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(options.shell, &mut command, name, &mut script);
    out.write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man(options: &Man, command: Command, out: &mut impl Write) -> io::Result<ExitCode> {
    fs::create_dir_all(&options.directory)?;
    clap_mangen::generate_to(command, &options.directory)?;
    writeln!(out, "wrote {}", options.directory.display())?;
    Ok(ExitCode::SUCCESS)
}
