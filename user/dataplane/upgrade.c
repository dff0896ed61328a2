/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running programs replaced by this binary's, in place. Each step leaves a working data plane: killed at any of them,
 * programs of two builds share the maps, and the next upgrade completes it.
 *
 * From CANARY_ABI_PREVIOUS: `tables` is made of the maps that it has in their place. Packets do not write those, nor does
 * anybody else once the ABI says CANARY_ABI_UPGRADING, which is before the first of the new programs is attached. What
 * packets do write is in the same maps before and after, but for the counters of cohorts: those that are counted while it goes
 * on, between the copy and the new programs, are lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "canary/abi.h"
#include "canary.skel.h"
#include "canary/select.h"
#include "dataplane/internal.h"

static int replace_programs(const struct dataplane *dataplane, const struct canary_bpf *skeleton, struct error *error)
{
	struct bpf_program *program;
	int result;

	bpf_object__for_each_program(program, skeleton->obj)
	{
		result = object_replace_pin(dataplane, bpf_program__fd(program), bpf_program__name(program), error);
		if (result)
			return result;
	}
	return 0;
}

static int update_link(const struct dataplane *dataplane, const struct interface *interface, int program,
		       struct error *error)
{
	int link = attach_open_link(dataplane, interface), result = 0;

	if (link < 0 || bpf_link_update(link, program, NULL))
		result = fail(error, -errno, "cannot replace the program on %s: %s", interface->name,
			      explain_errno(errno));
	if (link >= 0)
		close(link);
	return result;
}

static int update_interface(struct dataplane *dataplane, struct interface *interface, int program, struct error *error)
{
	if (interface->gone)
		return 0;
	if (!interface->chain)
		return update_link(dataplane, interface, program, error);
	interface->priority = CHAIN_KEEP_PRIORITY;
	return interface->position ? chain_put(dataplane, interface, ATTACH_AUTO, error) : 0;
}

static int update_interfaces(struct dataplane *dataplane, int program, struct error *error)
{
	struct interface *interfaces;
	size_t count;
	int result = dataplane_interfaces(dataplane, &interfaces, &count, error);

	if (result)
		return result;
	for (size_t i = 0; !result && i < count; i++)
		result = update_interface(dataplane, &interfaces[i], program, error);
	free(interfaces);
	return result;
}

/* Those in a chain in another network namespace cannot be replaced from here: known before anything is. */
static int check_interfaces(struct dataplane *dataplane, struct error *error)
{
	struct interface *interfaces;
	size_t count;
	int result = dataplane_interfaces(dataplane, &interfaces, &count, error);

	if (result)
		return result;
	for (size_t i = 0; !result && i < count; i++)
		if (interfaces[i].chain && !interfaces[i].gone && !chain_is_here(&interfaces[i]))
			result = fail(error, -EXDEV,
				      "%s is in a chain in another network namespace (net:[%u]): detach it there first",
				      interfaces[i].name, interfaces[i].netns);
	free(interfaces);
	return result;
}

/* Links of tracepoints cannot be updated: a second one takes the first one's place. */
static int replace_tracepoints(const struct dataplane *dataplane, const struct canary_bpf *skeleton,
			       struct error *error)
{
	for (int i = 0; object_trace_programs[i]; i++) {
		struct bpf_program *program = bpf_object__find_program_by_name(skeleton->obj, object_trace_programs[i]);
		char name[64], path[320];
		int link, result;

		snprintf(name, sizeof(name), "link_%s", object_trace_programs[i]);
		if (object_pin_path(dataplane, name, path) || access(path, F_OK))
			continue;
		link = bpf_raw_tracepoint_open(NULL, bpf_program__fd(program));
		if (link < 0)
			return fail(error, -errno, "cannot attach %s: %s", object_trace_programs[i],
				    explain_errno(errno));
		result = object_replace_pin(dataplane, link, name, error);
		close(link);
		if (result)
			return result;
	}
	return 0;
}

/* From the array that was pinned by that name. */
static int copy_former(const struct dataplane *dataplane, const char *name, void *to, size_t size, struct error *error)
{
	char path[320];
	void *from = MAP_FAILED;
	int fd = object_pin_path(dataplane, name, path) ? -1 : bpf_obj_get(path);

	if (fd >= 0)
		from = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (from == MAP_FAILED) {
		fail(error, -errno, "cannot read the pinned map %s: %s", path, explain_errno(errno));
	} else {
		memcpy(to, from, size);
		munmap(from, size);
	}
	if (fd >= 0)
		close(fd);
	return from == MAP_FAILED ? -EIO : 0;
}

static int migrate(struct dataplane *dataplane, const struct canary_bpf *skeleton, struct error *error)
{
	struct canary_tables *tables = NULL;
	int result = object_pin_missing(dataplane, skeleton, error);

	if (!result && !dataplane->tables)
		result = dataplane_map_tables(dataplane, error);
	if (!result) {
		tables = mapped_at(dataplane->tables, 0, sizeof(*tables));
		if (!tables)
			result = fail(error, -errno, "cannot map the tables: %s", explain_errno(errno));
	}
	if (result)
		return result;
	tables->keys = dataplane->settings->keys;
	result = copy_former(dataplane, "configs", tables->configs, sizeof(tables->configs), error);
	if (!result)
		result = copy_former(dataplane, "backends", tables->backends, sizeof(tables->backends), error);
	if (result)
		return result;
	filter_renew(dataplane); /* all is mapped */
	__atomic_store_n(&dataplane->settings->abi, CANARY_ABI_UPGRADING, __ATOMIC_RELEASE);
	return 0;
}

static void remove_former(const struct dataplane *dataplane)
{
	char path[320];

	for (int i = 0; object_former_maps[i]; i++)
		if (!object_pin_path(dataplane, object_former_maps[i], path))
			unlink(path);
}

static void put_event(struct dataplane *dataplane)
{
	__u32 from = dataplane->abi == CANARY_ABI_UPGRADING ? CANARY_ABI_PREVIOUS : dataplane->abi;
	const struct canary_event event = {.type = CANARY_EVENT_UPGRADED, .value = {from, CANARY_ABI_VERSION}};

	dataplane_put_event(dataplane, &event);
}

/* The maps as this build has them. */
static int update_maps(struct dataplane *dataplane, const struct canary_bpf *skeleton, int former_counters,
		       struct error *error)
{
	int *counters = &dataplane->fd[MAP_cohort_counters], result = 0;

	if (former_counters >= 0) {
		*counters = fcntl(bpf_map__fd(skeleton->maps.cohort_counters), F_DUPFD_CLOEXEC, 0);
		if (*counters < 0)
			return fail(error, -errno, "cannot keep the counters open: %s", explain_errno(errno));
	}
	if (dataplane->abi == CANARY_ABI_PREVIOUS)
		result = migrate(dataplane, skeleton, error);
	if (!result && former_counters >= 0)
		result = upgrade_grow_counters(dataplane, former_counters, error);
	return result;
}

int dataplane_upgrade(struct dataplane *dataplane, struct error *error)
{
	struct canary_bpf *skeleton = NULL;
	int result = check_interfaces(dataplane, error), former_counters;

	if (result)
		return result;
	former_counters = upgrade_put_counters_aside(dataplane);
	result = object_load(dataplane, &skeleton, error);
	if (!result)
		result = update_maps(dataplane, skeleton, former_counters, error);
	if (former_counters >= 0)
		close(former_counters);
	if (!skeleton)
		return result;
	if (!result)
		result = flows_pin_missing(dataplane, error);
	/* The daemon may have come to run as another user. */
	if (!result)
		result = pins_give(dataplane->dir, error);
	if (!result)
		result = replace_programs(dataplane, skeleton, error);
	if (!result)
		result = update_interfaces(dataplane, bpf_program__fd(skeleton->progs.canary_xdp), error);
	if (!result)
		result = replace_tracepoints(dataplane, skeleton, error);
	if (!result)
		result = object_arm(bpf_program__fd(skeleton->progs.canary_arm), error);
	if (!result) {
		memcpy(dataplane->settings->build, CANARY_VERSION, sizeof(CANARY_VERSION));
		__atomic_store_n(&dataplane->settings->abi, CANARY_ABI_VERSION, __ATOMIC_RELEASE);
		remove_former(dataplane);
		put_event(dataplane);
	}
	canary_bpf__destroy(skeleton);
	return result;
}
