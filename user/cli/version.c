/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl version */
#include <linux/types.h>

#include "canary/abi.h"
#include "cli/output.h"

#ifdef __clang__
#define BUILD __VERSION__
#else
#define BUILD "gcc " __VERSION__
#endif

int cmd_version(const struct cli *cli, struct error *error)
{
	(void)error;
	if (cli->json)
		print_json(json_pack("{s:s, s:i, s:s}", "version", CANARY_VERSION, "abi", CANARY_ABI_VERSION, "build",
				     BUILD));
	else
		report(cli, false, NULL, "canaryctl %s (data plane ABI %d, built with %s)", CANARY_VERSION,
		       CANARY_ABI_VERSION, BUILD);
	return CLI_DONE;
}
