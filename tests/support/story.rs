//! The story of a publication, over HTTP with a token, on any platform: pushed, booted, a few devices first, everybody, and
//! back; and who may do so.

use std::net::SocketAddr;

use handset::site::Access;
use handset::site::Chosen;
use handset::token::Scope;
use handset::token::Token;

use crate::client::exchange;
use crate::client::secret::secrets;
use crate::pushing::Api;
use crate::pushing::DEVICES;
use crate::pushing::Heard;
use crate::pushing::Pusher;
use crate::pushing::SITE;
use crate::pushing::Version;
use crate::pushing::badge;
use crate::pushing::documented;
use crate::pushing::shared;
use crate::scene::Scene;

/// An operator, from afar.
pub(crate) struct Remote {
    pub(crate) address: SocketAddr,
    pub(crate) token: Token,
}

impl Remote {
    fn of(scene: &impl Scene, scope: Scope, tenant: Option<&str>) -> Self {
        Self {
            address: scene.address(),
            token: Token {
                scope,
                tenant: tenant.map(str::to_owned),
            },
        }
    }
}

impl Api for Remote {
    fn call(&self, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> Heard {
        let token = self.token.text(&secrets());
        let mut head = format!(
            "{method} /-/v1/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-Proto: https\r\n\
             Content-Length: {}\r\nAuthorization: Bearer {}\r\n",
            body.len(),
            token.expose_text().unwrap()
        );
        for (name, value) in more {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let answer = exchange(self.address, &[head.as_bytes(), body].concat(), method);
        documented(method, path, answer.status);
        Heard {
            status: answer.status,
            etag: answer.header("etag").map(str::to_owned),
            body: answer.body,
        }
    }
}

/// A phone that names itself, or none.
fn phone(scene: &impl Scene, name: &str, mac: Option<&str>) -> (u16, String) {
    let serial = mac.map(|mac| format!(" (SN:{mac}) Type/Application"));
    let request = format!(
        "GET /{SITE}/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         User-Agent: FileTransport PolycomVVX-VVX_400-UA/5.9.7.1{}\r\n\r\n",
        serial.unwrap_or_default()
    );
    let answer = exchange(scene.address(), request.as_bytes(), "GET");
    let body = String::from_utf8_lossy(&answer.body).trim().to_owned();
    (answer.status, body)
}

/// All of them get all of a version.
fn gets(scene: &impl Scene, number: u8) {
    for (mac, _) in DEVICES {
        let found = phone(scene, &format!("{mac}-badge.cfg"), Some(mac));
        match badge(number, mac) {
            Some(badge) => assert_eq!(found, (200, badge), "{mac} of version {number}"),
            None => assert_eq!(found.0, 404, "{mac} of version {number}"),
        }
        assert_eq!(phone(scene, "badge.cfg", Some(mac)), (200, shared(number)));
    }
    let ring = phone(scene, "ring.wav", None);
    assert_eq!(ring, (200, format!("RIFF of version {number}")));
}

/// All of it. The scene is empty before.
pub(crate) fn publish<S: Scene>(scene: &mut S) {
    let [one, two, three] = [1, 2, 3].map(|number| Version::of(number, &Access::Open));
    Pusher::new(&one).push(&writer(scene)).unwrap();
    scene.later();
    gets(scene, 1);
    let upload = upload(scene);
    Pusher::new(&two).push(&writer(scene)).unwrap();
    scene.later();
    gets(scene, 2);
    let mut canary = Pusher::canary(&three, Chosen::Percent(100));
    canary.push(&writer(scene)).unwrap();
    scene.later();
    gets_as_canaries(scene, 3, 2);
    let path = format!("sites/{SITE}/publications/{}", canary.number());
    changed(&writer(scene), "POST", &format!("{path}/publish"));
    scene.later();
    gets(scene, 3);
    changed(&writer(scene), "POST", &format!("sites/{SITE}/rollback"));
    scene.later();
    gets(scene, 2);
    assert_eq!(phone(scene, &upload, None), (200, "a log".to_owned()));
    let operator = writer(scene);
    what_is_there(&operator);
    what_is_sent_is_held_to_its_hash(&operator);
    who_may(scene);
}

/// Whoever may do everything. A scene may have another address later.
fn writer(scene: &impl Scene) -> Remote {
    Remote::of(scene, Scope::Write, None)
}

/// With what is there now as the condition.
fn changed(operator: &Remote, method: &str, path: &str) {
    let now = operator.call("GET", &format!("sites/{SITE}"), &[], b"");
    let etag = now.etag.unwrap();
    let heard = operator.call(method, path, &[("If-Match", &etag)], b"");
    assert_eq!(heard.status, 200, "{heard:?}");
}

fn upload(scene: &impl Scene) -> String {
    let name = format!("{}-app.log", DEVICES[0].0);
    let request = format!(
        "PUT /{SITE}/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\na log"
    );
    let answer = exchange(scene.address(), request.as_bytes(), "PUT");
    assert_eq!(answer.status, 201);
    name
}

/// Those that say who they are get the one, all others the other.
fn gets_as_canaries(scene: &impl Scene, canary: u8, others: u8) {
    for (mac, _) in DEVICES {
        assert_eq!(phone(scene, "badge.cfg", Some(mac)), (200, shared(canary)));
        let name = format!("{mac}-badge.cfg");
        if let Some(badge) = badge(canary, mac) {
            assert_eq!(phone(scene, &name, Some(mac)), (200, badge), "{mac}");
        }
        if let Some(badge) = badge(others, mac) {
            assert_eq!(
                phone(scene, &name, None),
                (200, badge),
                "{mac} without a word"
            );
        }
    }
    assert_eq!(phone(scene, "badge.cfg", None), (200, shared(others)));
}

/// Lists, and an upload to the byte.
fn what_is_there(operator: &Remote) {
    let read = |path: &str| {
        let heard = operator.call("GET", path, &[], b"");
        assert_eq!(heard.status, 200, "{path}: {heard:?}");
        heard.json()
    };
    assert_eq!(read("sites")["sites"][0]["name"], SITE);
    let published = read(&format!("sites/{SITE}/publications"));
    let states: Vec<&str> = published["publications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["void", "current", "previous"]);
    let devices = read(&format!("sites/{SITE}/devices"));
    assert_eq!(devices["devices"].as_array().unwrap().len(), DEVICES.len());
    let mac = DEVICES[0].0;
    let device = read(&format!("sites/{SITE}/devices/{mac}"));
    assert_eq!(device["settings"]["admin_password"], "(secret)");
    let uploads = format!("sites/{SITE}/devices/{mac}/uploads");
    let name = read(&uploads)["uploads"][0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let body = operator.call("GET", &format!("{uploads}/{name}"), &[], b"");
    assert_eq!(body.body, b"a log");
    let entries = read("audit")["entries"].as_array().unwrap().len();
    assert!(entries > 10, "{entries}");
    assert_eq!(read("openapi.json")["openapi"], "3.1.0");
}

/// The store itself refuses bytes that are not those of their hash, and keeps nothing of them.
fn what_is_sent_is_held_to_its_hash(operator: &Remote) {
    let bytes = vec![7; 200_000];
    let hash = handset::release::sha256_hex(&bytes);
    let path = format!("blobs/{hash}");
    let mut other = bytes.clone();
    other[100_000] = 8;
    assert_eq!(operator.call("PUT", &path, &[], &other).status, 422);
    assert_eq!(operator.call("GET", &path, &[], b"").status, 404);
    assert_eq!(operator.call("PUT", &path, &[], &bytes).status, 201);
    assert_eq!(operator.call("PUT", &path, &[], b"").status, 200);
    assert!(operator.call("GET", &path, &[], b"").body == bytes);
    let part = operator.call("GET", &path, &[("Range", "bytes=199998-")], b"");
    assert_eq!((part.status, part.body), (206, vec![7, 7]));
}

fn who_may(scene: &impl Scene) {
    type Row<'r> = (&'r str, Scope, Option<&'r str>, &'r str, String, u16);
    let rows: &[Row<'_>] = &[
        (
            "a reader",
            Scope::Read,
            None,
            "GET",
            format!("sites/{SITE}"),
            200,
        ),
        (
            "a reader",
            Scope::Read,
            None,
            "POST",
            format!("sites/{SITE}/publications"),
            403,
        ),
        (
            "a reader",
            Scope::Read,
            None,
            "PUT",
            "deployment".to_owned(),
            403,
        ),
        (
            "its tenant",
            Scope::Write,
            Some("acme"),
            "GET",
            format!("sites/{SITE}"),
            200,
        ),
        (
            "its tenant",
            Scope::Write,
            Some("acme"),
            "GET",
            "deployment".to_owned(),
            403,
        ),
        (
            "its tenant",
            Scope::Write,
            Some("acme"),
            "PUT",
            "deployment".to_owned(),
            403,
        ),
        (
            "its tenant",
            Scope::Write,
            Some("acme"),
            "POST",
            "sites/new/publications".to_owned(),
            404,
        ),
        (
            "another",
            Scope::Write,
            Some("bolt"),
            "GET",
            format!("sites/{SITE}"),
            404,
        ),
        (
            "another",
            Scope::Write,
            Some("bolt"),
            "POST",
            format!("sites/{SITE}/publications"),
            404,
        ),
        (
            "another",
            Scope::Write,
            Some("bolt"),
            "POST",
            format!("sites/{SITE}/rollback"),
            404,
        ),
        (
            "another",
            Scope::Write,
            Some("bolt"),
            "GET",
            format!("sites/{SITE}/devices"),
            404,
        ),
    ];
    for (who, scope, tenant, method, path, status) in rows {
        let heard = Remote::of(scene, *scope, *tenant).call(method, path, &[], b"{}");
        assert_eq!(heard.status, *status, "{who}: {method} {path}: {heard:?}");
    }
    let other = Remote::of(scene, Scope::Read, Some("bolt"));
    assert_eq!(
        other.call("GET", "sites", &[], b"").json()["sites"],
        serde_json::json!([])
    );
    assert_eq!(
        other.call("GET", "audit", &[], b"").json()["entries"],
        serde_json::json!([])
    );
}
