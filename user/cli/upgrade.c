/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl upgrade */
#include <errno.h>
#include <linux/types.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "dataplane/dataplane.h"

static int upgrade(const struct cli *cli, struct dataplane *dataplane, struct error *error)
{
	struct dataplane_info before, after;
	int err = dataplane_info(dataplane, &before, error);

	if (!err)
		err = dataplane_upgrade(dataplane, error);
	if (!err)
		err = dataplane_info(dataplane, &after, error);
	if (err)
		return err;
	report(cli, true,
	       json_pack("{s:{s:o, s:I}, s:{s:o, s:I}}", "before", "build", json_text(before.build), "id",
			 (json_int_t)before.program_id, "after", "build", json_text(after.build), "id",
			 (json_int_t)after.program_id),
	       "upgraded: build %s (program %u) -> build %s (program %u)", before.build, before.program_id, after.build,
	       after.program_id);
	return 0;
}

int cmd_upgrade(const struct cli *cli, struct error *error)
{
	struct dataplane *dataplane = NULL;
	int err = dataplane_open(cli->dir, DATAPLANE_CHANGE, &dataplane, error);

	if (err == -ENOENT) {
		report(cli, false, NULL, "nothing runs in %s: what is attached there next is of build %s", cli->dir,
		       CANARY_VERSION);
		return CLI_DONE;
	}
	if (!err)
		err = upgrade(cli, dataplane, error);
	dataplane_close(dataplane);
	return err ? CLI_FAILED : CLI_DONE;
}
