//! `handset check`: renders every file of every phone, so that what a phone would suffer is found first.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::device::DeviceSettings;
use crate::fleet::Fleet;
use crate::fleet::diagnostic::Diagnostic;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::mac::MacAddress;
use crate::release::Model;
use crate::release::Release;
use crate::release::Rule;
use crate::render::RenderError;
use crate::settings;
use crate::site::SiteRecord;
use crate::variables::Subject;
use crate::variables::Variables;
use crate::variables::is_set;
use crate::vendor::Format;
use crate::vendor::Source;
use crate::vendor::Vendor;

/// Renders everything; gives what is wrong with it, and the compiler's warnings.
pub fn check(fleet: &Fleet) -> Vec<Diagnostic> {
    let mut checker = Checker {
        fleet,
        found: BTreeMap::new(),
        warnings: Diagnostics::default(),
    };
    for (site, devices) in &fleet.snapshot.devices {
        let Some((site, release)) = place_of(fleet, site) else {
            continue;
        };
        let mut models = BTreeSet::new();
        for (mac, settings) in devices {
            let Ok(settings) = serde_json::from_slice::<DeviceSettings>(settings) else {
                continue;
            };
            checker.device(site, release, *mac, &settings);
            models.insert(settings.model);
        }
        checker.redirects(site, release, &models);
        for model in models.iter().filter_map(|model| release.model(None, model)) {
            checker.shared(site, release, &model);
        }
    }
    checker.report()
}

fn place_of<'f>(fleet: &'f Fleet, site: &str) -> Option<(&'f SiteRecord, &'f Release)> {
    let site = fleet.snapshot.sites.get(site)?;
    Some((site, fleet.snapshot.releases.get(&site.release)?))
}

struct Checker<'f> {
    fleet: &'f Fleet,
    /// One finding for all the phones that suffer from it: template, line and problem, by whom.
    found: BTreeMap<(String, usize, String), Suffering>,
    warnings: Diagnostics,
}

struct Suffering {
    first: Place,
    whose: String,
    count: usize,
}

impl Checker<'_> {
    fn device(
        &mut self,
        site: &SiteRecord,
        release: &Release,
        mac: MacAddress,
        settings: &DeviceSettings,
    ) {
        let Some(model) = release.model(None, &settings.model) else {
            return;
        };
        let place = self
            .fleet
            .devices
            .get(&mac)
            .map(|(_, place)| place.clone())
            .unwrap_or_default();
        let templates = templates(site, release, &model, |rule, pinned| {
            rule.is_device() && (!pinned || settings.firmware.is_some())
        });
        for template in templates {
            let subject = subject(site, release, Some(model.clone()), Some((mac, settings)));
            self.render(&template, &subject, &place, &format!("for {mac}"));
        }
    }

    /// A phone that does not follow a redirect does not get its firmware.
    fn redirects(&mut self, site: &SiteRecord, release: &Release, models: &BTreeSet<String>) {
        let Some(bytes) = site.images.redirect_over else {
            return;
        };
        let models = models.iter().filter_map(|name| release.model(None, name));
        let vendors: BTreeSet<&str> = models
            .filter_map(|model| Vendor::find(model.vendor))
            .filter(|vendor| !vendor.follows_redirects)
            .map(|vendor| vendor.name)
            .collect();
        for vendor in vendors {
            let problem = format!(
                "images over {bytes} bytes are redirected, and phones of {vendor} are not known to follow"
            );
            let remedy =
                "try it with one of them, or say `[images] redirect_over = 0` for the site";
            let place = Place::file(format!("sites/{}.toml", site.name));
            self.warnings.warning(&place, problem, remedy);
        }
    }

    fn shared(&mut self, site: &SiteRecord, release: &Release, model: &Model<'_>) {
        let place = Place::file(format!("sites/{}.toml", site.name));
        for (wide, of_model) in [(false, true), (true, false)] {
            let rules = |rule: &Rule, _| !rule.is_device() && rule.pattern.has_model() == of_model;
            for template in templates(site, release, model, rules) {
                let of = (!wide).then(|| model.clone());
                let mut subject = subject(site, release, of, None);
                subject.vendor = Vendor::find(model.vendor);
                self.render(
                    &template,
                    &subject,
                    &place,
                    &format!("for site {}", site.name),
                );
            }
        }
    }

    fn render(&mut self, template: &str, subject: &Subject<'_>, place: &Place, whose: &str) {
        let rendered = subject
            .release
            .templates
            .render(template, &Variables::of(subject));
        let problem = match rendered {
            Ok(text) => {
                let format = subject.release.templates.format(template);
                format
                    .and_then(|format| well_formed(format, &text))
                    .map(|(line, problem)| (template.to_owned(), line, problem))
            }
            Err(error) => Some((
                error.template.clone(),
                error.line.unwrap_or_default(),
                describe(&error),
            )),
        };
        if let Some(problem) = problem {
            let first = fault(subject.release, &problem).unwrap_or_else(|| place.clone());
            let suffering = Suffering {
                first,
                whose: whose.to_owned(),
                count: 0,
            };
            self.found.entry(problem).or_insert(suffering).count += 1;
        }
    }

    fn report(self) -> Vec<Diagnostic> {
        let mut diagnostics = Diagnostics::default();
        for ((template, line, problem), suffering) in self.found {
            let more = match suffering.count {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            let problem = format!(
                "template {template}:{line}: {problem} ({}{more})",
                suffering.whose
            );
            let remedy = remedy(&problem);
            diagnostics.error(&suffering.first, problem, remedy);
        }
        let mut found = diagnostics.into_sorted();
        found.extend(self.warnings.into_sorted());
        found.extend(self.fleet.warnings.iter().cloned());
        found
    }
}

fn subject<'a>(
    site: &'a SiteRecord,
    release: &'a Release,
    model: Option<Model<'a>>,
    device: Option<(MacAddress, &'a DeviceSettings)>,
) -> Subject<'a> {
    let vendor = model.as_ref().and_then(|model| Vendor::find(model.vendor));
    Subject {
        site,
        release,
        base: site.base(),
        vendor,
        model,
        device,
    }
}

/// The templates that rules of the model's vendor render, each once.
fn templates(
    site: &SiteRecord,
    release: &Release,
    model: &Model<'_>,
    wanted: impl Fn(&Rule, bool) -> bool,
) -> BTreeSet<String> {
    let mine = |rule: &&Rule| {
        rule.vendor
            .is_some_and(|vendor| vendor.name == model.vendor)
    };
    let mut found = BTreeSet::new();
    for rule in release.rules().iter().filter(mine) {
        for source in &rule.sources {
            let (name, pinned) = match source {
                Source::PinnedTemplate(name) => (name, true),
                Source::SettingTemplate(name, setting) if is_set(site, release, setting) => {
                    (name, false)
                }
                Source::Template(name) => (name, false),
                _ => continue,
            };
            // A folder that is another family's is not this model's.
            let other = rule.vendor.is_some_and(|vendor| {
                let families = vendor
                    .models
                    .iter()
                    .map(|other| other.family)
                    .filter(|family| *family != model.family);
                families
                    .into_iter()
                    .any(|family| name.starts_with(&format!("{family}/")))
            });
            let template = format!(
                "{}/{}",
                model.vendor,
                name.replace("{family}", model.family)
            );
            if !other && wanted(rule, pinned) && release.templates.has(&template) {
                found.insert(template);
            }
        }
    }
    found
}

/// The operator's template, where it and not a value is at fault.
fn fault(release: &Release, (template, line, problem): &(String, usize, String)) -> Option<Place> {
    let file = release.record.templates.get(template)?.file.clone()?;
    (!problem.contains(IN_SETTING)).then_some(Place { file, line: *line })
}

const IN_SETTING: &str = " in setting ";

fn describe(error: &RenderError) -> String {
    match error.settings.as_slice() {
        [] => error.problem.clone(),
        settings => format!("{}{IN_SETTING}{}", error.problem, settings.join(", ")),
    }
}

fn remedy(problem: &str) -> &'static str {
    if problem.contains("undefined name") && problem.contains("base") {
        return "give the site a public_url: this file needs absolute addresses";
    }
    if settings::SETTINGS
        .iter()
        .any(|setting| is_undefined(problem, setting.name) && setting.secret)
        || ["keys", "lines"]
            .into_iter()
            .any(|name| is_undefined(problem, name))
    {
        return "secrets, lines and keys are in reach of a device's own files only: put it into one of those";
    }
    if problem.contains("undefined name") {
        return "set it in a layer that this file sees, or test it with `is defined`";
    }
    if problem.contains(IN_SETTING) {
        return "take the character out of the value";
    }
    "mend the template"
}

fn is_undefined(problem: &str, name: &str) -> bool {
    problem.contains(&format!("`{name}` is undefined"))
}

/// The line and problem of a rendered file that a phone would not read.
fn well_formed(format: Format, text: &str) -> Option<(usize, String)> {
    match format {
        Format::Xml => xml_problem(text),
        Format::KeyValue => line_problem(text, "name=value", |line| {
            line.contains('=') || line.starts_with("include ")
        }),
        Format::QuotedLines => line_problem(text, "NAME=\"value\"", |line| {
            line.split_once("=\"")
                .is_some_and(|(_, value)| value.ends_with('"'))
        }),
        Format::Plain => None,
    }
}

fn line_problem(text: &str, shape: &str, good: impl Fn(&str) -> bool) -> Option<(usize, String)> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let (index, _) = lines.into_iter().find(|(_, line)| !good(line))?;
    Some((
        index + 1,
        format!("the rendered line {} is not {shape}", index + 1),
    ))
}

fn xml_problem(text: &str) -> Option<(usize, String)> {
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut depth = 0_usize;
    let mut roots = 0_usize;
    let problem = loop {
        use quick_xml::events::Event;
        match reader.read_event() {
            Ok(Event::Start(element)) => {
                if let Some(problem) = attribute_problem(&element) {
                    break problem;
                }
                roots += usize::from(depth == 0);
                depth += 1;
            }
            Ok(Event::Empty(element)) => {
                if let Some(problem) = attribute_problem(&element) {
                    break problem;
                }
                roots += usize::from(depth == 0);
            }
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Eof) if depth > 0 => break "an element is not closed".to_owned(),
            Ok(Event::Eof) if roots != 1 => break format!("{roots} root elements, not one"),
            Ok(Event::Eof) => return None,
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    let position = usize::try_from(reader.error_position().max(reader.buffer_position()))
        .unwrap_or(text.len());
    let line = 1 + text
        .bytes()
        .take(position)
        .filter(|byte| *byte == b'\n')
        .count();
    Some((line, format!("not well-formed XML: {problem}")))
}

fn attribute_problem(element: &quick_xml::events::BytesStart<'_>) -> Option<String> {
    element
        .attributes()
        .find_map(|attribute| attribute.err().map(|error| error.to_string()))
}
