/* SPDX-License-Identifier: Apache-2.0 */
/* Usage and help, all from the tables of commands and options. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"

#define NAME_WIDTH 17

bool is_family(const char *word)
{
	size_t len = strlen(word);

	for (const struct command *command = command_next(NULL); command; command = command_next(command))
		if (!strncmp(command->name, word, len) && command->name[len] == ' ')
			return true;
	return false;
}

static void print_usage(const struct command *command)
{
	printf("canaryctl %s%s%s", command->name, *command->arguments ? " " : "", command->arguments);
	for (int i = 0; i < OPTIONS; i++) {
		const struct arg_option *option = &cli_options[i];
		bool required = command->required >> i & 1;
		char text[64];

		if (!(command->options >> i & 1))
			continue;
		printf(" %s%s", required ? "" : "[", arg_option_text(option, text));
		if (option->value)
			printf(option->optional ? " [%s]" : " %s", option->value);
		printf("%s", required ? "" : "]");
	}
	putchar('\n');
}

static void print_options(unsigned long long options)
{
	for (int i = 0; i < OPTIONS; i++) {
		const struct arg_option *option = &cli_options[i];
		char left[96];

		if (!(options >> i & 1))
			continue;
		snprintf(left, sizeof(left), "%s%c%s--%s%s%s%s%s", option->letter ? "-" : "",
			 option->letter ? option->letter : ' ', option->letter ? ", " : "   ", option->name,
			 option->value ? " " : "", option->optional ? "[" : "", option->value ? option->value : "",
			 option->optional ? "]" : "");
		printf("  %-30s %s\n", left, option->help);
	}
}

static void print_command(const struct command *command)
{
	printf("usage: ");
	print_usage(command);
	printf("\n%s\n", command->summary);
	if (command->details)
		printf("%s\n", command->details);
	printf("\noptions:\n");
	print_options(command->options);
	print_options(OPTIONS_GLOBAL);
	printf("\nexamples:\n");
	for (const char *const *example = command->examples; *example; example++)
		printf("  %s\n", *example);
}

static void print_all(void)
{
	printf("usage: canaryctl COMMAND [ARGUMENTS] [OPTIONS]\n\n"
	       "Steers new connections to the stable and the canary backends of services by a weight.\n\ncommands:\n");
	for (const struct command *command = command_next(NULL); command; command = command_next(command))
		printf("  %-*s %s\n", NAME_WIDTH, command->name, command->summary);
	printf("\noptions of every command:\n");
	print_options(OPTIONS_GLOBAL);
	printf("\ncanaryctl help COMMAND says more. Exit codes: 0 done, 1 failed, 2 wrong usage,\n"
	       "3 a rollout that was waited for has not succeeded.\n");
}

static void print_family(const char *word)
{
	size_t len = strlen(word);

	for (const struct command *command = command_next(NULL); command; command = command_next(command)) {
		if (strncmp(command->name, word, len) || command->name[len] != ' ')
			continue;
		print_usage(command);
		printf("    %s\n", command->summary);
	}
	printf("\ncanaryctl help %s COMMAND says more.\n", word);
}

int help_print(const char *const *words, int count, struct error *error)
{
	const struct command *command;

	if (!count) {
		print_all();
		return CLI_DONE;
	}
	if (count == 1 && is_family(words[0])) {
		print_family(words[0]);
		return CLI_DONE;
	}
	command = command_find(words[0], count > 1 ? words[1] : NULL);
	if (!command)
		return help_unknown(words, count, error);
	print_command(command);
	return CLI_DONE;
}

/* "add, del, list": the commands of a family. */
static void family_words(const char *word, char *buf, size_t size)
{
	size_t len = strlen(word), at = 0;

	buf[0] = '\0';
	for (const struct command *command = command_next(NULL); command; command = command_next(command)) {
		if (strncmp(command->name, word, len) || command->name[len] != ' ' || at >= size)
			continue;
		at += snprintf(buf + at, size - at, "%s%s", at ? ", " : "", command->name + len + 1);
	}
}

int help_unknown(const char *const *words, int count, struct error *error)
{
	const char *nearest = NULL;
	unsigned distance = UINT_MAX;
	char name[64], family[256];

	if (count == 1 && is_family(words[0])) {
		family_words(words[0], family, sizeof(family));
		return fail(error, CLI_USAGE, "%s needs one of: %s", words[0], family);
	}
	snprintf(name, sizeof(name), "%s%s%s", words[0], count > 1 ? " " : "", count > 1 ? words[1] : "");
	for (const struct command *command = command_next(NULL); command; command = command_next(command))
		if (is_nearer(name, command->name, &distance))
			nearest = command->name;
	if (nearest)
		return fail(error, CLI_USAGE, "there is no command \"%s\": is \"%s\" meant?", name, nearest);
	if (count > 1 && is_family(words[0])) {
		family_words(words[0], family, sizeof(family));
		return fail(error, CLI_USAGE, "there is no command \"%s\", but of %s there are: %s", name, words[0],
			    family);
	}
	return fail(error, CLI_USAGE, "there is no command \"%s\": see canaryctl help", name);
}

int cmd_help(const struct cli *cli, struct error *error)
{
	return help_print(cli->arguments, cli->argument_count, error);
}
