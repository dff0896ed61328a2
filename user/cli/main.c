/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl: parsing by the tables of commands.c and options.c, and main(). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/daemon_client.h"
#include "cli/output.h"
#include "core/text.h"
#include "dataplane/dataplane.h"

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
	cli->socket = place(args, OPT_SOCKET, "CANARYD_SOCKET", DAEMON_DEFAULT_SOCKET);
	dataplane_use_key_file(cli->key_file);
	more = check_arguments(cli, error);
	if (!more)
		more = use_max_flows(cli->values[OPT_MAX_FLOWS], error);
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
