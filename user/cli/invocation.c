/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/invocation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/daemon_client.h"
#include "core/text.h"
#include "dataplane/dataplane.h"

/* Takes the command's words. 1: there is a command; 0: help was asked for instead; -EINVAL. */
static int parse_command(struct invocation *invocation, struct error *error)
{
	struct args *args = &invocation->args;
	struct cli *cli = &invocation->cli;
	int more = 1;

	/* It says whom the command is to ask, so it may come before it. */
	args->allowed = OPTIONS_GLOBAL | OPT(FLEET);
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
	cli->command = command_find(invocation->words[0], invocation->word_count > 1 ? invocation->words[1] : NULL);
	if (!cli->command) {
		help_unknown(invocation->words, invocation->word_count, error);
		return -EINVAL;
	}
	args->command = cli->command->name;
	args->allowed = OPTIONS_GLOBAL | cli->command->options;
	if (args->values[OPT_FLEET] && !(cli->command->options & OPT(FLEET)))
		return fail(error, -EINVAL, "%s is of this host alone: leave --fleet out", cli->command->name);
	return 1;
}

static int check_arguments(const struct cli *cli, struct error *error)
{
	const struct command *command = cli->command;
	char text[64];

	for (int i = 0; i < OPTIONS; i++) {
		if ((command->required >> i & 1) && !cli->values[i])
			return fail(error, -EINVAL, "%s needs %s %s: see canaryctl help %s", command->name,
				    arg_option_text(&cli_options[i], text), cli_options[i].value, command->name);
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

static int use_max_flows(const char *text, struct error *error)
{
	unsigned flows;

	if (!text)
		return 0;
	if (parse_unsigned(text, 1, DATAPLANE_MAX_FLOWS, &flows))
		return fail(error, -EINVAL, "--max-flows is 1 to %d, not \"%s\"", DATAPLANE_MAX_FLOWS, text);
	dataplane_use_max_flows(flows);
	return 0;
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
		if (cli->argument_count == INVOCATION_MAX_ARGUMENTS)
			return fail(error, -EINVAL, "more than %d arguments", INVOCATION_MAX_ARGUMENTS);
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
	cli->socket = place(args, OPT_SOCKET, "CANARYD_SOCKET", DAEMON_DEFAULT_SOCKET);
	dataplane_use_key_file(cli->key_file);
	more = check_arguments(cli, error);
	if (!more)
		more = use_max_flows(cli->values[OPT_MAX_FLOWS], error);
	return more ? more : 1;
}

int invocation_parse(struct invocation *invocation, int argc, char **argv, struct error *error)
{
	*invocation = (struct invocation){};
	args_init(&invocation->args, cli_options, OPTIONS, argc, argv);
	return parse(invocation, error);
}
