//! `ikebana demo`: two gateways and two hosts in one process, without privileges and without a network.

mod host;
mod link;
