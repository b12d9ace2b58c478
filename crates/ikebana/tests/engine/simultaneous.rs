//! Both sides begin at once.

use ikebana::Start;
use ikebana::ike::Uniqueness;
use ikebana_testkit::LinkConfig;

use crate::setup::{millis, tunnel};
use crate::world::World;

#[test]
fn when_both_sides_initiate_at_once_one_ike_sa_survives_and_traffic_flows() {
    for seed in 0..20 {
        let mut world = World::new(seed, LinkConfig { jitter: millis(20), ..LinkConfig::default() });
        for host in 0..2 {
            world.add_host();
            world.add_tunnel(host, tunnel(host, 1 - host));
        }
        world.run_secs(10);
        world.assert_agree(1);
        assert!(world.both_up());
        world.assert_traffic(0, 1);
        world.finish();
    }
}

#[test]
fn when_one_side_is_a_little_later_one_ike_sa_survives_and_traffic_flows() {
    // At every point of the other side's two exchanges.
    for later in (0..60).step_by(2) {
        let mut world = World::new(later, LinkConfig::default());
        world.add_host();
        world.add_host();
        let mut waiting = tunnel(1, 0);
        waiting.start = Start::Passive;
        world.add_tunnel(1, waiting);
        world.add_tunnel(0, tunnel(0, 1));
        world.run(millis(later));
        world.start(1);
        world.run_secs(10);
        world.assert_agree(1);
        assert!(world.both_up());
        world.assert_traffic(0, 1);
        world.finish();
    }
}

#[test]
fn two_ike_sas_stay_where_many_clients_may_share_an_identity() {
    let mut world = World::new(3, LinkConfig::default());
    for host in 0..2 {
        world.add_host();
        let mut config = tunnel(host, 1 - host);
        config.peer.uniqueness = Uniqueness::Keep;
        world.add_tunnel(host, config);
    }
    world.run_secs(10);
    assert_eq!(world.status(0).ikes.len(), 2);
    assert!(world.both_up());
    world.assert_traffic(0, 1);
    world.finish();
}

#[test]
fn both_sides_stopping_at_once_leaves_nothing_behind() {
    let mut world = World::pair(tunnel(0, 1), tunnel(1, 0));
    world.run_secs(5);
    world.stop(0);
    world.stop(1);
    world.run_secs(60);
    assert!(world.nodes.iter().all(|node| node.engine.is_idle()), "{}", world.story());
    world.finish();
}
