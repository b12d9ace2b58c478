//! Lifetimes as IKEv1 negotiates them.
