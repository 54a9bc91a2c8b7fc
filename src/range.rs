//! Range requests (RFC 9110 section 14): one range of bytes, which is all that phones ask for.

use std::ops::Range;

/// What a Range header asks for, given the length of the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Requested {
    /// These bytes, never empty.
    Part(Range<u64>),
    /// Nothing of the file: 416.
    Unsatisfiable,
    /// The whole file: no range, several ranges, another unit, or nonsense, which a server may ignore.
    Whole,
}

/// Reads a Range header.
pub fn parse(header: &str, length: u64) -> Requested {
    let Some(set) = bytes_unit(header) else {
        return Requested::Whole;
    };
    let Some((first, last)) = set.trim().split_once('-') else {
        return Requested::Whole;
    };
    match (number(first), number(last)) {
        (Some(Number::Absent), Some(Number::Bytes(0))) => Requested::Unsatisfiable,
        (Some(Number::Absent), Some(Number::Bytes(suffix))) if length > 0 => {
            Requested::Part(length.saturating_sub(suffix)..length)
        }
        (Some(Number::Absent), Some(Number::Bytes(_))) => Requested::Unsatisfiable,
        (Some(Number::Bytes(first)), Some(Number::Bytes(last))) if first > last => Requested::Whole,
        (Some(Number::Bytes(first)), Some(_)) if first >= length => Requested::Unsatisfiable,
        (Some(Number::Bytes(first)), Some(Number::Absent)) => Requested::Part(first..length),
        (Some(Number::Bytes(first)), Some(Number::Bytes(last))) => {
            Requested::Part(first..length.min(last.saturating_add(1)))
        }
        _ => Requested::Whole,
    }
}

enum Number {
    Absent,
    Bytes(u64),
}

fn bytes_unit(header: &str) -> Option<&str> {
    let (unit, set) = header.split_once('=')?;
    (unit.trim().eq_ignore_ascii_case("bytes") && !set.contains(',')).then_some(set)
}

/// A number of any length; one beyond 64 bits is beyond every file.
fn number(text: &str) -> Option<Number> {
    match text.trim() {
        "" => Some(Number::Absent),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Number::Bytes(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Requested;
    use super::parse;

    #[test]
    fn ranges_of_ten_bytes() {
        for (header, requested) in [
            ("bytes=0-3", Requested::Part(0..4)),
            ("bytes=0-0", Requested::Part(0..1)),
            ("Bytes = 4-", Requested::Part(4..10)),
            ("bytes=4-99", Requested::Part(4..10)),
            ("bytes=-3", Requested::Part(7..10)),
            ("bytes=-99", Requested::Part(0..10)),
            ("bytes=4-99999999999999999999999", Requested::Part(4..10)),
            ("bytes=10-", Requested::Unsatisfiable),
            ("bytes=99999999999999999999999-", Requested::Unsatisfiable),
            ("bytes=-0", Requested::Unsatisfiable),
            ("bytes=3-2", Requested::Whole),
            ("bytes=0-1,4-5", Requested::Whole),
            ("bytes=-", Requested::Whole),
            ("bytes=a-b", Requested::Whole),
            ("bytes=--1", Requested::Whole),
            ("bytes", Requested::Whole),
            ("lines=0-3", Requested::Whole),
            ("", Requested::Whole),
        ] {
            assert_eq!(parse(header, 10), requested, "{header}");
        }
    }

    #[test]
    fn an_empty_file_has_no_ranges() {
        assert_eq!(parse("bytes=0-", 0), Requested::Unsatisfiable);
        assert_eq!(parse("bytes=-1", 0), Requested::Unsatisfiable);
    }
}
