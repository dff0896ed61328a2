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

#include "core/fleet_settings.h"
#include "core/model.h"
#include "core/validate.h"

/* X(key, presence): presence is REQUIRED or OPTIONAL. */
#define SERVICE_KEYS(X)                                                                                                \
	X(name, REQUIRED)                                                                                              \
	X(address, REQUIRED)                                                                                           \
	X(port, REQUIRED)                                                                                              \
	X(protocol, REQUIRED)                                                                                          \
	X(forward, OPTIONAL)                                                                                           \
	X(gue_port, OPTIONAL)                                                                                          \
	X(affinity, OPTIONAL)                                                                                          \
	X(track, OPTIONAL)                                                                                             \
	X(overflow, OPTIONAL)                                                                                          \
	X(mss, OPTIONAL)                                                                                               \
	X(idle_timeout, OPTIONAL)                                                                                      \
	X(max_window, OPTIONAL)                                                                                        \
	X(weight, OPTIONAL)
#define BACKEND_KEYS(X)                                                                                                \
	X(address, REQUIRED)                                                                                           \
	X(port, OPTIONAL)                                                                                              \
	X(weight, OPTIONAL)                                                                                            \
	X(server_id, OPTIONAL)
#define SEGMENT_KEYS(X)                                                                                                \
	X(clients, REQUIRED)                                                                                           \
	X(cohort, REQUIRED)

#define QUIC_KEYS(X)                                                                                                   \
	X(id_offset, OPTIONAL)                                                                                         \
	X(id_length, OPTIONAL)
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

#define HEALTH_KEYS(X)                                                                                                 \
	X(type, OPTIONAL)                                                                                              \
	X(interval, OPTIONAL)                                                                                          \
	X(timeout, OPTIONAL)                                                                                           \
	X(rise, OPTIONAL)                                                                                              \
	X(fall, OPTIONAL)                                                                                              \
	X(damping, OPTIONAL)                                                                                           \
	X(slow_start, OPTIONAL)                                                                                        \
	X(port, OPTIONAL)                                                                                              \
	X(path, OPTIONAL)                                                                                              \
	X(host, OPTIONAL)                                                                                              \
	X(command, OPTIONAL)

#define ROLLOUT_KEYS(X)                                                                                                \
	X(final_bake, OPTIONAL)                                                                                        \
	X(holdback, OPTIONAL)                                                                                          \
	X(alpha, OPTIONAL)                                                                                             \
	X(max_harm, OPTIONAL)                                                                                          \
	X(confidence, OPTIONAL)                                                                                        \
	X(progress_deadline, OPTIONAL)                                                                                 \
	X(on_inconclusive, OPTIONAL)                                                                                   \
	X(on_deadline, OPTIONAL)
#define STEP_KEYS(X)                                                                                                   \
	X(weight, REQUIRED)                                                                                            \
	X(bake, OPTIONAL)                                                                                              \
	X(warmup, OPTIONAL)                                                                                            \
	X(min_flows, OPTIONAL)                                                                                         \
	X(approval, OPTIONAL)
/* The type comes first: it says what the others are where they are not given. */
#define GATE_KEYS(X)                                                                                                   \
	X(type, REQUIRED)                                                                                              \
	X(name, OPTIONAL)                                                                                              \
	X(mode, OPTIONAL)                                                                                              \
	X(compare, OPTIONAL)                                                                                           \
	X(tolerance, OPTIONAL)                                                                                         \
	X(min, OPTIONAL)                                                                                               \
	X(max, OPTIONAL)                                                                                               \
	X(url, OPTIONAL)                                                                                               \
	X(query, OPTIONAL)                                                                                             \
	X(command, OPTIONAL)
#define HOOK_KEYS(X)                                                                                                   \
	X(before_step, OPTIONAL)                                                                                       \
	X(after_step, OPTIONAL)                                                                                        \
	X(promote, OPTIONAL)                                                                                           \
	X(rollback, OPTIONAL)

#define FLEET_KEYS(X)                                                                                                  \
	X(prefix, OPTIONAL)                                                                                            \
	X(name, OPTIONAL)                                                                                              \
	X(user, OPTIONAL)                                                                                              \
	X(password_file, OPTIONAL)
#define TLS_KEYS(X)                                                                                                    \
	X(ca, OPTIONAL)                                                                                                \
	X(cert, OPTIONAL)                                                                                              \
	X(key, OPTIONAL)

#define X(key, presence) char *key;
struct health_text {
	HEALTH_KEYS(X)
};
struct step_text {
	STEP_KEYS(X)
};
struct gate_text {
	GATE_KEYS(X)
};
struct hooks_text {
	HOOK_KEYS(X)
};
struct breaker_text {
	BREAKER_KEYS(X)
};
struct lease_text {
	LEASE_KEYS(X)
};
struct rollout_text {
	ROLLOUT_KEYS(X)
	struct step_text *steps;
	unsigned steps_count;
	struct gate_text *gates;
	unsigned gates_count;
	char **freeze;
	unsigned freeze_count;
	struct hooks_text *hooks;
	struct breaker_text *breaker;
	struct lease_text *lease;
};
/* A plan's own file, written as in a service. */
struct plan_file_text {
	struct rollout_text *rollout;
};
struct backend_text {
	BACKEND_KEYS(X)
};
struct segment_text {
	SEGMENT_KEYS(X)
};
struct quic_text {
	QUIC_KEYS(X)
};
struct observe_text {
	OBSERVE_KEYS(X)
};
struct service_text {
	SERVICE_KEYS(X)
	struct quic_text *quic;
	struct observe_text *observe;
	struct breaker_text *breaker;
	struct lease_text *lease;
	struct rollout_text *rollout;
	struct health_text *health;
	struct backend_text *stable;
	unsigned stable_count;
	struct backend_text *canary;
	unsigned canary_count;
	struct segment_text *segments;
	unsigned segments_count;
};
struct tls_text {
	TLS_KEYS(X)
};
struct fleet_text {
	FLEET_KEYS(X)
	char **etcd;
	unsigned etcd_count;
	struct tls_text *tls;
};
#undef X

struct config_text {
	struct fleet_text *fleet;
	struct service_text *services;
	unsigned services_count;
};

/* Values are loaded as text: our own parsers have the better messages, and are those of the command line. */
#define REQUIRED CYAML_FLAG_POINTER
#define OPTIONAL (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
#define TEXT(key, presence) CYAML_FIELD_STRING_PTR(#key, presence, struct TEXT_OF, key, 0, CYAML_UNLIMITED),
#define LIST(key, presence, entry)                                                                                     \
	CYAML_FIELD_SEQUENCE(#key, presence, struct TEXT_OF, key, &(entry), 0, CYAML_UNLIMITED)
#define PART(key) CYAML_FIELD_MAPPING_PTR(#key, OPTIONAL, struct TEXT_OF, key, key##_fields)

/* Loads a struct config_text; a struct rollout_text. */
extern const cyaml_schema_value_t config_schema;
extern const cyaml_schema_value_t rollout_schema;
extern const cyaml_schema_value_t plan_file_schema;
extern const cyaml_schema_field_t rollout_fields[];
extern const cyaml_schema_field_t breaker_fields[];
extern const cyaml_schema_field_t lease_fields[];
extern const cyaml_schema_field_t health_fields[];
extern const cyaml_schema_field_t quic_fields[];
extern const cyaml_schema_field_t fleet_fields[];

/*
 * One reader for each kind of mapping: its keys in turn, those that are there. `path` is the mapping's, with the dot
 * behind it; READER(key) the function that gives a key's text its meaning.
 */
#define READ(key, presence)                                                                                            \
	if (text->key) {                                                                                               \
		snprintf(problem->path, sizeof(problem->path), "%.100s%s", path, #key);                                \
		err = READER(key)(text->key, ret, problem);                                                            \
		if (err < 0)                                                                                           \
			return err;                                                                                    \
	}

/* -EINVAL, with a sentence. */
__attribute__((format(printf, 2, 3))) int refuse_text(struct problem *problem, const char *format, ...);
/* A word that is not one of an enum's. */
int refuse_word(struct problem *problem, const char *text, const char *what, const char *words);

/*
 * The mappings `rollout` and `health`, with what is left out as it is by default, and checked. `path`: what is before the
 * keys in a problem's path, "services[0].rollout.". 0, or -EINVAL with *problem.
 */
int read_rollout(const struct rollout_text *text, const char *path, struct rollout_plan *ret, struct problem *problem);
int read_health(const struct health_text *text, const char *path, struct health_plan *ret, struct problem *problem);

/* The mapping `fleet`, in the same way. */
int read_fleet(const struct fleet_text *text, struct fleet_settings *ret, struct problem *problem);

/* config_schema_quic.c: as the readers of config_schema.c. */
int read_quic(const struct quic_text *text, const char *path, struct service_model *ret, struct problem *problem);
int read_backend_server_id(const char *text, struct backend_model *backend, struct problem *problem);
/* The mappings `breaker` and `lease`, of a service as of a plan: what is left out stays as it is in *ret. */
int read_breaker(const struct breaker_text *text, const char *path, struct service_model *ret, struct problem *problem);
int read_lease(const struct lease_text *text, const char *path, struct service_model *ret, struct problem *problem);

/* Gives the text its meaning. 0, -EINVAL with *ret_problem, or -ENOMEM; *ret is to be freed whatever comes. */
int config_parse(const struct config_text *text, struct model *ret, struct problem *ret_problem);

#endif
