/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "canary/filter.h"
#include "dataplane/internal.h"

#define WORDS (CANARY_FILTER_BITS / 64)

static void set(const struct dataplane *dataplane, __u64 *words, enum canary_filter_role role,
		const struct canary_addr *addr)
{
	__u32 bit = canary_filter_bit(role, canary_hash_address(&dataplane->settings->keys, addr));

	words[bit / 64] |= 1ULL << bit % 64;
}

int filter_add(const struct dataplane *dataplane, const struct model *model)
{
	__u64 *words = TABLE_AT(dataplane, filter, 0, WORDS);

	if (!words)
		return -errno;
	for (size_t i = 0; i < model->service_count; i++) {
		const struct service_model *service = &model->services[i];

		set(dataplane, words, CANARY_FILTER_SERVICE, &service->addr);
		for (size_t j = 0; j < service->backend_count; j++)
			set(dataplane, words, CANARY_FILTER_BACKEND, &service->backends[j].addr);
	}
	return 0;
}

static void collect(const struct dataplane *dataplane, const struct canary_backend *backends, __u64 *words)
{
	for (__u32 i = 1; i < CANARY_MAX_SERVICES; i++) {
		const struct canary_service *service = &dataplane->services[i];

		if (service->word)
			set(dataplane, words, CANARY_FILTER_SERVICE, &service->key.addr);
	}
	for (__u32 i = 1; i < CANARY_MAX_BACKENDS; i++) {
		const struct canary_backend *backend = &backends[i];

		if (backend->flags & CANARY_BACKEND_LIVE)
			set(dataplane, words, CANARY_FILTER_BACKEND, &backend->addr);
	}
}

int filter_renew(const struct dataplane *dataplane)
{
	const struct canary_backend *backends = all_backends(dataplane);
	__u64 wanted[WORDS] = {}, *words = TABLE_AT(dataplane, filter, 0, WORDS);

	if (!backends || !words)
		return -errno;
	collect(dataplane, backends, wanted);
	for (size_t i = 0; i < WORDS; i++)
		if (words[i] != wanted[i])
			__atomic_store_n(&words[i], wanted[i], __ATOMIC_RELAXED);
	return 0;
}
