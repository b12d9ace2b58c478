//! Child SAs as Linux' IPsec stack lists them, for peers that do not tell more themselves.

use super::ChildSa;

/// Parses `ip -s xfrm state`; `local` tells inbound from outbound.
///
/// Inbound and outbound SAs are paired by request id, in the order of the list.
pub(crate) fn children(output: &str, local: &str) -> Vec<ChildSa> {
    let states = parse(output);
    let mut outbound: Vec<&State> = states.iter().filter(|state| state.destination != local).collect();
    let mut children = Vec::new();
    for inbound in states.iter().filter(|state| state.destination == local) {
        let Some(index) = outbound.iter().position(|state| state.request == inbound.request) else {
            continue;
        };
        let out = outbound.remove(index);
        children.push(ChildSa {
            installed: true,
            spi_in: inbound.spi.clone(),
            spi_out: out.spi.clone(),
            packets_in: inbound.packets,
        });
    }
    children
}

/// Parses `/proc/net/xfrm_stat`: packets without an SA.
pub(crate) fn dropped_without_sa(statistics: &str) -> Option<u64> {
    let line = statistics.lines().find(|line| line.starts_with("XfrmInNoStates"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[derive(Debug, Default)]
struct State {
    destination: String,
    spi: String,
    request: String,
    packets: u64,
    /// An SA without keys is only a reserved SPI.
    keyed: bool,
}

fn parse(output: &str) -> Vec<State> {
    let mut states: Vec<State> = Vec::new();
    let mut in_lifetime = false;
    for line in output.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.as_slice(), states.last_mut()) {
            (["src", _, "dst", destination, ..], _) if !line.starts_with([' ', '\t']) => {
                states.push(State { destination: (*destination).to_owned(), ..State::default() });
            }
            (["proto", _, "spi", spi, "reqid", request, ..], Some(state)) => {
                let hex = spi.split('(').next().unwrap_or_default();
                hex.clone_into(&mut state.spi);
                (*request).clone_into(&mut state.request);
            }
            (["enc" | "aead" | "auth-trunc" | "auth", ..], Some(state)) => state.keyed = true,
            (["lifetime", "current:", ..], _) => in_lifetime = true,
            ([_, packets, ..], Some(state)) if in_lifetime => {
                let digits = packets.split('(').next().unwrap_or_default();
                state.packets = digits.parse().unwrap_or(0);
                in_lifetime = false;
            }
            _ => {}
        }
    }
    states.retain(|state| state.keyed);
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "src 10.77.0.2 dst 10.77.0.1
\tproto esp spi 0x0a0b0c0d(168496141) reqid 1(0x00000001) mode tunnel
\tauth-trunc hmac(sha1) 0x00 (160 bits) 96
\tenc cbc(aes) 0x00 (128 bits)
\tlifetime current:
\t  840(bytes), 10(packets)
\t  add 2026-01-01 00:00:00 use -
src 10.77.0.1 dst 10.77.0.2
\tproto esp spi 0xc3ed7ab0(3286072000) reqid 1(0x00000001) mode tunnel
\tenc cbc(aes) 0x00 (128 bits)
\tlifetime current:
\t  420(bytes), 5(packets)
src 10.77.0.1 dst 10.77.0.2
\tproto esp spi 0x00000001(1) reqid 2(0x00000002) mode tunnel
";

    #[test]
    fn packets_without_an_sa_are_counted() {
        let statistics = "XfrmInError             \t0\nXfrmInNoStates          \t7\nXfrmOutError \t1\n";
        assert_eq!(dropped_without_sa(statistics), Some(7));
        assert_eq!(dropped_without_sa("XfrmInError 0"), None);
    }

    #[test]
    fn both_directions_make_one_child_with_the_inbound_packet_count() {
        let children = children(OUTPUT, "10.77.0.2");
        assert_eq!(children.len(), 1);
        assert_eq!(children[0].spi_in, "0xc3ed7ab0");
        assert_eq!(children[0].spi_out, "0x0a0b0c0d");
        assert_eq!(children[0].packets_in, 5);
    }
}
