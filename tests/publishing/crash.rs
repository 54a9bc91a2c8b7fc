//! A push that is stopped at each of its writes, two that are under way at once, and one that goes on.

use handset::store::keyed::Objects;

use crate::faulty::Fault;
use crate::faulty::Faulty;
use crate::process::POLYCOM;
use crate::process::Process;
use crate::process::UPLOADED;
use crate::process::advance;
use crate::process::first;
use crate::process::gets;
use crate::process::ready;
use crate::process::served;
use crate::process::served_one;
use crate::process::site;
use crate::process::steps;
use crate::process::version;
use crate::pushing::Pusher;
use crate::pushing::SITE;

#[test]
fn a_push_changes_what_phones_get_and_writes_only_what_has_changed() {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    for (number, written) in [(2, 4), (3, 4), (3, 0), (1, 4)] {
        let version = version(number);
        let mut pusher = Pusher::new(&version);
        pusher.push(&process).unwrap();
        assert_eq!(pusher.written, written, "devices of version {number}");
        gets(&process, number, "pushed");
    }
    assert_eq!(site(&process).0.publication, 5);
    assert_eq!(process.phone(UPLOADED, POLYCOM), (200, "log".to_owned()));
}

/// Wherever a push is stopped, phones get one version or the other, whole, and the next push finishes.
#[test]
fn a_push_that_fails_anywhere_leaves_one_version_whole_and_the_next_finishes() {
    let two = version(2);
    let faults: [fn(usize) -> Fault; 3] = [Fault::Fails, Fault::Unheard, Fault::Ends];
    for fault in faults {
        let mut stops = 0;
        for at in 0.. {
            let shelf = first();
            let whole = Faulty::new(&shelf, Fault::None);
            let stale = Process::new(&whole);
            gets(&stale, 1, "before");
            let store = Faulty::new(&shelf, fault(at));
            let when = format!("{:?}", store.fault);
            let pushed = Pusher::new(&two).push(&Process::new(&store));
            if pushed.is_ok() && !store.is_over() {
                break;
            }
            stops += 1;
            let now = served(&shelf, [1, 2], &when);
            if pushed.is_ok() {
                assert_eq!(now, 2, "{when}: it said that it is done");
            }
            // A process that has the site's record in memory still serves what it has, whole.
            gets(&stale, 1, &when);
            let again = Process::new(&whole);
            Pusher::taking_over(&two).push(&again).unwrap();
            gets(&Process::new(&whole), 2, &when);
            assert_eq!(
                again.phone(UPLOADED, POLYCOM),
                (200, "log".to_owned()),
                "{when}"
            );
        }
        // Files, release, lists, batches, history, what holds, copies and lines of the audit.
        assert!(stops > 40, "only {stops} writes");
    }
}

/// The same, going on with the number that was given out.
#[test]
fn a_push_that_was_interrupted_goes_on() {
    let two = version(2);
    for at in 0.. {
        let shelf = first();
        let store = Faulty::new(&shelf, Fault::Ends(at));
        if Pusher::new(&two).push(&Process::new(&store)).is_ok() {
            break;
        }
        let whole = Faulty::new(&shelf, Fault::None);
        let process = Process::new(&whole);
        let mut again = match site(&process).0.staging {
            Some(staging) => Pusher::resuming(&two, staging.number),
            None => Pusher::new(&two),
        };
        again.push(&process).unwrap();
        gets(&Process::new(&whole), 2, &format!("ended at {at}"));
    }
}

/// A push is interrupted, the fleet changes, and the push goes on: what was written of the other state is made right.
#[test]
fn a_push_that_goes_on_with_another_fleet_publishes_that_one() {
    let (two, three) = (version(2), version(3));
    let all = steps(&two);
    for stop in 0..all {
        let shelf = first();
        let store = Faulty::new(&shelf, Fault::None);
        let process = Process::new(&store);
        let mut pusher = Pusher::new(&two);
        for _ in 0..stop {
            pusher.step(&process).unwrap();
        }
        let Some(staging) = site(&process).0.staging else {
            continue;
        };
        Pusher::resuming(&three, staging.number)
            .push(&process)
            .unwrap();
        gets(
            &Process::new(&store),
            3,
            &format!("after {stop} steps of another"),
        );
    }
}

/// Two operators push at once, whatever the order of their steps: one of them wins, and phones get that one's, whole.
#[test]
fn of_two_pushers_one_wins_and_the_other_hears_why() {
    let (two, three) = (version(2), version(3));
    let (first_steps, second_steps) = (steps(&two), steps(&three));
    for stop in 0..=first_steps {
        for second_stop in [0, 3, 4, 9, second_steps / 2, second_steps - 2, second_steps] {
            let when = format!("{stop} steps, then {second_stop} of the other's");
            let shelf = first();
            let store = Faulty::new(&shelf, Fault::None);
            let process = Process::new(&store);
            let mut one = Pusher::new(&two);
            let mut other = Pusher::taking_over(&three);
            let mut heard = advance(&mut one, &process, stop);
            let mut other_heard = advance(&mut other, &process, second_stop);
            served_one(&shelf, &when);
            let (one_was, other_was) = (one.is_published(), other.is_published());
            heard = heard.and_then(|()| one.push(&process));
            served_one(&shelf, &when);
            other_heard = other_heard.and_then(|()| other.push(&process));
            served_one(&shelf, &when);
            for refused in [&heard, &other_heard]
                .into_iter()
                .filter_map(|it| it.as_ref().err())
            {
                assert!(matches!(refused.status, 409 | 412), "{when}: {refused:?}");
                assert!(refused.json()["detail"].is_string(), "{when}");
            }
            assert!(
                heard.is_ok() || other_heard.is_ok(),
                "{when}: {heard:?} {other_heard:?}"
            );
            // The one that was published last.
            let one_is_last = other_heard.is_err() || other_was && !one_was && heard.is_ok();
            let expected = if one_is_last { 2 } else { 3 };
            gets(&Process::new(&store), expected, &when);
        }
    }
}

/// A store that was filled by other means has no lists: what is not in the fleet any more is found all the same.
#[test]
fn devices_without_a_list_are_looked_for() {
    let shelf = first();
    for shard in handset::publish::SHARDS {
        ready(shelf.delete(&format!("manifests/{SITE}/1/{shard}"))).unwrap();
    }
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    Pusher::new(&version(2)).push(&process).unwrap();
    gets(&Process::new(&store), 2, "pushed");
}
