//! fail2ban, whose own program tries our filter: the machine's, else Debian's package unpacked under `target/`.
//!
//! Nothing is installed: what is unpacked runs from where it is.

use std::process::Command;
use std::process::Stdio;

use crate::parts::root;
use crate::parts::run;

/// Makes `fail2ban-regex` available to the test.
pub(crate) fn ensure() -> Result<(), String> {
    let place = root().join("target/fail2ban");
    if place.join("unpacked/usr/bin/fail2ban-regex").exists() || is_installed() {
        return Ok(());
    }
    let wrong = |error: std::io::Error| format!("{}: {error}", place.display());
    std::fs::create_dir_all(&place).map_err(wrong)?;
    let script = format!("cd '{}' && {SCRIPT}", place.display());
    let unpacked = run(Command::new("sh").args(["-c", &script]));
    unpacked.map_err(|problem| format!("{problem}\nremedy: apt-get install fail2ban"))
}

fn is_installed() -> bool {
    let mut asked = Command::new("fail2ban-regex");
    asked.arg("--version").stdout(Stdio::null());
    asked.stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

/// The lists of packages may be missing or old; the last step makes it whole at once.
const SCRIPT: &str = "rm -rf *.deb new && \
    (apt-get download fail2ban || (apt-get update && apt-get download fail2ban)) && \
    dpkg-deb -x *.deb new && mv new unpacked";
