/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl complete: what may come next on a command line, for shells; all from the tables of commands and options. */
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/change.h"
#include "cli/cli.h"

#define FILES ":files" /* the shell knows better which there are */

/* What was typed before the word to complete. */
struct typed {
	const struct cli *cli;
	const struct command *command; /* NULL: not all of its name yet */
	const char *family; /* the first word of one that has two */
	int argument_count;
	const struct arg_option *waits; /* an option that needs its value */
};

static const struct arg_option *find_option(const char *word)
{
	for (int i = 0; i < OPTIONS; i++) {
		char text[64];

		if (!strncmp(word, "--", 2) && !strcmp(word + 2, cli_options[i].name))
			return &cli_options[i];
		if (cli_options[i].letter && !strcmp(word, arg_option_text(&cli_options[i], text)))
			return &cli_options[i];
	}
	return NULL;
}

static void take(struct typed *typed, const char *word)
{
	const struct arg_option *option = find_option(word);

	if (typed->waits)
		typed->waits = NULL;
	else if (word[0] == '-')
		typed->waits = option && option->value && !option->optional ? option : NULL;
	else if (typed->command)
		typed->argument_count++;
	else if (!typed->family && is_family(word))
		typed->family = word;
	else
		typed->command = command_find(typed->family ? typed->family : word, typed->family ? word : NULL);
}

static void offer(const char *prefix, const char *candidate, const char *help)
{
	if (!strncmp(candidate, prefix, strlen(prefix)))
		printf("%s%s%s\n", candidate, help ? "\t" : "", help ? help : "");
}

static void offer_commands(const char *family, const char *prefix)
{
	size_t family_len = family ? strlen(family) : 0;
	char word[64] = "";

	for (const struct command *command = command_next(NULL); command; command = command_next(command)) {
		const char *name = command->name;
		size_t len;

		if (family && (strncmp(name, family, family_len) || name[family_len] != ' '))
			continue;
		if (family) {
			offer(prefix, name + family_len + 1, command->summary);
			continue;
		}
		len = strcspn(name, " ");
		if (!strncmp(word, name, len) && !word[len])
			continue; /* the family is there already */
		snprintf(word, sizeof(word), "%.*s", (int)len, name);
		offer(prefix, word, name[len] ? "" : command->summary);
	}
}

static void offer_options(const struct command *command, const char *prefix)
{
	for (int i = 0; i < OPTIONS; i++) {
		char text[64];

		if (!((command->options | OPTIONS_GLOBAL) >> i & 1))
			continue;
		snprintf(text, sizeof(text), "--%s", cli_options[i].name);
		offer(prefix, text, cli_options[i].help);
	}
}

static void offer_services(const struct cli *cli, const char *prefix)
{
	struct dataplane *dataplane;
	struct model model;
	struct error error;

	if (read_running(cli, NULL, &dataplane, &model, &error))
		return; /* whoever may not look gets no proposals */
	for (size_t i = 0; i < model.service_count; i++)
		offer(prefix, model.services[i].name, NULL);
	model_free(&model);
	dataplane_close(dataplane);
}

static void offer_interfaces(const char *prefix)
{
	struct if_nameindex *interfaces = if_nameindex();

	for (size_t i = 0; interfaces && interfaces[i].if_name; i++)
		offer(prefix, interfaces[i].if_name, NULL);
	if_freenameindex(interfaces);
}

/* "auto|native|generic": those that are words of their own. */
static void offer_choices(const char *choices, const char *prefix)
{
	while (*choices) {
		size_t len = strcspn(choices, "|");
		char word[64];

		snprintf(word, sizeof(word), "%.*s", (int)len, choices);
		if (word[0] < 'A' || word[0] > 'Z')
			offer(prefix, word, NULL);
		choices += len + (choices[len] == '|');
	}
}

/* By what a usage line calls it: an option's value, or an argument without its brackets and dots. */
static void offer_values(const struct cli *cli, const char *kind, const char *prefix)
{
	if (strchr(kind, '|'))
		offer_choices(kind, prefix);
	else if (!strcmp(kind, "FILE") || !strcmp(kind, "DIR") || !strcmp(kind, "PATH"))
		puts(FILES);
	else if (!strcmp(kind, "SERVICE") || !strcmp(kind, "NAME"))
		offer_services(cli, prefix);
	else if (!strcmp(kind, "IFACE"))
		offer_interfaces(prefix);
	else if (!strcmp(kind, "COHORT"))
		offer_choices("stable|canary", prefix);
	else if (!strcmp(kind, "PROTO"))
		offer_choices("tcp|udp", prefix);
	else if (!strcmp(kind, "COMMAND"))
		offer_commands(NULL, prefix);
}

/* The usage line's word for the argument: the last one again where there may be any number. */
static void offer_argument(const struct typed *typed, const char *prefix)
{
	const char *arguments = typed->command->arguments;
	char kind[64] = "";

	for (int i = 0; *arguments; i++) {
		size_t len = strcspn(arguments, " ");

		snprintf(kind, sizeof(kind), "%.*s", (int)len, arguments);
		if (i == typed->argument_count)
			break;
		if (!strstr(kind, "..."))
			kind[0] = '\0';
		arguments += len + (arguments[len] == ' ');
	}
	if (kind[0] == '[')
		memmove(kind, kind + 1, strlen(kind));
	kind[strcspn(kind, ".]")] = '\0';
	offer_values(typed->cli, kind, prefix);
}

int cmd_complete(const struct cli *cli, struct error *error)
{
	const char *prefix = cli->argument_count ? cli->arguments[cli->argument_count - 1] : "";
	struct typed typed = {.cli = cli};

	(void)error;
	for (int i = 0; i + 1 < cli->argument_count; i++)
		take(&typed, cli->arguments[i]);
	if (typed.waits)
		offer_values(cli, typed.waits->value, prefix);
	else if (!typed.command)
		offer_commands(typed.family, prefix);
	else if (prefix[0] == '-')
		offer_options(typed.command, prefix);
	else
		offer_argument(&typed, prefix);
	return CLI_DONE;
}
