//! The notation of a case: `>>> METHOD TARGET`, headers, an empty line, a body; `<<< STATUS`, likewise.
//!
//! Content-Length says how long a body is. A body that is long or no text stands as its `body-sha256`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use handset::release::sha256_hex;

/// A sequence of requests to one fresh server.
#[derive(Debug)]
pub(crate) struct Case {
    /// Lines before the first request.
    pub(crate) comment: String,
    /// The requests in order.
    pub(crate) steps: Vec<Step>,
}

/// One request and its answer.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) answer: Answer,
}

/// What matters of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

/// A body, or its hash.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Hash(String),
    Text(String),
}

impl Default for Body {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Answer {
    /// From what a platform sent. Left out is what no phone looks at or what differs between runs.
    pub(crate) fn new<'h>(
        status: u16,
        headers: impl Iterator<Item = (&'h str, &'h str)>,
        body: Vec<u8>,
    ) -> Self {
        let mut headers: Vec<_> = headers
            .filter(|(name, _)| !matches!(*name, "connection" | "date" | "last-modified"))
            .flat_map(|(name, value)| {
                let lines = lines(name, value).into_iter();
                lines.map(move |line| (name.to_owned(), stable(name, &line)))
            })
            .collect();
        headers.sort();
        Self {
            status,
            headers,
            body: Body::of(body),
        }
    }
}

/// Challenges may stand in lines of their own or in one (RFC 9110 section 5.3); the Worker's runtime joins them.
fn lines(name: &str, value: &str) -> Vec<String> {
    if name != "www-authenticate" {
        return vec![value.to_owned()];
    }
    let apart = value
        .replace(", Digest ", "\nDigest ")
        .replace(", Basic ", "\nBasic ");
    apart.lines().map(str::to_owned).collect()
}

/// The tag of an upload is its time and number, which differ between runs, and so do nonces.
fn stable(name: &str, value: &str) -> String {
    if name == "etag" && value.len() == 48 {
        return "\"of this upload\"".to_owned();
    }
    match value.split_once("nonce=\"") {
        Some((before, after)) if name == "www-authenticate" => {
            let (_, after) = after.split_once('"').unwrap_or_default();
            format!("{before}nonce=\"of this answer\"{after}")
        }
        _ => value.to_owned(),
    }
}

impl Body {
    fn of(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) if text.len() <= 8192 && !text.contains('\0') => Self::Text(text),
            Ok(text) => Self::Hash(sha256_hex(text.as_bytes())),
            Err(error) => Self::Hash(sha256_hex(error.as_bytes())),
        }
    }
}

impl Case {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        Self::parse(&text).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let start = text.find(">>> ").ok_or("no request")?;
        let (comment, mut rest) = text.split_at(start);
        let mut steps = Vec::new();
        while !rest.trim().is_empty() {
            let (request, headers, body, after) = message(rest.trim_start(), ">>> ")?;
            let (method, target) = request
                .split_once(' ')
                .ok_or("a request without a target")?;
            let mut step = Step {
                method: method.to_owned(),
                target: target.to_owned(),
                headers,
                body: body.as_bytes().to_vec(),
                answer: Answer::default(),
            };
            rest = after;
            if rest.trim_start().starts_with("<<< ") {
                let (status, mut headers, body, after) = message(rest.trim_start(), "<<< ")?;
                let hash = headers.iter().position(|(name, _)| name == "body-sha256");
                let body = match hash {
                    Some(index) => Body::Hash(headers.remove(index).1),
                    None => Body::Text(body.to_owned()),
                };
                let status = status.parse().map_err(|_| "a status that is no number")?;
                step.answer = Answer {
                    status,
                    headers,
                    body,
                };
                rest = after;
            }
            steps.push(step);
        }
        Ok(Self {
            comment: comment.to_owned(),
            steps,
        })
    }

    pub(crate) fn to_bytes(&self) -> String {
        let mut text = self.comment.clone();
        for step in &self.steps {
            let _ = writeln!(text, ">>> {} {}", step.method, step.target);
            write_message(
                &mut text,
                &step.headers,
                std::str::from_utf8(&step.body).unwrap(),
            );
            let _ = writeln!(text, "<<< {}", step.answer.status);
            let mut headers = step.answer.headers.clone();
            let body = match &step.answer.body {
                Body::Text(body) => body.as_str(),
                Body::Hash(hash) => {
                    headers.push(("body-sha256".to_owned(), hash.clone()));
                    ""
                }
            };
            write_message(&mut text, &headers, body);
        }
        text
    }
}

fn write_message(text: &mut String, headers: &[(String, String)], body: &str) {
    for (name, value) in headers {
        let _ = writeln!(text, "{name}: {value}");
    }
    let _ = write!(text, "\n{body}");
    if !body.is_empty() {
        text.push('\n');
    }
}

type Message<'t> = (&'t str, Vec<(String, String)>, &'t str, &'t str);

fn message<'t>(text: &'t str, mark: &str) -> Result<Message<'t>, String> {
    let (line, mut rest) = text.split_once('\n').unwrap_or((text, ""));
    let first = line
        .strip_prefix(mark)
        .ok_or_else(|| format!("{line:?} does not begin with {mark:?}"))?;
    let mut headers = Vec::new();
    loop {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        if line.is_empty() {
            break;
        }
        let (name, value) = line
            .split_once(": ")
            .ok_or_else(|| format!("{line:?} is no header"))?;
        headers.push((name.to_owned(), value.to_owned()));
    }
    let hashed = headers.iter().any(|(name, _)| name == "body-sha256");
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length
        .filter(|_| !hashed)
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    // The answer to a HEAD has a length but no body, and a test may say a wrong length.
    let next = ["\n<<< ", "\n>>> "]
        .into_iter()
        .filter_map(|mark| rest.find(mark))
        .min();
    let empty = rest.starts_with("<<< ") || rest.starts_with(">>> ") || rest.is_empty();
    let length = if empty {
        0
    } else {
        length.min(next.unwrap_or(rest.len()).max(length.min(rest.len())))
    };
    let (body, rest) = rest
        .split_at_checked(length)
        .ok_or("a body shorter than its length")?;
    Ok((first, headers, body, rest))
}
