/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel's breaker and lease say of a service, and the one thing that user space says to them. */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "canary/breaker.h"
#include "canary/select.h"
#include "dataplane/internal.h"

int guard_zero(const struct dataplane *dataplane, __u32 service)
{
	static const struct canary_guard zero;

	return bpf_map_update_elem(dataplane->fd[MAP_guards], &service, &zero, BPF_ANY) ? -errno : 0;
}

static __u64 lease_end(const struct canary_config *config, const struct canary_guard *guard)
{
	bool renewed = config->lease_ns && guard->renewed_assignment == config->assignment;

	return renewed && guard->renewed_ns > config->lease_ns ? guard->renewed_ns : config->lease_ns;
}

/* The record in force, and the service's word. -ENOENT: the service is gone. */
static int record_now(const struct dataplane *dataplane, const struct service_model *service, __u64 *ret_word,
		      struct canary_config *ret)
{
	const struct canary_config *records = records_of(dataplane, service->id);
	__u64 word;

	if (!records)
		return -errno;
	do {
		word = word_of(dataplane, service->id);
		if (!word)
			return -ENOENT;
		*ret = records[canary_word_now(word)];
	} while (canary_word_now(word) != canary_word_now(word_of(dataplane, service->id)));
	*ret_word = word;
	return 0;
}

bool guard_has_tripped(const struct guard *guard)
{
	return guard->stopped && (guard->reason == CANARY_STOP_RELATIVE || guard->reason == CANARY_STOP_ABSOLUTE);
}

int dataplane_guard(struct dataplane *dataplane, const struct service_model *service, struct guard *ret)
{
	struct canary_config config;
	struct canary_guard now;
	struct guard guard = {};
	__u64 word;
	int result = record_now(dataplane, service, &word, &config);

	if (!result && bpf_map_lookup_elem(dataplane->fd[MAP_guards], &service->id, &now))
		result = -errno;
	if (result)
		return result;
	guard.stopped = word & CANARY_WORD_STOPPED;
	guard.flooded_ns = now.flooded_ns;
	guard.lease_expires_ns = lease_end(&config, &now);
	guard.lease_expired = guard.lease_expires_ns && monotonic_ns() >= guard.lease_expires_ns;
	if (now.stop_reason && now.stopped_assignment == config.assignment) {
		guard.reason = now.stop_reason;
		guard.stopped_ns = now.stopped_ns;
		guard.stopped_epoch = now.stopped_epoch;
		guard.sum = (double)now.stopped_sum / CANARY_BREAKER_NAT;
		guard.limit = (double)config.limit / CANARY_BREAKER_NAT;
		memcpy(guard.flows, now.stopped_flows, sizeof(guard.flows));
		memcpy(guard.failures, now.stopped_failures, sizeof(guard.failures));
	} else if (now.assignment == config.assignment) {
		memcpy(guard.flows, now.flows, sizeof(guard.flows));
		memcpy(guard.failures, now.failures, sizeof(guard.failures));
	}
	*ret = guard;
	return 0;
}

/* Has the lease ended, or ended the canary? */
static bool lease_is_over(const struct dataplane *dataplane, const struct service_model *service,
			  const struct canary_config *config, const struct canary_guard *guard)
{
	bool ended = guard->stop_reason == CANARY_STOP_LEASE && guard->stopped_assignment == config->assignment;

	return ended || monotonic_ns() >= lease_end(config, guard) || !word_of(dataplane, service->id);
}

int dataplane_renew_lease(struct dataplane *dataplane, const struct service_model *service, unsigned seconds,
			  struct error *error)
{
	struct array_window window;
	struct canary_config config;
	struct canary_guard *guard;
	__u64 word;
	int result = record_now(dataplane, service, &word, &config);

	if (result == -ENOENT)
		return fail(error, result, "there is no service %s any more", service->name);
	if (result)
		return fail(error, result, "cannot map the configurations: %s", explain_errno(result));
	if (!config.lease_ns)
		return fail(error, -ENOENT, "%s has no lease: give it one with set-weight --lease", service->name);
	result = array_open(dataplane, MAP_guards, service->id * sizeof(*guard), sizeof(*guard), true, &window);
	if (result)
		return fail(error, result, "cannot map the leases: %s", explain_errno(result));
	guard = window.data;
	if (!lease_is_over(dataplane, service, &config, guard)) {
		__atomic_store_n(&guard->renewed_ns,
				 monotonic_ns() + (seconds ? seconds : config.lease) * 1000000000ULL, __ATOMIC_RELEASE);
		__atomic_store_n(&guard->renewed_assignment, config.assignment, __ATOMIC_SEQ_CST);
	}
	/* Again: it may have expired while it was renewed. */
	if (lease_is_over(dataplane, service, &config, guard))
		result = fail(error, -ESTALE, "the lease of %s has expired: only a new set-weight begins another",
			      service->name);
	array_close(&window);
	return result;
}
