//! Where the lines of `handset status` come from: a running server, or a fleet directory with the state beside it.

use http::Method;
use serde::Deserialize;

use crate::fleet::Fleet;
use crate::fleet::drift;
use crate::fleet::drift::Local;
use crate::fleet::outputs;
use crate::fleet::outputs::Group;
use crate::fleet::outputs::Output;
use crate::fleet::server::AT_ONCE;
use crate::fleet::server::Request;
use crate::fleet::server::Server;
use crate::fleet::server::Trouble;
use crate::fleet::server::ask;
use crate::fleet::server::at_once;
use crate::fleet::server::pages;
use crate::fleet::server::read;
use crate::fleet::status::Row;
use crate::fleet::status::Since;
use crate::fleet::status::rows;
use crate::mac::MacAddress;
use crate::publish::DeviceLine;
use crate::publish::Devices;
use crate::publish::UploadLine;
use crate::publish::Uploads;
use crate::store::Contact;

/// The phones of these sites, as a server knows them.
pub fn of_server(
    server: &impl Server,
    sites: &[String],
    fresh: Since,
) -> Result<Vec<Row>, Trouble> {
    let found = at_once(AT_ONCE, sites, |site| {
        let target = format!("sites/{site}/devices");
        let devices = pages(server, &target, |page: Devices| {
            let next = page.next.map(|next| next.to_string());
            (page.devices, next)
        })?;
        Ok(rows(site, devices, contacts(server, site)?, fresh))
    })?;
    Ok(found.into_iter().flatten().collect())
}

/// The phones of these sites of a fleet, as the state beside it has them.
pub fn of_fleet(
    server: &impl Server,
    fleet: &Fleet,
    sites: &[String],
    fresh: Since,
) -> Result<Vec<Row>, Trouble> {
    let groups = outputs::groups(fleet);
    let mut found = Vec::new();
    for site in sites {
        let mine = groups.iter().filter(|group| group.site.name == *site);
        let phones: Vec<DeviceLine> = mine
            .flat_map(|group| {
                group.phones.iter().map(|(mac, settings)| DeviceLine {
                    mac: *mac,
                    model: Some(group.model.name.to_owned()),
                    firmware: settings.firmware.clone(),
                    enrolment: String::new(),
                    publications: Vec::new(),
                    settings: None,
                })
            })
            .collect();
        let phones = at_once(AT_ONCE, &phones, |phone| {
            Ok(DeviceLine {
                enrolment: enrolment(server, site, phone.mac)?,
                ..phone.clone()
            })
        })?;
        let mut rows = rows(site, phones, contacts(server, site)?, fresh);
        // A directory is served as it is: there are no publications to tell apart.
        rows.iter_mut().for_each(|row| row.fetched = None);
        found.append(&mut rows);
    }
    Ok(found)
}

/// Adds to rows what the phones' own settings do to what the fleet gives them.
pub fn add_drift(server: &impl Server, fleet: &Fleet, rows: &mut [Row]) -> Result<(), Trouble> {
    let groups = outputs::groups(fleet);
    let shared = outputs::on_every_core(&groups, Group::shared);
    let groups: Vec<(&Group<'_>, Vec<Output>)> = groups.iter().zip(shared).collect();
    let drifts = at_once(AT_ONCE, rows, |row| {
        let mine = groups.iter().find(|(group, _)| {
            group.site.name == row.site && Some(group.model.name) == row.model.as_deref()
        });
        match mine {
            Some((group, shared)) => drift_of(server, fleet, group, shared, row).map(Some),
            None => Ok(None),
        }
    })?;
    for (row, drift) in rows.iter_mut().zip(drifts) {
        row.drift = drift;
    }
    Ok(())
}

fn drift_of(
    server: &impl Server,
    fleet: &Fleet,
    group: &Group<'_>,
    shared: &[Output],
    row: &Row,
) -> Result<Vec<Local>, Trouble> {
    let names = drift::names(group.model.vendor, row.mac);
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let uploads = uploads(server, &row.site, row.mac)?;
    let mut overrides = Vec::new();
    for name in names {
        if uploads.iter().any(|upload| upload.name == name) {
            let text = upload(server, &row.site, row.mac, &name)?;
            overrides.push((name, String::from_utf8_lossy(&text).into_owned()));
        }
    }
    let phone = group.phones.iter().find(|(mac, _)| *mac == row.mac);
    let (true, Some((mac, settings))) = (!overrides.is_empty(), phone) else {
        return Ok(Vec::new());
    };
    let files = [shared, &group.own(*mac, settings)].concat();
    let given = drift::given(group, *mac, &files);
    Ok(drift::drift(&overrides, &given, &fleet.sealed_parameters))
}

/// What a device has uploaded; nothing for one that the server does not know.
pub fn uploads(
    server: &impl Server,
    site: &str,
    mac: MacAddress,
) -> Result<Vec<UploadLine>, Trouble> {
    let target = format!("sites/{site}/devices/{mac}/uploads");
    match read::<Uploads>(server, &Request::new(Method::GET, target)) {
        Ok(uploads) => Ok(uploads.uploads),
        Err(trouble) if trouble.status() == Some(404) => Ok(Vec::new()),
        Err(trouble) => Err(trouble),
    }
}

/// The newest version of a small upload.
fn upload(
    server: &impl Server,
    site: &str,
    mac: MacAddress,
    name: &str,
) -> Result<Vec<u8>, Trouble> {
    let target = format!("sites/{site}/devices/{mac}/uploads/{name}");
    Ok(ask(server, &Request::new(Method::GET, target))?.body)
}

fn enrolment(server: &impl Server, site: &str, mac: MacAddress) -> Result<String, Trouble> {
    #[derive(Deserialize)]
    struct Shown {
        state: String,
    }
    let target = format!("sites/{site}/devices/{mac}/enrolment");
    let shown: Shown = read(server, &Request::new(Method::GET, target))?;
    Ok(shown.state)
}

/// A page of last contacts, as the endpoint gives it.
#[derive(Deserialize)]
struct Contacts {
    contacts: Vec<Line>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    mac: MacAddress,
    #[serde(flatten)]
    contact: Contact,
}

fn contacts(server: &impl Server, site: &str) -> Result<Vec<(MacAddress, Contact)>, Trouble> {
    let target = format!("sites/{site}/contacts");
    pages(server, &target, |page: Contacts| {
        let lines = page.contacts.into_iter();
        let contacts = lines.map(|line| (line.mac, line.contact)).collect();
        (contacts, page.next)
    })
}
