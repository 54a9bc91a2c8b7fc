//! The OpenAPI 3.1 document of the endpoints, as it is served; the tests hold it to the table of rows.

/// What the endpoints take and give.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::DOCUMENT;
    use crate::respond::operator::rows::Action;
    use crate::respond::operator::rows::ROOT;
    use crate::respond::operator::rows::ROWS;
    use crate::respond::operator::rows::Row;
    use crate::token::Scope;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    fn operation<'d>(document: &'d Value, row: &Row) -> &'d Value {
        let method = row.method.to_ascii_lowercase();
        &document["paths"][format!("{ROOT}{}", row.path)][method]
    }

    #[test]
    fn the_document_has_every_row_and_no_other() {
        let document = document();
        let written = document["paths"].as_object().unwrap().iter();
        let written: BTreeSet<(String, String)> = written
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(move |method| (path.clone(), method.to_ascii_uppercase()))
            })
            .collect();
        let rows = ROWS
            .iter()
            .map(|row| (format!("{ROOT}{}", row.path), row.method.to_owned()));
        assert_eq!(written, rows.collect());
    }

    #[test]
    fn an_operation_says_what_its_row_says() {
        let document = document();
        for row in ROWS {
            let operation = operation(&document, row);
            let scope = match row.scope {
                Scope::Read => "Scope: read.",
                Scope::Write => "Scope: write.",
            };
            assert_eq!(operation["description"], scope, "{}", row.path);
            let parameters = operation["parameters"].as_array();
            let parameters: Vec<&str> = parameters
                .into_iter()
                .flatten()
                .filter_map(|it| it["$ref"].as_str()?.rsplit('/').next())
                .collect();
            let holes = row.path.split('/').filter_map(|it| it.strip_prefix('{'));
            let holes: Vec<&str> = holes.filter_map(|it| it.strip_suffix('}')).collect();
            assert_eq!(parameters, holes, "{} {}", row.method, row.path);
        }
    }

    /// What any endpoint of its kind may answer: who asks is judged, the store may fail, a site may be missing.
    #[test]
    fn an_operation_has_the_statuses_of_its_row() {
        let document = document();
        for row in ROWS {
            let mut expected = vec!["401", "403", "405", "429", "503"];
            if row.path.contains('{') {
                expected.push("404");
            }
            if !row.action.operates() && row.action != Action::Document {
                expected.push("409");
            }
            let conditional = [
                Action::Promote,
                Action::Publish,
                Action::PutDeployment,
                Action::Rollback,
            ];
            if conditional.contains(&row.action) {
                expected.extend(["412", "428"]);
            }
            let answers = &operation(&document, row)["responses"];
            for status in expected {
                assert!(
                    answers[status].is_object(),
                    "{} {}: {status}",
                    row.method,
                    row.path
                );
            }
        }
    }

    /// Each reference leads somewhere.
    #[test]
    fn what_is_referred_to_is_there() {
        let document = document();
        let mut places = vec![&document];
        while let Some(place) = places.pop() {
            if let Some(reference) = place["$ref"].as_str() {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            match place {
                Value::Object(fields) => places.extend(fields.values()),
                Value::Array(items) => places.extend(items),
                _ => {}
            }
        }
    }
}
