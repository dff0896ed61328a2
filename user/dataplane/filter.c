/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>

#include "canary/filter.h"
#include "dataplane/internal.h"

#define WORDS (CANARY_FILTER_BITS / 64)

static void set(__u64 *words, enum canary_filter_role role, const struct canary_addr *addr, __u16 port, __u8 proto)
{
	__u32 bit = canary_filter_bit(canary_filter_hash(role, canary_filter_addr(addr), port, proto));

	words[bit / 64] |= 1ULL << bit % 64;
}

static __u64 *open_words(const struct dataplane *dataplane)
{
	void *words =
		mmap(NULL, WORDS * sizeof(__u64), PROT_READ | PROT_WRITE, MAP_SHARED, dataplane->fd[MAP_filter], 0);

	return words == MAP_FAILED ? NULL : words;
}

int filter_add(const struct dataplane *dataplane, const struct model *model)
{
	__u64 *words = open_words(dataplane);

	if (!words)
		return -errno;
	for (size_t i = 0; i < model->service_count; i++) {
		const struct service_model *service = &model->services[i];

		set(words, CANARY_FILTER_SERVICE, &service->addr, htons(service->port), service->proto);
		for (size_t j = 0; j < service->backend_count; j++)
			set(words, CANARY_FILTER_BACKEND, &service->backends[j].addr, htons(service->backends[j].port),
			    service->proto);
	}
	munmap(words, WORDS * sizeof(*words));
	return 0;
}

static void collect(const struct dataplane *dataplane, const struct canary_backend *backends, __u64 *words)
{
	for (__u32 i = 1; i < CANARY_MAX_SERVICES; i++) {
		const struct canary_service *service = &dataplane->services[i];

		if (service->word)
			set(words, CANARY_FILTER_SERVICE, &service->key.addr, service->key.port, service->key.proto);
	}
	for (__u32 i = 1; i < CANARY_MAX_BACKENDS; i++) {
		const struct canary_backend *backend = &backends[i];

		if (backend->flags & CANARY_BACKEND_LIVE)
			set(words, CANARY_FILTER_BACKEND, &backend->addr, backend->port,
			    dataplane->services[backend->service].key.proto);
	}
}

int filter_renew(const struct dataplane *dataplane)
{
	const struct canary_backend *backends = all_backends(dataplane);
	__u64 *wanted, *words;

	if (!backends)
		return -errno;
	wanted = calloc(WORDS, sizeof(*wanted));
	if (!wanted)
		return -ENOMEM;
	words = open_words(dataplane);
	if (!words) {
		free(wanted);
		return -errno;
	}
	collect(dataplane, backends, wanted);
	for (size_t i = 0; i < WORDS; i++)
		if (words[i] != wanted[i])
			__atomic_store_n(&words[i], wanted[i], __ATOMIC_RELAXED);
	munmap(words, WORDS * sizeof(*words));
	free(wanted);
	return 0;
}
