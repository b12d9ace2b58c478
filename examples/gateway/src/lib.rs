//! An IPsec gateway on ikebana: UDP and TUN around a sans-IO engine, or two of them on loopback.

pub mod config;
pub mod io;
