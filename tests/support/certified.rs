//! A site whose phones come with certificates that somebody else has verified: what opens a device's file there.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use crate::client::ask;

/// A fleet directory with one phone; `plain` if its files need no TLS.
pub(crate) fn fleet(plain: bool) -> TempDir {
    let fleet = tempfile::tempdir().unwrap();
    let site = format!("access = \"keys\"\nclient_certificates = true\nplain_http = {plain}\n");
    for (name, text) in [
        ("handset.toml", ""),
        ("sites/a.toml", site.as_str()),
        ("devices/a.csv", "mac,site,model\n0004f2000500,a,VVX 500\n"),
    ] {
        let path = fleet.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fleet
}

/// What the phone's own file is to who brings these headers.
pub(crate) fn file(address: SocketAddr, headers: &str) -> u16 {
    ask(address, "GET", "/a/0004f2000500-device.cfg", headers).status
}
