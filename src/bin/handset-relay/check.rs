//! `handset-relay check`: tries what can be tried without harm, while another relay may be running.

use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;

use handset::relay::neighbours::Neighbours;
use handset::relay::upstream::Ask;
use handset::relay::upstream::Upstream;
use http::Method;
use http::StatusCode;

use crate::Arguments;
use crate::trust;

/// Says of each part whether it would do; `false` where one would not.
pub(crate) async fn run(arguments: &Arguments, out: &mut impl Write) -> io::Result<bool> {
    let mut results = vec![neighbours(arguments)];
    if let Some(path) = &arguments.state {
        results.push(state(path));
    }
    match Upstream::new(arguments.upstream()?.clone(), &trust(arguments)) {
        Err(error) => results.push(Err(error.to_string())),
        Ok(upstream) => results.push(answer(&upstream, arguments).await),
    }
    let good = results.iter().all(Result::is_ok);
    for result in results {
        match result {
            Ok(what) => writeln!(out, "good   {what}")?,
            Err(problem) => writeln!(out, "wrong  {problem}")?,
        }
    }
    Ok(good)
}

fn neighbours(arguments: &Arguments) -> Result<String, String> {
    let list = arguments.neighbours.as_deref();
    Neighbours::new(list).map_err(|error| format!("--neighbours: {error}"))?;
    Ok(list.map_or_else(
        || "neighbours: the system's tables".to_owned(),
        |list| format!("neighbours: {} and the system's tables", list.display()),
    ))
}

/// A directory that can be written, or one that can be made.
fn state(path: &Path) -> Result<String, String> {
    let shown = path.display();
    if !path.exists() {
        let above = path.ancestors().skip(1).find(|it| it.exists());
        let writable = above.is_some_and(|it| try_to_write(it).is_ok());
        return match writable {
            true => Ok(format!("--state {shown}: will be made")),
            false => Err(format!(
                "--state {shown}: cannot be made (--state takes another directory)"
            )),
        };
    }
    try_to_write(path)
        .map_err(|error| format!("--state {shown}: {error} (give it to who runs the relay)"))?;
    Ok(format!("--state {shown}"))
}

fn try_to_write(directory: &Path) -> io::Result<()> {
    let tried = directory.join(format!(".check-{}", std::process::id()));
    fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .open(&tried)?;
    fs::remove_file(tried)
}

/// Asks for nothing in particular: any answer but a few will do.
async fn answer(upstream: &Upstream, arguments: &Arguments) -> Result<String, String> {
    let mut ask = Ask::new(Method::HEAD, "");
    let name = arguments.name.clone();
    ask.headers.insert(handset::access::RELAY, name);
    let answer = upstream.send(&ask).await;
    let status = answer
        .map_err(|error| format!("--upstream: {error} (is the address right, and the way to it?)"))?
        .status;
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(format!(
            "--upstream: the server answers {status}: it does not take the key (handset key DIR SITE --relay NAME)"
        )),
        status if status.is_server_error() => Err(format!(
            "--upstream: the server answers {status}: look into its log"
        )),
        status => Ok(format!("--upstream: the server answers, {status}")),
    }
}
