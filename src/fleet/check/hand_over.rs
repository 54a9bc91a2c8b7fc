//! Phones of sites that ask for keys, which nothing hands an address of their own: they get their files only while
//! a window is open.

use crate::fleet::Fleet;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::outputs::Group;
use crate::site::Access;

/// Looks at the models of each site.
pub(super) fn check(fleet: &Fleet, groups: &[Group<'_>], diagnostics: &mut Diagnostics) {
    for group in groups {
        let access = fleet.snapshot.deployment.sites.get(&group.site.name);
        let Some(Access::Keys(terms)) = access else {
            continue;
        };
        let reached = group
            .vendor()
            .is_some_and(|vendor| vendor.hand_over.reaches(group.model.family));
        if reached || terms.certificates || !terms.relays.is_empty() {
            continue;
        }
        let problem = format!(
            "no document says how {} is told an address of its own",
            group.model.name
        );
        let remedy = "enter what `handset key DIR SITE MAC` prints at the phone, let `client_certificates` count, \
                      put a relay beside it, or open a window before each boot";
        let place = Place::file(format!("sites/{}.toml", group.site.name));
        diagnostics.report("no-hand-over", &place, problem, remedy);
    }
}
