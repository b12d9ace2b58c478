//! The IANA registries "IKEv2 Notify Message Error Types" and "Status Types".

use ikebana_core::open_enum;

open_enum! {
    /// What a notify payload says (RFC 7296 3.10.1).
    ///
    /// Values below 16384 are errors, the others are status.
    pub struct NotifyType(u16) {
        /// A payload with the critical bit is of a type not known; its type is the data.
        UNSUPPORTED_CRITICAL_PAYLOAD = 1, "UNSUPPORTED_CRITICAL_PAYLOAD";
        /// A message for an IKE SA that does not exist.
        INVALID_IKE_SPI = 4, "INVALID_IKE_SPI";
        /// A major version not spoken.
        INVALID_MAJOR_VERSION = 5, "INVALID_MAJOR_VERSION";
        /// A malformed message.
        INVALID_SYNTAX = 7, "INVALID_SYNTAX";
        /// A message ID outside the window.
        INVALID_MESSAGE_ID = 9, "INVALID_MESSAGE_ID";
        /// An ESP or AH packet for an SA that does not exist.
        INVALID_SPI = 11, "INVALID_SPI";
        /// None of the proposals is acceptable.
        NO_PROPOSAL_CHOSEN = 14, "NO_PROPOSAL_CHOSEN";
        /// The public value is of another group than the one chosen, which is the data.
        INVALID_KE_PAYLOAD = 17, "INVALID_KE_PAYLOAD";
        /// The peer is not who it says it is, or is not welcome.
        AUTHENTICATION_FAILED = 24, "AUTHENTICATION_FAILED";
        /// One address per selector, please.
        SINGLE_PAIR_REQUIRED = 34, "SINGLE_PAIR_REQUIRED";
        /// No more Child SAs on this IKE SA.
        NO_ADDITIONAL_SAS = 35, "NO_ADDITIONAL_SAS";
        /// No address to assign.
        INTERNAL_ADDRESS_FAILURE = 36, "INTERNAL_ADDRESS_FAILURE";
        /// A configuration request is missing.
        FAILED_CP_REQUIRED = 37, "FAILED_CP_REQUIRED";
        /// No selectors in common.
        TS_UNACCEPTABLE = 38, "TS_UNACCEPTABLE";
        /// A packet outside the selectors arrived on an SA.
        INVALID_SELECTORS = 39, "INVALID_SELECTORS";
        /// RFC 4555.
        UNACCEPTABLE_ADDRESSES = 40, "UNACCEPTABLE_ADDRESSES";
        /// RFC 4555.
        UNEXPECTED_NAT_DETECTED = 41, "UNEXPECTED_NAT_DETECTED";
        /// RFC 5026.
        USE_ASSIGNED_HOA = 42, "USE_ASSIGNED_HoA";
        /// Busy with a rekey or delete that collides; try again later.
        TEMPORARY_FAILURE = 43, "TEMPORARY_FAILURE";
        /// A rekey of a Child SA that does not exist.
        CHILD_SA_NOT_FOUND = 44, "CHILD_SA_NOT_FOUND";
        /// RFC 9838.
        INVALID_GROUP_ID = 45, "INVALID_GROUP_ID";
        /// RFC 9838.
        AUTHORIZATION_FAILED = 46, "AUTHORIZATION_FAILED";
        /// The further key exchange belongs to nothing known, RFC 9370.
        STATE_NOT_FOUND = 47, "STATE_NOT_FOUND";
        /// Selectors exceed a queue's or CPU's limit, RFC 9611.
        TS_MAX_QUEUE = 48, "TS_MAX_QUEUE";
        /// RFC 9838.
        REGISTRATION_FAILED = 49, "REGISTRATION_FAILED";

        /// First contact since a restart: older SAs of this peer are stale.
        INITIAL_CONTACT = 16384, "INITIAL_CONTACT";
        /// How many exchanges may be outstanding.
        SET_WINDOW_SIZE = 16385, "SET_WINDOW_SIZE";
        /// There were more acceptable selectors than one SA can have.
        ADDITIONAL_TS_POSSIBLE = 16386, "ADDITIONAL_TS_POSSIBLE";
        /// IP compression is understood, RFC 3173.
        IPCOMP_SUPPORTED = 16387, "IPCOMP_SUPPORTED";
        /// Hash of the sender's address and port.
        NAT_DETECTION_SOURCE_IP = 16388, "NAT_DETECTION_SOURCE_IP";
        /// Hash of the receiver's address and port.
        NAT_DETECTION_DESTINATION_IP = 16389, "NAT_DETECTION_DESTINATION_IP";
        /// Send this back to show that you receive at your address.
        COOKIE = 16390, "COOKIE";
        /// Transport mode instead of tunnel mode.
        USE_TRANSPORT_MODE = 16391, "USE_TRANSPORT_MODE";
        /// Certificates may be sent by hash and URL.
        HTTP_CERT_LOOKUP_SUPPORTED = 16392, "HTTP_CERT_LOOKUP_SUPPORTED";
        /// The Child SA that this exchange replaces.
        REKEY_SA = 16393, "REKEY_SA";
        /// No padding for traffic flow confidentiality.
        ESP_TFC_PADDING_NOT_SUPPORTED = 16394, "ESP_TFC_PADDING_NOT_SUPPORTED";
        /// Fragments other than the first may use the SA too.
        NON_FIRST_FRAGMENTS_ALSO = 16395, "NON_FIRST_FRAGMENTS_ALSO";
        /// RFC 4555.
        MOBIKE_SUPPORTED = 16396, "MOBIKE_SUPPORTED";
        /// RFC 4555.
        ADDITIONAL_IP4_ADDRESS = 16397, "ADDITIONAL_IP4_ADDRESS";
        /// RFC 4555.
        ADDITIONAL_IP6_ADDRESS = 16398, "ADDITIONAL_IP6_ADDRESS";
        /// RFC 4555.
        NO_ADDITIONAL_ADDRESSES = 16399, "NO_ADDITIONAL_ADDRESSES";
        /// RFC 4555.
        UPDATE_SA_ADDRESSES = 16400, "UPDATE_SA_ADDRESSES";
        /// RFC 4555.
        COOKIE2 = 16401, "COOKIE2";
        /// RFC 4555.
        NO_NATS_ALLOWED = 16402, "NO_NATS_ALLOWED";
        /// RFC 4478: seconds until the peer must authenticate again.
        AUTH_LIFETIME = 16403, "AUTH_LIFETIME";
        /// RFC 4739.
        MULTIPLE_AUTH_SUPPORTED = 16404, "MULTIPLE_AUTH_SUPPORTED";
        /// RFC 4739.
        ANOTHER_AUTH_FOLLOWS = 16405, "ANOTHER_AUTH_FOLLOWS";
        /// RFC 5685.
        REDIRECT_SUPPORTED = 16406, "REDIRECT_SUPPORTED";
        /// RFC 5685.
        REDIRECT = 16407, "REDIRECT";
        /// RFC 5685.
        REDIRECTED_FROM = 16408, "REDIRECTED_FROM";
        /// RFC 5723.
        TICKET_LT_OPAQUE = 16409, "TICKET_LT_OPAQUE";
        /// RFC 5723.
        TICKET_REQUEST = 16410, "TICKET_REQUEST";
        /// RFC 5723.
        TICKET_ACK = 16411, "TICKET_ACK";
        /// RFC 5723.
        TICKET_NACK = 16412, "TICKET_NACK";
        /// RFC 5723.
        TICKET_OPAQUE = 16413, "TICKET_OPAQUE";
        /// RFC 5739.
        LINK_ID = 16414, "LINK_ID";
        /// RFC 5840.
        USE_WESP_MODE = 16415, "USE_WESP_MODE";
        /// RFC 5857.
        ROHC_SUPPORTED = 16416, "ROHC_SUPPORTED";
        /// RFC 5998.
        EAP_ONLY_AUTHENTICATION = 16417, "EAP_ONLY_AUTHENTICATION";
        /// RFC 6023.
        CHILDLESS_IKEV2_SUPPORTED = 16418, "CHILDLESS_IKEV2_SUPPORTED";
        /// RFC 6290.
        QUICK_CRASH_DETECTION = 16419, "QUICK_CRASH_DETECTION";
        /// RFC 6311.
        IKEV2_MESSAGE_ID_SYNC_SUPPORTED = 16420, "IKEV2_MESSAGE_ID_SYNC_SUPPORTED";
        /// RFC 6311.
        IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED = 16421, "IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED";
        /// RFC 6311.
        IKEV2_MESSAGE_ID_SYNC = 16422, "IKEV2_MESSAGE_ID_SYNC";
        /// RFC 6311.
        IPSEC_REPLAY_COUNTER_SYNC = 16423, "IPSEC_REPLAY_COUNTER_SYNC";
        /// RFC 6467.
        SECURE_PASSWORD_METHODS = 16424, "SECURE_PASSWORD_METHODS";
        /// RFC 6631.
        PSK_PERSIST = 16425, "PSK_PERSIST";
        /// RFC 6631.
        PSK_CONFIRM = 16426, "PSK_CONFIRM";
        /// RFC 6867.
        ERX_SUPPORTED = 16427, "ERX_SUPPORTED";
        /// 3GPP TS 24.302.
        IFOM_CAPABILITY = 16428, "IFOM_CAPABILITY";
        /// RFC 9838.
        GROUP_SENDER = 16429, "GROUP_SENDER";
        /// RFC 7383.
        IKEV2_FRAGMENTATION_SUPPORTED = 16430, "IKEV2_FRAGMENTATION_SUPPORTED";
        /// RFC 7427: the hashes the sender verifies signatures with.
        SIGNATURE_HASH_ALGORITHMS = 16431, "SIGNATURE_HASH_ALGORITHMS";
        /// RFC 7791.
        CLONE_IKE_SA_SUPPORTED = 16432, "CLONE_IKE_SA_SUPPORTED";
        /// RFC 7791.
        CLONE_IKE_SA = 16433, "CLONE_IKE_SA";
        /// RFC 8019.
        PUZZLE = 16434, "PUZZLE";
        /// RFC 8784.
        USE_PPK = 16435, "USE_PPK";
        /// RFC 8784.
        PPK_IDENTITY = 16436, "PPK_IDENTITY";
        /// RFC 8784.
        NO_PPK_AUTH = 16437, "NO_PPK_AUTH";
        /// RFC 9242.
        INTERMEDIATE_EXCHANGE_SUPPORTED = 16438, "INTERMEDIATE_EXCHANGE_SUPPORTED";
        /// RFC 8983.
        IP4_ALLOWED = 16439, "IP4_ALLOWED";
        /// RFC 8983.
        IP6_ALLOWED = 16440, "IP6_ALLOWED";
        /// RFC 9370: names the rekey that a further key exchange belongs to.
        ADDITIONAL_KEY_EXCHANGE = 16441, "ADDITIONAL_KEY_EXCHANGE";
        /// RFC 9347.
        USE_AGGFRAG = 16442, "USE_AGGFRAG";
        /// RFC 9593.
        SUPPORTED_AUTH_METHODS = 16443, "SUPPORTED_AUTH_METHODS";
        /// RFC 9611.
        SA_RESOURCE_INFO = 16444, "SA_RESOURCE_INFO";
        /// RFC 9867.
        USE_PPK_INT = 16445, "USE_PPK_INT";
        /// RFC 9867.
        PPK_IDENTITY_KEY = 16446, "PPK_IDENTITY_KEY";
    }
}

impl NotifyType {
    /// Whether this reports an error, known or not (RFC 7296 3.10.1).
    ///
    /// An unknown error in a response means that the request failed; an unknown status is ignored.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 < 16_384
    }
}
