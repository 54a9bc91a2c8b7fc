//! Hostile request lines: `tests/hostile/requests.txt`.

/// The status that a row is answered with natively, the line as it is written there, and the request.
pub(crate) fn requests() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let rows = include_str!("../hostile/requests.txt").lines();
    let rows = rows.filter(|row| !row.starts_with('#')).map(|row| {
        let (status, line) = row.split_once(' ').unwrap();
        let mut request = unescape(line);
        request.extend_from_slice(b"\r\nHost: x\r\nConnection: close\r\n\r\n");
        (status, line, request)
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() >= 200);
    rows
}

/// `\xNN`, `\t`, `\r`, `\\` and `{text*count}`.
fn unescape(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        let (piece, used) = match next {
            '\\' => escape(&rest[1..]),
            '{' if repeated(rest).is_some() => repeated(rest).unwrap(),
            other => (other.to_string().into_bytes(), other.len_utf8()),
        };
        bytes.extend(piece);
        rest = &rest[used..];
    }
    bytes
}

fn escape(rest: &str) -> (Vec<u8>, usize) {
    match rest.as_bytes()[0] {
        b'x' => (vec![u8::from_str_radix(&rest[1..3], 16).unwrap()], 4),
        b't' => (b"\t".to_vec(), 2),
        b'r' => (b"\r".to_vec(), 2),
        other => (vec![other], 2),
    }
}

fn repeated(rest: &str) -> Option<(Vec<u8>, usize)> {
    let (inner, _) = rest[1..].split_once('}')?;
    let (text, count) = inner.rsplit_once('*')?;
    Some((
        text.repeat(count.parse().ok()?).into_bytes(),
        inner.len() + 2,
    ))
}
