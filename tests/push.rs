//! `handset push`, cut at every request and killed at any: phones get whole publications, what they wrote stays, and the
//! next push finishes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/published.rs"]
#[expect(dead_code, reason = "no server is replaced here")]
mod published;

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::fleet::push::Progress;
use handset::fleet::push::Report;
use handset::fleet::push::Step;
use handset::fleet::push::Wish;
use handset::fleet::push::push;
use handset::fleet::push::standing;
use handset::fleet::server::Answer;
use handset::fleet::server::Lost;
use handset::fleet::server::Request;
use handset::fleet::server::Server;
use handset::fleet::server::Trouble;
use handset::platform::native::operate::remote::Remote;
use handset::site::Chosen;
use tempfile::TempDir;

use published::Published;

/// Phones; every third one changes with each version of the fleet.
const PHONES: usize = 40;

/// A fleet directory whose every file says which version it is of.
struct Directory(TempDir);

impl Directory {
    fn of(version: usize) -> Self {
        let directory = Self(tempfile::tempdir().unwrap());
        directory.become_version(version);
        directory
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn become_version(&self, version: usize) {
        self.put("handset.toml", "");
        self.put(
            "sites/hq.toml",
            &format!(
                "access = \"open\"\ntenant = \"acme\"\n[settings]\nntp_server = \"v{version}\"\n"
            ),
        );
        self.put("tenants/acme.toml", "");
        let mut table = "mac,site,model,outbound_proxy,line1.user,line1.password\n".to_owned();
        for phone in 0..PHONES {
            let own = own_version(phone, version);
            table += &format!("{},hq,VVX 400,v{own},{phone},pass-{phone}\n", mac(phone));
        }
        self.put("devices/phones.csv", &table);
        self.put(
            "templates/polycom/{mac}-badge.cfg",
            &format!("<badge release=\"v{version}\" site=\"{{{{ ntp_server }}}}\" device=\"{{{{ outbound_proxy }}}}\"/>"),
        );
        self.put("resources/ring.wav", &format!("RIFF of version {version}"));
    }

    fn compile(&self) -> Fleet {
        let compiled = fleet::compile(self.path(), &mut Hashes::default());
        compiled.unwrap_or_else(|found| panic!("{found:?}"))
    }
}

/// The version of a phone's own settings under a version of the fleet.
fn own_version(phone: usize, version: usize) -> usize {
    let changes = |version: &usize| (version + phone).is_multiple_of(3);
    (1..=version).rev().find(changes).unwrap_or(1)
}

fn mac(phone: usize) -> String {
    format!("0004f2{phone:06x}")
}

/// What a phone's own file says under a version.
fn badge(phone: usize, version: usize) -> String {
    let own = own_version(phone, version);
    format!("<badge release=\"v{version}\" site=\"v{version}\" device=\"v{own}\"/>")
}

struct Silent;

impl Progress for Silent {
    fn begin(&self, _: Step, _: u64) {}
    fn advance(&self, _: u64) {}
}

/// A server that is out of reach after so many requests; of the last one it hears, and its answer is lost, if `unheard`.
struct Cut<'s> {
    server: &'s Remote,
    sent: AtomicUsize,
    most: usize,
    unheard: bool,
}

impl<'s> Cut<'s> {
    fn at(server: &'s Remote, most: usize, unheard: bool) -> Self {
        Self {
            server,
            sent: AtomicUsize::new(0),
            most,
            unheard,
        }
    }
}

impl Server for Cut<'_> {
    fn send(&self, request: &Request<'_>) -> Result<Answer, Lost> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let cut = Lost("cut".to_owned());
        match number {
            _ if number < self.most => self.server.send(request),
            _ if number == self.most && self.unheard => {
                self.server.send(request)?;
                Err(cut)
            }
            _ => Err(cut),
        }
    }

    fn receive(&self, request: &Request<'_>, _: &mut dyn io::Write) -> Result<Answer, Lost> {
        self.send(request)
    }

    fn pause(&self, _: u64) {}
}

/// A server, its tool, and what phones get of it.
struct Scene {
    server: Published,
    remote: Remote,
    phones: ureq::Agent,
}

impl Scene {
    fn open() -> Self {
        let server = Published::open();
        let remote = Remote::new(&server.url(), &server.token(), None).unwrap();
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        Self {
            server,
            remote,
            phones: ureq::Agent::new_with_config(config.build()),
        }
    }

    fn push(&self, fleet: &Fleet, wish: &Wish) -> Result<Report, Trouble> {
        push(&self.remote, fleet, wish, &Silent)
    }

    /// What a phone's request is answered with.
    fn file(&self, phone: usize, name: &str) -> (u16, String) {
        let url = format!("{}/hq/{name}", self.server.url());
        // Says who it is, as a canary has to.
        let said = format!(
            "FileTransport PolycomVVX-VVX_400-UA/5.9.7.1 (SN:{})",
            mac(phone)
        );
        let request = self.phones.get(url).header("user-agent", said);
        let mut answer = request.call().unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), text)
    }

    fn badge(&self, phone: usize) -> String {
        let (status, text) = self.file(phone, &format!("{}-badge.cfg", mac(phone)));
        assert_eq!(status, 200, "{text}");
        text
    }

    /// Every phone has a whole file of one of these versions; all of the same.
    fn is_whole(&self, versions: &[usize]) -> usize {
        let first = self.badge(0);
        let version = versions.iter().find(|it| badge(0, **it) == first);
        let version = *version.unwrap_or_else(|| panic!("{first} is none of {versions:?}"));
        for phone in 1..PHONES {
            assert_eq!(self.badge(phone), badge(phone, version));
        }
        let (_, ring) = self.file(0, "ring.wav");
        assert_eq!(ring, format!("RIFF of version {version}"));
        version
    }

    /// What a phone has uploaded.
    fn upload(&self, text: &str) {
        let url = format!("{}/hq/{}-phone.cfg", self.server.url(), mac(7));
        let answer = self.phones.put(url).send(text).unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}

const OVERRIDES: &str = "<PHONE_CONFIG><OVERRIDES up.welcomeSoundEnabled=\"1\"/></PHONE_CONFIG>";

#[test]
fn a_push_may_be_cut_at_every_request() {
    let scene = Scene::open();
    let directory = Directory::of(1);
    let first = scene.push(&directory.compile(), &Wish::default()).unwrap();
    assert_eq!((first.sites[0].written, first.images), (PHONES, 1));
    scene.upload(OVERRIDES);
    let counted = Cut::at(&scene.remote, usize::MAX, false);
    directory.become_version(2);
    push(&counted, &directory.compile(), &Wish::default(), &Silent).unwrap();
    let requests = counted.sent.load(Ordering::Relaxed);
    assert!(requests > 20, "{requests}");
    let mut version = scene.is_whole(&[2]);
    for most in 0..requests {
        let unheard = most.is_multiple_of(2);
        directory.become_version(version + 1);
        let fleet = directory.compile();
        let cut = Cut::at(&scene.remote, most, unheard);
        let trouble = push(&cut, &fleet, &Wish::default(), &Silent);
        let now = scene.is_whole(&[version, version + 1]);
        assert!(trouble.is_err() || now == version + 1, "{most} {unheard}");
        scene
            .push(&fleet, &Wish::default())
            .unwrap_or_else(|trouble| panic!("after {most} {unheard}: {trouble}"));
        version = scene.is_whole(&[version + 1]);
    }
    let again = scene.push(&directory.compile(), &Wish::default()).unwrap();
    assert!(again.sites[0].unchanged, "{again:?}");
    let (_, kept) = scene.file(7, &format!("{}-phone.cfg", mac(7)));
    assert_eq!(kept, OVERRIDES);
}

/// The built program, killed after so many requests: 50 points that are spread over a push as if drawn.
#[test]
fn a_push_may_be_killed_at_any_point() {
    let scene = Scene::open();
    let directory = Directory::of(1);
    let push = || {
        Command::new(env!("CARGO_BIN_EXE_handset"))
            .arg("push")
            .arg(directory.path())
            .args(["--to", &scene.server.url()])
            .env("HANDSET_TOKEN", scene.server.token())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let finish = |version: usize| {
        let output = push().wait_with_output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{said}");
        scene.is_whole(&[version])
    };
    finish(1);
    scene.upload(OVERRIDES);
    directory.become_version(2);
    let before = scene.server.heard();
    finish(2);
    let requests = scene.server.heard() - before - PHONES - 1;
    let mut killed = 0;
    for round in 0..50 {
        let version = round + 3;
        directory.become_version(version);
        let point = (round * 7919 + 13) % requests;
        let from = scene.server.heard();
        let mut tool = push();
        scene
            .server
            .wait_for(from + point, || tool.try_wait().unwrap().is_some());
        tool.kill().unwrap();
        let status = tool.wait().unwrap();
        killed += usize::from(!status.success());
        scene.is_whole(&[version - 1, version]);
        finish(version);
    }
    assert!(
        killed > 40,
        "{killed} of 50 were killed before they were done"
    );
    let (_, kept) = scene.file(7, &format!("{}-phone.cfg", mac(7)));
    assert_eq!(kept, OVERRIDES);
}

/// While pushes follow each other, no answer that a phone gets is of two publications.
#[test]
fn no_answer_mixes_publications() {
    let scene = Scene::open();
    let directory = Directory::of(1);
    scene.push(&directory.compile(), &Wish::default()).unwrap();
    let done = AtomicBool::new(false);
    let seen = Mutex::new(Vec::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for phone in 0..PHONES {
                    let text = scene.badge(phone);
                    seen.lock().unwrap().push((phone, text));
                }
            }
        });
        for version in 2..12 {
            directory.become_version(version);
            scene.push(&directory.compile(), &Wish::default()).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let seen = seen.into_inner().unwrap();
    for (phone, text) in &seen {
        let whole = (1..12).any(|version| badge(*phone, version) == *text);
        assert!(whole, "{phone}: {text}");
    }
    assert!(seen.len() >= PHONES);
}

#[test]
fn two_pushes_do_not_mix_and_one_can_be_taken_over() {
    let scene = Scene::open();
    let directory = Directory::of(1);
    scene.push(&directory.compile(), &Wish::default()).unwrap();
    directory.become_version(2);
    let second = directory.compile();
    let cut = Cut::at(&scene.remote, 12, false);
    push(&cut, &second, &Wish::default(), &Silent).unwrap_err();
    directory.become_version(3);
    let third = directory.compile();
    let trouble = scene.push(&third, &Wish::default()).unwrap_err();
    assert_eq!(trouble.status(), Some(409), "{trouble}");
    assert!(
        trouble
            .to_string()
            .contains("site hq: publication 2 is under way"),
        "{trouble}"
    );
    let take_over = Wish {
        take_over: true,
        ..Wish::default()
    };
    scene.push(&third, &take_over).unwrap();
    scene.is_whole(&[3]);
    // Whoever was taken over hears of it, and nothing of theirs counts.
    scene.push(&second, &Wish::default()).unwrap();
    scene.is_whole(&[2]);
}

#[test]
fn what_changed_alone_is_sent() {
    let scene = Scene::open();
    let directory = Directory::of(1);
    scene.push(&directory.compile(), &Wish::default()).unwrap();
    directory.become_version(2);
    directory.put("resources/ring.wav", "RIFF of version 1");
    let report = scene.push(&directory.compile(), &Wish::default()).unwrap();
    let changed = (0..PHONES).filter(|phone| own_version(*phone, 2) != own_version(*phone, 1));
    assert_eq!(report.sites[0].written, changed.count());
    assert_eq!((report.images, report.sites[0].gone), (0, 0));
}

#[test]
fn a_canary_is_whole_and_ends_either_way() {
    let scene = Scene::open();
    let directory = Directory::of(1);
    scene.push(&directory.compile(), &Wish::default()).unwrap();
    directory.become_version(2);
    let fleet = directory.compile();
    let all = Wish {
        canary: Some(Chosen::Percent(100)),
        ..Wish::default()
    };
    scene.push(&fleet, &all).unwrap();
    for phone in 0..PHONES {
        assert_eq!(scene.badge(phone), badge(phone, 2));
    }
    let half = Wish {
        canary: Some(Chosen::Percent(50)),
        ..Wish::default()
    };
    scene.push(&fleet, &half).unwrap();
    let count = (0..PHONES)
        .filter(|phone| scene.badge(*phone) == badge(*phone, 2))
        .count();
    assert!((8..32).contains(&count), "{count} of {PHONES}");
    standing::abandon(&scene.remote, "hq").unwrap();
    scene.is_whole(&[1]);
    scene.push(&fleet, &half).unwrap();
    standing::promote(&scene.remote, "hq").unwrap();
    assert_eq!(scene.badge(0), badge(0, 2));
    standing::rollback(&scene.remote, "hq").unwrap();
    assert_eq!(scene.badge(0), badge(0, 1));
    let trouble = standing::promote(&scene.remote, "hq").unwrap_err();
    assert!(trouble.to_string().contains("has no canary"), "{trouble}");
}

/// A tenant pushes its own site, and neither makes one nor says who may read.
#[test]
fn a_tenant_pushes_what_is_the_tenants() {
    let scene = Scene::open();
    let directory = Directory::of(1);
    let theirs = Remote::new(
        &scene.server.url(),
        &scene.server.token_of(Some("acme")),
        None,
    );
    let theirs = theirs.unwrap();
    push(&theirs, &directory.compile(), &Wish::default(), &Silent).unwrap_err();
    scene.push(&directory.compile(), &Wish::default()).unwrap();
    directory.become_version(2);
    push(&theirs, &directory.compile(), &Wish::default(), &Silent).unwrap();
    scene.is_whole(&[2]);
    let others = scene.server.token_of(Some("zenith"));
    let others = Remote::new(&scene.server.url(), &others, None).unwrap();
    directory.become_version(3);
    let trouble = push(&others, &directory.compile(), &Wish::default(), &Silent);
    assert!(trouble.unwrap_err().to_string().contains("no site"));
    scene.is_whole(&[2]);
}

#[test]
fn sites_that_are_gone_stay_until_they_are_taken_away() {
    let scene = Scene::open();
    let directory = Directory::of(1);
    directory.put("sites/old.toml", "access = \"open\"\n");
    scene.push(&directory.compile(), &Wish::default()).unwrap();
    fs::remove_file(directory.path().join("sites/old.toml")).unwrap();
    let report = scene.push(&directory.compile(), &Wish::default()).unwrap();
    assert_eq!(
        (report.left_over, report.removed),
        (vec!["old".to_owned()], false)
    );
    let remove = Wish {
        remove: true,
        ..Wish::default()
    };
    let report = scene.push(&directory.compile(), &remove).unwrap();
    assert_eq!(
        (report.left_over, report.removed),
        (vec!["old".to_owned()], true)
    );
    let url = format!("{}/old/000000000000.cfg", scene.server.url());
    let answer = scene.phones.get(url).call().unwrap();
    assert_eq!(answer.status(), 404);
    scene.is_whole(&[1]);
}
