/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel program's choice, made again in user space by the same code. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "canary/select.h"
#include "dataplane/internal.h"

static int find_segment(const struct dataplane *dataplane, const struct canary_config *config,
			const struct canary_addr *client)
{
	struct canary_segment_key key = {.prefixlen = 32 + 128, .set = config->segment_set, .addr = *client};
	__u32 cohort;

	if (!config->segment_set || bpf_map_lookup_elem(dataplane->fd[MAP_segments], &key, &cohort))
		return -1;
	return cohort & 1;
}

/* By this record; `flow`: the key of its entry, if it has one. */
static int explain(const struct dataplane *dataplane, const struct service_model *service,
		   const struct canary_config *config, const struct canary_flow_key *flow, struct explanation *ret,
		   struct error *error)
{
	struct canary_tuple tuple = {.client = flow->client,
				     .service = service->addr,
				     .client_port = flow->client_port,
				     .port = flow->port,
				     .proto = service->proto};
	struct canary_hashes hashes =
		canary_hashes(&dataplane->settings->keys, &tuple, config->affinity, !service->port);
	bool stopped = service->word & CANARY_WORD_STOPPED;
	struct canary_choice choice =
		canary_choose(config, &hashes, find_segment(dataplane, config, &flow->client), stopped);
	struct explanation explanation = {.bucket = canary_bucket(&hashes, config->salt),
					  .threshold = config->threshold,
					  .wanted = choice.wanted,
					  .cohort = choice.cohort,
					  .segment = choice.why == CANARY_WHY_SEGMENT,
					  .slot = choice.slot,
					  .ring_size = config->ring[choice.cohort & 1].size,
					  .stopped = stopped};
	struct canary_flow entry;
	const __u64 *word;

	if (choice.word) {
		word = words_at(dataplane, choice.word, 1);
		if (!word)
			return fail(error, -errno, "cannot map the arena: %s", explain_errno(errno));
		explanation.backend = canary_ring_backend(*word, choice.slot);
	}
	if (!flows_find(dataplane, flow, canary_shard(&hashes), &entry)) {
		explanation.tracked = true;
		explanation.tracked_cohort = entry.flags & CANARY_FLOW_CANARY ? CANARY_CANARY : CANARY_STABLE;
		explanation.tracked_backend = entry.backend;
	}
	*ret = explanation;
	return 0;
}

/* The backend's index that a balancer with the same state word gives a flow it does not remember; 0: none. */
static __u32 unremembered(const struct dataplane *dataplane, const struct flow *flow)
{
	const struct canary_service_key *key = &dataplane->services[flow->service].key;
	const struct canary_config *records = records_of(dataplane, flow->service), *config;
	__u64 word = word_of(dataplane, flow->service);
	__u32 view = word & CANARY_WORD_OPEN ? canary_word_oldest(word) : canary_view_now(word);
	struct canary_tuple tuple = {.client = flow->client,
				     .service = key->addr,
				     .client_port = htons(flow->client_port),
				     .port = htons(flow->port),
				     .proto = key->proto};
	struct canary_hashes hashes;
	struct canary_choice choice;
	const __u64 *arena;

	if (!records)
		return 0;
	config = &records[view & CANARY_WORD_SLOT_MASK];
	hashes = canary_hashes(&dataplane->settings->keys, &tuple, config->affinity, !key->port);
	choice = canary_choose(config, &hashes, find_segment(dataplane, config, &flow->client),
			       view & CANARY_VIEW_STOPPED);
	arena = choice.word ? words_at(dataplane, choice.word, 1) : NULL;
	return arena ? canary_ring_backend(*arena, choice.slot) : 0;
}

struct exposure {
	const struct dataplane *dataplane;
	unsigned *counts;
};

static int count_exposed(const struct flow *flow, void *arg)
{
	struct exposure *exposure = arg;

	if (flow->service < CANARY_MAX_SERVICES && unremembered(exposure->dataplane, flow) != flow->backend)
		exposure->counts[flow->service]++;
	return 0;
}

int dataplane_exposed_flows(struct dataplane *dataplane, unsigned ret[CANARY_MAX_SERVICES])
{
	struct exposure exposure = {.dataplane = dataplane, .counts = ret};

	memset(ret, 0, CANARY_MAX_SERVICES * sizeof(*ret));
	return dataplane_flows(dataplane, count_exposed, &exposure);
}

int dataplane_explain(struct dataplane *dataplane, const struct service_model *service,
		      const struct canary_addr *client, int client_port, int port, struct explanation *ret,
		      struct error *error)
{
	const struct canary_config *records = records_of(dataplane, service->id);
	const struct canary_flow_key flow = {
		.client = *client, .service = service->id, .client_port = htons(client_port), .port = htons(port)};

	if (!records)
		return fail(error, -errno, "cannot map the configurations: %s", explain_errno(errno));
	return explain(dataplane, service, &records[canary_word_now(service->word)], &flow, ret, error);
}
