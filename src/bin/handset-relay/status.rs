//! `handset-relay status`: what a running relay tells under /metrics, for a person.

use std::collections::BTreeMap;
use std::io::Write;

/// Asks and prints.
pub(crate) fn run(url: Option<&str>, out: &mut impl Write) -> Result<(), String> {
    let url = url.ok_or("give --metrics URL, as the relay printed it")?;
    let problem =
        |error: ureq::Error| format!("{url}: {error} (does the relay run, with --metrics?)");
    let answer = ureq::get(url).call().map_err(problem)?;
    let page = answer.into_body().read_to_string().map_err(problem)?;
    // Whoever asked may have closed the output.
    let _ = out.write_all(summary(&page).as_bytes());
    Ok(())
}

/// The page in a few lines.
fn summary(page: &str) -> String {
    let values: BTreeMap<&str, u64> = page
        .lines()
        .filter_map(|line| line.strip_prefix("handset_relay_")?.rsplit_once(' '))
        .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
        .collect();
    let value = |name: &str| values.get(name).copied().unwrap_or(0);
    let upstream = match value("upstream_reached") {
        0 => "not reached by the last request, or not asked yet",
        _ => "reached",
    };
    let mut text = format!("server     {upstream}\n");
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
    text += &format!("lost       {} datagrams\n", value("tftp_drops_total"));
    text
}
