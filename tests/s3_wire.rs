//! The S3 store over a platform that is made up: what it sends, when it pauses and when it gives up.
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use handset::store::StoreErrorKind;
use handset::store::keyed::Objects;
use handset::store::s3::Credentials;
use handset::store::s3::S3;
use handset::store::s3::Sent;
use handset::store::s3::Wire;
use handset::store::s3::WireError;
use http::Request;
use http::Response;

const LARGE: u64 = 150_000_000;
const BEGUN: &str = "<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
    <UploadId>id</UploadId></InitiateMultipartUploadResult>";
const COMPLETE: &str = "<CompleteMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
    <ETag>\"e\"</ETag></CompleteMultipartUploadResult>";

/// A platform whose clock stands still but for pauses and what a request takes. An upload is its length.
#[derive(Default)]
struct Scripted {
    answers: RefCell<VecDeque<Response<&'static str>>>,
    requests: RefCell<Vec<String>>,
    pauses: RefCell<Vec<u64>>,
    clock: Cell<u64>,
    takes: u64,
    random: u64,
    divides: bool,
}

impl Wire for &Scripted {
    type Body = &'static str;
    type Upload = u64;
    type Parts = u64;

    async fn send(&self, request: Request<Sent<u64>>) -> Result<Response<&'static str>, WireError> {
        let query = request.uri().query().unwrap();
        let asked = query.split('&').filter(|pair| !pair.starts_with("X-Amz"));
        let asked: Vec<_> = asked.collect();
        let length = request.headers().get("content-length");
        let length = length.map_or("-", |length| length.to_str().unwrap());
        let (method, path) = (request.method(), request.uri().path());
        let line = format!("{method} {path} {} {length}", asked.join("&"));
        self.requests.borrow_mut().push(line);
        self.clock.set(self.clock.get() + self.takes);
        let answer = self.answers.borrow_mut().pop_front();
        answer.ok_or_else(|| WireError::Lost("nobody there".into()))
    }

    async fn collect(&self, body: &'static str, most: usize) -> Result<Vec<u8>, WireError> {
        assert!(body.len() <= most);
        Ok(body.into())
    }

    async fn gather(&self, _: u64, _: usize) -> Result<Vec<u8>, WireError> {
        Ok(Vec::new())
    }

    async fn pause(&self, milliseconds: u64) {
        self.pauses.borrow_mut().push(milliseconds);
        self.clock.set(self.clock.get() + milliseconds);
    }

    fn now(&self) -> u64 {
        1_700_000_000_000 + self.clock.get()
    }

    fn random(&self) -> u64 {
        self.random
    }

    fn divide(&self, upload: u64, _: u64) -> Result<u64, u64> {
        if self.divides {
            Ok(upload)
        } else {
            Err(upload)
        }
    }

    fn part(&self, parts: &mut u64, length: u64) -> u64 {
        *parts -= length;
        length
    }
}

fn bucket(wire: &Scripted) -> S3<&Scripted> {
    let credentials = Credentials::from_variables(|name| Some(name.to_owned()));
    let address = "s3://phones?endpoint=https://s3.example".parse();
    S3::new(address.unwrap(), credentials.unwrap(), wire)
}

fn answer(status: u16, body: &'static str) -> Response<&'static str> {
    let answer = Response::builder().status(status).header("etag", "\"e\"");
    answer.body(body).unwrap()
}

/// The platform never waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the platform never waits"),
    }
}

#[test]
fn pauses_grow_and_are_spread() {
    for (random, expected) in [(0, [50, 200, 800]), (800, [85, 397, 1600])] {
        let wire = Scripted {
            random,
            ..Scripted::default()
        };
        let error = ready(Objects::read(&bucket(&wire), "deployment")).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Down);
        assert_eq!(wire.pauses.take(), expected);
        assert_eq!(wire.requests.take().len(), 4);
    }
}

#[test]
fn a_device_waits_for_no_more_than_so_long() {
    let wire = Scripted {
        takes: 6_000,
        ..Scripted::default()
    };
    ready(Objects::read(&bucket(&wire), "deployment")).unwrap_err();
    assert_eq!(wire.requests.take().len(), 2);
}

#[test]
fn what_is_denied_or_unknown_is_not_asked_again() {
    for status in [400, 401, 403, 404, 405, 501] {
        let wire = Scripted::default();
        wire.answers.borrow_mut().push_back(answer(status, ""));
        ready(Objects::read(&bucket(&wire), "deployment")).unwrap_err();
        assert_eq!(wire.requests.take().len(), 1, "{status}");
    }
}

#[test]
fn a_large_upload_goes_in_parts_of_equal_size() {
    let wire = Scripted {
        divides: true,
        ..Scripted::default()
    };
    let answers = [BEGUN].into_iter().chain([""; 9]).chain([COMPLETE]);
    *wire.answers.borrow_mut() = answers.map(|body| answer(200, body)).collect();
    ready(Objects::put(&&bucket(&wire), "uploads/x", LARGE, LARGE)).unwrap();
    let requests = wire.requests.take();
    assert_eq!(requests[0], "POST /phones/uploads/x uploads=1 0");
    assert_eq!(
        requests[1],
        "PUT /phones/uploads/x partNumber=1&uploadId=id 16777216"
    );
    let rest = LARGE - 8 * (16 << 20);
    let last = format!("PUT /phones/uploads/x partNumber=9&uploadId=id {rest}");
    assert_eq!(requests[9], last);
    assert!(requests[10].starts_with("POST /phones/uploads/x uploadId=id"));
    assert_eq!(requests.len(), 11);
}

#[test]
fn an_upload_in_parts_that_fails_is_taken_back() {
    let failed = "<Error><Code>InternalError</Code></Error>";
    let cases = [
        vec![answer(200, BEGUN), answer(500, "")],
        // S3 begins to answer 200 before it knows how it will end.
        [answer(200, BEGUN)]
            .into_iter()
            .chain((0..9).map(|_| answer(200, "")))
            .chain([answer(200, failed)])
            .collect(),
    ];
    for answers in cases {
        let wire = Scripted {
            divides: true,
            ..Scripted::default()
        };
        *wire.answers.borrow_mut() = answers.into();
        wire.answers.borrow_mut().push_back(answer(204, ""));
        let put = ready(Objects::put(&&bucket(&wire), "uploads/x", LARGE, LARGE));
        assert_eq!(put.unwrap_err().kind, StoreErrorKind::Down);
        let last = wire.requests.take().pop().unwrap();
        assert_eq!(last, "DELETE /phones/uploads/x uploadId=id 0");
    }
}

#[test]
fn where_uploads_cannot_be_divided_a_large_one_goes_whole() {
    let wire = Scripted::default();
    wire.answers.borrow_mut().push_back(answer(200, ""));
    ready(Objects::put(&&bucket(&wire), "uploads/x", LARGE, LARGE)).unwrap();
    assert_eq!(
        wire.requests.take(),
        [format!("PUT /phones/uploads/x  {LARGE}")]
    );
}
