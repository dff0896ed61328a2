/* SPDX-License-Identifier: Apache-2.0 */
/* The upgrade of `cohort_counters` from a build that had fewer of them: a larger map takes its place, with what was counted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dataplane/internal.h"

static const char name[] = "cohort_counters";

int upgrade_put_counters_aside(struct dataplane *dataplane)
{
	int *fd = &dataplane->fd[MAP_cohort_counters], former = *fd;
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(former, &info, &size) || info.value_size >= sizeof(struct canary_cohort_counters))
		return -1;
	*fd = -1;
	return former;
}

/* The kinds of counters are added at the end of their list; the drops come after them. */
static int copy(int from, int to, size_t former_size, int cpus)
{
	const size_t drops = sizeof(((struct canary_cohort_counters *)0)->drops), counts = former_size - drops;
	struct canary_cohort_counters *new = calloc(cpus, sizeof(*new));
	char *old = calloc(cpus, former_size);
	int result = new &&old ? 0 : -ENOMEM;

	for (__u32 key = 0; !result && key < CANARY_MAX_SERVICES * CANARY_COHORTS; key++) {
		if (bpf_map_lookup_elem(from, &key, old))
			result = -errno;
		for (int cpu = 0; !result && cpu < cpus; cpu++) {
			memcpy(new[cpu].count, old + cpu * former_size, counts);
			memcpy(new[cpu].drops, old + cpu * former_size + counts, drops);
		}
		if (!result && bpf_map_update_elem(to, &key, new, BPF_ANY))
			result = -errno;
	}
	free(new);
	free(old);
	return result;
}

int upgrade_grow_counters(const struct dataplane *dataplane, int former, struct error *error)
{
	int cpus = libbpf_num_possible_cpus(), result, to = dataplane->fd[MAP_cohort_counters];
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	result = cpus < 0 ? cpus : bpf_obj_get_info_by_fd(former, &info, &size) ? -errno : 0;
	if (!result)
		result = copy(former, to, info.value_size, cpus);
	if (result)
		return fail(error, result, "cannot copy the counters: %s", explain_errno(result));
	return object_replace_pin(dataplane, to, name, error);
}
