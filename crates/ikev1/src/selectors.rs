//! Phase 2 identities and traffic selectors.
