//! What the two store traits mean, as functions over them.

use std::sync::Barrier;
use std::thread;

use handset::device::DeviceRecord;
use handset::device::DeviceSettings;
use handset::device::DeviceState;
use handset::device::Segment;
use handset::device::Upload;
use handset::device::publication_key;
use handset::mac::MacAddress;
use handset::release::ReleaseId;
use handset::site::Images;
use handset::site::Layer;
use handset::site::SiteRecord;
use handset::site::UploadLimits;
use handset::store::BlobKey;
use handset::store::Blobs;
use handset::store::Contact;
use handset::store::PAGE;
use handset::store::Records;
use handset::store::Revision;
use handset::store::StoreErrorKind;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// A body whose bytes a test can look at.
pub(crate) trait Collect {
    /// All of them.
    fn collect(self) -> Vec<u8>;
}

impl Collect for Vec<u8> {
    fn collect(self) -> Vec<u8> {
        self
    }
}

/// A store that holds [`site`] with [`device`], and nothing else.
pub(crate) trait Store: Records + Blobs<Body: Collect, Upload: From<Vec<u8>>> {}

impl<S: Records + Blobs<Body: Collect, Upload: From<Vec<u8>>>> Store for S {}

pub(crate) const SITE: &str = "lync";
pub(crate) const MODEL: &str = "VVX 400";

pub(crate) fn device() -> MacAddress {
    "0004f28062d6".parse().unwrap()
}

pub(crate) fn release() -> ReleaseId {
    ReleaseId("one".to_owned())
}

pub(crate) fn site() -> SiteRecord {
    SiteRecord {
        name: SITE.to_owned(),
        tenant: None,
        public_url: None,
        release: release(),
        layer: Layer::default(),
        uploads: UploadLimits::default(),
        images: Images::default(),
        passwords: Default::default(),
        relay_cache: false,
        publication: 1,
        previous: None,
        void: Vec::new(),
        canary: None,
    }
}

fn stranger() -> MacAddress {
    "0004f2a6af1b".parse().unwrap()
}

fn key(id: &str) -> BlobKey {
    BlobKey::upload(SITE, device(), "0004f28062d6-app.log", id)
}

thread_local! {
    static RUNTIME: (Runtime, LocalSet) = {
        let runtime = Builder::new_current_thread().enable_all().build();
        (runtime.unwrap(), LocalSet::new())
    };
}

/// Each thread has one runtime, as each of the native server's has.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|(runtime, tasks)| tasks.block_on(runtime, future))
}

fn read<S: Store>(store: &S, key: &BlobKey, from: u64, to: u64) -> Option<Vec<u8>> {
    wait(store.get(key, from..to))
        .unwrap()
        .map(Collect::collect)
}

/// The device's record, with one upload.
fn uploaded(id: &str) -> DeviceRecord {
    let settings = DeviceSettings {
        model: MODEL.to_owned(),
        ..DeviceSettings::default()
    };
    let mut record = DeviceRecord {
        settings: [(publication_key(1), Some(settings))].into(),
        ..DeviceRecord::default()
    };
    enter(&mut record.state, id);
    record
}

fn enter(state: &mut DeviceState, id: &str) {
    let segment = Segment {
        id: id.to_owned(),
        length: 1,
    };
    let upload = Upload { name: id, at: 1 };
    state.accept(&upload, segment, None, &UploadLimits::default(), |_| false);
}

pub(crate) fn a_blob_is_read_back_by_ranges<S: Store>(store: &S) {
    let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
    let length = bytes.len() as u64;
    wait(store.put(&key("1"), bytes.clone().into(), length)).unwrap();
    for (from, to) in [
        (0, length),
        (0, 1),
        (1, 2),
        (65_535, 65_537),
        (65_536, 131_072),
        (100_000, length),
        (length - 1, length),
    ] {
        let part = &bytes[from as usize..to as usize];
        let read = read(store, &key("1"), from, to).unwrap();
        assert!(read == part, "{from}..{to}");
    }
}

pub(crate) fn an_empty_blob_is_a_blob<S: Store>(store: &S) {
    wait(store.put(&key("1"), Vec::new().into(), 0)).unwrap();
    assert_eq!(read(store, &key("1"), 0, 0).unwrap(), b"");
}

pub(crate) fn another_length_than_was_said_stores_nothing<S: Store>(store: &S) {
    for said in [0, 2, 4, 1 << 40] {
        let error = wait(store.put(&key("1"), b"abc".to_vec().into(), said)).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Incomplete, "{said}");
        assert_eq!(read(store, &key("1"), 0, 0), None, "{said}");
    }
}

pub(crate) fn a_deleted_blob_is_gone_and_deleting_it_again_is_no_error<S: Store>(store: &S) {
    wait(store.put(&key("1"), b"abc".to_vec().into(), 3)).unwrap();
    wait(store.put(&key("2"), b"def".to_vec().into(), 3)).unwrap();
    wait(store.delete(&key("1"))).unwrap();
    wait(store.delete(&key("1"))).unwrap();
    assert_eq!(read(store, &key("1"), 0, 3), None);
    assert_eq!(read(store, &key("2"), 0, 3).unwrap(), b"def");
}

pub(crate) fn missing_is_none<S: Store>(store: &S) {
    assert!(wait(store.site("nowhere")).unwrap().is_none());
    assert!(wait(store.device(SITE, stranger())).unwrap().is_none());
    assert!(wait(store.device("nowhere", device())).unwrap().is_none());
    assert_eq!(read(store, &key("1"), 0, 1), None);
    assert_eq!(read(store, &BlobKey::content("00"), 0, 1), None);
    let missing = wait(store.release(&ReleaseId("none".to_owned()))).unwrap_err();
    assert_eq!(missing.kind, StoreErrorKind::Damaged, "a site names it");
}

pub(crate) fn updates_need_the_current_revision<S: Store>(store: &S) {
    let (record, first) = wait(store.device(SITE, device())).unwrap().unwrap();
    assert_eq!(record.state, DeviceState::default());
    let (_, settings) = record.at(&site()).unwrap().unwrap();
    assert_eq!(settings.model, MODEL);
    let update = |mac, revision: &Revision, record: &DeviceRecord| {
        wait(store.update_device(SITE, mac, revision, record)).unwrap()
    };
    assert!(update(device(), &first, &uploaded("a")));
    assert!(
        !update(device(), &first, &uploaded("b")),
        "another was faster"
    );
    let (seen, second) = wait(store.device(SITE, device())).unwrap().unwrap();
    assert_eq!(seen, uploaded("a"));
    assert_ne!(first, second);
    assert!(update(device(), &second, &uploaded("b")));
    assert!(
        !update(stranger(), &first, &uploaded("a")),
        "no such device"
    );
}

pub(crate) fn concurrent_updates_all_count<S: Store + Sync>(store: &S) {
    const WRITERS: usize = 8;
    let together = Barrier::new(WRITERS);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let together = &together;
            scope.spawn(move || {
                together.wait();
                append(store, &format!("writer-{writer}"));
            });
        }
    });
    let (record, _) = wait(store.device(SITE, device())).unwrap().unwrap();
    assert_eq!(record.state.uploads.len(), WRITERS);
}

fn append<S: Store>(store: &S, id: &str) {
    loop {
        let (mut record, revision) = wait(store.device(SITE, device())).unwrap().unwrap();
        enter(&mut record.state, id);
        if wait(store.update_device(SITE, device(), &revision, &record)).unwrap() {
            return;
        }
    }
}

pub(crate) fn a_contact_replaces_the_one_before<S: Store>(store: &S) {
    for at in 1..3 {
        let contact = Contact {
            at,
            file: "0004f28062d6.cfg".to_owned(),
            user_agent: None,
            ..Contact::default()
        };
        wait(store.record_contact(SITE, device(), &contact)).unwrap();
    }
}

pub(crate) fn contacts_are_listed_by_site_in_pages<S: Store>(store: &S) {
    let contact = |at| Contact {
        at,
        file: "0004f28062d6.cfg".to_owned(),
        refused: (at % 2 == 0).then(|| "no window is open for it".to_owned()),
        ..Contact::default()
    };
    let macs = |number: usize| format!("0004f2{number:06x}").parse().unwrap();
    let written: Vec<(MacAddress, Contact)> = (0..PAGE + 2)
        .map(|number| (macs(number), contact(number as u64)))
        .collect();
    for (mac, contact) in written.iter().rev() {
        wait(store.record_contact(SITE, *mac, contact)).unwrap();
    }
    wait(store.record_contact("lync2", macs(1), &contact(1))).unwrap();
    let page = |site: &str, after| wait(store.contacts(site, after)).unwrap();
    assert_eq!(page(SITE, None), written[..PAGE]);
    assert_eq!(page(SITE, Some(macs(PAGE - 1))), written[PAGE..]);
    assert_eq!(page(SITE, Some(macs(PAGE + 1))), []);
    assert_eq!(page("lync2", None), [(macs(1), contact(1))]);
    assert_eq!(page("nowhere", None), []);
}

pub(crate) fn a_small_body_is_collected<S: Store>(store: &S) {
    for body in ["", "{}"] {
        let collected = wait(store.collect(body.as_bytes().to_vec().into(), 4));
        assert_eq!(collected.unwrap(), body.as_bytes());
    }
}

pub(crate) fn an_update_of_one_is_seen_by_the_other<S: Store>(one: &S, other: &S) {
    let (_, revision) = wait(one.device(SITE, device())).unwrap().unwrap();
    assert!(wait(one.update_device(SITE, device(), &revision, &uploaded("a"))).unwrap());
    assert!(!wait(other.update_device(SITE, device(), &revision, &uploaded("b"))).unwrap());
    let (seen, _) = wait(other.device(SITE, device())).unwrap().unwrap();
    assert_eq!(seen, uploaded("a"));
    wait(one.put(&key("1"), b"abc".to_vec().into(), 3)).unwrap();
    assert_eq!(read(other, &key("1"), 0, 3).unwrap(), b"abc");
}
