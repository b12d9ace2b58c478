//! An IPsec gateway on ikebana: UDP and TUN around a sans-IO engine, or two of them on loopback.

pub mod cli;
pub mod config;
pub mod control;
pub mod decode;
pub mod demo;
pub mod gateway;
pub mod io;
pub mod logging;
pub mod network;
pub mod status;
