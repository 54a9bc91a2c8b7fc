//! The table of findings: what `handset check` can say, why it matters, and when to live with it.
//!
//! To add one, add a row, keep the rows sorted, report its code, and provoke it in `tests/fleet/broken.txt`.
//! `docs/check.md` is written from this table.

use std::fmt::Write;

/// One kind of finding.
#[derive(Debug)]
pub struct Finding {
    /// Its name, which stays: silences and other programs name it.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// What a phone or an operator would suffer.
    pub why: &'static str,
    /// What to do in general; the finding itself says what to do about this one.
    pub remedy: &'static str,
    /// When it may be silenced; empty where it cannot be.
    pub silence: &'static str,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// It is served to nobody, or a phone would not get what it needs.
    Error,
    /// Something that its author probably did not mean.
    Warning,
}

impl Severity {
    /// The severity as reports call it; SARIF's levels have the same names.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// The finding of this code.
pub fn find(code: &str) -> Option<&'static Finding> {
    let place = FINDINGS.binary_search_by_key(&code, |finding| finding.code);
    FINDINGS.get(place.ok()?)
}

/// The page that explains every finding.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for finding in FINDINGS {
        let Finding {
            code,
            title,
            why,
            remedy,
            ..
        } = finding;
        let severity = finding.severity.word();
        let silence = match finding.silence {
            "" => "cannot be silenced.",
            silence => silence,
        };
        let _ = write!(
            text,
            "\n### {code}\n\n{title} ({severity}). {why}\n\n- Remedy: {remedy}\n- Silence: {silence}\n"
        );
    }
    text
}

const HEAD: &str = "\
# What `handset check` finds

Written from the table in `src/fleet/finding.rs`; `UPDATE_FIXTURES=1 cargo test --test fleet` writes it anew.

    handset check DIR                    # for people
    handset check DIR --format json      # a list of findings
    handset check DIR --format sarif     # SARIF 2.1.0, for code hosts

The exit code is 1 if an error is among the findings, else 0; `--deny-warnings` makes it 1 for a warning too.

A finding names its code, the file, the line and the character, and a remedy. A warning that is meant so is silenced in
`handset.toml`, with the reason; errors cannot be silenced. `file` and `text` narrow a silence to findings of that file
(`*` stands for any text) and to findings that say that text. A silence that silences nothing is itself reported.

    [[silence]]
    code = \"duplicate-extension\"
    file = \"devices/phones.csv\"
    text = \"1001\"
    reason = \"the reception's two phones share a line\"

## Findings
";

const fn error(
    code: &'static str,
    title: &'static str,
    why: &'static str,
    remedy: &'static str,
) -> Finding {
    Finding {
        code,
        severity: Severity::Error,
        title,
        why,
        remedy,
        silence: "",
    }
}

const fn warning(
    code: &'static str,
    title: &'static str,
    why: &'static str,
    remedy: &'static str,
    silence: &'static str,
) -> Finding {
    Finding {
        code,
        severity: Severity::Warning,
        title,
        why,
        remedy,
        silence,
    }
}

/// Every finding, sorted by code.
#[rustfmt::skip]
pub const FINDINGS: &[Finding] = &[
    warning("article-dash", "A dash of an article in markup",
        "Articles turn `--` into a dash. `<!–` begins no comment and `—–BEGIN CERTIFICATE—–` no certificate: the phone rejects the file.",
        "Type `<!--`, `-->` and `-----BEGIN CERTIFICATE-----`.",
        "Where the dash is text that a person reads."),
    error("bad-address", "No address or host name",
        "Files that need absolute addresses would name one that no phone reaches.",
        "Give scheme and host, such as `https://prov.example.net`; a host name stands alone."),
    error("bad-generations", "Generations of keys that cannot be valid together",
        "A key of a generation that is not valid opens nothing.",
        "Retire old generations."),
    error("bad-mac", "No hardware address",
        "A phone is known by its address; without one nothing is served to it.",
        "Copy the twelve digits from the phone's label, in any spelling."),
    error("bad-name", "A file name that is no pattern",
        "Names of templates and resources say which requests they answer; this one can answer none.",
        "Holes are `{mac}`, `{MAC}` and `{model}`; other names have no braces."),
    error("bad-parameter-name", "No parameter's name",
        "The name is written into the file as it is, and could begin another parameter.",
        "Write the name as the vendor's manual does."),
    error("bad-password", "A user or password that cannot be one",
        "Phones that ask with it would be refused.",
        "Put the line there that `handset password USER` prints."),
    error("bad-place-name", "A site's or tenant's name that cannot stand in an address",
        "Phones are given `<public_url>/<site>/`, and phones differ in what they escape.",
        "Use lower-case letters, digits, `-` and `_`, at most 63."),
    error("bad-relay", "A relay that cannot be one",
        "A key that is made for a relay names it, so that names are plain and stand once.",
        "Use letters, digits, `-`, `_` and `.`, and each name once."),
    error("bad-seal", "A sealed value that cannot be opened, or is none",
        "The phone would be given another password than its operator meant, or sealed text in place of a name.",
        "Seal the value anew with `handset secret seal`; only secrets are sealed."),
    error("bad-silence", "A silence that cannot be",
        "A silence without a known code or a reason hides more than was meant, from more people than know of it.",
        "Give `code`, one of the warnings of this page, and `reason`."),
    error("broken-line", "A line that is not of the file's form",
        "Line-based phones stop reading, or take the rest of the file for something else.",
        "Write `name=value`, or `NAME=\"value\"` where the format wants quotes."),
    error("broken-xml", "A file that is not well-formed XML",
        "The phone rejects the whole file and keeps what it had.",
        "Mend the template at the line that is named."),
    error("contradicting-access", "Keys or passwords of an open site",
        "An open site asks nobody: what is said of keys and passwords has no effect.",
        "Say `access = \"keys\"`, or take the rest away."),
    warning("curly-quote", "A quotation mark of an article around a value",
        "Articles print ” where a phone reads \". The mark becomes part of the value, or the file does not parse.",
        "Type straight quotes.",
        "Where the mark is text that a person reads."),
    error("duplicate-column", "A column twice",
        "Only one of the two could count.",
        "Keep one of the two."),
    warning("duplicate-extension", "Two phones with one extension",
        "Both register the same account: calls ring at whichever registered last, or at both.",
        "Give each phone its own account.",
        "Where phones share a line on purpose."),
    error("duplicate-mac", "A phone that stands twice",
        "Only one of the two descriptions could count.",
        "Keep one of the two."),
    error("duplicate-model", "A model with two files",
        "Only one of the two could count.",
        "Keep one file a model."),
    warning("duplicate-parameter", "A parameter twice in one file, with two values",
        "The phone keeps one of them, the first or the last by its maker, and says nothing.",
        "Keep the one that is meant.",
        "Hardly ever: remove the other one."),
    error("false-master", "A master file's name on a file that is none",
        "The phone takes it for its master file and finds nothing to fetch in it.",
        "Rename it, for example to `{mac}-device.cfg`."),
    warning("first-line", "A file without the first line that its phone demands",
        "The phone reads the first line to see whether the file is for it, and ignores the file otherwise.",
        "Begin the file with the line that is named.",
        "Where a model takes another line: better say `first_line` in `models/`."),
    error("forbidden-character", "A value with a character that the format cannot hold",
        "It would begin another setting, or end the file for the phone; nothing is served instead.",
        "Take the character out of the value."),
    error("host-of-two-sites", "One host name for two sites",
        "A host name can have one site at its root.",
        "Give each site its own host name."),
    error("image-missing", "A pinned image that is not there",
        "The phone would be told to fetch an image that it gets 404 for, at every boot.",
        "Put the image where the finding says (`handset firmware add`), or pin another version."),
    warning("image-of-another-model", "An image under the name of another model's",
        "A phone that burns another model's image can become unusable.",
        "Take each image from the release package under its own name.",
        "Where the maker ships one image for both."),
    warning("last-line", "A file that does not end in a line break",
        "The phone drops the last line.",
        "End the template with an empty line.",
        "Where the model is known to read it."),
    warning("list-too-long", "A list of files that is longer than the phone reads",
        "The phone cuts the list, and with it the last files.",
        "Name fewer files, or shorter ones.",
        "Where a newer firmware is known to take more."),
    warning("listed-file-missing", "A master file that names a file which nobody serves",
        "The phone asks for it at every boot and gets 404; what should have been in it is not set.",
        "Add a template or resource of that name, or take the name out.",
        "Where another server answers for that name."),
    warning("lost-parameter", "A parameter whose value another file takes away",
        "The phone reads the files of its list in order. Where a shared file stands before the phone's own, or after it \
         with a maker whose phones keep the last value, the phone's own value is lost without a word.",
        "Change the order of the list, or take the parameter out of the shared file.",
        "Where the shared file is meant to win."),
    error("misplaced-file", "An image that is not in a version's folder",
        "Images are found by vendor, version and name.",
        "Put it into `firmware/<vendor>/<version>/`, or let `handset firmware add` do it."),
    error("missing-column", "A table without a column that every device needs",
        "The first row names the columns, and every phone has a `mac`, a `site` and a `model`.",
        "Name the column in the first row."),
    error("missing-key", "Something that must be said",
        "Without it the file says nothing of use.",
        "Say it."),
    warning("name-like-a-key", "A name that has the shape of a path key",
        "A segment of 27 letters and digits from 2 to 7 is taken for the key of an address, and never for a name.",
        "Rename it: a dash or a dot is enough.",
        "Never: the name cannot be reached where keys are used."),
    error("name-not-utf8", "A file name that is not UTF-8",
        "Phones ask for names in UTF-8; this one would never be found.",
        "Rename it."),
    warning("name-of-two-vendors", "A shared name that two vendors' templates have",
        "A file without an address in its name is chosen by what the phone says of itself. One that says nothing \
         may get the other vendor's file.",
        "Give each vendor's file a name of its own.",
        "Where all phones name themselves."),
    warning("name-too-long", "A name in a list that is longer than the phone reads",
        "The phone cuts the name and asks for another file.",
        "Shorten the name.",
        "Where a newer firmware is known to take more."),
    error("names-differ-by-case", "Two files whose names differ by case alone",
        "Names are matched without regard to case, as phones and the servers they know do.",
        "Rename one."),
    warning("no-hand-over", "Phones that nothing hands a key of their own",
        "At a site that asks for keys they get their own files only while a window is open.",
        "Enter what `handset key DIR SITE MAC` prints at the phone, let `client_certificates` count, put a relay \
         beside it, or open a window before each boot.",
        "Where the phones' addresses are entered by hand."),
    error("no-public-url", "Absolute addresses without `public_url`",
        "The file names addresses, and the site does not say how phones reach the server.",
        "Give the site a `public_url`."),
    error("no-site", "A fleet without a site",
        "Phones stand in sites; without one nothing is served.",
        "Add `sites/NAME.toml`, which says who may read."),
    warning("plain-http", "Passwords over plain HTTP",
        "Whoever is on the way reads them.",
        "Give phones https addresses, or put a relay beside them.",
        "Where phones know nothing else and the network is trusted."),
    warning("readable-password", "A password that can be read in the fleet directory",
        "Whoever reads the file has the password.",
        "Put the line there that `handset password USER` prints.",
        "Where the directory is as secret as the password."),
    warning("redirect-not-followed", "Images redirected for phones that may not follow",
        "A phone that does not follow a redirect does not get its firmware.",
        "Try it with one of them, or say `[images] redirect_over = 0` for the site.",
        "Where a phone of each model was seen to follow."),
    error("reserved-name", "A name that the phone itself writes",
        "The phone uploads a file of this name, or reads something else from it.",
        "Give it another name."),
    error("sealed-without-key", "A sealed value that a server has no key for",
        "Phones would be given sealed text for a password. Only `handset serve` says so: everything else does without.",
        "Start the server with `--key-file`, or with the key in `HANDSET_FLEET_KEY`."),
    warning("secret-in-shared-file", "A secret in a file that every phone may read",
        "Whoever may read the site's files has the password.",
        "Give it to the device itself, in `devices/` or in a template with `{mac}` in its name.",
        "Where the value is public, such as a factory password that is changed at once."),
    warning("secret-in-the-clear", "A secret in the clear, where others are sealed",
        "Whoever reads the directory reads it; those who seal some of its secrets hardly mean to leave others out.",
        "`handset secret seal FILE`.",
        "Where the value is public."),
    error("secret-out-of-reach", "A shared template that asks for a secret",
        "Secrets, lines and keys are in reach of a device's own files only, so that no shared file can leak them.",
        "Put it into a file with `{mac}` in its name."),
    error("secret-setting-shared", "A secret setting's value in a file that every phone may read",
        "Whoever may read the site's files has the password, by whatever name the file gives it.",
        "Give it to the device itself, in `devices/` or in a template with `{mac}` in its name."),
    error("table-syntax", "A device table that cannot be read",
        "No phone of it is served.",
        "Write cells separated by commas, one device a row; quote a cell that holds a comma."),
    error("template-fails", "A template that cannot be rendered",
        "The phone gets 500 and keeps what it had.",
        "Mend the template, or give the setting that it asks for."),
    error("template-syntax", "A template that does not parse",
        "None of the site's files could be rendered.",
        "Templates are written in Jinja; see docs/templates.md."),
    warning("time-offset-contradicts-zone", "An offset that is not its time zone's",
        "The offset overrules the zone, so that the phone shows another time than the zone's, all year.",
        "Give the zone alone.",
        "Where the phone's clock is meant to differ."),
    error("toml-syntax", "A file that is not TOML",
        "Nothing in it can be read.",
        "See toml.io for the notation."),
    error("too-large", "A line or file that is larger than the phone reads",
        "The phone ignores the line, or the file.",
        "Shorten the value, or split the file."),
    error("unknown-access", "An access policy that does not exist",
        "Nobody could say who may read the site's files.",
        "Say `access = \"keys\"` or `access = \"open\"`."),
    error("unknown-column", "A column that names no setting",
        "What stands in it would reach no phone.",
        "Spell it as docs/settings.md does."),
    warning("unknown-image", "An image that no known model asks for",
        "No phone is sent it. The name may be a model's that has to be described first, or a file that is no image.",
        "Describe the model in `models/`, or remove the file.",
        "Where the image is for a model to come."),
    error("unknown-key", "A key that means nothing",
        "What stands there would reach no phone.",
        "Spell it as the finding proposes."),
    error("unknown-model", "A model that nobody knows",
        "Its files, its image and its names cannot be told.",
        "Spell it as its maker does, or describe it in `models/`."),
    warning("unknown-place", "A file or folder that is not read",
        "Its author expects that it has an effect, and it has none.",
        "Move it where it is read, or out of the fleet directory.",
        "Where it is for people: a README, a script."),
    error("unknown-setting", "A setting that does not exist",
        "What stands there would reach no phone.",
        "Spell it as docs/settings.md does; what no setting covers is a parameter of the vendor's own."),
    error("unknown-site", "A phone of a site that does not exist",
        "Its address and its settings cannot be told.",
        "Add the site, or correct the name."),
    error("unknown-tenant", "A site of a tenant that does not exist",
        "The tenant's settings would be missing.",
        "Add the tenant, or correct the name."),
    error("unknown-time-zone", "A time zone that does not exist",
        "The phone would show UTC.",
        "Give an IANA name such as `America/Chicago`, or a POSIX rule."),
    error("unknown-vendor", "A vendor that does not exist",
        "What stands there would reach no phone.",
        "Spell it as the finding proposes."),
    error("unreadable", "A file that cannot be read",
        "What stands in it would reach no phone.",
        "See that the file can be read, and save it as UTF-8."),
    warning("unused-silence", "A silence that silences nothing",
        "What it was written for is gone; it would hide the next one.",
        "Remove it.",
        "Never."),
    warning("unused-template", "A template that reaches no phone",
        "Its author expects that phones get it. No phone of this vendor is there, or nothing names the file.",
        "Name it where phones look (CONFIG_FILES, `{% include %}`), or remove it.",
        "Where phones are told of it elsewhere, by DHCP or by hand."),
    warning("wrong-encoding", "An encoding that the file is not in",
        "Files are sent in UTF-8. A phone that believes the first line shows other letters.",
        "Write `encoding=\"utf-8\"`.",
        "Where the file holds ASCII alone."),
    error("wrong-type", "A value of a wrong kind",
        "It cannot be written into any phone's file.",
        "Give the kind that the finding names."),
    warning("zeros-master", "A default master file with too few or too many zeros",
        "Phones ask for `000000000000.cfg`, twelve zeros; articles print ten. This one is never asked for.",
        "Name it `000000000000.cfg`.",
        "Never."),
];

#[cfg(test)]
mod tests {
    use super::FINDINGS;
    use super::Severity;

    #[test]
    fn findings_are_sorted_and_explained() {
        assert!(
            FINDINGS.is_sorted_by(|a, b| a.code < b.code),
            "sort the findings by code, each once"
        );
        for finding in FINDINGS {
            let texts = [finding.why, finding.remedy, finding.silence];
            for text in texts.into_iter().filter(|text| !text.is_empty()) {
                assert!(text.ends_with('.'), "{}: {text}", finding.code);
            }
            assert!(!finding.title.ends_with('.'), "{}", finding.code);
            let warning = finding.severity == Severity::Warning;
            assert_eq!(
                warning,
                !finding.silence.is_empty(),
                "{}: warnings, and only they, say when they may be silenced",
                finding.code
            );
        }
    }
}
