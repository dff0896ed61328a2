/* SPDX-License-Identifier: Apache-2.0 */
/* A command line, parsed by the tables of commands.c and options.c. */
#ifndef CLI_INVOCATION_H
#define CLI_INVOCATION_H

#include "cli/cli.h"

#define INVOCATION_MAX_ARGUMENTS 256

struct invocation {
	struct args args;
	struct cli cli; /* for the command's run(), but for how it prints: json and colour are the caller's to set */
	const char *words[2]; /* of the command's name */
	int word_count;
	const char *arguments[INVOCATION_MAX_ARGUMENTS];
};

/* Points into itself and argv. 1: there is a command to run; 0: help was asked for instead; -EINVAL with a sentence. */
int invocation_parse(struct invocation *invocation, int argc, char **argv, struct error *error);

#endif
