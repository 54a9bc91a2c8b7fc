//! Secrets at rest: what lies in a bucket holds none, every platform that has the secret opens what another sealed, and
//! without the secret a device is told to come again, never given a file without its password.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/bucket.rs"]
#[expect(dead_code, reason = "the service does more than this suite needs")]
mod bucket;
#[path = "support/secret.rs"]
#[expect(dead_code, reason = "the secret alone is needed, and one kind of key")]
mod secret;
#[path = "support/secrets.rs"]
mod secrets;
#[path = "support/shelf.rs"]
mod shelf;

use std::path::Path;

use handset::access::Uncounted;
use handset::client::Client;
use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::fleet::entries;
use handset::fleet::entries::Content;
use handset::fleet::entries::Entry;
use handset::fleet::entries::Place;
use handset::respond::Payload;
use handset::respond::Request;
use handset::respond::respond;
use handset::seal::aes::at_once;
use handset::secret::DeploymentSecrets;
use handset::store::Records;
use handset::store::keyed;
use handset::store::keyed::Condition;
use handset::store::keyed::Kept;
use handset::store::keyed::Objects;
use http::HeaderMap;
use http::Method;

use bucket::Service;
use bucket::block_on;
use secrets::passwords;
use shelf::Shelf;

const OTHER: &str = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";
const PHONE: &str = "/hq/0004f2000500-device.cfg";

fn compiled(fixture: &str) -> Fleet {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.join("fixtures").join(fixture);
    fleet::compile(&directory, &mut Hashes::default()).unwrap()
}

fn entries_of(fixture: &str) -> Vec<Entry> {
    entries::of(&compiled(fixture).snapshot)
}

fn sealed(fixture: &str, secrets: &DeploymentSecrets) -> Vec<Entry> {
    let sealed = entries::sealed(entries_of(fixture), secrets);
    at_once(sealed).unwrap().unwrap()
}

fn read(text: &str) -> DeploymentSecrets {
    DeploymentSecrets::parse(text).unwrap()
}

/// Status, body and reason of what a phone gets.
fn ask(shelf: &Shelf, secrets: Option<&DeploymentSecrets>, target: &str) -> (u16, String, String) {
    let kept = Kept::default();
    let store = shelf.store(&kept, secrets);
    let request = Request {
        method: &Method::GET,
        target,
        host: None,
        headers: &HeaderMap::new(),
        now: 1_700_000_000_000,
        id: 7,
        fallback_site: None,
        client: Client::default(),
        secrets,
        replays: &Uncounted,
        operator: true,
    };
    let response = at_once(respond(&store, request, Vec::new())).unwrap();
    let body = match response.body {
        Payload::Bytes(bytes) => bytes,
        Payload::Stored(parts) => parts.concat(),
    };
    let body = String::from_utf8_lossy(&body).into_owned();
    (response.status.as_u16(), body, response.explanation.reason)
}

#[test]
fn nothing_that_devices_have_lies_in_a_bucket_in_the_clear() {
    for (fixture, least) in [("office", 13), ("lync", 1)] {
        let service = Service::start();
        let bucket = service.filled("", &compiled(fixture).snapshot).bucket;
        let passwords = passwords(fixture);
        assert!(passwords.len() >= least, "only {}", passwords.len());
        let keys = block_on(bucket.list("")).unwrap();
        let records: Vec<&String> = keys
            .iter()
            .filter(|key| key.starts_with("device/"))
            .collect();
        assert!(records.len() >= 2, "{keys:?}");
        for key in &records {
            let read = block_on(Objects::read(&bucket, key)).unwrap();
            let text = String::from_utf8(read.unwrap().0).unwrap();
            assert!(text.contains(r#""sealed":"sealed:1:"#), "{text}");
            for password in &passwords {
                assert!(!text.contains(password), "{key} holds {password}");
            }
        }
    }
}

/// The tenant's passwords are settings of many phones: they lie in the release, which no phone and nobody without the
/// store's own key reads. docs/secrets.md says so; this says that it is all there is.
#[test]
fn what_lies_in_the_clear_is_what_the_page_says() {
    let service = Service::start();
    let bucket = service.filled("", &compiled("office").snapshot).bucket;
    for key in block_on(bucket.list("")).unwrap() {
        let read = block_on(Objects::read(&bucket, &key)).unwrap();
        let text = String::from_utf8_lossy(&read.unwrap().0).into_owned();
        let held: Vec<String> = passwords("office")
            .into_iter()
            .filter(|password| text.contains(password))
            .collect();
        match key.starts_with("release/") {
            true => assert_eq!(held, ["acme-admin-7391", "acme-user-2846"]),
            false => assert_eq!(held, [""; 0], "{key}"),
        }
    }
}

#[test]
fn a_box_opens_with_its_secret_alone_and_else_the_phone_comes_again() {
    let secrets = read(secret::SECRET);
    let clear = Shelf::of(entries_of("office"));
    let sealed = Shelf::of(sealed("office", &secrets));
    let (status, expected, _) = ask(&clear, Some(&secrets), PHONE);
    assert!(
        status == 200 && expected.contains("auth.password"),
        "{expected}"
    );
    let both = read(&format!("{OTHER} {}", secret::SECRET));
    for secrets in [&secrets, &both] {
        let (status, body, _) = ask(&sealed, Some(secrets), PHONE);
        // The address in the file has a key, which the first secret makes.
        let same = body == expected || secrets.tags(&[b"x"]).len() == 2;
        assert!(status == 200 && same, "{body}");
        assert!(
            body.contains("secret &quot;one&quot; &lt;&amp;&gt;"),
            "{body}"
        );
    }
    for without in [None, Some(&read(OTHER))] {
        let (status, body, reason) = ask(&sealed, without, PHONE);
        assert_eq!((status, body.as_str()), (503, "service unavailable\n"));
        assert!(reason.contains("does not open"), "{reason}");
        assert!(reason.contains("device/hq/0004f2000500"), "{reason}");
        // What is not for it alone needs none of it.
        let (status, ..) = ask(&sealed, without, "/hq/000000000000.cfg");
        assert_eq!(status, 200);
    }
}

#[test]
fn a_box_that_was_moved_or_damaged_is_503_and_says_nothing() {
    let secrets = read(secret::SECRET);
    let record_of = |entries: &[Entry], mac: &str| {
        let key = format!("device/hq/{mac}");
        let found = entries.iter().find(|entry| entry.key == key).unwrap();
        match &found.content {
            Content::Record(json) => json.clone(),
            Content::File(path) => panic!("{}", path.display()),
        }
    };
    let entries = sealed("office", &secrets);
    let own = record_of(&entries, "0004f2000500");
    let other = record_of(&entries, "64167f000450");
    let at = own.find("sealed:1:").unwrap() + "sealed:1:01234567:".len() + 40;
    let mut flipped = own.clone();
    let digit = if &own[at..=at] == "A" { "B" } else { "A" };
    flipped.replace_range(at..=at, digit);
    let cut = own.replace("sealed:1:", "sealed:1");
    let moved = other.replace("VVX 450", "VVX 500");
    for (what, json) in [("flipped", flipped), ("cut", cut), ("moved", moved)] {
        let mut entries = entries.clone();
        let place = |entry: &&mut Entry| entry.key == "device/hq/0004f2000500";
        entries.iter_mut().find(place).unwrap().content = Content::Record(json);
        let (status, body, reason) = ask(&Shelf::of(entries), Some(&secrets), PHONE);
        assert_eq!(status, 503, "{what}: {body}");
        for password in passwords("office") {
            assert!(!reason.contains(&password), "{reason}");
        }
    }
}

#[test]
fn a_record_in_the_clear_is_sealed_by_the_first_write_and_anew_after_a_rotation() {
    let old = read(secret::SECRET);
    let both = read(&format!("{OTHER} {}", secret::SECRET));
    let new = read(OTHER);
    let shelf = Shelf::of(entries_of("office"));
    let mac = "0004f2000500".parse().unwrap();
    let write = |secrets: Option<&DeploymentSecrets>| {
        let kept = Kept::default();
        let store = shelf.store(&kept, secrets);
        let (record, revision) = at_once(store.device("hq", mac)).unwrap().unwrap().unwrap();
        let written = at_once(store.update_device("hq", mac, &revision, &record));
        assert!(written.unwrap().unwrap());
        let read = at_once(Objects::read(&shelf, "device/hq/0004f2000500"));
        String::from_utf8(read.unwrap().unwrap().unwrap().0).unwrap()
    };
    assert!(
        write(None).contains("one"),
        "without a secret it stays in the clear"
    );
    let first = write(Some(&old));
    assert!(
        first.contains("sealed:1:") && !first.contains("\\\"one"),
        "{first}"
    );
    assert_eq!(write(Some(&old)), first, "no other box without need");
    assert_eq!(ask(&shelf, Some(&old), PHONE).0, 200);
    let second = write(Some(&both));
    assert_ne!(first, second);
    assert_eq!(ask(&shelf, Some(&new), PHONE).0, 200);
    assert_eq!(ask(&shelf, Some(&old), PHONE).0, 503);
    assert_eq!(write(Some(&old)), second, "what does not open is not lost");
}

/// A device's record costs what it cost; so does what is for all.
#[test]
fn entries_that_are_no_devices_are_left_alone() {
    let secrets = read(secret::SECRET);
    let (clear, sealed) = (entries_of("office"), sealed("office", &secrets));
    for clear in clear {
        let sealed = sealed.iter().find(|entry| entry.key == clear.key).unwrap();
        assert_eq!(
            *sealed == clear,
            clear.place != Place::Devices,
            "{}",
            clear.key
        );
    }
}

#[test]
fn what_is_published_again_is_not_written_again() {
    let service = Service::start();
    let snapshot = compiled("office").snapshot;
    let bucket = service.filled("", &snapshot).bucket;
    let key = keyed::device_key("hq", "0004f2000500".parse().unwrap());
    let revision = || block_on(Objects::read(&bucket, &key)).unwrap().unwrap().1;
    let before = revision();
    service.filled("", &snapshot);
    let bucket = &bucket;
    let written = Objects::write(&bucket, &key, b"{}".to_vec(), Condition::At(&before));
    assert!(block_on(written).unwrap(), "it was written meanwhile");
}
