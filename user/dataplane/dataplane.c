/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/dataplane.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "dataplane/internal.h"

static void *map_array(const struct dataplane *dataplane, enum dataplane_map map, size_t size)
{
	int protection = dataplane->access == DATAPLANE_READ ? PROT_READ : PROT_READ | PROT_WRITE;
	void *array = mmap(NULL, size, protection, MAP_SHARED, dataplane->fd[map], 0);

	return array == MAP_FAILED ? NULL : array;
}

int dataplane_map_tables(struct dataplane *dataplane, struct error *error)
{
	bool write = dataplane->access != DATAPLANE_READ;

	dataplane->tables = mapped_reserve(dataplane->fd[MAP_tables], 1, sizeof(struct canary_tables), write);
	if (!dataplane->tables)
		return fail(error, -errno, "cannot map the tables at %s: %s", dataplane->dir, explain_errno(errno));
	return 0;
}

static int map_arrays(struct dataplane *dataplane, struct error *error)
{
	bool write = dataplane->access != DATAPLANE_READ;

	dataplane->settings = map_array(dataplane, MAP_settings, sizeof(struct canary_settings));
	dataplane->services = map_array(dataplane, MAP_services, CANARY_MAX_SERVICES * sizeof(struct canary_service));
	dataplane->arena = mapped_reserve(dataplane->fd[MAP_arena], sizeof(__u64), CANARY_ARENA_WORDS, write);
	dataplane->interfaces =
		map_array(dataplane, MAP_interfaces, CANARY_MAX_INTERFACES * sizeof(struct canary_interface));
	if (!dataplane->settings || !dataplane->services || !dataplane->arena || !dataplane->interfaces)
		return fail(error, -errno, "cannot map the state at %s: %s", dataplane->dir, explain_errno(errno));
	/* An upgrade makes them where they are missing. */
	return dataplane->fd[MAP_tables] < 0 ? 0 : dataplane_map_tables(dataplane, error);
}

static int lock(struct dataplane *dataplane, struct error *error)
{
	int fd = directory_lock(dataplane->dir, dataplane->access == DATAPLANE_CREATE, error);

	if (fd >= 0)
		dataplane->lock = fd;
	return fd < 0 ? fd : 0;
}

/* A command that was killed while it took all away leaves pins. */
static void tidy_up(const struct dataplane *dataplane)
{
	if (dataplane->fd[MAP_settings] >= 0 || !pins_are_abandoned(dataplane->dir))
		return;
	pins_unlink(dataplane->dir);
	rmdir(dataplane->dir);
}

static int open_state(struct dataplane *dataplane, struct error *error)
{
	int result = object_open_maps(dataplane, error);

	if (result == -ENOENT && dataplane->access == DATAPLANE_CHANGE)
		tidy_up(dataplane);
	if (result == -ENOENT && dataplane->access == DATAPLANE_CREATE) {
		/* Nothing, or what a killed command left half made: nothing can be attached to that. */
		pins_unlink(dataplane->dir);
		result = object_create(dataplane, error);
		if (!result)
			result = object_open_maps(dataplane, error);
	}
	if (!result && flows_wanted() && flows_wanted() > flows_room(dataplane))
		result = fail(
			error, -EEXIST,
			"the table of flows is there already, and has room for %u: to make a larger one, detach and "
			"delete all services first",
			CANARY_FLOW_SHARDS * flows_room(dataplane));
	return result ? result : map_arrays(dataplane, error);
}

int dataplane_open(const char *dir, enum dataplane_access access, struct dataplane **ret, struct error *error)
{
	struct dataplane *dataplane = calloc(1, sizeof(*dataplane));
	size_t len;
	int result;

	if (!dataplane)
		return fail(error, -ENOMEM, "out of memory");
	dataplane->access = access;
	dataplane->lock = -1;
	for (int i = 0; i < MAP_COUNT; i++)
		dataplane->fd[i] = -1;
	len = strlen(dir);
	while (len > 1 && dir[len - 1] == '/')
		len--;
	if (snprintf(dataplane->dir, sizeof(dataplane->dir), "%.*s", (int)len, dir) >= (int)sizeof(dataplane->dir))
		result = fail(error, -ENAMETOOLONG, "the path %s is too long", dir);
	else
		result = directory_check(dataplane->dir, error);
	if (!result && access != DATAPLANE_READ)
		result = lock(dataplane, error);
	if (!result)
		result = open_state(dataplane, error);
	if (result) {
		dataplane_release(dataplane);
		return result;
	}
	*ret = dataplane;
	return 0;
}

/* Is there something that the pins are for? */
static bool in_use(struct dataplane *dataplane)
{
	struct interface *interfaces;
	struct error ignored;
	size_t count;

	for (__u32 id = 1; id < CANARY_MAX_SERVICES; id++)
		if (dataplane->services[id].word)
			return true;
	if (dataplane_interfaces(dataplane, &interfaces, &count, &ignored))
		return true;
	free(interfaces);
	return count;
}

void dataplane_release(struct dataplane *dataplane)
{
	if (dataplane->settings)
		munmap(dataplane->settings, sizeof(struct canary_settings));
	if (dataplane->services)
		munmap(dataplane->services, CANARY_MAX_SERVICES * sizeof(struct canary_service));
	mapped_free(dataplane->tables);
	mapped_free(dataplane->arena);
	if (dataplane->interfaces)
		munmap(dataplane->interfaces, CANARY_MAX_INTERFACES * sizeof(struct canary_interface));
	for (int i = 0; i < MAP_COUNT; i++)
		if (dataplane->fd[i] >= 0)
			close(dataplane->fd[i]);
	if (dataplane->lock >= 0)
		close(dataplane->lock);
	free(dataplane);
}

void dataplane_close(struct dataplane *dataplane)
{
	if (!dataplane)
		return;
	if (dataplane->access != DATAPLANE_READ && !in_use(dataplane)) {
		pins_unlink(dataplane->dir);
		/* The directory may be a mount of its own, or hold what is not ours: then it stays. */
		rmdir(dataplane->dir);
	}
	dataplane_release(dataplane);
}
