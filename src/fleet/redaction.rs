//! Secrets taken out of what is shown: by their value, whichever layer gives it, and by their parameter's name.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::device::DeviceSettings;
use crate::fleet::outputs::Group;
use crate::fleet::parameters;
use crate::settings::LINE_FIELDS;
use crate::settings::SETTINGS;
use crate::settings::Settings;
use crate::vendor::Format;
use crate::vendor::habits;

/// The secrets of a phone, then and now.
#[derive(Debug)]
pub(super) struct Secrets<'n> {
    old: BTreeSet<String>,
    new: BTreeSet<String>,
    /// Parameters that are secret whatever they are called.
    names: &'n BTreeSet<String>,
}

/// What a secret is shown as.
pub const MARK: &str = "(secret)";

/// What one is shown as beside another that it differs from.
pub const OTHER: &str = "(other secret)";

const NEW: &str = "(new secret)";

/// A shorter value may stand in a file by chance; it is taken out where it is a value as a whole.
const SURELY_SECRET: usize = 6;

/// A file without its secrets: those of the layers it was made from, and what `names` and the vendors' tables say is
/// secret.
pub fn redact<'l>(
    text: &str,
    layers: impl IntoIterator<Item = &'l Settings>,
    names: &BTreeSet<String>,
) -> String {
    let mut secrets: BTreeSet<String> = layers.into_iter().flat_map(values).collect();
    secrets.extend(by_name(text, names));
    redacted(text, &secrets, |_| MARK)
}

/// The values of a layer that are secret.
pub(super) fn values(layer: &Settings) -> impl Iterator<Item = String> + '_ {
    let own = SETTINGS.iter().filter(|setting| setting.secret);
    let own = own.filter_map(|setting| layer.get(setting.name));
    let lines = layer.get("lines").and_then(Json::as_array);
    let fields = lines.into_iter().flatten().flat_map(|line| {
        let fields = LINE_FIELDS.iter().filter(|field| field.secret);
        fields.filter_map(|field| line.get(field.name))
    });
    let texts = own.chain(fields).filter_map(Json::as_str);
    texts.filter(|value| !value.is_empty()).map(str::to_owned)
}

impl<'n> Secrets<'n> {
    /// What a phone's layers call secret, and parameters that are.
    pub(super) fn of(
        old: Option<(&Group<'_>, &DeviceSettings)>,
        new: Option<(&Group<'_>, &DeviceSettings)>,
        names: &'n BTreeSet<String>,
    ) -> Self {
        let values = |side: Option<(&Group<'_>, &DeviceSettings)>| {
            side.map(|(group, settings)| of_layers(group, settings))
                .unwrap_or_default()
        };
        Self {
            old: values(old),
            new: values(new),
            names,
        }
    }

    /// Both texts without secrets; one that goes says that it is another.
    pub(super) fn redact(&self, was: &str, is: &str) -> (String, String) {
        let mut old = self.old.clone();
        let mut new = self.new.clone();
        old.extend(by_name(was, self.names));
        new.extend(by_name(is, self.names));
        let old_text = redacted(was, &old, |secret| match new.contains(secret) {
            true => MARK,
            false => OTHER,
        });
        // One that was another's may be this one's now: what comes must not look like what goes.
        let new_text = redacted(is, &new, |secret| match old.contains(secret) {
            true => MARK,
            false => NEW,
        });
        (old_text, new_text)
    }
}

fn of_layers(group: &Group<'_>, settings: &DeviceSettings) -> BTreeSet<String> {
    let record = &group.release.record;
    let layers: [Option<&Settings>; 5] = [
        Some(&settings.settings),
        group.model.settings,
        Some(&group.site.layer.settings),
        Some(&record.tenant.settings),
        Some(&record.deployment.settings),
    ];
    layers.into_iter().flatten().flat_map(values).collect()
}

/// Values of parameters whose names say that they are secret.
fn by_name(text: &str, names: &BTreeSet<String>) -> Vec<String> {
    let format = Format::of_text(text, Format::KeyValue);
    let read = parameters::read(format, text).into_iter();
    let secret = read.filter(|parameter| {
        let name = parameter.name.as_str();
        !parameter.value.is_empty() && (names.contains(name) || habits::is_secret(name))
    });
    secret.map(|parameter| parameter.value).collect()
}

/// Longer secrets first: a shorter one may be a part of them.
fn redacted<'m>(text: &str, secrets: &BTreeSet<String>, mark: impl Fn(&str) -> &'m str) -> String {
    let mut secrets: Vec<&String> = secrets.iter().collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut text = text.to_owned();
    for secret in secrets {
        let mark = mark(secret);
        for written in [secret.clone(), escaped(secret)] {
            text = match written.len() {
                SURELY_SECRET.. => text.replace(&written, mark),
                _ => whole_values(&text, &written, mark),
            };
        }
    }
    text
}

/// As XML writes it (see `render.rs`).
fn escaped(value: &str) -> String {
    value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// Replaces a value between quotes, between tags, or from `=` to the line's end.
fn whole_values(text: &str, value: &str, mark: &str) -> String {
    let ends = [("\"", "\""), (">", "<"), ("=", "\n"), ("=", "\r")];
    ends.iter().fold(text.to_owned(), |text, (before, after)| {
        let wanted = format!("{before}{value}{after}");
        text.replace(&wanted, &format!("{before}{mark}{after}"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Secrets;

    #[test]
    fn secrets_leave_a_mark_and_no_trace() {
        let secrets = Secrets {
            old: ["a<b>c-old".to_owned(), "1234".to_owned()].into(),
            new: ["a<b>c-new".to_owned(), "1234".to_owned()].into(),
            names: &BTreeSet::new(),
        };
        let (was, is) = secrets.redact(
            "<a p=\"a&lt;b&gt;c-old\" q=\"1234\" port=\"12345\"/>\n",
            "<a p=\"a&lt;b&gt;c-new\" q=\"1234\" reg.1.auth.password=\"x\"/>\n",
        );
        assert_eq!(
            was,
            "<a p=\"(other secret)\" q=\"(secret)\" port=\"12345\"/>\n"
        );
        assert_eq!(
            is,
            "<a p=\"(new secret)\" q=\"(secret)\" reg.1.auth.password=\"(new secret)\"/>\n"
        );
    }
}
