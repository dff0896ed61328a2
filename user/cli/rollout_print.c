/* SPDX-License-Identifier: Apache-2.0 */
/* A rollout's status as text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/change.h"
#include "cli/output.h"
#include "cli/rollout.h"
#include "cli/rollout_bar.h"
#include "cli/table.h"
#include "cli/view.h"
#include "core/analysis.h"
#include "core/rollout.h"
#include "core/text.h"

#define LABEL_WIDTH 10

const char *format_evidence(const json_t *log_e, const json_t *bound, char buf[EVIDENCE_TEXT_LEN])
{
	if (json_is_number(log_e) && json_is_number(bound))
		snprintf(buf, EVIDENCE_TEXT_LEN, "E %.3g of %.4g", exp(json_number_value(log_e)),
			 exp(json_number_value(bound)));
	else
		snprintf(buf, EVIDENCE_TEXT_LEN, "-");
	return buf;
}

static const char *weight_of(const json_t *object, const char *key, char buf[WEIGHT_TEXT_LEN])
{
	return format_weight((int)(number_of(object, key) * 100 + 0.5), buf);
}

/* "rolled back" of "rolled_back". */
static const char *format_state(const char *state, char buf[32])
{
	snprintf(buf, 32, "%s", state);
	for (char *at = buf; *at; at++)
		*at = (char)(*at == '_' ? ' ' : *at);
	return buf;
}

static bool is_bad(const char *state)
{
	return !strcmp(state, "rolled_back") || !strcmp(state, "failed");
}

void rollout_print_line(const json_t *status)
{
	char weight[WEIGHT_TEXT_LEN], state[32];

	printf("%s: %s", text_of(status, "service"), format_state(text_of(status, "state"), state));
	if (integer_of(status, "step"))
		printf(", step %lld of %lld", (long long)integer_of(status, "step"),
		       (long long)integer_of(status, "steps"));
	printf(", weight %s", weight_of(status, "weight", weight));
	if (json_is_true(json_object_get(status, "blocked")))
		printf(", blocked");
}

__attribute__((format(printf, 1, 2))) static char *text(const char *format, ...)
{
	va_list args;
	char *ret;

	va_start(args, format);
	ret = format_text(format, args);
	va_end(args);
	return ret;
}

/* "gate errors: the canary is worse than stable by more than is tolerated" */
static char *judged(const json_t *judgement)
{
	const char *gate = text_of(judgement, "gate"), *clause = text_of(judgement, "text");
	enum reason reason;

	if (!*clause)
		clause = parse_reason(text_of(judgement, "reason"), &reason) ? "" : reason_text(reason);
	return *gate ? text("gate %s: %s", gate, clause) : text("%s", clause);
}

static char *weight_by_hand(const json_t *transition)
{
	char weight[WEIGHT_TEXT_LEN];

	/* An older version has not written down which. */
	if (!json_is_number(json_object_get(transition, "forced_weight")))
		return text("another weight was set by hand");
	return text("the weight was set to %s by hand", weight_of(transition, "forced_weight", weight));
}

/* By which command: "rollout promote --full". */
static char *asked(const json_t *transition)
{
	enum rollout_event_type type;

	if (json_is_number(json_object_get(transition, "forced_weight")))
		return weight_by_hand(transition);
	if (parse_rollout_event(text_of(transition, "event"), &type))
		return text("asked for");
	return text("rollout %s", rollout_event_verb(type));
}

char *rollout_because(const json_t *transition)
{
	char *judgement = judged(json_object_get(transition, "judgement")), *ret;
	enum rollout_cause cause;

	if (parse_rollout_cause(text_of(transition, "cause"), &cause))
		cause = ROLLOUT_CAUSE_COUNT;
	switch (cause) {
	case ROLLOUT_CAUSE_REQUEST:
		ret = asked(transition);
		break;
	case ROLLOUT_CAUSE_PASSED:
		ret = text("the step passed");
		break;
	case ROLLOUT_CAUSE_DEADLINE:
		ret = text("the deadline is over; %s", judgement);
		break;
	case ROLLOUT_CAUSE_OVERRIDE:
		ret = weight_by_hand(transition);
		break;
	case ROLLOUT_CAUSE_HOOK:
		ret = text("the hook before the step failed");
		break;
	case ROLLOUT_CAUSE_BROKEN:
		ret = text("what was to be done cannot be done");
		break;
	default:
		ret = text("%s", judgement);
	}
	free(judgement);
	return ret;
}

static void label(const char *name)
{
	printf("  %-*s", LABEL_WIDTH, name);
}

static void print_head(const struct cli *cli, const json_t *status)
{
	const char *state = text_of(status, "state");
	char weight[WEIGHT_TEXT_LEN], effective[WEIGHT_TEXT_LEN], words[32];
	double difference = number_of(status, "weight") - number_of(status, "effective_weight");

	printf("%s%s%s", style_begin(cli, STYLE_BOLD), text_of(status, "service"), style_end(cli, STYLE_BOLD));
	if (integer_of(status, "release"))
		printf("  release %lld", (long long)integer_of(status, "release"));
	printf("  %s%s%s", style_begin(cli, is_bad(state) ? STYLE_ALARM : STYLE_BOLD), format_state(state, words),
	       style_end(cli, STYLE_BOLD));
	if (integer_of(status, "step"))
		printf("  step %lld of %lld", (long long)integer_of(status, "step"),
		       (long long)integer_of(status, "steps"));
	printf("  weight %s", weight_of(status, "weight", weight));
	if (fabs(difference) >= 0.005)
		printf(" (%s in force)", weight_of(status, "effective_weight", effective));
	putchar('\n');
}

static void print_alarm(const struct cli *cli, const char *name, const char *sentence)
{
	label(name);
	printf("%s%s%s\n", style_begin(cli, STYLE_ALARM), sentence, style_end(cli, STYLE_ALARM));
}

static void print_waits(const struct cli *cli, const json_t *status)
{
	static const char *const sentences[ROLLOUT_WAIT_COUNT] = {
		[ROLLOUT_WAIT_APPROVAL] = "the step has passed; the next takes an approval: canaryctl rollout promote",
		[ROLLOUT_WAIT_FREEZE] = "the step has passed; no step forward in a freeze window",
		[ROLLOUT_WAIT_UNBLOCKING] = "the step has passed; rollouts are blocked: canaryctl rollout unblock",
	};
	enum rollout_wait wait;
	const char *reason = text_of(status, "block_reason");

	if (!parse_rollout_wait(text_of(status, "wait"), &wait) && wait != ROLLOUT_WAIT_NOTHING) {
		label("waits");
		puts(sentences[wait]);
	}
	if (json_is_true(json_object_get(status, "blocked")))
		print_alarm(cli, "blocked", *reason ? reason : "no reason is given");
	if (json_is_true(json_object_get(status, "late")))
		print_alarm(cli, "late", "the deadline is over, and the plan says to hold");
}

static void print_pending(const struct cli *cli, const json_t *status)
{
	const json_t *pending = json_object_get(status, "pending");
	const char *error = text_of(status, "error");
	json_t *action;
	size_t i;

	if (json_array_size(pending)) {
		label("doing");
		json_array_foreach (pending, i, action)
			printf("%s%s", i ? ", then " : "", json_string_value(action));
		putchar('\n');
	}
	if (*error)
		print_alarm(cli, "error", error);
}

static void print_verdict(const json_t *status)
{
	const json_t *judgement = json_object_get(status, "judgement");
	const json_t *transition = json_object_get(status, "last_transition");
	char *why;

	if (json_is_object(judgement)) {
		why = judged(judgement);
		label("verdict");
		printf("%s: %s\n", text_of(judgement, "verdict"), why);
		free(why);
	}
	if (json_is_object(transition)) {
		char state[32];

		why = rollout_because(transition);
		label("since");
		printf("%s %s: %s\n", text_of(transition, "time"), format_state(text_of(transition, "after"), state),
		       *why ? why : text_of(transition, "cause"));
		free(why);
	}
}

static void count_cell(struct table *table, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_number(value))
		table_right(table, STYLE_PLAIN, "%.0f", json_number_value(value));
	else
		table_right(table, STYLE_PLAIN, "-");
}

static void value_cell(struct table *table, const json_t *object, const char *key, const char *unit)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_number(value))
		table_right(table, STYLE_PLAIN, "%.3g %s", json_number_value(value), unit);
	else
		table_right(table, STYLE_PLAIN, "-");
}

/* Both cohorts side by side. */
static void print_cohorts(const struct cli *cli, const json_t *cohorts)
{
	static const struct {
		const char *key, *name, *unit; /* no unit: a number of things */
	} rows[] = {
		{"flows", "flows", NULL},
		{"failures", "failures", NULL},
		{"failure_rate", "failure rate", "%"},
		{"handshake_p50", "handshake p50", "ms"},
		{"handshake_p99", "handshake p99", "ms"},
		{"response_p50", "response p50", "ms"},
		{"response_p99", "response p99", "ms"},
		{"drops", "drops", NULL},
	};
	const json_t *both[] = {json_object_get(cohorts, "stable"), json_object_get(cohorts, "canary")};
	struct table table = {};

	table_left(&table, STYLE_PLAIN, "%s", "");
	table_right(&table, STYLE_BOLD, "stable");
	table_right(&table, STYLE_BOLD, "canary");
	table_end_row(&table);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		table_left(&table, STYLE_PLAIN, "%s", rows[i].name);
		for (int j = 0; j < 2; j++) {
			if (rows[i].unit)
				value_cell(&table, both[j], rows[i].key, rows[i].unit);
			else
				count_cell(&table, both[j], rows[i].key);
		}
		table_end_row(&table);
	}
	putchar('\n');
	table_print(&table, cli, 2);
}

/* What the gate measured: E of those that compare, a value of the others. */
static void measure_cell(struct table *table, const json_t *gate)
{
	const json_t *value = json_object_get(gate, "value");
	char evidence[EVIDENCE_TEXT_LEN];

	if (json_is_number(value))
		table_left(table, STYLE_PLAIN, "value %.6g", json_number_value(value));
	else
		table_left(table, STYLE_PLAIN, "%s",
			   format_evidence(json_object_get(gate, "log_e"), json_object_get(gate, "bound"), evidence));
}

static void print_gates(const struct cli *cli, const json_t *gates)
{
	struct table table = {};
	json_t *gate;
	size_t i;

	json_array_foreach (gates, i, gate) {
		bool fails = !strcmp(text_of(gate, "verdict"), "fail");
		bool reports = !strcmp(text_of(gate, "mode"), "report");

		table_left(&table, STYLE_PLAIN, "%s", text_of(gate, "name"));
		table_left(&table, fails ? STYLE_ALARM : STYLE_PLAIN, "%s%s", text_of(gate, "verdict"),
			   reports ? " (reports only)" : "");
		measure_cell(&table, gate);
		table_left(&table, STYLE_PLAIN, "%s", text_of(gate, "text"));
		table_end_row(&table);
	}
	if (json_array_size(gates)) {
		printf("\n  gates\n");
		table_print(&table, cli, 4);
	}
}

static void print_feedback(const json_t *feedback)
{
	const json_t *canary = json_object_get(feedback, "canary"), *stable = json_object_get(feedback, "stable");
	long long unattributed = integer_of(feedback, "unattributed");

	if (!integer_of(canary, "words") && !integer_of(stable, "words") && !unattributed)
		return;
	printf("\n  feedback  %lld of the canary's users, %lld unhappy; %lld of stable's, %lld unhappy",
	       (long long)integer_of(canary, "words"), (long long)integer_of(canary, "unhappy"),
	       (long long)integer_of(stable, "words"), (long long)integer_of(stable, "unhappy"));
	if (unattributed)
		printf("; %lld of users whose cohort is not known, counted for neither", unattributed);
	putchar('\n');
}

void rollout_print(const struct cli *cli, const json_t *status)
{
	print_head(cli, status);
	if (!json_is_true(json_object_get(status, "present")))
		print_alarm(cli, "absent", "the data plane has no such service: canaryctl apply");
	if (integer_of(status, "step"))
		rollout_print_bars(cli, status);
	print_verdict(status);
	print_waits(cli, status);
	print_pending(cli, status);
	if (!integer_of(status, "step"))
		return;
	print_cohorts(cli, json_object_get(status, "cohorts"));
	print_gates(cli, json_object_get(status, "gates"));
	print_feedback(json_object_get(status, "feedback"));
}
