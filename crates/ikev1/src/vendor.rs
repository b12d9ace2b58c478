//! Vendor IDs by name.
