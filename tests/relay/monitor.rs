//! What a relay tells of itself.

use std::process::Command;

use crate::branch::block_on;
use crate::programs::Program;
use crate::site::Site;

fn status(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_handset-relay"))
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn transfers_are_told() {
    let (site, state) = (Site::start(), tempfile::tempdir().unwrap());
    site.put("a.cfg", "no-cache", b"0123456789");
    let more = [
        "--identity",
        "any",
        "--state",
        state.path().to_str().unwrap(),
        "--metrics",
        "127.0.0.1:0",
    ];
    let (relay, client) = Program::relay(&site.base(), &more);
    let url = relay.addresses[1].as_str();
    block_on(client.read(b"a.cfg")).unwrap();
    block_on(client.read(b"none.cfg")).unwrap_err();
    // A transfer is counted once it has ended at both ends, of which the client sees one.
    let told = |line: &str| {
        let page = ureq::get(url).call().unwrap().into_body();
        page.into_with_config()
            .read_to_string()
            .unwrap()
            .contains(line)
    };
    let completed = "\nhandset_relay_transfers_total{protocol=\"tftp\",result=\"completed\"} 1\n";
    let missing = "\nhandset_relay_transfers_total{protocol=\"tftp\",result=\"missing\"} 1\n";
    block_on(crate::branch::until(|| told(completed) && told(missing)));
    for line in [
        "\nhandset_relay_bytes_total{protocol=\"tftp\"} 10\n",
        "\nhandset_relay_cache_misses_total 1\n",
        "\nhandset_relay_upstream_reached 1\n",
        "\nhandset_relay_tftp_drops_total 0\n",
    ] {
        assert!(told(line), "{line}");
    }
    let health = url.replace("/metrics", "/health");
    let answer = ureq::get(health).call().unwrap().into_body();
    assert_eq!(answer.into_with_config().read_to_string().unwrap(), "ok\n");
    let (ended, text) = status(&["status", "--metrics", url]);
    assert!(
        ended == Some(0)
            && text.contains("tftp       1 completed, 1 missing,")
            && text.contains("server     reached for ")
            && text.contains("asked      0 phones "),
        "{text}"
    );
    let (ended, text) = status(&["status"]);
    assert!(
        ended == Some(2) && text.contains("give --metrics"),
        "{text}"
    );
}

#[test]
fn it_is_told_on_this_machine_only() {
    let (ended, text) = status(&["--upstream", "https://a.example/", "--metrics", "0.0.0.0:0"]);
    assert!(
        ended == Some(2) && text.contains("give an address of this machine alone"),
        "{text}"
    );
}

/// Each kind of trouble has its name, and `status` tells the last.
#[test]
fn what_is_wrong_with_the_server_is_told() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}/", gone.local_addr().unwrap());
    drop(gone);
    let closing = Site::start();
    closing.set_away(true);
    // Speaks no TLS.
    let plain = closing.base().replace("http:", "https:");
    for (upstream, kind) in [
        (nobody, "refused"),
        (closing.base(), "closed"),
        (plain, "closed"),
        ("https://no-such-host.invalid/".to_owned(), "name"),
    ] {
        let more = ["--identity", "any", "--metrics", "127.0.0.1:0"];
        let (relay, client) = Program::relay(&upstream, &more);
        let url = relay.addresses[1].as_str();
        let (_, text) = status(&["status", "--metrics", url]);
        assert!(text.contains("server     not asked yet\n"), "{text}");
        block_on(client.read(b"a.cfg")).unwrap_err();
        let (_, text) = status(&["status", "--metrics", url]);
        assert!(
            text.contains("server     not reached for ")
                && text.contains(&format!("; last error: {kind}, ")),
            "{upstream}: {text}"
        );
        let page = ureq::get(url).call().unwrap().into_body();
        let page = page.into_with_config().read_to_string().unwrap();
        let line = format!("\nhandset_relay_upstream_errors_total{{kind=\"{kind}\"}} 1\n");
        assert!(page.contains(&line), "{upstream}: {page}");
    }
}
