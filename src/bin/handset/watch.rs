//! `handset watch`: a native server's requests as they happen.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;
use handset::fleet::server::Lost;
use handset::platform::native::operate::remote::Remote;
use serde_json::Value;

use crate::push::Trust;

/// Shows the requests of a native server as they happen
///
/// Ends when it is interrupted. A server that goes away is asked again until it is back.
#[derive(Args, Debug)]
#[command(after_help = "Example: handset watch --url https://prov.example.net --site hq")]
pub(crate) struct Watch {
    /// Address of the server; the token is taken from HANDSET_TOKEN
    #[arg(long)]
    url: String,
    /// Only the requests at this site
    #[arg(long)]
    site: Option<String>,
    /// As JSON, an object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: Trust,
}

pub(crate) fn run(options: &Watch, out: &mut impl Write) -> io::Result<ExitCode> {
    let server = options.trust.server(&options.url)?;
    let mut seen = false;
    let mut pause = SHORTEST;
    loop {
        match follow(&server, options, &mut seen, out)? {
            Ended::Refused(problem) => return crate::fail(&problem),
            Ended::Lost(problem) if !seen => return Err(io::Error::other(problem)),
            Ended::Lost(problem) => writeln!(io::stderr(), "handset: {problem}; asking again")?,
            Ended::Whole => pause = SHORTEST,
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST);
    }
}

/// How it ended.
enum Ended {
    /// The server went.
    Lost(String),
    /// The server says no.
    Refused(String),
    /// The server stopped as it should.
    Whole,
}

fn follow(
    server: &Remote,
    options: &Watch,
    seen: &mut bool,
    out: &mut impl Write,
) -> io::Result<Ended> {
    let stream = match server.stream("watch") {
        Ok(Ok(stream)) => stream,
        Ok(Err(answer)) => {
            let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let remedy = match answer.status {
                404 => "only native servers can be watched, and this is none",
                _ => "the server lets nobody watch now: try again later",
            };
            let detail = problem.get("detail").and_then(Value::as_str);
            let detail = detail.filter(|_| answer.status != 404);
            return Ok(Ended::Refused(detail.unwrap_or(remedy).to_owned()));
        }
        Err(Lost(problem)) => return Ok(Ended::Lost(problem)),
    };
    *seen = true;
    writeln!(io::stderr(), "handset: watching {}", server.url())?;
    show(stream, options, out)
}

/// Server-sent events: a line `data:` holds all of one; `event: lost` says that some are missing.
fn show(stream: impl Read, options: &Watch, out: &mut impl Write) -> io::Result<Ended> {
    for line in BufReader::new(stream).lines() {
        let line = match line {
            Ok(line) => line,
            Err(error) => return Ok(Ended::Lost(error.to_string())),
        };
        let Some(json) = line.strip_prefix("data: ") else {
            continue;
        };
        let event: Value = serde_json::from_str(json).unwrap_or_default();
        if let Some(count) = event.get("lost") {
            writeln!(io::stderr(), "handset: {count} requests were not shown")?;
            continue;
        }
        let site = event.get("site").and_then(Value::as_str);
        if options.site.is_some() && site != options.site.as_deref() {
            continue;
        }
        match options.json {
            true => writeln!(out, "{json}")?,
            false => writeln!(out, "{}", shown(&event))?,
        }
        out.flush()?;
    }
    Ok(Ended::Whole)
}

fn shown(event: &Value) -> String {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or("-");
    let number = |name: &str| event.get(name).and_then(Value::as_u64).unwrap_or_default();
    let time = text("time");
    let time = time.get(11..19).unwrap_or(time);
    let [site, mac, method, path, reason] = ["site", "mac", "method", "path", "reason"].map(text);
    let (status, bytes, ms) = (number("status"), number("bytes"), number("ms"));
    format!(
        "{time}  {site:<12} {mac:<12} {status}  {method:<4} {path}  {bytes} bytes, {ms} ms  {reason}"
    )
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
