//! Whom the relay trusts to be the server, and what it shows of itself (RFC 8446 section 4.4.2).

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::rustls;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::platform::native::tls;

/// Files in PEM.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Certificate authorities to trust instead of those that Mozilla's programs trust.
    pub authorities: Option<PathBuf>,
    /// The relay's certificate with those that signed it, and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Why there can be no TLS towards the server.
#[derive(Debug)]
pub enum TrustError {
    /// A file, by its setting, cannot be used.
    File(&'static str, PathBuf, pem::Error),
    /// The files do not go together.
    Pair(rustls::Error),
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(setting, path, error) => write!(
                f,
                "{setting} {}: {} (a PEM file is wanted)",
                path.display(),
                tls::problem(error)
            ),
            Self::Pair(error) => write!(
                f,
                "--client-cert and --client-key cannot be used together: {error} (the key must be that of the first \
                 certificate)"
            ),
        }
    }
}

impl std::error::Error for TrustError {}

impl Trust {
    /// What begins a connection.
    pub(super) fn config(&self) -> Result<ClientConfig, TrustError> {
        let roots = match &self.authorities {
            Some(path) => tls::roots(path).map_err(wrong("--upstream-ca", path))?,
            None => RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            },
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TrustError::Pair)?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = tls::read_chain(certificate);
                let chain = chain.map_err(wrong("--client-cert", certificate))?;
                let private =
                    PrivateKeyDer::from_pem_file(key).map_err(wrong("--client-key", key))?;
                let config = config.with_client_auth_cert(chain, private);
                config.map_err(TrustError::Pair)?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn wrong(setting: &'static str, path: &Path) -> impl FnOnce(pem::Error) -> TrustError {
    let path = path.to_owned();
    move |error| TrustError::File(setting, path, error)
}
