//! Whole boots of the fixtures' phones, against whatever serves them.
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "secret.rs"]
pub(crate) mod secret;

use std::net::SocketAddr;

use handset::boot;
use handset::boot::Arguments;
use serde_json::Value;

use secret::with_keys;

/// Boots a phone; gives whether it runs as configured, and its report.
pub(crate) fn boot_phone(arguments: &Arguments) -> (bool, Value) {
    let mut out = Vec::new();
    let arguments = Arguments {
        json: true,
        ..arguments.clone()
    };
    let good = boot::run(&arguments, &mut out).unwrap();
    (good, serde_json::from_slice(&out).unwrap())
}

pub(crate) fn phone(model: &str, mac: &str, url: String) -> Arguments {
    Arguments {
        url: Some(url),
        model: model.to_owned(),
        mac: mac.to_owned(),
        ..Arguments::default()
    }
}

/// Seed 004: both phones of the article, from the factory to rest.
pub(crate) fn the_article(server: SocketAddr) {
    for (model, mac, shared) in [
        ("VVX 400", "0004f28062d6", (5, 0)),
        ("SoundPoint IP 331", "0004f2a6af1b", (4, 1)),
    ] {
        let (good, report) = boot_phone(&phone(model, mac, format!("http://{server}/lync/")));
        assert!(good, "{report:#}");
        assert_eq!(
            (report["firmware"].as_str(), report["reboots"].as_u64()),
            (Some("4.1.4.7430"), Some(1))
        );
        let files = &report["files"];
        assert_eq!(
            (&files[0]["parameters"], &files[0]["errors"]),
            (&shared.0.into(), &shared.1.into()),
            "{files:#}"
        );
        assert_eq!(
            (&files[1]["file"], &files[1]["parameters"]),
            (&format!("{mac}-lync.cfg").into(), &5.into()),
            "{files:#}"
        );
    }
}

/// The office's phones: model, hardware address, site, and the firmware that they end with.
pub(crate) const OFFICE: &[(&str, &str, &str, &str)] = &[
    ("VVX 500", "0004f2000500", "hq", "5.9.7"),
    ("VVX 450", "64167f000450", "hq", "5.9.5"),
    ("SoundPoint IP 331", "0004f2000331", "hq", "4.0.15"),
    ("420HD", "00908f000420", "hq", "2.2.8.61"),
    ("440HD", "00908f000440", "hq", "2.2.8.61"),
    ("KX-UT136", "0080f0000136", "hq", "01.133"),
    ("KX-UTG200", "0080f0000200", "hq", "03.131"),
    ("KX-UT113", "0080f0000113", "branch", "01.133"),
    ("420HD", "00908f000421", "branch", "2.2.12"),
    ("VVX 500", "0004f2000501", "branch", "5.9.5"),
];

/// Every simulated model that the office has comes up.
pub(crate) fn the_office(server: SocketAddr) {
    for (model, mac, site, firmware) in OFFICE {
        let url = with_keys(&format!("http://prov.example.net/{site}/~{mac}/"));
        let mut arguments = phone(model, mac, url);
        arguments.resolve = vec![format!("prov.example.net={}", server)];
        let (good, report) = boot_phone(&arguments);
        assert!(good, "{model} {mac}: {report:#}");
        assert_eq!(report["firmware"], *firmware, "{model} {mac}");
        assert!(
            !report.to_string().contains("s3cret"),
            "{model}: a password is printed"
        );
    }
}
