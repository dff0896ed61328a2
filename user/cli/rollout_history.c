/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl rollout history, explain: what a rollout did, and on which numbers. */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/change.h"
#include "cli/output.h"
#include "cli/rollout.h"
#include "cli/table.h"
#include "cli/view.h"
#include "core/analysis.h"
#include "core/text.h"

#define LIMIT_DEFAULT "50"
#define LIMIT_MAX 100000

static bool is_a_persons(const json_t *entry)
{
	const char *kind = text_of(entry, "kind");

	return !strcmp(kind, "feedback") || !strcmp(kind, "block") || !strcmp(text_of(entry, "cause"), "request");
}

static const char *who(const json_t *entry, char buf[32])
{
	const json_t *uid = json_object_get(entry, "uid");

	/* By address, with a token, nobody has a uid. */
	if (json_is_integer(uid))
		snprintf(buf, 32, "uid %lld", (long long)json_integer_value(uid));
	else
		snprintf(buf, 32, is_a_persons(entry) ? "somebody" : "canaryd");
	return buf;
}

/* "canary 5 failures in 89 flows, stable 0 in 347; E 200": as far as the gate counts flows, or events at all. */
static const char *numbers(const json_t *entry, char buf[160])
{
	long long canary = integer_of(entry, "canary_failures"), stable = integer_of(entry, "stable_failures");
	long long canary_flows = integer_of(entry, "canary_flows"), stable_flows = integer_of(entry, "stable_flows");
	const json_t *log_e = json_object_get(entry, "log_e");
	const json_t *value = json_object_get(entry, "value");
	bool has_flows = canary_flows || stable_flows;
	size_t len = 0;

	buf[0] = '\0';
	if (has_flows)
		len = (size_t)snprintf(buf, 160, " (canary %lld failures in %lld flows, stable %lld in %lld", canary,
				       canary_flows, stable, stable_flows);
	else if (json_is_number(value))
		len = (size_t)snprintf(buf, 160, " (%g", json_number_value(value));
	else if (json_is_number(log_e))
		len = (size_t)snprintf(buf, 160, " (%lld events of the canary's, %lld of stable's", canary, stable);
	if (has_flows && json_is_number(value))
		len += (size_t)snprintf(buf + len, 160 - len, "; %g", json_number_value(value));
	if (len && json_is_number(log_e))
		len += (size_t)snprintf(buf + len, 160 - len, "; E %.3g", exp(json_number_value(log_e)));
	if (len)
		snprintf(buf + len, 160 - len, ")");
	return buf;
}

/* What was said, or what the reason means; "none" is what every gate that passes has. */
static const char *clause_of(const json_t *entry)
{
	const char *text = text_of(entry, "text");
	enum reason reason;

	if (*text)
		return text;
	return parse_reason(text_of(entry, "reason"), &reason) ? text_of(entry, "reason") : reason_text(reason);
}

/* The cells that are a kind's own. */
static void add_transition(struct table *table, const json_t *entry)
{
	char weight[WEIGHT_TEXT_LEN];
	char *why = rollout_because(entry);

	table_left(table, STYLE_PLAIN, "%s", text_of(entry, "after"));
	table_left(table, STYLE_PLAIN, "from %s, step %lld, weight %s: %s", text_of(entry, "before"),
		   (long long)integer_of(entry, "step"),
		   format_weight((int)(number_of(entry, "weight") * 100 + 0.5), weight),
		   *why ? why : text_of(entry, "cause"));
	free(why);
}

static void add_verdict(struct table *table, const json_t *entry)
{
	char text[160];

	table_left(table, STYLE_PLAIN, "verdict");
	table_left(table, STYLE_PLAIN, "%s of %s, step %lld: %s%s", text_of(entry, "verdict"), text_of(entry, "gate"),
		   (long long)integer_of(entry, "step"), clause_of(entry), numbers(entry, text));
}

static void add_entry(struct table *table, const json_t *entry)
{
	const char *kind = text_of(entry, "kind"), *note = text_of(entry, "note"), *cohort = text_of(entry, "cohort");
	char name[32];

	table_left(table, STYLE_PLAIN, "%s", text_of(entry, "time"));
	table_right(table, STYLE_PLAIN, "%lld", (long long)integer_of(entry, "release"));
	table_left(table, STYLE_PLAIN, "%s", who(entry, name));
	if (!strcmp(kind, "transition")) {
		add_transition(table, entry);
	} else if (!strcmp(kind, "verdict")) {
		add_verdict(table, entry);
	} else if (!strcmp(kind, "feedback")) {
		table_left(table, STYLE_PLAIN, "feedback");
		table_left(table, STYLE_PLAIN, "%s from %s (%s)%s%s", text_of(entry, "verdict"),
			   text_of(entry, "client"), *cohort ? cohort : "cohort not known", *note ? ": " : "", note);
	} else {
		table_left(table, STYLE_PLAIN, "%s",
			   json_is_true(json_object_get(entry, "blocked")) ? "blocked" : "unblocked");
		table_left(table, STYLE_PLAIN, "%s", text_of(entry, "reason"));
	}
	table_end_row(table);
}

static void print_entries(const struct cli *cli, const json_t *entries, bool newest_first)
{
	size_t count = json_array_size(entries);
	static const char *const titles[] = {"TIME", "RELEASE", "WHO", "WHAT", ""};
	struct table table = {};

	if (!count) {
		puts("nothing has happened yet");
		return;
	}
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		table_left(&table, STYLE_BOLD, "%s", titles[i]);
	table_end_row(&table);
	/* The last line is what happened last. */
	for (size_t i = 0; i < count; i++)
		add_entry(&table, json_array_get(entries, newest_first ? count - 1 - i : i));
	table_print(&table, cli, 0);
}

int cmd_rollout_history(const struct cli *cli, struct error *error)
{
	const char *limit = cli->values[OPT_LIMIT] ? cli->values[OPT_LIMIT] : LIMIT_DEFAULT;
	char service[CANARY_NAME_LEN], tail[64];
	unsigned count;
	json_t *answer;

	if (parse_unsigned(limit, 1, LIMIT_MAX, &count))
		return fail(error, CLI_USAGE, "--limit is 1 to %d, not \"%s\"", LIMIT_MAX, limit);
	snprintf(tail, sizeof(tail), "/history?limit=%u", count);
	if (rollout_service(cli, service, error) || rollout_get(cli, service, tail, &answer, error))
		return CLI_FAILED;
	if (cli->json) {
		print_json(answer);
		return CLI_DONE;
	}
	print_entries(cli, json_object_get(answer, "entries"), true);
	json_decref(answer);
	return CLI_DONE;
}

/* Explaining. */

static void print_deciding(const struct cli *cli, const json_t *events)
{
	struct table table = {};
	json_t *event;
	size_t i;

	json_array_foreach (events, i, event) {
		table_left(&table, STYLE_PLAIN, "%s", text_of(event, "time"));
		table_left(&table, STYLE_PLAIN, "step %lld", (long long)integer_of(event, "step"));
		table_left(&table, STYLE_PLAIN, "w %.4f", number_of(event, "w"));
		table_left(&table, STYLE_PLAIN, "canary +%lld", (long long)integer_of(event, "canary"));
		table_left(&table, STYLE_PLAIN, "stable +%lld", (long long)integer_of(event, "stable"));
		table_left(&table, STYLE_PLAIN, "E %.3g", exp(number_of(event, "log_e")));
		table_end_row(&table);
	}
	if (json_array_size(events)) {
		puts("    where the evidence rose most:");
		table_print(&table, cli, 6);
	}
}

static void print_answers(const struct cli *cli, const json_t *answers)
{
	struct table table = {};
	json_t *answer;
	char text[160];
	size_t i;

	json_array_foreach (answers, i, answer) {
		table_left(&table, STYLE_PLAIN, "%s", text_of(answer, "time"));
		table_left(&table, STYLE_PLAIN, "step %lld", (long long)integer_of(answer, "step"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(answer, "verdict"));
		table_left(&table, STYLE_PLAIN, "%s%s", clause_of(answer), numbers(answer, text));
		table_end_row(&table);
	}
	if (json_array_size(answers)) {
		puts("    what it said:");
		table_print(&table, cli, 6);
	}
}

static void print_gate(const struct cli *cli, const json_t *gate)
{
	bool failed = json_is_true(json_object_get(gate, "failed"));
	char evidence[EVIDENCE_TEXT_LEN];

	printf("\n  gate %s%s%s (%s): %s%s%s", style_begin(cli, STYLE_BOLD), text_of(gate, "name"),
	       style_end(cli, STYLE_BOLD), text_of(gate, "type"), style_begin(cli, failed ? STYLE_ALARM : STYLE_PLAIN),
	       failed ? "failed" : "did not fail", style_end(cli, failed ? STYLE_ALARM : STYLE_PLAIN));
	if (json_is_number(json_object_get(gate, "log_e")))
		printf(", %s after %lld events, %lld of the canary's and %lld of stable's",
		       format_evidence(json_object_get(gate, "log_e"), json_object_get(gate, "bound"), evidence),
		       (long long)integer_of(gate, "n"), (long long)integer_of(gate, "canary"),
		       (long long)integer_of(gate, "stable"));
	putchar('\n');
	print_deciding(cli, json_object_get(gate, "deciding"));
	print_answers(cli, json_object_get(gate, "answers"));
}

static void cohort_cells(struct table *table, const json_t *cohort)
{
	table_right(table, STYLE_PLAIN, "%lld", (long long)integer_of(cohort, "flows"));
	table_right(table, STYLE_PLAIN, "%lld", (long long)integer_of(cohort, "failures"));
}

static void print_steps(const struct cli *cli, const json_t *steps)
{
	static const char *const titles[] = {"canary flows", "failures", "stable flows", "failures"};
	struct table table = {};
	json_t *step;
	size_t i;

	table_left(&table, STYLE_PLAIN, "step");
	table_right(&table, STYLE_PLAIN, "weight");
	for (i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		table_right(&table, STYLE_PLAIN, "%s", titles[i]);
	table_end_row(&table);
	json_array_foreach (steps, i, step) {
		char weight[WEIGHT_TEXT_LEN];

		if (!integer_of(json_object_get(step, "canary"), "flows") &&
		    !integer_of(json_object_get(step, "stable"), "flows"))
			continue; /* it was not reached */
		table_left(&table, STYLE_PLAIN, "%lld", (long long)integer_of(step, "step"));
		table_right(&table, STYLE_PLAIN, "%s",
			    format_weight((int)(number_of(step, "weight") * 100 + 0.5), weight));
		cohort_cells(&table, json_object_get(step, "canary"));
		cohort_cells(&table, json_object_get(step, "stable"));
		table_end_row(&table);
	}
	putchar('\n');
	table_print(&table, cli, 2);
}

static void print_explanation(const struct cli *cli, const json_t *explanation)
{
	json_t *gate;
	size_t i;

	printf("%s%s%s  release %lld  %s\n", style_begin(cli, STYLE_BOLD), text_of(explanation, "service"),
	       style_end(cli, STYLE_BOLD), (long long)integer_of(explanation, "release"), text_of(explanation, "text"));
	json_array_foreach (json_object_get(explanation, "gates"), i, gate)
		print_gate(cli, gate);
	if (json_array_size(json_object_get(explanation, "steps")))
		print_steps(cli, json_object_get(explanation, "steps"));
	putchar('\n');
	print_entries(cli, json_object_get(explanation, "transitions"), false);
}

int cmd_rollout_explain(const struct cli *cli, struct error *error)
{
	const char *release = cli->values[OPT_RELEASE];
	char service[CANARY_NAME_LEN], tail[64] = "/explain";
	unsigned number;
	json_t *explanation;

	if (release && parse_unsigned(release, 1, UINT32_MAX, &number))
		return fail(error, CLI_USAGE, "--release is a release's number, as in rollout history, not \"%s\"",
			    release);
	if (release)
		snprintf(tail, sizeof(tail), "/explain?release=%u", number);
	if (rollout_service(cli, service, error) || rollout_get(cli, service, tail, &explanation, error))
		return CLI_FAILED;
	if (cli->json) {
		print_json(explanation);
		return CLI_DONE;
	}
	print_explanation(cli, explanation);
	json_decref(explanation);
	return CLI_DONE;
}
