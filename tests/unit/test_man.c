/* SPDX-License-Identifier: Apache-2.0 */
/* The man page's tables are written out: what is added to the lists in include/canary/ must be added there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <linux/types.h>

#include <cmocka.h>

#include "canary/counters.h"
#include "canary/reasons.h"

static char page[1 << 16];

static int read_page(void **state)
{
	FILE *file = fopen("user/man/canaryctl.8.scd", "r");
	size_t len;

	(void)state;
	if (!file)
		return -1;
	len = fread(page, 1, sizeof(page) - 1, file);
	fclose(file);
	return len && len < sizeof(page) - 1 ? 0 : -1;
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
#undef X
}

static void every_drop_reason_is_explained(void **state)
{
	(void)state;
#define X(NAME, name, SCOPE, help) assert_explained(#name, help);
	CANARY_REASON_LIST(X)
#undef X
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_counter_is_explained),
		cmocka_unit_test(every_drop_reason_is_explained),
	};

	return cmocka_run_group_tests(tests, read_page, NULL);
}
