/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line's options as data, and the parser of them. Names are matched whole, never by prefix; options and
 * positional arguments may be mixed; "--" ends the options. `--name VALUE`, `--name=VALUE` and `-n VALUE` are the forms.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

#define ARGS_MAX_OPTIONS 64

struct arg_option {
	const char *name; /* "service": given as --service */
	const char *value; /* what its value is called in a usage line: "NAME" or "auto|native"; NULL: a flag */
	const char *help;
	char letter; /* 'f': given as -f as well; 0: no short form */
	bool optional; /* the value may be left out: the next argument is it only if that begins with a digit */
};

struct args {
	const struct arg_option *options;
	size_t option_count; /* at most ARGS_MAX_OPTIONS */
	unsigned long long
		allowed; /* bit I: options[I] is accepted now; the caller widens it when it knows the command */
	const char *command; /* for messages; NULL: not known yet */
	int argc;
	char **argv;
	int next;
	bool ended; /* "--" was seen */
	const char *values[ARGS_MAX_OPTIONS]; /* NULL: not given; "": a flag, or an optional value left out */
};

/* argv[0] is skipped: it is the program. */
void args_init(struct args *args, const struct arg_option *options, size_t option_count, int argc, char **argv);

/*
 * Takes options up to and with the next positional argument. 1: *ret is that argument; 0: there are no more; -EINVAL
 * with a sentence: an option that is unknown, not allowed here, given twice with a value, or lacks its value. A value
 * that begins with '-' needs the form `--name=VALUE`.
 */
int args_next(struct args *args, const char **ret, struct error *error);

/* "--name", or "-f" where there is a letter. */
const char *arg_option_text(const struct arg_option *option, char buf[64]);

/* The edit distance of two names: insertions, deletions, substitutions and swapped neighbours. */
unsigned edit_distance(const char *a, const char *b);

/* Is `name` so near to what was typed that it may be meant, and nearer than *distance (UINT_MAX at first; updated)? */
bool is_nearer(const char *typed, const char *name, unsigned *distance);

#endif
