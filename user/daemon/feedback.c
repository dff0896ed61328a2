/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/feedback.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "canary/select.h"
#include "core/attribution.h"
#include "core/text.h"
#include "ops/clock.h"

#define WALKS_PART 10 /* of all time, so much at most is spent on walks through the remembered flows ... */
#define WALKS_BURST_NS 500000000LL /* ... but for so much at once */

struct place {
	enum attribution attribution;
	enum canary_cohort cohort;
	bool drawn; /* by the weight: what a segment or an overflow placed is no part of the experiment */
	__u32 bucket;
};

struct search {
	__u32 service;
	const struct canary_addr *client;
	unsigned seen;
};

static int note_flow(const struct flow *flow, void *arg)
{
	struct search *search = arg;

	if (flow->service == search->service && addr_equal(&flow->client, search->client))
		search->seen |= 1U << flow->cohort;
	return 0;
}

/* A walk through a million flows takes a while, and whoever may speak up may do so as often as they like. */
static bool may_walk(struct daemon *daemon, __s64 now_ns)
{
	__s64 paid = (now_ns - daemon->walks.noted_ns) / WALKS_PART;

	daemon->walks.debt_ns = paid < daemon->walks.debt_ns ? daemon->walks.debt_ns - paid : 0;
	daemon->walks.noted_ns = now_ns;
	return daemon->walks.debt_ns < WALKS_BURST_NS;
}

/* -EAGAIN: not now. */
static int find_flows(struct daemon *daemon, struct dataplane *dataplane, struct search *search, struct error *error)
{
	__s64 begun_ns = (__s64)clock_monotonic_ns();
	int err;

	if (!may_walk(daemon, begun_ns))
		return -EAGAIN;
	err = dataplane_flows(dataplane, note_flow, search);
	daemon->walks.debt_ns += (__s64)clock_monotonic_ns() - begun_ns;
	return err ? fail(error, err, "cannot read the flows: %s", strerror(-err)) : 0;
}

/* Connections that are still opening are left out: nobody has anything to say of them. */
static int place_by_flows(struct supervisor *supervisor, struct dataplane *dataplane, const struct canary_addr *client,
			  const struct explanation *explanation, struct place *ret, struct error *error)
{
	struct search search = {.service = supervisor->running.id, .client = client};
	int weight = supervisor_effective_weight(supervisor);
	struct whereabouts whereabouts = {
		.complete = canary_remembers_all(supervisor->running.proto == IPPROTO_UDP, supervisor->running.forward,
						 supervisor->running.affinity, supervisor->running.track),
		.certain = explanation->segment || !weight || weight == CANARY_WEIGHT_ONE,
		.cohort = explanation->cohort,
	};
	int err = find_flows(supervisor->daemon, dataplane, &search, error);

	if (err == -EAGAIN) {
		ret->attribution = ATTRIBUTION_BUSY;
		return 0;
	}
	whereabouts.seen = search.seen;
	ret->attribution = attribute(&whereabouts, &ret->cohort);
	return err;
}

static int place(struct supervisor *supervisor, struct dataplane *dataplane, const struct canary_addr *client, int port,
		 struct place *ret, struct error *error)
{
	const struct service_model *service = &supervisor->running;
	struct explanation explanation;
	int err =
		dataplane_explain(dataplane, service, client, port > 0 ? port : 1, service->port, &explanation, error);

	if (err)
		return err;
	*ret = (struct place){.drawn = !explanation.segment, .bucket = explanation.bucket};
	if (service->affinity == CANARY_AFFINITY_CLIENT) {
		ret->cohort = explanation.cohort;
		ret->drawn &= explanation.cohort == explanation.wanted;
	} else if (port <= 0) {
		err = place_by_flows(supervisor, dataplane, client, &explanation, ret, error);
	} else if (explanation.tracked) {
		ret->cohort = explanation.tracked_cohort;
	} else {
		ret->attribution = ATTRIBUTION_PORT;
	}
	return err;
}

/*
 * With affinity `client` the address alone says it, by the weight that is in force; with `flow` a connection that lives, and
 * is remembered, or all of them together.
 */
static int find_place(struct supervisor *supervisor, const struct canary_addr *client, int port, struct place *ret,
		      struct error *error)
{
	struct dataplane *dataplane;
	int err;

	*ret = (struct place){.attribution = ATTRIBUTION_ABSENT};
	if (!supervisor->present)
		return 0;
	err = dataplane_open(supervisor->daemon->options.instance.dir, DATAPLANE_READ, &dataplane, error);
	if (err)
		return err;
	err = place(supervisor, dataplane, client, port, ret, error);
	dataplane_close(dataplane);
	return err;
}

static int write_down(struct supervisor *supervisor, const struct word *word, const char *cohort, struct error *error)
{
	const struct history_entry entry = {
		.kind = HISTORY_FEEDBACK,
		.service = supervisor->name,
		.rollout = (__s64)supervisor->record.rollout.release,
		.time = wall_ms(),
		.feedback = {word->client, cohort, word->good, word->note, word->uid},
	};

	return history_append(supervisor->daemon->history, &entry, 1, error);
}

/* Of one client the first bad word counts: who is annoyed says so twice. */
static void count(struct supervisor *supervisor, const struct place *place, bool good)
{
	__u8 bit = 1 << place->bucket % 8, *heard = &supervisor->heard[place->bucket / 8];

	if (supervisor->heard_run != supervisor->record.run) {
		memset(supervisor->heard, 0, sizeof(supervisor->heard));
		supervisor->heard_run = supervisor->record.run;
	}
	supervisor->words[place->cohort]++;
	if (good || *heard & bit)
		return;
	*heard |= bit;
	supervisor->unhappy[place->cohort]++;
}

/* Why it does not count; NULL: it does. */
static const char *why_not(const struct supervisor *supervisor, const struct place *place)
{
	if (place->attribution != ATTRIBUTION_KNOWN)
		return attribution_text(place->attribution);
	if (!rollout_owns_weight(&supervisor->record.rollout))
		return "no rollout is under way";
	return place->drawn ? NULL : "a segment or an overflow has placed it there, not the weight";
}

int feedback_take(struct supervisor *supervisor, const struct word *word, struct feedback_result *ret,
		  struct error *error)
{
	struct canary_addr client;
	struct place place;
	const char *cohort, *why;
	int port, err;

	if (parse_endpoint(word->client, &client, &port))
		return fail(error, -EINVAL, "\"%s\" is not a client's address: give it like 192.0.2.7, or with :port",
			    word->client);
	err = find_place(supervisor, &client, port, &place, error);
	if (err)
		return err;
	cohort = place.attribution == ATTRIBUTION_KNOWN ? cohort_name(place.cohort) : NULL;
	why = why_not(supervisor, &place);
	err = write_down(supervisor, word, cohort, error);
	if (err)
		return err;
	if (!why)
		count(supervisor, &place, word->good);
	else if (!cohort && rollout_owns_weight(&supervisor->record.rollout))
		supervisor->unattributed++;
	*ret = (struct feedback_result){cohort, !why, why};
	return 0;
}
