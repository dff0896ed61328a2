/* SPDX-License-Identifier: Apache-2.0 */
/* What a transition asks to be done: weights, hooks, changes of cohorts. Each may be done again after a kill. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/supervisor.h"
#include "daemon/weight.h"
#include "daemon/words.h"

#define HOOK_TIMEOUT_MS 60000

/* The first action is carried out. */
static void done(struct supervisor *supervisor)
{
	struct error error;

	rollout_done(&supervisor->record.rollout, wall_ms());
	supervisor->error[0] = '\0';
	if (supervisor_save(supervisor, &error))
		supervisor_note_error(supervisor, &error);
}

/* Somebody else is changing something: that passes. */
static bool is_passing(int err)
{
	return err == -EBUSY || err == -ESTALE || err == -EAGAIN || err == -EINTR;
}

/* It cannot be carried out: the state machine says what becomes of that. */
static void broken(struct supervisor *supervisor, enum rollout_event_type type, const struct error *why)
{
	const struct request request = {.type = type, .uid = HISTORY_NO_UID, .judgement = {.gate = -1}};
	struct error error;

	if (supervisor_request(supervisor, &request, &error))
		supervisor_note_error(supervisor, &error);
	else
		supervisor_note_error(supervisor, why);
}

/* weight: as asked for, of which `holdback` is kept back. */
static void note_assignment(struct supervisor *supervisor, __u32 assignment, int weight, int holdback)
{
	struct record *record = &supervisor->record;

	record->assignment = assignment;
	record->foreign = false;
	snprintf(record->boot, sizeof(record->boot), "%s", supervisor->daemon->boot);
	if (!record->first && record->run)
		record->first = assignment;
	record->visit++;
	/* Until the next look: nobody is to take the change for somebody else's, or be told what was before. */
	supervisor->running.assignment = assignment;
	supervisor->running.weight = rollout_hold_back(weight, holdback);
}

static int set_weight(struct supervisor *supervisor, const struct rollout_action *action, struct error *error)
{
	const struct record *record = &supervisor->record;
	bool salted = action->weight && (action->new_salt || record->rollout.salted);
	const struct weight_change change = {
		.service = supervisor->name,
		.weight = action->weight,
		.holdback = action->holdback,
		.salt_number = salted ? record->salt_number : supervisor->running.salt_number,
		.reset = action->reset,
		.owned = rollout_owns_weight(&record->rollout),
		.guards = action->weight ? &record->plan.guards : &record->guards_before,
		.in_place_of = action->weight ? NULL : &record->plan.guards,
		.known = record->assignment,
		.stoppable = record->first,
	};
	__u32 assignment;
	int err = weight_set(&supervisor->daemon->options.instance, &change, &assignment, error);

	if (err)
		return err;
	note_assignment(supervisor, assignment, change.weight, change.holdback);
	if (!action->weight)
		supervisor->record.guards_before.given = 0;
	log_info("%s: weight %d.%02d%%", supervisor->name, action->weight / 100, action->weight % 100);
	return 0;
}

/* What is to change cohorts is written down first: half done, nobody could tell. */
static int swap(struct supervisor *supervisor, bool back, struct error *error)
{
	const struct instance *instance = &supervisor->daemon->options.instance;
	struct record *record = &supervisor->record;
	__u32 assignment;
	int err = 0;

	if (!record->swap && back)
		return fail(error, -ENOENT, "it is not known which backends were stable before");
	if (!record->swap) {
		err = swap_plan(instance, supervisor->name, &record->swap, error);
		if (!err)
			err = supervisor_save(supervisor, error);
		if (err) {
			record_free(record);
			return err;
		}
	}
	err = swap_make(instance, supervisor->name, record->swap, back, &record->guards_before, &assignment, error);
	if (err)
		return err;
	note_assignment(supervisor, assignment, 0, 0);
	record->guards_before.given = 0;
	return 0;
}

static void end_hook(struct supervisor *supervisor)
{
	supervisor->hook = NULL;
	supervisor->hook_source = sd_event_source_unref(supervisor->hook_source);
}

static void hook_done(const struct command_result *result, void *arg)
{
	struct supervisor *supervisor = arg;
	const char *name = hook_name(supervisor->hook_action.hook);
	struct answer answer;
	struct error why;

	command_answer(result, &answer);
	end_hook(supervisor);
	if (!result->timed_out && !result->code) {
		log_info("%s: hook %s is done", supervisor->name, name);
		done(supervisor);
		supervisor_carry_out(supervisor);
		return;
	}
	if (result->timed_out)
		fail(&why, 0, "hook %s was not over in %d s", name, HOOK_TIMEOUT_MS / 1000);
	else
		fail(&why, 0, "hook %s ended with %s %d%s%s", name, result->signal ? "signal" : "code",
		     result->signal ? result->signal : result->code, answer.reason[0] ? ": " : "", answer.reason);
	broken(supervisor, ROLLOUT_EVENT_HOOK_FAILED, &why);
}

static int on_hook(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct supervisor *supervisor = arg;

	(void)source;
	(void)fd;
	(void)revents;
	command_run(supervisor->hook);
	return 0;
}

static int start_hook(struct supervisor *supervisor, const struct rollout_action *action, struct error *error)
{
	const struct record *record = &supervisor->record;
	int weight = record->plan.steps[action->step].weight;
	struct environment environment = {};
	struct words words;
	int err;

	environment_add(&environment, "CANARY_SERVICE=%s", supervisor->name);
	environment_add(&environment, "CANARY_HOOK=%s", hook_name(action->hook));
	environment_add(&environment, "CANARY_RELEASE=%llu", (unsigned long long)record->rollout.release);
	environment_add(&environment, "CANARY_STEP=%d", action->step + 1);
	environment_add(&environment, "CANARY_WEIGHT=%d.%02d", weight / 100, weight % 100);
	if (words_split(record->plan.hooks[action->hook], &words))
		return fail(error, -EINVAL, "hook %s is no command: %s", hook_name(action->hook),
			    record->plan.hooks[action->hook]);
	err = command_start(words.argv, environment.list, HOOK_TIMEOUT_MS, hook_done, supervisor, &supervisor->hook,
			    error);
	if (!err)
		err = daemon_watch(supervisor->daemon, command_fd(supervisor->hook), on_hook, supervisor,
				   &supervisor->hook_source);
	if (err && supervisor->hook) {
		command_cancel(supervisor->hook);
		end_hook(supervisor);
		return fail(error, err, "hook %s cannot be waited for: %s", hook_name(action->hook), strerror(-err));
	}
	supervisor->hook_action = *action;
	return err;
}

void supervisor_settle_hook(struct supervisor *supervisor)
{
	const struct rollout *rollout = &supervisor->record.rollout;
	const struct rollout_action *first = rollout->pending_count ? &rollout->pending[0] : NULL;

	if (!supervisor->hook)
		return;
	if (first && first->type == ROLLOUT_ACTION_RUN_HOOK && first->hook == supervisor->hook_action.hook &&
	    first->step == supervisor->hook_action.step)
		return;
	command_cancel(supervisor->hook);
	end_hook(supervisor);
}

/* 0: done; -EINPROGRESS: it will be; or -errno. */
static int carry_out(struct supervisor *supervisor, struct error *error)
{
	const struct rollout_action action = supervisor->record.rollout.pending[0];
	int err;

	switch (action.type) {
	case ROLLOUT_ACTION_SET_WEIGHT:
		return set_weight(supervisor, &action, error);
	case ROLLOUT_ACTION_MAKE_STABLE:
		return swap(supervisor, false, error);
	case ROLLOUT_ACTION_TAKE_BACK:
		return swap(supervisor, true, error);
	default:
		err = supervisor->hook ? 0 : start_hook(supervisor, &action, error);
		return err ? err : -EINPROGRESS;
	}
}

void supervisor_carry_out(struct supervisor *supervisor)
{
	struct error error;
	int err = 0;

	while (!err && supervisor->record.rollout.pending_count) {
		enum rollout_action_type type = supervisor->record.rollout.pending[0].type;

		err = carry_out(supervisor, &error);
		if (!err)
			done(supervisor);
		else if (is_passing(err))
			supervisor_note_error(supervisor, &error);
		else if (err != -EINPROGRESS)
			broken(supervisor,
			       type == ROLLOUT_ACTION_RUN_HOOK ? ROLLOUT_EVENT_HOOK_FAILED : ROLLOUT_EVENT_ERROR,
			       &error);
	}
}

/* Of another data plane, where assignments count from 1, what was counted in the old one says nothing. */
static void begin_elsewhere(struct supervisor *supervisor, __u32 assignment)
{
	struct record *record = &supervisor->record;

	if (!strcmp(record->boot, supervisor->daemon->boot) && assignment > record->assignment)
		return;
	record->first = assignment;
	supervisor->before.reading = (struct reading){};
}

void supervisor_reassert(struct supervisor *supervisor, const char *why)
{
	struct record *record = &supervisor->record;
	const struct weight_change change = {
		.service = supervisor->name,
		.weight = record->rollout.weight,
		.holdback = supervisor_holdback(supervisor),
		.salt_number = record->salt_number,
		.owned = true,
		.guards = &record->plan.guards,
		.known = ~0U,
		.unseen = true,
	};
	__u32 assignment = supervisor->running.assignment;
	struct error error;

	/* Somebody else's weight is left as it is. */
	if (record->foreign) {
		begin_elsewhere(supervisor, assignment);
		note_assignment(supervisor, assignment, supervisor->running.weight, 0);
		record->foreign = true;
	} else if (weight_set(&supervisor->daemon->options.instance, &change, &assignment, &error)) {
		supervisor_note_error(supervisor, &error);
		return;
	} else {
		log_notice("%s: weight %d.%02d%% is set again: %s", supervisor->name, change.weight / 100,
			   change.weight % 100, why);
		begin_elsewhere(supervisor, assignment);
		note_assignment(supervisor, assignment, change.weight, change.holdback);
		rollout_weight_is_back(&record->rollout, wall_ms());
	}
	if (supervisor_save(supervisor, &error))
		supervisor_note_error(supervisor, &error);
}
