//! `handset-relay status`: what a running relay tells under /metrics, for a person.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Asks and prints.
pub(crate) fn run(url: Option<&str>, out: &mut impl Write) -> Result<(), String> {
    let url = url.ok_or("give --metrics URL, as the relay printed it")?;
    let problem =
        |error: ureq::Error| format!("{url}: {error} (does the relay run, with --metrics?)");
    let answer = ureq::get(url).call().map_err(problem)?;
    let page = answer.into_body().read_to_string().map_err(problem)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let summary = summary(&page, now.unwrap_or_default().as_secs());
    // Whoever asked may have closed the output.
    let _ = out.write_all(summary.as_bytes());
    Ok(())
}

/// The page in a few lines, at a time in seconds since 1970.
fn summary(page: &str, now: u64) -> String {
    let values: BTreeMap<&str, u64> = page
        .lines()
        .filter_map(|line| line.strip_prefix("handset_relay_")?.rsplit_once(' '))
        .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
        .collect();
    let value = |name: &str| values.get(name).copied().unwrap_or(0);
    let mut text = format!("server     {}\n", upstream(&values, now));
    for protocol in ["tftp", "ftp", "http"] {
        let of = |result: &str| {
            value(&format!(
                "transfers_total{{protocol=\"{protocol}\",result=\"{result}\"}}"
            ))
        };
        let bytes = value(&format!("bytes_total{{protocol=\"{protocol}\"}}"));
        text += &format!(
            "{protocol:<10} {} completed, {} missing, {} denied, {} failed, {} abandoned, {bytes} bytes\n",
            of("completed"),
            of("missing"),
            of("denied"),
            of("failed"),
            of("abandoned"),
        );
    }
    text += &format!(
        "cache      {} bytes, {} hits, {} misses, {} stale\n",
        value("cache_bytes"),
        value("cache_hits_total"),
        value("cache_misses_total"),
        value("stale_serves_total"),
    );
    text += &format!(
        "spool      {} waiting, {} bytes, the oldest for {} s; {} delivered, {} rejected\n",
        value("spool_depth"),
        value("spool_bytes"),
        value("spool_age_seconds"),
        value("uploads_delivered_total"),
        value("uploads_rejected_total"),
    );
    text += &format!(
        "asked      {} phones were told where their files are\n",
        value("pnp_answers_total"),
    );
    text += &format!("lost       {} datagrams\n", value("tftp_drops_total"));
    text
}

/// Whether the server can be reached, since when, and what was last wrong.
fn upstream(values: &BTreeMap<&str, u64>, now: u64) -> String {
    let Some(since) = values.get("upstream_reached_since_timestamp_seconds") else {
        return "not asked yet".to_owned();
    };
    let reached = values.get("upstream_reached").is_some_and(|it| *it > 0);
    let state = if reached { "reached" } else { "not reached" };
    let mut text = format!("{state} for {}", span(now.saturating_sub(*since)));
    let last = values.iter().find_map(|(name, at)| {
        let label = name.strip_prefix("upstream_last_error_timestamp_seconds{kind=\"")?;
        Some((label.strip_suffix("\"}")?, at))
    });
    if let Some((kind, at)) = last {
        let ago = span(now.saturating_sub(*at));
        text += &format!("; last error: {kind}, {ago} ago");
    }
    text
}

/// Seconds, as people say them.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn how_the_server_is() {
        let asked = "handset_relay_upstream_reached 0\nhandset_relay_upstream_reached_since_timestamp_seconds 1000\n";
        let error = "handset_relay_upstream_last_error_timestamp_seconds{kind=\"timeout\"} 1290\n";
        for (page, expected) in [
            ("", "server     not asked yet"),
            (
                "handset_relay_upstream_reached 0\n",
                "server     not asked yet",
            ),
            (asked, "server     not reached for 5 min"),
            (
                &format!("{asked}{error}"),
                "server     not reached for 5 min; last error: timeout, 10 s ago",
            ),
            (
                &format!("{asked}{error}").replace("reached 0", "reached 1"),
                "server     reached for 5 min; last error: timeout, 10 s ago",
            ),
        ] {
            let text = summary(page, 1300);
            assert_eq!(text.lines().next(), Some(expected));
        }
    }
}
