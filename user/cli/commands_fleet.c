/* SPDX-License-Identifier: Apache-2.0 */
/* Of the table of commands: those that are about fleets. */
#include <stddef.h>

#include "cli/commands.h"

const struct command cli_fleet_commands[] = {
	{
		.name = "fleet init",
		.arguments = "",
		.options = OPT(LEASE) | OPT(SOCKET),
		.summary = "begin a fleet where etcd has nothing yet, with this host's keys of the hashes",
		.examples = EXAMPLES("canaryctl fleet init", "canaryctl fleet init --lease 20s"),
		.run = cmd_fleet_init,
	},
	{
		.name = "fleet remove",
		TAKES("HOST", 1, 1),
		.options = OPT(SOCKET),
		.summary = "a host that is gone for good: nothing waits for it any more",
		.examples = EXAMPLES("canaryctl fleet remove lb3"),
		.run = cmd_fleet_remove,
	},
	{
		.name = "fleet status",
		.arguments = "",
		.options = OPT(SOCKET),
		.summary = "its hosts, its leader, and its services with what they wait for",
		.examples = EXAMPLES("canaryctl fleet status --json"),
		.run = cmd_fleet_status,
	},
	{.then = cli_program_commands},
};
