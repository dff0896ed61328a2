/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/external.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/supervisor.h"
#include "daemon/words.h"
#include "io/prometheus.h"
#include "io/webhook.h"

#define PERIOD_MAX_MS 10000
#define PERIOD_PART 4 /* of a short bake */
#define TIMEOUT_MS 5000
#define FRESH_PERIODS 3 /* what was said before that is old, and counts no more */

static const struct rollout_gate *gate_of(const struct external *external)
{
	return &external->supervisor->record.plan.gates[external->gate];
}

static bool is_external(const struct rollout_gate *gate)
{
	return gate->type == GATE_TYPE_PROMETHEUS || gate->type == GATE_TYPE_COMMAND || gate->type == GATE_TYPE_WEBHOOK;
}

static bool is_asking(const struct external *external)
{
	return external->command || external->transfer || external->query;
}

/* How often it is asked: several times in a bake, and not too often. */
static __s64 period_ms(const struct supervisor *supervisor)
{
	const struct record *record = &supervisor->record;
	__s64 part = rollout_bake(&record->plan, &record->rollout) * 1000LL / PERIOD_PART;

	return part < PERIOD_MAX_MS ? part : PERIOD_MAX_MS;
}

static void end_question(struct external *external)
{
	external->command = NULL;
	external->transfer = NULL;
	external->query = NULL;
	external->source = sd_event_source_unref(external->source);
}

/* Of a step that is over meanwhile, nobody wants to know. */
static bool end_answered(struct external *external, const char *text)
{
	end_question(external);
	if (external->visit != external->supervisor->record.visit)
		return false;
	external->answered_ms = wall_ms();
	external->answered_visit = external->visit;
	external->value = NAN;
	snprintf(external->text, sizeof(external->text), "%s", text);
	return true;
}

static struct finding finding_of(const struct answer *answer)
{
	switch (answer->verdict) {
	case ANSWER_PASS:
		return (struct finding){VERDICT_PASS, REASON_NONE};
	case ANSWER_FAIL:
		return (struct finding){VERDICT_FAIL, REASON_SAID_NO};
	default:
		return (struct finding){VERDICT_INCONCLUSIVE, REASON_METRIC_UNAVAILABLE};
	}
}

static void take_answer(struct external *external, const struct answer *answer)
{
	if (end_answered(external, answer->reason))
		external->finding = finding_of(answer);
}

/* It could not even be asked. */
static void take_failure(struct external *external, const char *text)
{
	struct answer answer = {.verdict = ANSWER_INCONCLUSIVE};

	snprintf(answer.reason, sizeof(answer.reason), "%.*s", ANSWER_REASON_LEN - 1, text);
	take_answer(external, &answer);
}

static void command_is_done(const struct command_result *result, void *arg)
{
	struct answer answer;

	command_answer(result, &answer);
	take_answer(arg, &answer);
}

static int on_command(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct external *external = arg;

	(void)source;
	(void)fd;
	(void)revents;
	command_run(external->command);
	return 0;
}

static int ask_command(struct external *external, struct error *error)
{
	struct supervisor *supervisor = external->supervisor;
	struct environment environment = {};
	struct words words;
	int err;

	environment_add(&environment, "CANARY_SERVICE=%s", supervisor->name);
	environment_add(&environment, "CANARY_GATE=%s", gate_of(external)->name);
	environment_add(&environment, "CANARY_STEP=%d", supervisor->record.rollout.step + 1);
	if (words_split(gate_of(external)->target, &words))
		return fail(error, -EINVAL, "this is no command: %s", gate_of(external)->target);
	err = command_start(words.argv, environment.list, TIMEOUT_MS, command_is_done, external, &external->command,
			    error);
	if (!err)
		err = daemon_watch(supervisor->daemon, command_fd(external->command), on_command, external,
				   &external->source);
	if (err && external->command) {
		command_cancel(external->command);
		end_question(external);
		return fail(error, err, "it cannot be waited for: %s", strerror(-err));
	}
	return err;
}

static void webhook_is_done(const struct http_result *result, void *arg)
{
	struct answer answer;

	webhook_read(result, &answer);
	take_answer(arg, &answer);
}

static int ask_webhook(struct external *external, struct error *error)
{
	const struct supervisor *supervisor = external->supervisor;
	json_t *body =
		json_pack("{s:s, s:s, s:I, s:i, s:f}", "service", supervisor->name, "gate", gate_of(external)->name,
			  "release", (json_int_t)supervisor->record.rollout.release, "step",
			  supervisor->record.rollout.step + 1, "weight", supervisor_weight(supervisor) / 100.0);
	char *text = json_dumps(body, JSON_COMPACT);
	const struct http_request request = {
		.url = gate_of(external)->target,
		.json = text,
		.timeout = TIMEOUT_MS,
		.limit = WEBHOOK_ANSWER_MAX,
	};
	int err = http_client_start(supervisor->daemon->client, &request, webhook_is_done, external,
				    &external->transfer, error);

	free(text);
	json_decref(body);
	return err;
}

/* The canary's value, or that of both. */
static void judge_values(struct external *external)
{
	const struct rollout_gate *gate = gate_of(external);
	double canary = external->values[CANARY_CANARY], stable = external->values[CANARY_STABLE];

	if (!end_answered(external, ""))
		return;
	external->value = canary;
	if (gate->compare)
		external->finding = value_finding(true, canary, -INFINITY, stable * gate->tolerance);
	else
		external->finding = value_finding(true, canary, gate->min, gate->max);
}

static int ask_prometheus(struct external *external, struct error *error);

static void query_is_done(int failed, double value, const char *sentence, void *arg)
{
	struct external *external = arg;
	struct error error;

	external->query = NULL;
	if (failed) {
		take_failure(external, sentence);
		return;
	}
	external->values[external->asked] = value;
	if (external->asked == CANARY_STABLE || !gate_of(external)->compare) {
		judge_values(external);
		return;
	}
	external->asked = CANARY_STABLE;
	if (ask_prometheus(external, &error))
		take_failure(external, error.text);
}

/* $cohort is the name of the one that is asked for. */
static void fill_query(const char *query, enum canary_cohort cohort, char ret[2 * ROLLOUT_TEXT_LEN])
{
	static const char mark[] = "$cohort";
	const char *name = cohort == CANARY_CANARY ? "canary" : "stable", *at;
	size_t len = 0;

	for (; (at = strstr(query, mark)); query = at + sizeof(mark) - 1)
		len += (size_t)snprintf(ret + len, 2 * ROLLOUT_TEXT_LEN - len, "%.*s%s", (int)(at - query), query,
					name);
	snprintf(ret + len, 2 * ROLLOUT_TEXT_LEN - len, "%s", query);
}

static int ask_prometheus(struct external *external, struct error *error)
{
	const struct rollout_gate *gate = gate_of(external);
	char query[2 * ROLLOUT_TEXT_LEN];

	fill_query(gate->query, external->asked, query);
	return prometheus_query(external->supervisor->daemon->client, gate->target, query, TIMEOUT_MS, query_is_done,
				external, &external->query, error);
}

static void ask(struct external *external)
{
	struct error error;
	int err;

	external->visit = external->supervisor->record.visit;
	external->asked_ms = wall_ms();
	external->asked = CANARY_CANARY;
	if (gate_of(external)->type == GATE_TYPE_PROMETHEUS)
		err = ask_prometheus(external, &error);
	else if (gate_of(external)->type == GATE_TYPE_COMMAND)
		err = ask_command(external, &error);
	else
		err = ask_webhook(external, &error);
	if (err)
		take_failure(external, error.text);
}

void external_ask(struct supervisor *supervisor)
{
	const struct record *record = &supervisor->record;

	if (record->rollout.weight_due || !rollout_is_warm(&record->plan, &record->rollout))
		return;
	for (size_t i = 0; i < record->plan.gate_count; i++) {
		struct external *external = &supervisor->externals[i];
		bool due = external->visit != record->visit ||
			   llabs(wall_ms() - external->asked_ms) >= period_ms(supervisor);

		if (is_external(&record->plan.gates[i]) && due && !is_asking(external))
			ask(external);
	}
}

void external_reset(struct supervisor *supervisor)
{
	for (size_t i = 0; i < ROLLOUT_MAX_GATES; i++) {
		struct external *external = &supervisor->externals[i];

		command_cancel(external->command);
		http_client_cancel(external->transfer);
		prometheus_cancel(external->query);
		end_question(external);
		*external = (struct external){.supervisor = supervisor, .gate = i, .value = NAN};
	}
}

static bool is_fresh(const struct external *external)
{
	const struct supervisor *supervisor = external->supervisor;
	__s64 fresh = FRESH_PERIODS * period_ms(supervisor) + TIMEOUT_MS;

	return external->answered_ms && external->answered_visit == supervisor->record.visit &&
	       llabs(wall_ms() - external->answered_ms) <= fresh;
}

struct finding external_finding(const struct supervisor *supervisor, size_t gate, double *ret_value)
{
	static const struct finding unasked = {VERDICT_INCONCLUSIVE, REASON_UNASKED};
	static const struct finding unavailable = {VERDICT_INCONCLUSIVE, REASON_METRIC_UNAVAILABLE};
	const struct external *external = &supervisor->externals[gate];

	*ret_value = NAN;
	if (!external->answered_ms || external->answered_visit != supervisor->record.visit)
		return unasked;
	if (!is_fresh(external))
		return unavailable;
	*ret_value = external->value;
	return external->finding;
}

const char *external_text(const struct supervisor *supervisor, size_t gate)
{
	const struct external *external = &supervisor->externals[gate];

	return is_fresh(external) ? external->text : "";
}

const char *external_clause(const struct supervisor *supervisor, int gate, enum reason reason)
{
	/* An answer that came since was not judged yet. */
	bool told = gate >= 0 && reason != REASON_UNASKED;
	const char *text = told ? external_text(supervisor, (size_t)gate) : "";

	return *text ? text : reason_text(reason);
}

bool external_take_news(struct supervisor *supervisor, size_t gate)
{
	struct external *external = &supervisor->externals[gate];
	const struct finding *now = &supervisor->findings[gate].finding;
	__u64 visit = supervisor->record.visit;

	/* Of a visit in which it has said nothing yet there is nothing to tell. */
	if (external->answered_visit != visit || !external->answered_ms)
		return false;
	if (external->told_visit == visit && external->told.verdict == now->verdict &&
	    external->told.reason == now->reason)
		return false;
	external->told = *now;
	external->told_visit = visit;
	return true;
}
