//! `handset secret seal` and `handset secret open` over files of a fleet directory: the secrets of a TOML file or of a
//! device table (RFC 4180), replaced where they stand. Everything else stays as it was, comments and quotes too.

use std::ops::Range;

use toml_edit::DocumentMut;
use toml_edit::Item;
use toml_edit::TableLike;
use toml_edit::Value;

use crate::fleet::sealed::FleetKey;
use crate::fleet::sealed::LOOKS_SEALED;
use crate::fleet::values;
use crate::secret::Secret;
use crate::settings;
use crate::settings::LINE_FIELDS;
use crate::settings::SETTINGS;
use crate::vendor::habits;

/// A file with its secrets replaced.
#[derive(Debug)]
pub struct Rewritten {
    /// Its text.
    pub text: String,
    /// What was replaced, as `line 3: line1.password`.
    pub replaced: Vec<String>,
}

/// A file's text with its secrets sealed; those that are sealed stay as they are.
pub fn sealed(
    file: &str,
    text: &str,
    key: &FleetKey,
    mut nonce: impl FnMut() -> std::io::Result<[u8; 12]>,
) -> Result<Rewritten, String> {
    rewrite(file, text, &mut |place, value| {
        if value.is_empty() || value.starts_with(LOOKS_SEALED) {
            return Ok(None);
        }
        let nonce = nonce().map_err(|error| error.to_string())?;
        let sealed = key.seal(nonce, value);
        let sealed = sealed.ok_or_else(|| format!("{place} cannot be sealed"))?;
        Ok(Some(Secret::new(sealed)))
    })
}

/// A file's text with its secrets in the clear.
pub fn opened(file: &str, text: &str, key: &FleetKey) -> Result<Rewritten, String> {
    rewrite(file, text, &mut |place, value| {
        if !value.starts_with(LOOKS_SEALED) {
            return Ok(None);
        }
        let opened = key.open(value);
        opened
            .map(Some)
            .ok_or_else(|| format!("{place} does not open with this key"))
    })
}

/// What becomes of the value at a place; `None` if it stays.
type Replace<'r> = &'r mut dyn FnMut(&str, &str) -> Result<Option<Secret>, String>;

fn rewrite(file: &str, text: &str, replace: Replace<'_>) -> Result<Rewritten, String> {
    if file.ends_with(".csv") {
        return of_table(text, replace);
    }
    if file.ends_with(".toml") {
        return of_document(text, replace);
    }
    Err("is no .toml or .csv file".to_owned())
}

fn of_document(text: &str, replace: Replace<'_>) -> Result<Rewritten, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
    let mut places = Vec::new();
    let mut own = |name: &str, item: &mut Item| replace_item(name, item, replace, &mut places);
    in_settings(document.as_table_mut(), "", &mut own)?;
    for (at, device) in tables(document.get_mut("device")).into_iter().enumerate() {
        in_settings(device, &format!("device {}: ", at + 1), &mut own)?;
    }
    Ok(Rewritten {
        text: document.to_string(),
        replaced: places,
    })
}

/// What is done with a secret of a document.
type Visit<'v> = &'v mut dyn FnMut(&str, &mut Item) -> Result<(), String>;

/// Visits the secrets of the table `settings`, if there is one.
fn in_settings(table: &mut dyn TableLike, place: &str, visit: Visit<'_>) -> Result<(), String> {
    let settings = table.get_mut("settings").and_then(Item::as_table_like_mut);
    let Some(settings) = settings else {
        return Ok(());
    };
    for setting in SETTINGS.iter().filter(|setting| setting.secret) {
        if let Some(item) = settings.get_mut(setting.name) {
            visit(&format!("{place}{}", setting.name), item)?;
        }
    }
    for (at, line) in tables(settings.get_mut("lines")).into_iter().enumerate() {
        for field in LINE_FIELDS.iter().filter(|field| field.secret) {
            if let Some(item) = line.get_mut(field.name) {
                visit(&format!("{place}line{}.{}", at + 1, field.name), item)?;
            }
        }
    }
    let parameters = settings.get_mut("parameters");
    let vendors = parameters.and_then(Item::as_table_like_mut);
    for (vendor, names) in vendors.into_iter().flat_map(|it| it.iter_mut()) {
        for (name, item) in names
            .as_table_like_mut()
            .into_iter()
            .flat_map(|it| it.iter_mut())
        {
            let sealed = item
                .as_str()
                .is_some_and(|text| text.starts_with(LOOKS_SEALED));
            if sealed || habits::is_secret(name.get()) {
                visit(
                    &format!("{place}parameters.{}.{}", vendor.get(), name.get()),
                    item,
                )?;
            }
        }
    }
    Ok(())
}

/// The tables of a list, whichever of TOML's two ways it is written in.
fn tables(item: Option<&mut Item>) -> Vec<&mut dyn TableLike> {
    match item {
        Some(Item::ArrayOfTables(tables)) => {
            let tables = tables.iter_mut();
            tables.map(|table| table as &mut dyn TableLike).collect()
        }
        Some(Item::Value(Value::Array(values))) => {
            let tables = values.iter_mut().filter_map(Value::as_inline_table_mut);
            tables.map(|table| table as &mut dyn TableLike).collect()
        }
        _ => Vec::new(),
    }
}

fn replace_item(
    name: &str,
    item: &mut Item,
    replace: Replace<'_>,
    places: &mut Vec<String>,
) -> Result<(), String> {
    let Some(value) = item.as_value_mut() else {
        return Ok(());
    };
    let Some(text) = value.as_str() else {
        return Ok(());
    };
    if let Some(new) = replace(name, text)? {
        let decor = value.decor().clone();
        *value = new.expose_text().unwrap_or_default().into();
        *value.decor_mut() = decor;
        places.push(name.to_owned());
    }
    Ok(())
}

fn of_table(text: &str, replace: Replace<'_>) -> Result<Rewritten, String> {
    let rows = rows(text);
    let (head, rows) = rows
        .split_first()
        .ok_or("has no row that names the columns")?;
    let columns: Vec<String> = head.iter().map(|cell| cell.value(text)).collect();
    let mut written = String::with_capacity(text.len());
    let mut replaced = Vec::new();
    let mut done = 0;
    for row in rows {
        for (column, cell) in columns.iter().zip(row) {
            let value = cell.value(text);
            if !is_secret_column(column) && !value.starts_with(LOOKS_SEALED) {
                continue;
            }
            let place = format!("line {}: {column}", line_of(text, cell.0.start));
            if let Some(new) = replace(&place, &value)? {
                written.push_str(text.get(done..cell.0.start).unwrap_or_default());
                written.push_str(&quoted(new.expose_text().unwrap_or_default()));
                done = cell.0.end;
                replaced.push(place);
            }
        }
    }
    written.push_str(text.get(done..).unwrap_or_default());
    Ok(Rewritten {
        text: written,
        replaced,
    })
}

fn is_secret_column(column: &str) -> bool {
    let scalar = settings::find(SETTINGS, column).is_some_and(|setting| setting.secret);
    let parameter = column
        .strip_prefix("parameters.")
        .and_then(|rest| rest.split_once('.'));
    let parameter = parameter.is_some_and(|(_, name)| habits::is_secret(name));
    scalar || parameter || values::is_secret_field(column)
}

/// The bytes of a cell, without the space around it.
struct Cell(Range<usize>);

impl Cell {
    fn value(&self, text: &str) -> String {
        let cell = text.get(self.0.clone()).unwrap_or_default();
        let inner = cell
            .strip_prefix('"')
            .and_then(|cell| cell.strip_suffix('"'));
        match inner {
            Some(inner) => inner.replace("\"\"", "\"").trim().to_owned(),
            None => cell.to_owned(),
        }
    }
}

/// The rows of a table, without comments and empty lines, read as the fleet's own reader does.
fn rows(text: &str) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut start = 0;
    let mut quoted = false;
    let mut comment = false;
    for (at, byte) in text.bytes().chain([b'\n']).enumerate() {
        let begins = row.is_empty() && start == at;
        comment |= begins && byte == b'#';
        match byte {
            b'"' if !comment => quoted = !quoted,
            b',' if !quoted && !comment => {
                row.push(cell(text, start..at));
                start = at + 1;
            }
            b'\n' | b'\r' if !quoted => {
                if !(comment || begins) {
                    row.push(cell(text, start..at));
                    rows.push(std::mem::take(&mut row));
                }
                comment = false;
                start = at + 1;
            }
            _ => {}
        }
    }
    rows
}

fn cell(text: &str, range: Range<usize>) -> Cell {
    let raw = text.get(range.clone()).unwrap_or_default();
    let start = range.start + (raw.len() - raw.trim_start().len());
    Cell(start..start + raw.trim().len())
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.bytes().filter(|byte| *byte == b'\n').count() + 1
}

fn quoted(value: &str) -> String {
    let plain = !value.contains(['"', ',', '\n', '\r', '#']) && value.trim() == value;
    match plain {
        true => value.to_owned(),
        false => format!("\"{}\"", value.replace('"', "\"\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::Rewritten;
    use super::opened;
    use super::rewrite;
    use super::sealed;
    use crate::fleet::sealed::FleetKey;
    use crate::secret::Secret;

    /// What becomes of a file when every secret becomes `[itself]`.
    fn marked(file: &str, text: &str) -> Rewritten {
        let mark = |_: &str, value: &str| Ok(Some(Secret::new(format!("[{value}]"))));
        rewrite(file, text, &mut { mark }).unwrap()
    }

    const TABLE: &str = "\
# mac, with a \"comment
mac,site , line1.user,line1.password,line12.password,admin_password,parameters.polycom.device.prov.password\r
0004f2000001,s,1001, s3cret ,\"a \"\"b\"\" <&>\",,x\r

# 0004f2000002,s,1001,not-this,,,
\"0004f2000003\",s,\"one,two\",\"x,y\",,\"two
lines\",
0004f2000004,s,,last,,,";

    #[test]
    fn cells_are_replaced_where_they_stand() {
        let done = marked("devices/a.csv", TABLE);
        let expected = TABLE
            .replace(
                " s3cret ,\"a \"\"b\"\" <&>\",,x\r",
                " [s3cret] ,\"[a \"\"b\"\" <&>]\",[],[x]\r",
            )
            .replace(
                "\"x,y\",,\"two\nlines\",\n",
                "\"[x,y]\",[],\"[two\nlines]\",[]\n",
            )
            .replace(",last,,,", ",[last],[],[],[]");
        assert_eq!(done.text, expected);
        assert_eq!(done.replaced[0], "line 3: line1.password");
        assert_eq!(done.replaced[4], "line 6: line1.password");
        assert_eq!(done.replaced.len(), 12);
    }

    const DOCUMENT: &str = r#"# Ours.
[settings]
admin_password = "a"   # for menus
language = "de-DE"
parameters = { polycom = { "device.prov.password" = 'b', "up.x" = "c" } }

[[settings.lines]]
user = "1001"
password = "d"

[[device]] # one
mac = "0004f2000001"
[device.settings]
lines = [{ user = "1002", password = "e" }]
[device.settings.parameters.panasonic]
SIP_PASS_1 = "f"
OTHER = "sealed:1:x"

[passwords]
staff = "digest-md5:0123456789abcdef0123456789abcdef"
"#;

    #[test]
    fn values_are_replaced_where_they_stand() {
        let done = marked("sites/s.toml", DOCUMENT);
        let mut expected = DOCUMENT.to_owned();
        for value in ["\"a\"", "'b'", "\"d\"", "\"e\"", "\"f\"", "\"sealed:1:x\""] {
            let inner = value.trim_matches(['"', '\'']);
            expected = expected.replacen(value, &format!("\"[{inner}]\""), 1);
        }
        assert_eq!(done.text, expected);
        assert_eq!(
            done.replaced,
            [
                "admin_password",
                "line1.password",
                "parameters.polycom.device.prov.password",
                "device 1: line1.password",
                "device 1: parameters.panasonic.SIP_PASS_1",
                "device 1: parameters.panasonic.OTHER",
            ]
        );
    }

    #[test]
    fn what_is_sealed_opens_to_what_it_was() {
        let key = FleetKey::parse("q83vASNFZ4mrze8BI0VniasSNFZ4kBI0VniQESIzRFU=").unwrap();
        let other = FleetKey::parse("cUQ9wn8sJ1m4x2bVt7yFz0LhRk5PeDa3GiWoXvCqTu8=").unwrap();
        let document = DOCUMENT.replace("OTHER = \"sealed:1:x\"\n", "");
        for (file, text, count) in [("a.csv", TABLE, 6), ("a.toml", &document, 5)] {
            let mut nonce = 0;
            let mut next = || {
                nonce += 1;
                Ok([nonce; 12])
            };
            let once = sealed(file, text, &key, &mut next).unwrap();
            assert_eq!(once.replaced.len(), count, "{:?}", once.replaced);
            for secret in ["s3cret", "\"a\"", "'b'", "\"d\"", "x,y", "last"] {
                assert!(!once.text.contains(secret), "{}", once.text);
            }
            let again = sealed(file, &once.text, &key, &mut next).unwrap();
            assert_eq!(
                (again.text.as_str(), again.replaced.len()),
                (once.text.as_str(), 0)
            );
            let back = opened(file, &once.text, &key).unwrap();
            let normal = |text: &str| text.replace('\'', "\"");
            assert_eq!(normal(&back.text), normal(text));
            let error = opened(file, &once.text, &other).unwrap_err();
            assert!(error.ends_with("does not open with this key"), "{error}");
        }
        assert!(opened("a.txt", "", &key).is_err());
        assert!(opened("a.csv", "", &key).is_err());
    }
}
