/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl rollout status, watch: where a rollout is, until it has ended. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ops/clock.h"
#include "cli/output.h"
#include "cli/rollout.h"
#include "cli/view.h"
#include "core/rollout.h"
#include "core/text.h"

#define NSEC_PER_MSEC 1000000ULL
#define LONG_POLL_S 30
#define ANSWER_MS 60000 /* of a question that may take LONG_POLL_S */
#define WATCH_MS 500
#define RETRY_MS 200
#define ABSENCE_MS 15000 /* a daemon that is started anew is back by then */
#define TIMEOUT_MAX (30 * 86400)

/* How a rollout ended. */
enum ending { NOT_YET, WELL, BADLY };

static enum ending ending_of(const json_t *status)
{
	enum rollout_state state;

	if (parse_rollout_state(text_of(status, "state"), &state))
		return NOT_YET;
	/* What it decided is still being done; if that cannot be done, it is no use to wait. */
	if (json_array_size(json_object_get(status, "pending")) && !*text_of(status, "error"))
		return NOT_YET;
	switch (state) {
	case ROLLOUT_SUCCEEDED:
		return WELL;
	case ROLLOUT_IDLE:
		return json_is_true(json_object_get(status, "finished")) ? WELL : NOT_YET;
	case ROLLOUT_ROLLED_BACK:
	case ROLLOUT_FAILED:
		return BADLY;
	default:
		return NOT_YET;
	}
}

static void show(const struct cli *cli, const json_t *status)
{
	if (cli->json)
		print_json(json_incref((json_t *)status));
	else
		rollout_print(cli, status);
}

/* The sentence of exit code 3. */
static int ended_badly(const json_t *status, struct error *error)
{
	const json_t *transition = json_object_get(status, "last_transition");
	bool failed = !strcmp(text_of(status, "state"), "failed");
	char *why = rollout_because(transition);
	const char *daemon = text_of(status, "error");

	fail(error, 0, "%s %s at step %lld of %lld: %s", text_of(status, "service"),
	     failed ? "failed" : "was rolled back", (long long)integer_of(status, "step"),
	     (long long)integer_of(status, "steps"), *daemon ? daemon : why);
	free(why);
	return CLI_ROLLED_BACK;
}

static int exit_code(enum ending ending, const json_t *status, struct error *error)
{
	return ending == BADLY ? ended_badly(status, error) : CLI_DONE;
}

static __u64 now_ms(void)
{
	return clock_monotonic_ns() / NSEC_PER_MSEC;
}

/* Asks as long as a daemon that is gone may come back. */
struct patience {
	const struct cli *cli;
	const char *service;
	__u64 heard_ms; /* when it last answered */
};

/* 0 with *ret, 0 with NULL: not now, try again; -errno: for good. */
static int ask_patiently(struct patience *patience, const char *tail, json_t **ret, struct error *error)
{
	const struct rollout_question question = {
		.method = "GET", .service = patience->service, .tail = tail, .timeout_ms = ANSWER_MS};
	int err = rollout_ask(patience->cli, &question, ret, error);

	if (!err) {
		patience->heard_ms = now_ms();
		return 0;
	}
	*ret = NULL;
	if (err == -EREMOTEIO || now_ms() - patience->heard_ms > ABSENCE_MS)
		return err;
	poll(NULL, 0, RETRY_MS);
	return 0;
}

/* What has become of the rollout once there are more transitions than `known`, or after `seconds`. */
static int ask_later(struct patience *patience, long long known, unsigned seconds, json_t **ret, struct error *error)
{
	char tail[96];

	snprintf(tail, sizeof(tail), "?transitions=%lld&timeout=%u", known, seconds);
	return ask_patiently(patience, tail, ret, error);
}

static int nothing_to_wait_for(const json_t *status, struct error *error)
{
	return fail(error, CLI_FAILED, "%s: no rollout is under way that could end", text_of(status, "service"));
}

/* Until the rollout has ended, or `timeout` s (0: for ever) are over. Returns an enum cli_exit; takes *status over. */
static int wait_for_end(struct patience *patience, unsigned timeout, json_t *status, struct error *error)
{
	__u64 until = timeout ? now_ms() + timeout * 1000ULL : UINT64_MAX;
	enum ending ending;
	int code = CLI_FAILED;

	while ((ending = ending_of(status)) == NOT_YET) {
		__u64 left = until > now_ms() ? until - now_ms() : 0;
		unsigned seconds = left / 1000 < LONG_POLL_S ? (unsigned)(left / 1000) : LONG_POLL_S;
		bool pending = json_array_size(json_object_get(status, "pending"));
		json_t *next;

		if (!strcmp(text_of(status, "state"), "idle") && !pending) {
			nothing_to_wait_for(status, error);
			break;
		}
		if (!left) {
			fail(error, 0, "%s has not ended: it is %s", text_of(status, "service"),
			     text_of(status, "state"));
			break;
		}
		/* That an action is done is no transition: asked for more often. */
		if (pending || !seconds)
			poll(NULL, 0, left < RETRY_MS ? (int)left : RETRY_MS);
		if (ask_later(patience, integer_of(status, "transitions"), pending ? 0 : seconds, &next, error))
			break;
		if (next) {
			json_decref(status);
			status = next;
		}
	}
	show(patience->cli, status);
	if (ending != NOT_YET)
		code = exit_code(ending, status, error);
	json_decref(status);
	return code;
}

int cmd_rollout_status(const struct cli *cli, struct error *error)
{
	const char *timeout = cli->values[OPT_TIMEOUT];
	char service[CANARY_NAME_LEN];
	struct patience patience = {cli, service, now_ms()};
	unsigned seconds = 0;
	json_t *status;

	if (timeout && !cli->values[OPT_WAIT])
		return fail(error, CLI_USAGE, "--timeout is how long --wait waits: give both");
	if (timeout && parse_duration(timeout, 1, TIMEOUT_MAX, &seconds))
		return fail(error, CLI_USAGE, "--timeout is 1s to 30d, as in 30, 5m or 1h30m, not \"%s\"", timeout);
	if (rollout_service(cli, service, error) || rollout_get(cli, service, "", &status, error))
		return CLI_FAILED;
	if (cli->values[OPT_WAIT])
		return wait_for_end(&patience, seconds, status, error);
	show(cli, status);
	json_decref(status);
	return CLI_DONE;
}

/* Watching. */

static volatile sig_atomic_t interrupted;

static void note_interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

static void note_resize(int signal)
{
	(void)signal;
}

static void catch_signals(void)
{
	/* Without SA_RESTART: they end a wait. */
	sigaction(SIGINT, &(struct sigaction){.sa_handler = note_interrupt}, NULL);
	sigaction(SIGTERM, &(struct sigaction){.sa_handler = note_interrupt}, NULL);
	sigaction(SIGWINCH, &(struct sigaction){.sa_handler = note_resize}, NULL);
}

/* Drawn over the last one. Lines do not wrap, so a narrow terminal cuts them and nothing moves. */
static void draw(const struct cli *cli, const json_t *status)
{
	fputs("\033[H\033[J\033[?7l", stdout);
	rollout_print(cli, status);
	fputs("\033[?7h", stdout);
}

/* Not on a terminal: a line whenever something has changed. */
static void print_change(const json_t *status, json_int_t *transitions)
{
	const json_t *transition = json_object_get(status, "last_transition");
	char *why;

	if (integer_of(status, "transitions") == *transitions)
		return;
	*transitions = integer_of(status, "transitions");
	why = rollout_because(transition);
	printf("%s  ", text_of(transition, "time"));
	rollout_print_line(status);
	printf(": %s\n", *why ? why : text_of(transition, "cause"));
	free(why);
}

static void show_watched(const struct cli *cli, const json_t *status, bool redraw, json_int_t *transitions)
{
	if (cli->json)
		print_json(json_incref((json_t *)status));
	else if (redraw)
		draw(cli, status);
	else
		print_change(status, transitions);
}

int cmd_rollout_watch(const struct cli *cli, struct error *error)
{
	bool redraw = !cli->json && isatty(STDOUT_FILENO);
	char service[CANARY_NAME_LEN];
	struct patience patience = {cli, service, 0};
	json_int_t transitions = -1;
	enum ending ending = NOT_YET;
	int code = CLI_DONE;

	if (rollout_service(cli, service, error))
		return CLI_FAILED;
	catch_signals();
	while (ending == NOT_YET && !interrupted) {
		struct pollfd out = {.fd = STDOUT_FILENO};
		json_t *status;

		if (ask_patiently(&patience, "", &status, error))
			return CLI_FAILED;
		if (!status)
			continue;
		show_watched(cli, status, redraw, &transitions);
		ending = ending_of(status);
		code = exit_code(ending, status, error);
		json_decref(status);
		if (!output_flush() || (ending == NOT_YET && poll(&out, 1, WATCH_MS) > 0 && out.revents & POLLERR))
			break;
	}
	return code;
}
