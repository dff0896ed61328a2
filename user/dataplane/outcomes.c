/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of watched connections, and the times they took. The maps are hashes that take memory for the elements
 * there are: a TCP service has those that its way of forwarding can fill.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "canary/select.h"
#include "dataplane/internal.h"

#define ALLOCATION_TRIES 100
#define ALLOCATION_PAUSE_US 1000

enum seen { ALWAYS, NAT };
static const enum seen histogram_seen[CANARY_HISTOGRAM_KINDS] = {
#define X(NAME, name, SEEN, help) [CANARY_HISTOGRAM_##NAME] = SEEN,
	CANARY_HISTOGRAM_LIST(X)
#undef X
};

static bool has_histogram(const struct service_model *model, enum canary_histogram_kind kind)
{
	return model->proto == IPPROTO_TCP && (histogram_seen[kind] == ALWAYS || model->forward == CANARY_FORWARD_NAT);
}

/*
 * The kernel takes elements from a small reserve of each CPU, which it fills up in the background: many in a row may have
 * to wait for that.
 */
static int make_element(const struct dataplane *dataplane, enum dataplane_map map, const void *key, const void *value,
			__u64 flags)
{
	for (int i = 0; i < ALLOCATION_TRIES; i++) {
		if (!bpf_map_update_elem(dataplane->fd[map], key, value, flags) || errno == EEXIST)
			return 0;
		if (errno != ENOMEM)
			return -errno;
		usleep(ALLOCATION_PAUSE_US);
	}
	return -ENOMEM;
}

/* Calls for each key of a service's histograms. */
#define EACH_HISTOGRAM(key, id)                                                                                        \
	for (struct canary_histogram_key key = {.service = (id)}; (key).cohort < CANARY_COHORTS; (key).cohort++)       \
		for ((key).kind = 0; (key).kind < CANARY_HISTOGRAM_KINDS; (key).kind++)

int outcomes_make(const struct dataplane *dataplane, __u32 service, const struct service_model *model, bool fresh)
{
	static const struct canary_outcomes none;
	static const struct canary_histogram empty;
	__u64 flags = fresh ? BPF_ANY : BPF_NOEXIST;
	int result;

	if (fresh) /* what a killed command may have left of one before */
		outcomes_remove(dataplane, service);
	if (model->proto != IPPROTO_TCP)
		return 0;
	result = make_element(dataplane, MAP_outcomes, &service, &none, flags);
	EACH_HISTOGRAM(key, service)
	if (!result && has_histogram(model, key.kind))
		result = make_element(dataplane, MAP_histograms, &key, &empty, flags);
	return result;
}

void outcomes_settle(const struct dataplane *dataplane, const struct service_model *before,
		     const struct service_model *after)
{
	static const struct canary_histogram empty;

	EACH_HISTOGRAM(key, after->id)
	{
		/* With nothing for the canary there is nothing new to tell: what was, may still be read. */
		if (has_histogram(after, key.kind) && before->assignment != after->assignment && after->weight)
			make_element(dataplane, MAP_histograms, &key, &empty, BPF_EXIST);
		else if (!has_histogram(after, key.kind) && has_histogram(before, key.kind))
			bpf_map_delete_elem(dataplane->fd[MAP_histograms], &key);
	}
}

void outcomes_remove(const struct dataplane *dataplane, __u32 service)
{
	bpf_map_delete_elem(dataplane->fd[MAP_outcomes], &service);
	EACH_HISTOGRAM(key, service)
	bpf_map_delete_elem(dataplane->fd[MAP_histograms], &key);
}

int dataplane_outcomes(struct dataplane *dataplane, const struct service_model *service, struct canary_outcomes *ret)
{
	return bpf_map_lookup_elem(dataplane->fd[MAP_outcomes], &service->id, ret) ? -errno : 0;
}

int dataplane_histogram(struct dataplane *dataplane, const struct service_model *service, enum canary_cohort cohort,
			enum canary_histogram_kind kind, struct canary_histogram *ret)
{
	const struct canary_histogram_key key = {.service = service->id, .cohort = cohort, .kind = kind};

	return bpf_map_lookup_elem(dataplane->fd[MAP_histograms], &key, ret) ? -errno : 0;
}
