/* SPDX-License-Identifier: Apache-2.0 */
/* The remembered flows, and the windows they are remembered for. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "canary/select.h"
#include "dataplane/internal.h"

/* By its number in the kernel, which takes CAP_SYS_ADMIN. */
static int open_shard_by_id(const struct dataplane *dataplane, __u32 number)
{
	__u32 id;
	int fd;

	if (bpf_map_lookup_elem(dataplane->fd[MAP_flows], &number, &id))
		return -errno;
	fd = bpf_map_get_fd_by_id(id);
	return fd < 0 ? -errno : fd;
}

/* Each is pinned beside the table, so that the daemon, which has only CAP_BPF, can read it. */
static int open_shard(const struct dataplane *dataplane, __u32 number)
{
	char name[FLOWS_SHARD_NAME_LEN], path[320];
	int fd;

	flows_shard_name(number, name);
	if (object_pin_path(dataplane, name, path))
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	/* An older build has pinned none. */
	if (fd < 0 && errno == ENOENT)
		return open_shard_by_id(dataplane, number);
	return fd < 0 ? -errno : fd;
}

void flows_shard_name(__u32 number, char name[FLOWS_SHARD_NAME_LEN])
{
	snprintf(name, FLOWS_SHARD_NAME_LEN, "shard_%u", number);
}

int flows_pin_missing(const struct dataplane *dataplane, struct error *error)
{
	int result = 0;

	for (__u32 number = 0; !result && number < CANARY_FLOW_SHARDS; number++) {
		char name[FLOWS_SHARD_NAME_LEN], path[320];
		int fd;

		flows_shard_name(number, name);
		if (!object_pin_path(dataplane, name, path) && !access(path, F_OK))
			continue;
		fd = open_shard_by_id(dataplane, number);
		if (fd < 0)
			return fail(error, fd, "cannot open the table of flows: %s", explain_errno(fd));
		result = object_replace_pin(dataplane, fd, name, error);
		close(fd);
	}
	return result;
}

static __u32 wanted;

void dataplane_use_max_flows(unsigned flows)
{
	wanted = (flows + CANARY_FLOW_SHARDS - 1) / CANARY_FLOW_SHARDS;
}

__u32 flows_wanted(void)
{
	return wanted;
}

__u32 flows_room(const struct dataplane *dataplane)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	int fd = open_shard(dataplane, 0);

	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		info.max_entries = 0;
	close(fd);
	return info.max_entries;
}

__u64 flows_memory(const struct dataplane *dataplane)
{
	int fd = open_shard(dataplane, 0);
	__u64 bytes;

	if (fd < 0)
		return 0;
	bytes = map_memory(fd) * CANARY_FLOW_SHARDS;
	close(fd);
	return bytes;
}

/* All of a shard: at most `room`. How many, or -errno. */
static int read_shard(int fd, __u32 room, struct canary_flow_key *keys, struct canary_flow *flows)
{
	struct canary_flow_key cursor;
	__u32 total = 0;
	bool more = true, first = true;

	while (more && total < room) {
		__u32 count = room - total;

		if (bpf_map_lookup_batch(fd, first ? NULL : &cursor, &cursor, keys + total, flows + total, &count,
					 NULL)) {
			if (errno != ENOENT)
				return errno == ENOSPC ? (int)total : -errno;
			more = false;
		}
		first = false;
		total += count;
	}
	return total;
}

static struct flow describe(const struct canary_flow_key *key, const struct canary_flow *entry, __u64 now_ns)
{
	return (struct flow){
		.service = key->service,
		.client = key->client,
		.client_port = ntohs(key->client_port),
		.port = ntohs(key->port),
		.backend = entry->backend,
		.cohort = entry->flags & CANARY_FLOW_CANARY ? CANARY_CANARY : CANARY_STABLE,
		.idle_ns = now_ns > entry->seen_ns ? now_ns - entry->seen_ns : 0,
	};
}

/* Is the entry still in force? The sweeper takes the others away soon. */
static bool entry_lives(const struct canary_backend *backend, const struct canary_flow *entry)
{
	return backend->generation == entry->generation && backend->flags & CANARY_BACKEND_LIVE &&
	       !(entry->flags & CANARY_FLOW_RESET);
}

struct walk {
	const struct canary_backend *backends; /* all */
	int (*call)(const struct flow *flow, void *arg);
	bool (*match)(const struct flow *flow, void *arg); /* set: the flows that match are forgotten */
	void *arg;
	long forgotten;
};

static int visit(int fd, const struct canary_flow_key *key, struct canary_flow *entry, struct walk *walk)
{
	struct flow flow = describe(key, entry, monotonic_ns());

	if (!entry_lives(&walk->backends[entry->backend % CANARY_MAX_BACKENDS], entry))
		return 0;
	if (!walk->match)
		return walk->call(&flow, walk->arg);
	if (!walk->match(&flow, walk->arg))
		return 0;
	/* Marked as over since long ago: no packet follows it from now on, and the sweeper does the rest. */
	entry->flags |= CANARY_FLOW_RESET;
	entry->seen_ns = 1;
	if (!bpf_map_update_elem(fd, key, entry, BPF_EXIST))
		walk->forgotten++;
	return 0;
}

static int walk_flows(struct dataplane *dataplane, struct walk *walk)
{
	__u32 room = flows_room(dataplane);
	struct canary_flow_key *keys = calloc(room + 1, sizeof(*keys));
	struct canary_flow *flows = calloc(room + 1, sizeof(*flows));
	int result = keys && flows ? 0 : -ENOMEM;

	walk->backends = all_backends(dataplane);
	if (!walk->backends)
		result = -errno;
	for (__u32 number = 0; !result && number < CANARY_FLOW_SHARDS; number++) {
		int fd = open_shard(dataplane, number);
		int count = fd < 0 ? fd : read_shard(fd, room, keys, flows);

		if (count < 0)
			result = count;
		for (int i = 0; !result && i < count; i++)
			result = visit(fd, &keys[i], &flows[i], walk);
		if (fd >= 0)
			close(fd);
	}
	free(keys);
	free(flows);
	return result;
}

int dataplane_flows(struct dataplane *dataplane, int (*call)(const struct flow *flow, void *arg), void *arg)
{
	struct walk walk = {.call = call, .arg = arg};

	return walk_flows(dataplane, &walk);
}

long dataplane_flush_flows(struct dataplane *dataplane, bool (*match)(const struct flow *flow, void *arg), void *arg)
{
	struct walk walk = {.match = match, .arg = arg};
	int result = walk_flows(dataplane, &walk);

	return result ? result : walk.forgotten;
}

int flows_find(const struct dataplane *dataplane, const struct canary_flow_key *key, __u32 shard,
	       struct canary_flow *ret)
{
	const struct canary_backend *backend;
	struct canary_flow flow;
	int fd = open_shard(dataplane, shard);
	int result = fd < 0 ? fd : 0;

	if (!result && bpf_map_lookup_elem(fd, key, &flow) &&
	    bpf_map_lookup_elem(dataplane->fd[MAP_embryonic], key, &flow))
		result = -errno;
	if (fd >= 0)
		close(fd);
	if (result)
		return result;
	backend = backend_at(dataplane, flow.backend);
	if (!backend)
		return -errno;
	if (!entry_lives(backend, &flow))
		return -ENOENT;
	*ret = flow;
	return 0;
}

int dataplane_window(struct dataplane *dataplane, const struct service_model *service, struct window *ret)
{
	const struct canary_service *state = &dataplane->services[service->id];
	__u64 word = *(const volatile __u64 *)&state->word;
	const struct canary_config *records = records_of(dataplane, service->id), *now;
	struct window window = {.open = word & CANARY_WORD_OPEN, .held = state->flows};
	struct canary_cohort_counters counters;
	__u64 last = state->changed_ns > state->skipped_ns ? state->changed_ns : state->skipped_ns, limit;

	if (!records)
		return -errno;
	now = &records[canary_word_now(word)];
	limit = state->opened_ns + now->max_window * 1000000000ULL;
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		int result = dataplane_cohort_counters(dataplane, service->id, cohort, &counters);

		if (result)
			return result;
		window.skipped += counters.count[CANARY_COHORT_SKIPPED];
		window.fallbacks += counters.count[CANARY_COHORT_FALLBACK];
	}
	if (window.open) {
		window.opened_ns = state->opened_ns;
		window.closes_ns = last + now->idle_timeout * 1000000000ULL;
		if (window.closes_ns > limit)
			window.closes_ns = limit;
	}
	*ret = window;
	return 0;
}
