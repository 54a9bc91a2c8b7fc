//! A running server as the operator's tool sees it: requests below `/-/v1/` (docs/operator.md), answers, and what to
//! try again. No sockets here: a platform brings them, and tests cut them.

use std::fmt;
use std::io;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::mac::MacAddress;
use crate::publish::Problem;

/// What carries requests to a server. Several threads use one at a time.
pub trait Server: Sync {
    /// One request, one answer.
    fn send(&self, request: &Request<'_>) -> Result<Answer, Lost>;

    /// The body of an answer as it comes, written to `out` if the request was granted; else as [`Self::send`].
    fn receive(&self, request: &Request<'_>, out: &mut dyn Write) -> Result<Answer, Lost>;

    /// Lets some time pass before the next try.
    fn pause(&self, milliseconds: u64);
}

/// A request.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: Method,
    /// What comes after `/-/v1/`.
    pub target: String,
    /// What must still be so, for `If-Match`; `*` as [`ABSENT`] that there is nothing yet.
    pub condition: Option<&'a str>,
    /// Its body.
    pub body: Sent<'a>,
}

/// A condition that there is nothing yet.
pub const ABSENT: &str = "absent";

/// A request's body.
pub enum Sent<'a> {
    /// None.
    Nothing,
    /// JSON.
    Json(Vec<u8>),
    /// An operator's file, read as it goes.
    File {
        /// Where it lies.
        path: &'a Path,
        /// Bytes.
        length: u64,
        /// Told how many of them have gone; again from the first on where the request is tried again.
        moved: &'a (dyn Fn(u64) + Sync),
    },
}

impl fmt::Debug for Sent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            // Passwords are in it.
            Self::Json(bytes) => write!(f, "Json({} bytes)", bytes.len()),
            Self::File { path, .. } => write!(f, "File({})", path.display()),
        }
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its entity tag.
    pub etag: Option<String>,
    /// Its body, where it was not written elsewhere.
    pub body: Vec<u8>,
}

/// There was no answer: why, as the sockets say it.
#[derive(Clone, Debug)]
pub struct Lost(pub String);

/// Why something did not come about, with the remedy.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The server was not reached, or did not answer.
    Lost(String),
    /// It said no.
    Refused {
        /// The status.
        status: u16,
        /// What it says is wrong, and what helps.
        detail: String,
        /// The devices that it is about.
        devices: Vec<MacAddress>,
    },
    /// It is this side that is at fault.
    Own(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(problem) | Self::Own(problem) => f.write_str(problem),
            Self::Refused {
                detail, devices, ..
            } => {
                f.write_str(detail)?;
                let shown: Vec<String> = devices.iter().map(ToString::to_string).collect();
                match shown.is_empty() {
                    true => Ok(()),
                    false => write!(f, ": {}", shown.join(", ")),
                }
            }
        }
    }
}

impl std::error::Error for Trouble {}

impl Trouble {
    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Lost(_) | Self::Own(_) => None,
        }
    }
}

impl<'a> Request<'a> {
    /// A request without a body.
    pub fn new(method: Method, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            condition: None,
            body: Sent::Nothing,
        }
    }

    /// With this value as its body.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        // Maps of texts and numbers always have a JSON form.
        self.body = Sent::Json(serde_json::to_vec(value).unwrap_or_default());
        self
    }

    /// Only if what lies there still has this entity tag.
    pub fn matching(mut self, etag: &'a str) -> Self {
        self.condition = Some(etag);
        self
    }
}

/// Sends a request, again if the server was not reached or has no time: all that are sent here may come twice.
pub fn ask(server: &impl Server, request: &Request<'_>) -> Result<Answer, Trouble> {
    again(server, || server.send(request))
}

/// The same, and reads the answer.
pub fn read<T: DeserializeOwned>(
    server: &impl Server,
    request: &Request<'_>,
) -> Result<T, Trouble> {
    parse(&ask(server, request)?)
}

/// Brings an answer's body to where it is wanted, once: what has come cannot be taken back.
pub fn download(
    server: &impl Server,
    request: &Request<'_>,
    out: &mut dyn Write,
) -> Result<(), Trouble> {
    let answer = server.receive(request, out);
    let answer = answer.map_err(|Lost(problem)| Trouble::Lost(problem))?;
    granted(answer).map(drop)
}

/// Reads an answer.
pub fn parse<T: DeserializeOwned>(answer: &Answer) -> Result<T, Trouble> {
    let strange = |_| {
        let problem = "the server answers in a way that this program does not understand: are both of one version?";
        Trouble::Own(problem.to_owned())
    };
    serde_json::from_slice(&answer.body).map_err(strange)
}

/// Every page of a list: `target` says where the page after a name is, `take` what of it is wanted and what the next
/// comes after.
pub fn pages<P: DeserializeOwned, T>(
    server: &impl Server,
    target: &str,
    mut take: impl FnMut(P) -> (Vec<T>, Option<String>),
) -> Result<Vec<T>, Trouble> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = Request::new(Method::GET, format!("{target}{after}"));
        let (rows, next) = take(read(server, &page)?);
        found.extend(rows);
        match next {
            Some(next) => after = format!("?after={next}"),
            None => return Ok(found),
        }
    }
}

/// Sends until there is an answer that is not "later".
fn again(server: &impl Server, send: impl Fn() -> Result<Answer, Lost>) -> Result<Answer, Trouble> {
    for wait in WAITS {
        match send() {
            Ok(answer) if !LATER.contains(&answer.status) => return granted(answer),
            Ok(_) | Err(_) => server.pause(*wait),
        }
    }
    match send() {
        Ok(answer) => granted(answer),
        Err(Lost(problem)) => Err(Trouble::Lost(problem)),
    }
}

fn granted(answer: Answer) -> Result<Answer, Trouble> {
    if answer.status < 300 {
        return Ok(answer);
    }
    let problem = serde_json::from_slice::<Problem>(&answer.body).ok();
    let (detail, devices) = match problem {
        Some(problem) => (problem.detail, problem.devices),
        None => {
            let status = answer.status;
            let detail =
                format!("the server says {status}: is this the address of a Handset server?");
            (detail, Vec::new())
        }
    };
    Err(Trouble::Refused {
        status: answer.status,
        detail,
        devices,
    })
}

/// What `work` makes of each item, so many at once, in the items' order; the first trouble ends it.
pub fn at_once<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R, Trouble> + Sync,
) -> Result<Vec<R>, Trouble> {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let done = Mutex::new((Vec::new(), None));
    let take = || {
        while !stopped.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else {
                return;
            };
            let result = work(item);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(result) => done.0.push((index, result)),
                Err(trouble) => {
                    stopped.store(true, Ordering::Relaxed);
                    done.1.get_or_insert(trouble);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(take);
        }
    });
    let (mut results, trouble) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(trouble) = trouble {
        return Err(trouble);
    }
    results.sort_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Own(error.to_string())
    }
}

/// Requests under way at once: enough to hide the way to a server far off, and few for one on a small machine.
pub const AT_ONCE: usize = 8;

/// Later, and too often: what the server may say better of the same request.
const LATER: &[u16] = &[429, 502, 503, 504];
/// Milliseconds between tries.
const WAITS: &[u64] = &[250, 1000, 4000];

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use http::Method;

    use super::Answer;
    use super::Lost;
    use super::Request;
    use super::Server;
    use super::Trouble;
    use super::ask;
    use super::at_once;

    /// Answers with these statuses in turn, 0 for none; counts pauses.
    struct Scripted(Mutex<(Vec<u16>, usize)>);

    impl Server for Scripted {
        fn send(&self, _: &Request<'_>) -> Result<Answer, Lost> {
            match self.0.lock().unwrap().0.pop() {
                None | Some(0) => Err(Lost("cut".to_owned())),
                Some(status) => Ok(Answer {
                    status,
                    body: br#"{"title":"t","status":1,"detail":"because"}"#.to_vec(),
                    ..Answer::default()
                }),
            }
        }

        fn receive(&self, request: &Request<'_>, _: &mut dyn Write) -> Result<Answer, Lost> {
            self.send(request)
        }

        fn pause(&self, _: u64) {
            self.0.lock().unwrap().1 += 1;
        }
    }

    #[test]
    fn what_may_go_better_is_tried_again_and_what_may_not_is_not() {
        let rows: &[(&[u16], Result<u16, &str>, usize)] = &[
            (&[200], Ok(200), 0),
            (&[503, 0, 429, 201], Ok(201), 3),
            (&[404], Err("because"), 0),
            (&[0, 412], Err("because"), 1),
            (&[503, 503, 503, 503], Err("because"), 3),
            (&[0, 0, 0, 0], Err("cut"), 3),
        ];
        for (script, expected, pauses) in rows {
            let server = Scripted(Mutex::new((script.iter().rev().copied().collect(), 0)));
            let answer = ask(&server, &Request::new(Method::GET, "sites"));
            let answer = answer.map(|answer| answer.status);
            let answer = answer.map_err(|trouble| trouble.to_string());
            let expected = expected.map_err(str::to_owned);
            assert_eq!(answer, expected, "{script:?}");
            assert_eq!(server.0.lock().unwrap().1, *pauses, "{script:?}");
        }
    }

    #[test]
    fn many_at_once_keep_their_order_and_the_first_trouble_ends_them() {
        let items: Vec<u64> = (0..100).collect();
        let double = |item: &u64| Ok(item * 2);
        let doubled = at_once(8, &items, double).unwrap();
        assert_eq!(doubled, items.iter().map(|it| it * 2).collect::<Vec<_>>());
        let done = Mutex::new(0);
        let failing = |item: &u64| {
            *done.lock().unwrap() += 1;
            match item {
                3 => Err(Trouble::Own("three".to_owned())),
                item => Ok(*item),
            }
        };
        let trouble = at_once(1, &items, failing).unwrap_err();
        assert_eq!(
            (trouble.to_string(), *done.lock().unwrap()),
            ("three".to_owned(), 4)
        );
    }
}
