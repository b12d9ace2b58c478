//! NAT traversal as IKEv1 negotiates it (RFC 3947 and the drafts before it).
