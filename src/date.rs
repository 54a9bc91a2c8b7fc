//! Dates of HTTP (RFC 9110 section 5.6.7): written in the one form that is current, read in all three that there were.
//!
//! Seconds since 1970 in and out: the system's own clock type brings three thousand bytes into the Worker's bundle.

/// Seconds since 1970 as `Sun, 06 Nov 1994 08:49:37 GMT`; `None` after the year 9999, for which there is no form.
pub fn format(seconds: u64) -> Option<String> {
    let (days, second) = (seconds / DAY, seconds % DAY);
    let (year, month, day) = civil(days);
    let name = WEEKDAYS.get(usize::try_from(days % 7).ok()?)?;
    let month = MONTHS.get(usize::try_from(month - 1).ok()?)?;
    let clock = format!(
        "{:02}:{:02}:{:02}",
        second / 3600,
        second / 60 % 60,
        second % 60
    );
    (year < 10_000).then(|| format!("{name}, {day:02} {month} {year:04} {clock} GMT"))
}

/// Reads any of `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
///
/// What is no day of the calendar, or another day of the week, is no date: such a header is to be ignored.
pub fn parse(text: &str) -> Option<u64> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let (name, [day, month, year], clock) = match *words {
        [name, day, month, year, hour, minute, second, "GMT"] => {
            (name, [day, month, year], [hour, minute, second])
        }
        [name, month, day, hour, minute, second, year] => {
            (name, [day, month, year], [hour, minute, second])
        }
        _ => return None,
    };
    let [hour, minute, second] = clock.map(number);
    let (hour, minute, second) = (hour?, minute?, second?);
    let month = MONTHS.iter().position(|known| *known == month)?;
    let date = (year_of(year)?, u64::try_from(month).ok()? + 1, number(day)?);
    let days = days(date)?;
    let weekday = WEEKDAYS.get(usize::try_from(days % 7).ok()?)?;
    let good = name.starts_with(weekday) && hour < 24 && minute < 60 && second < 60;
    good.then_some(days * DAY + hour * 3600 + minute * 60 + second)
}

/// Year, month and day of a day since 1970: years are counted from March, so that a leap day is a year's
/// last, and in eras of 400 years, which all have 146,097 days.
pub fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12 + 1;
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// The other way round, for days that there are.
fn days((year, month, day): (u64, u64, u64)) -> Option<u64> {
    let year_from_march = year - u64::from(month <= 2);
    let from_march = (month + 9) % 12;
    let leaps = year_from_march / 4 - year_from_march / 100 + year_from_march / 400;
    let days = 365 * year_from_march + leaps + (153 * from_march + 2) / 5 + day;
    let days = days.checked_sub(719_469)?;
    (civil(days) == (year, month, day)).then_some(days)
}

/// Two digits are of this century or, from 70 on, of the last.
fn year_of(text: &str) -> Option<u64> {
    match (text.len(), number(text)?) {
        (2, year @ 70..) => Some(1900 + year),
        (2, year) => Some(2000 + year),
        (4, year @ 1970..) => Some(year),
        _ => None,
    }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.len() <= 4)
}

const DAY: u64 = 86_400;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The first day of 1970 was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::UNIX_EPOCH;

    use httpdate::HttpDate;
    use proptest::prelude::any;
    use proptest::proptest;

    use super::format;
    use super::parse;

    #[test]
    fn three_forms_are_one_date() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text), Some(784_111_777), "{text}");
        }
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse("Tuesday, 29-Feb-00 00:00:00 GMT"), Some(951_782_400));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "0",
            "Sun",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Tue, 29 Feb 2100 00:00:00 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 19940 08:49:37 GMT",
            "Sun, 06 Nov 18446744073709551616 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT GMT",
            "Sun, -6 Nov 1994 08:49:37 +GMT x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(format(253_402_300_800), None);
        assert_eq!(format(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn dates_are_as_another_implementation_has_them(seconds in 0..253_402_300_800_u64) {
            let other = HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
            assert_eq!(format(seconds), Some(other.clone()));
            assert_eq!(parse(&other), Some(seconds));
        }

        #[test]
        fn nothing_panics(text in any::<String>(), words in "[A-Za-z0-9 ,:-]{0,40}") {
            parse(&text);
            parse(&words);
        }
    }
}
