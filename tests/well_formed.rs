//! What is XML to us is XML to two readers that others wrote, and what is none to us is none to the stricter.

use std::time::Duration;
use std::time::Instant;

use handset::well_formed::DEEPEST;
use handset::well_formed::Flaw;
use handset::well_formed::check;
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop_oneof;
use proptest::proptest;
use proptest::sample::select;
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::Event;

#[test]
fn what_phones_may_send() {
    let deep = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
    let good: &[&[u8]] = &[
        b"",
        b"\n",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf<a/>",
        b"<a/>\0",
        b"\r\n<a/>\r\n\0\0",
        b"<?xml version=\"1.0\"?><a/>",
        b"<?xml version='1.0' encoding='utf-8' standalone='yes' ?>\n<!-- b - c -->\n<?d e?><a/><!---->",
        b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a b=\"\xe4\">\xff</a>",
        b"<?xml version=\"1.0\" encoding=\"windows-1252\"?><a>\x80</a>",
        b"<?xml version=\"1.0\" encoding=\"US-ASCII\"?><a/>",
        "<ä ö='ü'>→</ä>".as_bytes(),
        b"<a b = '\"' c=\"'>\" ><b/>&lt;&gt;&amp;&quot;&apos;&#10;&#x1F600;<![CDATA[<&]]></a >",
        b"<PHONE_CONFIG><OVERRIDES np.normal.ringing.calls.tonePattern=\"ringer10\"/></PHONE_CONFIG>",
    ];
    for file in good {
        assert_eq!(check(file), Ok(()), "{}", String::from_utf8_lossy(file));
    }
    assert_eq!(check(deep(DEEPEST).as_bytes()), Ok(()));
    assert_eq!(check(deep(DEEPEST + 1).as_bytes()), Err(Flaw::Deep));
    let bad: &[(Flaw, &[u8])] = &[
        (Flaw::Doctype, b"<!DOCTYPE a><a/>"),
        (Flaw::Doctype, b"<!doctype a><a/>"),
        (Flaw::Doctype, b"<a><!DOCTYPE a></a>"),
        (Flaw::Doctype, b"<a><!ENTITY b 'c'></a>"),
        (Flaw::Doctype, b"<!-a-><a/>"),
        (Flaw::Encoding, b"<a>\xe4</a>"),
        (
            Flaw::Encoding,
            b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>\xe4</a>",
        ),
        (
            Flaw::Encoding,
            b"<?xml version=\"1.0\" encoding=\"UTF-7\"?><a/>",
        ),
        (
            Flaw::Encoding,
            b"<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>",
        ),
        (Flaw::Malformed, b"\xff\xfe<\0a\0/\0>\0"),
        (Flaw::Malformed, b"<a>\0</a>"),
        (Flaw::Malformed, b"<a>\x01</a>"),
        (Flaw::Malformed, b"a"),
        (Flaw::Malformed, b"<a/>b"),
        (Flaw::Malformed, b"<a/><a/>"),
        (Flaw::Malformed, b"<!-- a -->"),
        (Flaw::Malformed, b"<a>"),
        (Flaw::Malformed, b"</a>"),
        (Flaw::Malformed, b"<a></b>"),
        (Flaw::Malformed, b"<a><b></a></b>"),
        (Flaw::Malformed, b"<a b/>"),
        (Flaw::Malformed, b"<a b=c/>"),
        (Flaw::Malformed, b"<a b='1'c='2'/>"),
        (Flaw::Malformed, b"<a b='1' c='2' b='3'/>"),
        (Flaw::Malformed, b"<a b='<'/>"),
        (Flaw::Malformed, b"<a b='&'/>"),
        (Flaw::Malformed, b"<a>& </a>"),
        (Flaw::Malformed, b"<a>&nbsp;</a>"),
        (Flaw::Malformed, b"<a>&#0;</a>"),
        (Flaw::Malformed, b"<a>&#xd800;</a>"),
        (Flaw::Malformed, b"<a>&#99999999999;</a>"),
        (Flaw::Malformed, b"<a>&#;</a>"),
        (Flaw::Malformed, b"<a>]]></a>"),
        (Flaw::Malformed, b"<![CDATA[]]><a/>"),
        (Flaw::Malformed, b"<a><!-- b -- c --></a>"),
        (Flaw::Malformed, b"<a><!-- </a>"),
        (Flaw::Malformed, b"<a/><?xml version='1.0'?>"),
        (Flaw::Malformed, b"<?xml version='1.0' other='1'?><a/>"),
        (Flaw::Malformed, b"<1/>"),
        (Flaw::Malformed, b"< a/>"),
        (Flaw::Malformed, b"<a/"),
        (Flaw::Malformed, b"<"),
    ];
    for (flaw, file) in bad {
        assert_eq!(check(file), Err(*flaw), "{}", String::from_utf8_lossy(file));
    }
}

/// The largest files that are checked take no longer for being made to.
#[test]
fn no_file_takes_long() {
    let whole = 4 << 20;
    let attributes = (0..whole / 12).map(|number| format!(" a{number:06}=''"));
    let attributes = format!("<a{}/>", attributes.collect::<String>());
    for (start, piece, end) in [
        ("", "<", ""),
        ("<a>", "&amp;", "</a>"),
        ("<a>", "<b/>", "</a>"),
        ("<a>", "]]", "</a>"),
        ("<a><!--", "- ", "--></a>"),
        ("<a b='", "&#38;", "'/>"),
        ("", attributes.as_str(), ""),
    ] {
        let file = format!("{start}{}{end}", piece.repeat((whole / piece.len()).max(1)));
        let begin = Instant::now();
        let _ = check(file.as_bytes());
        let took = begin.elapsed();
        assert!(
            took < Duration::from_secs(20),
            "{took:?} for {start}{piece:.20}"
        );
    }
}

/// Every error that a reader can be told to look for.
fn quick_xml_reads(text: &str) -> bool {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return true,
            Ok(Event::DocType(_)) | Err(_) => return false,
            Ok(Event::Start(element) | Event::Empty(element)) => {
                for attribute in element.attributes() {
                    let Ok(attribute) = attribute else {
                        return false;
                    };
                    if unescape(&attribute.value).is_err() {
                        return false;
                    }
                }
            }
            Ok(Event::GeneralRef(reference)) => {
                if unescape(&format!("&{};", &*reference)).is_err() {
                    return false;
                }
            }
            Ok(_) => {}
        }
    }
}

/// Content of an element.
fn content() -> impl Strategy<Value = String> {
    let attributes = vec(("[a-c]", "[a-z '\n]{0,3}|&amp;|&#65;"), 0..3);
    let attributes = attributes.prop_map(|pairs| {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| format!(" {name}=\"{value}\""))
            .collect::<String>()
    });
    let leaf = prop_oneof![
        "[a-z ]{0,4}".boxed(),
        select(
            &[
                "&lt;",
                "&#x41;",
                "<![CDATA[<&]]>",
                "<!-- a -->",
                "<?p q?>",
                "\n",
                "]]"
            ][..]
        )
        .prop_map(str::to_owned)
        .boxed(),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let inner = vec(inner, 0..4).prop_map(|parts| parts.concat());
        ("[a-c]", attributes.clone(), inner)
            .prop_map(|(name, attributes, inner)| format!("<{name}{attributes}>{inner}</{name}>"))
    })
}

const PIECES: &[&str] = &[
    "<",
    ">",
    "/",
    "&",
    ";",
    "\"",
    "'",
    "=",
    " ",
    "a",
    "-",
    "--",
    "!",
    "?",
    "]",
    "]]>",
    "<a>",
    "</a>",
    "<a/>",
    "<!--",
    "-->",
    "<![CDATA[",
    "<?p",
    "?>",
    "<!DOCTYPE a>",
    "<!ENTITY a 'b'>",
    "&b;",
    "&#0;",
    // Not `&#xD800;`: the other reads half a character as one that it could not read.
    "&#x;",
    "\u{1}",
    " a=''",
    "1",
    "\t",
];

/// Whether the name of a processing instruction is followed by neither space nor its end, which the other reader takes
/// and XML 1.0 (production 16) does not.
fn has_loose_instruction(text: &str) -> bool {
    let in_name = |c: char| c.is_ascii_alphanumeric() || "-_:.".contains(c);
    let mut behind = text.split("<?").skip(1);
    behind.any(|rest| {
        let rest = rest.trim_start_matches(in_name);
        !rest.starts_with([' ', '\t', '\n']) && !rest.starts_with("?>")
    })
}

proptest! {
    #[test]
    fn others_read_what_is_taken_and_refuse_what_is_not(
        inner in content(),
        changes in vec((any::<usize>(), 0..3_usize, select(PIECES)), 0..4),
    ) {
        let mut text = format!("<a>{inner}</a>");
        for (place, length, piece) in changes {
            let from = place % (text.len() + 1);
            let to = (from + length).min(text.len());
            text.replace_range(from..to, piece);
        }
        let taken = check(text.as_bytes()) == Ok(());
        let trimmed = text.trim_matches([' ', '\t', '\n']);
        let strict = roxmltree::Document::parse(trimmed);
        if !trimmed.is_empty() && !has_loose_instruction(trimmed) {
            assert_eq!(taken, strict.is_ok(), "{text:?}: {strict:?}");
        }
        assert!(!taken || quick_xml_reads(&text), "{text:?}");
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = check(&bytes);
    }
}
