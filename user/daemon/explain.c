/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/explain.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/sample_json.h"
#include "daemon/status.h"

#define DECIDING 10 /* events that are shown of a gate */
#define ANSWERS_SHOWN 10 /* the last ones of a gate that others answer, or that has a bound */

/* A sample that made a gate's E rise. */
struct deciding {
	__s64 time;
	int step;
	double w;
	__u64 events[CANARY_COHORTS];
	double rise;
	double log_e; /* afterwards */
};

struct gate_replay {
	struct deciding deciding[DECIDING]; /* in order of time */
	size_t count;
};

struct replay {
	const struct rollout_plan *plan;
	struct measure measure;
	struct gate_replay gates[ROLLOUT_MAX_GATES];
	struct tally steps[ROLLOUT_MAX_STEPS][CANARY_COHORTS];
	json_t *answers[ROLLOUT_MAX_GATES]; /* verdicts of gates without evidence, each another than the one before */
};

/* Makes room where one is to go that rose less than this. */
static bool make_room(struct gate_replay *gate, double rise)
{
	size_t least = 0;

	if (gate->count < DECIDING)
		return true;
	for (size_t i = 1; i < gate->count; i++) {
		if (gate->deciding[i].rise < gate->deciding[least].rise)
			least = i;
	}
	if (gate->deciding[least].rise >= rise)
		return false;
	gate->count--;
	memmove(&gate->deciding[least], &gate->deciding[least + 1], (gate->count - least) * sizeof(gate->deciding[0]));
	return true;
}

static double log_of(const struct replay *replay, size_t gate, __u64 run)
{
	/* Of another run nothing counts. */
	return replay->measure.run == run ? measure_log(&replay->measure, replay->plan, gate) : 0;
}

static void count_events(const struct replay *replay, const struct sample *sample, size_t gate,
			 __u64 ret[CANARY_COHORTS])
{
	enum gate_type type = replay->plan->gates[gate].type;

	memset(ret, 0, CANARY_COHORTS * sizeof(ret[0]));
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		for (size_t i = 0; type == GATE_TYPE_FAILURES && i < sample->share_count; i++)
			ret[cohort] += sample->shares[i].failed[cohort];
		if (type == GATE_TYPE_FEEDBACK)
			ret[cohort] = sample->unhappy[cohort];
		else if (type != GATE_TYPE_FAILURES)
			ret[cohort] = sample->times[gate].above[cohort][0];
	}
}

/* The canary's share where these events come from: of failures, where most do. */
static double share_of(const struct replay *replay, const struct sample *sample, size_t gate)
{
	enum gate_type type = replay->plan->gates[gate].type;
	double w = replay->measure.w;
	__u64 most = 0;

	if (type == GATE_TYPE_FEEDBACK)
		return sample->feedback_w; /* all users may speak up, not only those that are observed */
	for (size_t i = 0; type == GATE_TYPE_FAILURES && i < sample->share_count; i++) {
		const struct share *share = &sample->shares[i];
		__u64 failed = share->failed[CANARY_STABLE] + share->failed[CANARY_CANARY];

		if (failed <= most)
			continue;
		most = failed;
		w = share->w;
	}
	return w;
}

static void note(struct replay *replay, const struct sample *sample, __s64 time, size_t at, double before)
{
	struct gate_replay *gate = &replay->gates[at];
	double after = log_of(replay, at, sample->run), rise = after - before;
	struct deciding *deciding;

	if (!(rise > 0) || !make_room(gate, rise))
		return;
	deciding = &gate->deciding[gate->count++];
	*deciding = (struct deciding){
		.time = time, .step = sample->step, .w = share_of(replay, sample, at), .rise = rise, .log_e = after};
	count_events(replay, sample, at, deciding->events);
}

static void add_sample(struct replay *replay, const struct sample *sample, __s64 time)
{
	double before[ROLLOUT_MAX_GATES];

	if (replay->measure.run != sample->run) {
		memset(replay->gates, 0, sizeof(replay->gates));
		memset(replay->steps, 0, sizeof(replay->steps));
	}
	for (size_t i = 0; i < replay->plan->gate_count; i++)
		before[i] = log_of(replay, i, sample->run);
	measure_add(&replay->measure, replay->plan, sample);
	for (size_t i = 0; i < replay->plan->gate_count; i++)
		note(replay, sample, time, i, before[i]);
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		struct tally *tally = &replay->steps[sample->step % ROLLOUT_MAX_STEPS][cohort];

		tally->finished += sample->tally[cohort].finished;
		tally->bad += sample->tally[cohort].bad;
	}
}

static int replay_counts(const struct history_entry *entry, void *arg)
{
	json_t *view = json_loads(entry->counts.counts, 0, NULL);
	struct sample sample;

	if (!sample_parse(json_object_get(view, "sample"), &sample))
		add_sample(arg, &sample, entry->time);
	json_decref(view);
	return 0;
}

static bool has_evidence(const struct rollout_gate *gate)
{
	return gate_has_process(gate) || gate_has_times(gate);
}

/* The same once more is nothing new. */
static bool repeats(const json_t *answers, const json_t *answer)
{
	static const char *const keys[] = {"step", "verdict", "reason", "text"};
	const json_t *last = json_array_get(answers, json_array_size(answers) - 1);

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!json_equal(json_object_get(last, keys[i]), json_object_get(answer, keys[i])))
			return false;
	}
	return last;
}

static void take_answer(json_t *answers, const struct history_entry *entry)
{
	static const char *const others[] = {"kind", "release", "uid", "gate", "log_e", "w"};
	json_t *answer = entry_view(entry);

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		json_object_del(answer, others[i]);
	if (!repeats(answers, answer))
		json_array_append(answers, answer);
	if (json_array_size(answers) > ANSWERS_SHOWN)
		json_array_remove(answers, 0);
	json_decref(answer);
}

static int replay_verdict(const struct history_entry *entry, void *arg)
{
	struct replay *replay = arg;

	for (size_t i = 0; i < replay->plan->gate_count; i++) {
		const struct rollout_gate *gate = &replay->plan->gates[i];

		if (!has_evidence(gate) && !strcmp(gate->name, entry->verdict.gate))
			take_answer(replay->answers[i], entry);
	}
	return 0;
}

static json_t *deciding_view(const struct gate_replay *gate)
{
	json_t *view = json_array();

	for (size_t i = 0; i < gate->count; i++) {
		const struct deciding *deciding = &gate->deciding[i];

		json_array_append_new(view,
				      json_pack("{s:o, s:i, s:o, s:I, s:I, s:o}", "time", time_view(deciding->time),
						"step", deciding->step + 1, "w", number_view(deciding->w), "canary",
						(json_int_t)deciding->events[CANARY_CANARY], "stable",
						(json_int_t)deciding->events[CANARY_STABLE], "log_e",
						number_view(deciding->log_e)));
	}
	return view;
}

/* Did it fail when it was asked last? */
static bool said_no(const json_t *answers)
{
	const json_t *last = json_array_get(answers, json_array_size(answers) - 1);
	const char *verdict = json_string_value(json_object_get(last, "verdict"));

	return verdict && !strcmp(verdict, verdict_name(VERDICT_FAIL));
}

static json_t *gate_view(const struct replay *replay, size_t at)
{
	const struct rollout_gate *plan = &replay->plan->gates[at];
	const struct gate_measure *gate = &replay->measure.gates[at];
	__u64 canary = gate->events[CANARY_CANARY], stable = gate->events[CANARY_STABLE];
	bool failed = has_evidence(plan) ? gate->process.failed || gate->times.failed : said_no(replay->answers[at]);

	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:I, s:I, s:I, s:o, s:O}", "name", plan->name, "type",
			 gate_type_name(plan->type), "mode", gate_mode_name(plan->mode), "log_e",
			 number_view(measure_log(&replay->measure, replay->plan, at)), "bound",
			 number_view(measure_bound(replay->plan, at)), "failed", failed, "n",
			 (json_int_t)(canary + stable), "canary", (json_int_t)canary, "stable", (json_int_t)stable,
			 "deciding", deciding_view(&replay->gates[at]), "answers", replay->answers[at]);
}

static json_t *gates_view(const struct replay *replay)
{
	json_t *view = json_array();

	for (size_t i = 0; i < replay->plan->gate_count; i++)
		json_array_append_new(view, gate_view(replay, i));
	return view;
}

static json_t *steps_view(const struct replay *replay)
{
	json_t *view = json_array();

	for (size_t i = 0; i < replay->plan->step_count; i++) {
		const struct tally *tally = replay->steps[i];

		json_array_append_new(view, json_pack("{s:i, s:f, s:{s:I, s:I}, s:{s:I, s:I}}", "step", (int)i + 1,
						      "weight", replay->plan->steps[i].weight / 100.0, "canary",
						      "flows", (json_int_t)tally[CANARY_CANARY].finished, "failures",
						      (json_int_t)tally[CANARY_CANARY].bad, "stable", "flows",
						      (json_int_t)tally[CANARY_STABLE].finished, "failures",
						      (json_int_t)tally[CANARY_STABLE].bad));
	}
	return view;
}

static int append_transition(const struct history_entry *entry, void *arg)
{
	json_array_append_new(arg, entry_view(entry));
	return 0;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* The last transition that nobody asked for, or the last of all. */
static const json_t *find_decision(const json_t *transitions)
{
	size_t count = json_array_size(transitions);

	for (size_t i = count; i > 0; i--) {
		const json_t *transition = json_array_get(transitions, i - 1);

		if (strcmp(text_of(transition, "cause"), rollout_cause_name(ROLLOUT_CAUSE_REQUEST)))
			return transition;
	}
	return json_array_get(transitions, count - 1);
}

/* A person's request by its verb. */
static const char *cause_of(const json_t *transition)
{
	enum rollout_event_type type;
	const char *cause = text_of(transition, "cause");

	if (strcmp(cause, rollout_cause_name(ROLLOUT_CAUSE_REQUEST)) ||
	    parse_rollout_event(text_of(transition, "event"), &type))
		return cause;
	return rollout_event_verb(type);
}

static json_t *sentence(const struct supervisor *supervisor, const struct replay *replay, const json_t *decision)
{
	const json_t *judgement = json_object_get(decision, "judgement");
	const char *gate = text_of(judgement, "gate");

	return json_sprintf("%s went from %s to %s at step %lld of %zu: %s%s%s%s", supervisor->name,
			    text_of(decision, "before"), text_of(decision, "after"),
			    (long long)json_integer_value(json_object_get(decision, "step")), replay->plan->step_count,
			    *gate ? "gate " : cause_of(decision), gate,
			    judgement && !json_is_null(judgement) ? ", " : "", text_of(judgement, "text"));
}

static json_t *make_view(const struct supervisor *supervisor, const struct replay *replay, __u64 release,
			 json_t *transitions)
{
	const json_t *decision = find_decision(transitions);
	const json_t *last = json_array_get(transitions, json_array_size(transitions) - 1);
	json_t *gate = json_object_get(json_object_get(decision, "judgement"), "gate");

	return json_pack("{s:s, s:I, s:s, s:s, s:O?, s:o, s:o, s:O, s:o}", "service", supervisor->name, "release",
			 (json_int_t)release, "state", text_of(last, "after"), "cause", text_of(decision, "cause"),
			 "gate", json_is_string(gate) ? gate : NULL, "text", sentence(supervisor, replay, decision),
			 "gates", gates_view(replay), "transitions", transitions, "steps", steps_view(replay));
}

json_t *explain_view(struct supervisor *supervisor, __u64 release, struct error *error)
{
	struct history *history = supervisor->daemon->history;
	__u64 which = release ? release : supervisor->record.rollout.release;
	const struct history_filter filter = {.service = supervisor->name, .rollout = (__s64)which};
	json_t *transitions, *view = NULL;
	struct rollout_plan plan;
	struct replay replay = {.plan = &plan};

	if (!which) {
		fail(error, -ENOENT, "%s has no release yet", supervisor->name);
		return NULL;
	}
	if (record_plan(history, supervisor->name, which, &plan, error))
		return NULL;
	transitions = json_array();
	for (size_t i = 0; i < plan.gate_count; i++)
		replay.answers[i] = json_array();
	if (!history_list(history, HISTORY_TRANSITION, &filter, append_transition, transitions, error) &&
	    !history_list(history, HISTORY_COUNTS, &filter, replay_counts, &replay, error) &&
	    !history_list(history, HISTORY_VERDICT, &filter, replay_verdict, &replay, error))
		view = make_view(supervisor, &replay, which, transitions);
	for (size_t i = 0; i < plan.gate_count; i++)
		json_decref(replay.answers[i]);
	json_decref(transitions);
	return view;
}
