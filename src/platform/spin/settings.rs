//! The variables of spin.toml, which say where the bucket is and what opens it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use http::HeaderName;
use spin_sdk::variables;
use spin_sdk::variables::Error;

use crate::platform::spin::wire::Outbound;
use crate::secret::DeploymentSecrets;
use crate::store::StoreError;
use crate::store::StoreErrorKind;
use crate::store::s3::Address;
use crate::store::s3::Credentials;
use crate::store::s3::S3;

/// What the variables say.
pub(super) struct Settings {
    pub(super) bucket: S3<Outbound>,
    /// What keys are made with; sites that ask for keys are 503 without it.
    pub(super) secrets: Option<DeploymentSecrets>,
    /// Whether a proxy stands before Spin, whose word on who asks is believed.
    pub(super) proxied: bool,
    /// The header in which it says whom a client's certificate names.
    pub(super) subject: Option<HeaderName>,
}

/// The settings as the variables said a moment ago, and when that was.
static SETTINGS: Mutex<Option<(u64, Arc<Settings>)>> = Mutex::new(None);

/// How long variables are taken for current, in milliseconds. A vault is not asked at each request, and a key
/// that it changes is used soon.
const YOUNG: u64 = 60_000;

/// The settings. A variable that is wrong is wrong for every request, so that nobody takes the server for well.
pub(super) async fn read(now: u64) -> Result<Arc<Settings>, StoreError> {
    let kept = SETTINGS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if let Some((read, settings)) = kept
        && now.checked_sub(read).is_some_and(|age| age < YOUNG)
    {
        return Ok(settings);
    }
    let settings = Arc::new(Settings {
        bucket: S3::new(address().await?, credentials().await?, wire().await?),
        secrets: secrets().await?,
        proxied: optional("behind_proxy").await?.as_deref() == Some("true"),
        subject: subject().await?,
    });
    let mut kept = SETTINGS.lock().unwrap_or_else(PoisonError::into_inner);
    *kept = Some((now, settings.clone()));
    Ok(settings)
}

async fn secrets() -> Result<Option<DeploymentSecrets>, StoreError> {
    let secrets = optional("secret").await?;
    let secrets = secrets.map(|text| DeploymentSecrets::parse(&text));
    secrets.transpose().map_err(|error| wrong("secret", error))
}

async fn subject() -> Result<Option<HeaderName>, StoreError> {
    let name = optional("client_subject_header").await?;
    let name = name.map(|name| name.parse());
    name.transpose()
        .map_err(|_| wrong("client_subject_header", "it is no header's name"))
}

async fn address() -> Result<Address, StoreError> {
    let mut text = format!("s3://{}", needed("s3_bucket").await?);
    if let Some(prefix) = optional("s3_prefix").await? {
        text.push('/');
        text.push_str(&prefix);
    }
    text.push_str(&format!("?endpoint={}", needed("s3_endpoint").await?));
    for (variable, parameter) in [
        ("s3_region", "region"),
        ("s3_style", "style"),
        ("s3_insecure", "insecure"),
    ] {
        if let Some(value) = optional(variable).await? {
            text.push_str(&format!("&{parameter}={value}"));
        }
    }
    text.parse().map_err(|error| {
        wrong(
            "s3_endpoint, s3_bucket, s3_prefix, s3_region, s3_style",
            error,
        )
    })
}

async fn credentials() -> Result<Credentials, StoreError> {
    let key = needed("s3_access_key").await?;
    let secret = needed("s3_secret_key").await?;
    let token = optional("s3_session_token").await?;
    Ok(Credentials::new(&key, &secret, token.as_deref()))
}

async fn wire() -> Result<Outbound, StoreError> {
    let patience = match optional("s3_patience").await? {
        Some(text) => text.parse(),
        None => Ok(PATIENCE),
    };
    let patience = patience.map_err(|error| wrong("s3_patience", error))?;
    Ok(Outbound { patience })
}

async fn needed(name: &'static str) -> Result<String, StoreError> {
    let value = optional(name).await?;
    value.ok_or_else(|| wrong(name, "it is not set, or empty"))
}

/// A variable's value; an empty one is none, as a manifest gives a variable a default or demands it.
async fn optional(name: &'static str) -> Result<Option<String>, StoreError> {
    match variables::get(name).await {
        Ok(value) => Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty())),
        Err(Error::Undefined(_)) => Ok(None),
        // What a provider says may hold what it was asked for.
        Err(_) => Err(wrong(name, "its provider failed")),
    }
}

fn wrong(
    variable: &str,
    problem: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::new(
        StoreErrorKind::Down,
        format!("variable {variable}"),
        problem,
    )
}

/// Milliseconds that the service may leave a request or a response lying.
const PATIENCE: u64 = 30_000;
