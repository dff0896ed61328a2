/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service of the user's is asked for its verdict on a canary: POST with a JSON body.
 *
 * What it answers is {"verdict": "pass" | "fail" | "inconclusive", "reason": "…"}, whatever the status. Without a
 * verdict in JSON the status decides: 2xx is a pass; 409 and 422, "understood, and no", a fail; every other one is
 * inconclusive, as a wrong URL and a service that is broken say nothing about the canary. So is no answer.
 */
#ifndef IO_WEBHOOK_H
#define IO_WEBHOOK_H

#include "io/answer.h"
#include "io/http_client.h"

#define WEBHOOK_ANSWER_MAX 65536

/* For the caller's own call of http_client_start(), with limit WEBHOOK_ANSWER_MAX: what its result says. */
void webhook_read(const struct http_result *result, struct answer *ret);

#endif
