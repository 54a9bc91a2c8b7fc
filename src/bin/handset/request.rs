//! `handset explain` and `render`: a request answered without a server.

use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use handset::fleet;
use handset::fleet::Hashes;
use handset::fleet::diagnostic::Diagnostic;
use handset::fleet::preview;
use handset::fleet::preview::Question;
use handset::respond::Payload;
use handset::respond::Response;
use handset::store::directory::Body;
use handset::store::directory::DirectoryStore;
use handset::store::directory::Upload;

use crate::key::SecretFile;
use crate::secret::KeyFile;
use crate::state_of;

/// Says why a request gets what it gets
#[derive(Args, Debug)]
#[command(after_help = "Example: handset explain fleet /hq/0004f2000500-phone.cfg --method PUT")]
pub(crate) struct Explain {
    #[command(flatten)]
    asked: Asked,
    /// Method of the request
    #[arg(long, default_value = "GET")]
    method: http::Method,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Prints a file as a phone would get it, with `(secret)` in place of passwords and keys
#[derive(Args, Debug)]
#[command(after_help = "Example: handset render fleet /hq/0004f2000500-device.cfg")]
pub(crate) struct Render {
    #[command(flatten)]
    asked: Asked,
    /// Passwords and keys included, byte for byte as the phone gets it
    #[arg(long)]
    show_secrets: bool,
}

/// A request, made without a server.
#[derive(Args, Debug)]
struct Asked {
    /// The fleet directory
    directory: PathBuf,
    /// Path of the file, such as /lync/shared.cfg, or its whole address
    path: String,
    /// What the phone says of itself
    #[arg(long)]
    user_agent: Option<String>,
    /// The site of paths that name none
    #[arg(long)]
    site: Option<String>,
    /// The state directory; uploads are read from it [default: DIRECTORY/state]
    #[arg(long)]
    state: Option<PathBuf>,
    #[command(flatten)]
    secret: SecretFile,
    #[command(flatten)]
    key: KeyFile,
}

pub(crate) fn render(options: &Render, out: &mut impl Write) -> io::Result<ExitCode> {
    let (response, hidden) = match ask(&options.asked, http::Method::GET)? {
        Ok(answered) => answered,
        Err(found) => return crate::report(&found, out),
    };
    if !response.status.is_success() {
        let mut problem = io::stderr();
        writeln!(
            problem,
            "handset: {} ({})",
            response.status, response.explanation.reason
        )?;
        return Ok(ExitCode::FAILURE);
    }
    if options.show_secrets {
        write_body(response.body, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut bytes = Vec::new();
    write_body(response.body, &mut bytes)?;
    match String::from_utf8(bytes) {
        Ok(text) => out.write_all(hidden.redact(&text).as_bytes())?,
        // No text: an image, which has no passwords.
        Err(image) => out.write_all(image.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write_body(body: Payload<Body>, out: &mut impl Write) -> io::Result<()> {
    match body {
        Payload::Bytes(bytes) => out.write_all(&bytes),
        Payload::Stored(bodies) => bodies.into_iter().try_for_each(|body| body.copy(out)),
    }
}

pub(crate) fn explain(options: &Explain, out: &mut impl Write) -> io::Result<ExitCode> {
    let response = match ask(&options.asked, options.method.clone())? {
        Ok((response, _)) => response,
        Err(found) => return crate::report(&found, out),
    };
    let explanation = serde_json::to_value(&response.explanation)?;
    if options.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&explanation)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, value) in explanation.as_object().into_iter().flatten() {
        match value {
            serde_json::Value::Null => {}
            serde_json::Value::String(text) => writeln!(out, "{name:<10}{text}")?,
            serde_json::Value::Object(settings) if settings.is_empty() => {}
            serde_json::Value::Object(settings) => {
                writeln!(out, "{name}")?;
                for (setting, layer) in settings {
                    writeln!(out, "  {setting:<24}{}", layer.as_str().unwrap_or_default())?;
                }
            }
            other => writeln!(out, "{name:<10}{other}")?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the handler says, and what of it is not to be shown.
type Answered = (Response<Body>, preview::Hidden);

/// Asks the handler; or says what is wrong with the fleet directory.
fn ask(asked: &Asked, method: http::Method) -> io::Result<Result<Answered, Vec<Diagnostic>>> {
    let key = asked.key.read()?;
    let compiled = fleet::compile_with(&asked.directory, &mut Hashes::default(), key.as_ref());
    let fleet = match compiled {
        Ok(fleet) => fleet,
        Err(found) => return Ok(Err(found)),
    };
    let names = fleet.sealed_parameters;
    let secrets = asked.secret.read()?;
    let store = DirectoryStore::open(
        &state_of(&asked.directory, asked.state.as_deref()),
        fleet.snapshot,
    )?;
    let question = Question {
        method,
        target: &asked.path,
        user_agent: asked.user_agent.as_deref(),
        site: asked.site.as_deref(),
        secrets: secrets.as_ref(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let answered = async {
        let response = preview::ask(&store, &question, Upload::none()).await;
        let hidden = preview::hidden(&store, &response.explanation, names).await;
        hidden.map(|hidden| (response, hidden))
    };
    let answered = runtime.block_on(answered).map_err(io::Error::other)?;
    Ok(Ok(answered))
}
