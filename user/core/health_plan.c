/* SPDX-License-Identifier: Apache-2.0 */
#include "core/health_plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define INTERVAL_DEFAULT 2000
#define TIMEOUT_DEFAULT 1000
#define RISE_DEFAULT 2
#define FALL_DEFAULT 3
#define DAMPING_DEFAULT 300

#define WORD(name, word) #word,
static const char *const type_words[] = {HEALTH_TYPES(WORD)};

int parse_health_type(const char *text, enum health_type *ret)
{
	for (int i = 0; i < HEALTH_TYPE_COUNT; i++) {
		if (!strcmp(type_words[i], text)) {
			*ret = (enum health_type)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *health_type_name(enum health_type type)
{
	return (unsigned)type < HEALTH_TYPE_COUNT ? type_words[type] : "unknown";
}

const char *health_type_names(void)
{
	return "tcp, http or command";
}

struct health_plan health_plan_default(void)
{
	return (struct health_plan){
		.interval = INTERVAL_DEFAULT,
		.timeout = TIMEOUT_DEFAULT,
		.rise = RISE_DEFAULT,
		.fall = FALL_DEFAULT,
		.damping = DAMPING_DEFAULT,
		.path = "/",
	};
}

static int refuse(struct problem *problem, const char *path, const char *text)
{
	snprintf(problem->path, sizeof(problem->path), "%s", path);
	snprintf(problem->text, sizeof(problem->text), "%s", text);
	return -EINVAL;
}

/* They go into a request as they are: a blank or the end of a line would end them there. */
static bool is_one_word(const char *text)
{
	while (*text && (unsigned char)*text > ' ' && *text != 0x7f)
		text++;
	return !*text;
}

int health_plan_validate(const struct health_plan *plan, struct problem *ret)
{
	const struct health_plan usual = health_plan_default();
	bool http = plan->type == HEALTH_TYPE_HTTP, command = plan->type == HEALTH_TYPE_COMMAND;

	if (plan->timeout > plan->interval)
		return refuse(ret, "timeout",
			      "a check has to be over before the next one begins: give at most interval");
	if (!http && strcmp(plan->path, usual.path))
		return refuse(ret, "path", "only an http check asks for a path: give `type: http`, or leave it out");
	if (!http && plan->host[0])
		return refuse(ret, "host", "only an http check names a host: give `type: http`, or leave it out");
	if (plan->path[0] != '/')
		return refuse(ret, "path", "a path begins with '/'");
	if (!is_one_word(plan->path))
		return refuse(ret, "path", "a path has no blanks and no control characters: write a blank as %20");
	if (!is_one_word(plan->host))
		return refuse(ret, "host", "a host has no blanks and no control characters");
	if (command && !plan->command[0])
		return refuse(ret, "command", "a command check needs a command");
	if (!command && plan->command[0])
		return refuse(ret, "command", "only a command check runs one: give `type: command`, or leave it out");
	if (command && plan->port)
		return refuse(ret, "port", "a command knows where to look by itself: leave it out");
	return 0;
}
