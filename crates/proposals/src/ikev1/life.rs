//! Lifetimes as transforms state them, in pairs of attributes (RFC 2407 4.5, RFC 2409 appendix A).

use alloc::vec::Vec;

use super::LifeType;
use super::attribute::{Attribute, AttributeValue};

/// The lifetimes of one transform. Zero stands for no limit, so it is not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) seconds: Option<u64>,
    pub(super) kilobytes: Option<u64>,
}

/// Puts a duration behind the type it belongs to.
#[derive(Default)]
pub(super) struct LifeReader {
    kind: Option<LifeType>,
    pub(super) life: Life,
}

impl LifeReader {
    /// Takes a life type; false if its unit is unknown or the type before it has no duration.
    pub(super) fn kind(&mut self, value: Option<u64>) -> bool {
        let kind = value.and_then(|value| u16::try_from(value).ok()).map(LifeType);
        let is_known = matches!(kind, Some(LifeType::SECONDS | LifeType::KILOBYTES));
        let is_first = self.kind.is_none();
        self.kind = kind;
        is_known && is_first
    }

    /// Takes a life duration; false if no type is before it, if it is no number, or contradicts another.
    pub(super) fn duration(&mut self, value: Option<u64>) -> bool {
        let (Some(kind), Some(value)) = (self.kind.take(), value) else {
            return false;
        };
        let slot = match kind {
            LifeType::SECONDS => &mut self.life.seconds,
            LifeType::KILOBYTES => &mut self.life.kilobytes,
            LifeType(_) => return false,
        };
        let agrees = slot.is_none_or(|before| before == value);
        *slot = Some(value).filter(|&value| value != 0);
        agrees
    }

    /// Whether every type had its duration.
    pub(super) const fn is_complete(&self) -> bool {
        self.kind.is_none()
    }
}

impl Life {
    /// Appends the attributes, whose classes are `kind` and `duration`.
    pub(super) fn write(self, kind: u16, duration: u16, out: &mut Vec<Attribute>) {
        let pairs = [(LifeType::SECONDS, self.seconds), (LifeType::KILOBYTES, self.kilobytes)];
        for (unit, value) in pairs {
            let Some(value) = value else { continue };
            out.push(Attribute { kind, value: AttributeValue::Short(unit.0) });
            out.push(Attribute { kind: duration, value: number(value) });
        }
    }
}

/// The shorter of two limits, where either may be absent.
pub(super) fn shorter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Two octets if they suffice, otherwise four or eight, as everybody reads it.
fn number(value: u64) -> AttributeValue {
    if let Ok(value) = u16::try_from(value) {
        AttributeValue::Short(value)
    } else if let Ok(value) = u32::try_from(value) {
        AttributeValue::Long(value.to_be_bytes().to_vec())
    } else {
        AttributeValue::Long(value.to_be_bytes().to_vec())
    }
}
