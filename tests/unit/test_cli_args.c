/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The parser itself: linked as an object it would need the rest of the program. Before cmocka, which has a macro fail(). */
#include "cli/args.c"

#include <cmocka.h>

enum { FLAG, NAME, COUNT, HIDDEN, OPTION_COUNT };

static const struct arg_option options[OPTION_COUNT] = {
	[FLAG] = {.name = "json"},
	[NAME] = {.name = "service", .value = "NAME", .letter = 's'},
	[COUNT] = {.name = "watch", .value = "SECONDS", .optional = true},
	[HIDDEN] = {.name = "force"},
};

#define MAX_POSITIONAL 8

struct parsed {
	struct args args;
	const char *positional[MAX_POSITIONAL];
	int count;
	int err;
	struct error error;
};

/* Parses up to NULL; all options but HIDDEN are allowed. */
static struct parsed parse(const char *first, ...)
{
	char *argv[16] = {"canaryctl"};
	struct parsed parsed = {};
	va_list more;
	int argc = 1;

	va_start(more, first);
	for (const char *text = first; text; text = va_arg(more, const char *))
		argv[argc++] = (char *)text;
	va_end(more);
	args_init(&parsed.args, options, OPTION_COUNT, argc, argv);
	parsed.args.allowed = 1 << FLAG | 1 << NAME | 1 << COUNT;
	parsed.args.command = "stats";
	while ((parsed.err = args_next(&parsed.args, &parsed.positional[parsed.count], &parsed.error)) > 0)
		parsed.count++;
	return parsed;
}

static void assert_refused(const struct parsed *parsed, const char *sentence)
{
	assert_int_equal(parsed->err, -EINVAL);
	assert_string_equal(parsed->error.text, sentence);
}

static void takes_nothing(void **state)
{
	struct parsed parsed = parse(NULL);

	(void)state;
	assert_int_equal(parsed.err, 0);
	assert_int_equal(parsed.count, 0);
}

static void options_may_stand_before_among_and_after_arguments(void **state)
{
	struct parsed parsed = parse("--json", "web", "--service", "a", "canary", "--watch", NULL);

	(void)state;
	assert_int_equal(parsed.err, 0);
	assert_int_equal(parsed.count, 2);
	assert_string_equal(parsed.positional[0], "web");
	assert_string_equal(parsed.positional[1], "canary");
	assert_string_equal(parsed.args.values[FLAG], "");
	assert_string_equal(parsed.args.values[NAME], "a");
	assert_string_equal(parsed.args.values[COUNT], "");
	assert_null(parsed.args.values[HIDDEN]);
}

static void values_come_in_three_forms(void **state)
{
	struct parsed separate = parse("--service", "web", NULL), joined = parse("--service=web=1", NULL);
	struct parsed letter = parse("-s", "web", NULL), dash = parse("-s", "-", NULL);

	(void)state;
	assert_string_equal(separate.args.values[NAME], "web");
	assert_string_equal(joined.args.values[NAME], "web=1");
	assert_string_equal(letter.args.values[NAME], "web");
	assert_string_equal(dash.args.values[NAME], "-");
}

static void a_value_that_looks_like_an_option_needs_the_joined_form(void **state)
{
	struct parsed separate = parse("--service", "--json", NULL), joined = parse("--service=--json", NULL);

	(void)state;
	assert_refused(&separate, "--service needs a value: --service NAME");
	assert_int_equal(joined.err, 0);
	assert_string_equal(joined.args.values[NAME], "--json");
	assert_null(joined.args.values[FLAG]);
}

static void missing_and_empty_values_are_refused(void **state)
{
	struct parsed last = parse("-s", NULL), empty = parse("--service=", NULL), blank = parse("--service", "", NULL);

	(void)state;
	assert_refused(&last, "-s needs a value: -s NAME");
	assert_refused(&empty, "the value of --service is empty");
	assert_refused(&blank, "the value of --service is empty");
}

static void an_optional_value_is_taken_only_if_it_begins_with_a_digit(void **state)
{
	struct parsed number = parse("--watch", "2.5", "web", NULL), other = parse("--watch", "web", NULL);
	struct parsed joined = parse("--watch=soon", NULL);

	(void)state;
	assert_string_equal(number.args.values[COUNT], "2.5");
	assert_int_equal(number.count, 1);
	assert_string_equal(other.args.values[COUNT], "");
	assert_int_equal(other.count, 1);
	assert_string_equal(joined.args.values[COUNT], "soon");
}

static void two_dashes_end_the_options(void **state)
{
	struct parsed parsed = parse("--", "--json", "-s", "--", NULL);

	(void)state;
	assert_int_equal(parsed.err, 0);
	assert_int_equal(parsed.count, 3);
	assert_string_equal(parsed.positional[0], "--json");
	assert_string_equal(parsed.positional[2], "--");
	assert_null(parsed.args.values[FLAG]);
}

static void a_single_dash_and_an_empty_text_are_arguments(void **state)
{
	struct parsed parsed = parse("-", "", NULL);

	(void)state;
	assert_int_equal(parsed.err, 0);
	assert_int_equal(parsed.count, 2);
}

static void names_are_matched_whole(void **state)
{
	struct parsed prefix = parse("--serv", "web", NULL), longer = parse("--jsonx", NULL);
	struct parsed cluster = parse("-sweb", NULL), upper = parse("--JSON", NULL);

	(void)state;
	assert_refused(&prefix, "there is no option --serv: see canaryctl help stats");
	assert_refused(&longer, "there is no option --jsonx: is --json meant?");
	assert_refused(&cluster, "there is no option -sweb: see canaryctl help stats");
	assert_refused(&upper, "there is no option --JSON: see canaryctl help stats");
	assert_null(longer.args.values[FLAG]);
}

static void an_option_of_another_command_is_refused_as_such(void **state)
{
	struct parsed parsed = parse("--force", NULL);
	char *argv[] = {"canaryctl", "--force", NULL};
	struct error error;
	struct args early;
	const char *text;

	(void)state;
	assert_refused(&parsed, "--force is not an option of stats: see canaryctl help stats");
	args_init(&early, options, OPTION_COUNT, 2, argv);
	assert_int_equal(args_next(&early, &text, &error), -EINVAL);
	assert_string_equal(error.text, "--force belongs after the command");
}

static void a_flag_takes_no_value(void **state)
{
	struct parsed parsed = parse("--json=yes", NULL);

	(void)state;
	assert_refused(&parsed, "--json takes no value");
}

static void a_value_given_twice_is_refused_and_a_flag_is_not(void **state)
{
	struct parsed value = parse("--service", "a", "-s", "b", NULL), flag = parse("--json", "--json", NULL);

	(void)state;
	assert_refused(&value, "--service is given twice");
	assert_int_equal(flag.err, 0);
}

static void an_endless_option_is_refused(void **state)
{
	char text[5000];
	struct parsed parsed;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "--", 2);
	text[sizeof(text) - 1] = '\0';
	parsed = parse(text, NULL);
	assert_int_equal(parsed.err, -EINVAL);
}

static void distances_count_single_edits(void **state)
{
	char longest[256];

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(edit_distance("", ""), 0);
	assert_int_equal(edit_distance("", "abc"), 3);
	assert_int_equal(edit_distance("stats", "stats"), 0);
	assert_int_equal(edit_distance("stast", "stats"), 1);
	assert_int_equal(edit_distance("stat", "stats"), 1);
	assert_int_equal(edit_distance("status", "stats"), 1);
	assert_int_equal(edit_distance("dettach", "attach"), 2);
	assert_int_equal(edit_distance("kitten", "sitting"), 3);
	assert_true(edit_distance(longest, "a") > 2);
}

static void the_nearest_name_wins(void **state)
{
	unsigned distance = UINT_MAX;

	(void)state;
	assert_true(is_nearer("dettach", "attach", &distance));
	assert_true(is_nearer("dettach", "detach", &distance));
	assert_false(is_nearer("dettach", "attach", &distance));
	distance = UINT_MAX;
	assert_false(is_nearer("halt", "help", &distance));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_nothing),
		cmocka_unit_test(options_may_stand_before_among_and_after_arguments),
		cmocka_unit_test(values_come_in_three_forms),
		cmocka_unit_test(a_value_that_looks_like_an_option_needs_the_joined_form),
		cmocka_unit_test(missing_and_empty_values_are_refused),
		cmocka_unit_test(an_optional_value_is_taken_only_if_it_begins_with_a_digit),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(a_single_dash_and_an_empty_text_are_arguments),
		cmocka_unit_test(names_are_matched_whole),
		cmocka_unit_test(an_option_of_another_command_is_refused_as_such),
		cmocka_unit_test(a_flag_takes_no_value),
		cmocka_unit_test(a_value_given_twice_is_refused_and_a_flag_is_not),
		cmocka_unit_test(an_endless_option_is_refused),
		cmocka_unit_test(distances_count_single_edits),
		cmocka_unit_test(the_nearest_name_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
