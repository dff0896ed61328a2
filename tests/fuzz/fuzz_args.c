/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line by the real tables of commands and options, one argument a line; nothing is run. And every argument
 * through the parsers of values: what they take is written as text that means the same.
 */
#include <string.h>

#include "cli/invocation.h"
#include "core/text.h"
#include "fuzz/fuzz.h"

enum { ARGUMENTS = 64, TEXT_MAX = 4096 };

static void check_addresses(const char *text)
{
	struct canary_addr addr, again;
	unsigned len, len_again;
	char buf[ADDR_TEXT_LEN];
	int port, port_again;

	if (!parse_addr(text, &addr) && (parse_addr(format_addr(&addr, buf), &again) || !addr_equal(&addr, &again)))
		fuzz_fail("the address %s is written as %s", text, buf);
	if (!parse_endpoint(text, &addr, &port) && port != PORT_DEFAULT &&
	    (parse_endpoint(format_endpoint(&addr, port, buf), &again, &port_again) || !addr_equal(&addr, &again) ||
	     port != port_again))
		fuzz_fail("the endpoint %s is written as %s", text, buf);
	if (!parse_prefix(text, &addr, &len) &&
	    (parse_prefix(format_prefix(&addr, len, buf), &again, &len_again) || !addr_equal(&addr, &again) ||
	     len != len_again || !prefix_is_clean(&addr, len)))
		fuzz_fail("the prefix %s is written as %s", text, buf);
}

static void check_numbers(const char *text)
{
	unsigned value, again;
	char buf[DURATION_TEXT_LEN];
	bool flag;
	int number;

	if (!parse_duration(text, 0, 100000000, &value) &&
	    (parse_duration(format_duration(value, buf), 0, 100000000, &again) || value != again))
		fuzz_fail("the duration %s is written as %s", text, buf);
	if (!parse_milliseconds(text, 0, 100000000, &value) &&
	    (parse_milliseconds(format_milliseconds(value, buf), 0, 100000000, &again) || value != again))
		fuzz_fail("the duration %s is written as %s", text, buf);
	if (!parse_hundredths(text, 0, 1000000, &value) &&
	    (parse_hundredths(format_hundredths(value, buf), 0, 1000000, &again) || value != again))
		fuzz_fail("the number %s is written as %s", text, buf);
	if (!parse_weight(text, &number) && (number < 0 || number > CANARY_WEIGHT_ONE))
		fuzz_fail("%s is taken for the weight %d", text, number);
	if (!parse_port(text, &number) && (number < 0 || number > 65535))
		fuzz_fail("%s is taken for the port %d", text, number);
	if (!parse_unsigned(text, 3, 300, &value) && (value < 3 || value > 300))
		fuzz_fail("%s is taken for %u", text, value);
	parse_bool(text, &flag);
	name_is_valid(text);
}

static void check_invocation(const struct invocation *invocation)
{
	const struct cli *cli = &invocation->cli;
	const struct command *command = cli->command;

	if (!command || !command->run)
		fuzz_fail("no command");
	if (cli->argument_count < command->min_arguments ||
	    (command->max_arguments >= 0 && cli->argument_count > command->max_arguments))
		fuzz_fail("%s with %d arguments", command->name, cli->argument_count);
	for (int i = 0; i < OPTIONS; i++) {
		if (cli->values[i] && !((command->options | OPTIONS_GLOBAL) >> i & 1))
			fuzz_fail("%s with --%s", command->name, cli_options[i].name);
		if (!cli->values[i] && command->required >> i & 1)
			fuzz_fail("%s without --%s", command->name, cli_options[i].name);
	}
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	static struct invocation invocation;
	char text[TEXT_MAX + 1], *rest = text, *argv[ARGUMENTS + 1] = {"canaryctl"};
	struct error error = {};
	int argc = 1, parsed;

	if (size > TEXT_MAX)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	while (argc < ARGUMENTS && rest)
		argv[argc++] = strsep(&rest, "\n");
	parsed = invocation_parse(&invocation, argc, argv, &error);
	if (parsed > 0)
		check_invocation(&invocation);
	else
		fuzz_check_error(parsed, &error);
	for (int i = 1; i < argc; i++) {
		check_addresses(argv[i]);
		check_numbers(argv[i]);
	}
	return 0;
}
