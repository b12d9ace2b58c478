//! What a scenario is, and how scenario files become a list of them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use toml::{Table, Value};

use crate::step::Step;

/// One of the two ends: our gateway or the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Us,
    Them,
}

/// The peer's implementation, which also says where it has to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PeerKind {
    /// strongSwan with its userspace ESP: ESP-in-UDP only, needs no kernel support.
    Strongswan,
    /// strongSwan with Linux' own ESP, in the guest.
    StrongswanKernel,
    /// libreswan with Linux' own ESP, in the guest.
    Libreswan,
    /// OpenIKED with Linux' own ESP, in the guest.
    Openiked,
    /// vpnc, a Cisco client: IKEv1 aggressive mode with XAUTH and mode config, and ESP of its own in userspace. It
    /// only initiates, and keeps its SAs to itself.
    Vpnc,
}

impl PeerKind {
    /// Whether the peer needs a kernel with ESP, which the host may not have.
    pub(crate) fn needs_guest(self) -> bool {
        match self {
            PeerKind::Strongswan | PeerKind::Vpnc => false,
            PeerKind::StrongswanKernel | PeerKind::Libreswan | PeerKind::Openiked => true,
        }
    }
}

/// ESP mode, as both ends are configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    #[default]
    Tunnel,
    Transport,
}

/// Address family of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Family {
    #[default]
    #[serde(rename = "ipv4")]
    V4,
    #[serde(rename = "ipv6")]
    V6,
}

/// One run: two configured ends and what is done to them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) peer: PeerKind,
    pub(crate) initiator: Side,
    /// Version of IKE, at both ends.
    #[serde(default = "ikev2")]
    pub(crate) version: u8,
    /// IKEv1: aggressive mode instead of main mode, at both ends.
    #[serde(default)]
    pub(crate) aggressive: bool,
    /// IKE proposals of both ends as strongSwan users write them, separated by commas.
    pub(crate) ike: String,
    /// ESP proposals of both ends, the same way.
    #[serde(default)]
    pub(crate) esp: String,
    /// AH proposals of both ends instead.
    #[serde(default)]
    pub(crate) ah: Option<String>,
    #[serde(default)]
    pub(crate) mode: Mode,
    /// What IKE and ESP travel over.
    #[serde(default)]
    pub(crate) outer: Family,
    /// What travels inside the tunnel.
    #[serde(default)]
    pub(crate) inner: Family,
    /// The end that sits behind an address translator, if one does.
    #[serde(default)]
    pub(crate) nat: Option<Side>,
    /// Keys of our `[[tunnel]]` that differ from the defaults.
    #[serde(default)]
    pub(crate) us: Table,
    /// Keys of our `[gateway]`.
    #[serde(default)]
    pub(crate) gateway: Table,
    /// Our `[[pool]]`s.
    #[serde(default)]
    pub(crate) pools: Vec<Table>,
    /// The peer's settings that differ from the defaults.
    #[serde(default)]
    pub(crate) them: PeerSettings,
    /// Whether the scenario also holds between two peers, without our gateway.
    #[serde(default = "yes")]
    pub(crate) self_check: bool,
    pub(crate) steps: Vec<Step>,
}

/// Settings of the peer in its own configuration language.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PeerSettings {
    /// Overrides the pre-shared key, to make it wrong.
    pub(crate) psk: Option<String>,
    /// Overrides the IKE proposals of this end.
    pub(crate) ike: Option<String>,
    /// Overrides the ESP proposals of this end.
    pub(crate) esp: Option<String>,
    /// swanctl connection keys, or libreswan conn keys.
    pub(crate) connection: Table,
    /// swanctl child keys.
    pub(crate) child: Table,
    /// Keys of strongswan.conf's `charon` section; a change restarts the daemon.
    pub(crate) charon: Table,
    /// swanctl secrets beside the pre-shared key.
    pub(crate) secrets: Table,
    /// swanctl address pools.
    pub(crate) pools: Table,
}

impl Scenario {
    /// The proposals of the Child SA, and the key that both ends have for them.
    pub(crate) fn child_proposals(&self) -> (&'static str, &str) {
        match &self.ah {
            Some(ah) => ("ah_proposals", ah),
            None => ("esp_proposals", &self.esp),
        }
    }
}

fn ikev2() -> u8 {
    2
}

fn yes() -> bool {
    true
}

/// Reads every `*.toml` of the folder, in the order of the names.
pub(crate) fn load_folder(folder: &Path) -> Result<Vec<Scenario>> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    let mut scenarios: Vec<Scenario> = Vec::new();
    for file in files {
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let added = parse(&text).with_context(|| file.display().to_string())?;
        for scenario in added {
            if scenarios.iter().any(|known| known.name == scenario.name) {
                bail!("{}: there is another scenario named {:?}", file.display(), scenario.name);
            }
            scenarios.push(scenario);
        }
    }
    if scenarios.is_empty() {
        bail!("no scenarios in {}", folder.display());
    }
    Ok(scenarios)
}

/// Reads one file: `[defaults]` under each `[[scenario]]`, which `cases` and `vary` multiply.
pub(crate) fn parse(text: &str) -> Result<Vec<Scenario>> {
    let mut file: Table = text.parse()?;
    let defaults = take_table(&mut file, "defaults")?;
    let Some(Value::Array(raw)) = file.remove("scenario") else {
        bail!("no [[scenario]]");
    };
    if let Some(key) = file.keys().next() {
        bail!("unknown top-level key {key:?}");
    }
    let mut scenarios = Vec::new();
    for value in raw {
        let Value::Table(own) = value else {
            bail!("a scenario must be a table");
        };
        let mut table = defaults.clone();
        merge(&mut table, own);
        for expanded in expand(table)? {
            let name = expanded.get("name").and_then(Value::as_str).unwrap_or("?").to_owned();
            let scenario: Scenario = expanded.try_into().with_context(|| format!("scenario {name:?}"))?;
            if scenario.esp.is_empty() == scenario.ah.is_none() {
                bail!("scenario {name:?} needs either esp or ah");
            }
            if scenario.steps.is_empty() {
                bail!("scenario {name:?} has no steps");
            }
            scenarios.push(scenario);
        }
    }
    Ok(scenarios)
}

/// Multiplies a scenario by its `cases` (tables laid over it) and `vary` (a list of values per key).
fn expand(mut table: Table) -> Result<Vec<Table>> {
    let cases = table.remove("cases");
    let vary = take_table(&mut table, "vary")?;
    let mut all = match cases {
        None => vec![table],
        Some(Value::Array(cases)) => {
            cases.into_iter().map(|case| with_case(&table, case)).collect::<Result<_>>()?
        }
        Some(_) => bail!("cases must be a list of tables"),
    };
    for (key, values) in vary {
        let Value::Array(values) = values else {
            bail!("vary.{key} must be a list");
        };
        let mut product = Vec::new();
        for table in &all {
            for value in &values {
                let label = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let mut one = table.clone();
                append_name(&mut one, &label)?;
                one.insert(key.clone(), value.clone());
                product.push(one);
            }
        }
        all = product;
    }
    Ok(all)
}

fn with_case(base: &Table, case: Value) -> Result<Table> {
    let Value::Table(mut case) = case else {
        bail!("a case must be a table");
    };
    let Some(Value::String(label)) = case.remove("name") else {
        bail!("a case needs a name");
    };
    let mut table = base.clone();
    append_name(&mut table, &label)?;
    merge(&mut table, case);
    Ok(table)
}

fn append_name(table: &mut Table, label: &str) -> Result<()> {
    match table.get_mut("name") {
        Some(Value::String(name)) => {
            name.push('/');
            name.push_str(label);
            Ok(())
        }
        _ => bail!("a scenario needs a name"),
    }
}

/// Lays `over` on `base`; tables are merged, everything else is replaced.
pub(crate) fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => merge(inner, value),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn take_table(table: &mut Table, key: &str) -> Result<Table> {
    match table.remove(key) {
        None => Ok(Table::new()),
        Some(Value::Table(inner)) => Ok(inner),
        Some(_) => bail!("{key} must be a table"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [defaults]
        peer = "strongswan"
        initiator = "us"
        ike = "aes128-sha256-modp2048"
        esp = "aes128-sha1"
        us = { dpd_delay = "30s" }
        steps = [{ do = "up" }]

        [[scenario]]
        name = "suite"
        us = { replay_window = 64 }
        vary = { initiator = ["us", "them"] }
        cases = [{ name = "gcm", esp = "aes128gcm16" }, { name = "cbc" }]
    "#;

    #[test]
    fn cases_and_varied_keys_multiply_and_name_the_scenarios() {
        let names: Vec<String> = parse(FILE).unwrap().into_iter().map(|scenario| scenario.name).collect();
        assert_eq!(names, ["suite/gcm/us", "suite/gcm/them", "suite/cbc/us", "suite/cbc/them"]);
    }

    #[test]
    fn a_case_overrides_the_scenario_and_tables_are_merged_with_the_defaults() {
        let scenarios = parse(FILE).unwrap();
        assert_eq!(scenarios[1].esp, "aes128gcm16");
        assert_eq!(scenarios[1].initiator, Side::Them);
        assert_eq!(scenarios[2].esp, "aes128-sha1");
        assert_eq!(scenarios[0].us.len(), 2);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_name_of_the_scenario() {
        let error = parse(&FILE.replace("esp = \"aes128-sha1\"", "epS = 1")).unwrap_err();
        assert!(format!("{error:#}").contains("suite/gcm/us"), "{error:#}");
    }

    #[test]
    fn every_committed_scenario_file_is_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        assert!(load_folder(&folder).unwrap().len() > 50);
    }
}
