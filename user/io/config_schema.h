/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration's schema: what a file holds as text, before it means anything, and its meaning.
 *
 * One list for each kind of mapping: the members of its struct, its keys in the schema and the functions that read them
 * come from it. A new key is a line here and a function in config_schema.c.
 */
#ifndef IO_CONFIG_SCHEMA_H
#define IO_CONFIG_SCHEMA_H

#include <cyaml/cyaml.h>

#include "core/model.h"
#include "core/validate.h"

/* X(key, presence): presence is REQUIRED or OPTIONAL. */
#define SERVICE_KEYS(X)                                                                                                \
	X(name, REQUIRED)                                                                                              \
	X(address, REQUIRED)                                                                                           \
	X(port, REQUIRED)                                                                                              \
	X(protocol, REQUIRED)                                                                                          \
	X(forward, OPTIONAL)                                                                                           \
	X(affinity, OPTIONAL)                                                                                          \
	X(track, OPTIONAL)                                                                                             \
	X(overflow, OPTIONAL)                                                                                          \
	X(idle_timeout, OPTIONAL)                                                                                      \
	X(max_window, OPTIONAL)                                                                                        \
	X(weight, OPTIONAL)
#define BACKEND_KEYS(X)                                                                                                \
	X(address, REQUIRED)                                                                                           \
	X(port, OPTIONAL)                                                                                              \
	X(weight, OPTIONAL)
#define SEGMENT_KEYS(X)                                                                                                \
	X(clients, REQUIRED)                                                                                           \
	X(cohort, REQUIRED)

#define OBSERVE_KEYS(X)                                                                                                \
	X(cap, OPTIONAL)                                                                                               \
	X(handshake_timeout, OPTIONAL)
#define BREAKER_KEYS(X)                                                                                                \
	X(enabled, OPTIONAL)                                                                                           \
	X(ratio, OPTIONAL)                                                                                             \
	X(arl, OPTIONAL)
#define LEASE_KEYS(X)                                                                                                  \
	X(duration, OPTIONAL)                                                                                          \
	X(on_expiry, OPTIONAL)

#define X(key, presence) char *key;
struct backend_text {
	BACKEND_KEYS(X)
};
struct segment_text {
	SEGMENT_KEYS(X)
};
struct observe_text {
	OBSERVE_KEYS(X)
};
struct breaker_text {
	BREAKER_KEYS(X)
};
struct lease_text {
	LEASE_KEYS(X)
};
struct service_text {
	SERVICE_KEYS(X)
	struct observe_text *observe;
	struct breaker_text *breaker;
	struct lease_text *lease;
	struct backend_text *stable;
	unsigned stable_count;
	struct backend_text *canary;
	unsigned canary_count;
	struct segment_text *segments;
	unsigned segments_count;
};
#undef X

struct config_text {
	struct service_text *services;
	unsigned services_count;
};

/* Loads a struct config_text. */
extern const cyaml_schema_value_t config_schema;

/* Gives the text its meaning. 0, -EINVAL with *ret_problem, or -ENOMEM; *ret is to be freed whatever comes. */
int config_parse(const struct config_text *text, struct model *ret, struct problem *ret_problem);

#endif
