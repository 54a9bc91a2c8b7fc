//! Dates of HTTP (RFC 9110 section 5.6.7), between the years 1970 and 9999.
//!
//! Small, because a Worker's bundle has to be. What it deliberately does not do: it does not look at the day of
//! the week, and whatever separates the parts separates them.

use std::fmt;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
const DAY: u64 = 86_400;
const END_OF_9999: u64 = 253_402_300_800;

/// A date in seconds since 1970; `Display` writes the one form that is written today.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Date(u64);

impl Date {
    /// `None` beyond the year 9999.
    pub fn new(seconds: u64) -> Option<Self> {
        (seconds < END_OF_9999).then_some(Self(seconds))
    }

    /// Reads any of the three forms: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and
    /// `Sun Nov  6 08:49:37 1994`.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.split([' ', ',', '-', ':']);
        let mut parts = parts.filter(|part| !part.is_empty()).skip(1);
        let mut next = || parts.next();
        let (first, second) = (next()?, next()?);
        // The last form has no zone, and its year at the end.
        let (day, month, year) = match number(first) {
            Some(day) => (day, second, next()),
            None => (number(second)?, first, None),
        };
        let (hour, minute, second) = (number(next()?)?, number(next()?)?, number(next()?)?);
        let last = next()?;
        if hour > 23 || minute > 59 || second > 60 || year.is_some() && last != "GMT" {
            return None;
        }
        let known = |at: &usize| month.len() == 3 && at.is_multiple_of(3);
        let month = MONTHS.find(month).filter(known)?;
        let days = days(
            full(year.unwrap_or(last))?,
            u64::try_from(month / 3).ok()?,
            day,
        )?;
        Self::new(days * DAY + hour * 3600 + minute * 60 + second)
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days_since, rest) = (self.0 / DAY, self.0 % DAY);
        let weekday = DAYS.iter().cycle().nth((days_since % 7) as usize).copied();
        // Never too many: 366 days are a year at most.
        let mut year = 1970 + days_since / 366;
        while days(year + 1, 0, 1).is_some_and(|next| next <= days_since) {
            year += 1;
        }
        let mut month = 0;
        while month < 11 && days(year, month + 1, 1).is_some_and(|next| next <= days_since) {
            month += 1;
        }
        let day = 1 + days_since - days(year, month, 1).unwrap_or_default();
        let at = (month * 3) as usize;
        write!(
            f,
            "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
            weekday.unwrap_or_default(),
            MONTHS.get(at..at + 3).unwrap_or_default(),
            rest / 3600,
            rest / 60 % 60,
            rest % 60,
        )
    }
}

/// Days from 1970 to a day of the Gregorian calendar; months from 0.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    // The year begins in March, so that a leap day is its last one.
    let (year, month) = match month.checked_sub(2) {
        Some(month) => (year, month),
        None => (year.checked_sub(1)?, month + 10),
    };
    let leap = year / 4 - year / 100 + year / 400;
    let since = 365 * year + leap + (153 * month + 2) / 5 + day;
    (1..=31)
        .contains(&day)
        .then_some(since)?
        .checked_sub(719_469)
}

/// A year of four digits, or of two that stand for the nearest.
fn full(year: &str) -> Option<u64> {
    let value = number(year)?;
    Some(match (year.len(), value) {
        (2, 0..70) => 2000 + value,
        (2, _) => 1900 + value,
        _ => value,
    })
}

fn number(digits: &str) -> Option<u64> {
    digits.parse().ok().filter(|number| *number < 10_000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::UNIX_EPOCH;

    use httpdate::HttpDate;
    use proptest::proptest;

    use super::Date;

    #[test]
    fn all_forms_are_read() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(
                Date::parse(text).map(Date::seconds),
                Some(784_111_777),
                "{text}"
            );
        }
        for text in [
            "",
            "Sun",
            "Sun, 06 Nov 1994",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 anF 1994 08:49:37 GMT",
            "Sun, 0 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 99999 08:49:37 GMT",
            "Sun, 06 N 1994 08:49:37 GMT",
            "Sun, 06 Nov 18446744073709551615 08:49:37 GMT",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert_eq!(Date::new(super::END_OF_9999), None);
    }

    proptest! {
        #[test]
        fn another_reads_and_writes_the_same(seconds in 0..super::END_OF_9999) {
            let text = HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
            let date = Date::new(seconds).unwrap();
            assert_eq!(date.to_string(), text);
            assert_eq!(Date::parse(&text), Some(date));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = Date::parse(&text);
        }
    }
}
