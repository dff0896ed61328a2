/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/status.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/text.h"
#include "io/plan_json.h"

json_t *time_view(__s64 ms)
{
	time_t seconds = ms / 1000;
	char text[TIME_TEXT_LEN];
	struct tm parts;

	gmtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
	return json_string(text);
}

json_t *number_view(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *integer_view(__u64 value)
{
	return json_integer((json_int_t)value);
}

static json_t *percent_view(int hundredths)
{
	return json_real(hundredths / 100.0);
}

static json_t *uid_view(__s64 uid)
{
	return uid == HISTORY_NO_UID ? json_null() : json_integer(uid);
}

static json_t *text_view(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *step_view(__s64 step)
{
	return step == HISTORY_NO_STEP ? json_null() : json_integer(step + 1);
}

/* null where there is none: of what an older version has written, or of nothing that was judged. */
static void take_member(json_t *view, const json_t *from, const char *key)
{
	json_t *member = json_object_get(from, key);

	json_object_set_new(view, key, member ? json_incref(member) : json_null());
}

static void add_transition(json_t *view, const struct history_transition *transition)
{
	json_t *state = json_loads(transition->state, 0, NULL);

	json_object_set_new(view, "number", json_integer(transition->number));
	json_object_set_new(view, "before", text_view(transition->before));
	json_object_set_new(view, "after", text_view(transition->after));
	json_object_set_new(view, "step", step_view(transition->step));
	json_object_set_new(view, "weight", percent_view((int)transition->weight));
	json_object_set_new(view, "cause", text_view(transition->cause));
	json_object_set_new(view, "uid", uid_view(transition->uid));
	take_member(view, state, "event");
	take_member(view, state, "forced_weight");
	take_member(view, state, "judgement");
	json_decref(state);
}

/* What a gate that asks others was told: a number, or a sentence. */
static void add_answer(json_t *view, const struct history_verdict *verdict)
{
	json_t *details = json_loads(verdict->details ? verdict->details : "{}", 0, NULL);
	const json_t *value = json_object_get(details, "value");
	const char *text = json_string_value(json_object_get(details, "text"));

	json_object_set_new(view, "value", number_view(json_is_number(value) ? json_number_value(value) : NAN));
	json_object_set_new(view, "text", text_view(text && *text ? text : NULL));
	json_decref(details);
}

static void add_verdict(json_t *view, const struct history_verdict *verdict)
{
	json_object_set_new(view, "uid", json_null());
	json_object_set_new(view, "step", step_view(verdict->step));
	json_object_set_new(view, "gate", text_view(verdict->gate));
	json_object_set_new(view, "verdict", text_view(verdict->verdict));
	json_object_set_new(view, "reason", text_view(verdict->reason));
	json_object_set_new(view, "canary_flows", json_integer(verdict->canary_flows));
	json_object_set_new(view, "canary_failures", json_integer(verdict->canary_failures));
	json_object_set_new(view, "stable_flows", json_integer(verdict->stable_flows));
	json_object_set_new(view, "stable_failures", json_integer(verdict->stable_failures));
	json_object_set_new(view, "log_e", number_view(verdict->log_e));
	json_object_set_new(view, "w", number_view(verdict->share));
	add_answer(view, verdict);
}

static void add_feedback(json_t *view, const struct history_feedback *feedback)
{
	json_object_set_new(view, "client", text_view(feedback->client));
	json_object_set_new(view, "cohort", text_view(feedback->cohort));
	json_object_set_new(view, "verdict", json_string(feedback->good ? "good" : "bad"));
	json_object_set_new(view, "note", text_view(feedback->note));
	json_object_set_new(view, "uid", uid_view(feedback->uid));
}

static void add_block(json_t *view, const struct history_block *block)
{
	json_object_set_new(view, "blocked", json_boolean(block->blocked));
	json_object_set_new(view, "reason", text_view(block->reason));
	json_object_set_new(view, "uid", uid_view(block->uid));
}

json_t *entry_view(const struct history_entry *entry)
{
	static const char *const kinds[] = {
		[HISTORY_TRANSITION] = "transition", [HISTORY_VERDICT] = "verdict", [HISTORY_COUNTS] = "counts",
		[HISTORY_FEEDBACK] = "feedback",     [HISTORY_BLOCK] = "block",
	};
	json_t *view = json_object();

	json_object_set_new(view, "time", time_view(entry->time));
	json_object_set_new(view, "kind", json_string(kinds[entry->kind]));
	json_object_set_new(view, "release", json_integer(entry->rollout));
	if (entry->kind == HISTORY_TRANSITION)
		add_transition(view, &entry->transition);
	else if (entry->kind == HISTORY_VERDICT)
		add_verdict(view, &entry->verdict);
	else if (entry->kind == HISTORY_FEEDBACK)
		add_feedback(view, &entry->feedback);
	else if (entry->kind == HISTORY_BLOCK)
		add_block(view, &entry->block);
	return view;
}

struct last_transition {
	json_t *view; /* or null */
	__s64 time;
};

static int keep_last(const struct history_entry *entry, void *arg)
{
	struct last_transition *last = arg;

	json_decref(last->view);
	*last = (struct last_transition){entry_view(entry), entry->time};
	return 0;
}

static struct last_transition last_transition(const struct supervisor *supervisor)
{
	const struct history_filter filter = {.service = supervisor->name, .latest = true};
	struct last_transition last = {.view = json_null()};
	struct error error;

	if (supervisor->record.rollout.transitions)
		history_list(supervisor->daemon->history, HISTORY_TRANSITION, &filter, keep_last, &last, &error);
	return last;
}

static bool has_ended(const struct supervisor *supervisor)
{
	const struct rollout *rollout = &supervisor->record.rollout;

	return !rollout_owns_weight(rollout) || rollout->state == ROLLOUT_SUCCEEDED;
}

static int keep_verdict(const struct history_entry *entry, void *arg)
{
	json_object_set_new(arg, entry->verdict.gate, entry_view(entry));
	return 0;
}

/* By gate, what was recorded with the transition that ended the rollout; of one under way, nothing. */
static json_t *last_verdicts(const struct supervisor *supervisor, const struct last_transition *last)
{
	const struct history_filter filter = {
		.service = supervisor->name,
		.rollout = (__s64)supervisor->record.rollout.release,
		.since = last->time,
	};
	json_t *verdicts = json_object();
	struct error error;

	if (has_ended(supervisor) && json_is_object(json_object_get(last->view, "judgement")))
		history_list(supervisor->daemon->history, HISTORY_VERDICT, &filter, keep_verdict, verdicts, &error);
	return verdicts;
}

static json_t *pending_view(const struct rollout *rollout)
{
	json_t *view = json_array();

	for (size_t i = 0; i < rollout->pending_count; i++) {
		const struct rollout_action *action = &rollout->pending[i];
		bool hook = action->type == ROLLOUT_ACTION_RUN_HOOK;

		json_array_append_new(view, json_sprintf("%s%s%s", rollout_action_name(action->type), hook ? " " : "",
							 hook ? hook_name(action->hook) : ""));
	}
	return view;
}

static bool is_judged(const struct supervisor *supervisor)
{
	const struct rollout *rollout = &supervisor->record.rollout;

	return supervisor->judged && rollout_owns_weight(rollout) && rollout->state != ROLLOUT_SUCCEEDED;
}

static json_t *judgement_view(const struct supervisor *supervisor)
{
	const struct judgement *judgement = &supervisor->judgement;

	if (!is_judged(supervisor))
		return json_null();
	return json_pack("{s:s, s:s, s:s, s:s?}", "verdict", verdict_name(judgement->finding.verdict), "reason",
			 reason_name(judgement->finding.reason), "text",
			 external_clause(supervisor, judgement->gate, judgement->finding.reason), "gate",
			 judgement->gate >= 0 ? supervisor->record.plan.gates[judgement->gate].name : NULL);
}

static json_t *facts_view(const struct supervisor *supervisor)
{
	const struct step_facts *facts = &supervisor->facts;

	if (!is_judged(supervisor))
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:b, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o}", "canary_flows",
			 integer_view(facts->canary_flows), "stable_flows", integer_view(facts->stable_flows),
			 "min_flows", integer_view(facts->min_flows), "stale", facts->stale, "flooded", facts->flooded,
			 "alone", facts->alone, "tripped", facts->tripped, "harm_log_e", number_view(facts->harm),
			 "harm_bound", number_view(-log(1 - facts->confidence)), "sample_ratio_log_e",
			 number_view(facts->sample_ratio), "sample_ratio_bound", number_view(SAMPLE_RATIO_BOUND), "w",
			 number_view(supervisor_has_measure(supervisor) ? supervisor->measure.w : NAN));
}

static json_t *events_view(const struct gate_measure *measure, enum canary_cohort cohort)
{
	return json_pack("{s:o, s:o}", "flows", integer_view(measure->units[cohort]), "failures",
			 integer_view(measure->events[cohort]));
}

/* What the gate says now. */
static void add_finding(json_t *view, const struct supervisor *supervisor, size_t at)
{
	const struct finding *finding = &supervisor->findings[at].finding;

	json_object_set_new(view, "verdict", json_string(verdict_name(finding->verdict)));
	json_object_set_new(view, "reason", json_string(reason_name(finding->reason)));
	json_object_set_new(view, "text", json_string(external_clause(supervisor, (int)at, finding->reason)));
	json_object_set_new(view, "value", number_view(supervisor->values[at]));
}

/* What it said when the rollout ended. NULL: nothing. */
static void add_recorded(json_t *view, const struct supervisor *supervisor, size_t at, const json_t *recorded)
{
	const char *word = json_string_value(json_object_get(recorded, "reason"));
	const char *text = json_string_value(json_object_get(recorded, "text"));
	enum reason reason;

	if (!text)
		text = word && !parse_reason(word, &reason) ? reason_text(reason) : external_text(supervisor, at);
	take_member(view, recorded, "verdict");
	take_member(view, recorded, "reason");
	json_object_set_new(view, "text", json_string(text));
	take_member(view, recorded, "value");
}

static json_t *gate_view(const struct supervisor *supervisor, size_t at, const json_t *verdicts)
{
	static const struct gate_measure none;
	const struct rollout_plan *plan = &supervisor->record.plan;
	const struct rollout_gate *gate = &plan->gates[at];
	const struct external *external = &supervisor->externals[at];
	bool has = supervisor->measure.run == supervisor->record.run;
	const struct gate_measure *measure = has ? &supervisor->measure.gates[at] : &none;
	bool process = gate_has_process(gate) || gate_has_times(gate);
	json_t *view = json_pack("{s:s, s:s, s:s}", "name", gate->name, "type", gate_type_name(gate->type), "mode",
				 gate_mode_name(gate->mode));

	if (is_judged(supervisor))
		add_finding(view, supervisor, at);
	else
		add_recorded(view, supervisor, at, json_object_get(verdicts, gate->name));
	json_object_set_new(view, "log_e", number_view(has ? measure_log(&supervisor->measure, plan, at) : NAN));
	json_object_set_new(view, "bound", number_view(measure_bound(plan, at)));
	json_object_set_new(view, "w", number_view(process && has ? supervisor->measure.w : NAN));
	json_object_set_new(view, "min", number_view(gate->min));
	json_object_set_new(view, "max", number_view(gate->max));
	json_object_set_new(view, "canary", process ? events_view(measure, CANARY_CANARY) : json_null());
	json_object_set_new(view, "stable", process ? events_view(measure, CANARY_STABLE) : json_null());
	json_object_set_new(view, "age",
			    external->answered_ms ? json_integer((wall_ms() - external->answered_ms) / 1000)
						  : json_null());
	return view;
}

static json_t *gates_view(const struct supervisor *supervisor, const struct last_transition *last)
{
	json_t *view = json_array(), *verdicts = last_verdicts(supervisor, last);

	for (size_t i = 0; i < supervisor->record.plan.gate_count; i++)
		json_array_append_new(view, gate_view(supervisor, i, verdicts));
	json_decref(verdicts);
	return view;
}

/* Of a rollout that has ended, what was measured last tells why. */
static bool shows_measure(const struct supervisor *supervisor)
{
	return supervisor_has_measure(supervisor) ||
	       (has_ended(supervisor) && supervisor->measure.run == supervisor->record.run);
}

static json_t *cohort_view(const struct supervisor *supervisor, enum canary_cohort cohort)
{
	bool measured = shows_measure(supervisor);
	struct tally tally = measured ? supervisor->measure.tally[cohort] : (struct tally){};
	const struct canary_cohort_counters *counters = &supervisor->now.counters[cohort];
	json_t *view = json_object();

	json_object_set_new(view, "flows", integer_view(tally.finished));
	json_object_set_new(view, "failures", integer_view(tally.bad));
	json_object_set_new(view, "failure_rate",
			    number_view(tally.finished ? 100.0 * (double)tally.bad / (double)tally.finished : NAN));
	json_object_set_new(view, "packets", integer_view(counters->count[CANARY_COHORT_PACKETS]));
	json_object_set_new(view, "bytes", integer_view(counters->count[CANARY_COHORT_BYTES]));
	json_object_set_new(view, "drops", integer_view(supervisor_sum_drops(counters)));
#define PERCENTILE(key, kind, part)                                                                                    \
	json_object_set_new(view, key, number_view(supervisor_percentile(supervisor, kind, cohort, part)))
	PERCENTILE("handshake_p50", CANARY_HISTOGRAM_HANDSHAKE, 0.5);
	PERCENTILE("handshake_p99", CANARY_HISTOGRAM_HANDSHAKE, 0.99);
	PERCENTILE("response_p50", CANARY_HISTOGRAM_RESPONSE, 0.5);
	PERCENTILE("response_p99", CANARY_HISTOGRAM_RESPONSE, 0.99);
#undef PERCENTILE
	return view;
}

/* Said in the run: also what was said since the last sample. */
static json_t *feedback_view(const struct supervisor *supervisor)
{
	static const struct measure none;
	bool has = supervisor->measure.run == supervisor->record.run;
	const struct measure *measure = has ? &supervisor->measure : &none;
	json_t *view = json_object();

	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
		json_object_set_new(view, cohort_name((enum canary_cohort)cohort),
				    json_pack("{s:o, s:o}", "words",
					      integer_view(measure->words[cohort] + supervisor->words[cohort]),
					      "unhappy",
					      integer_view(measure->unhappy[cohort] + supervisor->unhappy[cohort])));
	json_object_set_new(view, "unattributed", integer_view(measure->unattributed + supervisor->unattributed));
	return view;
}

/* Where the rollout is. */
static void add_place(json_t *view, const struct supervisor *supervisor, const struct last_transition *last)
{
	const struct record *record = &supervisor->record;
	const struct rollout *rollout = &record->rollout;
	bool begun = rollout->release;

	json_object_set_new(view, "state", json_string(rollout_state_name(rollout->state)));
	json_object_set_new(view, "release", integer_view(rollout->release));
	json_object_set_new(view, "step", json_integer(begun ? rollout->step + 1 : 0));
	json_object_set_new(view, "steps", integer_view(record->plan.step_count));
	json_object_set_new(view, "elapsed", json_integer(begun ? rollout_elapsed(rollout) : 0));
	json_object_set_new(view, "bake", json_integer(begun ? rollout_bake(&record->plan, rollout) : 0));
	json_object_set_new(view, "warm", json_boolean(begun && rollout_is_warm(&record->plan, rollout)));
	json_object_set_new(view, "deadline",
			    json_pack("{s:I, s:i}", "elapsed", (json_int_t)rollout->deadline_ms / 1000, "seconds",
				      (int)record->plan.progress_deadline));
	json_object_set_new(view, "wait", json_string(rollout_wait_name(rollout->wait)));
	json_object_set_new(view, "late", json_boolean(rollout->late));
	json_object_set_new(view, "blocked", json_boolean(rollout->blocked));
	json_object_set_new(view, "block_reason", text_view(record->block_reason[0] ? record->block_reason : NULL));
	json_object_set_new(view, "finished", json_boolean(rollout->finished));
	json_object_set_new(view, "transitions", integer_view(rollout->transitions));
	json_object_set(view, "last_transition", last->view);
	json_object_set_new(view, "pending", pending_view(rollout));
	json_object_set_new(view, "error", text_view(supervisor->error[0] ? supervisor->error : NULL));
}

/* By address everybody reads this: it is without what hooks and gates run and ask, which may have passwords in it. */
static json_t *plan_view(const struct rollout_plan *plan, const struct http_call *call)
{
	json_t *view = plan_json(plan), *gate;
	size_t i;

	if (!http_by_address(call))
		return view;
	json_object_del(view, "hooks");
	json_array_foreach (json_object_get(view, "gates"), i, gate) {
		json_object_del(gate, "command");
		json_object_del(gate, "url");
	}
	return view;
}

json_t *status_view(struct supervisor *supervisor, const struct http_call *call)
{
	struct last_transition last = last_transition(supervisor);
	bool present = supervisor->present;
	json_t *view = json_object();

	json_object_set_new(view, "service", json_string(supervisor->name));
	json_object_set_new(view, "present", json_boolean(present));
	add_place(view, supervisor, &last);
	json_object_set_new(view, "weight", present ? percent_view(supervisor_weight(supervisor)) : json_null());
	json_object_set_new(view, "effective_weight",
			    present ? percent_view(supervisor_effective_weight(supervisor)) : json_null());
	json_object_set_new(view, "holdback", percent_view(supervisor_holdback(supervisor)));
	json_object_set_new(view, "judgement", judgement_view(supervisor));
	json_object_set_new(view, "facts", facts_view(supervisor));
	json_object_set_new(view, "gates", gates_view(supervisor, &last));
	json_object_set_new(view, "cohorts",
			    json_pack("{s:o, s:o}", "canary", cohort_view(supervisor, CANARY_CANARY), "stable",
				      cohort_view(supervisor, CANARY_STABLE)));
	json_object_set_new(view, "feedback", feedback_view(supervisor));
	json_object_set_new(view, "plan", plan_view(&supervisor->record.plan, call));
	json_decref(last.view);
	return view;
}
