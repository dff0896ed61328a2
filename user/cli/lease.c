/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl lease renew */
#include <errno.h>
#include <linux/types.h>
#include <string.h>

#include "cli/change.h"
#include "ops/clock.h"
#include "cli/output.h"
#include "core/text.h"

static int report_renewal(const struct cli *cli, struct dataplane *dataplane, const struct service_model *service,
			  struct error *error)
{
	char expires_at[CLOCK_TEXT_LEN];
	struct guard guard;
	int err = dataplane_guard(dataplane, service, &guard);

	if (err)
		return fail(error, err, "the lease of %s is renewed, but its end cannot be read: %s", service->name,
			    strerror(-err));
	clock_wall_text(guard.lease_expires_ns, expires_at);
	report(cli, true, json_pack("{s:o, s:s}", "service", json_text(service->name), "expires_at", expires_at),
	       "%s: the lease lasts until %s", service->name, expires_at);
	return 0;
}

int cmd_lease_renew(const struct cli *cli, struct error *error)
{
	const char *name = cli->values[OPT_SERVICE], *lease = cli->values[OPT_LEASE];
	const struct service_model *service = NULL;
	struct change change;
	unsigned seconds = 0; /* as long as the assignment says */
	int err;

	if (lease && argument_lease(lease, &seconds, error))
		return CLI_USAGE;
	err = change_begin(&change, cli, DATAPLANE_CHANGE, name, error);
	if (!err) {
		service = pick_service(&change.actual, name, error);
		err = service ? 0 : -ENOENT;
	}
	if (!err)
		err = dataplane_renew_lease(change.dataplane, service, seconds, error);
	if (!err)
		err = report_renewal(cli, change.dataplane, service, error);
	change_end(&change);
	return err ? CLI_FAILED : CLI_DONE;
}
