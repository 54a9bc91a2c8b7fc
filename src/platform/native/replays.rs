//! Uses of Digest's nonces (RFC 7616 section 3.4: the nonce count), for as long as one lives.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::access::Replays;
use crate::credential::Use;

/// The highest count that was seen of each nonce, of this process.
#[derive(Debug, Default)]
pub(super) struct Counted(Mutex<Generations>);

/// Nonces are forgotten by halves, the older half at once: a nonce is far older then than it may be.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<String, u32>,
    old: HashMap<String, u32>,
}

/// Nonces in a half. A proof that comes again after 65,536 others were accepted within five minutes passes.
const HALF: usize = 1 << 16;

impl Replays for Counted {
    fn is_first(&self, used: Use<'_>) -> bool {
        let mut nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = nonces.young.get(used.nonce);
        let seen = seen.or_else(|| nonces.old.get(used.nonce)).copied();
        if seen.is_some_and(|seen| used.count <= seen) {
            return false;
        }
        if nonces.young.len() >= HALF {
            nonces.old = std::mem::take(&mut nonces.young);
        }
        nonces.young.insert(used.nonce.to_owned(), used.count);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Counted;
    use super::HALF;
    use crate::access::Replays;
    use crate::credential::Use;

    #[test]
    fn a_count_is_good_once_and_memory_is_bounded() {
        let counted = Counted::default();
        let is_first = |nonce: &str, count| counted.is_first(Use { nonce, count });
        for (nonce, count, first) in [
            ("a", 1, true),
            ("a", 1, false),
            ("b", 1, true),
            ("a", 3, true),
            ("a", 2, false),
        ] {
            assert_eq!(is_first(nonce, count), first, "{nonce} {count}");
        }
        for number in 0..HALF {
            is_first(&number.to_string(), 1);
        }
        assert!(!is_first("a", 3), "half of them are kept");
        let nonces = counted.0.lock().unwrap();
        assert!(nonces.young.len() + nonces.old.len() <= 2 * HALF);
    }
}
