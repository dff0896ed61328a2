/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of rollouts share: whose rollout it is, questions to the daemon, and how a rollout looks. */
#ifndef CLI_ROLLOUT_H
#define CLI_ROLLOUT_H

#include <jansson.h>
#include <stdbool.h>

#include "canary/abi.h"
#include "cli/cli.h"

/* The service that the argument names, or the only one that the daemon knows. 0 or -errno. */
int rollout_service(const struct cli *cli, char ret[CANARY_NAME_LEN], struct error *error);

/* The latter. -EINVAL: there are several, which the sentence names. timeout_ms: as of a daemon_request. */
int rollout_only_service(const struct cli *cli, int timeout_ms, char ret[CANARY_NAME_LEN], struct error *error);

/* A question about a service's rollout; `tail` as in "/history?limit=1" is added to its path. */
struct rollout_question {
	const char *method;
	const char *service;
	const char *tail;
	const json_t *body; /* NULL: none */
	int timeout_ms; /* 0: that of daemon_ask() */
};

/* See user/daemon/api.h for what comes back, which is harmless to print. 0 or -errno as of daemon_ask(). */
int rollout_ask(const struct cli *cli, const struct rollout_question *question, json_t **ret, struct error *error);
/* The same with GET and nothing else. */
int rollout_get(const struct cli *cli, const char *service, const char *tail, json_t **ret, struct error *error);

/* "web: progressing, step 1 of 4, weight 5%", without a newline. */
void rollout_print_line(const json_t *status);
/* All there is to say, on several lines. */
void rollout_print(const struct cli *cli, const json_t *status);
/* Why it is in its state, as far as its last transition says: "gate errors: the canary is worse …". To be freed. */
char *rollout_because(const json_t *transition);

/* "E 12.3 of 100" of natural logarithms. */
#define EVIDENCE_TEXT_LEN 48
const char *format_evidence(const json_t *log_e, const json_t *bound, char buf[EVIDENCE_TEXT_LEN]);

#endif
