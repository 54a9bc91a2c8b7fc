//! Enrolment: how a device comes to a credential of its own, and what its site's key opens until then.
//!
//! Pure: the record's state and a visit go in, what the visit opens and what becomes of the record come out.
//! A phone that was reset boots two to four times before it comes with its own credential, so that a window
//! stays open until it does or until its time is over; every boot within it gets the same files.

use serde::Deserialize;
use serde::Serialize;

/// Where a device stands.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enrolment {
    /// It has come with a credential of its own.
    Enrolled {
        /// When it first did, in milliseconds since 1970.
        since: u64,
    },
    /// Its site's key opens its files.
    Enrolling(Window),
    /// Nothing opens its files.
    Locked {
        /// Whether it was enrolled before: what unlocking goes back to.
        enrolled: Option<u64>,
    },
    /// Known, and never seen with a credential of its own.
    #[default]
    Staged,
}

/// How long its site's key opens a device's files, and to whom.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Window {
    /// Its end, in milliseconds since 1970; `None` until the first boot begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Whether whoever comes first has it alone.
    pub binds: bool,
    /// The network of the one who came first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// What kind of program it said it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
}

/// A request for a device's files.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// Milliseconds since 1970.
    pub now: u64,
    /// The network that it comes from, see [`crate::client::network`].
    pub network: Option<&'a str>,
    /// What kind of program it says it is, see [`crate::user_agent::family`].
    pub family: Option<&'a str>,
}

/// What a visit opens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entry {
    /// The device's files, and the record stays.
    Admitted,
    /// The device's files once the record says this.
    After(Enrolment),
    /// Nothing, and why.
    Refused(&'static str),
}

impl Enrolment {
    /// How long a window that waits for the first boot stays open from then on: time for four boots and an
    /// image over a slow line.
    pub const FIRST_BOOT: u64 = 60 * 60 * 1000;

    /// What a visit with its site's key opens.
    pub fn with_site_key(&self, visit: &Visit<'_>) -> Entry {
        match self {
            Self::Enrolled { .. } => Entry::Refused("it has a credential of its own"),
            Self::Enrolling(window) => window.admit(visit),
            Self::Locked { .. } => Entry::Refused(LOCKED),
            Self::Staged => Entry::Refused("no window is open for it"),
        }
    }

    /// What a visit with the device's own credential opens.
    pub fn with_own(&self, now: u64) -> Entry {
        match self {
            Self::Enrolled { .. } => Entry::Admitted,
            Self::Locked { .. } => Entry::Refused(LOCKED),
            Self::Enrolling(_) | Self::Staged => Entry::After(Self::Enrolled { since: now }),
        }
    }

    /// What a visit opens that a relay vouches for.
    pub fn with_relay(&self) -> Entry {
        match self {
            Self::Locked { .. } => Entry::Refused(LOCKED),
            _ => Entry::Admitted,
        }
    }

    /// Opens a window. A locked device is unlocked first, by another command: `None`.
    pub fn opened(&self, window: Window) -> Option<Self> {
        match self {
            Self::Locked { .. } => None,
            _ => Some(Self::Enrolling(window)),
        }
    }

    /// Nothing opens its files from now on.
    pub fn locked(&self) -> Self {
        match self {
            Self::Enrolled { since } => Self::Locked {
                enrolled: Some(*since),
            },
            Self::Locked { .. } => self.clone(),
            Self::Enrolling(_) | Self::Staged => Self::Locked { enrolled: None },
        }
    }

    /// As before it was locked; a window that was open then is not open any more.
    pub fn unlocked(&self) -> Self {
        match self {
            Self::Locked { enrolled: Some(at) } => Self::Enrolled { since: *at },
            Self::Locked { enrolled: None } => Self::Staged,
            _ => self.clone(),
        }
    }

    /// The state's name.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Enrolled { .. } => "enrolled",
            Self::Enrolling(_) => "enrolling",
            Self::Locked { .. } => "locked",
            Self::Staged => "staged",
        }
    }

    /// Whether there is nothing to write down.
    pub fn is_staged(&self) -> bool {
        *self == Self::Staged
    }
}

const LOCKED: &str = "it is locked";

impl Window {
    fn admit(&self, visit: &Visit<'_>) -> Entry {
        if self.until.is_some_and(|until| visit.now >= until) {
            return Entry::Refused("its window is over");
        }
        let taken = self.network.is_some() || self.family.is_some();
        if self.binds && taken {
            // Not every platform knows addresses.
            if self.network.is_some() && visit.network != self.network.as_deref() {
                return Entry::Refused("its window belongs to another address");
            }
            if visit.family != self.family.as_deref() {
                return Entry::Refused("its window belongs to another kind of phone");
            }
        }
        let mut window = self.clone();
        window
            .until
            .get_or_insert_with(|| visit.now.saturating_add(Enrolment::FIRST_BOOT));
        if self.binds && !taken {
            window.network = visit.network.map(str::to_owned);
            window.family = visit.family.map(str::to_owned);
        }
        if window == *self {
            Entry::Admitted
        } else {
            Entry::After(Enrolment::Enrolling(window))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Enrolment;
    use super::Entry;
    use super::LOCKED;
    use super::Visit;
    use super::Window;

    const HERE: Visit<'_> = Visit {
        now: 1_000,
        network: Some("192.0.2.1"),
        family: Some("polycom"),
    };

    fn window(until: Option<u64>) -> Window {
        Window {
            until,
            binds: true,
            ..Window::default()
        }
    }

    fn bound(until: u64) -> Enrolment {
        Enrolment::Enrolling(Window {
            network: Some("192.0.2.1".to_owned()),
            family: Some("polycom".to_owned()),
            ..window(Some(until))
        })
    }

    #[test]
    fn a_window_belongs_to_whoever_comes_first_until_it_is_over() {
        let open = Enrolment::Enrolling(window(Some(2_000)));
        assert_eq!(open.with_site_key(&HERE), Entry::After(bound(2_000)));
        for (visit, entry) in [
            (HERE, Entry::Admitted),
            (Visit { now: 1_999, ..HERE }, Entry::Admitted),
            (
                Visit { now: 2_000, ..HERE },
                Entry::Refused("its window is over"),
            ),
            (
                Visit {
                    network: Some("192.0.2.2"),
                    ..HERE
                },
                Entry::Refused("its window belongs to another address"),
            ),
            (
                Visit {
                    family: Some("curl"),
                    ..HERE
                },
                Entry::Refused("its window belongs to another kind of phone"),
            ),
        ] {
            assert_eq!(bound(2_000).with_site_key(&visit), entry, "{visit:?}");
        }
    }

    #[test]
    fn a_window_may_be_anybodys() {
        let open = Enrolment::Enrolling(Window {
            until: Some(2_000),
            ..Window::default()
        });
        assert_eq!(open.with_site_key(&HERE), Entry::Admitted);
    }

    #[test]
    fn a_window_may_wait_for_the_first_boot() {
        let waiting = Enrolment::Enrolling(window(None));
        let end = HERE.now + Enrolment::FIRST_BOOT;
        assert_eq!(waiting.with_site_key(&HERE), Entry::After(bound(end)));
    }

    #[test]
    fn every_state_has_an_answer_to_every_credential() {
        let enrolled = Enrolment::Enrolled { since: 5 };
        let locked = Enrolment::Locked { enrolled: None };
        let becomes = Entry::After(Enrolment::Enrolled { since: 1_000 });
        for (state, site, own, relay) in [
            (
                Enrolment::Staged,
                Entry::Refused("no window is open for it"),
                becomes.clone(),
                Entry::Admitted,
            ),
            (bound(2_000), Entry::Admitted, becomes, Entry::Admitted),
            (
                enrolled,
                Entry::Refused("it has a credential of its own"),
                Entry::Admitted,
                Entry::Admitted,
            ),
            (
                locked,
                Entry::Refused(LOCKED),
                Entry::Refused(LOCKED),
                Entry::Refused(LOCKED),
            ),
        ] {
            assert_eq!(state.with_site_key(&HERE), site, "{state:?}");
            assert_eq!(state.with_own(1_000), own, "{state:?}");
            assert_eq!(state.with_relay(), relay, "{state:?}");
        }
    }

    #[test]
    fn unlocking_goes_back_and_opens_nothing() {
        for (before, after) in [
            (
                Enrolment::Enrolled { since: 5 },
                Enrolment::Enrolled { since: 5 },
            ),
            (bound(2_000), Enrolment::Staged),
            (Enrolment::Staged, Enrolment::Staged),
        ] {
            let locked = before.locked();
            assert_eq!(locked.locked(), locked);
            assert_eq!(locked.opened(window(None)), None);
            assert_eq!(locked.unlocked(), after);
        }
    }
}
