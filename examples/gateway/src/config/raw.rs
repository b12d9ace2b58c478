//! The file as it is written, every value with its place.

use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use toml::Spanned;

type Text = Option<Spanned<String>>;
type Texts = Option<Vec<Spanned<String>>>;

/// The whole file.
#[derive(serde::Deserialize)]
pub(super) struct File {
    #[serde(default)]
    pub(super) gateway: Gateway,
    #[serde(default)]
    pub(super) pool: Vec<Spanned<Pool>>,
    #[serde(default)]
    pub(super) tunnel: Vec<Spanned<Tunnel>>,
}

/// `[gateway]`
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Gateway {
    pub(super) listen: Texts,
    pub(super) port: Option<Spanned<i64>>,
    pub(super) nat_port: Option<Spanned<i64>>,
    pub(super) tun: Text,
    pub(super) control: Text,
    pub(super) log: Text,
    pub(super) log_format: Text,
    pub(super) install_routes: Option<bool>,
    pub(super) fwmark: Option<Spanned<i64>>,
    pub(super) route_table: Option<Spanned<i64>>,
    pub(super) half_open_limit: Option<Spanned<i64>>,
}

/// `[[pool]]`
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Pool {
    pub(super) addresses: Texts,
    pub(super) dns: Texts,
    pub(super) subnets: Texts,
    pub(super) tunnels: Texts,
}

/// `[[tunnel]]`
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Tunnel {
    pub(super) name: Text,
    pub(super) ike: Option<Spanned<i64>>,
    pub(super) local: Text,
    pub(super) remote: Text,
    pub(super) local_id: Text,
    pub(super) remote_id: Text,
    pub(super) psk: Text,
    pub(super) psk_file: Text,
    pub(super) proposals: Texts,
    pub(super) esp_proposals: Texts,
    pub(super) ah_proposals: Texts,
    pub(super) preset: Text,
    pub(super) local_ts: Texts,
    pub(super) remote_ts: Texts,
    pub(super) mode: Text,
    pub(super) start: Text,
    pub(super) rekey_time: Option<Spanned<Quantity>>,
    pub(super) life_time: Option<Spanned<Quantity>>,
    pub(super) rekey_bytes: Option<Spanned<Quantity>>,
    pub(super) rekey_packets: Option<Spanned<Quantity>>,
    pub(super) ike_rekey_time: Option<Spanned<Quantity>>,
    pub(super) dpd_delay: Option<Spanned<Quantity>>,
    pub(super) dpd_timeout: Option<Spanned<Quantity>>,
    pub(super) dpd_action: Text,
    pub(super) retransmit_tries: Option<Spanned<i64>>,
    pub(super) retransmit_timeout: Option<Spanned<Quantity>>,
    pub(super) retransmit_base: Option<Spanned<f64>>,
    pub(super) encap: Text,
    pub(super) replay_window: Option<Spanned<i64>>,
    pub(super) mtu: Option<Spanned<i64>>,
    pub(super) compress: Option<Spanned<bool>>,
    pub(super) tfc_padding: Option<Spanned<Quantity>>,
    pub(super) path_mtu: Option<Spanned<i64>>,
    pub(super) fragment: Text,
    pub(super) clear_df: Option<Spanned<bool>>,
    pub(super) mss: Option<Spanned<i64>>,
    pub(super) vips: Texts,
    pub(super) aggressive: Option<Spanned<bool>>,
    pub(super) xauth: Text,
    pub(super) xauth_user: Text,
    pub(super) xauth_password: Text,
    pub(super) xauth_password_file: Text,
    pub(super) xauth_users: Option<Spanned<Users>>,
    pub(super) mode_config: Text,
    pub(super) fragmentation: Text,
}

/// Users with their passwords, or the file that has them.
pub(super) enum Users {
    Table(Vec<(String, String)>),
    File(String),
}

impl<'de> Deserialize<'de> for Users {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UsersVisitor;
        impl<'de> Visitor<'de> for UsersVisitor {
            type Value = Users;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table as in { alice = \"password\" }, or a file's name")
            }
            fn visit_str<E>(self, value: &str) -> Result<Users, E> {
                Ok(Users::File(value.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Users, A::Error> {
                let mut users = Vec::new();
                while let Some(user) = map.next_entry()? {
                    users.push(user);
                }
                Ok(Users::Table(users))
            }
        }
        deserializer.deserialize_any(UsersVisitor)
    }
}

/// A number, or a number with a unit.
pub(super) enum Quantity {
    Plain(i64),
    Fraction(f64),
    WithUnit(String),
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct QuantityVisitor;
        impl Visitor<'_> for QuantityVisitor {
            type Value = Quantity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a string such as \"1h\"")
            }
            fn visit_i64<E>(self, value: i64) -> Result<Quantity, E> {
                Ok(Quantity::Plain(value))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Quantity, E> {
                Ok(Quantity::Fraction(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Quantity, E> {
                Ok(Quantity::WithUnit(value.to_owned()))
            }
        }
        deserializer.deserialize_any(QuantityVisitor)
    }
}

/// The keys that a table may have: the field names of the type it is read into.
pub(super) fn keys_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // The deserializer below never yields a value; it only looks at what the type asks for.
    let _ = T::deserialize(FieldNames(&mut keys));
    keys
}

struct FieldNames<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = toml::de::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("not a table"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(Self::Error::custom("only the names were wanted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
