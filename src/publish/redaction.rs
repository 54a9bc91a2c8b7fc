//! Secrets taken out of what operators are shown: no reading endpoint has one.
//!
//! A setting is shown if the table knows it and holds no secret. Of lines the fields are shown that are not secret, of
//! vendors' parameters the names; what nobody knows is not shown.

use serde_json::Value;

use crate::device::DeviceSettings;
use crate::publish::OTHER_SECRET;
use crate::publish::SECRET;
use crate::release::ReleaseRecord;
use crate::settings::Kind;
use crate::settings::LINE_FIELDS;
use crate::settings::SETTINGS;
use crate::settings::Settings;
use crate::site::SiteRecord;

/// A site's record without its secrets.
pub fn site(record: &SiteRecord) -> SiteRecord {
    site_beside(record, None)
}

/// The same beside one that its reader has: a secret says whether it is the same.
pub fn site_beside(record: &SiteRecord, other: Option<&SiteRecord>) -> SiteRecord {
    let mut shown = record.clone();
    shown.layer.settings = settings(&record.layer.settings, other.map(|it| &it.layer.settings));
    for (user, password) in shown.passwords.iter_mut() {
        let theirs = other.map(|other| other.passwords.get(user));
        *password = mark(theirs.map(|theirs| theirs == Some(password))).to_owned();
    }
    if let Some(canary) = &mut shown.canary {
        *canary.record = site(&canary.record);
    }
    shown
}

/// A release's record without its secrets, beside one that its reader has.
pub fn release(record: &ReleaseRecord, other: Option<&ReleaseRecord>) -> ReleaseRecord {
    let mut shown = record.clone();
    let layers = [
        (&mut shown.deployment, other.map(|it| &it.deployment)),
        (&mut shown.tenant, other.map(|it| &it.tenant)),
    ];
    for (layer, theirs) in layers {
        layer.settings = settings(&layer.settings, theirs.map(|it| &it.settings));
    }
    for (name, model) in shown.models.iter_mut() {
        let theirs = other.map(|other| other.models.get(name).map(|it| &it.settings));
        let none = Settings::new();
        let theirs = theirs.map(|theirs| theirs.unwrap_or(&none));
        model.settings = settings(&model.settings, theirs);
    }
    shown
}

/// A device's settings without their secrets, beside those that its reader has.
pub fn device(record: &DeviceSettings, other: Option<&DeviceSettings>) -> DeviceSettings {
    DeviceSettings {
        settings: settings(&record.settings, other.map(|it| &it.settings)),
        sealed: None,
        ..record.clone()
    }
}

/// A layer without its secrets. `None` is a reader who has none to compare with.
fn settings(layer: &Settings, other: Option<&Settings>) -> Settings {
    let mut shown = Settings::new();
    for (name, value) in layer {
        let theirs = other.map(|other| other.get(name).unwrap_or(&Value::Null));
        let setting = SETTINGS.iter().find(|setting| setting.name == name);
        let value = match setting.map(|setting| (setting.holds_secrets(), setting.kind)) {
            Some((false, _)) => value.clone(),
            None if DERIVED.contains(&name.as_str()) => value.clone(),
            Some((true, Kind::Lines)) => lines(value, theirs),
            _ => hidden(value, theirs),
        };
        shown.insert(name.clone(), value);
    }
    shown
}

/// Settings that are none of the table's, because they are made of others: a zone brings its daylight saving along.
const DERIVED: &[&str] = &["daylight"];

fn lines(value: &Value, other: Option<&Value>) -> Value {
    let Value::Array(lines) = value else {
        return hidden(value, other);
    };
    let line = |(place, line): (usize, &Value)| {
        let theirs = other.map(|other| other.get(place).unwrap_or(&Value::Null));
        let Value::Object(fields) = line else {
            return hidden(line, theirs);
        };
        let field = |(name, value): (&String, &Value)| {
            let theirs = theirs.map(|theirs| theirs.get(name).unwrap_or(&Value::Null));
            let known = LINE_FIELDS.iter().find(|field| field.name == name);
            let value = match known {
                Some(field) if !field.secret => value.clone(),
                _ => hidden(value, theirs),
            };
            (name.clone(), value)
        };
        Value::Object(fields.iter().map(field).collect())
    };
    Value::Array(lines.iter().enumerate().map(line).collect())
}

/// The shape of a value, without what stands in it. `null` takes back what a farther layer says, and is no secret.
fn hidden(value: &Value, other: Option<&Value>) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                let theirs = other.map(|other| other.get(name).unwrap_or(&Value::Null));
                (name.clone(), hidden(value, theirs))
            };
            Value::Object(fields.iter().map(field).collect())
        }
        _ => Value::String(mark(other.map(|other| other == value)).to_owned()),
    }
}

/// What stands where a secret would: for whoever has one to compare with, whether it is the same.
fn mark(same: Option<bool>) -> &'static str {
    match same {
        Some(false) => OTHER_SECRET,
        _ => SECRET,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::settings;

    /// A layer, what its reader has, and what is shown.
    #[test]
    fn what_is_secret_is_not_shown() {
        let rows: [(Value, Option<Value>, Value); 9] = [
            (
                json!({"language": "de-DE"}),
                None,
                json!({"language": "de-DE"}),
            ),
            (
                json!({"daylight": {"save": 3600}}),
                Some(json!({})),
                json!({"daylight": {"save": 3600}}),
            ),
            (
                json!({"admin_password": "hunter2"}),
                None,
                json!({"admin_password": "(secret)"}),
            ),
            (
                json!({"admin_password": "hunter2"}),
                Some(json!({"admin_password": "hunter2"})),
                json!({"admin_password": "(secret)"}),
            ),
            (
                json!({"admin_password": "hunter2"}),
                Some(json!({})),
                json!({"admin_password": "(other secret)"}),
            ),
            (
                json!({"admin_password": null}),
                None,
                json!({"admin_password": null}),
            ),
            (
                json!({"lines": [{"user": "1001", "password": "s3cret", "made-up": "x"}, "odd"]}),
                Some(json!({"lines": [{"user": "1001", "password": "s3cret"}]})),
                json!({"lines": [
                    {"user": "1001", "password": "(secret)", "made-up": "(other secret)"}, "(other secret)"
                ]}),
            ),
            (
                json!({"parameters": {"one": {"a.password": "x", "b": "y"}}}),
                Some(json!({"parameters": {"one": {"a.password": "x", "b": "z"}}})),
                json!({"parameters": {"one": {"a.password": "(secret)", "b": "(other secret)"}}}),
            ),
            (
                json!({"made-up": [1, {"x": 2}]}),
                None,
                json!({"made-up": "(secret)"}),
            ),
        ];
        for (layer, other, expected) in rows {
            let object = |value: &Value| value.as_object().cloned().unwrap();
            let other = other.as_ref().map(object);
            let found = settings(&object(&layer), other.as_ref());
            assert_eq!(Value::Object(found), expected, "{layer} beside {other:?}");
        }
    }
}
