/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What becomes of watched connections. One list: the enum, the names in JSON and text, the help, who can see it, and what
 * it means to the breaker come from it.
 *
 * Every watched flow is `opened` once, and has one of completed, refused, client_reset, half_open, as soon as that is known.
 * One that completed may have one of the three after that. Only flows that bucket and weight placed are watched: none that
 * a segment, an overflow or a fallback did.
 */
#ifndef CANARY_OUTCOMES_H
#define CANARY_OUTCOMES_H

/*
 * X(NAME, name, SEEN, KIND, help)
 *
 * SEEN: ALWAYS, or NAT: only where the answers pass through us.
 * KIND: SUCCESS; HARD, a failure of the cohort; SOFT, a failure that may as well be the client's doing: the comparison
 * with stable counts it, the absolute rule does not; NONE.
 */
#define CANARY_OUTCOME_LIST(X)                                                                                         \
	X(OPENED, opened, ALWAYS, NONE, "connections whose SYN was seen and that are watched")                         \
	X(COMPLETED, completed, ALWAYS, SUCCESS, "the client acknowledged the backend's SYN")                          \
	X(REFUSED, refused, NAT, HARD, "the backend answered the SYN with a RST")                                      \
	X(CLIENT_RESET, client_reset, ALWAYS, SOFT, "the client gave up with a RST before the handshake was over")     \
	X(HALF_OPEN, half_open, ALWAYS, HARD, "the handshake was not over within handshake_timeout")                   \
	X(SERVER_RESET_EARLY, server_reset_early, NAT, HARD,                                                           \
	  "completed, then a RST from the backend before any byte of it, within handshake_timeout")                    \
	X(NO_REPLY, no_reply, NAT, SOFT,                                                                               \
	  "completed, then a request without a byte of an answer within handshake_timeout, or before the backend's "   \
	  "FIN")                                                                                                       \
	X(CLIENT_RESET_EARLY, client_reset_early, ALWAYS, SOFT,                                                        \
	  "completed, then a RST from the client before any byte of the backend, within handshake_timeout")            \
	X(LATE, late, ALWAYS, NONE, "half_open ones that completed after all")                                         \
	X(SYN_RETRANSMITS, syn_retransmits, ALWAYS, NONE, "SYNs that were sent again")                                 \
	X(FAILED, failed, ALWAYS, NONE,                                                                                \
	  "connections with a failure; with affinity client: clients with one, each counted once in an assignment")

enum canary_outcome {
#define X(NAME, name, SEEN, KIND, help) CANARY_OUTCOME_##NAME,
	CANARY_OUTCOME_LIST(X)
#undef X
		CANARY_OUTCOMES
};

enum canary_outcome_kind { CANARY_KIND_SUCCESS, CANARY_KIND_HARD, CANARY_KIND_SOFT, CANARY_KIND_NONE };

/* X(NAME, name, SEEN, help): times, as histograms. */
#define CANARY_HISTOGRAM_LIST(X)                                                                                       \
	X(HANDSHAKE, handshake, ALWAYS, "from a connection's first SYN to the client's acknowledgement")               \
	X(SYN_ACK, syn_ack, NAT, "from a connection's first SYN to the backend's SYN and ACK")                         \
	X(RESPONSE, response, NAT, "from the first byte of the request to the first byte of the answer")

enum canary_histogram_kind {
#define X(NAME, name, SEEN, help) CANARY_HISTOGRAM_##NAME,
	CANARY_HISTOGRAM_LIST(X)
#undef X
		CANARY_HISTOGRAM_KINDS
};

#endif
