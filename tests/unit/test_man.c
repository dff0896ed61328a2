/* SPDX-License-Identifier: Apache-2.0 */
/* The man pages' tables are written out: what is added to the lists in the code must be added there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <linux/types.h>

/* Before cmocka, which has a macro fail(). */
#include "core/rollout.h"
#include "io/config_schema.h"

#include <cmocka.h>

#include "canary/capture.h"
#include "canary/counters.h"
#include "canary/decap.h"
#include "canary/events.h"
#include "canary/outcomes.h"
#include "canary/reasons.h"
#include "cli/doctor_checks.h"

static char page[1 << 17];
static char config_page[1 << 15]; /* canary.yaml(5) */
static char tables[1 << 17]; /* of commands and options */

static int read_file(const char *path, char *buf, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t len;

	if (!file)
		return -1;
	len = fread(buf, 1, size - 1, file);
	fclose(file);
	return len && len < size - 1 ? 0 : -1;
}

static int read_page(void **state)
{
	static const char *const sources[] = {"user/cli/commands.c", "user/cli/commands_rollout.c",
					      "user/cli/commands_fleet.c", "user/cli/options.c"};

	(void)state;
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		size_t len = strlen(tables);

		if (read_file(sources[i], tables + len, sizeof(tables) - len))
			return -1;
	}
	return read_file("user/man/canaryctl.8.scd", page, sizeof(page)) ||
	       read_file("user/man/canary.yaml.5.scd", config_page, sizeof(config_page));
}

/* A row of a table: "[[ *name*\n:< help\n" or "|  *name*\n:  help\n". */
static void assert_explained(const char *name, const char *help)
{
	char first[512], other[512];

	snprintf(first, sizeof(first), "[[ *%s*\n:< %s\n", name, help);
	snprintf(other, sizeof(other), "|  *%s*\n:  %s\n", name, help);
	if (!strstr(page, first) && !strstr(page, other))
		fail_msg("no row says:\n%s", other);
}

static void every_counter_is_explained(void **state)
{
	(void)state;
#define X(NAME, name, help) assert_explained(#name, help);
	CANARY_COHORT_COUNTER_LIST(X)
	CANARY_BACKEND_COUNTER_LIST(X)
	CANARY_INTERFACE_COUNTER_LIST(X)
	CANARY_CAPTURE_COUNT_LIST(X)
#undef X
}

static void every_drop_reason_is_explained(void **state)
{
	(void)state;
#define X(NAME, name, SCOPE, help) assert_explained(#name, help);
	CANARY_REASON_LIST(X)
#undef X
}

/* A row of several cells. */
static void assert_row(const char *name, const char *cells)
{
	char row[512];

	snprintf(row, sizeof(row), "|  *%s*\n%s", name, cells);
	if (!strstr(page, row))
		fail_msg("no row says:\n%s", row);
}

static void every_counter_of_decap_is_explained(void **state)
{
	(void)state;
#define X(NAME, name, VERDICT, help) assert_explained(#name, help);
	CANARY_DECAP_LIST(X)
#undef X
}

static void every_outcome_is_explained(void **state)
{
	char cells[512];

	(void)state;
#define ALWAYS "all"
#define NAT "nat"
#define SUCCESS "success"
#define HARD "failure"
#define SOFT "soft failure"
#define NONE "-"
#define X(NAME, name, SEEN, KIND, help)                                                                                \
	snprintf(cells, sizeof(cells), ":  %s\n:  %s\n:  %s\n", SEEN, KIND, help);                                     \
	assert_row(#name, cells);
	CANARY_OUTCOME_LIST(X)
#undef X
#define X(NAME, name, SEEN, help)                                                                                      \
	snprintf(cells, sizeof(cells), ":  %s\n:  %s\n", SEEN, help);                                                  \
	assert_row(#name, cells);
	CANARY_HISTOGRAM_LIST(X)
#undef X
}

static void every_check_of_doctor_is_explained(void **state)
{
	(void)state;
#define X(name, help) assert_explained(#name, help);
	DOCTOR_CHECKS(X)
#undef X
}

static void every_type_of_event_has_a_row(void **state)
{
	(void)state;
#define X(NAME, name, help) assert_row(#name, ":  ");
	CANARY_EVENT_LIST(X)
#undef X
}

/* Each `.name = "..."` of the tables, of an option where the line begins with [OPT_. */
static void every_command_and_option_is_explained(void **state)
{
	int commands = 0, options = 0;

	(void)state;
	for (char *line = strtok(tables, "\n"); line; line = strtok(NULL, "\n")) {
		char *name = strstr(line, ".name = \""), wanted[128];
		bool option = strstr(line, "[OPT_");

		if (!name)
			continue;
		name += strlen(".name = \"");
		name[strcspn(name, "\"")] = '\0';
		snprintf(wanted, sizeof(wanted), option ? "*--%s*" : "\n*%s*", name);
		/* Documented by its letter. */
		if (!strcmp(name, "file"))
			snprintf(wanted, sizeof(wanted), "*-f*");
		if (!strstr(page, wanted))
			fail_msg("nothing about %s", wanted);
		*(option ? &options : &commands) += 1;
	}
	assert_true(commands > 20 && options > 20);
}

static void assert_named(const char *text, const char *form, const char *name)
{
	char wanted[128];

	snprintf(wanted, sizeof(wanted), form, name);
	if (!strstr(text, wanted))
		fail_msg("nothing about %s", wanted);
}

static void every_key_of_a_configuration_is_explained(void **state)
{
	(void)state;
#define X(key, ...) assert_named(config_page, "*%s*", #key);
	SERVICE_KEYS(X)
	BACKEND_KEYS(X)
	SEGMENT_KEYS(X)
	OBSERVE_KEYS(X)
	BREAKER_KEYS(X)
	LEASE_KEYS(X)
	HEALTH_KEYS(X)
	ROLLOUT_KEYS(X)
	STEP_KEYS(X)
	GATE_KEYS(X)
	HOOK_KEYS(X)
	FLEET_KEYS(X)
	TLS_KEYS(X)
#undef X
#define X(name, word, ...) assert_named(config_page, "|  *%s*\n", #word);
	GATE_TYPES(X)
#undef X
}

static void every_state_of_a_rollout_is_named(void **state)
{
	(void)state;
#define X(name, word) assert_named(page, "_%s_", #word);
	ROLLOUT_STATES(X)
#undef X
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_counter_is_explained),
		cmocka_unit_test(every_drop_reason_is_explained),
		cmocka_unit_test(every_counter_of_decap_is_explained),
		cmocka_unit_test(every_outcome_is_explained),
		cmocka_unit_test(every_check_of_doctor_is_explained),
		cmocka_unit_test(every_type_of_event_has_a_row),
		cmocka_unit_test(every_command_and_option_is_explained),
		cmocka_unit_test(every_key_of_a_configuration_is_explained),
		cmocka_unit_test(every_state_of_a_rollout_is_named),
	};

	return cmocka_run_group_tests(tests, read_page, NULL);
}
