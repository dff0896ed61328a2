/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which cohort a user was in who names no connection, where each connection has its own (affinity flow). Whoever had
 * several and all of them in one cohort had them in the larger one more often than the weight says: so what is attributed
 * makes the canary look better than it is, if anything, and a canary that is no worse is not rolled back for it.
 */
#ifndef CORE_ATTRIBUTION_H
#define CORE_ATTRIBUTION_H

#include <stdbool.h>

#include "canary/abi.h"

/* X(name, why not). */
#define ATTRIBUTIONS(X)                                                                                                \
	X(KNOWN, "")                                                                                                   \
	X(BOTH, "its connections are in both cohorts: give the port of one")                                           \
	X(NONE, "no connection of it is remembered: give the port of one, while it lives or shortly after")            \
	X(UNREMEMBERED, "not every connection of this service is remembered: give the port of one")                    \
	X(PORT, "no connection of that port is remembered: it has ended, or was placed by the weight alone")           \
	X(BUSY, "so much is said that not every client's connections can be looked for: give the port of one")         \
	X(ABSENT, "the service is not in the data plane")

enum attribution {
#define X(name, text) ATTRIBUTION_##name,
	ATTRIBUTIONS(X)
#undef X
};

const char *attribution_text(enum attribution attribution); /* a clause; "" where it is known */

struct whereabouts {
	unsigned seen; /* 1 << the cohort of each of its connections that is remembered */
	bool complete; /* every connection of the service is remembered */
	bool certain; /* by the weight, or a segment, whatever begins now is in `cohort` */
	enum canary_cohort cohort;
};

/* KNOWN with *ret_cohort, or why not. */
enum attribution attribute(const struct whereabouts *whereabouts, enum canary_cohort *ret_cohort);

#endif
