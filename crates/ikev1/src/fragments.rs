//! Messages in fragments.
