//! The tables themselves.

use ikebana_ike::ExchangeType;

use super::{Form, Rule};
use crate::wire::PayloadType;
use crate::wire::limits::MAX_PAYLOADS;

const fn one(kind: PayloadType) -> Rule {
    Rule { kind, min: 1, max: 1 }
}

const fn maybe(kind: PayloadType) -> Rule {
    Rule { kind, min: 0, max: 1 }
}

const fn any(kind: PayloadType) -> Rule {
    Rule { kind, min: 0, max: MAX_PAYLOADS }
}

const fn some(kind: PayloadType) -> Rule {
    Rule { kind, min: 1, max: MAX_PAYLOADS }
}

const NOTIFY: Rule = any(PayloadType::NOTIFY);
const VENDOR: Rule = any(PayloadType::VENDOR_ID);

/// SA, TSi and TSr belong together: an IKE_AUTH exchange makes a Child SA, or none (RFC 6023).
const CHILD: &[PayloadType] = &[PayloadType::SA, PayloadType::TS_INITIATOR, PayloadType::TS_RESPONDER];

/// An error, a cookie, a redirect: a response of notifications only.
const REFUSAL: Form = Form { marker: None, rules: &[some(PayloadType::NOTIFY), VENDOR], together: &[] };

/// The forms of a message; `None` for an exchange type that is not IKEv2's.
pub(super) const fn forms(exchange: ExchangeType, response: bool) -> Option<&'static [Form]> {
    Some(match (exchange, response) {
        (ExchangeType::IKE_SA_INIT, false) => INIT_REQUEST,
        (ExchangeType::IKE_SA_INIT, true) => INIT_RESPONSE,
        (ExchangeType::IKE_SESSION_RESUME, false) => RESUME_REQUEST,
        (ExchangeType::IKE_SESSION_RESUME, true) => RESUME_RESPONSE,
        (ExchangeType::IKE_INTERMEDIATE, _) => INTERMEDIATE,
        (ExchangeType::IKE_AUTH, false) => AUTH_REQUEST,
        (ExchangeType::IKE_AUTH, true) => AUTH_RESPONSE,
        (ExchangeType::CREATE_CHILD_SA, false) => CREATE_CHILD_REQUEST,
        (ExchangeType::CREATE_CHILD_SA, true) => CREATE_CHILD_RESPONSE,
        (ExchangeType::IKE_FOLLOWUP_KE, false) => FOLLOWUP_REQUEST,
        (ExchangeType::IKE_FOLLOWUP_KE, true) => FOLLOWUP_RESPONSE,
        (ExchangeType::INFORMATIONAL, _) => INFORMATIONAL,
        _ => return None,
    })
}

const INIT_REQUEST: &[Form] = &[Form {
    marker: None,
    rules: &[
        one(PayloadType::SA),
        one(PayloadType::KE),
        one(PayloadType::NONCE),
        // RFC 8019 7.2.
        maybe(PayloadType::PUZZLE_SOLUTION),
        NOTIFY,
        VENDOR,
    ],
    together: &[],
}];

const INIT_RESPONSE: &[Form] = &[
    Form {
        marker: Some(PayloadType::SA),
        rules: &[
            one(PayloadType::SA),
            one(PayloadType::KE),
            one(PayloadType::NONCE),
            any(PayloadType::CERT_REQUEST),
            NOTIFY,
            VENDOR,
        ],
        together: &[],
    },
    REFUSAL,
];

const RESUME_REQUEST: &[Form] = &[Form {
    marker: None,
    rules: &[one(PayloadType::NONCE), some(PayloadType::NOTIFY), VENDOR],
    together: &[],
}];

const RESUME_RESPONSE: &[Form] = &[
    Form {
        marker: Some(PayloadType::NONCE),
        rules: &[one(PayloadType::NONCE), NOTIFY, VENDOR],
        together: &[],
    },
    REFUSAL,
];

const INTERMEDIATE: &[Form] =
    &[Form { marker: None, rules: &[maybe(PayloadType::KE), NOTIFY, VENDOR], together: &[] }];

const AUTH_REQUEST: &[Form] = &[
    // The first message, and the first of a further round (RFC 4739). Without AUTH it asks for EAP.
    Form {
        marker: Some(PayloadType::ID_INITIATOR),
        rules: &[
            one(PayloadType::ID_INITIATOR),
            any(PayloadType::CERT),
            any(PayloadType::CERT_REQUEST),
            maybe(PayloadType::ID_RESPONDER),
            maybe(PayloadType::AUTH),
            maybe(PayloadType::CONFIG),
            maybe(PayloadType::SA),
            maybe(PayloadType::TS_INITIATOR),
            maybe(PayloadType::TS_RESPONDER),
            NOTIFY,
            VENDOR,
        ],
        together: CHILD,
    },
    Form { marker: Some(PayloadType::EAP), rules: &[one(PayloadType::EAP), NOTIFY, VENDOR], together: &[] },
    // The last message after EAP.
    Form { marker: None, rules: &[one(PayloadType::AUTH), NOTIFY, VENDOR], together: &[] },
];

const AUTH_RESPONSE: &[Form] = &[
    Form {
        marker: Some(PayloadType::ID_RESPONDER),
        rules: &[
            one(PayloadType::ID_RESPONDER),
            any(PayloadType::CERT),
            maybe(PayloadType::AUTH),
            maybe(PayloadType::EAP),
            maybe(PayloadType::CONFIG),
            maybe(PayloadType::SA),
            maybe(PayloadType::TS_INITIATOR),
            maybe(PayloadType::TS_RESPONDER),
            NOTIFY,
            VENDOR,
        ],
        together: CHILD,
    },
    Form { marker: Some(PayloadType::EAP), rules: &[one(PayloadType::EAP), NOTIFY, VENDOR], together: &[] },
    // The last message after EAP.
    Form {
        marker: Some(PayloadType::AUTH),
        rules: &[
            one(PayloadType::AUTH),
            maybe(PayloadType::CONFIG),
            maybe(PayloadType::SA),
            maybe(PayloadType::TS_INITIATOR),
            maybe(PayloadType::TS_RESPONDER),
            NOTIFY,
            VENDOR,
        ],
        together: CHILD,
    },
    REFUSAL,
];

/// A new or rekeyed Child SA.
const CREATE_CHILD: Form = Form {
    marker: Some(PayloadType::TS_INITIATOR),
    rules: &[
        one(PayloadType::SA),
        one(PayloadType::NONCE),
        maybe(PayloadType::KE),
        one(PayloadType::TS_INITIATOR),
        one(PayloadType::TS_RESPONDER),
        maybe(PayloadType::CONFIG),
        NOTIFY,
        VENDOR,
    ],
    together: &[],
};

/// A rekeyed IKE SA.
const REKEY_IKE: Form = Form {
    marker: Some(PayloadType::SA),
    rules: &[one(PayloadType::SA), one(PayloadType::NONCE), one(PayloadType::KE), NOTIFY, VENDOR],
    together: &[],
};

const CREATE_CHILD_REQUEST: &[Form] = &[CREATE_CHILD, Form { marker: None, ..REKEY_IKE }];

const CREATE_CHILD_RESPONSE: &[Form] = &[CREATE_CHILD, REKEY_IKE, REFUSAL];

const FOLLOWUP_REQUEST: &[Form] = &[Form {
    marker: None,
    rules: &[one(PayloadType::KE), some(PayloadType::NOTIFY), VENDOR],
    together: &[],
}];

const FOLLOWUP_RESPONSE: &[Form] = &[
    Form { marker: Some(PayloadType::KE), rules: &[one(PayloadType::KE), NOTIFY, VENDOR], together: &[] },
    REFUSAL,
];

const INFORMATIONAL: &[Form] = &[Form {
    marker: None,
    rules: &[any(PayloadType::DELETE), maybe(PayloadType::CONFIG), NOTIFY, VENDOR],
    together: &[],
}];
