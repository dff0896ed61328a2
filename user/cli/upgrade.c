/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl upgrade */
#include <errno.h>
#include <linux/types.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "dataplane/dataplane.h"

static json_t *view_program(const struct dataplane_info *info)
{
	return json_pack("{s:o, s:I, s:i}", "build", json_text(info->build), "id", (json_int_t)info->program_id, "abi",
			 (int)info->abi);
}

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
	report(cli, true, json_pack("{s:o, s:o}", "before", view_program(&before), "after", view_program(&after)),
	       "upgraded: build %s (program %u) -> build %s (program %u)", before.build, before.program_id, after.build,
	       after.program_id);
	return 0;
}

int cmd_upgrade(const struct cli *cli, struct error *error)
{
	struct dataplane *dataplane = NULL;
	int err = dataplane_open(cli->dir, DATAPLANE_UPGRADE, &dataplane, error);

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
