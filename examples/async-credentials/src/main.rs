//! Credentials that take their time: a database, a key server, a token that waits for someone's touch.
//!
//! The endpoint asks by [`Event::Query`] and goes on with everything else; whoever knows the answer calls
//! [`Endpoint::answer`] when there is one. Here a thread plays the directory. It answers for `fast` at once, and
//! for `slow` only when its token has been touched, which happens after `fast` is up. Both clients start
//! together, `slow` first, and meanwhile nobody waits who does not have to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use ikebana_core::spi::ShardedSpis;
use ikebana_core::{Datagram, Identity, Instant, Lifetime, Path, Secret, SecureRandom};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{
    Answer, Authentication, ChildConfig, Encapsulation, EndpointConfig, Event, Listener, Mode, Output,
    PeerConfig, Query, QueryId, Retransmission, SelectorTemplate, Transmit, Uniqueness,
};
use ikebana_ikev2::Endpoint;
use ikebana_proposals::{Prefer, Preset};

const GATEWAY: &str = "192.0.2.1:500";
const CLIENTS: [(&str, &str); 2] = [("slow", "198.51.100.1:500"), ("fast", "198.51.100.2:500")];

/// What the directory is told.
enum Message {
    /// A question of the gateway's endpoint.
    Question(QueryId, Query),
    /// Somebody touched the token.
    Touched,
}

fn main() -> Result<()> {
    let clock = std::time::Instant::now();
    let now = || Instant::from_micros(u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX));
    let (questions, asked) = channel();
    let (sender, answers) = channel();
    let directory = thread::spawn(move || directory(&asked, &sender));

    let listener = Listener {
        from: Vec::new(),
        proposals: Preset::Modern.ike(),
        prefer: Prefer::Local,
        encapsulation: Encapsulation::Auto,
        ikev1: ikebana_ike::Ikev1Listener::default(),
    };
    let mut hosts = vec![Host { address: GATEWAY.parse()?, endpoint: endpoint(vec![listener]) }];
    for (name, address) in CLIENTS {
        let mut host = Host { address: address.parse()?, endpoint: endpoint(Vec::new()) };
        let peer = peer(&format!("{name}.example.com"), "gateway.example.com")?;
        host.endpoint.initiate(now(), Arc::new(peer), Path::new(host.address, GATEWAY.parse()?))?;
        hosts.push(host);
    }

    let mut up = 0;
    while up < CLIENTS.len() {
        // Whatever the endpoints have to say.
        let mut transmits = Vec::new();
        for host in &mut hosts {
            let is_gateway = host.address == GATEWAY.parse()?;
            while let Some(output) = host.endpoint.poll_output() {
                match output {
                    Output::Transmit(transmit) => transmits.push(transmit),
                    Output::Event(Event::Query(id, query)) if is_gateway => {
                        println!("asked: {}", describe(&query));
                        questions.send(Message::Question(id, query))?;
                    }
                    // A client knows its own key.
                    Output::Event(Event::Query(id, Query::PreSharedKey(_))) => {
                        let key = Secret::from_slice(b"correct horse battery staple");
                        host.endpoint.answer(now(), id, Answer::PreSharedKey(Some(key)))?;
                    }
                    Output::Event(Event::Established(sa)) if is_gateway => {
                        println!("up: {}", sa.remote_id);
                        up += 1;
                        questions.send(Message::Touched)?;
                    }
                    Output::Event(Event::Failed { reason, .. }) => bail!("failed: {reason}"),
                    Output::Event(_) => {}
                }
            }
        }
        // The network, which here is this loop.
        for Transmit { path, octets } in &transmits {
            let Some(host) = hosts.iter_mut().find(|host| host.address == path.remote) else { continue };
            let arrived = Datagram { path: Path::new(path.remote, path.local), encapsulated: false, octets };
            // A repetition of a message that waits for an answer is dropped, and counted.
            let _ = host.endpoint.handle_datagram(now(), arrived);
        }
        if !transmits.is_empty() {
            continue;
        }
        // Nothing to do until a deadline or an answer.
        let deadline = hosts.iter().filter_map(|host| host.endpoint.poll_timeout()).min();
        let wait = deadline.map_or(Duration::from_secs(1), |at| at.saturating_since(now()));
        if let Ok((id, answer)) = answers.recv_timeout(wait)
            && let Some(gateway) = hosts.first_mut()
        {
            // If the client has given up meanwhile, so has the query.
            let _ = gateway.endpoint.answer(now(), id, answer);
        }
        hosts.iter_mut().for_each(|host| host.endpoint.handle_timeout(now()));
    }
    drop(questions);
    directory.join().map_err(|_| anyhow::anyhow!("the directory's thread panicked"))
}

/// Answers for `fast` at once and for everyone else after a touch.
fn directory(asked: &Receiver<Message>, answers: &Sender<(QueryId, Answer)>) {
    let (mut waiting, mut touched) = (Vec::new(), false);
    for message in asked {
        let ready = match message {
            Message::Question(id, query) if !touched && describe(&query).contains("slow") => {
                waiting.push((id, query));
                continue;
            }
            Message::Question(id, query) => vec![(id, query)],
            Message::Touched => {
                touched = true;
                std::mem::take(&mut waiting)
            }
        };
        for (id, query) in ready {
            let answer = match query {
                Query::SelectPeer(who) => {
                    Answer::Peer(peer("gateway.example.com", &who.remote_id.to_string()).ok().map(Arc::new))
                }
                Query::PreSharedKey(_) => {
                    Answer::PreSharedKey(Some(Secret::from_slice(b"correct horse battery staple")))
                }
                Query::AssignAddress(_) | _ => Answer::Address(None),
            };
            if answers.send((id, answer)).is_err() {
                return;
            }
        }
    }
}

fn describe(query: &Query) -> String {
    let identity = |id: Option<&Identity>| id.map_or("?".to_owned(), ToString::to_string);
    match query {
        Query::SelectPeer(who) => format!("configuration for {}", who.remote_id),
        Query::PreSharedKey(request) => format!("key of {}", identity(request.remote_id.as_ref())),
        Query::AssignAddress(_) | _ => "addresses".to_owned(),
    }
}

struct Host {
    address: SocketAddr,
    endpoint: Endpoint,
}

fn endpoint(listeners: Vec<Listener>) -> Endpoint {
    Endpoint::new(
        Arc::new(EndpointConfig { listeners, ..EndpointConfig::default() }),
        Arc::new(CryptoProvider::fastest()),
        Box::new(OsRandom),
        Box::new(ShardedSpis::unsharded()),
    )
}

fn peer(local_id: &str, remote_id: &str) -> Result<PeerConfig> {
    let child = ChildConfig {
        name: "net".to_owned(),
        proposals: Preset::Modern.child(),
        prefer: Prefer::Local,
        local: vec![SelectorTemplate::DYNAMIC],
        remote: vec![SelectorTemplate::DYNAMIC],
        mode: Mode::Tunnel,
        lifetime: Lifetime::UNLIMITED,
        replay_window: 1_024,
        compress: false,
    };
    Ok(PeerConfig {
        name: remote_id.to_owned(),
        local_id: local_id.parse()?,
        remote_id: remote_id.parse()?,
        proposals: Preset::Modern.ike(),
        prefer: Prefer::Local,
        authentication: Authentication::PRE_SHARED_KEY,
        children: vec![Arc::new(child)],
        lifetime: Lifetime::UNLIMITED,
        liveness: None,
        encapsulation: Encapsulation::Auto,
        nat_keepalive: Duration::from_secs(20),
        retransmission: Retransmission::default(),
        request: Vec::new(),
        assigns_addresses: false,
        uniqueness: Uniqueness::default(),
        ikev1: ikebana_ike::Ikev1Peer::default(),
    })
}

struct OsRandom;

impl SecureRandom for OsRandom {
    fn fill_public(&mut self, out: &mut [u8]) {
        getrandom::fill(out).expect("the operating system gives randomness");
    }

    fn fill_secret(&mut self, out: &mut [u8]) {
        self.fill_public(out);
    }
}
