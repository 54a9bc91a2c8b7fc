//! The native server's own part in who may have what: failures, proxies, certificates, passwords on the wire.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "the client does more than this suite needs")]
#[path = "support/client.rs"]
mod client;
#[path = "support/deployment.rs"]
mod deployment;
#[expect(dead_code, reason = "another suite reads the log as it was written")]
#[path = "support/guarded.rs"]
mod guarded;

use handset::platform::native::ServeOptions;
use handset::site::Refusal;

use client::ask;
use deployment::VVX;
use guarded::Guarded;

/// `lync:wrong` as Basic has it.
const WRONG_PASSWORD: &str = "Authorization: Basic bHluYzp3cm9uZw==\r\n";
/// A key by its shape.
const WRONG_KEY: &str = "/lync/aaaaaaaaaaaaaaaaaaaaaaaaaaa/shared.cfg";

#[test]
fn who_fails_too_often_hears_429_and_a_good_key_never() {
    let own = format!("/lync/~{VVX}/{VVX}-device.cfg");
    let wrong = WRONG_KEY;
    let rows: &[(u32, &[(&str, &str, u16)])] = &[
        (
            2,
            &[
                (wrong, "", 401),
                ("/lync/~/shared.cfg", "", 200),
                ("/lync/shared.cfg", WRONG_PASSWORD, 401),
                (wrong, "", 429),
                ("/lync/shared.cfg", WRONG_PASSWORD, 429),
                ("/none/aaaaaaaaaaaaaaaaaaaaaaaaaaa/x", "", 429),
                ("/lync/~/shared.cfg", "", 200),
                (&own, "", 200),
                ("/lync/~/missing.cfg", "", 404),
                ("/lync/shared.cfg", "", 401),
            ],
        ),
        (
            1,
            &[
                // A first challenge, a missing file and another's files are no failures.
                ("/lync/shared.cfg", "", 401),
                ("/lync/shared.cfg", "", 401),
                ("/lync/~/missing.cfg", "", 404),
                ("/lync/~/missing.cfg", "", 404),
                ("/lync/~/0004f28062d6-device.cfg", "", 401),
                (wrong, "", 401),
                (wrong, "", 429),
            ],
        ),
        (0, &[(wrong, "", 401), (wrong, "", 401), (wrong, "", 401)]),
    ];
    for (failures, requests) in rows {
        let options = ServeOptions {
            failures: *failures,
            ..ServeOptions::default()
        };
        let guarded = Guarded::new(Refusal::Challenge, options);
        for (target, more, status) in *requests {
            let answer = ask(guarded.at(), "GET", target, more);
            assert_eq!(answer.status, *status, "{failures}: {target} {more}");
            let later = answer.header("retry-after").is_some();
            assert_eq!(later, *status == 429, "{}", answer.head);
        }
        let failed = requests.iter().map(|(target, more, _)| {
            *target == wrong || !more.is_empty() || target.starts_with("/none")
        });
        for (line, failed) in guarded.log().iter().zip(failed) {
            let event = line["event"].as_str();
            assert_eq!(event == Some("refused-credential"), failed, "{line}");
            assert_eq!(line["client"], "127.0.0.1");
        }
    }
}
