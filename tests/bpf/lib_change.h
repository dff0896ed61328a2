/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of a service's backends, weight and segments, as commands make them, at random, committed. */
#ifndef LIB_CHANGE_H
#define LIB_CHANGE_H

#include "lib_env.h"

enum {
	HOSTS = 6, /* that backends may be on, of each cohort: 10.0.0.11 to 16, 10.0.0.21 to 26 */
	FIRST_STABLE = 11,
	FIRST_CANARY = 21,
	HOST_TEXT = 20,
};

const char *host_text(unsigned host, char ret[HOST_TEXT]);
/* The service's backend there; NULL: it has none. */
const struct backend_model *backend_at(const struct service_model *service, unsigned host);

/* Each cohort keeps a backend that takes new flows. By random_below() of lib_mutate.h. */
void change_at_random(const char *service);
/* A new assignment: half of the new flows are the canary's. */
void change_to_half(const char *service);
/* The weights of all services, at random. reset: connections that belong elsewhere now are reset. */
void change_all_weights(bool reset);

#endif
