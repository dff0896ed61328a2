/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of a rollout: which weights, for how long, and what must hold. Plain data without pointers: it may be copied,
 * and owns nothing.
 */
#ifndef CORE_ROLLOUT_PLAN_H
#define CORE_ROLLOUT_PLAN_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/freeze.h"
#include "core/guard_settings.h"
#include "core/validate.h"

#define ROLLOUT_MAX_STEPS 32
#define ROLLOUT_MAX_GATES 16
#define ROLLOUT_MAX_FREEZES 8
#define ROLLOUT_TEXT_LEN 512 /* a command, a URL, a query, with its zero */
#define ROLLOUT_MAX_SECONDS (30 * 86400)

/* One list each: enum, name, and what a message offers. */
#define GATE_TYPES(X)                                                                                                  \
	X(FAILURES, failures)                                                                                          \
	X(HANDSHAKE_TIME, handshake_time)                                                                              \
	X(RESPONSE_TIME, response_time)                                                                                \
	X(DROPS, drops)                                                                                                \
	X(PROMETHEUS, prometheus)                                                                                      \
	X(COMMAND, command)                                                                                            \
	X(WEBHOOK, webhook)                                                                                            \
	X(FEEDBACK, feedback)
#define GATE_MODES(X) X(DECIDE, decide) X(REPORT, report)
#define OTHERWISES(X) X(HOLD, hold) X(ROLLBACK, rollback)
#define HOOKS(X)                                                                                                       \
	X(BEFORE_STEP, before_step) /* fails: the weight is not set and the rollout is paused */                       \
	X(AFTER_STEP, after_step)                                                                                      \
	X(PROMOTE, promote) /* the release has succeeded */                                                            \
	X(ROLLBACK, rollback)

#define X(name, word) GATE_TYPE_##name,
enum gate_type { GATE_TYPES(X) GATE_TYPE_COUNT };
#undef X
#define X(name, word) GATE_MODE_##name,
enum gate_mode { GATE_MODES(X) GATE_MODE_COUNT };
#undef X
#define X(name, word) OTHERWISE_##name,
enum otherwise { OTHERWISES(X) OTHERWISE_COUNT };
#undef X
#define X(name, word) HOOK_##name,
enum hook { HOOKS(X) HOOK_COUNT };
#undef X

/* parse_*: 0, or -EINVAL with *ret untouched. *_name never return NULL. *_names: "hold or rollback", for messages. */
int parse_gate_type(const char *text, enum gate_type *ret);
int parse_gate_mode(const char *text, enum gate_mode *ret);
int parse_otherwise(const char *text, enum otherwise *ret);
int parse_hook(const char *text, enum hook *ret);
const char *gate_type_name(enum gate_type type);
const char *gate_mode_name(enum gate_mode mode);
const char *otherwise_name(enum otherwise otherwise);
const char *hook_name(enum hook hook);
const char *gate_type_names(void);
const char *gate_mode_names(void);
const char *otherwise_names(void);

struct rollout_step {
	int weight; /* 1/100 percent; each larger than the one before, the last CANARY_WEIGHT_ONE */
	unsigned bake; /* s, from when the weight is set, the warm-up included; of the last step: final_bake */
	unsigned warmup; /* s, in which nothing is measured; < bake, or 0 */
	__u64 min_flows; /* of the canary, observed, after the warm-up */
	bool approval; /* a person must promote it to the next */
};

struct rollout_gate {
	char name[CANARY_NAME_LEN];
	enum gate_type type;
	enum gate_mode mode;
	bool compare; /* with stable, by tolerance; else by min and max */
	double tolerance; /* >= 1 */
	double min, max; /* -INFINITY, INFINITY: no such bound. drops: percent; times: ms; else the metric's unit */
	char target[ROLLOUT_TEXT_LEN]; /* prometheus, webhook: the URL; command: what to run */
	char query[ROLLOUT_TEXT_LEN]; /* prometheus; with `compare`, $cohort is replaced */
};

struct rollout_plan {
	struct rollout_step steps[ROLLOUT_MAX_STEPS];
	size_t step_count;
	unsigned final_bake; /* s, at the last step */
	int holdback; /* 1/100 percent of new flows that stay on stable until the final bake is over */
	struct rollout_gate gates[ROLLOUT_MAX_GATES];
	size_t gate_count;
	double alpha; /* a healthy canary is rolled back with this probability at most, all gates that compare together */
	double max_harm; /* a part of all flows */
	double confidence;
	unsigned
		progress_deadline; /* s that a step may take, waiting for people and windows not counted; 0: for ever */
	enum otherwise on_inconclusive;
	enum otherwise on_deadline;
	struct freeze_window freezes[ROLLOUT_MAX_FREEZES];
	size_t freeze_count;
	char hooks[HOOK_COUNT][ROLLOUT_TEXT_LEN]; /* commands; "": none */
	struct guard_settings guards; /* in force from the first step's weight on until the release ends */
};

/* 5 -> 25 -> 50 -> 100, ten minutes each, half an hour at last; a gate on failures. */
struct rollout_plan rollout_plan_default(void);
/* What a step and a gate are where the file says no more. */
struct rollout_step rollout_step_default(int weight);
struct rollout_gate rollout_gate_default(enum gate_type type);

/* 0, or -EINVAL with the first problem: `path` as in "steps[2].weight", `text` one sentence. */
int rollout_plan_validate(const struct rollout_plan *plan, struct problem *ret);

unsigned rollout_step_bake(const struct rollout_plan *plan, size_t step); /* s */
/* The weight that holds while `weight` is asked for: less the holdback. */
int rollout_hold_back(int weight, int holdback); /* what is left of a weight, both in 1/100 percent */
int rollout_effective_weight(const struct rollout_plan *plan, int weight);
/* Each deciding gate that compares gets an equal part of alpha, for the whole rollout. */
double rollout_gate_alpha(const struct rollout_plan *plan);

#endif
