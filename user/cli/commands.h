/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the table of commands are written in. Each ends with an entry that has no name, and says which part comes
 * next: commands.c begins it, and walks over all.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/cli.h"

/* The arguments of a usage line, how many at least, and how many at most (-1: any number). */
#define TAKES(words, min, max) .arguments = (words), .min_arguments = (min), .max_arguments = (max)
#define EXAMPLES(...) ((const char *const[]){__VA_ARGS__, NULL})

extern const struct command cli_rollout_commands[];
extern const struct command cli_fleet_commands[];
extern const struct command cli_program_commands[];

#endif
