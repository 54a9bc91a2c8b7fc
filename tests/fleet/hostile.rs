//! Hostile values: what a phone's XML reader gets is what the operator wrote, or nothing is rendered.

use std::fs;

use handset::device::DeviceSettings;
use handset::fleet;
use handset::fleet::Hashes;
use handset::mac::MacAddress;
use handset::render::RenderError;
use handset::variables::Subject;
use handset::variables::Variables;
use handset::vendor::Vendor;
use proptest::prelude::*;
use serde_json::json;

/// Renders a device's file of a small fleet with this password.
fn render(model: &str, template: &str, password: &str) -> Result<String, RenderError> {
    let directory = tempfile::tempdir().unwrap();
    let fleet_file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    fleet_file("handset.toml", "");
    fleet_file(
        "sites/s.toml",
        "access = \"open\"\npublic_url = \"http://prov.example\"\n",
    );
    let fleet = fleet::compile(directory.path(), &mut Hashes::default()).unwrap();
    let site = &fleet.snapshot.sites["s"];
    let release = &fleet.snapshot.releases[&site.release];
    let settings =
        json!({"model": model, "settings": {"lines": [{"user": "100", "password": password}]}});
    let device: DeviceSettings = serde_json::from_value(settings).unwrap();
    let mac: MacAddress = "0004f2000001".parse().unwrap();
    let model = release.model(None, model).unwrap();
    let subject = Subject {
        own_address: true,
        site,
        release,
        base: site.base(),
        vendor: Vendor::find(model.vendor),
        model: Some(model),
        device: Some((mac, &device)),
        opened: None,
    };
    release.templates.render(template, &Variables::of(&subject))
}

/// The password as an XML reader that is not ours reads it.
fn read_back(xml: &str) -> String {
    let document = roxmltree::Document::parse(xml).unwrap();
    let attribute = document
        .descendants()
        .find_map(|node| node.attribute("reg.1.auth.password"));
    let element = || {
        document
            .descendants()
            .find(|node| node.has_tag_name("SIP_PASS"))
    };
    attribute.or_else(|| element()?.text()).unwrap().to_owned()
}

const XML: [(&str, &str); 2] = [
    ("VVX 400", "polycom/{mac}-device.cfg"),
    ("KX-UTG200", "panasonic/utg/Config{MAC}.cfg"),
];

#[test]
fn hostile_passwords_come_back_from_another_reader() {
    let long = "<&\"'>".repeat(13_108);
    for password in [
        "'\"<&>",
        "]]>",
        "a\nb\tc\rd\r\ne",
        "\u{1F4DE} ☎ é",
        "&amp;&#10;",
        "<!--",
        "--><!-- x",
        "{{ 7*7 }}",
        "{% raw %}",
        " lead and trail ",
        &long,
    ] {
        for (model, template) in XML {
            assert_eq!(
                read_back(&render(model, template, password).unwrap()),
                password,
                "{model}"
            );
        }
    }
}

#[test]
fn what_a_format_cannot_hold_is_an_error_that_names_the_setting() {
    for (model, template, password) in [
        ("VVX 400", "polycom/{mac}-device.cfg", "a\u{0}b"),
        ("VVX 400", "polycom/{mac}-device.cfg", "a\u{b}b"),
        ("KX-UTG200", "panasonic/utg/Config{MAC}.cfg", "a\u{ffff}b"),
        (
            "420HD",
            "audiocodes/{mac}.cfg",
            "a\nprovisioning/firmware/url=http://evil",
        ),
        ("420HD", "audiocodes/{mac}.cfg", "a\rb"),
        ("420HD", "audiocodes/{mac}.cfg", "a\0b"),
        (
            "KX-UT136",
            "panasonic/ut/Config{MAC}.cfg",
            "a\"\r\nADMIN_PASS=\"x",
        ),
        ("KX-UT136", "panasonic/ut/Config{MAC}.cfg", "a\"b"),
    ] {
        let error = render(model, template, password).unwrap_err();
        assert_eq!(
            error.settings,
            ["lines.1.password (device layer)"],
            "{model} {password:?}: {error}"
        );
        assert!(
            !error.to_string().contains("evil"),
            "an error shows a value: {error}"
        );
    }
}

#[test]
fn over_long_lines_are_an_error() {
    let error = render("KX-UT136", "panasonic/ut/Config{MAC}.cfg", &"x".repeat(600)).unwrap_err();
    assert!(error.problem.contains("over 537 bytes"), "{error}");
    let error = render(
        "KX-UT136",
        "panasonic/ut/Config{MAC}.cfg",
        &"x".repeat(130_000),
    )
    .unwrap_err();
    assert!(error.problem.contains("122880"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_password_comes_back_or_is_refused(password in "\\PC{0,40}|[\\x00-\\x7f]{0,20}") {
        for (model, template) in XML {
            match render(model, template, &password) {
                // White space alone is no text to an XML reader that was not asked to keep it.
                Ok(text) if model == "VVX 400" || !password.is_empty() => {
                    prop_assert_eq!(read_back(&text), password.clone());
                }
                Ok(_) => {}
                Err(error) => prop_assert_eq!(error.settings.len(), 1),
            }
        }
    }

    #[test]
    fn no_password_adds_a_line(password in "\\PC{0,40}|[\\x00-\\x7f]{0,20}") {
        let plain = render("420HD", "audiocodes/{mac}.cfg", "x").unwrap().lines().count();
        if let Ok(text) = render("420HD", "audiocodes/{mac}.cfg", &password) {
            prop_assert_eq!(text.split(['\n', '\r']).count() - 1, plain);
        }
    }
}
