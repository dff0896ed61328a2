/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Prometheus scrapes: GET /metrics. Names and labels are in canary-metrics(7); names begin with "canary_", and follow
 * https://prometheus.io/docs/practices/naming/ (base units, _total of counters).
 */
#ifndef DAEMON_METRICS_H
#define DAEMON_METRICS_H

#include "daemon/daemon.h"
#include "io/exposition.h"

/*
 * All of them, in the text exposition format; *ret to be freed. A data plane that cannot be read is canary_dataplane_up 0,
 * and nothing of what it knows. 0 or -ENOMEM.
 */
int metrics_text(struct daemon *daemon, char **ret, size_t *ret_len);

/* The families: of what there is one each, which labels its samples have, and who writes them. */
struct scrape;
enum metric_scope {
	METRIC_OF_DAEMON,
	METRIC_OF_INTERFACE,
	METRIC_OF_SERVICE, /* in the data plane */
	METRIC_OF_ROLLOUT, /* of a service that the daemon watches */
};
struct metric_family {
	const char *name;
	enum metric_type type;
	enum metric_scope scope;
	const char *help;
	void (*write)(FILE *out, const struct metric_family *family, const struct scrape *scrape);
	int at; /* which of a list's, where a list makes them */
};
extern const struct metric_family metric_families[];
extern const size_t metric_family_count;

/* What a scrape has read, and of it what is being written. */
struct service_scrape {
	const struct service_model *model;
	struct canary_cohort_counters cohorts[CANARY_COHORTS];
	struct canary_backend_counters *backends; /* as many as the model has */
	struct guard guard;
	struct window window;
	double connections[CANARY_COHORTS][CANARY_OUTCOMES]; /* of all epochs */
	bool observed;
	struct canary_histogram times[CANARY_HISTOGRAM_KINDS][CANARY_COHORTS];
	bool has_times[CANARY_HISTOGRAM_KINDS];
};

struct interface_scrape {
	const char *name;
	struct canary_interface_counters counters;
};

struct scrape {
	const struct daemon *daemon;
	bool up; /* the data plane could be read */
	struct dataplane_info info;
	const struct service_scrape *service;
	const struct interface_scrape *interface;
	const struct supervisor *supervisor;
};

#endif
