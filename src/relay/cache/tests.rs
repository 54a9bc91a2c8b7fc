//! The cache on a disk, entry by entry.

use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;
use http::StatusCode;
use http::header;
use tokio::runtime::Builder;

use super::About;
use super::Cache;
use super::Question;
use crate::relay::metrics::Metrics;

const QUESTION: Question<'static> = Question {
    device: None,
    base: "tftp://192.0.2.1",
    target: "a.cfg",
    kind: "",
};

/// Whatever an answer depends on makes another key, and no two fields run into each other.
#[test]
fn keys() {
    let device = "0004f2000500".parse().ok();
    let questions = [
        QUESTION,
        Question { device, ..QUESTION },
        Question {
            base: "http://192.0.2.1",
            ..QUESTION
        },
        Question {
            target: "a.cfg?x",
            ..QUESTION
        },
        Question {
            kind: "x",
            ..QUESTION
        },
        Question {
            base: "tftp://192.0.2.1a",
            target: ".cfg",
            ..QUESTION
        },
    ];
    for (at, one) in questions.iter().enumerate() {
        for (other_at, other) in questions.iter().enumerate() {
            assert_eq!(
                one.key() == other.key(),
                at == other_at,
                "{one:?} {other:?}"
            );
        }
    }
}

/// What was kept is there after a start; how long it serves while the server is away is as long as it says.
#[test]
fn kept_over_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let open = || Cache::open(directory.path(), 1 << 20, Rc::<Metrics>::default()).unwrap();
    let key = QUESTION.key();
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, "\"1\"".parse().unwrap());
    headers.insert(header::SERVER, "elsewhere".parse().unwrap());
    runtime.block_on(async {
        let about = About::new(&key, StatusCode::OK, &headers, Duration::from_secs(60));
        let mut filling = open().begin().unwrap();
        filling.write(b"some ").unwrap();
        filling.write(b"bytes").unwrap();
        filling.keep(&key, &about).await.unwrap();
        let cache = open();
        let entry = cache.find(&key).await.unwrap();
        assert_eq!((entry.length, entry.is_negative()), (10, false));
        assert_eq!(entry.header(&header::ETAG).unwrap(), "\"1\"");
        assert_eq!(entry.header(&header::SERVER), None);
        assert!(
            !entry.is_fresh(Duration::from_secs(60)),
            "nobody asked since the start"
        );
        for (after, serves) in [(0, true), (59, true), (61, false)] {
            let now = entry.checked + Duration::from_secs(after);
            assert_eq!(entry.serves_stale(now), serves, "{after} s");
        }
        assert!(entry.serves_stale(entry.checked - Duration::from_secs(9)));
        cache.confirm(&entry);
        let entry = cache.find(&key).await.unwrap();
        assert!(entry.is_fresh(Duration::from_secs(60)));
        cache.forget(&key);
        assert!(cache.find(&key).await.is_none() && open().find(&key).await.is_none());
    });
}
