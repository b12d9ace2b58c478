//! The endpoint: many IKE SAs, one queue of outputs.
