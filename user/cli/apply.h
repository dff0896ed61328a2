/* SPDX-License-Identifier: Apache-2.0 */
/* What `apply` does, for `attach -f` as well. */
#ifndef CLI_APPLY_H
#define CLI_APPLY_H

#include "cli/change.h"
#include "core/plan.h"
#include "io/owners.h"
#include "io/state_file.h"

struct apply {
	const struct cli *cli;
	struct change change;
	struct plan plan;
	struct owners owners; /* whose weights are a rollout's */
	json_t *notes; /* what may surprise about the plan, in sentences */
	struct saved_state saved; /* what services that are new here had before a reboot */
	struct model wanted; /* the file's, until apply_begin() */
};

/* Reads the file. 0 or -errno; apply_end() is due in any case. */
int apply_load(struct apply *apply, const struct cli *cli, const char *file, struct error *error);
/*
 * Begins a change whose `desired` is the file's, and plans it. 0 or -errno; -EBUSY, unless `force`, where the last canary
 * backend of a service would go while its weight stays above 0, where a service would go whose weight is a rollout's, and
 * where the affinity would change during a rollout, which `force` pauses.
 */
int apply_begin(struct apply *apply, enum dataplane_access access, bool force, struct error *error);
/* Makes it real. Services that come back after a reboot have their windows opened again. */
int apply_commit(struct apply *apply, struct error *error);
void apply_end(struct apply *apply);

/* The planned operations: [{"op": "add_service", "service": "web", "text": "…"}] */
json_t *apply_operations(const struct plan *plan);
/* The operations and notes as text. */
void apply_print(const struct apply *apply);

#endif
