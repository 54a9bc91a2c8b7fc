//! Making boxes: what of a device's record lies in the clear is sealed when the record is written.

use crate::device::DeviceRecord;
use crate::encoding::base64;
use crate::mac::MacAddress;
use crate::seal::Cipher;
use crate::seal::KEY_ID;
use crate::seal::Message;
use crate::seal::PREFIX;
use crate::seal::Place;
use crate::seal::SETTINGS_KEY;
use crate::seal::Way;
use crate::seal::id_of;
use crate::seal::opening_settings;
use crate::seal::parts;
use crate::secret::DeploymentSecrets;

/// The first field of what nonces of devices' settings are made over.
const SETTINGS_NONCE: &[u8] = b"handset sealed settings nonce 1";

/// Seals a text under the secret that makes, with a key made over `fields`.
pub async fn seal(
    cipher: &impl Cipher,
    secrets: &DeploymentSecrets,
    fields: &[&[u8]],
    nonce: [u8; 12],
    text: &[u8],
) -> Option<String> {
    let message = Message::new(secrets.tag(fields), nonce, text);
    let ciphertext = cipher.apply(Way::Seal, &message).await?;
    let id = id_of(&secrets.tag(&[KEY_ID]));
    let bytes = [&nonce[..], &ciphertext].concat();
    Some(format!("{PREFIX}{id}:{}", base64(&bytes)))
}

/// Seals what of a device's record lies in the clear, and seals anew what the deployment's older secret has
/// sealed; `None` if it cannot be sealed. A box that does not open stays as it is: whoever reads it will hear of it, and
/// what else the record says is not lost for it.
pub async fn seal_record(
    cipher: &impl Cipher,
    secrets: &DeploymentSecrets,
    site: &str,
    mac: MacAddress,
    record: &mut DeviceRecord,
) -> Option<()> {
    let current = id_of(&secrets.tag(&[KEY_ID]));
    for (publication, settings) in record.settings.iter_mut() {
        let Some(settings) = settings else { continue };
        let place = Place {
            site,
            mac,
            publication,
        };
        if let Some(sealed) = &settings.sealed {
            if parts(sealed).is_none_or(|(id, _)| id == current) {
                continue;
            }
            let Some(message) = opening_settings(secrets, &place, sealed) else {
                continue;
            };
            let opened = cipher.apply(Way::Open, &message).await;
            let opened = opened.and_then(|json| serde_json::from_slice(&json).ok());
            let Some(opened) = opened else {
                continue;
            };
            settings.put_back(opened);
        }
        let secret = settings.take_secret();
        if !secret.is_empty() {
            let text = serde_json::to_vec(&secret).ok()?;
            settings.sealed = Some(seal_settings(cipher, secrets, &place, &text).await?);
        }
    }
    Some(())
}

/// The nonce is made over place and text, so that it is another for another text, and the same settings are the
/// same box: what is published again is not written again, and no platform has to be random.
async fn seal_settings(
    cipher: &impl Cipher,
    secrets: &DeploymentSecrets,
    place: &Place<'_>,
    text: &[u8],
) -> Option<String> {
    let mac = place.mac.bytes();
    let [purpose, site, address, publication] = place.fields(SETTINGS_NONCE, &mac);
    let tag = secrets.tag(&[purpose, site, address, publication, text]);
    let fields = place.fields(SETTINGS_KEY, &mac);
    seal(cipher, secrets, &fields, *tag.first_chunk()?, text).await
}
