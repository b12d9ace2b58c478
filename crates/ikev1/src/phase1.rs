//! Phase 1: main and aggressive mode, both roles (RFC 2409 5).
