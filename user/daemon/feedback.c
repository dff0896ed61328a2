/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/feedback.h"

#include <errno.h>
#include <string.h>

#include "core/text.h"

struct place {
	bool known;
	enum canary_cohort cohort;
	__u32 bucket;
};

/*
 * With affinity `client` the address alone says it, by the weight that is in force; with `flow` only a connection that
 * lives, and is remembered, can be told.
 */
static int find_place(struct supervisor *supervisor, const struct canary_addr *client, int port, struct place *ret,
		      struct error *error)
{
	const struct service_model *service = &supervisor->running;
	bool by_client = service->affinity == CANARY_AFFINITY_CLIENT;
	struct explanation explanation;
	struct dataplane *dataplane;
	int err;

	*ret = (struct place){};
	if (!supervisor->present || (!by_client && port <= 0))
		return 0;
	err = dataplane_open(supervisor->daemon->options.instance.dir, DATAPLANE_READ, &dataplane, error);
	if (err)
		return err;
	err = dataplane_explain(dataplane, service, client, port > 0 ? port : 1, service->port, &explanation, error);
	dataplane_close(dataplane);
	if (err)
		return err;
	ret->bucket = explanation.bucket;
	ret->known = !explanation.segment && (by_client || explanation.tracked);
	ret->cohort = explanation.tracked && !by_client ? explanation.tracked_cohort : explanation.cohort;
	return 0;
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

int feedback_take(struct supervisor *supervisor, const struct word *word, const char **ret_cohort, struct error *error)
{
	struct canary_addr client;
	struct place place;
	const char *cohort;
	int port, err;

	if (parse_endpoint(word->client, &client, &port))
		return fail(error, -EINVAL, "\"%s\" is not a client's address: give it like 192.0.2.7, or with :port",
			    word->client);
	err = find_place(supervisor, &client, port, &place, error);
	cohort = place.known ? cohort_name(place.cohort) : NULL;
	if (!err)
		err = write_down(supervisor, word, cohort, error);
	if (err)
		return err;
	if (place.known && rollout_owns_weight(&supervisor->record.rollout))
		count(supervisor, &place, word->good);
	*ret_cohort = cohort;
	return 0;
}
