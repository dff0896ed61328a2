/* SPDX-License-Identifier: Apache-2.0 */
/* How the backends of a service are checked. Plain data without pointers. */
#ifndef CORE_HEALTH_PLAN_H
#define CORE_HEALTH_PLAN_H

#include "core/validate.h"

#define HEALTH_TEXT_LEN 256
#define HEALTH_INTERVAL_MAX 600000 /* ms */
#define HEALTH_COUNT_MAX 100
#define HEALTH_SLOW_START_MAX 3600 /* s */

#define HEALTH_TYPES(X)                                                                                                \
	X(TCP, tcp) /* a connection can be made */                                                                     \
	X(HTTP, http) /* GET is answered with a status from 200 to 399 */                                              \
	X(COMMAND, command) /* exits with 0 */

#define X(name, word) HEALTH_TYPE_##name,
enum health_type { HEALTH_TYPES(X) HEALTH_TYPE_COUNT };
#undef X

int parse_health_type(const char *text, enum health_type *ret); /* 0, or -EINVAL with *ret untouched */
const char *health_type_name(enum health_type type);
const char *health_type_names(void); /* "tcp, http or command" */

struct health_plan {
	enum health_type type;
	unsigned interval; /* ms */
	unsigned timeout; /* ms, <= interval */
	unsigned rise; /* so many good checks in a row bring a backend back */
	unsigned fall; /* so many bad ones take it out: so it is out after interval * fall */
	unsigned
		damping; /* s: one that goes up and down waits for up to this before it comes back; 0: it never waits */
	unsigned slow_start; /* s in which one that came back gets up to its weight; 0: at once */
	int port; /* 0: the backend's own */
	char path[HEALTH_TEXT_LEN]; /* http: begins with '/' */
	char host[HEALTH_TEXT_LEN]; /* http: of the Host header; "": the address */
	char command[HEALTH_TEXT_LEN];
};

struct health_plan health_plan_default(void);
/* 0, or -EINVAL with the first problem: `path` as in "timeout". */
int health_plan_validate(const struct health_plan *plan, struct problem *ret);

#endif
