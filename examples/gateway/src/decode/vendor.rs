//! Vendor IDs that say something. IKEv2 took over the payload, and some of what is in it.

use ikebana_ikev1::vendor::{Vendor, recognise};

/// What a vendor ID stands for, if it is known.
pub(super) fn name(id: &[u8]) -> Option<&'static str> {
    recognise(id).map(Vendor::name)
}
