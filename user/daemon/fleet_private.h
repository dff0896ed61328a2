/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a fleet share: fleet.c (connection, reading and following), fleet_agent.c (this host's services),
 * fleet_service.c (one of them in the data plane), fleet_leader.c, fleet_change.c (what operators ask for), fleet_status.c.
 */
#ifndef DAEMON_FLEET_PRIVATE_H
#define DAEMON_FLEET_PRIVATE_H

#include <jansson.h>

#include "daemon/fleet.h"
#include "daemon/fleet_mirror.h"
#include "dataplane/dataplane.h"

#define FLEET_CALL_MS 5000 /* of a question to etcd */
#define FLEET_WRITE_MS 2000 /* a member that has lost its cluster's leader answers later than others would */
#define FLEET_WAITS_LEN 256

/* What holds for all of a fleet, since it began: in the key `format`, behind FLEET_FORMAT. X(name, default, min, max) */
#define FLEET_TERMS(X)                                                                                                 \
	X(lease, 10, 3, 600) /* s */                                                                                   \
	X(prepare, 20, 1, 1200) /* s: an alive host that takes longer is named, and the change taken back */           \
	X(wait, 0, 0, 1) /* does a change wait for members whose lease is over? */

struct fleet_terms {
#define X(name, otherwise, min, max) unsigned name;
	FLEET_TERMS(X)
#undef X
};

/* One service of the fleet. */
struct fleet_service {
	char name[FLEET_PART_LEN];
	struct fleet_record record;
	__s64 revision; /* its mod_revision; 0: etcd has it no more */
	struct model config; /* of the number below, with one service; or none */
	__u64 config_number;

	/* What this host has. */
	bool due; /* to be looked at */
	__u64 installed; /* the configuration in the data plane; 0: not known */
	struct fleet_view fallback; /* while a window is open; config 0: not known */
	bool has_prepared;
	struct fleet_view prepared;
	bool undone;
	char refusal[FLEET_WHO_LEN];
	bool told_late; /* that its window had closed before the fleet's */
	bool telling_held;
	struct outliers *hosts; /* who of them stands out: see fleet_outliers.c */
	__s64 walked_ms; /* when its flows were looked at last */

	/* What this leader has seen. */
	bool writing;
	__s64 seen_ms, quiet_ms, window_ms; /* see struct fleet_question */
};

struct fleet_order;

struct fleet {
	struct daemon *daemon;
	struct fleet_settings settings;
	struct fleet_terms terms;
	struct etcd *etcd;
	struct etcd_watch *watch;
	struct mirror mirror;
	bool reading; /* a question is under way */
	unsigned stale; /* answers in a row that are older than what is known */
	bool usable; /* the prefix is a fleet's, and all was read at least once */
	struct error fault; /* why it is not, or this host cannot take part; "" */

	struct fleet_host host;
	__s64 lease; /* its id */
	__s64 asked_ms; /* when what grants or renews it was sent */
	bool asking;
	bool was_cut_off; /* said once */

	struct fleet_service **services;
	size_t service_count;
	bool reporting;

	bool counting;
	size_t counted; /* services, the last time: others are next */
	bool campaigning;
	__s64 members_ms; /* since when nobody came or went */
	struct fleet_order *orders; /* operators who wait for an answer */
};

__s64 fleet_now_ms(void); /* CLOCK_MONOTONIC */
/* Looks at everything, and does what is due. */
void fleet_run(struct fleet *fleet);
bool fleet_is_cut_off(const struct fleet *fleet);
struct fleet_service *fleet_find(const struct fleet *fleet, const char *name); /* NULL: there is none */
/* PREFIX/kind/... for keys that are known to be well-formed. */
const char *fleet_key_text(const struct fleet *fleet, enum fleet_key_kind kind, const char *first, const char *second,
			   char buf[FLEET_KEY_LEN]);

/* fleet_terms.c */
struct fleet_terms fleet_terms_default(void);
void fleet_terms_parse(const char *format, struct fleet_terms *ret);
const char *fleet_terms_format(const struct fleet_terms *terms, char buf[FLEET_TEXT_LEN]); /* value of `format` */
/* This host's keys of the hashes, as their file has them; to be freed. -ENOENT: it has none yet. */
int fleet_keys_read(const struct instance *instance, char **ret, struct error *error);
/* Are this host's those? Where it has no data plane yet, it takes them. -EUCLEAN: it has others, and uses them. */
int fleet_keys_adopt(const struct instance *instance, const char *keys, struct error *error);

/* fleet_lease.c */
void fleet_lease_run(struct fleet *fleet);
/* Holds as long as this host's lease is the one it has: what was written before a later one must not come after it. */
struct etcd_compare fleet_fence(const struct fleet *fleet, char key[FLEET_KEY_LEN]);

/* fleet_agent.c */
void fleet_agent_run(struct fleet *fleet);
void fleet_agent_renew(struct fleet *fleet); /* the kernel's leases: as long as ours is good */
__s64 fleet_agent_remaining_s(const struct fleet *fleet); /* of the lease, rounded down */

/* fleet_held.c, fleet_counters.c: what this host tells each second. */
void fleet_held_tick(struct fleet *fleet, struct dataplane *dataplane, const struct model *heads);
void fleet_counters_tick(struct fleet *fleet, struct dataplane *dataplane, const struct model *heads);

/* fleet_outliers.c */
void fleet_outliers_tick(struct fleet *fleet);
json_t *fleet_outliers_view(const struct fleet_service *service); /* [{"name", "text"}] */
void fleet_outliers_free(struct fleet_service *service);

/* fleet_report.c: written where it is another one than etcd has. */
void fleet_report(struct fleet *fleet);

/* fleet_service.c */
struct fleet_installation {
	const struct instance *instance;
	const struct service_model *config; /* what is wanted, but for its weight and salt; NULL: as it runs */
	const char *name;
	int weight;
	__u32 salt_number;
	unsigned lease; /* s */
	bool stopped;
	bool assigns; /* weight, salt, or whether it is stopped, changes */
};
int fleet_install(const struct fleet_installation *installation, struct error *error);
/*
 * A change of the bound of the kernel's window alone, of which packets see nothing; but it is a change, so an open window stays
 * open for another idle_timeout, unless that bound is over.
 */
int fleet_bound_window(const struct instance *instance, const char *service, unsigned max_window, struct error *error);
/* Does it run as that configuration says, its weight, salt and draining backends aside? */
int fleet_runs_as(const struct instance *instance, const struct service_model *config, bool *ret, struct error *error);
/* Could it be brought into force with that weight? */
int fleet_check(const struct service_model *config, int weight, struct error *error);

/* fleet_config.c: the configuration of a number, parsed; NULL with a sentence. Valid until the next call for the service. */
const struct service_model *fleet_config(const struct fleet *fleet, struct fleet_service *service, __u64 number,
					 struct error *error);

/* Of a text that is to be, or is, in etcd. */
int fleet_config_parse(const char *service, __u64 number, const char *text, struct model *ret, struct error *error);

/* fleet_leader.c */
bool fleet_leads(const struct fleet *fleet);
void fleet_leader_run(struct fleet *fleet);
/* What the protocol makes of a service now: as core/fleet.h's fleet_decide(). */
enum fleet_decision fleet_leader_decide(const struct fleet *fleet, const struct fleet_service *service,
					struct fleet_record *ret, struct error *reason);

/* fleet_change.c: what operators ask for. */
enum fleet_order_kind { FLEET_ORDER_WEIGHT, FLEET_ORDER_APPLY, FLEET_ORDER_ROLLBACK };

struct fleet_request {
	enum fleet_order_kind kind;
	const char *service;
	int weight; /* APPLY: of a service that is new */
	bool new_salt;
	const char *config; /* APPLY: the service as JSON */
	__u64 if_change; /* the change that is known to who asks; 0: whichever */
};
/* Answers the call, at once or when it is known what became of it. */
void fleet_ask(struct fleet *fleet, struct http_call *call, const struct fleet_request *request);
/* A member that is gone for good: nothing waits for it any more. -EBUSY of one that is alive. */
void fleet_remove(struct fleet *fleet, struct http_call *call, const char *host);
void fleet_begin(struct fleet *fleet, struct http_call *call, const struct fleet_terms *terms); /* a new fleet */
void fleet_orders_run(struct fleet *fleet);
void fleet_orders_close(struct fleet *fleet);

#endif
