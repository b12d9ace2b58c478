//! The gateway's configuration file: whatever a person may write, there is an answer with a line in it.
#![no_main]

use std::path::Path;

use ikebana_gateway::config::{Severity, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lines = text.split('\n').count();
    let problems = match parse(text) {
        Ok((config, warnings)) => {
            assert!(!warnings.has_errors());
            for (index, tunnel) in config.tunnels.iter().enumerate() {
                // What the engine relies on.
                assert!(!tunnel.name.is_empty());
                assert!(!config.tunnels[..index].iter().any(|other| other.name == tunnel.name));
                assert!(!tunnel.proposals.is_empty() && !tunnel.child_proposals.is_empty());
                assert!(!tunnel.local_ts.is_empty() && !tunnel.remote_ts.is_empty());
                assert!(tunnel.replay_window.is_power_of_two());
                assert!((64..=8_192).contains(&tunnel.replay_window));
                assert!(tunnel.lifetime.soft_time <= tunnel.lifetime.hard_time);
                assert!(tunnel.is_same(tunnel));
            }
            warnings
        }
        Err(problems) => {
            assert!(problems.has_errors());
            problems
        }
    };
    for problem in &problems.0 {
        assert!(problem.line <= lines && problem.line > 0, "{problem}");
        assert!(!problem.message.is_empty());
        assert!(matches!(problem.severity, Severity::Warning | Severity::Error));
    }
    assert_eq!(problems.0.is_empty(), problems.render(Path::new("fuzz.toml")).is_empty());
});
