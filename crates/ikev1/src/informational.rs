//! Informational exchanges (RFC 2409 5.7).
