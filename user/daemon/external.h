/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gates that others answer: a Prometheus, a command, a webhook. Each is asked again and again while its step is judged,
 * and what it said last counts as long as it is fresh. No answer, or an old one, is inconclusive.
 */
#ifndef DAEMON_EXTERNAL_H
#define DAEMON_EXTERNAL_H

#include <linux/types.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "canary/abi.h"
#include "core/analysis.h"
#include "io/answer.h"

struct supervisor;
struct command;
struct http_transfer;
struct prometheus_query;

struct external {
	struct supervisor *supervisor;
	size_t gate;
	/* What is on its way: at most one of these. */
	struct command *command;
	sd_event_source *source;
	struct http_transfer *transfer;
	struct prometheus_query *query;
	enum canary_cohort asked; /* of two queries, which one this is */
	double values[CANARY_COHORTS]; /* of the query; the canary's alone where it does not compare */
	__u64 visit; /* that the question is about */
	__s64 asked_ms; /* the last time that it was begun */
	/* The last answer. */
	__s64 answered_ms; /* 0: none */
	__u64 answered_visit;
	struct finding finding;
	double value; /* NAN: none */
	char text[ANSWER_REASON_LEN]; /* one line for a person; "" */
	/* What was told last of it: see external_take_news(). */
	struct finding told;
	__u64 told_visit;
};

/* Asks those of the plan's gates that are due. */
void external_ask(struct supervisor *supervisor);
/* Takes back what is on its way, and forgets what was said: the plan is another one. */
void external_reset(struct supervisor *supervisor);
/* What the gate says now. *ret_value: NAN where there is none. */
struct finding external_finding(const struct supervisor *supervisor, size_t gate, double *ret_value);
/* The line that came with it; "": none, or it counts no more. */
const char *external_text(const struct supervisor *supervisor, size_t gate);
/* A clause for a finding: the line that came with it, or what its reason means. gate -1: no gate's. */
const char *external_clause(const struct supervisor *supervisor, int gate, enum reason reason);
/* Was the gate judged otherwise just now than when this was asked before, or for the first time in this visit? */
bool external_take_news(struct supervisor *supervisor, size_t gate);

#endif
