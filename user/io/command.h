/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command of the user's, run beside the event loop: a hook, a gate, a health check. No shell: words as they are given.
 * The loop watches command_fd() for EPOLLIN and calls command_run(), which calls back when the command has ended.
 *
 * It runs as we do, in /, in a process group of its own, with nothing on its standard input, no descriptor of ours, and an
 * environment of PATH and what it is given. When its time is over the group is sent SIGTERM, and COMMAND_GRACE later
 * SIGKILL. When it ends, what it left behind in its group is killed; and should we die, so is it: after a restart nothing
 * of it is still on its way.
 */
#ifndef IO_COMMAND_H
#define IO_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "io/answer.h"

#define COMMAND_OUTPUT_MAX 4096 /* of each of stdout and stderr so many bytes are kept, the first ones */
#define COMMAND_GRACE 5000 /* ms */

struct command; /* one that runs */

struct command_output {
	char text[COMMAND_OUTPUT_MAX + 1]; /* cleaned (answer.h), with a zero behind it */
	size_t len;
	size_t dropped; /* bytes beyond those */
};

struct command_result {
	bool timed_out;
	int code; /* of its exit; -1: a signal ended it */
	int signal; /* that one, or 0 */
	unsigned milliseconds;
	struct command_output out, err;
};

/* Valid during the call; the command is gone then. */
typedef void command_done(const struct command_result *result, void *arg);

/*
 * argv: up to a NULL; the first is looked for in PATH if it has no '/'. environment: "CANARY_SERVICE=web", up to a NULL;
 * NULL: nothing. timeout: ms. `done` is called once, from command_run(), unless it is cancelled before.
 * 0 or -errno: -ENOENT, -EACCES, ... as execve() says.
 */
int command_start(char *const *argv, char *const *environment, unsigned timeout, command_done *done, void *arg,
		  struct command **ret, struct error *error);
int command_fd(const struct command *command);
void command_run(struct command *command); /* after which it may be gone */
void command_cancel(struct command *command); /* kills it at once; `done` is not called. NULL: nothing */

/*
 * What it says as a gate or a health check: exit code 0 is a pass, 1 a fail. Everything else is inconclusive: another
 * code (a script that is broken, 2; a command that is not there, 127), a signal, no end in time. The reason is the first
 * line that it wrote, on stdout or else on stderr.
 */
void command_answer(const struct command_result *result, struct answer *ret);

#endif
