//! Client certificates (RFC 5280): who signed them, and the device that they name.
//!
//! The handshake asks for one and takes any: a phone offers the certificate that it has from its factory to
//! whoever asks, and one that nobody here knows must not keep it from coming with a key.

use std::sync::Arc;

use tokio_rustls::rustls::CertificateError;
use tokio_rustls::rustls::DigitallySignedStruct;
use tokio_rustls::rustls::DistinguishedName;
use tokio_rustls::rustls::Error;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::server::VerifierBuilderError;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerified;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::X509Certificate;

use crate::certificate::named;
use crate::mac::MacAddress;

/// The authorities whose word counts.
#[derive(Clone, Debug)]
pub(super) struct Authorities {
    verifier: Arc<dyn ClientCertVerifier>,
    expired: bool,
}

impl Authorities {
    /// Those of `roots`; `expired` if a certificate that was once good is good enough.
    pub(super) fn new(roots: RootCertStore, expired: bool) -> Result<Self, VerifierBuilderError> {
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        Ok(Self {
            verifier: verifier.build()?,
            expired,
        })
    }

    /// What asks for a certificate in a handshake.
    pub(super) fn asking(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::new(Asking(self.verifier.clone()))
    }

    /// The device that a client's certificate names, if they say so.
    pub(super) fn device(&self, chain: &[CertificateDer<'_>]) -> Option<MacAddress> {
        let (own, others) = chain.split_first()?;
        self.verify(own, others, UnixTime::now()).ok()?;
        device(own)
    }

    /// Everything is checked but, if asked for, the time: then it is that at which the first of the
    /// certificates ended.
    fn verify(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let verified = match self.verifier.verify_client_cert(own, others, now) {
            Err(error) if self.expired && is_expired(&error) => {
                let ends = std::iter::once(own).chain(others).filter_map(end);
                let then = ends.min().filter(|end| *end < now).ok_or(error)?;
                self.verifier.verify_client_cert(own, others, then)
            }
            verified => verified,
        };
        verified.map(|_| ())
    }
}

fn is_expired(error: &Error) -> bool {
    let Error::InvalidCertificate(error) = error else {
        return false;
    };
    matches!(
        error,
        CertificateError::Expired | CertificateError::ExpiredContext { .. }
    )
}

/// The last second at which a certificate is good.
fn end(certificate: &CertificateDer<'_>) -> Option<UnixTime> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let end = certificate.validity().not_after.timestamp();
    let since = std::time::Duration::from_secs(u64::try_from(end).ok()?);
    Some(UnixTime::since_unix_epoch(since))
}

/// The device that a certificate names, where its vendor's table says that it would.
pub(super) fn device(certificate: &CertificateDer<'_>) -> Option<MacAddress> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let mut devices = names(&certificate).filter_map(|(place, name)| named(place, name));
    let first = devices.next()?;
    // One that names two devices vouches for neither.
    devices.all(|other| other == first).then_some(first)
}

/// The texts of a certificate that may name a device, and where they stand.
fn names<'c>(
    certificate: &'c X509Certificate<'_>,
) -> impl Iterator<Item = (&'static str, &'c str)> {
    let common = certificate.subject().iter_common_name();
    let common = common.filter_map(|name| Some(("CN", name.as_str().ok()?)));
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let alternative = alternative.into_iter();
    let alternative = alternative.flat_map(|extension| &extension.value.general_names);
    common.chain(alternative.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(("SAN", *name)),
        _ => None,
    }))
}

/// What asks for a certificate, and leaves it to [`Authorities::device`] what it is worth.
#[derive(Debug)]
struct Asking(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Asking {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _own: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, own, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, own, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
