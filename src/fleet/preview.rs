//! `handset render` and `handset explain`: one request through the real handler, without a server.

use std::collections::BTreeSet;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use crate::access::Uncounted;
use crate::client::Client;
use crate::fleet::redaction::redact;
use crate::key;
use crate::respond::Request;
use crate::respond::Response;
use crate::respond::respond;
use crate::route::Explanation;
use crate::secret::DeploymentSecrets;
use crate::settings::Settings;
use crate::store::Publishing;
use crate::store::Records;
use crate::store::StoreError;

/// A request as a phone would make it.
#[derive(Clone, Debug)]
pub struct Question<'q> {
    /// GET, HEAD, PUT or POST.
    pub method: Method,
    /// Path and query, or a whole address.
    pub target: &'q str,
    /// What the phone says of itself.
    pub user_agent: Option<&'q str>,
    /// The site of requests whose path and host name none.
    pub site: Option<&'q str>,
    /// What the keys in addresses are made with; without it, addresses have none.
    pub secrets: Option<&'q DeploymentSecrets>,
}

/// Asks the handler. Uploads are decided but have no length, so that nothing is ever stored.
pub async fn ask<S: Records + Publishing>(
    store: &S,
    question: &Question<'_>,
    upload: S::Upload,
) -> Response<S::Body> {
    let mut headers = HeaderMap::new();
    if let Some(agent) = question
        .user_agent
        .and_then(|agent| HeaderValue::from_str(agent).ok())
    {
        headers.insert(header::USER_AGENT, agent);
    }
    let (host, target) = split_address(question.target);
    let request = Request {
        method: &question.method,
        target: &target,
        host,
        headers: &headers,
        now: 0,
        id: 0,
        fallback_site: question.site,
        client: Client::default(),
        secrets: question.secrets,
        replays: &Uncounted,
        operator: true,
    };
    let mut response = respond(store, request, upload).await;
    if response.status == StatusCode::LENGTH_REQUIRED {
        response.explanation.reason = "the device may upload this file".to_owned();
    }
    response
}

/// What of an answer is not to be shown.
#[derive(Debug)]
pub struct Hidden {
    layers: Vec<Settings>,
    names: BTreeSet<String>,
}

impl Hidden {
    /// A file without passwords and keys.
    pub fn redact(&self, text: &str) -> String {
        key::hide(&redact(text, &self.layers, &self.names))
    }
}

/// The layers that a file may have its secrets from, and the names of `parameters` that are secret.
pub async fn hidden<S: Records>(
    store: &S,
    explanation: &Explanation,
    parameters: BTreeSet<String>,
) -> Result<Hidden, StoreError> {
    let mut hidden = Hidden {
        layers: Vec::new(),
        names: parameters,
    };
    let site = match &explanation.site {
        Some(name) => store.site(name).await?,
        None => None,
    };
    let Some(site) = site else {
        return Ok(hidden);
    };
    let release = store.release(&site.release).await?;
    let record = &release.record;
    for layer in [&record.deployment, &record.tenant, &site.layer] {
        hidden.layers.push(layer.settings.clone());
    }
    let models = record.models.values();
    hidden
        .layers
        .extend(models.map(|model| model.settings.clone()));
    if let Some(mac) = explanation.mac
        && let Some((device, _)) = store.device(&site.name, mac).await?
    {
        let own = device.settings.values().flatten();
        hidden.layers.extend(own.map(|own| own.settings.clone()));
    }
    Ok(hidden)
}

/// The host of an address, and its path with a slash before it.
fn split_address(target: &str) -> (Option<&str>, String) {
    match target.split_once("://") {
        Some((_, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            (Some(host), format!("/{path}"))
        }
        None => (None, format!("/{}", target.trim_start_matches('/'))),
    }
}

#[cfg(test)]
mod tests {
    use super::split_address;

    #[test]
    fn addresses_and_paths() {
        assert_eq!(
            split_address("lync/shared.cfg"),
            (None, "/lync/shared.cfg".to_owned())
        );
        assert_eq!(
            split_address("//lync/shared.cfg"),
            (None, "/lync/shared.cfg".to_owned())
        );
        assert_eq!(
            split_address("http://h:1/a?b"),
            (Some("h:1"), "/a?b".to_owned())
        );
        assert_eq!(split_address("http://h"), (Some("h"), "/".to_owned()));
    }
}
