//! XAUTH and mode config, which come between phase 1 and anything else (draft-ietf-ipsec-isakmp-xauth-06,
//! draft-ietf-ipsec-isakmp-mode-cfg-05).
//!
//! Both run in transaction exchanges: one side asks (REQUEST) or gives (SET), the other one answers (REPLY, ACK).
//! A [`Dialogue`] says what to ask, give and answer; that the messages are the peer's, their encryption and their
//! repetition are its owner's business. Which of the two protocols a message belongs to is seen by its
//! attributes, so that a peer may take the steps in an unusual order.
//!
//! | module | what is in it |
//! |---|---|
//! | `addresses` | attributes of mode config |
//! | `user` | attributes of XAUTH |

mod addresses;
mod user;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use ikebana_core::Secret;
use ikebana_ike::{AddressRequest, Answer, ApiError, Assignment, ModeConfig, XauthCredentials, XauthRole};

use crate::wire::{Attribute, ConfigPayload, ConfigType};

pub(crate) use user::wipe;

use user::{Claim, Demand};

/// How often a user may try, on either side.
const TRIES: u8 = 3;

/// What two peers have to settle over a new ISAKMP SA.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// Our role in XAUTH, if phase 1 was negotiated with it.
    pub(crate) xauth: Option<XauthRole>,
    /// What we ask of mode config.
    pub(crate) request: Vec<AddressRequest>,
    /// Whether the peer may ask.
    pub(crate) assigns: bool,
    /// Who speaks first.
    pub(crate) mode: ModeConfig,
    /// Who the user was before phase 1 was renewed; nobody else may take their place.
    pub(crate) user: Option<String>,
    /// What was assigned to us before.
    pub(crate) assigned: Option<Assignment>,
    /// What we assigned to the peer before.
    pub(crate) given: Option<Assignment>,
}

/// What to do next, in this order.
pub(crate) enum Act {
    /// Start a transaction.
    Open(ConfigType, Vec<Attribute>),
    /// Answer the peer's transaction.
    Answer(ConfigType, Vec<Attribute>),
    /// Ask the application for a user name and a password.
    AskCredentials { message: Option<String>, wants_passcode: bool },
    /// Ask the application whether a user is who they say they are.
    AskVerdict { user: String, password: Arc<Secret> },
    /// Ask the application for addresses for the peer.
    AskAddress(Vec<IpAddr>),
    /// The peer has assigned this to us.
    Assigned(Assignment),
    /// We have assigned this to the peer.
    Given(Assignment),
    /// All is settled.
    Settled,
    /// A user could not prove who they are: it is over.
    Failed { user: String, detail: String },
}

enum Xauth {
    /// There is nothing to prove, or it is proven.
    Done,
    /// Client: the server has not asked yet, or has not said what it thinks of the answer.
    Waiting,
    /// Client: the application is asked. `had` is what it said before, with what is still to be asked.
    Answering { demand: Demand, had: Vec<Attribute>, left: VecDeque<u16> },
    /// Server: the client is asked.
    Asked,
    /// Server: the application is asked.
    Verifying { user: String },
    /// Server: the client is told.
    Telling { user: String, success: bool },
    /// It is over.
    Failed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Config {
    Done,
    /// Client: waits for its turn.
    ToPull,
    /// Client: the server is asked.
    Pulling,
    /// Client: the server will give.
    Expecting,
    /// Server: waits for its turn.
    ToPush,
    /// Server: the application is asked for what to give.
    Choosing,
    /// Server: the client is told.
    Pushing,
}

/// XAUTH and mode config over one ISAKMP SA.
pub(crate) struct Dialogue {
    terms: Terms,
    xauth: Xauth,
    config: Config,
    tries: u8,
    settled: bool,
    /// The peer's request for addresses that waits for the application: the types it asked for.
    asked: Option<Vec<u16>>,
}

impl Dialogue {
    pub(crate) fn new(terms: Terms) -> Self {
        let xauth = if terms.xauth.is_some() { Xauth::Waiting } else { Xauth::Done };
        let config = match (terms.request.is_empty(), terms.assigns, terms.mode) {
            (false, _, ModeConfig::Pull) => Config::ToPull,
            (false, _, ModeConfig::Push) => Config::Expecting,
            (true, true, ModeConfig::Push) => Config::ToPush,
            (true, ..) => Config::Done,
        };
        Self { terms, xauth, config, tries: 0, settled: false, asked: None }
    }

    /// Begins.
    pub(crate) fn start(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.terms.xauth == Some(XauthRole::Server) {
            self.xauth = Xauth::Asked;
            acts.push(Act::Open(ConfigType::REQUEST, user::request(None)));
        }
        self.go_on(&mut acts);
        acts
    }

    /// Whether other exchanges may begin.
    pub(crate) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Who the user is, or says to be.
    pub(crate) fn user(&self) -> Option<&String> {
        self.terms.user.as_ref()
    }

    /// Whether the next step is the peer's, which has not been asked for it.
    pub(crate) const fn waits_for_peer(&self) -> bool {
        matches!(self.xauth, Xauth::Waiting)
            || (matches!(self.xauth, Xauth::Done) && matches!(self.config, Config::Expecting))
    }

    /// The peer's REQUEST or SET. Where no answer follows at once, one will when the application has answered.
    pub(crate) fn asked(&mut self, payload: &mut ConfigPayload) -> Vec<Act> {
        let mut acts = Vec::new();
        let attributes = core::mem::take(&mut payload.attributes);
        let is_xauth = attributes.iter().any(user::is_one);
        match (payload.kind, is_xauth) {
            (ConfigType::REQUEST, true) => self.user_demanded(&attributes, &mut acts),
            (ConfigType::SET, true) => self.status_set(&attributes, &mut acts),
            (ConfigType::REQUEST, false) => {
                // Whoever goes on has heard that the user is accepted, though the word of it may still be on its
                // way.
                if let Xauth::Telling { user, success: true } = &mut self.xauth {
                    self.terms.user = Some(core::mem::take(user));
                    self.xauth = Xauth::Done;
                }
                self.addresses_demanded(&attributes, &mut acts);
            }
            (ConfigType::SET, false) => self.addresses_set(&attributes, &mut acts),
            _ => {}
        }
        wipe(attributes);
        self.go_on(&mut acts);
        acts
    }

    /// The peer's REPLY or ACK to what we opened last.
    pub(crate) fn replied(&mut self, payload: &mut ConfigPayload) -> Vec<Act> {
        let mut acts = Vec::new();
        let attributes = core::mem::take(&mut payload.attributes);
        match core::mem::replace(&mut self.xauth, Xauth::Failed) {
            Xauth::Asked => self.claimed(&attributes, &mut acts),
            Xauth::Telling { user, success: true } => {
                self.terms.user = Some(user);
                self.xauth = Xauth::Done;
            }
            Xauth::Telling { user, success: false } => {
                acts.push(Act::Failed { user, detail: "the user is refused here".into() });
            }
            other @ (Xauth::Done
            | Xauth::Waiting
            | Xauth::Answering { .. }
            | Xauth::Verifying { .. }
            | Xauth::Failed) => {
                self.xauth = other;
                if self.config == Config::Pulling {
                    self.take_addresses(&attributes, &mut acts);
                    self.config = Config::Done;
                } else if self.config == Config::Pushing {
                    self.config = Config::Done;
                }
            }
        }
        wipe(attributes);
        self.go_on(&mut acts);
        acts
    }

    /// The application's answer to what was asked last.
    ///
    /// # Errors
    /// [`ApiError::WrongAnswer`] if it is to another kind of question; nothing has changed then.
    pub(crate) fn answered(&mut self, answer: Answer) -> Result<Vec<Act>, ApiError> {
        let mut acts = Vec::new();
        match answer {
            Answer::Xauth(credentials) => self.credentials_given(credentials, &mut acts)?,
            Answer::XauthVerdict(verdict) => {
                let Xauth::Verifying { user } = &mut self.xauth else { return Err(ApiError::WrongAnswer) };
                let user = core::mem::take(user);
                self.judge(user, verdict, &mut acts);
            }
            Answer::Address(assignment) => {
                if self.asked.is_none() && self.config != Config::Choosing {
                    return Err(ApiError::WrongAnswer);
                }
                self.chosen(assignment, &mut acts);
            }
            Answer::Peer(_) | Answer::PreSharedKey(_) => return Err(ApiError::WrongAnswer),
        }
        self.go_on(&mut acts);
        Ok(acts)
    }

    /// Client: the application knows the user, or does not.
    fn credentials_given(
        &mut self,
        credentials: Option<XauthCredentials>,
        acts: &mut Vec<Act>,
    ) -> Result<(), ApiError> {
        let Xauth::Answering { demand, had, left } = &mut self.xauth else {
            return Err(ApiError::WrongAnswer);
        };
        let Some(credentials) = credentials else {
            acts.push(Act::Answer(ConfigType::REPLY, user::status(false)));
            wipe(core::mem::take(had));
            let user = self.terms.user.clone().unwrap_or_default();
            acts.push(Act::Failed { user, detail: "there are no credentials for it here".into() });
            self.xauth = Xauth::Failed;
            return Ok(());
        };
        if let Some(kind) = left.pop_front() {
            had.push(user::value(kind, credentials.password.expose().to_vec()));
        }
        if let Some(next) = left.front() {
            acts.push(ask(demand, *next));
        } else {
            let mut reply = demand.reply(&credentials.user);
            reply.append(had);
            acts.push(Act::Answer(ConfigType::REPLY, reply));
            self.xauth = Xauth::Waiting;
        }
        self.terms.user = Some(credentials.user);
        Ok(())
    }

    /// Starts what may start now.
    fn go_on(&mut self, acts: &mut Vec<Act>) {
        if !matches!(self.xauth, Xauth::Done) {
            return;
        }
        match self.config {
            Config::ToPull => {
                let before = self.terms.assigned.as_ref().map_or(&[][..], |before| &before.addresses);
                let request = addresses::request(&self.terms.request, before);
                self.config = Config::Pulling;
                acts.push(Act::Open(ConfigType::REQUEST, request));
            }
            Config::ToPush => match self.terms.given.clone() {
                Some(given) => {
                    self.config = Config::Pushing;
                    acts.push(Act::Open(ConfigType::SET, addresses::given(&given, None)));
                }
                None => {
                    self.config = Config::Choosing;
                    acts.push(Act::AskAddress(addresses::any()));
                }
            },
            Config::Done if !self.settled => {
                self.settled = true;
                acts.push(Act::Settled);
            }
            Config::Done | Config::Pulling | Config::Expecting | Config::Choosing | Config::Pushing => {}
        }
    }

    /// Client: the server asks who the user is.
    fn user_demanded(&mut self, attributes: &[Attribute], acts: &mut Vec<Act>) {
        let refuse = Act::Answer(ConfigType::REPLY, user::status(false));
        if self.terms.xauth != Some(XauthRole::Client) || matches!(self.xauth, Xauth::Failed) {
            acts.push(refuse);
            return;
        }
        let user = self.terms.user.clone().unwrap_or_default();
        self.tries = self.tries.saturating_add(1);
        if self.tries > TRIES {
            acts.push(refuse);
            let detail = alloc::format!("the peer has refused the user {TRIES} times");
            acts.push(Act::Failed { user, detail });
            self.xauth = Xauth::Failed;
            return;
        }
        let demand = Demand::read(attributes);
        if !demand.is_supported() {
            acts.push(refuse);
            let detail = "the peer wants a kind of proof that is not supported here".into();
            acts.push(Act::Failed { user, detail });
            self.xauth = Xauth::Failed;
            return;
        }
        let left: VecDeque<u16> = demand.secrets().collect();
        // A demand for the name alone is answered with the name, which takes a question too.
        acts.push(ask(&demand, left.front().copied().unwrap_or_default()));
        self.xauth = Xauth::Answering { demand, had: Vec::new(), left };
    }

    /// Client: the server says whether the user is who they say they are.
    fn status_set(&mut self, attributes: &[Attribute], acts: &mut Vec<Act>) {
        acts.push(Act::Answer(ConfigType::ACK, user::acknowledgement(attributes)));
        let is_client = self.terms.xauth == Some(XauthRole::Client);
        match user::read_status(attributes) {
            Some(true) if is_client && matches!(self.xauth, Xauth::Waiting) => self.xauth = Xauth::Done,
            Some(false) if is_client && !matches!(self.xauth, Xauth::Failed) => {
                let detail = match user::read_message(attributes) {
                    Some(message) => alloc::format!("the peer refuses the user: {message}"),
                    None => "the peer refuses the user".into(),
                };
                acts.push(Act::Failed { user: self.terms.user.clone().unwrap_or_default(), detail });
                self.xauth = Xauth::Failed;
            }
            Some(_) | None => {}
        }
    }

    /// Server: the client says who the user is.
    fn claimed(&mut self, attributes: &[Attribute], acts: &mut Vec<Act>) {
        self.tries = self.tries.saturating_add(1);
        match Claim::read(attributes) {
            Some(Claim { user, password }) => {
                acts.push(Act::AskVerdict { user: user.clone(), password: Arc::new(password) });
                self.xauth = Xauth::Verifying { user };
            }
            None if user::read_status(attributes) == Some(false) => {
                let user = self.terms.user.clone().unwrap_or_default();
                acts.push(Act::Failed { user, detail: "the peer gives no proof".into() });
            }
            None => self.judge(String::new(), false, acts),
        }
    }

    /// Server: the application says whether the user is who they say they are.
    fn judge(&mut self, user: String, verdict: bool, acts: &mut Vec<Act>) {
        // A renewal is for the user that was there before.
        let success = verdict && self.terms.user.as_ref().is_none_or(|before| *before == user);
        if !success && self.tries < TRIES {
            self.xauth = Xauth::Asked;
            acts.push(Act::Open(ConfigType::REQUEST, user::request(Some("try again"))));
            return;
        }
        acts.push(Act::Open(ConfigType::SET, user::status(success)));
        self.xauth = Xauth::Telling { user, success };
    }

    /// Server: the client asks for addresses.
    fn addresses_demanded(&mut self, attributes: &[Attribute], acts: &mut Vec<Act>) {
        let types: Vec<u16> = attributes.iter().map(|attribute| attribute.kind).collect();
        let wanted = addresses::demanded(attributes);
        // Nothing is given to a user who has not proven who they are.
        let may = self.terms.assigns && matches!(self.xauth, Xauth::Done);
        match (wanted, self.terms.given.as_ref()) {
            (Some(_), Some(given)) if may => {
                acts.push(Act::Answer(ConfigType::REPLY, addresses::given(given, Some(&types))));
            }
            (Some(wanted), None) if may && self.config != Config::Choosing => {
                self.asked = Some(types);
                acts.push(Act::AskAddress(wanted));
            }
            // Whoever asks for something else, a banner say, gets an answer without it.
            _ => acts.push(Act::Answer(ConfigType::REPLY, Vec::new())),
        }
    }

    /// Server: the application has chosen.
    fn chosen(&mut self, assignment: Option<Assignment>, acts: &mut Vec<Act>) {
        let types = self.asked.take();
        if let Some(assignment) = &assignment {
            self.terms.given = Some(assignment.clone());
            acts.push(Act::Given(assignment.clone()));
        }
        match (types, assignment) {
            (Some(types), assignment) => {
                let reply = assignment.map_or_else(Vec::new, |given| addresses::given(&given, Some(&types)));
                acts.push(Act::Answer(ConfigType::REPLY, reply));
            }
            (None, Some(given)) => {
                self.config = Config::Pushing;
                acts.push(Act::Open(ConfigType::SET, addresses::given(&given, None)));
            }
            (None, None) => self.config = Config::Done,
        }
    }

    /// Client: the server gives addresses without being asked.
    fn addresses_set(&mut self, attributes: &[Attribute], acts: &mut Vec<Act>) {
        acts.push(Act::Answer(ConfigType::ACK, user::acknowledgement(attributes)));
        let waits = matches!(self.config, Config::Expecting | Config::ToPull | Config::Pulling);
        if waits && matches!(self.xauth, Xauth::Done) {
            self.take_addresses(attributes, acts);
            if self.config == Config::Expecting {
                self.config = Config::Done;
            }
        }
    }

    fn take_addresses(&mut self, attributes: &[Attribute], acts: &mut Vec<Act>) {
        if let Some(assignment) = addresses::accepted(&self.terms.request, attributes)
            && self.terms.assigned.as_ref() != Some(&assignment)
        {
            self.terms.assigned = Some(assignment.clone());
            acts.push(Act::Assigned(assignment));
        }
    }
}

fn ask(demand: &Demand, kind: u16) -> Act {
    Act::AskCredentials { message: demand.message.clone(), wants_passcode: user::is_passcode(kind) }
}

#[cfg(test)]
mod tests;
