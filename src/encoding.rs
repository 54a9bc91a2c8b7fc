//! Bytes as text (RFC 4648): hexadecimal, base32 of a number, and base64 as clients write it and as we do.

/// The digits of RFC 4648 section 6, in lower case: neither 0 nor 1, which people take for letters.
const BASE32: [u8; 32] = *b"abcdefghijklmnopqrstuvwxyz234567";

/// Lower-case hexadecimal digits, two a byte.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for value in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(value), 16).unwrap_or('0'));
        }
    }
    text
}

/// Reads hexadecimal digits of either case; `None` for any other character, or half a byte.
pub fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for pair in text.chunks(2) {
        let [high, low] = *pair else {
            return None;
        };
        let value = char::from(high).to_digit(16)? << 4 | char::from(low).to_digit(16)?;
        bytes.push(u8::try_from(value).ok()?);
    }
    Some(bytes)
}

/// The last `length` base32 digits of a number, the most significant first.
pub fn base32(number: u128, length: u32) -> String {
    let mut text = String::new();
    for place in (0..length).rev() {
        let value = number.checked_shr(5 * place).unwrap_or(0) & 31;
        let digit = usize::try_from(value).ok().and_then(|it| BASE32.get(it));
        text.push(char::from(*digit.unwrap_or(&b'a')));
    }
    text
}

/// The number that base32 digits of either case make; `None` for any other character, or more than 25
/// digits, which hold no more than the number does.
pub fn from_base32(text: &[u8]) -> Option<u128> {
    if text.len() > 25 {
        return None;
    }
    text.iter().try_fold(0, |number, byte| {
        let value = match byte.to_ascii_lowercase() {
            letter @ b'a'..=b'z' => letter - b'a',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        Some(number << 5 | u128::from(value))
    })
}

/// Base64 with padding in the alphabet of section 4, as protocols of others have it.
pub fn base64_padded(bytes: &[u8]) -> String {
    let mut text = base64(bytes).replace('-', "+").replace('_', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// Base64 without padding in the alphabet of section 5, which is at home in addresses and tables alike.
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() / 3 * 4 + 3);
    for three in bytes.chunks(3) {
        let held = three
            .iter()
            .fold(0, |held, byte| held << 8 | u32::from(*byte));
        let held = held << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            text.push(base64_digit((held >> (18 - 6 * place)) & 63));
        }
    }
    text
}

fn base64_digit(value: u32) -> char {
    let alphabet = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['-', '_']);
    let mut from = alphabet.skip(value as usize);
    from.next().unwrap_or('_')
}

/// Reads base64 in either alphabet of RFC 4648 (sections 4 and 5), with its padding or without.
///
/// Clients differ in both. What the bits of the last digit hold beyond whole bytes is not looked at.
pub fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let digits = match text {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] => digits,
        digits => digits,
    };
    if digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let mut held = 0_u32;
    let mut bits = 0;
    for digit in digits {
        held = held << 6 | base64_value(*digit)?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            let [_, _, _, byte] = (held >> bits).to_be_bytes();
            bytes.push(byte);
        }
    }
    Some(bytes)
}

fn base64_value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::base32;
    use super::from_base32;
    use super::from_base64;
    use super::from_hex;
    use super::hex;

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Zm9vYmE", "fooba"),
            ("Zm9vYg", "foob"),
        ] {
            assert_eq!(
                from_base64(text.as_bytes()).as_deref(),
                Some(bytes.as_bytes()),
                "{text}"
            );
        }
        assert_eq!(from_base64(b"-_+/"), Some(vec![0xfb, 0xff, 0xbf]));
        for text in ["Z", "Zm9vY", "Zm=v", "====", "Zg===", "Zm 9", "Zm9v\n", "é"] {
            assert_eq!(from_base64(text.as_bytes()), None, "{text}");
        }
        // "fooba" is 40 bits, eight digits, MZXW6YTB in section 10.
        assert_eq!(base32(0x66_6f6f_6261, 8), "mzxw6ytb");
        assert_eq!(from_base32(b"MZXW6ytb"), Some(0x66_6f6f_6261));
        for text in ["mzxw6yt1", "mzxw6yt8", "a-b", "mzxw6ytb="] {
            assert_eq!(from_base32(text.as_bytes()), None, "{text}");
        }
        assert_eq!(from_base32(&[b'a'; 26]), None);
        assert_eq!(from_hex(b"00fFa"), None);
        assert_eq!(from_hex(b"0x"), None);
        assert_eq!(from_hex(b"00fF"), Some(vec![0, 255]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes: Vec<u8>, number in any::<u128>()) {
            assert_eq!(from_hex(hex(&bytes).as_bytes()), Some(bytes));
            let number = number >> 3;
            let text = base32(number, 25);
            assert_eq!(from_base32(text.as_bytes()), Some(number));
            assert_eq!(from_base32(text.to_uppercase().as_bytes()), Some(number));
        }
    }
}
