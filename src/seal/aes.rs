//! AES-256-GCM by RustCrypto, for the platforms whose runtime has none.

use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use aes_gcm::AeadInOut;
use aes_gcm::Aes256Gcm;
use aes_gcm::KeyInit;

use crate::seal::Cipher;
use crate::seal::Message;
use crate::seal::Way;

/// The cipher.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aes;

impl Cipher for Aes {
    async fn apply(&self, way: Way, message: &Message) -> Option<Vec<u8>> {
        let (key, nonce, bytes) = message.parts()?;
        let cipher = Aes256Gcm::new(key.into());
        let nonce = nonce.into();
        let mut buffer = bytes.to_vec();
        let done = match way {
            Way::Open => cipher.decrypt_in_place(nonce, &[], &mut buffer),
            Way::Seal => cipher.encrypt_in_place(nonce, &[], &mut buffer),
        };
        done.ok().map(|()| buffer)
    }
}

/// What comes of a future that never waits, as none does that waits for this cipher alone.
pub fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
