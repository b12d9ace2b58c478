//! Values that TOML has no type for.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use ikebana_core::Secret;
use ikebana_core::selector::{AddressRange, TrafficSelector};
use ikebana_ike::config::SelectorTemplate;

use super::problem::hint;
use super::raw::Quantity;

/// Where a gateway is: an address or a name, and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Which host.
    pub host: Host,
    /// The UDP port, where it is not 500.
    pub port: Option<u16>,
}

/// A host, as a configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// `%any`: whichever it turns out to be.
    Any,
    /// This address.
    Address(IpAddr),
    /// The address that this name has when the tunnel starts.
    Name(String),
}

impl Endpoint {
    /// Any address, any port.
    pub const ANY: Self = Self { host: Host::Any, port: None };

    /// The address, if it is known without asking a name server.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Address(address) => Some(address),
            Host::Any | Host::Name(_) => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Host::Any, None) => f.write_str("%any"),
            (Host::Any, Some(port)) => write!(f, "%any:{port}"),
            (Host::Address(address), None) => write!(f, "{address}"),
            (Host::Address(address), Some(port)) => write!(f, "{}", SocketAddr::new(*address, port)),
            (Host::Name(name), None) => f.write_str(name),
            (Host::Name(name), Some(port)) => write!(f, "{name}:{port}"),
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if matches!(text, "%any" | "*" | "%any4" | "%any6") {
            return Ok(Self::ANY);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { host: host(address)?, port: None });
        }
        if let Ok(both) = text.parse::<SocketAddr>() {
            return match both.port() {
                0 => Err(format!("{text:?}: port 0 is no port")),
                port => Ok(Self { host: host(both.ip())?, port: Some(port) }),
            };
        }
        if text.matches(':').count() > 1 {
            return Err(format!("{text:?} is no IPv6 address; with a port, write [2001:db8::1]:4500"));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => match port.parse() {
                Ok(port) if port > 0 => (name, Some(port)),
                Ok(_) | Err(_) => return Err(format!("{text:?}: {port:?} is no port from 1 to 65535")),
            },
            None => (text, None),
        };
        // All digits and dots is an address with a mistake in it, not a name to ask a server for.
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        };
        let labels = name.strip_suffix('.').unwrap_or(name);
        let looks_numeric = labels.chars().all(|c| c.is_ascii_digit() || c == '.');
        if looks_numeric || labels.len() > 253 || !labels.split('.').all(is_label) {
            return Err(format!("{text:?} is neither an IP address nor a host name"));
        }
        Ok(Self { host: Host::Name(name.to_owned()), port })
    }
}

/// The host that an address stands for.
fn host(address: IpAddr) -> Result<Host, String> {
    let broadcast = address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    if address.is_multicast() || broadcast {
        return Err(format!("{address} is no host's address"));
    }
    Ok(if address.is_unspecified() { Host::Any } else { Host::Address(address) })
}

/// A time: plain seconds, or `90s`, `5m`, `1h30m`, `2d`. Zero stands for never.
pub(super) fn duration(quantity: &Quantity) -> Result<Option<Duration>, String> {
    let duration = match quantity {
        Quantity::Plain(seconds) => u64::try_from(*seconds)
            .map(Duration::from_secs)
            .map_err(|_| format!("{seconds} is negative; give seconds, or 0 for never"))?,
        Quantity::Fraction(value) => return Err(format!("{value} is a float; give whole seconds")),
        Quantity::WithUnit(text) => match text.trim().parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => with_unit(text)?,
        },
    };
    if duration > MAX_DURATION {
        return Err("longer than ten years".to_owned());
    }
    if !duration.is_zero() && duration < LEAST_DURATION {
        return Err(format!("{duration:?} is shorter than a second"));
    }
    Ok((!duration.is_zero()).then_some(duration))
}

fn with_unit(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim())
        .map_err(|error| format!("{text:?} is no time ({error}); write 1h, 90s or 3600"))
}

/// Rekeying or probing more often than this would keep both ends busy with nothing else.
const LEAST_DURATION: Duration = Duration::from_secs(1);

/// A short time, where fractions of a second count: seconds, as `4.0`, or `500ms`, `2s`.
pub(super) fn wait(quantity: &Quantity) -> Result<Duration, String> {
    match quantity {
        Quantity::Fraction(seconds) => {
            Duration::try_from_secs_f64(*seconds).map_err(|_| format!("{seconds} is no time in seconds"))
        }
        Quantity::WithUnit(text) if text.trim().parse::<u64>().is_err() => with_unit(text),
        Quantity::Plain(_) | Quantity::WithUnit(_) => duration(quantity).map(Option::unwrap_or_default),
    }
}

const MAX_DURATION: Duration = Duration::from_secs(10 * 366 * 86_400);

/// A count: plain, or with K, M, G, T (thousands) or Ki, Mi, Gi, Ti. Zero stands for never.
pub(super) fn count(quantity: &Quantity) -> Result<Option<u64>, String> {
    let count = match quantity {
        Quantity::Plain(count) => u64::try_from(*count).map_err(|_| format!("{count} is negative"))?,
        Quantity::Fraction(value) => return Err(format!("{value} is a float; give a whole number")),
        Quantity::WithUnit(text) => {
            let bare = text.trim().trim_end_matches(['B', 'b']);
            let digits = bare.find(|c: char| !c.is_ascii_digit()).unwrap_or(bare.len());
            let (number, unit) = bare.split_at(digits);
            let scale: u64 = match unit.trim().to_ascii_lowercase().as_str() {
                "" => 1,
                "k" => 1_000,
                "m" => 1_000_000,
                "g" => 1_000_000_000,
                "t" => 1_000_000_000_000,
                "ki" => 1 << 10,
                "mi" => 1 << 20,
                "gi" => 1 << 30,
                "ti" => 1 << 40,
                _ => return Err(format!("{text:?}: the unit is none of K, M, G, T, Ki, Mi, Gi, Ti")),
            };
            number
                .parse::<u64>()
                .ok()
                .and_then(|number| number.checked_mul(scale))
                .ok_or_else(|| format!("{text:?} is no number from 0 to 2^64 - 1"))?
        }
    };
    Ok((count > 0).then_some(count))
}

/// A traffic selector, or `dynamic` with perhaps a protocol and ports.
pub(super) fn selector(text: &str) -> Result<SelectorTemplate, String> {
    let bare = text.trim();
    match bare.strip_prefix("dynamic") {
        None => bare.parse().map(SelectorTemplate::Fixed).map_err(|error| format!("{error}")),
        Some("") => Ok(SelectorTemplate::DYNAMIC),
        Some(rest) => {
            // The part in brackets means the same whatever stands in front of it.
            let any: TrafficSelector =
                format!("0.0.0.0/0{rest}").parse().map_err(|error| format!("{error}"))?;
            Ok(SelectorTemplate::Dynamic { protocol: any.protocol, ports: any.ports })
        }
    }
}

/// How a selector template is written in the configuration.
#[must_use]
pub fn selector_text(selector: &SelectorTemplate) -> String {
    match selector {
        SelectorTemplate::Fixed(fixed) => fixed.to_string(),
        SelectorTemplate::Dynamic { protocol, ports } => {
            // What stands in brackets depends on the protocol: ports, or types and codes.
            let addresses = AddressRange::ALL_V4;
            let any = TrafficSelector { protocol: *protocol, addresses, ports: *ports };
            any.to_string().replacen(&addresses.to_string(), "dynamic", 1)
        }
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(word: &str, choices: &[(&str, T)]) -> Result<T, String> {
    match choices.iter().find(|(name, _)| *name == word) {
        Some((_, value)) => Ok(*value),
        None => {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            Err(format!("{word:?} is none of {}{}", names.join(", "), did_you_mean(word, &names)))
        }
    }
}

fn did_you_mean(word: &str, names: &[&str]) -> String {
    // The list of names is in the message already.
    Some(hint(word, names)).filter(|hint| hint.starts_with(';')).unwrap_or_default()
}

/// A pre-shared key: the text's own octets, or `0x` and hex, or `0s` and base64, as swanctl has it.
pub(super) fn psk(text: &str) -> Result<Secret, String> {
    let octets = if let Some(hex) = text.strip_prefix("0x") {
        base16ct::mixed::decode_vec(hex).map_err(|_| "0x is not followed by an even number of hex digits")?
    } else if let Some(base64) = text.strip_prefix("0s") {
        use base64ct::{Base64, Base64Unpadded, Encoding};
        let bare = base64.trim_end_matches('=');
        Base64::decode_vec(base64)
            .or_else(|_| Base64Unpadded::decode_vec(bare))
            .map_err(|_| "0s is not followed by base64")?
    } else {
        text.as_bytes().to_vec()
    };
    if octets.is_empty() {
        return Err("the pre-shared key is empty".to_owned());
    }
    Ok(Secret::new(octets))
}
