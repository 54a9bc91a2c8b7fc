//! Publishing, stopped at every step: no file mixes publications, nothing is lost, and the next push finishes.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

#[path = "support/faulty.rs"]
mod faulty;
#[path = "support/pushing.rs"]
mod pushing;
#[path = "support/shelf.rs"]
#[expect(dead_code, reason = "other suites fill it")]
mod shelf;

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use handset::access::Uncounted;
use handset::client::Client;
use handset::publish::SiteState;
use handset::respond::Payload;
use handset::respond::Request;
use handset::respond::Response;
use handset::respond::respond;
use handset::seal::aes::Aes;
use handset::secret::DeploymentSecrets;
use handset::site::Access;
use handset::site::Chosen;
use handset::store::keyed::Condition;
use handset::store::keyed::Kept;
use handset::store::keyed::KeyedStore;
use handset::store::keyed::Objects;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::header;

use faulty::Fault;
use faulty::Faulty;
use pushing::Api;
use pushing::DEVICES;
use pushing::Heard;
use pushing::Pusher;
use pushing::SITE;
use pushing::Version;
use pushing::badge;
use pushing::documented;
use pushing::shared;
use shelf::Shelf;

const SECRET: &str = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";

fn secrets() -> DeploymentSecrets {
    DeploymentSecrets::parse(SECRET).unwrap()
}

/// Nothing here waits for anything.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a store in memory never waits"),
    }
}

/// A process: a store, and what it has in memory.
struct Process<'s> {
    store: &'s Faulty<'s>,
    kept: Kept,
    secrets: DeploymentSecrets,
    serial: Cell<u128>,
}

impl<'s> Process<'s> {
    fn new(store: &'s Faulty<'s>) -> Self {
        Self {
            store,
            kept: Kept::default(),
            secrets: secrets(),
            serial: Cell::new(0),
        }
    }

    fn respond(
        &self,
        method: &str,
        target: &str,
        headers: &HeaderMap,
        body: &[u8],
        operator: bool,
    ) -> Response<Vec<u8>> {
        let store = KeyedStore {
            values: self.store,
            objects: self.store,
            cipher: Aes,
            secrets: Some(&self.secrets),
            kept: &self.kept,
            now: NOW,
        };
        let request = Request {
            method: &Method::from_bytes(method.as_bytes()).unwrap(),
            target,
            host: None,
            headers,
            now: NOW,
            id: self.serial.replace(self.serial.get() + 1),
            fallback_site: None,
            client: Client::default(),
            secrets: Some(&self.secrets),
            replays: &Uncounted,
            operator,
        };
        ready(respond(&store, request, body.to_vec()))
    }

    /// A phone's request.
    fn phone(&self, name: &str, agent: &str) -> (u16, String) {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_str(agent).unwrap());
        let response = self.respond("GET", &format!("/{SITE}/{name}"), &headers, b"", false);
        let body = String::from_utf8(collected(response.body)).unwrap();
        (response.status.as_u16(), body.trim().to_owned())
    }
}

const NOW: u64 = 1_700_000_000_000;

fn collected(body: Payload<Vec<u8>>) -> Vec<u8> {
    match body {
        Payload::Bytes(bytes) => bytes,
        Payload::Stored(parts) => parts.concat(),
    }
}

impl Api for Process<'_> {
    fn call(&self, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> Heard {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        for (name, value) in more {
            let name: HeaderName = name.parse().unwrap();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let response = self.respond(method, &format!("/-/v1/{path}"), &headers, body, true);
        let etag = response.headers.get(header::ETAG);
        documented(method, path, response.status.as_u16());
        Heard {
            status: response.status.as_u16(),
            etag: etag.map(|etag| etag.to_str().unwrap().to_owned()),
            body: collected(response.body),
        }
    }
}

fn version(number: u8) -> Version {
    Version::of(number, &Access::Open)
}

const POLYCOM: &str = "FileTransport PolycomVVX-VVX_400-UA/5.9.7.1";

/// Every phone gets this version of all its files, whole. One that the version does not have may be told to come again,
/// if it is in another.
fn gets(process: &Process<'_>, number: u8, when: &str) {
    for (mac, _) in DEVICES {
        let found = process.phone(&format!("{mac}-badge.cfg"), POLYCOM);
        match badge(number, mac) {
            Some(badge) => assert_eq!(found, (200, badge), "{when}: {mac} of version {number}"),
            None => assert!(matches!(found.0, 404 | 503), "{when}: {mac}: {found:?}"),
        }
    }
    assert_eq!(
        process.phone("badge.cfg", POLYCOM),
        (200, shared(number)),
        "{when}"
    );
    let (status, ring) = process.phone("ring.wav", POLYCOM);
    assert_eq!(
        (status, ring),
        (200, format!("RIFF of version {number}")),
        "{when}"
    );
}

/// Which of two versions a new process serves; it must be one of them.
fn served(shelf: &Shelf, versions: [u8; 2], when: &str) -> u8 {
    let store = Faulty::new(shelf, Fault::None);
    let process = Process::new(&store);
    let (_, found) = process.phone("badge.cfg", POLYCOM);
    let number = versions.into_iter().find(|it| shared(*it) == found);
    let number = number.unwrap_or_else(|| panic!("{when}: {found}"));
    gets(&process, number, when);
    number
}

/// A store with version 1, with an upload of its first device.
fn first() -> Shelf {
    let shelf = Shelf::default();
    {
        let store = Faulty::new(&shelf, Fault::None);
        let process = Process::new(&store);
        Pusher::new(&version(1)).push(&process).unwrap();
        let target = format!("/{SITE}/{UPLOADED}");
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(3));
        let stored = process.respond("PUT", &target, &headers, b"log", false);
        assert_eq!(stored.status, 201, "{:?}", stored.explanation);
        gets(&process, 1, "at first");
    }
    shelf
}

const UPLOADED: &str = "0004f2000001-app.log";

fn site(process: &Process<'_>) -> (SiteState, String) {
    let heard = process.call("GET", &format!("sites/{SITE}"), &[], b"");
    assert_eq!(heard.status, 200);
    (
        serde_json::from_slice(&heard.body).unwrap(),
        heard.etag.unwrap(),
    )
}

#[test]
fn a_push_changes_what_phones_get_and_writes_only_what_has_changed() {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    for (number, written) in [(2, 4), (3, 4), (3, 0), (1, 4)] {
        let version = version(number);
        let mut pusher = Pusher::new(&version);
        pusher.push(&process).unwrap();
        assert_eq!(pusher.written, written, "devices of version {number}");
        gets(&process, number, "pushed");
    }
    assert_eq!(site(&process).0.publication, 5);
    assert_eq!(process.phone(UPLOADED, POLYCOM), (200, "log".to_owned()));
}

/// Wherever a push is stopped, phones get one version or the other, whole, and the next push finishes.
#[test]
fn a_push_that_fails_anywhere_leaves_one_version_whole_and_the_next_finishes() {
    let two = version(2);
    let faults: [fn(usize) -> Fault; 3] = [Fault::Fails, Fault::Unheard, Fault::Ends];
    for fault in faults {
        let mut stops = 0;
        for at in 0.. {
            let shelf = first();
            let whole = Faulty::new(&shelf, Fault::None);
            let stale = Process::new(&whole);
            gets(&stale, 1, "before");
            let store = Faulty::new(&shelf, fault(at));
            let when = format!("{:?}", store.fault);
            let pushed = Pusher::new(&two).push(&Process::new(&store));
            if pushed.is_ok() && !store.is_over() {
                break;
            }
            stops += 1;
            let now = served(&shelf, [1, 2], &when);
            if pushed.is_ok() {
                assert_eq!(now, 2, "{when}: it said that it is done");
            }
            // A process that has the site's record in memory still serves what it has, whole.
            gets(&stale, 1, &when);
            let again = Process::new(&whole);
            Pusher::taking_over(&two).push(&again).unwrap();
            gets(&Process::new(&whole), 2, &when);
            assert_eq!(
                again.phone(UPLOADED, POLYCOM),
                (200, "log".to_owned()),
                "{when}"
            );
        }
        // Files, release, lists, batches, history, what holds, copies and lines of the audit.
        assert!(stops > 40, "only {stops} writes");
    }
}

/// The same, going on with the number that was given out.
#[test]
fn a_push_that_was_interrupted_goes_on() {
    let two = version(2);
    for at in 0.. {
        let shelf = first();
        let store = Faulty::new(&shelf, Fault::Ends(at));
        if Pusher::new(&two).push(&Process::new(&store)).is_ok() {
            break;
        }
        let whole = Faulty::new(&shelf, Fault::None);
        let process = Process::new(&whole);
        let mut again = match site(&process).0.staging {
            Some(staging) => Pusher::resuming(&two, staging.number),
            None => Pusher::new(&two),
        };
        again.push(&process).unwrap();
        gets(&Process::new(&whole), 2, &format!("ended at {at}"));
    }
}

/// A push is interrupted, the fleet changes, and the push goes on: what was written of the other state is made right.
#[test]
fn a_push_that_goes_on_with_another_fleet_publishes_that_one() {
    let (two, three) = (version(2), version(3));
    let all = steps(&two);
    for stop in 0..all {
        let shelf = first();
        let store = Faulty::new(&shelf, Fault::None);
        let process = Process::new(&store);
        let mut pusher = Pusher::new(&two);
        for _ in 0..stop {
            pusher.step(&process).unwrap();
        }
        let Some(staging) = site(&process).0.staging else {
            continue;
        };
        Pusher::resuming(&three, staging.number)
            .push(&process)
            .unwrap();
        gets(
            &Process::new(&store),
            3,
            &format!("after {stop} steps of another"),
        );
    }
}

fn steps(version: &Version) -> usize {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    let mut pusher = Pusher::new(version);
    let mut steps = 0;
    while pusher.step(&process).unwrap() {
        steps += 1;
    }
    steps
}

/// Two operators push at once, whatever the order of their steps: one of them wins, and phones get that one's, whole.
#[test]
fn of_two_pushers_one_wins_and_the_other_hears_why() {
    let (two, three) = (version(2), version(3));
    let (first_steps, second_steps) = (steps(&two), steps(&three));
    for stop in 0..=first_steps {
        for second_stop in [0, 3, 4, 9, second_steps / 2, second_steps - 2, second_steps] {
            let when = format!("{stop} steps, then {second_stop} of the other's");
            let shelf = first();
            let store = Faulty::new(&shelf, Fault::None);
            let process = Process::new(&store);
            let mut one = Pusher::new(&two);
            let mut other = Pusher::taking_over(&three);
            let mut heard = advance(&mut one, &process, stop);
            let mut other_heard = advance(&mut other, &process, second_stop);
            served_one(&shelf, &when);
            let (one_was, other_was) = (one.is_published(), other.is_published());
            heard = heard.and_then(|()| one.push(&process));
            served_one(&shelf, &when);
            other_heard = other_heard.and_then(|()| other.push(&process));
            served_one(&shelf, &when);
            for refused in [&heard, &other_heard]
                .into_iter()
                .filter_map(|it| it.as_ref().err())
            {
                assert!(matches!(refused.status, 409 | 412), "{when}: {refused:?}");
                assert!(refused.json()["detail"].is_string(), "{when}");
            }
            assert!(
                heard.is_ok() || other_heard.is_ok(),
                "{when}: {heard:?} {other_heard:?}"
            );
            // The one that was published last.
            let one_is_last = other_heard.is_err() || other_was && !one_was && heard.is_ok();
            let expected = if one_is_last { 2 } else { 3 };
            gets(&Process::new(&store), expected, &when);
        }
    }
}

fn advance(pusher: &mut Pusher<'_>, api: &impl Api, steps: usize) -> Result<(), Heard> {
    for _ in 0..steps {
        pusher.step(api)?;
    }
    Ok(())
}

/// A new process serves some version, whole.
fn served_one(shelf: &Shelf, when: &str) {
    let store = Faulty::new(shelf, Fault::None);
    let process = Process::new(&store);
    let (_, found) = process.phone("badge.cfg", POLYCOM);
    let number = (1..=3).find(|it| shared(*it) == found);
    gets(
        &process,
        number.unwrap_or_else(|| panic!("{when}: {found}")),
        when,
    );
}

#[test]
fn a_rollback_goes_to_what_was_before_and_no_further_than_is_kept() {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    for number in [2, 3] {
        Pusher::new(&version(number)).push(&process).unwrap();
    }
    let stale = Process::new(&store);
    gets(&stale, 3, "before");
    let back = |expected: u16| {
        let (_, etag) = site(&process);
        let path = format!("sites/{SITE}/rollback");
        let heard = process.call("POST", &path, &[("If-Match", &etag)], b"");
        assert_eq!(heard.status, expected, "{heard:?}");
    };
    back(200);
    gets(&Process::new(&store), 2, "rolled back");
    gets(&stale, 3, "in memory");
    // The push of 3 kept what counted for 1, the one before the one that it followed.
    back(200);
    gets(&Process::new(&store), 1, "rolled back twice");
    back(409);
    let two = version(2);
    let mut again = Pusher::new(&two);
    again.push(&process).unwrap();
    gets(&Process::new(&store), 2, "pushed after");
    gets(&stale, 3, "in memory still");
    assert_eq!(site(&process).0.publication, 4, "no number comes twice");
    back(200);
    gets(&Process::new(&store), 1, "and back");
}

#[test]
fn a_rollback_wins_over_a_push_that_is_under_way() {
    let three = version(3);
    for stop in 0..steps(&three) - 1 {
        let shelf = first();
        let store = Faulty::new(&shelf, Fault::None);
        let process = Process::new(&store);
        Pusher::new(&version(2)).push(&process).unwrap();
        let mut pusher = Pusher::new(&three);
        let done = advance(&mut pusher, &process, stop);
        let (state, etag) = site(&process);
        let was_begun = state.staging.is_some();
        let path = format!("sites/{SITE}/rollback");
        let heard = process.call("POST", &path, &[("If-Match", &etag)], b"");
        if state.publication != 2 {
            continue;
        }
        assert_eq!(heard.status, 200, "after {stop}: {heard:?}");
        gets(&Process::new(&store), 1, &format!("after {stop}"));
        let pushed = done.and_then(|()| pusher.push(&process));
        assert_eq!(pushed.is_err(), was_begun, "after {stop}: {pushed:?}");
        let expected = if was_begun { 1 } else { 3 };
        gets(&Process::new(&store), expected, &format!("after {stop}"));
    }
}

/// One that names itself in each of its requests.
fn says_itself(mac: &str) -> String {
    format!("{POLYCOM} (SN:{mac}) Type/Application")
}

#[test]
fn a_canary_is_for_the_chosen_alone_and_whole() {
    let (chosen, other) = (DEVICES[0].0, DEVICES[1].0);
    for promoted in [true, false] {
        let shelf = first();
        let store = Faulty::new(&shelf, Fault::None);
        let process = Process::new(&store);
        let two = version(2);
        let devices = vec![chosen.parse().unwrap()];
        let refused = Pusher::canary(&two, Chosen::Devices(devices.clone())).push(&process);
        let refused = refused.unwrap_err();
        assert_eq!(refused.status, 422, "nobody knows that it says who it is");
        assert_eq!(refused.json()["devices"][0], chosen);
        boots(&process, chosen);
        let mut pusher = Pusher::taking_over(&two).with_canary(Chosen::Devices(devices));
        pusher.push(&process).unwrap();
        let number = pusher.number();
        let new = Process::new(&store);
        let file = |mac: &str| format!("{mac}-badge.cfg");
        let agent = says_itself(chosen);
        assert_eq!(
            new.phone(&file(chosen), &agent),
            (200, badge(2, chosen).unwrap())
        );
        assert_eq!(new.phone("badge.cfg", &agent), (200, shared(2)));
        assert_eq!(new.phone("ring.wav", &agent).1, "RIFF of version 2");
        for agent in [says_itself(other), POLYCOM.to_owned()] {
            assert_eq!(
                new.phone(&file(other), &agent),
                (200, badge(1, other).unwrap())
            );
            assert_eq!(new.phone("badge.cfg", &agent), (200, shared(1)));
        }
        // Without a word of who it is, it gets no file of the canary: not even that with its name.
        assert_eq!(
            new.phone(&file(chosen), POLYCOM),
            (200, badge(1, chosen).unwrap())
        );
        let (state, etag) = site(&process);
        assert_eq!(
            (state.publication, state.canary.unwrap().number),
            (1, number)
        );
        let path = format!("sites/{SITE}/publications/{number}");
        let (method, path) = if promoted {
            ("POST", format!("{path}/publish"))
        } else {
            ("DELETE", path)
        };
        let heard = process.call(method, &path, &[("If-Match", &etag)], b"");
        assert_eq!(heard.status, 200, "{heard:?}");
        gets(&Process::new(&store), if promoted { 2 } else { 1 }, "after");
        assert_eq!(
            new.phone(&file(chosen), &agent),
            (200, badge(2, chosen).unwrap()),
            "in memory"
        );
        Pusher::new(&version(3)).push(&process).unwrap();
        gets(&Process::new(&store), 3, "the next");
    }
}

/// The device's last contact says that it names itself.
fn boots(process: &Process<'_>, mac: &str) {
    let contact = format!(
        r#"{{"at": 1, "file": "{mac}.cfg", "user_agent": "{}"}}"#,
        says_itself(mac)
    );
    let key = format!("contacts/{SITE}/{mac}");
    let written = process
        .store
        .write(&key, contact.into_bytes(), Condition::Always);
    assert!(ready(written).unwrap());
}

#[test]
fn a_percentage_of_devices_grows() {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    let two = version(2);
    let mut pusher = Pusher::canary(&two, Chosen::Percent(0));
    pusher.push(&process).unwrap();
    let path = format!("sites/{SITE}/publications/{}", pusher.number());
    for percent in [0, 40, 100] {
        let (_, etag) = site(&process);
        let wish = serde_json::json!({"record": two.record, "canary": {"percent": percent}});
        let heard = process.call(
            "PUT",
            &path,
            &[("If-Match", &etag)],
            wish.to_string().as_bytes(),
        );
        assert_eq!(heard.status, 200, "{heard:?}");
        let new = Process::new(&store);
        for (mac, _) in DEVICES {
            let taken = Chosen::Percent(percent).takes(SITE, mac.parse().unwrap());
            let number = if taken { 2 } else { 1 };
            assert_eq!(
                new.phone("badge.cfg", &says_itself(mac)),
                (200, shared(number)),
                "{mac}"
            );
        }
    }
}

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

/// A store that was filled by other means has no lists: what is not in the fleet any more is found all the same.
#[test]
fn devices_without_a_list_are_looked_for() {
    let shelf = first();
    for shard in handset::publish::SHARDS {
        ready(shelf.delete(&format!("manifests/{SITE}/1/{shard}"))).unwrap();
    }
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    Pusher::new(&version(2)).push(&process).unwrap();
    gets(&Process::new(&store), 2, "pushed");
}
