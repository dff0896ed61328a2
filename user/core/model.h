/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A balancer's configuration as a value: what a file asks for, what a command edits, and what is read back from the
 * data plane are all a `struct model`. Pure data: no I/O, no pinned maps, no third-party library.
 *
 * Ownership: a model owns everything below it; model_free() frees it. Adding functions copy what they are given and
 * return a pointer into the model that is valid until the next addition to the same array, or NULL without memory.
 */
#ifndef CORE_MODEL_H
#define CORE_MODEL_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "canary/abi.h"
#include "canary/server_id.h"

#define WEIGHT_KEEP (-1) /* service_model.weight: the file names none: keep the one in force, 0 for a new service */
#define RESET_NEVER (-1)
#define IDLE_TIMEOUT_TCP 900 /* s */
#define IDLE_TIMEOUT_UDP 60
#define IDLE_TIMEOUT_MAX 86400
#define MAX_WINDOW 86400
#define MAX_WINDOW_MAX (7 * 86400)
#define OBSERVE_CAP 1000 /* in 1/100 percent of the buckets */
#define HANDSHAKE_TIMEOUT 3000 /* ms */
#define HANDSHAKE_TIMEOUT_MIN 100
#define HANDSHAKE_TIMEOUT_MAX 60000
#define BREAKER_RATIO 1000 /* in 1/100 */
#define BREAKER_RATIO_MIN 110
#define BREAKER_RATIO_MAX 60000
#define BREAKER_ARL 1000000
#define BREAKER_ARL_MIN 1000
#define BREAKER_ARL_MAX 2000000000
#define LEASE_MAX (12 * 3600) /* s */
#define ID_OFFSET 1 /* behind the octet that a QUIC-LB connection id begins with */
#define ID_LENGTH 4
#define LEASE_UNSET (~0U) /* service_model.lease: lease_default */
#define GUE_PORT 6080 /* IANA's, for gue */
#define PORT_DEFAULT (-1) /* backend_model.port: the file names none: the service's */

struct backend_model {
	struct canary_addr addr;
	int port; /* host order; 0: as in the packet; PORT_DEFAULT before validate_model() */
	enum canary_cohort cohort;
	unsigned weight; /* 1..CANARY_MAX_BACKEND_WEIGHT */
	bool draining;
	/* Affinity quic: what it writes into its connection ids. Of length 0: not given, before validate_model(). */
	struct canary_server_id server_id;
	unsigned server_id_length;

	struct canary_addr
		tunnel_source; /* ipip, gue: the address of ours that the route to it is sent from; 0: not known */

	/* Set by the data plane on what it read back; 0 in what a file asks for. */
	__u32 index;
};

struct fleet_settings;
struct rollout_plan;
struct health_plan;

struct segment_model {
	struct canary_addr addr; /* bits beyond the prefix are zero */
	unsigned prefix_len; /* of 128: an IPv4 prefix's length + 96 */
	enum canary_cohort cohort;
};

struct service_model {
	char name[CANARY_NAME_LEN];
	struct canary_addr addr;
	int port; /* host order; 0: every port */
	int proto; /* IPPROTO_TCP or IPPROTO_UDP */
	enum canary_forward forward;
	int gue_port; /* gue: the UDP port the backends take it on, host order; 0: the default, or another forward */
	enum canary_affinity affinity;
	enum canary_track track;
	enum canary_overflow overflow;
	unsigned mss; /* TCP: the largest segment size that SYNs may say; CANARY_MSS_AUTO; 0: what they say */
	int weight; /* in 1/100 percent, 0..CANARY_WEIGHT_ONE, or WEIGHT_KEEP */
	unsigned idle_timeout; /* s: how long a flow may be silent and still be one; 0: the protocol's default */
	unsigned max_window; /* s: a window closes after this at the latest; 0: the default */
	unsigned id_offset,
		id_length; /* affinity quic: where a connection id has its server's id, and how long that is */

	/* What is watched of connections, and what the kernel does by itself. model_add_service() fills in the defaults. */
	unsigned
		observe_cap; /* in 1/100 percent of the buckets: so many of the canary's are watched (nat: all). 0: none */
	unsigned handshake_timeout; /* ms: after that a handshake has failed */
	bool breaker; /* is it on? */
	unsigned breaker_ratio; /* in 1/100: how many times worse than stable it is tuned to find */
	unsigned breaker_arl; /* failures, on average, until it trips with nothing wrong */
	unsigned lease_default; /* s: of assignments that say nothing else; 0: they have no lease */
	enum canary_on_expiry on_expiry;

	/* What the daemon does with the service, of which the data plane knows nothing: not read back. NULL: not given. */
	struct rollout_plan *rollout;
	struct health_plan *health;

	struct backend_model *backends;
	size_t backend_count;
	struct segment_model *segments;
	size_t segment_count;

	/* Set by the data plane on what it read back; 0 in what a file asks for. */
	__u32 id;
	__u64 word;
	__u64 salt;
	__u32 salt_number; /* the salt is derived from the keys, the service and this; raise it for another salt */
	__u32 assignment;
	/*
	 * Set by a command that makes a new assignment, read back otherwise: the assignment's lease in s, 0: it has none, or
	 * LEASE_UNSET. It begins with the commit that brings the assignment into force.
	 */
	unsigned lease;
	/*
	 * Set by a command that brings back what was before a reboot, never read back: the change comes into force stopped
	 * (CANARY_WORD_STOPPED), so new flows go to stable until the next assignment.
	 */
	bool begin_stopped;
	/*
	 * Set by a command: flows that the new configuration would place in the other cohort are reset (TCP) once so many
	 * seconds are over; RESET_NEVER: they live on.
	 */
	int reset_after;
};

struct model {
	struct service_model *services;
	size_t service_count;
	struct fleet_settings *fleet; /* the daemon's: not read back. NULL: not given */
};

void model_free(struct model *model);
/* 0 or -ENOMEM; *ret is untouched on failure. */
int model_copy(const struct model *model, struct model *ret);

/*
 * The new element is zeroed but for defaults: of a service weight WEIGHT_KEEP, reset_after RESET_NEVER, lease
 * LEASE_UNSET, where server ids are, and what is watched and what the kernel does by itself; of a backend weight 1 and PORT_DEFAULT.
 */
struct service_model service_defaults(void);
struct service_model *model_add_service(struct model *model);
struct backend_model *service_add_backend(struct service_model *service);
struct segment_model *service_add_segment(struct service_model *service);
void model_remove_service(struct model *model, struct service_model *service);
void service_remove_backend(struct service_model *service, struct backend_model *backend);
void service_remove_segment(struct service_model *service, struct segment_model *segment);

/* NULL: there is none. */
struct service_model *model_find_service(const struct model *model, const char *name);
/* The one with the same name, address, protocol and port: another of these makes another service. */
struct service_model *model_find_same(const struct model *model, const struct service_model *service);
struct backend_model *service_find_backend(const struct service_model *service, const struct canary_addr *addr,
					   int port);
struct segment_model *service_find_segment(const struct service_model *service, const struct canary_addr *addr,
					   unsigned prefix_len);

/* Order two of them by what identifies them in a service: address and port, address and prefix length. As for qsort(). */
int backend_compare(const void *a, const void *b);
int segment_compare(const void *a, const void *b);

/* In seconds, with the default where none is given. */
unsigned service_idle_timeout(const struct service_model *service);
unsigned service_max_window(const struct service_model *service);
/* With gue: the port, with the default where none is given; else 0. */
int service_gue_port(const struct service_model *service);
/* Do its packets go to the backends inside of others? */
bool service_tunnels(const struct service_model *service);
/* How many bytes longer packets to a backend become on their way. */
unsigned service_overhead(const struct service_model *service, const struct backend_model *backend);

/* The lease of an assignment that says nothing of one, in s. Where the canary gets nothing, there is nothing to take away. */
unsigned service_default_lease(const struct service_model *service);

/* How many of a cohort's backends take new flows (are not draining). */
size_t service_backends_up(const struct service_model *service, enum canary_cohort cohort);

bool addr_is_v4(const struct canary_addr *addr);
bool addr_equal(const struct canary_addr *a, const struct canary_addr *b);
/* Do both begin with the same `prefix_len` bits, of 128? */
bool addr_shares_prefix(const struct canary_addr *a, const struct canary_addr *b, unsigned prefix_len);
/* Are the address's bits beyond the first `prefix_len` of 128 all zero? */
bool prefix_is_clean(const struct canary_addr *addr, unsigned prefix_len);

#endif
