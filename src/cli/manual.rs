//! The manual page: one section for each command.

use std::io::{self, Write};

use clap::Command;
use clap_mangen::Man;

pub fn write(mut command: Command, out: &mut dyn Write) -> io::Result<()> {
    command.build();
    let page = Man::new(command.clone());
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    examples(&command, out)?;
    page.render_options_section(out)?;
    page.render_subcommands_section(out)?;
    page.render_version_section(out)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let page = Man::new(subcommand.clone());
        page.render_title(out)?;
        page.render_name_section(out)?;
        page.render_synopsis_section(out)?;
        examples(subcommand, out)?;
        page.render_options_section(out)?;
    }
    Ok(())
}

/// The examples above the flags in `--help`, line by line as they stand there.
fn examples(command: &Command, out: &mut dyn Write) -> io::Result<()> {
    let Some(text) = command.get_before_help() else { return Ok(()) };
    writeln!(out, ".SH EXAMPLES\n.nf")?;
    for line in text.to_string().lines().skip(1) {
        // `\&` keeps a line that begins with a dot from being a request.
        writeln!(out, "\\&{}", line.replace('\\', "\\e").replace('-', "\\-"))?;
    }
    writeln!(out, ".fi")
}
