/* SPDX-License-Identifier: Apache-2.0 */
/* What users say: counted in the cohort that the client is in. */
#ifndef DAEMON_FEEDBACK_H
#define DAEMON_FEEDBACK_H

#include "daemon/supervisor.h"

struct word {
	const char *client; /* "192.0.2.7" or "192.0.2.7:40000" */
	bool good;
	const char *note; /* NULL: none */
	__s64 uid;
};

struct feedback_result {
	const char *cohort; /* "canary", "stable", or NULL: not known */
	bool counted; /* for the gates of the rollout that is under way */
	const char *text; /* a clause, where it is not counted: why; else NULL */
};

/* Writes it down and counts it. 0 or -errno; -EINVAL: the client is no address. */
int feedback_take(struct supervisor *supervisor, const struct word *word, struct feedback_result *ret,
		  struct error *error);

#endif
