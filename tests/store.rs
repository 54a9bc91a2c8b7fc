//! One suite for all stores: what the two traits mean. A new store is one module and a line a test.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

#[path = "support/bucket.rs"]
#[expect(dead_code, reason = "the service does more than this suite needs")]
mod bucket;
#[path = "support/conformance.rs"]
mod conformance;
#[path = "support/shelf.rs"]
mod shelf;
#[path = "support/suite.rs"]
mod suite;

use std::collections::HashMap;
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use handset::access::Uncounted;
use handset::client::Client;
use handset::device::DeviceRecord;
use handset::device::DeviceSettings;
use handset::device::publication_key;
use handset::fleet;
use handset::fleet::Hashes;
use handset::fleet::entries;
use handset::fleet::entries::Content;
use handset::fleet::entries::Entry;
use handset::fleet::fill::fill;
use handset::platform::native::s3;
use handset::platform::native::s3::HttpWire;
use handset::respond::Request;
use handset::respond::respond;
use handset::store::StoreError;
use handset::store::directory;
use handset::store::directory::DirectoryStore;
use handset::store::directory::Snapshot;
use handset::store::directory::Upload;
use handset::store::files::Files;
use handset::store::keyed::Kept;
use handset::store::memory::MemoryStore;
use handset::store::s3::S3;
use handset::store::single::SingleStore;
use http::HeaderMap;
use http::Method;
use http_body::Body as HttpBody;
use tempfile::TempDir;

use bucket::Service;
use shelf::Shelf;
use suite::Collect;

impl Collect for directory::Body {
    fn collect(self) -> Vec<u8> {
        collect(self)
    }
}

impl Collect for s3::Body {
    fn collect(self) -> Vec<u8> {
        collect(self)
    }
}

fn collect(mut body: impl HttpBody<Data = Bytes, Error = StoreError> + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    suite::wait(async {
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
    });
    bytes
}

fn memory() -> MemoryStore {
    let store = MemoryStore::default();
    let settings = DeviceSettings {
        model: suite::MODEL.to_owned(),
        ..DeviceSettings::default()
    };
    let record = DeviceRecord {
        settings: [(publication_key(1), Some(settings))].into(),
        ..DeviceRecord::default()
    };
    store.set_site(suite::site());
    store.set_device(suite::SITE, suite::device(), record);
    store
}

fn shelf() -> Shelf {
    Shelf::of(entries::of(&snapshot()))
}

fn bucket() -> (SingleStore<S3<HttpWire>>, Service) {
    let service = Service::start();
    (service.filled("", &snapshot()), service)
}

fn directory() -> (DirectoryStore, TempDir) {
    let state = tempfile::tempdir().unwrap();
    (
        DirectoryStore::open(state.path(), snapshot()).unwrap(),
        state,
    )
}

fn files() -> (SingleStore<Files>, TempDir) {
    let root = tempfile::tempdir().unwrap();
    let files = Files::open(root.path()).unwrap();
    let entries = entries::of(&snapshot());
    suite::wait(fill(&files, &files, None, &entries, Upload::of_file)).unwrap();
    (SingleStore::new(files, None), root)
}

fn snapshot() -> Snapshot {
    let settings = format!(r#"{{"model": "{}"}}"#, suite::MODEL);
    let devices = HashMap::from([(suite::device(), settings.into_bytes().into())]);
    Snapshot {
        sites: [(suite::SITE.to_owned(), Arc::new(suite::site()))].into(),
        devices: [(suite::SITE.to_owned(), devices)].into(),
        ..Snapshot::default()
    }
}

macro_rules! conforms {
    ($($name:ident)*) => {
        mod memory_store {
            $(#[test] fn $name() { super::suite::$name(&super::memory()); })*
        }
        mod keyed_store {
            $(#[test] fn $name() {
                super::suite::$name(&super::shelf().store(&super::Kept::default(), None));
            })*
        }
        mod directory_store {
            $(#[test] fn $name() { super::suite::$name(&super::directory().0); })*
        }
        mod files_store {
            $(#[test] fn $name() { super::suite::$name(&super::files().0); })*
        }
        mod s3_store {
            $(#[test] fn $name() {
                let (store, _service) = super::bucket();
                super::suite::$name(&store);
            })*
        }

        /// Every test above is a yes.
        #[test]
        fn the_table_of_promises_is_current() {
            for name in [$(stringify!($name)),*] {
                let cells = [(); 5].map(|()| "yes".to_owned());
                conformance::hold(&name.replace('_', " "), &cells);
            }
        }
    };
}

conforms! {
    a_blob_is_read_back_by_ranges
    a_contact_replaces_the_one_before
    a_small_body_is_collected
    a_deleted_blob_is_gone_and_deleting_it_again_is_no_error
    an_empty_blob_is_a_blob
    another_length_than_was_said_stores_nothing
    concurrent_updates_all_count
    contacts_are_listed_by_site_in_pages
    missing_is_none
    updates_need_the_current_revision
}

#[test]
fn two_processes_over_one_directory_see_each_other() {
    let (first, state) = directory();
    let second = DirectoryStore::open(state.path(), snapshot()).unwrap();
    suite::an_update_of_one_is_seen_by_the_other(&first, &second);
}

#[test]
fn two_processes_over_one_directory_of_objects_see_each_other() {
    let (first, root) = files();
    let second = SingleStore::new(Files::open(root.path()).unwrap(), None);
    suite::an_update_of_one_is_seen_by_the_other(&first, &second);
}

#[test]
fn two_servers_over_one_bucket_see_each_other() {
    let (first, service) = bucket();
    let second = bucket::store(service.place(""));
    suite::an_update_of_one_is_seen_by_the_other(&first, &second);
}

/// A phone that sees 404 falls back to other files; these are on their way, or lost.
#[test]
fn what_a_record_names_but_is_not_there_is_503() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lync");
    let fleet = fleet::compile(&directory, &mut Hashes::default()).unwrap();
    for (lost, status) in [
        ("nothing", 200),
        ("blobs/", 503),
        ("deployment", 503),
        ("release/", 503),
        ("site/", 503),
    ] {
        let mut entries = entries::of(&fleet.snapshot);
        entries.retain(|entry| !entry.key.starts_with(lost));
        assert_eq!(answered(entries), status, "without {lost}");
    }
}

/// Who can write to a store and not to the site's record cannot change what its phones get.
#[test]
fn a_release_that_is_not_what_it_is_named_after_is_503() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lync");
    let fleet = fleet::compile(&directory, &mut Hashes::default()).unwrap();
    let mut entries = entries::of(&fleet.snapshot);
    for entry in &mut entries {
        if let (true, Content::Record(json)) =
            (entry.key.starts_with("release/"), &mut entry.content)
        {
            *json = json.replacen("Lync", "Link", 1);
        }
    }
    assert_ne!(entries, entries::of(&fleet.snapshot));
    assert_eq!(answered(entries), 503);
}

/// The status of a request for an image.
fn answered(entries: Vec<Entry>) -> u16 {
    let (shelf, kept) = (Shelf::of(entries), Kept::default());
    let request = Request {
        method: &Method::GET,
        target: "/lync/3111-46157-002.sip.ld",
        host: None,
        headers: &HeaderMap::new(),
        now: 1_700_000_000_000,
        id: 0,
        fallback_site: None,
        client: Client::default(),
        secrets: None,
        replays: &Uncounted,
        operator: false,
    };
    let store = shelf.store(&kept, None);
    let response = suite::wait(respond(&store, request, Vec::new()));
    response.status.as_u16()
}
