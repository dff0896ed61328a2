/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canaryctl: the tables of options and commands, from which the parsing, the usage lines and the help come, and main().
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "dataplane/dataplane.h"

const struct arg_option cli_options[OPTIONS] = {
	[OPT_JSON] = {.name = "json", .help = "JSON instead of text, on stdout and for errors on stderr"},
	[OPT_BPFFS] = {.name = "bpffs",
		       .value = "DIR",
		       .help = "where the pins are (default: $CANARYCTL_BPFFS or " DATAPLANE_DEFAULT_DIR ")"},
	[OPT_KEY_FILE] = {.name = "key-file",
			  .value = "FILE",
			  .help = "the keys of the hashes (default: $CANARYCTL_KEY_FILE or " DATAPLANE_DEFAULT_KEY_FILE
				  ")"},
	[OPT_HELP] = {.name = "help", .letter = 'h', .help = "this help"},
	[OPT_FILE] = {.name = "file", .letter = 'f', .value = "FILE", .help = "the configuration, in YAML"},
	[OPT_MODE] = {.name = "mode",
		      .value = "auto|native|generic",
		      .help = "in the driver, in the stack, or whichever works (default: auto)"},
	[OPT_ALL] = {.name = "all", .help = "all of them"},
	[OPT_DRY_RUN] = {.name = "dry-run", .help = "print what would be done and change nothing"},
	[OPT_FORCE] = {.name = "force", .help = "even if the canary's weight is left without a canary backend"},
	[OPT_SERVICE] = {.name = "service",
			 .value = "NAME",
			 .help = "this service; may be left out where there is one"},
	[OPT_WATCH] = {.name = "watch",
		       .value = "SECONDS",
		       .optional = true,
		       .help = "again every SECONDS (0.1 to 3600, default: 1), with rates"},
	[OPT_PORT] = {.name = "port",
		      .value = "N",
		      .help = "the port the client speaks to, where the service takes every port"},
	[OPT_FORWARD] = {.name = "forward", .value = "l2|ipip|nat", .help = "how packets get there (default: nat)"},
	[OPT_AFFINITY] = {.name = "affinity",
			  .value = "flow|client",
			  .help = "what chooses the cohort: each connection or each client (default: flow)"},
	[OPT_TRACK] = {.name = "track",
		       .value = "auto|always|never",
		       .help = "is a UDP flow remembered at its first packet? (default: auto: with nat)"},
	[OPT_OVERFLOW] = {.name = "overflow",
			  .value = "other|drop",
			  .help = "what a cohort's flows get when it has no backend (default: other)"},
	[OPT_IDLE_TIMEOUT] = {.name = "idle-timeout",
			      .value = "TIME",
			      .help = "how long a flow may be silent and still be one (default: 15m, udp: 60s)"},
	[OPT_MAX_WINDOW] = {.name = "max-window",
			    .value = "TIME",
			    .help = "how long older flows follow an older choice at most (default: 24h)"},
	[OPT_WEIGHT] = {.name = "weight",
			.value = "N",
			.help = "its turns among the backends of its cohort, 1 to 1000 (default: 1)"},
	[OPT_NEW_SALT] = {.name = "new-salt", .help = "draw other clients for the canary"},
	[OPT_RESET] = {.name = "reset", .help = "reset open connections that the new weight places elsewhere, now"},
	[OPT_DRAIN] = {.name = "drain", .value = "SECONDS", .help = "reset them when this time is over (30, 5m, 1h)"},
	[OPT_BACKEND] = {.name = "backend",
			 .value = "ADDRESS[:PORT]",
			 .help = "those of this backend, in every service that has it"},
	[OPT_COHORT] = {.name = "cohort", .value = "stable|canary", .help = "those of this cohort"},
};

#define EXAMPLES(...) ((const char *const[]){__VA_ARGS__, NULL})

const struct command cli_commands[] = {
	{
		.name = "attach",
		.arguments = "IFACE...",
		.min_arguments = 1,
		.max_arguments = -1,
		.options = OPT(MODE) | OPT(FILE),
		.summary = "attach to interfaces, so that packets are steered",
		.details = "All of the interfaces or none. It stays attached when the command has ended. With -f the "
			   "file is applied first.",
		.examples = EXAMPLES("canaryctl attach eth0", "canaryctl attach eth0 eth1 --mode native -f web.yaml"),
		.run = cmd_attach,
	},
	{
		.name = "detach",
		.arguments = "[IFACE...]",
		.max_arguments = -1,
		.options = OPT(ALL),
		.summary = "detach from interfaces; the services stay",
		.examples = EXAMPLES("canaryctl detach eth0", "canaryctl detach --all"),
		.run = cmd_detach,
	},
	{
		.name = "apply",
		.arguments = "",
		.options = OPT(FILE) | OPT(DRY_RUN) | OPT(FORCE),
		.required = OPT(FILE),
		.summary = "make the running state what a file says",
		.details =
			"Prints the operations. All of them are done, or none. A service without `weight` in the "
			"file keeps the weight it has; services that the file does not name are deleted, so one that "
			"is renamed is deleted and added.",
		.examples = EXAMPLES("canaryctl apply -f web.yaml --dry-run", "canaryctl apply -f web.yaml"),
		.run = cmd_apply,
	},
	{
		.name = "set-weight",
		.arguments = "PERCENT",
		.min_arguments = 1,
		.max_arguments = 1,
		.options = OPT(SERVICE) | OPT(NEW_SALT) | OPT(RESET) | OPT(DRAIN),
		.summary = "set the share of new flows that the canary gets",
		.details =
			"PERCENT is 0 to 100 with at most two decimals. Established flows stay where they are, unless "
			"--reset or --drain ends those (TCP) that are elsewhere than the new weight has them.",
		.examples = EXAMPLES("canaryctl set-weight 5", "canaryctl set-weight 12.5 --service web --new-salt",
				     "canaryctl set-weight 0 --drain 5m"),
		.run = cmd_set_weight,
	},
	{
		.name = "stop",
		.arguments = "",
		.options = OPT(RESET) | OPT(DRAIN),
		.summary = "every service's canary to 0, now",
		.details = "The canary's connections live on, unless --reset or --drain ends them (TCP).",
		.examples = EXAMPLES("canaryctl stop", "canaryctl stop --reset"),
		.run = cmd_stop,
	},
	{
		.name = "stats",
		.arguments = "",
		.options = OPT(SERVICE) | OPT(WATCH),
		.summary = "what each cohort, backend and interface got",
		.examples = EXAMPLES("canaryctl stats", "canaryctl stats --service web --watch 5",
				     "canaryctl stats --json | jq '.services[0].cohorts.canary.flows'"),
		.run = cmd_stats,
	},
	{
		.name = "status",
		.arguments = "",
		.summary = "where it is attached, program, services, windows",
		.details = "Exit code 1 where the sweeper in the kernel has stopped.",
		.examples = EXAMPLES("canaryctl status", "canaryctl status --json"),
		.run = cmd_status,
	},
	{
		.name = "service add",
		.arguments = "NAME PROTO ADDRESS:PORT",
		.min_arguments = 3,
		.max_arguments = 3,
		.options =
			OPT(FORWARD) | OPT(AFFINITY) | OPT(TRACK) | OPT(OVERFLOW) | OPT(IDLE_TIMEOUT) | OPT(MAX_WINDOW),
		.summary = "add a service: an address, protocol and port to answer for",
		.details = "PROTO is tcp or udp; port 0 is every port.",
		.examples = EXAMPLES("canaryctl service add web tcp 203.0.113.10:80",
				     "canaryctl service add dns udp '[2001:db8::1]:53' --forward l2 --affinity client",
				     "canaryctl service add mqtt tcp 203.0.113.10:8883 --idle-timeout 2h"),
		.run = cmd_service_add,
	},
	{
		.name = "service del",
		.arguments = "NAME",
		.min_arguments = 1,
		.max_arguments = 1,
		.summary = "delete a service with its backends and segments",
		.examples = EXAMPLES("canaryctl service del web"),
		.run = cmd_service_del,
	},
	{
		.name = "service list",
		.arguments = "",
		.summary = "list the services",
		.examples = EXAMPLES("canaryctl service list --json"),
		.run = cmd_service_list,
	},
	{
		.name = "backend add",
		.arguments = "SERVICE COHORT ADDRESS[:PORT]",
		.min_arguments = 3,
		.max_arguments = 3,
		.options = OPT(WEIGHT),
		.summary = "add a backend, take a draining one back, change a weight",
		.details = "COHORT is stable or canary. The port is for nat; left out it is the service's.",
		.examples = EXAMPLES("canaryctl backend add web canary 10.0.0.21:8080",
				     "canaryctl backend add web stable 10.0.0.11:8080 --weight 2"),
		.run = cmd_backend_add,
	},
	{
		.name = "backend drain",
		.arguments = "SERVICE ADDRESS[:PORT]",
		.min_arguments = 2,
		.max_arguments = 2,
		.summary = "let a backend keep its flows and get no new ones",
		.examples = EXAMPLES("canaryctl backend drain web 10.0.0.11:8080"),
		.run = cmd_backend_drain,
	},
	{
		.name = "backend del",
		.arguments = "SERVICE ADDRESS[:PORT]",
		.min_arguments = 2,
		.max_arguments = 2,
		.options = OPT(FORCE),
		.summary = "delete a backend: its flows go to others",
		.examples = EXAMPLES("canaryctl backend del web 10.0.0.11:8080"),
		.run = cmd_backend_del,
	},
	{
		.name = "backend list",
		.arguments = "[SERVICE]",
		.max_arguments = 1,
		.summary = "list the backends",
		.examples = EXAMPLES("canaryctl backend list web"),
		.run = cmd_backend_list,
	},
	{
		.name = "segment add",
		.arguments = "SERVICE PREFIX COHORT",
		.min_arguments = 3,
		.max_arguments = 3,
		.summary = "pin the clients of a prefix to a cohort",
		.details = "The longest prefix that a client is in decides, before the weight does.",
		.examples = EXAMPLES("canaryctl segment add web 198.51.100.0/24 canary"),
		.run = cmd_segment_add,
	},
	{
		.name = "segment del",
		.arguments = "SERVICE PREFIX",
		.min_arguments = 2,
		.max_arguments = 2,
		.summary = "unpin the clients of a prefix",
		.examples = EXAMPLES("canaryctl segment del web 198.51.100.0/24"),
		.run = cmd_segment_del,
	},
	{
		.name = "segment list",
		.arguments = "[SERVICE]",
		.max_arguments = 1,
		.summary = "list the segments",
		.examples = EXAMPLES("canaryctl segment list"),
		.run = cmd_segment_list,
	},
	{
		.name = "flows list",
		.arguments = "",
		.options = OPT(SERVICE) | OPT(BACKEND) | OPT(COHORT),
		.summary = "list the flows that are remembered",
		.details =
			"Those that the configuration in force would choose otherwise; with nat and sticky UDP, all.",
		.examples = EXAMPLES("canaryctl flows list --backend 10.0.0.11", "canaryctl flows list --json"),
		.run = cmd_flows_list,
	},
	{
		.name = "flows count",
		.arguments = "",
		.options = OPT(SERVICE) | OPT(BACKEND) | OPT(COHORT),
		.summary = "how many are remembered of each backend",
		.examples = EXAMPLES("canaryctl flows count", "canaryctl flows count --service web --cohort canary"),
		.run = cmd_flows_count,
	},
	{
		.name = "flows flush",
		.arguments = "",
		.options = OPT(SERVICE) | OPT(BACKEND) | OPT(COHORT) | OPT(ALL),
		.summary = "forget flows: their next packet is chosen for anew",
		.details = "Connections that are moved so break: another backend does not know them.",
		.examples =
			EXAMPLES("canaryctl flows flush --backend 10.0.0.11:8080",
				 "canaryctl flows flush --service web --cohort canary", "canaryctl flows flush --all"),
		.run = cmd_flows_flush,
	},
	{
		.name = "explain",
		.arguments = "CLIENT:PORT",
		.min_arguments = 1,
		.max_arguments = 1,
		.options = OPT(SERVICE) | OPT(PORT),
		.summary = "where a client's flow goes, and why",
		.examples = EXAMPLES("canaryctl explain 198.51.100.7:40000",
				     "canaryctl explain '[2001:db8::7]:40000' --service web6"),
		.run = cmd_explain,
	},
	{
		.name = "validate",
		.arguments = "FILE",
		.min_arguments = 1,
		.max_arguments = 1,
		.summary = "check a configuration; needs no privileges",
		.examples = EXAMPLES("canaryctl validate web.yaml"),
		.run = cmd_validate,
	},
	{
		.name = "upgrade",
		.arguments = "",
		.summary = "replace the running program by this one's, in place",
		.details = "Interfaces, services, flows and counters stay as they are, and no packet is missed.",
		.examples = EXAMPLES("canaryctl upgrade"),
		.run = cmd_upgrade,
	},
	{
		.name = "version",
		.arguments = "",
		.summary = "the version of this program and of its data plane",
		.examples = EXAMPLES("canaryctl version --json"),
		.run = cmd_version,
	},
	{
		.name = "help",
		.arguments = "[COMMAND]",
		.max_arguments = 2,
		.summary = "this list, or a command's options and examples",
		.examples = EXAMPLES("canaryctl help set-weight", "canaryctl help backend add"),
		.run = cmd_help,
	},
	{},
};

#define MAX_ARGUMENTS 256

struct invocation {
	struct args args;
	struct cli cli;
	const char *words[2]; /* of the command's name */
	int word_count;
	const char *arguments[MAX_ARGUMENTS];
};

static const struct command *find_command(const char *const *words, int count)
{
	char name[64] = "";

	/* A word that is too long for a name is none. */
	if (snprintf(name, sizeof(name), "%s%s%s", words[0], count > 1 ? " " : "", count > 1 ? words[1] : "") >=
	    (int)sizeof(name))
		return NULL;
	for (const struct command *command = cli_commands; command->name; command++)
		if (!strcmp(command->name, name))
			return command;
	return NULL;
}

/* Is there a --json before "--"? Wanted before the parser can say so: its own errors are to be JSON as well. */
static bool wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--json"))
			return true;
	return false;
}

/* Takes the command's words. 1: there is a command; 0: help was asked for instead; -EINVAL. */
static int parse_command(struct invocation *invocation, struct error *error)
{
	struct args *args = &invocation->args;
	struct cli *cli = &invocation->cli;
	int more = 1;

	args->allowed = OPTIONS_GLOBAL;
	do {
		more = args_next(args, &invocation->words[invocation->word_count], error);
		if (more < 0)
			return more;
		invocation->word_count += more;
	} while (more && invocation->word_count == 1 && is_family(invocation->words[0]));

	if (args->values[OPT_HELP] && (!invocation->word_count || !more))
		return 0;
	if (!invocation->word_count)
		return fail(error, -EINVAL, "a command is missing: see canaryctl help");
	cli->command = find_command(invocation->words, invocation->word_count);
	if (!cli->command) {
		help_unknown(invocation->words, invocation->word_count, error);
		return -EINVAL;
	}
	args->command = cli->command->name;
	args->allowed |= cli->command->options;
	return 1;
}

static int check_arguments(const struct cli *cli, struct error *error)
{
	const struct command *command = cli->command;

	for (int i = 0; i < OPTIONS; i++) {
		if ((command->required >> i & 1) && !cli->values[i])
			return fail(error, -EINVAL, "%s needs -%c %s: see canaryctl help %s", command->name,
				    cli_options[i].letter, cli_options[i].value, command->name);
	}
	if (!*command->arguments && cli->argument_count)
		return fail(error, -EINVAL, "%s takes no arguments, but \"%s\" is given: see canaryctl help %s",
			    command->name, cli->arguments[0], command->name);
	if (cli->argument_count < command->min_arguments)
		return fail(error, -EINVAL, "too few arguments: canaryctl %s %s", command->name, command->arguments);
	if (command->max_arguments >= 0 && cli->argument_count > command->max_arguments)
		return fail(error, -EINVAL, "too many arguments, \"%s\" is one: canaryctl %s %s",
			    cli->arguments[command->max_arguments], command->name, command->arguments);
	return 0;
}

/* What an option says, or else the environment. */
static const char *place(const struct args *args, enum cli_option option, const char *variable, const char *otherwise)
{
	const char *environment = getenv(variable);

	if (args->values[option])
		return args->values[option];
	return environment && *environment ? environment : otherwise;
}

/* As parse_command(). */
static int parse(struct invocation *invocation, struct error *error)
{
	struct args *args = &invocation->args;
	struct cli *cli = &invocation->cli;
	const char *argument;
	int more = parse_command(invocation, error);

	if (more <= 0)
		return more;
	while ((more = args_next(args, &argument, error)) > 0) {
		if (cli->argument_count == MAX_ARGUMENTS)
			return fail(error, -EINVAL, "more than %d arguments", MAX_ARGUMENTS);
		invocation->arguments[cli->argument_count++] = argument;
	}
	if (more < 0)
		return more;
	if (args->values[OPT_HELP])
		return 0;

	cli->arguments = invocation->arguments;
	cli->values = args->values;
	cli->dir = place(args, OPT_BPFFS, "CANARYCTL_BPFFS", DATAPLANE_DEFAULT_DIR);
	cli->key_file = place(args, OPT_KEY_FILE, "CANARYCTL_KEY_FILE", DATAPLANE_DEFAULT_KEY_FILE);
	dataplane_use_key_file(cli->key_file);
	more = check_arguments(cli, error);
	return more ? more : 1;
}

int main(int argc, char **argv)
{
	struct invocation invocation = {};
	struct cli *cli = &invocation.cli;
	struct error error = {};
	int parsed, code;

	output_init();
	cli->json = wants_json(argc, argv);
	cli->colour = output_wants_colour();
	args_init(&invocation.args, cli_options, OPTIONS, argc, argv);
	parsed = parse(&invocation, &error);
	if (parsed < 0)
		code = CLI_USAGE;
	else if (parsed == 0)
		code = help_print(invocation.words, invocation.word_count, &error);
	else
		code = cli->command->run(cli, &error);

	if (code != CLI_DONE)
		print_error(cli->json, error.text);
	if (!output_flush()) {
		/* Whoever closed the pipe knows that; a full disk is news. */
		if (errno != EPIPE) {
			fail(&error, 0, "cannot write the output: %s", strerror(errno));
			print_error(cli->json, error.text);
		}
		code = code == CLI_DONE ? CLI_FAILED : code;
	}
	return code;
}
