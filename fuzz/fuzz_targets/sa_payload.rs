//! SA payloads of IKEv2: reading, writing, and choosing from whatever a peer may offer.
#![no_main]

use std::sync::LazyLock;

use ikebana_core::Writer;
use ikebana_proposals::{
    Prefer, Preset, Proposal, SaPayload, confirm_child, confirm_ike, select_child, select_ike,
};
use libfuzzer_sys::fuzz_target;

static IKE: LazyLock<Vec<Proposal>> = LazyLock::new(|| {
    let mut proposals = Preset::Modern.ike();
    proposals.extend(Preset::AwsMinimum.ike());
    proposals
});
static CHILD: LazyLock<Vec<Proposal>> = LazyLock::new(|| {
    let mut proposals = Preset::Modern.child();
    proposals.extend(Preset::AwsMinimum.child());
    proposals
});

fuzz_target!(|octets: &[u8]| {
    let Ok(offer) = SaPayload::parse(octets) else { return };
    for prefer in [Prefer::Local, Prefer::Peer] {
        if let Ok(chosen) = select_ike(&IKE, &offer, prefer) {
            let answer = SaPayload::answer_ike(&chosen, &chosen.spi);
            assert_eq!(confirm_ike(&offer, &answer).expect("our own choice").suite, chosen.suite);
        }
        if let Ok(chosen) = select_child(&CHILD, &offer, prefer) {
            let answer = SaPayload::answer_child(&chosen, &chosen.spi);
            assert_eq!(confirm_child(&offer, &answer).expect("our own choice").suite, chosen.suite);
        }
    }
    // A peer's answer may be anything too.
    let ours = SaPayload::offer(&IKE, &[]);
    let _ = confirm_ike(&ours, &offer);
    let ours = SaPayload::offer(&CHILD, &[1, 2, 3, 4]);
    let _ = confirm_child(&ours, &offer);

    let mut writer = Writer::new();
    offer.encode(&mut writer);
    let written = writer.finish().expect("what was read can be written");
    let again = SaPayload::parse(&written).expect("what was written can be read");
    assert_eq!(again.proposals.len(), offer.proposals.len());
});
