//! Routing, pure: a request, the site, its release and the device's record to a [`Route`].
//!
//! What this deliberately does not do: no reads, no bodies, no vendor's name. It says as well why it
//! decided so, for the log and for `handset explain`.

use serde::Serialize;

use crate::device::DeviceRecord;
use crate::device::DeviceSettings;
use crate::device::Segment;
use crate::key::Key;
use crate::mac::MacAddress;
use crate::map::Map;
use crate::path::RequestPath;
use crate::pattern::Captures;
use crate::release::BlobRecord;
use crate::release::Model;
use crate::release::Release;
use crate::release::Rule;
use crate::settings::LayerName;
use crate::site::Deployment;
use crate::site::SiteRecord;
use crate::user_agent::UserAgent;
use crate::variables::is_set;
use crate::variables::pinned_version;
use crate::vendor::FileKind;
use crate::vendor::Source;
use crate::vendor::Vendor;

/// What to do for a request.
#[derive(Clone, Debug)]
pub enum Route<'a> {
    /// Keep what the device sends, under this canonical name, by this rule.
    Accept(String, &'a Rule),
    /// Answer as if nothing were there.
    Refuse,
    /// Render this template, for this model.
    Render(String, Option<Model<'a>>),
    /// Send stored bytes.
    Serve(Serve<'a>),
}

/// Stored bytes to send.
#[derive(Clone, Debug)]
pub enum Serve<'a> {
    /// An image or a resource.
    Content(&'a BlobRecord),
    /// The newest version of an upload: its canonical name, its parts, when it came (milliseconds).
    Upload(String, &'a [Segment], u64),
}

/// Whether a request reads or writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// POST.
    Post,
    /// PUT.
    Put,
    /// GET and HEAD.
    Read,
}

/// How wide a file applies.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One device.
    Device,
    /// All of a site.
    Everyone,
    /// One model.
    Model,
}

/// What reading a file takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A credential of the device.
    Device,
    /// A credential of the site.
    Shared,
}

/// Why a request got what it got. One line of the log; the answer of `handset explain`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Explanation {
    /// Whose file it is.
    pub vendor: Option<&'static str>,
    /// What the file is to the phone.
    pub kind: Option<FileKind>,
    /// How wide it applies.
    pub scope: Option<Scope>,
    /// What reading it takes.
    pub class: Option<Class>,
    /// The device it is about.
    pub mac: Option<MacAddress>,
    /// The model it is for.
    pub model: Option<String>,
    /// The image's version, else the version that the phone says it runs.
    pub version: Option<String>,
    /// The site it was asked from.
    pub site: Option<String>,
    /// The file rule that matched.
    pub rule: Option<String>,
    /// `render`, `serve`, `accept`, `operate` or `refuse`.
    pub outcome: &'static str,
    /// The template or blob.
    pub source: Option<String>,
    /// Why.
    pub reason: String,
    /// Something that the operator should look at, though the phone got its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// Each setting that was used, and the layer it came from.
    pub settings: Map<LayerName>,
    /// Whether asking for this file is how a boot begins.
    #[serde(skip)]
    pub starts_boot: bool,
}

/// What a log says of an explanation: no settings, for they hold passwords.
#[derive(Clone, Debug, Serialize)]
pub struct Logged<'a> {
    site: Option<&'a str>,
    mac: Option<String>,
    vendor: Option<&'a str>,
    kind: Option<FileKind>,
    rule: Option<&'a str>,
    outcome: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
}

impl Explanation {
    /// The part of it that may stand in a log.
    pub fn logged(&self) -> Logged<'_> {
        Logged {
            site: self.site.as_deref(),
            mac: self.mac.map(|mac| mac.to_string()),
            vendor: self.vendor,
            kind: self.kind,
            rule: self.rule.as_deref(),
            outcome: self.outcome,
            reason: &self.reason,
            warning: self.warning.as_deref(),
        }
    }
}

/// An address, taken apart: `/<site>/<key>/<device>/<path>`.
#[derive(Clone, Debug)]
pub struct Address {
    /// The site.
    pub site: String,
    /// The path key, unverified.
    pub key: Option<Key>,
    /// The directory that says whose key it is, for files whose names do not.
    pub device: Option<MacAddress>,
    /// The file.
    pub path: RequestPath,
}

/// The site that a request is for and the path below it, doubled prefixes collapsed.
///
/// A first segment that names a site wins; else the host names one, else `fallback` does.
pub fn locate(
    deployment: &Deployment,
    host: Option<&str>,
    fallback: Option<&str>,
    path: &RequestPath,
) -> Option<Address> {
    let first = path.segments().next().unwrap_or_default();
    let (site, mut rest) = if deployment.sites.contains_key(first) {
        (first.to_owned(), path.below(first)?)
    } else {
        let by_host = host.and_then(|host| deployment.hosts.get(&host_name(host)));
        let site = by_host.map(String::as_str).or(fallback)?;
        deployment.sites.get(site)?;
        (site.to_owned(), path.clone())
    };
    let (mut key, mut device) = (None, None);
    while let Some((first, below)) = rest.split_first() {
        if first == site {
        } else if let Some(found) =
            Key::parse(first).filter(|it| key.is_none_or(|key: Key| key.repeats(it)))
        {
            key = Some(found);
        } else if let Some(found) = own_directory(first)
            .filter(|it| key.is_some() && device.is_none_or(|device| device == *it))
        {
            device = Some(found);
        } else {
            break;
        }
        rest = below;
    }
    Some(Address {
        site,
        key,
        device,
        path: rest.collapsed(),
    })
}

/// A directory that is a hardware address and nothing else.
fn own_directory(segment: &str) -> Option<MacAddress> {
    segment.parse().ok().filter(|_| segment.len() == 12)
}

/// A Host header without its port, in lower case.
fn host_name(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The rules that a path below a site may mean.
#[derive(Debug)]
pub struct Candidates<'r, 'p> {
    path: &'p RequestPath,
    rules: Vec<(&'r Rule, Captures<'p>)>,
    /// What lies there if no rule knows the name.
    resource: Option<&'r BlobRecord>,
}

/// Phones nest their directories four deep at most.
const DEEPEST: usize = 4;

impl<'r, 'p> Candidates<'r, 'p> {
    /// Matches a path against the release's rules.
    pub fn of(release: &'r Release, path: &'p RequestPath) -> Self {
        let mut rules = if path.depth() > DEEPEST {
            Vec::new()
        } else {
            release.matching(path)
        };
        rules.retain(|(rule, captures)| {
            captures
                .model
                .is_none_or(|model| release.model(rule.vendor, model).is_some())
        });
        let resource = if rules.is_empty() {
            release.resource_at(path)
        } else {
            None
        };
        Self {
            path,
            rules,
            resource,
        }
    }

    /// The device that the file may be about: its record is the one read that routing takes. A name that
    /// nobody knows is about none.
    pub fn mac(&self) -> Option<MacAddress> {
        self.rules
            .iter()
            .find_map(|(_, captures)| captures.mac)
            .or_else(|| self.resource.and_then(|_| Rule::mac_within(self.path)))
    }

    /// The rule that is meant: of the device's vendor, the operator's own, of the User-Agent's vendor, of
    /// the vendor whose address it is, the more specific, in this order.
    fn best(
        &self,
        device: Option<&Vendor>,
        agent: Option<&UserAgent<'_>>,
    ) -> Option<&(&'r Rule, Captures<'p>)> {
        let is = |rule: &Rule, vendor: Option<&Vendor>| {
            rule.vendor
                .zip(vendor)
                .is_some_and(|(one, other)| one.name == other.name)
        };
        self.rules.iter().max_by_key(|(rule, captures)| {
            (
                is(rule, device),
                rule.own,
                is(rule, agent.map(|agent| agent.vendor)),
                is(rule, captures.mac.and_then(Vendor::of_mac)),
                rule.pattern.specificity(),
            )
        })
    }
}

/// A request, as far as routing looks at it.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Read or write.
    pub verb: Verb,
    /// What the phone says of itself.
    pub agent: Option<UserAgent<'a>>,
    /// The site's record.
    pub site: &'a SiteRecord,
    /// The site's release.
    pub release: &'a Release,
    /// The record of the device that [`Candidates::mac`] named, if there is one.
    pub device: Option<&'a DeviceRecord>,
    /// What the operator says of that device.
    pub settings: Option<&'a DeviceSettings>,
}

impl<'a> Asked<'a> {
    /// Decides.
    pub fn route(&self, candidates: &Candidates<'a, '_>) -> (Route<'a>, Explanation) {
        let mut explanation = self.begin();
        let settings = self.settings;
        let device_model = settings.and_then(|device| self.release.model(None, &device.model));
        let device_vendor = device_model
            .as_ref()
            .and_then(|model| Vendor::find(model.vendor));
        let best = candidates.best(device_vendor, self.agent.as_ref());
        let decided = match best {
            Some((rule, captures)) => {
                describe(&mut explanation, rule, captures);
                self.by_rule(
                    rule,
                    captures,
                    candidates.path,
                    device_model,
                    &mut explanation,
                )
            }
            None => self.by_path(candidates, settings.is_some(), &mut explanation),
        };
        let route = decided.unwrap_or_else(|reason| {
            explanation.reason = reason;
            Route::Refuse
        });
        explanation.outcome = match route {
            Route::Accept(..) => "accept",
            Route::Refuse => "refuse",
            Route::Render(..) => "render",
            Route::Serve(_) => "serve",
        };
        (route, explanation)
    }

    fn begin(&self) -> Explanation {
        let agent = self.agent.as_ref();
        let model =
            agent.and_then(|agent| self.release.model_by_user_agent(agent.vendor, agent.model));
        Explanation {
            vendor: agent.map(|agent| agent.vendor.name),
            model: model.map(|model| model.name.to_owned()),
            version: agent.and_then(|agent| agent.version).map(str::to_owned),
            site: Some(self.site.name.clone()),
            ..Explanation::default()
        }
    }

    /// A name that a rule knows.
    fn by_rule(
        &self,
        rule: &'a Rule,
        captures: &Captures<'_>,
        path: &RequestPath,
        device_model: Option<Model<'a>>,
        explanation: &mut Explanation,
    ) -> Result<Route<'a>, String> {
        let model = self.model(rule, captures, device_model)?;
        self.agree(captures, model.as_ref(), explanation)?;
        if let (Some(model), true) = (&model, rule.is_device() || rule.pattern.has_model()) {
            explanation.model = Some(model.name.to_owned());
        }
        if self.verb != Verb::Read {
            return self.accept(rule, captures);
        }
        let mut reasons = Vec::new();
        for source in &rule.sources {
            match self.source(source, rule, captures, path, model.as_ref(), explanation) {
                Ok(route) => return Ok(route),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(reasons.join("; "))
    }

    /// A name that no rule knows may be a resource.
    fn by_path(
        &self,
        candidates: &Candidates<'a, '_>,
        known: bool,
        explanation: &mut Explanation,
    ) -> Result<Route<'a>, String> {
        let path = candidates.path;
        let blob = candidates
            .resource
            .ok_or("no file rule and no resource has this name")?;
        let mac = Rule::mac_within(path);
        explanation.kind = Some(FileKind::Resource);
        explanation.mac = mac;
        explanation.scope = Some(if mac.is_some() {
            Scope::Device
        } else {
            Scope::Everyone
        });
        explanation.class = Some(if mac.is_some() {
            Class::Device
        } else {
            Class::Shared
        });
        match (self.verb, mac, known) {
            (Verb::Read, Some(mac), false) => Err(format!("no device {mac} in this site")),
            (Verb::Read, ..) => {
                explanation.rule = Some(format!("resources/{path}"));
                Ok(content(blob, format!("resources/{path}"), explanation))
            }
            _ => Err("resources take no uploads".to_owned()),
        }
    }

    /// The model that the file is for. Files of a device are for the model in its record.
    fn model(
        &self,
        rule: &Rule,
        captures: &Captures<'_>,
        device_model: Option<Model<'a>>,
    ) -> Result<Option<Model<'a>>, String> {
        if let Some(mac) = captures.mac {
            let settings = self
                .settings
                .ok_or_else(|| format!("no device {mac} in this site"))?;
            let model = device_model
                .ok_or_else(|| format!("the device's model {:?} is unknown", settings.model))?;
            if rule
                .vendor
                .is_some_and(|vendor| vendor.name != model.vendor)
            {
                return Err(format!(
                    "the device is a {}, which has no file of this name",
                    model.name
                ));
            }
            return Ok(Some(model));
        }
        Ok(captures
            .model
            .and_then(|model| self.release.model(rule.vendor, model)))
    }

    /// The model that the User-Agent names, if it is one of the vendor's.
    fn agent_model(&self, vendor: &Vendor) -> Option<Model<'a>> {
        let agent = self
            .agent
            .as_ref()
            .filter(|agent| agent.vendor.name == vendor.name)?;
        self.release.model_by_user_agent(agent.vendor, agent.model)
    }

    /// What names a device must name the same one; another model is worth a word in the log.
    fn agree(
        &self,
        captures: &Captures<'_>,
        model: Option<&Model<'_>>,
        explanation: &mut Explanation,
    ) -> Result<(), String> {
        let Some((mac, agent)) = captures.mac.zip(self.agent.as_ref()) else {
            return Ok(());
        };
        if agent.mac.is_some_and(|other| other != mac) {
            return Err("the User-Agent names another device than the path".to_owned());
        }
        let says = explanation.model.as_deref().unwrap_or(agent.model);
        if let Some(model) = model.filter(|model| model.name != says) {
            explanation.warning = Some(format!(
                "the record says {}, the User-Agent says {says}",
                model.name
            ));
        }
        Ok(())
    }

    fn accept(&self, rule: &'a Rule, captures: &Captures<'_>) -> Result<Route<'a>, String> {
        if !rule.takes_uploads() {
            return Err("files of this name take no uploads".to_owned());
        }
        if self.verb == Verb::Post && !rule.vendor.is_some_and(|vendor| vendor.posts) {
            return Err("the vendor's phones do not upload by POST".to_owned());
        }
        Ok(Route::Accept(
            captures.fill(&rule.pattern.to_string()),
            rule,
        ))
    }

    fn source(
        &self,
        source: &Source<String>,
        rule: &'a Rule,
        captures: &Captures<'_>,
        path: &RequestPath,
        model: Option<&Model<'a>>,
        explanation: &mut Explanation,
    ) -> Result<Route<'a>, String> {
        match source {
            Source::Firmware(file) => {
                self.firmware(&captures.fill(file), rule, captures, explanation)
            }
            Source::NamedResource(name) => {
                let blob = self.release.resource(name).ok_or("no such resource")?;
                Ok(content(blob, format!("resources/{name}"), explanation))
            }
            Source::PinnedTemplate(name) => {
                let pinned = self
                    .settings
                    .is_some_and(|device| device.firmware.is_some());
                pinned.then_some(()).ok_or(
                    "the device pins no firmware version of its own, so it has no such file",
                )?;
                self.template(name, rule, captures, model, explanation)
            }
            Source::Resource => {
                let blob = self
                    .resource_by_rule(path, captures, rule)
                    .ok_or("no resource has this name")?;
                Ok(content(blob, format!("resources/{path}"), explanation))
            }
            Source::SettingTemplate(name, setting) => {
                let set = is_set(self.site, self.release, setting);
                set.then_some(())
                    .ok_or_else(|| format!("the site has no setting {setting}"))?;
                self.template(name, rule, captures, model, explanation)
            }
            Source::Template(name) => self.template(name, rule, captures, model, explanation),
            Source::Upload | Source::XmlUpload => self.upload(rule, captures, explanation),
        }
    }

    fn firmware(
        &self,
        file: &str,
        rule: &Rule,
        captures: &Captures<'_>,
        explanation: &mut Explanation,
    ) -> Result<Route<'a>, String> {
        let vendor = rule.vendor.ok_or("no vendor")?;
        let (model, named) = self.release.model_by_image(vendor, file).unzip();
        if let Some(model) = &model {
            explanation.model = Some(model.name.to_owned());
            explanation.scope = Some(Scope::Model);
        }
        let named = named.flatten();
        let pinned = || pinned_version(self.site, self.release, vendor, model.as_ref(), None);
        let (version, why) = match (captures.version, named.as_deref()) {
            (Some(version), _) => (version, "the version in the path".to_owned()),
            (None, Some(version)) => (version, "the version in the name".to_owned()),
            (None, None) => match pinned() {
                Some((version, layer)) => (
                    version,
                    format!("the version that the {} pins", layer.word()),
                ),
                None => {
                    let problem = "the site pins no firmware version for";
                    return Err(format!("{problem} {} (table firmware)", vendor.name));
                }
            },
        };
        explanation.version = Some(version.to_owned());
        let place = format!("firmware/{}/{version}/{file}", vendor.name);
        let blob = self.release.image(vendor.name, version, file);
        let blob = blob.ok_or_else(|| format!("there is no {place}"))?;
        let route = content(blob, place, explanation);
        explanation.reason = why;
        Ok(route)
    }

    fn template(
        &self,
        name: &str,
        rule: &Rule,
        captures: &Captures<'_>,
        model: Option<&Model<'a>>,
        explanation: &mut Explanation,
    ) -> Result<Route<'a>, String> {
        let vendor = rule.vendor.ok_or("no vendor")?;
        let mut file = name.to_owned();
        if file.contains("{family}") {
            let model = model.cloned().or_else(|| self.agent_model(vendor));
            let model = model.ok_or("which file this is depends on the model, and neither the path nor the User-Agent tells it")?;
            file = file.replace("{family}", model.family);
        }
        let template = format!("{}/{file}", vendor.name);
        if !self.release.templates.has(&template) {
            return Err(format!("there is no template {template}"));
        }
        explanation.source = Some(template.clone());
        explanation.reason = "rendered from the settings".to_owned();
        let of_model = captures.mac.is_some() || rule.pattern.has_model();
        Ok(Route::Render(template, model.filter(|_| of_model).cloned()))
    }

    fn upload(
        &self,
        rule: &Rule,
        captures: &Captures<'_>,
        explanation: &mut Explanation,
    ) -> Result<Route<'a>, String> {
        let name = captures.fill(&rule.pattern.to_string());
        let version = self.device.and_then(|device| device.state.newest(&name));
        let version = version.ok_or("the device has uploaded none")?;
        explanation.source = Some(format!("uploads/{name}"));
        explanation.reason = "what the device uploaded last".to_owned();
        Ok(Route::Serve(Serve::Upload(
            name,
            &version.segments,
            version.at,
        )))
    }

    /// A rule's file may lie in any directory that a master file names, or at the root of the resources.
    fn resource_by_rule(
        &self,
        path: &RequestPath,
        captures: &Captures<'_>,
        rule: &Rule,
    ) -> Option<&'a BlobRecord> {
        let canonical = captures.fill(&rule.pattern.to_string());
        self.release
            .resource_at(path)
            .or_else(|| self.release.resource(&canonical))
    }
}

fn describe(explanation: &mut Explanation, rule: &Rule, captures: &Captures<'_>) {
    explanation.vendor = rule.vendor.map(|vendor| vendor.name).or(explanation.vendor);
    explanation.kind = Some(rule.kind);
    explanation.mac = captures.mac;
    explanation.rule = Some(rule.pattern.to_string());
    explanation.starts_boot = rule.starts_boot;
    (explanation.scope, explanation.class) = if rule.is_device() {
        (Some(Scope::Device), Some(Class::Device))
    } else if rule.pattern.has_model() {
        (Some(Scope::Model), Some(Class::Shared))
    } else {
        (Some(Scope::Everyone), Some(Class::Shared))
    };
}

fn content<'a>(blob: &'a BlobRecord, place: String, explanation: &mut Explanation) -> Route<'a> {
    explanation.source = Some(place);
    explanation.reason = "a stored file".to_owned();
    Route::Serve(Serve::Content(blob))
}
