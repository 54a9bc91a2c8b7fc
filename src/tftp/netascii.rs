//! Netascii (RFC 1350 section 1, RFC 764): a line feed travels as CR LF, a carriage return as CR NUL.

/// Turns a file's bytes into netascii, piece by piece.
pub(super) fn encode(bytes: &[u8], into: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'\n' => into.extend_from_slice(b"\r\n"),
            b'\r' => into.extend_from_slice(b"\r\0"),
            other => into.push(*other),
        }
    }
}

/// Turns netascii into a file's bytes; a CR may be the last byte of one piece and its sequel the first of the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Decoder {
    carriage_return: bool,
}

impl Decoder {
    pub(super) fn decode(&mut self, bytes: &[u8], into: &mut Vec<u8>) {
        for byte in bytes {
            let after_return = std::mem::take(&mut self.carriage_return);
            match (after_return, byte) {
                (true, b'\n') => into.push(b'\n'),
                (true, 0) => into.push(b'\r'),
                (true, b'\r') => {
                    into.push(b'\r');
                    self.carriage_return = true;
                }
                // Not netascii, but nothing is lost.
                (true, other) => into.extend_from_slice(&[b'\r', *other]),
                (false, b'\r') => self.carriage_return = true,
                (false, other) => into.push(*other),
            }
        }
    }

    /// A CR at the very end stands for itself.
    pub(super) fn finish(&mut self, into: &mut Vec<u8>) {
        if std::mem::take(&mut self.carriage_return) {
            into.push(b'\r');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::Decoder;
    use super::encode;

    fn decoded(pieces: &[&[u8]]) -> Vec<u8> {
        let mut decoder = Decoder::default();
        let mut bytes = Vec::new();
        for piece in pieces {
            decoder.decode(piece, &mut bytes);
        }
        decoder.finish(&mut bytes);
        bytes
    }

    #[test]
    fn lines_travel_as_crlf() {
        let mut wire = Vec::new();
        encode(b"a\nb\r\n\rc", &mut wire);
        assert_eq!(wire, b"a\r\nb\r\0\r\n\r\0c");
    }

    #[test]
    fn what_is_no_netascii_loses_nothing() {
        for (pieces, expected) in [
            (&[&b"a\r"[..], b"\nb"][..], &b"a\nb"[..]),
            (&[b"a\r", b"\0b"], b"a\rb"),
            (&[b"a\r\r\n"], b"a\r\n"),
            (&[b"a\rb"], b"a\rb"),
            (&[b"a\r"], b"a\r"),
            (&[b"a\nb"], b"a\nb"),
        ] {
            assert_eq!(decoded(pieces), expected, "{pieces:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: Vec<u8>, cut in any::<proptest::sample::Index>()) {
            let mut wire = Vec::new();
            encode(&bytes, &mut wire);
            let (first, second) = wire.split_at(cut.index(wire.len() + 1));
            assert_eq!(decoded(&[first, second]), bytes);
        }
    }
}
