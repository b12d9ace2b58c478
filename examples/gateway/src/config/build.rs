//! From the file as written to the configuration it means.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use ikebana::esp::TfcPadding;
use ikebana::{DontFragmentPolicy, FragmentPolicy, MssPolicy, SizePolicy};
use ikebana_core::{AddressRange, IdentityPattern, Lifetime};
use ikebana_ike::config::{Encapsulation, Mode, SelectorTemplate};
use ikebana_proposals::{KeywordError, Preset, Proposal};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use tracing_subscriber::EnvFilter;

use super::ikev1::{self, Keys};
use super::patience::{self, Patience};
use super::problem::{Report, hint};
use super::{
    Config, DpdAction, Endpoint, Gateway, Host, IkeVersion, LogFormat, Pool, Psk, Start, Tunnel, raw, value,
};

const REKEY_TIME: Duration = Duration::from_secs(3_600);
const IKE_REKEY_TIME: Duration = Duration::from_secs(4 * 3_600);
/// What the TUN device takes at most, as buffers are made for it.
pub(crate) const LONGEST_PACKET: usize = 9_216;
/// More entries than this in a list of proposals or selectors do not fit into one message.
const LONGEST_LIST: usize = 128;
const REPLAY_WINDOW: u32 = 1_024;
const JITTER_PERCENT: u8 = 10;

impl Default for Gateway {
    fn default() -> Self {
        Self {
            listen: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            port: 500,
            nat_port: 4500,
            tun: "ike0".to_owned(),
            control: PathBuf::from("/run/ikebana.sock"),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            install_routes: true,
            fwmark: 0x1ce,
            route_table: 4500,
            half_open_limit: None,
        }
    }
}

/// Reads the text; `None` if it is not even the right shape.
pub(super) fn read(text: &str, report: &mut Report<'_>) -> Option<Config> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        report.error(error.span().unwrap_or_default(), error.message());
    }
    if !errors.is_empty() {
        return None;
    }
    check_keys(table.get_ref(), report);
    let file = match raw::File::deserialize(toml::Deserializer::from(table)) {
        Ok(file) => file,
        Err(error) => {
            report.error(error.span().unwrap_or_default(), without_value(error.message()));
            return None;
        }
    };
    let gateway = gateway(file.gateway, report);
    let tunnels: Vec<Tunnel> = file.tunnel.into_iter().filter_map(|one| tunnel(one, report)).collect();
    let names: Vec<String> = tunnels.iter().map(|tunnel| tunnel.name.clone()).collect();
    let pools = file.pool.into_iter().map(|one| pool(one, &names, report)).collect();
    Some(Config { gateway, pools, tunnels })
}

/// What is wrong with a value, without the value: it may be a key that lacks its quotes.
fn without_value(message: &str) -> String {
    let quote = message.find(['`', '"']);
    let expected = message.rfind(", expected");
    match (quote, expected) {
        (Some(quote), Some(expected)) if quote < expected => {
            let (before, after) = (message.get(..quote), message.get(expected..));
            format!("{}{}", before.unwrap_or_default().trim_end(), after.unwrap_or_default())
        }
        _ => message.to_owned(),
    }
}

/// Reports keys that no table has.
fn check_keys(file: &DeTable<'_>, report: &mut Report<'_>) {
    check_table::<raw::File>(file, "the file", report);
    for (key, value) in file.iter() {
        match key.get_ref().as_ref() {
            "gateway" => check_tables::<raw::Gateway>(value.get_ref(), "[gateway]", report),
            "pool" => check_tables::<raw::Pool>(value.get_ref(), "[[pool]]", report),
            "tunnel" => check_tables::<raw::Tunnel>(value.get_ref(), "[[tunnel]]", report),
            _ => {}
        }
    }
}

fn check_tables<T: DeserializeOwned>(value: &DeValue<'_>, place: &str, report: &mut Report<'_>) {
    if let Some(table) = value.as_table() {
        check_table::<T>(table, place, report);
    }
    for one in value.as_array().into_iter().flat_map(|array| array.iter()) {
        if let Some(table) = one.get_ref().as_table() {
            check_table::<T>(table, place, report);
        }
    }
}

fn check_table<T: DeserializeOwned>(table: &DeTable<'_>, place: &str, report: &mut Report<'_>) {
    let known = raw::keys_of::<T>();
    for key in table.keys() {
        let name = key.get_ref().as_ref();
        if !known.contains(&name) {
            report.error(key.span(), format!("unknown key {name:?} in {place}{}", hint(name, known)));
        }
    }
}

fn gateway(raw: raw::Gateway, report: &mut Report<'_>) -> Gateway {
    let default = Gateway::default();
    let listen = list(raw.listen, report, |text| {
        text.parse::<IpAddr>().map_err(|_| format!("{text:?} is no IP address"))
    });
    let port = number(raw.port, report, 1..=65_535).unwrap_or(default.port);
    let nat_span = raw.nat_port.as_ref().map(Spanned::span).unwrap_or_default();
    let nat_port = number(raw.nat_port, report, 1..=65_535).unwrap_or(default.nat_port);
    if port == nat_port {
        report.error(nat_span, format!("port and nat_port are both {port}; they need a socket each"));
    }
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    Gateway {
        listen: listen.filter(|listen| !listen.is_empty()).unwrap_or(default.listen),
        port,
        nat_port,
        tun: text(raw.tun, report, |name| {
            // IFNAMSIZ, with its terminating zero.
            let fits = (1..=15).contains(&name.len()) && !name.contains(['/', ' ', ':']);
            if fits { Ok(name.to_owned()) } else { Err(format!("{name:?} cannot be a device's name")) }
        })
        .unwrap_or(default.tun),
        control: text(raw.control, report, |path| match path {
            // An empty path is an address of the system's choice, which everybody may connect to.
            "" => Err("the control socket needs a path".to_owned()),
            path => Ok(PathBuf::from(path)),
        })
        .unwrap_or(default.control),
        log: text(raw.log, report, |filter| match EnvFilter::try_new(filter) {
            Ok(_) => Ok(filter.to_owned()),
            Err(error) => {
                Err(format!("{filter:?} is neither a level, such as debug, nor directives: {error}"))
            }
        })
        .unwrap_or(default.log),
        log_format: text(raw.log_format, report, |word| value::choice(word, &formats))
            .unwrap_or(default.log_format),
        install_routes: raw.install_routes.unwrap_or(default.install_routes),
        fwmark: number(raw.fwmark, report, 1..=u32::MAX.into()).unwrap_or(default.fwmark),
        route_table: route_table(raw.route_table, report).unwrap_or(default.route_table),
        half_open_limit: number(raw.half_open_limit, report, 0..=1_000_000),
    }
}

fn pool(raw: Spanned<raw::Pool>, tunnels: &[String], report: &mut Report<'_>) -> Pool {
    let span = raw.span();
    let raw = raw.into_inner();
    let range = |text: &str| text.parse::<AddressRange>().map_err(|error| error.to_string());
    let addresses = list(raw.addresses, report, range).unwrap_or_default();
    if addresses.is_empty() {
        report.error(span, "a [[pool]] needs addresses, such as [\"10.9.0.0/24\"]");
    }
    let dns = list(raw.dns, report, |text| text.parse().map_err(|_| format!("{text:?} is no IP address")));
    let names: Vec<&str> = tunnels.iter().map(String::as_str).collect();
    let tunnels = list(raw.tunnels, report, |name| {
        if names.contains(&name) {
            Ok(name.to_owned())
        } else {
            Err(format!("there is no tunnel {name:?}{}", hint(name, &names)))
        }
    });
    Pool {
        addresses,
        dns: dns.unwrap_or_default(),
        subnets: list(raw.subnets, report, range).unwrap_or_default(),
        tunnels: tunnels.unwrap_or_default(),
    }
}

fn tunnel(raw: Spanned<raw::Tunnel>, report: &mut Report<'_>) -> Option<Tunnel> {
    let span = raw.span();
    let raw = raw.into_inner();
    let line = report.line(span.start);
    let name = match raw.name {
        Some(name) => text(Some(name), report, check_name)?,
        None => {
            report.error(span, "this [[tunnel]] has no name");
            return None;
        }
    };
    let version = match number(raw.ike, report, 1..=2) {
        Some(1_u8) => IkeVersion::V1,
        Some(_) | None => IkeVersion::V2,
    };
    let local = text(raw.local, report, local_end).unwrap_or(Endpoint::ANY);
    let remote = text(raw.remote, report, str::parse).unwrap_or(Endpoint::ANY);
    let start_span = raw.start.as_ref().map_or(span.clone(), Spanned::span);
    let start = text(raw.start, report, |word| value::choice(word, &STARTS)).unwrap_or(match remote.host {
        Host::Any => Start::Passive,
        Host::Address(_) | Host::Name(_) => Start::Start,
    });
    if remote.host == Host::Any && start != Start::Passive {
        report.error(start_span, format!("tunnel {name:?} cannot be started: it has no remote address"));
    }
    let dpd_action = text(raw.dpd_action, report, |word| value::choice(word, &DPD_ACTIONS));
    let Patience { dpd_delay, retransmission } = patience::read(
        raw.dpd_delay,
        raw.dpd_timeout,
        patience::Repetition {
            tries: raw.retransmit_tries,
            timeout: raw.retransmit_timeout,
            base: raw.retransmit_base,
        },
        report,
    );
    let psk = psk(raw.psk, raw.psk_file, &name, &span, report);
    let lists = [raw.proposals, raw.esp_proposals, raw.ah_proposals];
    let (preset, proposals, child_proposals) = suites(version, raw.preset, lists, report);
    let keys = Keys {
        aggressive: raw.aggressive,
        xauth: raw.xauth,
        user: raw.xauth_user,
        password: raw.xauth_password,
        password_file: raw.xauth_password_file,
        users: raw.xauth_users,
        mode_config: raw.mode_config,
        fragmentation: raw.fragmentation,
    };
    let ikev1 = ikev1::read(keys, version, &TunnelPlace { name: &name, span: &span }, report);
    let dynamic = || vec![SelectorTemplate::DYNAMIC];
    Some(Tunnel {
        line,
        ike: version,
        local,
        remote,
        local_id: text(raw.local_id, report, |id| id.parse().map_err(|error| format!("{error}"))),
        remote_id: text(raw.remote_id, report, |id| {
            id.parse::<IdentityPattern>().map_err(|error| error.to_string())
        }),
        psk: psk?,
        ikev1,
        proposals,
        child_proposals,
        preset,
        local_ts: non_empty(list(raw.local_ts, report, value::selector)).unwrap_or_else(dynamic),
        remote_ts: non_empty(list(raw.remote_ts, report, value::selector)).unwrap_or_else(dynamic),
        mode: text(raw.mode, report, |word| value::choice(word, &MODES)).unwrap_or(Mode::Tunnel),
        lifetime: lifetime(
            raw.rekey_time,
            raw.life_time,
            [raw.rekey_bytes, raw.rekey_packets],
            REKEY_TIME,
            report,
        ),
        ike_lifetime: lifetime(raw.ike_rekey_time, None, [None, None], IKE_REKEY_TIME, report),
        dpd_delay,
        retransmission,
        dpd_action: dpd_action.unwrap_or(match start {
            Start::Start => DpdAction::Restart,
            Start::OnTraffic => DpdAction::Trap,
            Start::Passive => DpdAction::Clear,
        }),
        encap: text(raw.encap, report, |word| value::choice(word, &ENCAPS)).unwrap_or_default(),
        replay_window: replay_window(raw.replay_window, report),
        compress: compress(raw.compress, version, report),
        tfc: tfc_padding(raw.tfc_padding, report),
        mtu: number(raw.mtu, report, 576..=i64::try_from(LONGEST_PACKET).unwrap_or(i64::MAX)),
        path_mtu: number(raw.path_mtu, report, PATH_MTUS).unwrap_or(PATH_MTU),
        sizes: SizePolicy {
            fragment: text(raw.fragment, report, |word| value::choice(word, &FRAGMENTS)).unwrap_or_default(),
            dont_fragment: match raw.clear_df.map(Spanned::into_inner) {
                Some(true) => DontFragmentPolicy::Clear,
                Some(false) | None => DontFragmentPolicy::Respect,
            },
            mss: number(raw.mss, report, MAXIMUM_SEGMENTS).map_or(MssPolicy::Fit, MssPolicy::AtMost),
        },
        vips: list(raw.vips, report, |address| {
            address.parse().map_err(|_| format!("{address:?} is no IP address; 0.0.0.0 or :: asks for any"))
        })
        .unwrap_or_default(),
        name,
        start,
    })
}

/// Where a tunnel is in the file, for what is wrong with it as a whole.
pub(super) struct TunnelPlace<'a> {
    name: &'a str,
    span: &'a Range<usize>,
}

impl TunnelPlace<'_> {
    pub(super) fn error(&self, report: &mut Report<'_>, what: &str) {
        report.error(self.span.clone(), format!("tunnel {:?} {what}", self.name));
    }
}

const STARTS: [(&str, Start); 3] =
    [("start", Start::Start), ("on-traffic", Start::OnTraffic), ("passive", Start::Passive)];
const DPD_ACTIONS: [(&str, DpdAction); 3] =
    [("clear", DpdAction::Clear), ("trap", DpdAction::Trap), ("restart", DpdAction::Restart)];
const MODES: [(&str, Mode); 2] = [("tunnel", Mode::Tunnel), ("transport", Mode::Transport)];
const ENCAPS: [(&str, Encapsulation); 3] =
    [("auto", Encapsulation::Auto), ("force", Encapsulation::Force), ("never", Encapsulation::Never)];
const FRAGMENTS: [(&str, FragmentPolicy); 2] =
    [("before", FragmentPolicy::Before), ("after", FragmentPolicy::After)];
/// Ethernet's.
const PATH_MTU: u16 = 1_500;
/// From what every host takes whole (RFC 791) to jumbo frames.
const PATH_MTUS: std::ops::RangeInclusive<i64> = 576..=9_216;
const MAXIMUM_SEGMENTS: std::ops::RangeInclusive<i64> = 500..=9_176;
const PRESETS: [(&str, Preset); 5] = [
    ("modern", Preset::Modern),
    ("aws", Preset::Aws),
    ("aws-minimum", Preset::AwsMinimum),
    ("azure", Preset::Azure),
    ("gcp", Preset::Gcp),
];

fn local_end(text: &str) -> Result<Endpoint, String> {
    match text.parse()? {
        Endpoint { host: Host::Name(name), .. } => {
            Err(format!("{name:?}: our own end must be an IP address"))
        }
        Endpoint { port: Some(port), .. } => {
            Err(format!("our own port {port} is not set here; see port and nat_port in [gateway]"))
        }
        end => Ok(end),
    }
}

fn check_name(name: &str) -> Result<String, String> {
    let ok = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
    if name.is_empty() || name.len() > 64 || !name.chars().all(ok) || name.starts_with('-') {
        return Err(format!("{name:?} is no name: use up to 64 letters, digits, '-', '_', '.', '/' or ':'"));
    }
    Ok(name.to_owned())
}

fn psk(
    inline: Option<Spanned<String>>,
    file: Option<Spanned<String>>,
    name: &str,
    tunnel: &Range<usize>,
    report: &mut Report<'_>,
) -> Option<Psk> {
    match (inline, file) {
        (Some(inline), None) => {
            let span = inline.span();
            let text = zeroize::Zeroizing::new(inline.into_inner());
            report.value(span, value::psk(&text)).map(Psk::Key)
        }
        (None, Some(file)) => Some(Psk::File(PathBuf::from(file.into_inner()))),
        (Some(_), Some(file)) => {
            report.error(file.span(), "psk and psk_file exclude each other");
            None
        }
        (None, None) => {
            report.error(tunnel.clone(), format!("tunnel {name:?} has no psk and no psk_file"));
            None
        }
    }
}

type Suites = (Option<Preset>, Vec<Proposal>, Vec<Proposal>);

fn suites(
    version: IkeVersion,
    preset: Option<Spanned<String>>,
    [ike, esp, ah]: [Option<Vec<Spanned<String>>>; 3],
    report: &mut Report<'_>,
) -> Suites {
    if let (Some(preset), true) = (&preset, ike.is_some() || esp.is_some() || ah.is_some()) {
        report.error(preset.span(), "a preset stands for proposals and esp_proposals; give either");
    }
    if let (Some(_), Some(first)) = (&esp, ah.as_ref().and_then(|list| list.first())) {
        report.error(first.span(), "esp_proposals and ah_proposals exclude each other; AH does not encrypt");
    }
    let preset = text(preset, report, |word| value::choice(word, &PRESETS));
    let fallback = preset.unwrap_or(Preset::Modern);
    let mut parse = |list_of: Option<Vec<Spanned<String>>>,
                     with: fn(&str) -> Result<Proposal, KeywordError>| {
        non_empty(list(list_of, report, |text| with(text.trim()).map_err(|error| error.to_string())))
    };
    let ike = parse(ike, Proposal::ike).unwrap_or_else(|| match version {
        IkeVersion::V1 => fallback.ikev1(),
        IkeVersion::V2 => fallback.ike(),
    });
    let ah = parse(ah, Proposal::ah);
    let child = parse(esp, Proposal::esp).or(ah).unwrap_or_else(|| match version {
        IkeVersion::V1 => fallback.ikev1_child(),
        IkeVersion::V2 => fallback.child(),
    });
    (preset, ike, child)
}

fn lifetime(
    rekey: Option<Spanned<raw::Quantity>>,
    life: Option<Spanned<raw::Quantity>>,
    limits: [Option<Spanned<raw::Quantity>>; 2],
    default: Duration,
    report: &mut Report<'_>,
) -> Lifetime {
    let life_span = life.as_ref().map(Spanned::span).unwrap_or_default();
    let rekey = time(rekey, report);
    let life = time(life, report);
    let soft_time = match (rekey, life) {
        (Some(rekey), _) => rekey,
        // The margin that a later default would have had.
        (None, Some(Some(life))) => Some(default.min(life.mul_f64(10.0 / 11.0))),
        (None, Some(None) | None) => Some(default),
    };
    let hard_time = life.unwrap_or_else(|| soft_time.map(|soft| soft.saturating_add(soft / 10)));
    if let (Some(soft), Some(hard)) = (soft_time, hard_time)
        && hard <= soft
    {
        let message = format!("life_time ({hard:?}) must be longer than rekey_time ({soft:?})");
        report.error(life_span, message);
    }
    let [bytes, packets] = limits.map(|limit| {
        let span = limit.as_ref().map(Spanned::span).unwrap_or_default();
        limit.and_then(|limit| report.value(span, value::count(limit.get_ref()))).flatten()
    });
    // Room for what arrives while the replacement is negotiated.
    let margin = |soft: u64| soft.saturating_add(soft / 4).saturating_add(1_000);
    Lifetime {
        soft_time,
        hard_time,
        soft_bytes: bytes,
        hard_bytes: bytes.map(|soft| margin(soft).saturating_add(10_000_000)),
        soft_packets: packets,
        hard_packets: packets.map(margin),
        jitter_percent: JITTER_PERCENT,
    }
}

/// The first of two tables that no one else may have: not those of the kernel (`RT_TABLE_DEFAULT` to
/// `RT_TABLE_LOCAL`).
fn route_table(raw: Option<Spanned<i64>>, report: &mut Report<'_>) -> Option<u32> {
    let span = raw.as_ref().map(Spanned::span).unwrap_or_default();
    let table: u32 = number(raw, report, 1..=i64::from(u32::MAX) - 1)?;
    let message = || format!("{table} and the table after it are ours alone, but the kernel has 253 to 255");
    report.value(span, if (252..=255).contains(&table) { Err(message()) } else { Ok(table) })
}

fn replay_window(raw: Option<Spanned<i64>>, report: &mut Report<'_>) -> u32 {
    let span = raw.as_ref().map(Spanned::span).unwrap_or_default();
    let Some(window) = number::<u32>(raw, report, 64..=8_192) else { return REPLAY_WINDOW };
    if !window.is_power_of_two() {
        let below = 1 << window.ilog2();
        let message = format!("{window} is no power of two; the nearest are {below} and {}", below << 1);
        report.error(span, message);
    }
    window
}

fn compress(raw: Option<Spanned<bool>>, version: IkeVersion, report: &mut Report<'_>) -> bool {
    let Some(raw) = raw else { return false };
    if *raw.get_ref() && version == IkeVersion::V1 {
        report.error(raw.span(), "compression is negotiated with IKEv2 only".to_owned());
    }
    raw.into_inner()
}

/// `tfc_padding`, as strongSwan has it: a size, or the path's.
fn tfc_padding(raw: Option<Spanned<raw::Quantity>>, report: &mut Report<'_>) -> TfcPadding {
    let Some(raw) = raw else { return TfcPadding::None };
    let padding = match raw.get_ref() {
        raw::Quantity::Plain(0) => Ok(TfcPadding::None),
        raw::Quantity::Plain(size) => {
            u16::try_from(*size).map(TfcPadding::Size).map_err(|_| format!("{size} is not from 0 to 65535"))
        }
        raw::Quantity::WithUnit(word) if word == "mtu" => Ok(TfcPadding::PathMtu),
        raw::Quantity::WithUnit(word) => Err(format!("{word:?} is no size in octets, nor \"mtu\"")),
        raw::Quantity::Fraction(value) => Err(format!("{value} is no whole number of octets")),
    };
    report.value(raw.span(), padding).unwrap_or_default()
}

pub(super) fn time(raw: Option<Spanned<raw::Quantity>>, report: &mut Report<'_>) -> Option<Option<Duration>> {
    let raw = raw?;
    report.value(raw.span(), value::duration(raw.get_ref()))
}

pub(super) fn number<T: TryFrom<i64>>(
    raw: Option<Spanned<i64>>,
    report: &mut Report<'_>,
    allowed: std::ops::RangeInclusive<i64>,
) -> Option<T> {
    let raw = raw?;
    let value = *raw.get_ref();
    let number = if allowed.contains(&value) { T::try_from(value).ok() } else { None };
    let message = || format!("{value} is not from {} to {}", allowed.start(), allowed.end());
    report.value(raw.span(), number.ok_or_else(message))
}

pub(super) fn text<T>(
    raw: Option<Spanned<String>>,
    report: &mut Report<'_>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let raw = raw?;
    report.value(raw.span(), parse(raw.get_ref()))
}

fn list<T>(
    raw: Option<Vec<Spanned<String>>>,
    report: &mut Report<'_>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    let raw = raw?;
    if let Some(surplus) = raw.get(LONGEST_LIST) {
        report.error(surplus.span(), format!("this list is longer than {LONGEST_LIST} entries"));
        return None;
    }
    Some(raw.into_iter().filter_map(|one| report.value(one.span(), parse(one.get_ref()))).collect())
}

fn non_empty<T>(list: Option<Vec<T>>) -> Option<Vec<T>> {
    list.filter(|list| !list.is_empty())
}
