//! What every step of the protocol is given.
