/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/api_wait.h"
#include "daemon/log.h"
#include "daemon/transition.h"
#include "daemon/weight.h"

#define LEASE_PARTS 3 /* a lease is renewed so many times in its duration */

int supervisor_open(struct daemon *daemon, const char *service, struct supervisor **ret, struct error *error)
{
	struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
	int err;

	if (!supervisor)
		return fail(error, -ENOMEM, "out of memory");
	supervisor->daemon = daemon;
	snprintf(supervisor->name, sizeof(supervisor->name), "%s", service);
	supervisor_configure(supervisor, NULL);
	err = record_load(daemon->history, service, &supervisor->record, &supervisor->measure,
			  &supervisor->before.reading, &supervisor->pulse.curve, error);
	if (err) {
		free(supervisor->pulse.curve);
		free(supervisor);
		return err;
	}
	if (!supervisor->record.rollout.release)
		supervisor->record.plan = supervisor->plan;
	for (size_t i = 0; i < ROLLOUT_MAX_GATES; i++) {
		supervisor->externals[i] = (struct external){.supervisor = supervisor, .gate = i, .value = NAN};
		if (supervisor->measure.gates[i].times.has_edges)
			supervisor->edges_visit[i] = supervisor->measure.visit;
	}
	*ret = supervisor;
	return 0;
}

void supervisor_free(struct supervisor *supervisor)
{
	if (!supervisor)
		return;
	external_reset(supervisor);
	command_cancel(supervisor->hook);
	sd_event_source_unref(supervisor->hook_source);
	transition_forget(supervisor);
	record_free(&supervisor->record);
	free(supervisor->pulse.curve);
	free(supervisor);
}

void supervisor_configure(struct supervisor *supervisor, const struct service_model *service)
{
	supervisor->plan = service && service->rollout ? *service->rollout : rollout_plan_default();
}

int supervisor_holdback(const struct supervisor *supervisor)
{
	const struct record *record = &supervisor->record;
	bool held = rollout_owns_weight(&record->rollout) && record->rollout.state != ROLLOUT_SUCCEEDED;

	return held ? record->plan.holdback : 0;
}

int supervisor_effective_weight(const struct supervisor *supervisor)
{
	return supervisor->present && !supervisor->now.guard.stopped ? supervisor->running.weight : 0;
}

int supervisor_weight(const struct supervisor *supervisor)
{
	const struct rollout *rollout = &supervisor->record.rollout;

	return rollout_owns_weight(rollout) && !rollout->weight_due ? rollout->weight : supervisor->running.weight;
}

void supervisor_note_error(struct supervisor *supervisor, const struct error *error)
{
	char text[sizeof(supervisor->error)];

	snprintf(text, sizeof(text), "%.500s", error->text);
	if (strcmp(supervisor->error, text))
		log_error("%s: %s", supervisor->name, text);
	memcpy(supervisor->error, text, sizeof(text));
}

static unsigned local_week_minute(void)
{
	time_t now = time(NULL);
	struct tm parts;

	localtime_r(&now, &parts);
	return week_minute(parts.tm_wday, parts.tm_hour, parts.tm_min);
}

int supervisor_save(struct supervisor *supervisor, struct error *error)
{
	const struct record *record = &supervisor->record;
	char *text = record_counts(record, NULL, NULL, NULL);
	const struct history_entry entry = {
		.kind = HISTORY_COUNTS,
		.service = supervisor->name,
		.rollout = (__s64)record->rollout.release,
		.time = wall_ms(),
		.counts = {.step = record->rollout.step, .counts = text},
	};
	int err;

	if (!text)
		return fail(error, -ENOMEM, "out of memory");
	err = transition_settle(supervisor, error);
	if (!err && record->rollout.release)
		err = history_append(supervisor->daemon->history, &entry, 1, error);
	free(text);
	supervisor->unsaved = err;
	return err;
}

/* Is it about a weight that goes up? */
static bool needs_service(enum rollout_event_type type)
{
	return type == ROLLOUT_EVENT_START || type == ROLLOUT_EVENT_PROMOTE || type == ROLLOUT_EVENT_PROMOTE_FULL ||
	       type == ROLLOUT_EVENT_RESUME || type == ROLLOUT_EVENT_RETRY;
}

/* From nothing: by a start, or a retry of all that was rolled back. */
static bool begins_release(const struct rollout *before, enum rollout_event_type type)
{
	return type == ROLLOUT_EVENT_START || (type == ROLLOUT_EVENT_RETRY && before->state == ROLLOUT_ROLLED_BACK);
}

/* A step whose weight could not be set. */
static bool sets_again(const struct rollout *before, enum rollout_event_type type)
{
	return type == ROLLOUT_EVENT_RETRY && before->state == ROLLOUT_FAILED;
}

static void note_foreign(const struct supervisor *supervisor, struct record *record, __u32 assignment)
{
	record->assignment = assignment;
	record->foreign = true;
	snprintf(record->boot, sizeof(record->boot), "%s", supervisor->daemon->boot);
}

/* What a request changes beside the state machine's own part, in a copy of what is. */
static int prepare(const struct supervisor *supervisor, const struct request *request, struct record *record,
		   struct error *error)
{
	bool begins = begins_release(&supervisor->record.rollout, request->type);
	struct guard_settings guards;
	__u32 assignment;
	int err;

	*record = record_copy(&supervisor->record);
	if (request->type == ROLLOUT_EVENT_FINISH) {
		json_decref(record->swap);
		record->swap = NULL;
	}
	if (request->type == ROLLOUT_EVENT_MANUAL_WEIGHT || request->type == ROLLOUT_EVENT_ROLLBACK)
		note_foreign(supervisor, record, supervisor->running.assignment);
	if (request->type == ROLLOUT_EVENT_BLOCK)
		snprintf(record->block_reason, sizeof(record->block_reason), "%s",
			 request->reason ? request->reason : "");
	if (request->type == ROLLOUT_EVENT_UNBLOCK)
		record->block_reason[0] = '\0';
	if (!supervisor->present && needs_service(request->type))
		return fail(error, -EBUSY, "%s is not in the data plane: canaryctl apply puts it there",
			    supervisor->name);
	if (!begins && !sets_again(&supervisor->record.rollout, request->type))
		return 0;
	if (request->type == ROLLOUT_EVENT_START) {
		record->plan = request->plan ? *request->plan : supervisor->plan;
		record->salt_number = supervisor->running.salt_number + 1;
	}
	err = weight_prepare(&supervisor->daemon->options.instance, supervisor->name, record->plan.guards.given,
			     &guards, &assignment, error);
	if (err)
		return err;
	if (begins)
		record->guards_before = guards;
	/* Whoever asks knows what is in force: from here on it is not to change. */
	note_foreign(supervisor, record, assignment);
	return 0;
}

/* The evidence begins anew with a start or a retry of all, and what is measured in a step with each visit of it. */
static void begin_anew(const struct rollout *before, enum rollout_event_type type, struct record *record)
{
	if (begins_release(before, type)) {
		record->run = record->rollout.transitions;
		record->first = 0;
	}
	if (type == ROLLOUT_EVENT_RETRY)
		record->visit++;
}

/* Nothing is to keep a rollback from being done, not even a full disk. */
static bool must_go_on(const struct record *record, enum rollout_event_type type, int err)
{
	return err < 0 && record->rollout.state == ROLLOUT_ROLLED_BACK && type != ROLLOUT_EVENT_BLOCK &&
	       type != ROLLOUT_EVENT_UNBLOCK;
}

static void adopt(struct supervisor *supervisor, struct record *record)
{
	bool other_plan = supervisor->record.run != record->run;

	record_free(&supervisor->record);
	supervisor->record = *record;
	if (other_plan) {
		external_reset(supervisor);
		supervisor_forget_feedback(supervisor);
	}
	supervisor_settle_hook(supervisor);
}

static int apply_event(const struct request *request, struct record *record, struct rollout_transition *transition,
		       struct error *error)
{
	const struct rollout_event event = {
		.type = request->type,
		.now_ms = wall_ms(),
		.week_minute = local_week_minute(),
		.judgement = request->judgement,
		.reset = request->reset,
		.block_reason = record->block_reason,
	};

	return rollout_apply(&record->plan, &record->rollout, &event, transition, error);
}

int supervisor_request(struct supervisor *supervisor, const struct request *request, struct error *error)
{
	struct rollout_transition transition = {};
	struct record record;
	int result = prepare(supervisor, request, &record, error), err = 0;

	if (!result)
		result = apply_event(request, &record, &transition, error);
	if (result >= 0)
		begin_anew(&supervisor->record.rollout, request->type, &record);
	if (result == ROLLOUT_TRANSITION)
		err = transition_keep(supervisor, &record, request, &transition, error);
	else if (result == ROLLOUT_CHANGED)
		err = transition_keep_change(supervisor, &record, request, error);
	if (must_go_on(&record, request->type, err)) {
		log_error("%s is rolled back, but that cannot be written down: %s", supervisor->name, error->text);
		supervisor->unsaved = true;
		err = 0;
	}
	if (result < 0 || err) {
		record_free(&record);
		return result < 0 ? result : err;
	}
	adopt(supervisor, &record);
	if (result == ROLLOUT_UNCHANGED)
		return 0;
	supervisor->error[0] = '\0';
	if (result == ROLLOUT_TRANSITION)
		transition_announce(supervisor, &transition);
	supervisor_carry_out(supervisor);
	waiters_wake(supervisor);
	return 0;
}

/* It is no error if it means nothing in this state. */
static void ask(struct supervisor *supervisor, const struct request *request)
{
	struct error error;
	int err = supervisor_request(supervisor, request, &error);

	if (err && err != -EBUSY)
		supervisor_note_error(supervisor, &error);
}

/* What the daemon asks itself. */
static void ask_itself(struct supervisor *supervisor, enum rollout_event_type type, struct judgement judgement)
{
	const struct request request = {.type = type, .uid = HISTORY_NO_UID, .judgement = judgement};

	ask(supervisor, &request);
}

/* The action under way that sets a weight; NULL: there is none. */
static const struct rollout_action *weight_to_set(const struct rollout *rollout)
{
	for (size_t i = 0; i < rollout->pending_count; i++) {
		if (rollout->pending[i].type != ROLLOUT_ACTION_RUN_HOOK)
			return &rollout->pending[i];
	}
	return NULL;
}

/* Set before a kill, which came before that was written down: it will be found so. */
static bool is_set_already(const struct supervisor *supervisor)
{
	const struct rollout_action *action = weight_to_set(&supervisor->record.rollout);
	const struct service_model *running = &supervisor->running;

	return action && running->assignment > supervisor->record.assignment &&
	       running->salt_number == supervisor->record.salt_number &&
	       running->weight == rollout_hold_back(action->weight, action->holdback);
}

/* Whoever sets another weight by force, or takes it away, writes that down: this holds over a reboot, too. */
static bool is_owned(struct supervisor *supervisor, bool *ret_known)
{
	const struct rollout *rollout = &supervisor->record.rollout;
	const struct rollout_action *action = weight_to_set(rollout);
	struct error error;
	int weight;
	int err = weight_owned(&supervisor->daemon->options.instance, supervisor->name, &weight, &error);

	*ret_known = !err;
	if (err)
		supervisor_note_error(supervisor, &error);
	return !err && (weight == rollout->weight || (action && weight == action->weight));
}

/* Another weight than ours, or none of ours any more? Then the step's is not what is measured. */
static bool weight_is_ours(struct supervisor *supervisor)
{
	const struct record *record = &supervisor->record;
	struct request request = {
		.uid = HISTORY_NO_UID,
		.type = supervisor->running.weight ? ROLLOUT_EVENT_MANUAL_WEIGHT : ROLLOUT_EVENT_ROLLBACK,
		.judgement = {.gate = -1},
		.by_hand = true,
	};
	bool elsewhere =
		strcmp(record->boot, supervisor->daemon->boot) || supervisor->running.assignment < record->assignment;
	bool known = true;

	if (elsewhere) {
		if (is_owned(supervisor, &known)) {
			supervisor_reassert(supervisor, "the data plane is a new one");
			return false;
		}
	} else if (supervisor->running.assignment == record->assignment || is_set_already(supervisor)) {
		return true;
	}
	if (!known)
		return false;
	log_warning("%s: somebody set the weight to %d.%02d%% during the rollout", supervisor->name,
		    supervisor->running.weight / 100, supervisor->running.weight % 100);
	/* Of before a reboot nobody knows. */
	if (!elsewhere)
		request.uid = weight_asker(&supervisor->daemon->options.instance, supervisor->name,
					   supervisor->running.assignment);
	ask(supervisor, &request);
	return false;
}

/* Has the kernel taken the canary out? */
static bool is_stopped(struct supervisor *supervisor)
{
	static const struct judgement tripped = {{VERDICT_FAIL, REASON_BREAKER}, -1};
	const struct guard *guard = &supervisor->now.guard;

	/* Before its first weight, what is stopped is not the rollout's. */
	if (!guard->stopped || !supervisor->record.first)
		return false;
	if (guard_has_tripped(guard))
		ask_itself(supervisor, ROLLOUT_EVENT_TRIP, tripped);
	else if (!supervisor->record.foreign)
		supervisor_reassert(supervisor, "its lease was over");
	return true;
}

static void renew_lease(struct supervisor *supervisor)
{
	const struct guard *guard = &supervisor->now.guard;
	__s64 now = wall_ms(), period = supervisor->running.lease * 1000LL / LEASE_PARTS;
	struct dataplane *dataplane;
	struct error error;
	int err;

	if (!guard->lease_expires_ns || guard->lease_expired || llabs(now - supervisor->renewed_ms) < period)
		return;
	err = dataplane_open(supervisor->daemon->options.instance.dir, DATAPLANE_CHANGE, &dataplane, &error);
	if (!err) {
		err = dataplane_renew_lease(dataplane, &supervisor->running, 0, &error);
		dataplane_close(dataplane);
	}
	if (err)
		log_warning("%s: the lease is not renewed: %s", supervisor->name, error.text);
	else
		supervisor->renewed_ms = now;
}

static void judge(struct supervisor *supervisor)
{
	__u64 transitions = supervisor->record.rollout.transitions;

	external_ask(supervisor);
	supervisor_judge(supervisor);
	ask_itself(supervisor, ROLLOUT_EVENT_TICK, supervisor->judgement);
	transition_keep_answers(supervisor, supervisor->record.rollout.transitions != transitions);
}

static void look_after(struct supervisor *supervisor)
{
	struct rollout *rollout = &supervisor->record.rollout;

	if (!rollout_owns_weight(rollout) || !weight_is_ours(supervisor) || is_stopped(supervisor))
		return;
	/* Also while a hook lasts that comes before another weight, or a pause in it: the older one is ours. */
	if (!supervisor->record.foreign)
		renew_lease(supervisor);
	if (!weight_to_set(rollout) && rollout->state != ROLLOUT_SUCCEEDED)
		judge(supervisor);
}

/* Without a data plane nothing is measured, and time passes all the same. */
static void look_away(struct supervisor *supervisor)
{
	const struct rollout *rollout = &supervisor->record.rollout;

	if (rollout_owns_weight(rollout) && !weight_to_set(rollout) && rollout->state != ROLLOUT_SUCCEEDED)
		judge(supervisor);
}

void supervisor_tick(struct supervisor *supervisor, struct dataplane *dataplane, const struct service_model *running,
		     bool stale)
{
	struct error error;
	int err;

	supervisor->present = running;
	if (running)
		supervisor->running = *running;
	supervisor->stale = stale || !running;
	supervisor->judged = false;
	if (supervisor->unsaved && !supervisor_save(supervisor, &error))
		log_notice("%s: what could not be written down before is now", supervisor->name);
	if (running) {
		err = supervisor_sense(supervisor, dataplane, &error);
		if (err)
			supervisor_note_error(supervisor, &error);
		supervisor->stale |= err;
		look_after(supervisor);
		pulse_end(supervisor);
	} else {
		look_away(supervisor);
	}
	supervisor_carry_out(supervisor);
}
