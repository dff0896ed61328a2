/* SPDX-License-Identifier: Apache-2.0 */
/* What `apply` does, for `attach -f` as well. */
#ifndef CLI_APPLY_H
#define CLI_APPLY_H

#include "cli/change.h"
#include "core/plan.h"

/*
 * Begins a change whose `desired` is the file's, and plans it. 0 or -errno; -EBUSY where the last canary backend of a
 * service would go while its weight stays above 0, unless `force`. change_end() and plan_free() are due in any case.
 */
int apply_begin(struct change *change, struct plan *plan, const struct cli *cli, const char *file,
		enum dataplane_access access, bool force, struct error *error);

/* The planned operations: [{"op": "add_service", "service": "web", "text": "…"}] */
json_t *apply_operations(const struct plan *plan);
void apply_print(const struct plan *plan);

#endif
