//! What is refused, what is shown, and what is written down of it.

use crate::faulty::Fault;
use crate::faulty::Faulty;
use crate::process::POLYCOM;
use crate::process::Process;
use crate::process::UPLOADED;
use crate::process::advance;
use crate::process::first;
use crate::process::gets;
use crate::process::site;
use crate::process::version;
use crate::pushing::Api;
use crate::pushing::DEVICES;
use crate::pushing::Heard;
use crate::pushing::Pusher;
use crate::pushing::SITE;

/// What is sent is held to what is there, and what is wrong with it is said.
#[test]
fn what_cannot_be_is_refused() {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    let two = version(2);
    let mut pusher = Pusher::new(&two);
    advance(&mut pusher, &process, 3).unwrap();
    let (_, etag) = site(&process);
    let path = format!("sites/{SITE}/publications/{}", pusher.number());
    let publish = serde_json::json!({"record": two.record}).to_string();
    let other = two.record.release.to_string();
    let missing = publish.replace(&other, &"0".repeat(32));
    let batch = format!("{path}/devices/0/batch");
    let hash = "0".repeat(64);
    let list = format!(r#"{{"{}": "{hash}"}}"#, DEVICES[0].0);
    let shard = handset::publish::shard_of(DEVICES[0].0.parse().unwrap());
    let foreign = if shard == "0" { "1" } else { "0" };
    let none: &[(&str, &str)] = &[];
    let matching: &[(&str, &str)] = &[("If-Match", &etag)];
    type Row<'r> = (&'r str, String, &'r [(&'r str, &'r str)], &'r str, u16);
    let rows: &[Row<'_>] = &[
        ("PUT", path.clone(), none, &publish, 428),
        ("PUT", path.clone(), &[("If-Match", "\"x\"")], &publish, 412),
        (
            "PUT",
            path.clone(),
            &[("If-None-Match", "*")],
            &publish,
            412,
        ),
        ("PUT", path.clone(), matching, &publish, 409),
        ("PUT", path.clone(), matching, &missing, 409),
        ("PUT", path.clone(), matching, "{", 400),
        ("PUT", path.clone(), matching, "{}", 422),
        (
            "PUT",
            format!("sites/{SITE}/publications/77"),
            matching,
            &publish,
            409,
        ),
        (
            "DELETE",
            format!("sites/{SITE}/publications/77"),
            none,
            "",
            409,
        ),
        (
            "POST",
            format!("sites/{SITE}/publications"),
            none,
            "{}",
            409,
        ),
        (
            "POST",
            format!("sites/{SITE}/publications"),
            none,
            r#"{"resume": 77}"#,
            409,
        ),
        ("POST", format!("{path}/publish"), matching, "", 409),
        ("PUT", format!("{path}/devices/{foreign}"), none, &list, 422),
        (
            "PUT",
            format!("{path}/devices/{shard}"),
            none,
            r#"{"0004F2000001": "x"}"#,
            422,
        ),
        ("PUT", batch.clone(), none, "{}", 409),
        ("PUT", format!("blobs/{hash}"), none, "not these", 422),
        (
            "PUT",
            format!("releases/{}", "0".repeat(32)),
            none,
            "{}",
            422,
        ),
        (
            "PUT",
            "deployment".to_owned(),
            none,
            r#"{"hosts": {}, "sites": {}}"#,
            428,
        ),
        (
            "PUT",
            "deployment".to_owned(),
            none,
            r#"{"hosts": {}, "sites": {"-": "open"}}"#,
            422,
        ),
        (
            "PUT",
            "deployment".to_owned(),
            none,
            r#"{"hosts": {"a": "b"}, "sites": {}}"#,
            422,
        ),
        ("POST", format!("sites/{SITE}/rollback"), none, "", 428),
        ("POST", format!("sites/{SITE}/rollback"), matching, "", 409),
        (
            "GET",
            format!("sites/{SITE}/publications/77"),
            none,
            "",
            404,
        ),
        ("GET", "sites/nowhere".to_owned(), none, "", 404),
    ];
    for (method, path, more, body, status) in rows {
        let heard = process.call(method, path, more, body.as_bytes());
        assert_eq!(heard.status, *status, "{method} {path} {body}: {heard:?}");
        assert_eq!(heard.json()["status"], *status, "{method} {path}");
        assert!(
            heard.json()["detail"]
                .as_str()
                .is_some_and(|it| it.len() > 10),
            "{method} {path}"
        );
    }
    gets(&Process::new(&store), 1, "after all that");
    // And a device whose settings are not those of the list.
    let lists: Result<(), Heard> = pusher.push(&process);
    lists.unwrap();
    gets(&Process::new(&store), 2, "after that");
}

/// No endpoint shows a secret: not of a device, a site, a tenant; not a password.
#[test]
fn what_is_shown_holds_no_secret() {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    let one = version(1);
    let mac = DEVICES[0].0;
    let release = format!("releases/{}", one.record.release);
    let devices =
        serde_json::json!({mac: {"model": "VVX 400", "settings": {"admin_password": "guess"}}});
    let record = serde_json::json!(one.record);
    let rows: Vec<(&str, String, String)> = vec![
        ("GET", "deployment".to_owned(), String::new()),
        ("GET", "sites".to_owned(), String::new()),
        ("GET", format!("sites/{SITE}"), String::new()),
        ("GET", format!("sites/{SITE}/publications"), String::new()),
        ("GET", format!("sites/{SITE}/publications/1"), String::new()),
        ("GET", format!("sites/{SITE}/devices"), String::new()),
        ("GET", format!("sites/{SITE}/devices/{mac}"), String::new()),
        (
            "GET",
            format!("sites/{SITE}/devices/{mac}/uploads"),
            String::new(),
        ),
        ("GET", release.clone(), String::new()),
        ("GET", "audit".to_owned(), String::new()),
        (
            "POST",
            format!("sites/{SITE}/devices/compare"),
            devices.to_string(),
        ),
        ("POST", format!("sites/{SITE}/compare"), record.to_string()),
    ];
    for (method, path, body) in rows {
        let heard = process.call(method, &path, &[], body.as_bytes());
        assert_eq!(heard.status, 200, "{method} {path}: {heard:?}");
        let text = String::from_utf8(heard.body).unwrap();
        for secret in ["pass-", "site-secret", "tenant-secret", "guess"] {
            assert!(!text.contains(secret), "{method} {path}: {text}");
        }
    }
    let own = process.call("GET", &format!("sites/{SITE}/devices/{mac}"), &[], b"");
    assert_eq!(own.json()["settings"]["admin_password"], "(secret)");
    assert_eq!(own.json()["settings"]["outbound_proxy"], "v1");
    let compared = process.call(
        "POST",
        &format!("sites/{SITE}/devices/compare"),
        &[],
        devices.to_string().as_bytes(),
    );
    assert_eq!(
        compared.json()[mac]["settings"]["admin_password"],
        "(other secret)"
    );
    let whole = process.call("GET", &release, &[], b"");
    assert_eq!(
        whole.json()["tenant"]["settings"]["user_password"],
        "(secret)"
    );
}

/// Uploads are read to the byte and taken away.
#[test]
fn uploads_are_read_and_taken_away() {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    let uploads = format!("sites/{SITE}/devices/{}/uploads", DEVICES[0].0);
    let listed = process.call("GET", &uploads, &[], b"");
    assert_eq!(listed.json()["uploads"][0]["name"], UPLOADED);
    assert_eq!(listed.json()["uploads"][0]["length"], 3);
    let version = listed.json()["uploads"][0]["version"]
        .as_str()
        .unwrap()
        .to_owned();
    let one = format!("{uploads}/{UPLOADED}");
    let read = process.call("GET", &one, &[], b"");
    assert_eq!(
        (read.status, read.body.as_slice()),
        (200, b"log".as_slice())
    );
    let part = process.call("GET", &one, &[("Range", "bytes=1-")], b"");
    assert_eq!((part.status, part.body.as_slice()), (206, b"og".as_slice()));
    assert_eq!(
        process
            .call("GET", &format!("{one}?version=x"), &[], b"")
            .status,
        404
    );
    assert_eq!(
        process
            .call("DELETE", &format!("{one}?version=x"), &[], b"")
            .status,
        404
    );
    let gone = process.call("DELETE", &format!("{one}?version={version}"), &[], b"");
    assert_eq!(gone.status, 200);
    assert_eq!(process.call("GET", &one, &[], b"").status, 404);
    assert_eq!(process.phone(UPLOADED, POLYCOM).0, 404);
}

/// Every request that may change something has its line, with what came of it.
#[test]
fn the_audit_has_a_line_of_every_change() {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    let mut after = String::new();
    let mut entries = Vec::new();
    loop {
        let page = process
            .call("GET", &format!("audit?after={after}"), &[], b"")
            .json();
        entries.extend(page["entries"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    let lines = |method: &str, path: &str| {
        let same = |entry: &&serde_json::Value| entry["method"] == method && entry["path"] == path;
        entries.iter().filter(same).count()
    };
    assert_eq!(lines("POST", "sites/hq/publications"), 1);
    assert_eq!(lines("PUT", "sites/hq/publications/1"), 1);
    assert_eq!(lines("PUT", "sites/hq/publications/1/devices/0"), 1);
    assert_eq!(lines("PUT", "deployment"), 1);
    assert!(entries.iter().all(|entry| entry["method"] != "GET"));
}
