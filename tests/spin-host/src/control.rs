//! The control channel: a JSON object a line in, a JSON object a line out, until the input ends.

use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncBufRead;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;

use crate::instance::Shared;
use crate::server::Server;
use crate::values::Change;

/// A command: the one field that is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Command {
    /// Answers with the counters.
    Counts(bool),
    /// From now on the key-value store fails, or works again.
    FailKeyValue(bool),
    /// From now on calls of the key-value store end their instance, or no longer.
    TrapKeyValue(bool),
    /// Sets or deletes a key, as in the store's file.
    KeyValue(Change),
}

/// Says where the server listens, then carries out commands until there are no more.
pub async fn control(
    server: &Server,
    input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let address = server.address()?;
    let mut answer = json!({ "address": address.to_string() });
    let mut lines = input.lines();
    loop {
        output.write_all(format!("{answer}\n").as_bytes()).await?;
        output.flush().await?;
        let Some(line) = lines.next_line().await? else {
            return Ok(());
        };
        answer = match serde_json::from_str(&line) {
            Ok(command) => carry_out(&server.shared, command),
            Err(error) => json!({ "error": error.to_string() }),
        };
    }
}

fn carry_out(shared: &Shared, command: Command) -> Value {
    match command {
        Command::Counts(true) => json!(shared.counters.counts()),
        Command::Counts(false) => json!({}),
        Command::FailKeyValue(fail) => {
            shared.fail_key_value.store(fail, Ordering::Relaxed);
            json!({ "done": true })
        }
        Command::TrapKeyValue(trap) => {
            shared.trap_key_value.store(trap, Ordering::Relaxed);
            json!({ "done": true })
        }
        Command::KeyValue(change) => match shared.values.make(change) {
            Ok(()) => json!({ "done": true }),
            Err(error) => json!({ "error": error.to_string() }),
        },
    }
}
