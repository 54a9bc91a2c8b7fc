//! A step of a case over a real socket.

use std::net::SocketAddr;

use crate::case::Answer;
use crate::case::Step;
use crate::client;
use crate::client::secret::with_keys;

/// Sends a step's request on a connection of its own.
pub(crate) fn over_the_wire(address: SocketAddr, step: &Step) -> Answer {
    let mut request = format!(
        "{} {} HTTP/1.1\r\nConnection: close\r\n",
        step.method,
        with_keys(&step.target)
    );
    let named = |name: &str| {
        let mut names = step.headers.iter().map(|(name, _)| name);
        names.any(|other| other.eq_ignore_ascii_case(name))
    };
    if !named("host") {
        request.push_str("Host: test\r\n");
    }
    for (name, value) in &step.headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let bytes = [request.as_bytes(), b"\r\n", &step.body].concat();
    let answer = client::exchange(address, &bytes, &step.method);
    let headers = answer.head.lines().filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let headers = headers.iter().map(|(name, value)| (name.as_str(), *value));
    Answer::new(answer.status, headers, answer.body)
}
