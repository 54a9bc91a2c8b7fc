//! TLS 1.3 and 1.2 (RFC 8446, RFC 5246) from a certificate chain and a private key, both PEM files.

use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::mac::MacAddress;
use crate::platform::native::ServeOptions;
use crate::platform::native::certificate::Authorities;

/// Why a certificate or its key cannot be used.
#[derive(Debug)]
pub enum TlsError {
    /// The file with the certificate authorities of the store cannot be used.
    Authorities(PathBuf, pem::Error),
    /// The file with the certificates cannot be used.
    Certificate(PathBuf, pem::Error),
    /// The file with the certificate authorities of the clients cannot be used.
    ClientAuthorities(PathBuf, pem::Error),
    /// There can be no TLS towards the store.
    Client(rustls::Error),
    /// The file with the private key cannot be used.
    Key(PathBuf, pem::Error),
    /// Both were read, but do not go together or are of no known kind.
    Pair(PathBuf, PathBuf, rustls::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorities(path, error) => write!(
                f,
                "--store-ca {}: {} (a PEM file is wanted: certificates of those who sign the store's)",
                path.display(),
                problem(error),
            ),
            Self::Certificate(path, error) => write!(
                f,
                "--tls-cert {}: {} (a PEM file is wanted: the server's certificate, then those that signed it)",
                path.display(),
                problem(error),
            ),
            Self::ClientAuthorities(path, error) => write!(
                f,
                "--client-ca {}: {} (a PEM file is wanted: certificates of those who sign the phones')",
                path.display(),
                problem(error),
            ),
            Self::Client(error) => error.fmt(f),
            Self::Key(path, error) => write!(
                f,
                "--tls-key {}: {} (a PEM file with one private key and no passphrase is wanted)",
                path.display(),
                problem(error),
            ),
            Self::Pair(certificate, key, error) => write!(
                f,
                "{} and {} cannot be used together: {error} (the key must be that of the first certificate)",
                certificate.display(),
                key.display(),
            ),
        }
    }
}

impl std::error::Error for TlsError {}

/// What is wrong with a file, in a word.
pub(crate) fn problem(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            "no such file".to_owned()
        }
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "nothing of this kind in it".to_owned(),
        other => other.to_string(),
    }
}

/// What makes a connection secure, and who it is with.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    authorities: Option<Authorities>,
}

impl Tls {
    /// Reads the files, if there is to be TLS.
    pub(super) fn new(options: &ServeOptions) -> Result<Option<Self>, TlsError> {
        let Some((certificate, key)) = &options.tls else {
            return Ok(None);
        };
        let chain = read_chain(certificate)
            .map_err(|error| TlsError::Certificate(certificate.clone(), error))?;
        let private = PrivateKeyDer::from_pem_file(key);
        let private = private.map_err(|error| TlsError::Key(key.clone(), error))?;
        let authorities = client_authorities(options)?;
        let config = config(chain, private, authorities.as_ref())
            .map_err(|error| TlsError::Pair(certificate.clone(), key.clone(), error))?;
        Ok(Some(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            authorities,
        }))
    }

    /// The device that the client's certificate names. Looked at anew for a session that is taken up again: its
    /// certificate may have ended since.
    pub(super) fn device(&self, connection: &ServerConnection) -> Option<MacAddress> {
        let authorities = self.authorities.as_ref()?;
        authorities.device(connection.peer_certificates()?)
    }
}

fn client_authorities(options: &ServeOptions) -> Result<Option<Authorities>, TlsError> {
    let Some(path) = &options.client_authorities else {
        return Ok(None);
    };
    let wrong = |error| TlsError::ClientAuthorities(path.clone(), error);
    let roots = roots(path).map_err(wrong)?;
    let authorities = Authorities::new(roots, options.expired_certificates);
    // All that can be wrong is that there are none.
    let authorities = authorities.map_err(|_| wrong(pem::Error::NoItemsFound));
    authorities.map(Some)
}

/// Whom a client trusts, and nobody else.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    roots(path).map_err(|error| TlsError::Authorities(path.to_owned(), error))
}

/// The certificates of a file, as those of authorities.
pub(crate) fn roots(path: &Path) -> Result<RootCertStore, pem::Error> {
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(read_chain(path)?).0 == 0 {
        return Err(pem::Error::NoItemsFound);
    }
    Ok(roots)
}

/// The certificates of a file, in order.
pub(crate) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() {
        return Err(pem::Error::NoItemsFound);
    }
    Ok(chain)
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authorities: Option<&Authorities>,
) -> Result<ServerConfig, rustls::Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let config = match authorities {
        Some(authorities) => config.with_client_cert_verifier(authorities.asking()),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A phone that boots asks for ten files, some over a connection each.
    config.ticketer = ring::Ticketer::new()?;
    Ok(config)
}
