/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl: from the command line to the command, and what is told of its failure. */
#include <errno.h>
#include <string.h>

#include "cli/invocation.h"
#include "cli/output.h"

/* Is there a --json before "--"? Wanted before the parser can say so: its own errors are to be JSON as well. */
static bool wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--json"))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	struct invocation invocation;
	struct cli *cli = &invocation.cli;
	struct error error = {};
	int parsed, code;

	output_init();
	parsed = invocation_parse(&invocation, argc, argv, &error);
	cli->json = wants_json(argc, argv);
	cli->colour = output_wants_colour();
	if (parsed < 0)
		code = CLI_USAGE;
	else if (parsed == 0)
		code = help_print(invocation.words, invocation.word_count, &error);
	else
		code = cli->command->run(cli, &error);

	if (code != CLI_DONE)
		print_error(cli->json, error.text);
	if (!output_flush()) {
		/* Whoever closed the pipe knows that; a full disk is news. */
		if (errno != EPIPE) {
			fail(&error, 0, "cannot write the output: %s", strerror(errno));
			print_error(cli->json, error.text);
		}
		code = code == CLI_DONE ? CLI_FAILED : code;
	}
	return code;
}
