//! Where a bucket is: `s3://BUCKET[/PREFIX]?endpoint=…&region=…&style=path|virtual&insecure=true`.

use std::fmt;
use std::str::FromStr;

use rusty_s3::Bucket;
use rusty_s3::UrlStyle;

/// A bucket, the service that has it, and the part of it that is ours. It holds no credentials.
///
/// Invariants: the endpoint is HTTPS, or its host is this machine, or the operator wants it otherwise; the
/// prefix is empty or ends in a slash, and none of its segments is empty, `.` or `..`.
#[derive(Clone, Debug)]
pub struct Address {
    pub(super) bucket: Bucket,
    pub(super) endpoint: String,
    pub(super) prefix: String,
}

/// Why a text is no address of a bucket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddressError(String);

/// What follows the question mark.
#[derive(Default)]
struct Parameters<'a> {
    endpoint: Option<&'a str>,
    insecure: bool,
    region: Option<&'a str>,
    style: Option<&'a str>,
}

impl Address {
    /// The service's address, as the operator gave it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        self.bucket.name()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text.strip_prefix("s3://");
        let rest = rest.ok_or_else(|| wrong("it must begin with s3://"))?;
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
        let parameters = Parameters::parse(parameters)?;
        let name = bucket_name(name)?;
        let region = parameters.region()?;
        let endpoint = match parameters.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://s3.{region}.amazonaws.com"),
        };
        let open = |style| open(&endpoint, style, name, region);
        // With the bucket in the path, the host is the endpoint's own, as it will be understood.
        let by_path = open(UrlStyle::Path)?;
        if !parameters.insecure && !is_secure(&by_path) {
            return Err(wrong(INSECURE));
        }
        Ok(Self {
            bucket: match parameters.style(name, &by_path)? {
                UrlStyle::Path => by_path,
                style @ UrlStyle::VirtualHost => open(style)?,
            },
            prefix: clean_prefix(prefix)?,
            endpoint,
        })
    }
}

/// A bucket of a service.
fn open(endpoint: &str, style: UrlStyle, name: &str, region: &str) -> Result<Bucket, AddressError> {
    if endpoint.contains(['@', '#']) {
        return Err(wrong("an endpoint is https://HOST:PORT and nothing more"));
    }
    let unclear = |problem: String| {
        wrong(&format!(
            "endpoint={endpoint}: {problem} (style=path takes any host)"
        ))
    };
    let parsed = endpoint.parse();
    let parsed = parsed.map_err(|error| unclear(format!("{error}")))?;
    let bucket = Bucket::new(parsed, style, name.to_owned(), region.to_owned());
    bucket.map_err(|error| unclear(error.to_string()))
}

impl<'a> Parameters<'a> {
    fn parse(text: &'a str) -> Result<Self, AddressError> {
        let mut parameters = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("endpoint", value)) => parameters.endpoint = Some(value),
                Some(("insecure", "true")) => parameters.insecure = true,
                Some(("insecure", "false")) => parameters.insecure = false,
                Some(("region", value)) => parameters.region = Some(value),
                Some(("style", value)) => parameters.style = Some(value),
                // The whole is not repeated: it may be a secret that stands in the wrong place.
                Some((name, _)) => return Err(wrong(&format!("it cannot have `{name}` there"))),
                None => return Err(wrong("after the question mark stand names and values")),
            }
        }
        Ok(parameters)
    }

    /// Services that have no regions take the one that was Amazon's first.
    fn region(&self) -> Result<&'a str, AddressError> {
        let region = match (self.region, self.endpoint) {
            (Some(region), _) => region,
            (None, Some(_)) => "us-east-1",
            (None, None) => return Err(wrong("it needs a region, or an endpoint")),
        };
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if region.is_empty() || !region.bytes().all(fine) {
            return Err(wrong("a region has letters, digits and hyphens"));
        }
        Ok(region)
    }

    /// Amazon wants the bucket in the host name; other services often have no such names.
    fn style(&self, name: &str, by_path: &Bucket) -> Result<UrlStyle, AddressError> {
        let style = self.style.unwrap_or(match self.endpoint {
            Some(_) => "path",
            None => "virtual",
        });
        match style {
            "path" => Ok(UrlStyle::Path),
            "virtual" if name.contains('.') && by_path.base_url().scheme() == "https" => {
                Err(wrong(
                    "no certificate is good for a bucket with a dot in its name; style=path puts the name into the path",
                ))
            }
            "virtual" => Ok(UrlStyle::VirtualHost),
            _ => Err(wrong("a style is path or virtual")),
        }
    }
}

/// Requests are signed but neither encrypted nor, as to their bodies, protected: whoever is between could
/// read phones' passwords and replace their firmware.
fn is_secure(bucket: &Bucket) -> bool {
    let host = bucket.base_url().host_str().unwrap_or_default();
    let number = |part: &str| part.parse::<u8>().is_ok();
    let loopback = host.starts_with("127.") && host.split('.').all(number);
    let named = host == "localhost" || host.ends_with(".localhost");
    loopback || named || host == "[::1]" || bucket.base_url().scheme() == "https"
}

fn bucket_name(name: &str) -> Result<&str, AddressError> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !(3..=63).contains(&name.len()) || !name.bytes().all(fine) || name.contains("..") {
        let rule = "the name of a bucket has 3 to 63 letters, digits, hyphens and dots";
        return Err(wrong(rule));
    }
    Ok(name)
}

fn clean_prefix(prefix: &str) -> Result<String, AddressError> {
    let prefix = prefix.trim_end_matches('/');
    if prefix.is_empty() {
        return Ok(String::new());
    }
    let clean = |segment: &str| !matches!(segment, "" | "." | "..");
    if !prefix.split('/').all(clean) || prefix.chars().any(char::is_control) {
        return Err(wrong("its prefix has a segment that is empty, `.` or `..`"));
    }
    Ok(format!("{prefix}/"))
}

fn wrong(what: &str) -> AddressError {
    AddressError(what.to_owned())
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what) = self;
        write!(
            f,
            "not an address of a bucket: {what} (s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION&style=path)"
        )
    }
}

impl std::error::Error for AddressError {}

const INSECURE: &str = "over http:// to another machine, passwords and firmware can be read and replaced on the way; use https://, or insecure=true if the network is trusted";

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn addresses_mean_what_they_say() {
        let cases = [
            (
                "s3://phones?region=eu-west-1",
                "https://phones.s3.eu-west-1.amazonaws.com/",
                "",
            ),
            (
                "s3://phones/a/b/?endpoint=https://s3.example:9000",
                "https://s3.example:9000/phones/",
                "a/b/",
            ),
            (
                "s3://phones?endpoint=https://s3.example&style=virtual",
                "https://phones.s3.example/",
                "",
            ),
            (
                "s3://a.b.c?region=eu-west-1&style=path",
                "https://s3.eu-west-1.amazonaws.com/a.b.c/",
                "",
            ),
            (
                "s3://phones?endpoint=http://127.0.0.1:9000/",
                "http://127.0.0.1:9000/phones/",
                "",
            ),
            (
                "s3://phones?endpoint=http://minio:9000&insecure=true",
                "http://minio:9000/phones/",
                "",
            ),
        ];
        for (text, url, prefix) in cases {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.bucket.base_url().as_str(), url, "{text}");
            assert_eq!(address.prefix, prefix, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        let cases = [
            ("https://phones", "begin with s3://"),
            ("s3://phones", "needs a region"),
            ("s3://p?region=x", "3 to 63"),
            ("s3://ph@nes?region=x", "3 to 63"),
            ("s3://phones/a//b?region=x", "prefix"),
            ("s3://phones/../b?region=x", "prefix"),
            ("s3://phones?region=eu/west", "letters, digits"),
            ("s3://phones?region=x&style=odd", "path or virtual"),
            ("s3://phones?region=x&secret=hush", "cannot have `secret`"),
            ("s3://phones?x", "names and values"),
            ("s3://a.b.c?region=x", "style=path"),
            ("s3://phones?endpoint=ftp://x", "scheme"),
            (
                "s3://phones?endpoint=http://localhost:x@evil",
                "nothing more",
            ),
            (
                "s3://phones?endpoint=http://localhost.evil",
                "insecure=true",
            ),
            ("s3://phones?endpoint=http://minio:9000", "insecure=true"),
            (
                "s3://phones?endpoint=http://127.0.0.1.evil.example",
                "insecure=true",
            ),
            ("s3://phones?endpoint=https://", "endpoint="),
            (
                "s3://phones?endpoint=https://192.0.2.1&style=virtual",
                "style=path",
            ),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
