/* SPDX-License-Identifier: Apache-2.0 */
/* The mapping `health` of a service. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/health_plan.h"
#include "core/text.h"
#include "io/config_schema.h"

#define DAMPING_MAX 3600
#define INTERVAL_MIN 100

#define TEXT_OF health_text
const cyaml_schema_field_t health_fields[] = {HEALTH_KEYS(TEXT) CYAML_FIELD_END};
#undef TEXT_OF

static int read_health_type(const char *text, struct health_plan *plan, struct problem *problem)
{
	return parse_health_type(text, &plan->type) < 0
		       ? refuse_word(problem, text, "a kind of check", health_type_names())
		       : 0;
}

static int read_time(const char *text, unsigned *ret, struct problem *problem)
{
	if (parse_milliseconds(text, INTERVAL_MIN, HEALTH_INTERVAL_MAX, ret) < 0)
		return refuse_text(problem, "'%s' is not a time from 100ms to 10m: give it like 500ms or 2s", text);
	return 0;
}

static int read_health_interval(const char *text, struct health_plan *plan, struct problem *problem)
{
	return read_time(text, &plan->interval, problem);
}

static int read_health_timeout(const char *text, struct health_plan *plan, struct problem *problem)
{
	return read_time(text, &plan->timeout, problem);
}

static int read_count(const char *text, unsigned *ret, struct problem *problem)
{
	if (parse_unsigned(text, 1, HEALTH_COUNT_MAX, ret) < 0)
		return refuse_text(problem, "'%s' is not a number of checks: give a whole number from 1 to %d", text,
				   HEALTH_COUNT_MAX);
	return 0;
}

static int read_health_rise(const char *text, struct health_plan *plan, struct problem *problem)
{
	return read_count(text, &plan->rise, problem);
}

static int read_health_fall(const char *text, struct health_plan *plan, struct problem *problem)
{
	return read_count(text, &plan->fall, problem);
}

static int read_seconds(const char *text, unsigned max, unsigned *ret, struct problem *problem)
{
	if (parse_duration(text, 0, max, ret) < 0)
		return refuse_text(problem, "'%s' is not a time from 0 to 1h: give it like 30s or 5m", text);
	return 0;
}

static int read_health_damping(const char *text, struct health_plan *plan, struct problem *problem)
{
	return read_seconds(text, DAMPING_MAX, &plan->damping, problem);
}

static int read_health_slow_start(const char *text, struct health_plan *plan, struct problem *problem)
{
	return read_seconds(text, HEALTH_SLOW_START_MAX, &plan->slow_start, problem);
}

static int read_health_port(const char *text, struct health_plan *plan, struct problem *problem)
{
	if (parse_port(text, &plan->port) < 0 || !plan->port)
		return refuse_text(problem, "'%s' is not a port: give a number from 1 to 65535, or leave it out", text);
	return 0;
}

static int read_line(const char *text, char ret[HEALTH_TEXT_LEN], struct problem *problem)
{
	if (strlen(text) >= HEALTH_TEXT_LEN)
		return refuse_text(problem, "it is longer than %d characters", HEALTH_TEXT_LEN - 1);
	strcpy(ret, text);
	return 0;
}

static int read_health_path(const char *text, struct health_plan *plan, struct problem *problem)
{
	return read_line(text, plan->path, problem);
}

static int read_health_host(const char *text, struct health_plan *plan, struct problem *problem)
{
	return read_line(text, plan->host, problem);
}

static int read_health_command(const char *text, struct health_plan *plan, struct problem *problem)
{
	return read_line(text, plan->command, problem);
}

#define READER(key) read_health_##key
static int read_keys(const struct health_text *text, const char *path, struct health_plan *ret, struct problem *problem)
{
	int err;

	HEALTH_KEYS(READ)
	return 0;
}
#undef READER

int read_health(const struct health_text *text, const char *path, struct health_plan *ret, struct problem *problem)
{
	struct problem found = {};
	int err;

	*ret = health_plan_default();
	err = read_keys(text, path, ret, problem);
	if (!err && !text->timeout && ret->timeout > ret->interval)
		ret->timeout = ret->interval;
	if (!err)
		err = health_plan_validate(ret, &found);
	if (found.text[0]) {
		snprintf(problem->path, sizeof(problem->path), "%.60s%.60s", path, found.path);
		snprintf(problem->text, sizeof(problem->text), "%s", found.text);
	}
	return err;
}
