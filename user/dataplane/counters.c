/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dataplane/internal.h"

/* Adds up a per-CPU element that consists of 64-bit counters alone. */
static int sum_counters(const struct dataplane *dataplane, enum dataplane_map map, __u32 key, void *ret, size_t size)
{
	size_t count = size / sizeof(__u64);
	int cpus = libbpf_num_possible_cpus(), result = 0;
	__u64 *values = cpus < 0 ? NULL : calloc(cpus, size);
	__u64 *sums = ret;

	if (cpus < 0)
		return cpus;
	if (!values)
		return -ENOMEM;
	if (bpf_map_lookup_elem(dataplane->fd[map], &key, values))
		result = -errno;
	if (!result)
		memset(ret, 0, size);
	for (int cpu = 0; !result && cpu < cpus; cpu++)
		for (size_t i = 0; i < count; i++)
			sums[i] += values[cpu * count + i];
	free(values);
	return result;
}

int counters_zero(const struct dataplane *dataplane, enum dataplane_map map, __u32 key, size_t size)
{
	int cpus = libbpf_num_possible_cpus(), result;
	void *zeros = cpus < 0 ? NULL : calloc(cpus, size);

	if (cpus < 0)
		return cpus;
	if (!zeros)
		return -ENOMEM;
	result = bpf_map_update_elem(dataplane->fd[map], &key, zeros, BPF_ANY) ? -errno : 0;
	free(zeros);
	return result;
}

int dataplane_cohort_counters(struct dataplane *dataplane, __u32 service, enum canary_cohort cohort,
			      struct canary_cohort_counters *ret)
{
	return sum_counters(dataplane, MAP_cohort_counters, service * CANARY_COHORTS + cohort, ret, sizeof(*ret));
}

int dataplane_backend_counters(struct dataplane *dataplane, __u32 backend, struct canary_backend_counters *ret)
{
	return sum_counters(dataplane, MAP_backend_counters, backend, ret, sizeof(*ret));
}

int dataplane_interface_counters(struct dataplane *dataplane, unsigned ifindex, struct canary_interface_counters *ret)
{
	return sum_counters(dataplane, MAP_interface_counters, ifindex % CANARY_MAX_INTERFACES, ret, sizeof(*ret));
}

/* What the kernel accounts for a map, from its fdinfo: bpf_map_info does not tell. */
__u64 map_memory(int fd)
{
	unsigned long long bytes = 0;
	char path[64], line[128];
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	if (!info)
		return 0;
	while (fgets(line, sizeof(line), info))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	fclose(info);
	return bytes;
}

int dataplane_info(struct dataplane *dataplane, struct dataplane_info *ret, struct error *error)
{
	struct dataplane_info info = {.abi = dataplane->settings->abi};
	struct bpf_prog_info program_info = {};
	__u32 size = sizeof(program_info), zero = 0;
	struct canary_sweeper sweeper;
	int program;

	program = object_open_program(dataplane, PROGRAM_XDP, error);
	if (program < 0)
		return program;
	if (!bpf_obj_get_info_by_fd(program, &program_info, &size)) {
		info.program_id = program_info.id;
		for (int i = 0; i < BPF_TAG_SIZE; i++)
			snprintf(info.program_tag + 2 * i, 3, "%02x", program_info.tag[i]);
	}
	close(program);
	memcpy(info.build, dataplane->settings->build, sizeof(info.build));
	info.build[sizeof(info.build) - 1] = 0;
	for (int i = 0; i < MAP_COUNT; i++)
		info.map_bytes += map_memory(dataplane->fd[i]);
	info.map_bytes += flows_memory(dataplane);
	info.max_flows = CANARY_FLOW_SHARDS * flows_room(dataplane);
	if (!bpf_map_lookup_elem(dataplane->fd[MAP_sweeper], &zero, &sweeper)) {
		memcpy(info.sweeper_build, sweeper.build, sizeof(info.sweeper_build));
		info.sweeper_age_ns = monotonic_ns() - sweeper.tick_ns;
	}
	*ret = info;
	return 0;
}

void dataplane_set_tunnel_source(struct dataplane *dataplane, __u32 backend, const struct canary_addr *source)
{
	struct canary_backend *place = backend && backend < CANARY_MAX_BACKENDS ? backend_at(dataplane, backend) : NULL;

	/* A packet may see half of a new source and half of the old: one packet lost, when the host's address changes. */
	if (place)
		place->tunnel_source = *source;
}

int dataplane_set_vlans(struct dataplane *dataplane, const struct dataplane_vlan *vlans, size_t count,
			struct error *error)
{
	int fd = dataplane->fd[MAP_egress];
	__u32 key, next, *from = NULL;

	for (size_t i = 0; i < count; i++)
		if (bpf_map_update_elem(fd, &vlans[i].ifindex, &vlans[i].egress, BPF_ANY))
			return fail(error, -errno, "there is no room for VLAN device number %u: at most %d are handled",
				    vlans[i].ifindex, CANARY_MAX_VLANS);
	while (!bpf_map_get_next_key(fd, from, &next)) {
		bool known = false;

		for (size_t i = 0; i < count; i++)
			known |= vlans[i].ifindex == next;
		if (known) {
			key = next;
			from = &key;
		} else if (bpf_map_delete_elem(fd, &next)) {
			break;
		}
	}
	return 0;
}
