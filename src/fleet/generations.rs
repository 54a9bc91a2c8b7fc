//! `handset key rotate` and `handset key retire`: the generations of a site's keys, in its own file, whose
//! comments stay.

use std::fs;
use std::path::Path;

use toml_edit::DocumentMut;
use toml_edit::Item;
use toml_edit::Table;
use toml_edit::value;

use crate::access::GENERATIONS;
use crate::key::Key;

/// What is to become of a site's generations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// Old ones open nothing any more.
    Retire,
    /// Keys are made of another from now on, and the old ones stay good.
    Rotate,
}

/// Writes it into `sites/SITE.toml`; gives the current generation and the oldest that is good.
pub fn turn(directory: &Path, site: &str, turn: Turn) -> Result<(u8, u8), String> {
    let path = directory.join("sites").join(format!("{site}.toml"));
    let shown = path.display();
    let named = |error: String| format!("{shown}: {error}");
    let text = fs::read_to_string(&path).map_err(|error| named(error.to_string()))?;
    let (text, now) = turned(&text, turn).map_err(named)?;
    let beside = path.with_extension("new");
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path));
    written.map_err(|error| named(error.to_string()))?;
    Ok(now)
}

fn turned(text: &str, turn: Turn) -> Result<(String, (u8, u8)), String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
    if document.get("access").and_then(Item::as_str) != Some("keys") {
        return Err("the site asks for no keys: say `access = \"keys\"` first".to_owned());
    }
    let table = Item::Table(Table::new());
    let keys = document.entry("keys").or_insert(table);
    let number = |name: &str| u8::try_from(keys.get(name)?.as_integer()?).ok();
    let generation = number("generation").unwrap_or(0);
    let oldest = number("oldest").unwrap_or(generation);
    let (generation, oldest) = match turn {
        Turn::Retire => (generation, generation),
        Turn::Rotate => (next(generation, oldest)?, oldest),
    };
    let keys = keys.as_table_like_mut().ok_or("`keys` is no table")?;
    for (name, number) in [("generation", generation), ("oldest", oldest)] {
        match keys.get_mut(name).and_then(Item::as_value_mut) {
            Some(kept) => {
                let decor = kept.decor().clone();
                *kept = i64::from(number).into();
                *kept.decor_mut() = decor;
            }
            None => drop(keys.insert(name, value(i64::from(number)))),
        }
    }
    Ok((document.to_string(), (generation, oldest)))
}

fn next(generation: u8, oldest: u8) -> Result<u8, String> {
    if generation >= Key::LAST_GENERATION {
        return Err("no generation is left: change the deployment's secret".to_owned());
    }
    if generation - oldest.min(generation) + 1 >= GENERATIONS {
        let problem = format!("{GENERATIONS} generations are good already");
        return Err(format!("{problem}: retire the old ones first"));
    }
    Ok(generation + 1)
}

#[cfg(test)]
mod tests {
    use super::Turn;
    use super::turned;

    #[test]
    fn comments_stay_and_generations_turn() {
        let plain = "# Ours.\naccess = \"keys\" # for DHCP\n";
        let rotated = format!("{plain}\n[keys]\ngeneration = 1\noldest = 0\n");
        let retired = rotated.replace("oldest = 0", "oldest = 1");
        let noted =
            "access = \"keys\"\n[keys]\n# Since spring.\ngeneration = 3 # three\noldest = 2\n";
        for (before, turn, after) in [
            (plain, Turn::Rotate, Ok(rotated.clone())),
            (&rotated, Turn::Retire, Ok(retired.clone())),
            (&retired, Turn::Retire, Ok(retired.clone())),
            (noted, Turn::Rotate, Ok(noted.replace("3 #", "4 #"))),
            (
                noted,
                Turn::Retire,
                Ok(noted.replace("oldest = 2", "oldest = 3")),
            ),
            ("access = \"open\"\n", Turn::Rotate, Err("asks for no keys")),
            (
                "access = \"keys\"\n[keys]\ngeneration = 3\noldest = 0\n",
                Turn::Rotate,
                Err("retire the old ones"),
            ),
            (
                "access = \"keys\"\n[keys]\ngeneration = 127\noldest = 127\n",
                Turn::Rotate,
                Err("no generation is left"),
            ),
            ("access = \n", Turn::Rotate, Err("1")),
        ] {
            match (turned(before, turn), after) {
                (Ok((given, _)), Ok(after)) => assert_eq!(given, after),
                (Err(given), Err(after)) => assert!(given.contains(after), "{given}"),
                (given, after) => panic!("{given:?} instead of {after:?}"),
            }
        }
    }
}
