//! How often who may ask: no more than a phone that repeats itself because it hears nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// What each address has asked of late.
#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<IpAddr, Window>);

#[derive(Clone, Copy, Debug)]
struct Window {
    begun: Duration,
    asked: u32,
}

impl Rates {
    /// Whether this one gets an answer, at a time since any beginning.
    pub(super) fn admit(&mut self, peer: IpAddr, now: Duration) -> bool {
        let over = |window: &Window| now.saturating_sub(window.begun) >= WINDOW;
        if self.0.len() >= MOST && !self.0.contains_key(&peer) {
            self.0.retain(|_, window| !over(window));
            if self.0.len() >= MOST {
                // Nobody has so many phones in a network: somebody writes senders as he likes.
                return false;
            }
        }
        let new = Window {
            begun: now,
            asked: 0,
        };
        let window = self.0.entry(peer).or_insert(new);
        if over(window) {
            *window = new;
        }
        window.asked = window.asked.saturating_add(1);
        window.asked <= ASKED
    }
}

/// RFC 3261, section 17.1.2.2: a request is repeated after 0.5, 1.5, 3.5, 7.5 seconds, and phones give up after 5.
const WINDOW: Duration = Duration::from_secs(10);
const ASKED: u32 = 8;
const MOST: usize = 4096;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::ASKED;
    use super::MOST;
    use super::Rates;

    #[test]
    fn each_address_by_itself() {
        let mut rates = Rates::default();
        let peer = |number: u32| IpAddr::from(Ipv4Addr::from_bits(number));
        let at = Duration::from_secs;
        for _ in 0..ASKED {
            assert!(rates.admit(peer(1), at(0)));
        }
        assert!(!rates.admit(peer(1), at(9)));
        assert!(rates.admit(peer(2), at(9)));
        assert!(rates.admit(peer(1), at(10)));
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut rates = Rates::default();
        let peer =
            |number: usize| IpAddr::from(Ipv4Addr::from_bits(u32::try_from(number).unwrap()));
        for number in 0..MOST {
            assert!(rates.admit(peer(number), Duration::ZERO));
        }
        assert!(!rates.admit(peer(MOST), Duration::ZERO));
        assert!(rates.admit(peer(0), Duration::ZERO));
        assert!(rates.admit(peer(MOST), Duration::from_secs(10)));
        assert_eq!(rates.0.len(), 1);
    }
}
