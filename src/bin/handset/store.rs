//! Where `handset serve --store` keeps everything: a bucket, or a directory of the same objects.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use handset::platform::native;
use handset::platform::native::ServeOptions;
use handset::platform::native::log::Log;
use handset::platform::native::s3::HttpWire;
use handset::store::files::Files;
use handset::store::s3::Address;
use handset::store::s3::AddressError;
use handset::store::s3::Credentials;
use handset::store::s3::S3;
use handset::store::single::SingleStore;
use tokio::task::LocalSet;

/// A store by its address.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    /// `s3://…`
    Bucket(Address),
    /// A directory, which is made if it is not there.
    Files(PathBuf),
}

impl FromStr for Store {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.contains("://") {
            return text.parse().map(Self::Bucket);
        }
        let path: Result<PathBuf, Infallible> = text.parse();
        Ok(Self::Files(path.unwrap_or_default()))
    }
}

/// Serves what was published to a store.
pub(crate) fn serve(
    store: Store,
    authorities: Option<&Path>,
    serving: &ServeOptions,
) -> io::Result<ExitCode> {
    match store {
        Store::Bucket(address) => serve_bucket(address, authorities, serving),
        Store::Files(root) => serve_files(&root, serving),
    }
}

fn serve_files(root: &Path, serving: &ServeOptions) -> io::Result<ExitCode> {
    let failed = |error| io::Error::other(format!("{}: {error}", root.display()));
    let store = SingleStore::new(Files::open(root).map_err(failed)?, serving.secrets.clone());
    native::serve(Arc::new(store), serving, Log::to(io::stderr())).map_err(io::Error::other)?;
    Ok(ExitCode::SUCCESS)
}

fn serve_bucket(
    address: Address,
    authorities: Option<&Path>,
    serving: &ServeOptions,
) -> io::Result<ExitCode> {
    let credentials = Credentials::from_variables(|name| std::env::var(name).ok());
    let credentials = credentials.map_err(io::Error::other)?;
    let wire = match authorities {
        Some(path) => HttpWire::trusting(path).map_err(io::Error::other)?,
        None => HttpWire::new().map_err(io::Error::other)?,
    };
    let store = SingleStore::new(S3::new(address, credentials, wire), serving.secrets.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let probe = LocalSet::new().block_on(&runtime, store.bucket.probe());
    probe.map_err(io::Error::other)?;
    drop(runtime);
    native::serve(Arc::new(store), serving, Log::to(io::stderr())).map_err(io::Error::other)?;
    Ok(ExitCode::SUCCESS)
}
