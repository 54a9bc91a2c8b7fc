//! Certificates for phones, made as they are needed.

use rcgen::BasicConstraints;
use rcgen::Certificate;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::date_time_ymd;

/// Whoever signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut authority = named(name);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = authority.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(authority, key),
            pem,
        }
    }

    /// A certificate for this name, good until this year.
    pub(crate) fn sign(&self, name: &str, year: i32) -> (Certificate, KeyPair) {
        let mut phone = named(name);
        phone.not_before = date_time_ymd(2010, 1, 1);
        phone.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        (phone.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
