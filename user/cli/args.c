/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli/args.h"

void args_init(struct args *args, const struct arg_option *options, size_t option_count, int argc, char **argv)
{
	*args = (struct args){
		.options = options,
		.option_count = option_count,
		.argc = argc,
		.argv = argv,
		.next = 1,
	};
}

const char *arg_option_text(const struct arg_option *option, char buf[64])
{
	if (option->letter)
		snprintf(buf, 64, "-%c", option->letter);
	else
		snprintf(buf, 64, "--%s", option->name);
	return buf;
}

static bool is_allowed(const struct args *args, size_t option)
{
	return args->allowed >> option & 1;
}

/* Is `text` (without a "=VALUE") a form of this option? */
static bool is_form(const struct arg_option *option, const char *text, size_t len)
{
	if (len == 2 && text[0] == '-' && option->letter && text[1] == option->letter)
		return true;
	return len > 2 && !strncmp(text, "--", 2) && strlen(option->name) == len - 2 &&
	       !memcmp(option->name, text + 2, len - 2);
}

static int unknown_option(const struct args *args, const char *text, size_t len, struct error *error)
{
	const char *nearest = NULL;
	unsigned distance = UINT_MAX;
	char name[64];

	for (size_t i = 0; i < args->option_count; i++) {
		if (!is_form(&args->options[i], text, len))
			continue;
		if (args->command)
			return fail(error, -EINVAL, "%.*s is not an option of %s: see canaryctl help %s", (int)len,
				    text, args->command, args->command);
		return fail(error, -EINVAL, "%.*s belongs after the command", (int)len, text);
	}
	/* Without the dashes; what is too long to be a slip is no name. */
	snprintf(name, sizeof(name), "%.*s", len > 2 && len < sizeof(name) ? (int)len - 2 : 0, text + 2);
	for (size_t i = 0; i < args->option_count; i++)
		if (is_allowed(args, i) && is_nearer(name, args->options[i].name, &distance))
			nearest = args->options[i].name;
	if (nearest)
		return fail(error, -EINVAL, "there is no option %.*s: is --%s meant?", (int)len, text, nearest);
	return fail(error, -EINVAL, "there is no option %.*s: see canaryctl help%s%s", (int)len, text,
		    args->command ? " " : "", args->command ? args->command : "");
}

/* The value of an option whose text had none: the next argument, if that can be one. */
static const char *next_value(struct args *args, const struct arg_option *option)
{
	const char *value = args->next < args->argc ? args->argv[args->next] : NULL;

	if (!value || (option->optional ? !isdigit((unsigned char)value[0]) : value[0] == '-' && value[1]))
		return NULL;
	args->next++;
	return value;
}

static int take_option(struct args *args, const char *text, struct error *error)
{
	size_t len = strcspn(text, "="), at = 0;
	const struct arg_option *option;
	const char *value = text[len] ? text + len + 1 : NULL;

	while (at < args->option_count && !(is_allowed(args, at) && is_form(&args->options[at], text, len)))
		at++;
	if (at == args->option_count)
		return unknown_option(args, text, len, error);

	option = &args->options[at];
	if (!option->value) {
		if (value)
			return fail(error, -EINVAL, "--%s takes no value", option->name);
		args->values[at] = "";
		return 0;
	}
	if (args->values[at])
		return fail(error, -EINVAL, "--%s is given twice", option->name);
	if (value && !*value)
		return fail(error, -EINVAL, "the value of --%s is empty", option->name);
	if (!value)
		value = next_value(args, option);
	if (!value && !option->optional)
		return fail(error, -EINVAL, "%.*s needs a value: %.*s %s", (int)len, text, (int)len, text,
			    option->value);
	if (value && !*value)
		return fail(error, -EINVAL, "the value of --%s is empty", option->name);
	args->values[at] = value ? value : "";
	return 0;
}

int args_next(struct args *args, const char **ret, struct error *error)
{
	while (args->next < args->argc) {
		const char *text = args->argv[args->next++];
		int err;

		if (args->ended || text[0] != '-' || !text[1]) {
			*ret = text;
			return 1;
		}
		if (!strcmp(text, "--")) {
			args->ended = true;
			continue;
		}
		err = take_option(args, text, error);
		if (err)
			return err;
	}
	return 0;
}

#define DISTANCE_MAX_LEN 63

static unsigned min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned edit_distance(const char *a, const char *b)
{
	/* Three rows of the usual table: a swap looks two rows back. */
	unsigned rows[3][DISTANCE_MAX_LEN + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > DISTANCE_MAX_LEN || b_len > DISTANCE_MAX_LEN)
		return DISTANCE_MAX_LEN;
	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			row[j] = min(above[j - 1] + (a[i - 1] != b[j - 1]), min(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = min(row[j], above2[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

bool is_nearer(const char *typed, const char *name, unsigned *distance)
{
	/* Short names have near neighbours that mean something else: one edit for them, two for longer ones. */
	unsigned edits = edit_distance(typed, name), bound = strlen(name) > 5 ? 2 : 1;

	if (edits > bound || edits >= *distance)
		return false;
	*distance = edits;
	return true;
}
