//! Quick mode (RFC 2409 5.5).
