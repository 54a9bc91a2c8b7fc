//! A fleet in versions that tell themselves apart in every file, and whoever pushes it: a request a step, so that tests
//! can stop anywhere.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use handset::device::DeviceSettings;
use handset::fleet;
use handset::fleet::Hashes;
use handset::mac::MacAddress;
use handset::map::Map;
use handset::publish::BATCH;
use handset::publish::Begin;
use handset::publish::Begun;
use handset::publish::Difference;
use handset::publish::Publish;
use handset::publish::SHARDS;
use handset::publish::Shard;
use handset::publish::hash_of;
use handset::publish::shard_of;
use handset::site::Access;
use handset::site::Chosen;
use handset::site::Deployment;
use handset::site::SiteRecord;
use serde_json::Value;

pub(crate) const SITE: &str = "hq";

/// Devices, and what says which version of their settings they have, by the fleet's version; 0 where it has none.
pub(crate) const DEVICES: [(&str, [u8; 3]); 5] = [
    ("0004f2000001", [1, 2, 3]),
    ("0004f2000002", [1, 1, 3]),
    ("0004f2000003", [1, 0, 3]),
    ("0004f2000004", [1, 2, 2]),
    ("0004f2000005", [0, 2, 0]),
];

/// What a device's own file says under a version of the fleet; nothing where it is not in it.
pub(crate) fn badge(version: u8, mac: &str) -> Option<String> {
    let row = DEVICES.iter().find(|(device, _)| *device == mac)?;
    let own = row.1[usize::from(version - 1)];
    let text = format!(
        "<badge release=\"v{version}\" site=\"v{version}\" device=\"v{own}\" secret=\"pass-{mac}-{own}\"/>"
    );
    (own > 0).then_some(text)
}

/// What the file says that all phones share.
pub(crate) fn shared(version: u8) -> String {
    format!("<badge release=\"v{version}\" site=\"v{version}\"/>")
}

/// A compiled version of the fleet, ready to be pushed.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) deployment: Deployment,
    pub(crate) record: SiteRecord,
    release: Vec<u8>,
    files: BTreeMap<String, Vec<u8>>,
    devices: BTreeMap<MacAddress, DeviceSettings>,
}

impl Version {
    /// Compiled from a directory that is written for it.
    pub(crate) fn of(version: u8, access: &Access) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), version);
        let compiled = fleet::compile(directory.path(), &mut Hashes::default());
        let snapshot = compiled
            .unwrap_or_else(|found| panic!("{found:?}"))
            .snapshot;
        let mut deployment = (*snapshot.deployment).clone();
        deployment.sites.insert(SITE.to_owned(), access.clone());
        let devices = snapshot.devices.get(SITE).unwrap().iter();
        let read = |json: &[u8]| serde_json::from_slice(json).unwrap();
        let record = (*snapshot.sites[SITE]).clone();
        Self {
            deployment,
            release: snapshot.releases[&record.release].record.encode().1,
            files: snapshot
                .files
                .iter()
                .map(|(sha256, file)| (sha256.clone(), fs::read(&file.path).unwrap()))
                .collect(),
            devices: devices.map(|(mac, json)| (*mac, read(json))).collect(),
            record,
        }
    }
}

fn write(root: &Path, version: u8) {
    let put = |name: &str, text: String| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("handset.toml", String::new());
    let site = format!(
        "access = \"open\"\ntenant = \"acme\"\npublic_url = \"http://prov.example.net\"\n\n[settings]\nntp_server = \"v{version}\"\n\
         admin_password = \"site-secret\"\n"
    );
    put(&format!("sites/{SITE}.toml"), site);
    put(
        "tenants/acme.toml",
        "[settings]\nuser_password = \"tenant-secret\"\n".to_owned(),
    );
    let mut table = String::new();
    for (mac, versions) in DEVICES {
        let own = versions[usize::from(version - 1)];
        if own > 0 {
            table += &format!(
                "[[device]]\nmac = \"{mac}\"\nsite = \"{SITE}\"\nmodel = \"VVX 400\"\n\n[device.settings]\n\
                 outbound_proxy = \"v{own}\"\nadmin_password = \"pass-{mac}-{own}\"\n\n"
            );
        }
    }
    put("devices/phones.toml", table);
    let own = format!(
        "<badge release=\"v{version}\" site=\"{{{{ ntp_server }}}}\" device=\"{{{{ outbound_proxy }}}}\" \
         secret=\"{{{{ admin_password }}}}\"/>"
    );
    put("templates/polycom/{mac}-badge.cfg", own);
    let shared = format!("<badge release=\"v{version}\" site=\"{{{{ ntp_server }}}}\"/>");
    put("templates/polycom/badge.cfg", shared);
    put("resources/ring.wav", format!("RIFF of version {version}"));
}

/// What an operator hears.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Where the endpoints are: in memory, or a server.
pub(crate) trait Api {
    /// A request, with more headers a line each.
    fn call(&self, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> Heard;
}

/// Holds an answer against the document that the server gives: whatever happens is in it.
pub(crate) fn documented(method: &str, path: &str, status: u16) {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
        let text = include_str!("../../src/respond/operator/openapi.json");
        serde_json::from_str(text).unwrap()
    });
    let path = path.split('?').next().unwrap();
    let segments: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template["/-/v1/".len()..].split('/').collect();
        let whole = wanted.len() == segments.len() || wanted.last() == Some(&"{name}");
        let mut pairs = wanted.iter().zip(&segments);
        whole && pairs.all(|(wanted, found)| wanted.starts_with('{') || wanted == found)
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    // The one with the fewest holes is meant.
    let found = paths.iter().filter(|(template, _)| fits(template));
    let (_, item) = found.min_by_key(|(it, _)| it.matches('{').count()).unwrap();
    let method = match method {
        "HEAD" => "get".to_owned(),
        method => method.to_ascii_lowercase(),
    };
    let answers = &item[&method]["responses"];
    let status = status.to_string();
    assert!(
        answers[&status].is_object(),
        "{method} {path}: {status} is not in the document"
    );
}

enum Step {
    File(String),
    Release,
    Begin,
    List(&'static str),
    Batch(&'static str, Vec<(MacAddress, bool)>),
    Publish,
    Deployment,
}

/// Whoever pushes a version.
pub(crate) struct Pusher<'v> {
    version: &'v Version,
    wish: Begin,
    canary: Option<Chosen>,
    begun: Option<Begun>,
    steps: VecDeque<Step>,
    /// How many devices were written.
    pub(crate) written: usize,
}

impl<'v> Pusher<'v> {
    pub(crate) fn new(version: &'v Version) -> Self {
        let files = version.files.keys().cloned().map(Step::File);
        let lists = SHARDS.into_iter().map(Step::List);
        let steps = files.chain([Step::Release, Step::Begin]).chain(lists);
        Self {
            version,
            wish: Begin::default(),
            canary: None,
            begun: None,
            steps: steps.chain([Step::Publish, Step::Deployment]).collect(),
            written: 0,
        }
    }

    pub(crate) fn taking_over(version: &'v Version) -> Self {
        let wish = Begin {
            take_over: true,
            ..Begin::default()
        };
        Self {
            wish,
            ..Self::new(version)
        }
    }

    pub(crate) fn resuming(version: &'v Version, number: u64) -> Self {
        let wish = Begin {
            resume: Some(number),
            ..Begin::default()
        };
        Self {
            wish,
            ..Self::new(version)
        }
    }

    /// For some devices first.
    pub(crate) fn canary(version: &'v Version, chosen: Chosen) -> Self {
        Self::new(version).with_canary(chosen)
    }

    /// The same for some devices first.
    pub(crate) fn with_canary(self, chosen: Chosen) -> Self {
        Self {
            canary: Some(chosen),
            ..self
        }
    }

    /// Whether it has come to its end but for the deployment.
    pub(crate) fn is_published(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step, Step::Publish))
    }

    pub(crate) fn number(&self) -> u64 {
        self.begun.as_ref().unwrap().number
    }

    /// All of it; the first answer that is no success ends it.
    pub(crate) fn push(&mut self, api: &impl Api) -> Result<(), Heard> {
        while self.step(api)? {}
        Ok(())
    }

    /// The next request; whether there was one.
    pub(crate) fn step(&mut self, api: &impl Api) -> Result<bool, Heard> {
        let Some(step) = self.steps.pop_front() else {
            return Ok(false);
        };
        let good = |heard: Heard| match heard.status {
            200..=299 => Ok(heard),
            _ => Err(heard),
        };
        match step {
            Step::File(sha256) => {
                let bytes = &self.version.files[&sha256];
                good(api.call("PUT", &format!("blobs/{sha256}"), &[], bytes))?;
            }
            Step::Release => {
                let path = format!("releases/{}", self.version.record.release);
                good(api.call("PUT", &path, &[], &self.version.release))?;
            }
            Step::Begin => {
                let body = serde_json::to_vec(&self.wish).unwrap();
                let path = format!("sites/{SITE}/publications");
                let heard = good(api.call("POST", &path, &[], &body))?;
                self.begun = Some(serde_json::from_slice(&heard.body).unwrap());
            }
            Step::List(shard) => {
                let body = serde_json::to_vec(&self.list(shard)).unwrap();
                let path = format!("{}/devices/{shard}", self.path());
                let heard = good(api.call("PUT", &path, &[], &body))?;
                let found: Difference = serde_json::from_slice(&heard.body).unwrap();
                let write = found.write.into_iter().map(|mac| (mac, true));
                let all: Vec<_> = write
                    .chain(found.gone.into_iter().map(|mac| (mac, false)))
                    .collect();
                for batch in all.chunks(BATCH) {
                    self.steps.push_front(Step::Batch(shard, batch.to_vec()));
                }
            }
            Step::Batch(shard, devices) => {
                let settings = |(mac, is_there): &(MacAddress, bool)| {
                    let settings = is_there.then(|| self.version.devices[mac].clone());
                    (mac.to_string(), settings)
                };
                let batch: Map<Option<DeviceSettings>> = devices.iter().map(settings).collect();
                let body = serde_json::to_vec(&batch).unwrap();
                let path = format!("{}/devices/{shard}/batch", self.path());
                good(api.call("PUT", &path, &[], &body))?;
                self.written += devices.len();
            }
            Step::Publish => {
                let wish = Publish {
                    record: self.version.record.clone(),
                    canary: self.canary.clone(),
                };
                let body = serde_json::to_vec(&wish).unwrap();
                let etag = self.begun.as_ref().unwrap().etag.clone();
                good(api.call("PUT", &self.path(), &[("If-Match", &etag)], &body))?;
            }
            Step::Deployment => {
                let body = serde_json::to_vec(&self.version.deployment).unwrap();
                let now = api.call("GET", "deployment", &[], b"");
                let condition = match &now.etag {
                    Some(etag) => ("If-Match", etag.as_str()),
                    None => ("If-None-Match", "*"),
                };
                good(api.call("PUT", "deployment", &[condition], &body))?;
            }
        }
        Ok(true)
    }

    fn path(&self) -> String {
        format!("sites/{SITE}/publications/{}", self.number())
    }

    fn list(&self, shard: &str) -> Shard {
        let ours = self.version.devices.iter();
        let ours = ours.filter(|(mac, _)| shard_of(**mac) == shard);
        ours.map(|(mac, settings)| (mac.to_string(), hash_of(settings)))
            .collect()
    }
}
