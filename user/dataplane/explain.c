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

int dataplane_explain(struct dataplane *dataplane, const struct service_model *service,
		      const struct canary_addr *client, int client_port, int port, struct explanation *ret,
		      struct error *error)
{
	const struct canary_config config = *record_at(dataplane, service->id, canary_word_now(service->word));
	struct canary_tuple tuple = {.client = *client,
				     .service = service->addr,
				     .client_port = htons(client_port),
				     .port = htons(port),
				     .proto = service->proto};
	struct canary_flow_key key = {
		.client = *client, .service = service->id, .client_port = htons(client_port), .port = htons(port)};
	struct canary_hashes hashes = canary_hashes(&dataplane->tables->keys, &tuple, config.affinity, !service->port);
	bool stopped = service->word & CANARY_WORD_STOPPED;
	struct canary_choice choice =
		canary_choose(&config, &hashes, find_segment(dataplane, &config, client), stopped);
	struct explanation explanation = {.bucket = canary_bucket(&hashes, config.salt),
					  .threshold = config.threshold,
					  .wanted = choice.wanted,
					  .cohort = choice.cohort,
					  .segment = choice.why == CANARY_WHY_SEGMENT,
					  .slot = choice.slot,
					  .ring_size = config.ring[choice.cohort & 1].size,
					  .stopped = stopped};
	struct arena_window window;
	struct canary_flow flow;
	int result;

	if (choice.word) {
		result = arena_open(dataplane, choice.word, 1, false, &window);
		if (result)
			return fail(error, result, "cannot map the arena: %s", explain_errno(result));
		explanation.backend = canary_ring_backend(window.words[0], choice.slot);
		arena_close(&window);
	}
	if (!flows_find(dataplane, &key, canary_shard(&hashes), &flow)) {
		explanation.tracked = true;
		explanation.tracked_cohort = flow.flags & CANARY_FLOW_CANARY ? CANARY_CANARY : CANARY_STABLE;
		explanation.tracked_backend = flow.backend;
	}
	*ret = explanation;
	return 0;
}
