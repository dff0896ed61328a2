/* SPDX-License-Identifier: Apache-2.0 */
/* An edit of the running configuration: begin, change `desired`, commit, end. */
#ifndef CLI_CHANGE_H
#define CLI_CHANGE_H

#include <jansson.h>

#include "cli/cli.h"
#include "core/model.h"
#include "dataplane/dataplane.h"

struct change {
	const struct cli *cli;
	struct dataplane *dataplane;
	struct model actual; /* as read */
	struct model desired; /* a copy, to be edited */
};

/*
 * Opens and reads: all services, or the one that `service` names. 0 or -errno; -ENOENT: there is no such service, or
 * nothing at all yet. change_end() is due in any case.
 */
int change_begin(struct change *change, const struct cli *cli, enum dataplane_access access, const char *service,
		 struct error *error);
/* Fills in and checks what is desired, makes it real, and saves what a reboot would lose. 0, or -errno with nothing changed. */
int change_commit(struct change *change, struct error *error);
/* The same with nothing checked. */
int change_commit_unchecked(struct change *change, struct error *error);
void change_end(struct change *change);

/* The service of that name, or the only one where name is NULL; else NULL with a sentence that lists the names. */
struct service_model *pick_service(const struct model *model, const char *name, struct error *error);

/*
 * Opens for reading and reads; with nothing there *ret_dataplane is NULL and *ret empty, unless `service` is named. 0 or
 * -errno.
 */
int read_running(const struct cli *cli, const char *service, struct dataplane **ret_dataplane, struct model *ret,
		 struct error *error);

/* {"service": name, "epoch": N} */
json_t *service_epoch(const struct service_model *service);

/* "12.5%": as short as it can be. */
#define WEIGHT_TEXT_LEN 16
const char *format_weight(int weight, char buf[WEIGHT_TEXT_LEN]);

/* Parses COHORT, SERVICE's ADDRESS[:PORT] and PREFIX arguments; each fails with CLI_USAGE and a sentence. */
int argument_cohort(const char *text, enum canary_cohort *ret, struct error *error);
int argument_endpoint(const char *text, struct canary_addr *ret_addr, int *ret_port, struct error *error);
/* TIME of --lease: 1s to LEASE_MAX. */
int argument_lease(const char *text, unsigned *ret, struct error *error);
int argument_prefix(const char *text, struct canary_addr *ret_addr, unsigned *ret_len, struct error *error);

#endif
