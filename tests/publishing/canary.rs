//! A few devices first, and the way back.

use handset::site::Chosen;
use handset::store::keyed::Condition;
use handset::store::keyed::Objects;

use crate::faulty::Fault;
use crate::faulty::Faulty;
use crate::process::POLYCOM;
use crate::process::Process;
use crate::process::advance;
use crate::process::first;
use crate::process::gets;
use crate::process::ready;
use crate::process::site;
use crate::process::steps;
use crate::process::version;
use crate::pushing::Api;
use crate::pushing::DEVICES;
use crate::pushing::Pusher;
use crate::pushing::SITE;
use crate::pushing::badge;
use crate::pushing::shared;

#[test]
fn a_rollback_goes_to_what_was_before_and_no_further_than_is_kept() {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    for number in [2, 3] {
        Pusher::new(&version(number)).push(&process).unwrap();
    }
    let stale = Process::new(&store);
    gets(&stale, 3, "before");
    let back = |expected: u16| {
        let (_, etag) = site(&process);
        let path = format!("sites/{SITE}/rollback");
        let heard = process.call("POST", &path, &[("If-Match", &etag)], b"");
        assert_eq!(heard.status, expected, "{heard:?}");
    };
    back(200);
    gets(&Process::new(&store), 2, "rolled back");
    gets(&stale, 3, "in memory");
    // The push of 3 kept what counted for 1, the one before the one that it followed.
    back(200);
    gets(&Process::new(&store), 1, "rolled back twice");
    back(409);
    let two = version(2);
    let mut again = Pusher::new(&two);
    again.push(&process).unwrap();
    gets(&Process::new(&store), 2, "pushed after");
    gets(&stale, 3, "in memory still");
    assert_eq!(site(&process).0.publication, 4, "no number comes twice");
    back(200);
    gets(&Process::new(&store), 1, "and back");
}

#[test]
fn a_rollback_wins_over_a_push_that_is_under_way() {
    let three = version(3);
    for stop in 0..steps(&three) - 1 {
        let shelf = first();
        let store = Faulty::new(&shelf, Fault::None);
        let process = Process::new(&store);
        Pusher::new(&version(2)).push(&process).unwrap();
        let mut pusher = Pusher::new(&three);
        let done = advance(&mut pusher, &process, stop);
        let (state, etag) = site(&process);
        let was_begun = state.staging.is_some();
        let path = format!("sites/{SITE}/rollback");
        let heard = process.call("POST", &path, &[("If-Match", &etag)], b"");
        if state.publication != 2 {
            continue;
        }
        assert_eq!(heard.status, 200, "after {stop}: {heard:?}");
        gets(&Process::new(&store), 1, &format!("after {stop}"));
        let pushed = done.and_then(|()| pusher.push(&process));
        assert_eq!(pushed.is_err(), was_begun, "after {stop}: {pushed:?}");
        let expected = if was_begun { 1 } else { 3 };
        gets(&Process::new(&store), expected, &format!("after {stop}"));
    }
}

fn posted(process: &Process<'_>, path: &str) {
    let (_, etag) = site(process);
    let heard = process.call("POST", path, &[("If-Match", &etag)], b"");
    assert_eq!(heard.status, 200, "{path}: {heard:?}");
}

/// Two publications come while another process has in memory what was taken back.
#[test]
fn what_was_taken_back_stays_whole_in_memory() {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    Pusher::new(&version(2)).push(&process).unwrap();
    let stale = Process::new(&store);
    gets(&stale, 2, "before");
    posted(&process, &format!("sites/{SITE}/rollback"));
    for number in [3, 1] {
        Pusher::new(&version(number)).push(&process).unwrap();
        gets(&stale, 2, &format!("rolled back, then {number}"));
        gets(&Process::new(&store), number, "anew");
    }
}

#[test]
fn a_canary_that_ended_stays_whole_in_memory() {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    let everybody = Chosen::Percent(100);
    Pusher::new(&version(2)).push(&process).unwrap();
    Pusher::canary(&version(3), everybody)
        .push(&process)
        .unwrap();
    let stale = Process::new(&store);
    let gets_three = |when: &str| {
        for (mac, _) in DEVICES {
            let found = stale.phone(&format!("{mac}-badge.cfg"), &says_itself(mac));
            match badge(3, mac) {
                Some(badge) => assert_eq!(found, (200, badge), "{when}: {mac}"),
                None => assert!(matches!(found.0, 404 | 503), "{when}: {mac}: {found:?}"),
            }
        }
    };
    gets_three("before");
    for number in [1, 2] {
        Pusher::new(&version(number)).push(&process).unwrap();
        gets_three(&format!("then {number}"));
    }
    gets(&Process::new(&store), 2, "anew");
}

/// A push that was to follow what phones got before a promotion follows nothing.
#[test]
fn a_promotion_ends_the_push_that_is_under_way() {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    let (two, three, one) = (version(2), version(3), version(1));
    Pusher::new(&two).push(&process).unwrap();
    let mut canary = Pusher::canary(&three, Chosen::Percent(100));
    canary.push(&process).unwrap();
    let mut other = Pusher::new(&one);
    advance(&mut other, &process, steps(&one) / 2).unwrap();
    let path = format!("sites/{SITE}/publications/{}/publish", canary.number());
    posted(&process, &path);
    assert!(other.push(&process).is_err());
    gets(&Process::new(&store), 3, "promoted");
    for number in [2, 1] {
        let (_, etag) = site(&process);
        let path = format!("sites/{SITE}/rollback");
        let heard = process.call("POST", &path, &[("If-Match", &etag)], b"");
        match heard.status {
            200 => gets(&Process::new(&store), number, "rolled back"),
            status => assert_eq!(status, 409, "{heard:?}"),
        }
    }
}

/// One that names itself in each of its requests.
fn says_itself(mac: &str) -> String {
    format!("{POLYCOM} (SN:{mac}) Type/Application")
}

#[test]
fn a_canary_is_for_the_chosen_alone_and_whole() {
    let (chosen, other) = (DEVICES[0].0, DEVICES[1].0);
    for promoted in [true, false] {
        let shelf = first();
        let store = Faulty::new(&shelf, Fault::None);
        let process = Process::new(&store);
        let two = version(2);
        let devices = vec![chosen.parse().unwrap()];
        let refused = Pusher::canary(&two, Chosen::Devices(devices.clone())).push(&process);
        let refused = refused.unwrap_err();
        assert_eq!(refused.status, 422, "nobody knows that it says who it is");
        assert_eq!(refused.json()["devices"][0], chosen);
        boots(&process, chosen);
        let mut pusher = Pusher::taking_over(&two).with_canary(Chosen::Devices(devices));
        pusher.push(&process).unwrap();
        let number = pusher.number();
        let new = Process::new(&store);
        let file = |mac: &str| format!("{mac}-badge.cfg");
        let agent = says_itself(chosen);
        assert_eq!(
            new.phone(&file(chosen), &agent),
            (200, badge(2, chosen).unwrap())
        );
        assert_eq!(new.phone("badge.cfg", &agent), (200, shared(2)));
        assert_eq!(new.phone("ring.wav", &agent).1, "RIFF of version 2");
        for agent in [says_itself(other), POLYCOM.to_owned()] {
            assert_eq!(
                new.phone(&file(other), &agent),
                (200, badge(1, other).unwrap())
            );
            assert_eq!(new.phone("badge.cfg", &agent), (200, shared(1)));
        }
        // Without a word of who it is, it gets no file of the canary: not even that with its name.
        assert_eq!(
            new.phone(&file(chosen), POLYCOM),
            (200, badge(1, chosen).unwrap())
        );
        let (state, etag) = site(&process);
        assert_eq!(
            (state.publication, state.canary.unwrap().number),
            (1, number)
        );
        let path = format!("sites/{SITE}/publications/{number}");
        let (method, path) = if promoted {
            ("POST", format!("{path}/publish"))
        } else {
            ("DELETE", path)
        };
        let heard = process.call(method, &path, &[("If-Match", &etag)], b"");
        assert_eq!(heard.status, 200, "{heard:?}");
        gets(&Process::new(&store), if promoted { 2 } else { 1 }, "after");
        assert_eq!(
            new.phone(&file(chosen), &agent),
            (200, badge(2, chosen).unwrap()),
            "in memory"
        );
        Pusher::new(&version(3)).push(&process).unwrap();
        gets(&Process::new(&store), 3, "the next");
    }
}

/// The device's last contact says that it names itself.
fn boots(process: &Process<'_>, mac: &str) {
    let contact = format!(
        r#"{{"at": 1, "file": "{mac}.cfg", "user_agent": "{}"}}"#,
        says_itself(mac)
    );
    let key = format!("contacts/{SITE}/{mac}");
    let written = process
        .store
        .write(&key, contact.into_bytes(), Condition::Always);
    assert!(ready(written).unwrap());
}

#[test]
fn a_percentage_of_devices_grows() {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    let two = version(2);
    let mut pusher = Pusher::canary(&two, Chosen::Percent(0));
    pusher.push(&process).unwrap();
    let path = format!("sites/{SITE}/publications/{}", pusher.number());
    for percent in [0, 40, 100] {
        let (_, etag) = site(&process);
        let wish = serde_json::json!({"record": two.record, "canary": {"percent": percent}});
        let heard = process.call(
            "PUT",
            &path,
            &[("If-Match", &etag)],
            wish.to_string().as_bytes(),
        );
        assert_eq!(heard.status, 200, "{heard:?}");
        let new = Process::new(&store);
        for (mac, _) in DEVICES {
            let taken = Chosen::Percent(percent).takes(SITE, mac.parse().unwrap());
            let number = if taken { 2 } else { 1 };
            assert_eq!(
                new.phone("badge.cfg", &says_itself(mac)),
                (200, shared(number)),
                "{mac}"
            );
        }
    }
}
