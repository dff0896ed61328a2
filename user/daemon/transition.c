/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/transition.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/breaker.h"
#include "core/text.h"
#include "daemon/log.h"

#define MAX_ENTRIES (ROLLOUT_MAX_GATES + 2)
#define WHY_TEXT_LEN (BREAKER_TEXT_LEN + 128)

struct entries {
	struct entries *next; /* of those that are owed to the history: the next younger ones */
	struct history_entry list[MAX_ENTRIES];
	char *details[MAX_ENTRIES]; /* to be freed */
	size_t count;
};

static void entries_free(struct entries *entries)
{
	for (size_t i = 0; i < MAX_ENTRIES; i++)
		free(entries->details[i]);
	free(entries);
}

static struct history_entry *add(struct entries *entries, const struct supervisor *supervisor,
				 const struct record *record, enum history_kind kind)
{
	struct history_entry *entry = &entries->list[entries->count++];

	*entry = (struct history_entry){
		.kind = kind,
		.service = supervisor->name,
		.rollout = (__s64)record->rollout.release,
		.time = wall_ms(),
	};
	return entry;
}

static const char *gate_name(const struct record *record, const struct judgement *judgement)
{
	return judgement->gate >= 0 ? record->plan.gates[judgement->gate].name : NULL;
}

static bool is_trip(const struct judgement *judgement)
{
	return judgement->finding.reason == REASON_BREAKER;
}

/* Why, in a sentence; of the breaker's trip with the numbers behind it. */
static const char *format_why(const struct supervisor *supervisor, const struct judgement *judgement,
			      char buf[WHY_TEXT_LEN])
{
	const struct guard *guard = &supervisor->now.guard;
	bool relative = guard->reason == CANARY_STOP_RELATIVE;
	char numbers[BREAKER_TEXT_LEN];

	if (!is_trip(judgement))
		return external_clause(supervisor, judgement->gate, judgement->finding.reason);
	snprintf(buf, WHY_TEXT_LEN, "%s: %s (%s rule, sum %.3g, limit %.3g)", reason_text(REASON_BREAKER),
		 format_breaker(relative, guard->flows, guard->failures, numbers), relative ? "relative" : "absolute",
		 guard->sum, guard->limit);
	return buf;
}

static json_t *breaker_view(const struct guard *guard)
{
	json_t *flows = json_object(), *failures = json_object();

	for (int i = 0; i < CANARY_COHORTS; i++) {
		const char *cohort = cohort_name((enum canary_cohort)i);

		json_object_set_new(flows, cohort, json_integer(guard->flows[i]));
		json_object_set_new(failures, cohort, json_integer(guard->failures[i]));
	}
	return json_pack("{s:s, s:f, s:f, s:o, s:o}", "rule",
			 guard->reason == CANARY_STOP_RELATIVE ? "relative" : "absolute", "sum", guard->sum, "limit",
			 guard->limit, "flows", flows, "failures", failures);
}

static json_t *judgement_view(const struct supervisor *supervisor, const struct record *record,
			      const struct judgement *judgement)
{
	char why[WHY_TEXT_LEN];
	json_t *view = json_pack("{s:s, s:s, s:s, s:s?}", "verdict", verdict_name(judgement->finding.verdict), "reason",
				 reason_name(judgement->finding.reason), "text", format_why(supervisor, judgement, why),
				 "gate", gate_name(record, judgement));

	if (is_trip(judgement))
		json_object_set_new(view, "breaker", breaker_view(&supervisor->now.guard));
	return view;
}

static bool is_judged(const struct request *request)
{
	return request->type == ROLLOUT_EVENT_TICK || request->type == ROLLOUT_EVENT_TRIP;
}

/* What happened, beside the state: {"event": ..., "judgement": ..., "plan": ..., ...}. */
static char *state_text(const struct supervisor *supervisor, const struct record *record, const struct request *request,
			const struct judgement *judgement)
{
	char *text = record_text(record, true), *whole;
	json_t *view;

	if (!text)
		return NULL;
	view = json_loads(text, 0, NULL);
	free(text);
	json_object_set_new(view, "event", json_string(rollout_event_name(request->type)));
	if (request->by_hand)
		json_object_set_new(view, "forced_weight", json_real(supervisor->running.weight / 100.0));
	if (is_judged(request))
		json_object_set_new(view, "judgement", judgement_view(supervisor, record, judgement));
	whole = json_dumps(view, JSON_COMPACT);
	json_decref(view);
	return whole;
}

static int weight_after(const struct record *record)
{
	const struct rollout *rollout = &record->rollout;

	switch (rollout->state) {
	case ROLLOUT_PROGRESSING:
	case ROLLOUT_BAKING:
	case ROLLOUT_INCONCLUSIVE:
		return record->plan.steps[rollout->step].weight;
	case ROLLOUT_ROLLED_BACK:
	case ROLLOUT_IDLE:
		return 0;
	default:
		return rollout->weight;
	}
}

static char *details_of(const struct supervisor *supervisor, size_t at)
{
	double value = supervisor->values[at];
	json_t *view =
		json_pack("{s:s, s:o, s:s}", "type", gate_type_name(supervisor->record.plan.gates[at].type), "value",
			  isnan(value) ? json_null() : json_real(value), "text", external_text(supervisor, at));
	char *text = json_dumps(view, JSON_COMPACT);

	json_decref(view);
	return text;
}

/* The plan is that of before: of a start, nothing was judged. */
static void add_verdict(struct entries *entries, const struct supervisor *supervisor, size_t at)
{
	const struct record *record = &supervisor->record;
	const struct rollout_gate *gate = &record->plan.gates[at];
	const struct gate_measure *measure = &supervisor->measure.gates[at];
	const struct finding *finding = &supervisor->findings[at].finding;
	bool has = supervisor->measure.run == record->run;
	struct history_entry *entry = add(entries, supervisor, record, HISTORY_VERDICT);

	entries->details[entries->count - 1] = details_of(supervisor, at);
	entry->verdict = (struct history_verdict){
		.step = record->rollout.step,
		.gate = gate->name,
		.verdict = verdict_name(finding->verdict),
		.reason = reason_name(finding->reason),
		.canary_failures = has ? (__s64)measure->events[CANARY_CANARY] : 0,
		.canary_flows = has ? (__s64)measure->units[CANARY_CANARY] : 0,
		.stable_failures = has ? (__s64)measure->events[CANARY_STABLE] : 0,
		.stable_flows = has ? (__s64)measure->units[CANARY_STABLE] : 0,
		.log_e = has ? measure_log(&supervisor->measure, &record->plan, at) : NAN,
		.share = has && supervisor->measure.w > 0 ? supervisor->measure.w : NAN,
		.details = entries->details[entries->count - 1],
	};
}

int transition_settle(struct supervisor *supervisor, struct error *error)
{
	while (supervisor->owed) {
		struct entries *oldest = supervisor->owed;
		int err = history_append(supervisor->daemon->history, oldest->list, oldest->count, error);

		if (err)
			return err;
		supervisor->owed = oldest->next;
		entries_free(oldest);
	}
	return 0;
}

void transition_forget(struct supervisor *supervisor)
{
	while (supervisor->owed) {
		struct entries *oldest = supervisor->owed;

		supervisor->owed = oldest->next;
		entries_free(oldest);
	}
}

static void owe(struct supervisor *supervisor, struct entries *entries)
{
	struct entries **at = &supervisor->owed;

	while (*at)
		at = &(*at)->next;
	*at = entries;
}

/* Takes the entries. What is written down later is so in its order: a debt comes first. */
static int keep(struct supervisor *supervisor, struct entries *entries, bool owed, struct error *error)
{
	int err = transition_settle(supervisor, error);

	if (!err && entries->count)
		err = history_append(supervisor->daemon->history, entries->list, entries->count, error);
	if (err && owed)
		owe(supervisor, entries);
	else
		entries_free(entries);
	return err;
}

int transition_keep(struct supervisor *supervisor, const struct record *record, const struct request *request,
		    const struct rollout_transition *transition, struct error *error)
{
	bool judged = is_judged(request) && supervisor->judged;
	char *state = state_text(supervisor, record, request, &transition->judgement);
	struct entries *entries = calloc(1, sizeof(*entries));
	struct history_entry *entry;

	if (!state || !entries) {
		free(state);
		free(entries);
		return fail(error, -ENOMEM, "out of memory");
	}
	entry = add(entries, supervisor, record, HISTORY_TRANSITION);
	entries->details[0] = state;
	entry->transition = (struct history_transition){
		.number = (__s64)transition->number,
		.before = rollout_state_name(transition->from),
		.after = rollout_state_name(transition->to),
		.step = record->rollout.release ? transition->to_step : HISTORY_NO_STEP,
		.weight = weight_after(record),
		.cause = rollout_cause_name(transition->cause),
		.uid = request->uid,
		.state = state,
	};
	for (size_t i = 0; judged && i < supervisor->record.plan.gate_count; i++)
		add_verdict(entries, supervisor, i);
	return keep(supervisor, entries, transition->to == ROLLOUT_ROLLED_BACK, error);
}

int transition_keep_change(struct supervisor *supervisor, const struct record *record, const struct request *request,
			   struct error *error)
{
	bool blocks = request->type == ROLLOUT_EVENT_BLOCK, unblocks = request->type == ROLLOUT_EVENT_UNBLOCK;
	struct entries *entries = calloc(1, sizeof(*entries));
	struct history_entry *entry;

	if (!entries)
		return fail(error, -ENOMEM, "out of memory");
	if (blocks || unblocks) {
		entry = add(entries, supervisor, record, HISTORY_BLOCK);
		entry->block = (struct history_block){blocks, blocks ? request->reason : NULL, request->uid};
	}
	if (record->rollout.release) {
		entry = add(entries, supervisor, record, HISTORY_COUNTS);
		entries->details[entries->count - 1] = record_counts(record, NULL, NULL, NULL);
		entry->counts = (struct history_counts){record->rollout.step, entries->details[entries->count - 1]};
	}
	return keep(supervisor, entries, false, error);
}

void transition_keep_answers(struct supervisor *supervisor, bool kept)
{
	struct entries *entries = calloc(1, sizeof(*entries));
	struct error error;

	if (!entries)
		return;
	for (size_t i = 0; i < supervisor->record.plan.gate_count; i++) {
		if (external_take_news(supervisor, i) && !kept)
			add_verdict(entries, supervisor, i);
	}
	if (!entries->count)
		entries_free(entries);
	else if (keep(supervisor, entries, false, &error))
		supervisor_note_error(supervisor, &error);
}

void transition_announce(struct supervisor *supervisor, const struct rollout_transition *transition)
{
	const struct record *record = &supervisor->record;
	const struct judgement *judgement = &transition->judgement;
	const char *gate = gate_name(record, judgement);
	char why[WHY_TEXT_LEN];
	bool judged = transition->cause != ROLLOUT_CAUSE_REQUEST && transition->cause != ROLLOUT_CAUSE_OVERRIDE &&
		      transition->cause != ROLLOUT_CAUSE_HOOK && transition->cause != ROLLOUT_CAUSE_BROKEN;
	enum log_level level = transition->to == ROLLOUT_ROLLED_BACK || transition->to == ROLLOUT_FAILED
				       ? LOG_LEVEL_WARNING
				       : LOG_LEVEL_NOTICE;

	log_line(level, "%s: %s at step %d of %zu, weight %d.%02d%% (%s%s%s%s%s)", supervisor->name,
		 rollout_state_name(transition->to), transition->to_step + 1, record->plan.step_count,
		 weight_after(record) / 100, weight_after(record) % 100, rollout_cause_name(transition->cause),
		 judged && gate ? " " : "", judged && gate ? gate : "", judged ? ": " : "",
		 judged ? format_why(supervisor, judgement, why) : "");
}
