/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "daemon/sample_json.h"
#include "io/config.h"
#include "io/plan_json.h"

struct record record_copy(const struct record *record)
{
	struct record copy = *record;

	json_incref(copy.swap);
	return copy;
}

void record_free(struct record *record)
{
	json_decref(record->swap);
	record->swap = NULL;
}

/* X(type, field): the plain members of struct rollout that are kept; type: how JSON has them. */
#define ROLLOUT_FIELDS(X)                                                                                              \
	X(integer, step)                                                                                               \
	X(integer, weight)                                                                                             \
	X(integer, release)                                                                                            \
	X(integer, transitions)                                                                                        \
	X(integer, now_ms)                                                                                             \
	X(integer, step_ms)                                                                                            \
	X(integer, deadline_ms)                                                                                        \
	X(boolean, late)                                                                                               \
	X(boolean, blocked)                                                                                            \
	X(boolean, finished)                                                                                           \
	X(boolean, salted)                                                                                             \
	X(boolean, weight_due)

#define PACK_integer(field) json_integer((json_int_t)(field))
#define PACK_boolean(field) json_boolean(field)
#define UNPACK_integer(value) json_integer_value(value)
#define UNPACK_boolean(value) json_is_true(value)

static json_t *pack_action(const struct rollout_action *action)
{
	return json_pack("{s:s, s:i, s:i, s:b, s:b, s:s, s:i}", "type", rollout_action_name(action->type), "weight",
			 action->weight, "holdback", action->holdback, "new_salt", action->new_salt, "reset",
			 action->reset, "hook", hook_name(action->hook), "step", action->step);
}

static json_t *pack_rollout(const struct rollout *rollout)
{
	json_t *view = json_object(), *pending = json_array();

	json_object_set_new(view, "state", json_string(rollout_state_name(rollout->state)));
	json_object_set_new(view, "wait", json_string(rollout_wait_name(rollout->wait)));
#define X(type, field) json_object_set_new(view, #field, PACK_##type(rollout->field));
	ROLLOUT_FIELDS(X)
#undef X
	for (size_t i = 0; i < rollout->pending_count; i++)
		json_array_append_new(pending, pack_action(&rollout->pending[i]));
	json_object_set_new(view, "pending", pending);
	return view;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static int unpack_action(const json_t *view, struct rollout_action *ret)
{
	struct rollout_action action = {
		.weight = (int)json_integer_value(json_object_get(view, "weight")),
		.holdback = (int)json_integer_value(json_object_get(view, "holdback")),
		.new_salt = json_is_true(json_object_get(view, "new_salt")),
		.reset = json_is_true(json_object_get(view, "reset")),
		.step = (int)json_integer_value(json_object_get(view, "step")),
	};

	if (parse_rollout_action(text_of(view, "type"), &action.type) ||
	    parse_hook(text_of(view, "hook"), &action.hook))
		return -EINVAL;
	*ret = action;
	return 0;
}

static int unpack_rollout(const json_t *view, struct rollout *ret)
{
	const json_t *pending = json_object_get(view, "pending");
	struct rollout rollout = {.pending_count = json_array_size(pending)};

	if (parse_rollout_state(text_of(view, "state"), &rollout.state) ||
	    parse_rollout_wait(text_of(view, "wait"), &rollout.wait) || rollout.pending_count > ROLLOUT_MAX_PENDING)
		return -EINVAL;
#define X(type, field) rollout.field = UNPACK_##type(json_object_get(view, #field));
	ROLLOUT_FIELDS(X)
#undef X
	for (size_t i = 0; i < rollout.pending_count; i++) {
		if (unpack_action(json_array_get(pending, i), &rollout.pending[i]))
			return -EINVAL;
	}
	*ret = rollout;
	return 0;
}

static json_t *pack_guards(const struct guard_settings *guards)
{
	json_t *view = json_pack("{s:i}", "given", (int)guards->given);

#define X(part, key, type, member) json_object_set_new(view, #member, json_integer((json_int_t)guards->member));
	GUARD_SETTINGS(X)
#undef X
	return view;
}

static struct guard_settings unpack_guards(const json_t *view)
{
	return (struct guard_settings){.given = (unsigned)json_integer_value(json_object_get(view, "given")),
#define X(part, key, type, member) .member = (type)json_integer_value(json_object_get(view, #member)),
				       GUARD_SETTINGS(X)
#undef X
	};
}

static json_t *pack_mark(const struct record *record)
{
	json_t *view = json_pack("{s:I}", "visit", (json_int_t)record->mark.visit);

	for (int i = 0; i < CANARY_COHORTS; i++) {
		const struct counts_mark *counts = &record->mark.counts[i];

		json_object_set_new(view, cohort_name((enum canary_cohort)i),
				    json_pack("{s:I, s:I, s:I}", "packets", (json_int_t)counts->packets, "drops",
					      (json_int_t)counts->drops, "flows", (json_int_t)counts->flows));
	}
	return view;
}

static json_t *pack_record(const struct record *record, bool plan)
{
	json_t *view = json_pack("{s:o, s:I, s:I, s:I, s:I, s:b, s:I, s:s}", "rollout", pack_rollout(&record->rollout),
				 "run", (json_int_t)record->run, "visit", (json_int_t)record->visit, "first",
				 (json_int_t)record->first, "assignment", (json_int_t)record->assignment, "foreign",
				 record->foreign, "salt_number", (json_int_t)record->salt_number, "boot", record->boot);

	json_object_set_new(view, "mark", pack_mark(record));
	if (record->guards_before.given)
		json_object_set_new(view, "guards_before", pack_guards(&record->guards_before));
	if (record->swap)
		json_object_set(view, "swap", record->swap);
	if (plan)
		json_object_set_new(view, "plan", plan_json(&record->plan));
	return view;
}

static void unpack_mark(const json_t *view, struct record *record)
{
	record->mark.visit = (__u64)json_integer_value(json_object_get(view, "visit"));
	for (int i = 0; i < CANARY_COHORTS; i++) {
		const json_t *counts = json_object_get(view, cohort_name((enum canary_cohort)i));

		record->mark.counts[i] = (struct counts_mark){
			.packets = (__u64)json_integer_value(json_object_get(counts, "packets")),
			.drops = (__u64)json_integer_value(json_object_get(counts, "drops")),
			.flows = (__u64)json_integer_value(json_object_get(counts, "flows")),
		};
	}
}

/* The plan stays where there is none in it. */
static int unpack_record(const json_t *view, struct record *record, struct error *error)
{
	const json_t *plan = json_object_get(view, "plan");
	char *text;
	int err;

	if (unpack_rollout(json_object_get(view, "rollout"), &record->rollout))
		return fail(error, -EUCLEAN, "the state of a rollout is damaged");
	record->run = (__u64)json_integer_value(json_object_get(view, "run"));
	record->visit = (__u64)json_integer_value(json_object_get(view, "visit"));
	record->first = (__u32)json_integer_value(json_object_get(view, "first"));
	record->assignment = (__u32)json_integer_value(json_object_get(view, "assignment"));
	record->foreign = json_is_true(json_object_get(view, "foreign"));
	record->salt_number = (__u32)json_integer_value(json_object_get(view, "salt_number"));
	record->guards_before = unpack_guards(json_object_get(view, "guards_before"));
	unpack_mark(json_object_get(view, "mark"), record);
	snprintf(record->boot, sizeof(record->boot), "%s", text_of(view, "boot"));
	json_decref(record->swap);
	record->swap = json_incref(json_object_get(view, "swap"));
	if (!plan)
		return 0;
	text = json_dumps(plan, 0);
	err = text ? plan_parse("the plan in the history", text, &record->plan, error) : -ENOMEM;
	free(text);
	return err;
}

static char *dump(json_t *view)
{
	char *text = json_dumps(view, JSON_COMPACT);

	json_decref(view);
	return text;
}

char *record_text(const struct record *record, bool plan)
{
	return dump(pack_record(record, plan));
}

char *record_counts(const struct record *record, const struct sample *sample, const struct reading *reading,
		    const struct curve_point *point)
{
	json_t *view = json_object();

	if (record)
		json_object_set_new(view, "state", pack_record(record, false));
	if (sample)
		json_object_set_new(view, "sample", sample_json(sample));
	if (reading)
		json_object_set_new(view, "reading", reading_json(reading));
	if (point)
		json_object_set_new(view, "point", curve_point_json(point));
	return dump(view);
}

struct loading {
	struct record *record;
	struct measure *measure;
	struct reading *reading;
	struct curve **curve;
	struct error *error;
};

static int load_transition(const struct history_entry *entry, void *arg)
{
	struct loading *loading = arg;
	json_t *view = json_loads(entry->transition.state, 0, NULL);
	int err = unpack_record(view, loading->record, loading->error);

	json_decref(view);
	return err;
}

/* A point of the release's curve, where a version wrote it that draws one. */
static void load_point(const struct loading *loading, const json_t *view, const struct history_entry *entry,
		       const struct sample *sample)
{
	struct curve_point point;

	if (curve_point_parse(view, &point))
		return;
	point.until_ms = entry->time;
	curve_take_sample(&point, sample);
	curve_take_evidence(&point, loading->measure, &loading->record->plan);
	curve_add(loading->curve, (__u64)entry->rollout, &point);
}

static int load_counts(const struct history_entry *entry, void *arg)
{
	struct loading *loading = arg;
	json_t *view = json_loads(entry->counts.counts, 0, NULL);
	const json_t *state = json_object_get(view, "state"), *reading = json_object_get(view, "reading");
	__u64 transitions =
		(__u64)json_integer_value(json_object_get(json_object_get(state, "rollout"), "transitions"));
	struct sample sample;
	int err = 0;

	/* What follows the last transition. */
	if (state && transitions == loading->record->rollout.transitions)
		err = unpack_record(state, loading->record, loading->error);
	if (!err && !sample_parse(json_object_get(view, "sample"), &sample)) {
		measure_add(loading->measure, &loading->record->plan, &sample);
		load_point(loading, json_object_get(view, "point"), entry, &sample);
	}
	if (!err && reading)
		reading_parse(reading, loading->reading);
	json_decref(view);
	return err;
}

static int load_block(const struct history_entry *entry, void *arg)
{
	struct record *record = arg;

	record->rollout.blocked = entry->block.blocked;
	snprintf(record->block_reason, sizeof(record->block_reason), "%s",
		 entry->block.blocked && entry->block.reason ? entry->block.reason : "");
	return 0;
}

int record_load(struct history *history, const char *service, struct record *ret, struct measure *ret_measure,
		struct reading *ret_reading, struct curve **ret_curve, struct error *error)
{
	struct record record = {};
	struct loading loading = {&record, ret_measure, ret_reading, ret_curve, error};
	struct history_filter filter = {.service = service, .latest = true};
	int err;

	*ret_measure = (struct measure){};
	*ret_reading = (struct reading){};
	err = history_list(history, HISTORY_TRANSITION, &filter, load_transition, &loading, error);
	filter.latest = false;
	filter.rollout = (__s64)record.rollout.release;
	if (!err && record.rollout.release)
		err = history_list(history, HISTORY_COUNTS, &filter, load_counts, &loading, error);
	filter = (struct history_filter){.service = service, .latest = true};
	if (!err)
		err = history_list(history, HISTORY_BLOCK, &filter, load_block, &record, error);
	if (err) {
		record_free(&record);
		return err;
	}
	*ret = record;
	return 0;
}

static int load_plan(const struct history_entry *entry, void *arg)
{
	int err = load_transition(entry, arg);

	return err ? err : 1;
}

int record_plan(struct history *history, const char *service, __u64 release, struct rollout_plan *ret,
		struct error *error)
{
	struct record record = {};
	struct loading loading = {.record = &record, .error = error};
	const struct history_filter filter = {.service = service, .rollout = (__s64)release, .limit = 1};
	int err = history_list(history, HISTORY_TRANSITION, &filter, load_plan, &loading, error);

	record_free(&record);
	if (err == 1)
		*ret = record.plan;
	else if (!err)
		err = fail(error, -ENOENT, "%s has no release %llu", service, (unsigned long long)release);
	return err < 0 ? err : 0;
}
