//! Passwords as a client sends them: Basic (RFC 7617), and Digest by MD5 (RFC 7616).

use handset::access::REALM;
use handset::encoding::hex;
use md5::Digest as _;
use md5::Md5;

/// The value of an Authorization header with a password in it.
pub(crate) fn basic(user: &str, password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = format!("{user}:{password}");
    let mut encoded = String::from("Basic ");
    for three in text.as_bytes().chunks(3) {
        let mut bytes = [0; 4];
        bytes[1..=three.len()].copy_from_slice(three);
        let number = u32::from_be_bytes(bytes);
        for digit in 0..=three.len() {
            encoded.push(DIGITS[(number >> (18 - 6 * digit) & 63) as usize].into());
        }
    }
    encoded
}

/// The same with a proof that its sender knows the password, in answer to a nonce.
pub(crate) fn digest(
    (user, password): (&str, &str),
    nonce: &str,
    (method, target): (&str, &str),
) -> String {
    let hash = |text: String| hex(&Md5::digest(text));
    let (one, two) = (
        hash(format!("{user}:{REALM}:{password}")),
        hash(format!("{method}:{target}")),
    );
    let response = hash(format!("{one}:{nonce}:00000001:abc:auth:{two}"));
    format!(
        "Digest username=\"{user}\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{target}\", \
         response=\"{response}\", qop=auth, nc=00000001, cnonce=\"abc\""
    )
}
