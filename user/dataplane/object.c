/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "canary/abi.h"
#include "canary.skel.h"
#include "dataplane/internal.h"

enum {
	ARM_TRIES = 20,
	ARM_PAUSE_US = 1000,
};

const char *const object_map_names[MAP_COUNT] = {
#define X(name) #name,
	DATAPLANE_MAPS(X)
#undef X
};

const char *const object_former_maps[] = {"configs", "backends", "filter", "service_hints", NULL};

const char *const object_programs[] = {
	PROGRAM_XDP,	      PROGRAM_COMMIT,	     PROGRAM_ARM,	 "canary_bulk_tx",
	"canary_devmap_xmit", "canary_redirect_err", "canary_exception", NULL};

const char *const object_trace_programs[] = {"canary_bulk_tx", "canary_devmap_xmit", "canary_redirect_err",
					     "canary_exception", NULL};

const char *explain_errno(int error)
{
	switch (error < 0 ? -error : error) {
	case EPERM:
	case EACCES:
		return "not permitted: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";
	case ENOMEM:
		return "the kernel has no memory for it";
	default:
		return strerror(error < 0 ? -error : error);
	}
}

int object_pin_path(const struct dataplane *dataplane, const char *name, char path[320])
{
	int len = snprintf(path, 320, "%s/%s", dataplane->dir, name);

	return len < 0 || len >= 320 ? -ENAMETOOLONG : 0;
}

/* Somebody else may have pinned something by that name. */
static bool is_settings(int fd)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &size) && info.type == BPF_MAP_TYPE_ARRAY &&
	       !strcmp(info.name, "settings") && info.value_size == sizeof(struct canary_settings);
}

static int check_abi(struct dataplane *dataplane, struct error *error)
{
	struct canary_settings settings;
	__u32 zero = 0;

	if (bpf_map_lookup_elem(dataplane->fd[MAP_settings], &zero, &settings))
		return fail(error, -errno, "cannot read the settings at %s: %s", dataplane->dir, explain_errno(errno));
	dataplane->abi = settings.abi;
	if (settings.abi == CANARY_ABI_VERSION ||
	    (dataplane->access == DATAPLANE_UPGRADE &&
	     (settings.abi == CANARY_ABI_PREVIOUS || settings.abi == CANARY_ABI_UPGRADING)))
		return 0;
	if (settings.abi == CANARY_ABI_UPGRADING)
		return fail(
			error, -EPROTO,
			"an upgrade of the state at %s was interrupted: run 'canaryctl upgrade', which completes it",
			dataplane->dir);
	settings.build[sizeof(settings.build) - 1] = 0;
	if (settings.abi == CANARY_ABI_PREVIOUS)
		return fail(error, -EPROTO,
			    "the state at %s is of ABI %u (build %s), this canaryctl speaks ABI %d: run 'canaryctl "
			    "upgrade', which keeps all of it",
			    dataplane->dir, settings.abi, settings.build, CANARY_ABI_VERSION);
	return fail(error, -EPROTO,
		    "the state at %s is of ABI %u, this canaryctl speaks ABI %d: use the canaryctl that made it (build "
		    "%s), or detach and remove it",
		    dataplane->dir, settings.abi, CANARY_ABI_VERSION, settings.build);
}

/* Is it the one that is missing where the state is of an ABI that may be upgraded? */
static bool may_be_missing(const struct dataplane *dataplane, enum dataplane_map map)
{
	return dataplane->abi == CANARY_ABI_PREVIOUS && map == MAP_tables;
}

int object_open_maps(struct dataplane *dataplane, struct error *error)
{
	char path[320];

	/* Backwards: `settings` says whether the rest is complete. */
	for (int i = MAP_COUNT - 1; i >= 0; i--) {
		if (object_pin_path(dataplane, object_map_names[i], path))
			return fail(error, -ENAMETOOLONG, "the path %s is too long", dataplane->dir);
		dataplane->fd[i] = bpf_obj_get(path);
		if (dataplane->fd[i] >= 0 && i == MAP_settings && !is_settings(dataplane->fd[i]))
			return fail(
				error, -EEXIST,
				"%s holds pins that are not canaryctl's: give it a directory of its own with --bpffs",
				dataplane->dir);
		if (dataplane->fd[i] < 0 && errno == ENOENT && i == MAP_settings)
			return fail(error, -ENOENT, "there is no state at %s", dataplane->dir);
		if (dataplane->fd[i] < 0 && !(errno == ENOENT && may_be_missing(dataplane, i)))
			return fail(error, -errno, "cannot open the pinned map %s: %s", path, explain_errno(errno));
		if (i == MAP_settings) {
			int result = check_abi(dataplane, error);

			if (result)
				return result;
		}
	}
	return 0;
}

int object_open_program(const struct dataplane *dataplane, const char *name, struct error *error)
{
	char path[320];
	int fd;

	if (object_pin_path(dataplane, name, path))
		return fail(error, -ENAMETOOLONG, "the path %s is too long", dataplane->dir);
	fd = bpf_obj_get(path);
	return fd >= 0 ? fd : fail(error, -errno, "cannot open the pinned program %s: %s", path, explain_errno(errno));
}

/* libbpf's last complaint: the first thing to show when the kernel refuses the object. */
static char last_warning[512];

int object_keep_warning(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[sizeof(last_warning)];

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = 0;
	memcpy(last_warning, line, sizeof(last_warning));
	return 0;
}

int object_refuse_load(int code, struct error *error)
{
	struct utsname host;

	if (code == -EPERM || code == -EACCES)
		if (geteuid())
			return fail(error, code, "cannot load the data plane: %s", explain_errno(code));
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return fail(error, code,
			    "cannot load the data plane: this kernel has no BTF (/sys/kernel/btf/vmlinux): it needs "
			    "CONFIG_DEBUG_INFO_BTF=y, as distributions' kernels have");
	uname(&host);
	if (code == -EACCES)
		return fail(
			error, code,
			"kernel %s refuses the data plane's program: please report this, with what 'canaryctl version' "
			"prints: %s",
			host.release, last_warning);
	return fail(error, code, "cannot load the data plane into kernel %s (6.1 or later is needed): %s: %s",
		    host.release, explain_errno(code), last_warning);
}

int object_pin(int fd, const char *path)
{
	return bpf_obj_pin(fd, path) ? -errno : keys_give(path);
}

int object_replace_pin(const struct dataplane *dataplane, int fd, const char *name, struct error *error)
{
	char temporary[64], from[320], to[320];
	int result;

	snprintf(temporary, sizeof(temporary), "new_%s", name);
	if (object_pin_path(dataplane, temporary, from) || object_pin_path(dataplane, name, to))
		return fail(error, -ENAMETOOLONG, "the path %s is too long", dataplane->dir);
	unlink(from);
	result = object_pin(fd, from);
	if (!result && rename(from, to))
		result = -errno;
	return result ? fail(error, result, "cannot replace %s: %s", to, explain_errno(result)) : 0;
}

static int pin_map(const struct dataplane *dataplane, struct bpf_map *map, const char *name, struct error *error)
{
	char path[320];
	int result;

	if (object_pin_path(dataplane, name, path))
		return fail(error, -ENAMETOOLONG, "the path %s is too long", dataplane->dir);
	result = object_pin(bpf_map__fd(map), path);
	return result ? fail(error, result, "cannot pin %s: %s", path, explain_errno(result)) : 0;
}

static int pin_programs(const struct dataplane *dataplane, const struct canary_bpf *skeleton, struct error *error)
{
	struct bpf_program *program;
	char path[320];
	int result;

	bpf_object__for_each_program(program, skeleton->obj)
	{
		if (object_pin_path(dataplane, bpf_program__name(program), path))
			return fail(error, -ENAMETOOLONG, "the path %s is too long", dataplane->dir);
		result = object_pin(bpf_program__fd(program), path);
		if (result)
			return fail(error, result, "cannot pin %s: %s", path, explain_errno(result));
	}
	return 0;
}

static int write_settings(int fd, struct canary_tables *tables, struct error *error)
{
	struct canary_settings settings = {.abi = CANARY_ABI_VERSION, .next_segment_set = 1};
	__u32 zero = 0;
	int result;

	snprintf(settings.build, sizeof(settings.build), "%s", CANARY_VERSION);
	result = keys_load(&settings.keys, error);
	if (result)
		return result;
	tables->keys = settings.keys;
	if (bpf_map_update_elem(fd, &zero, &settings, BPF_ANY))
		return fail(error, -errno, "cannot write the settings: %s", explain_errno(errno));
	return 0;
}

/* The table's shards. In one batch, as each change of a map of maps waits for all CPUs. */
static int make_shards(const struct dataplane *dataplane, const struct canary_bpf *skeleton, struct error *error)
{
	const struct bpf_map *inner = skeleton->maps.flow_shard;
	/* Kernel 6.1 takes maps without types for other ones than the table's. */
	LIBBPF_OPTS(bpf_map_create_opts, types, .btf_fd = bpf_object__btf_fd(skeleton->obj),
		    .btf_key_type_id = bpf_map__btf_key_type_id(inner),
		    .btf_value_type_id = bpf_map__btf_value_type_id(inner));
	int outer = bpf_map__fd(skeleton->maps.flows);
	__u32 room = skeleton->rodata->table_room;
	__u32 keys[CANARY_FLOW_SHARDS], count = CANARY_FLOW_SHARDS;
	int shards[CANARY_FLOW_SHARDS];
	int made = 0, result = 0;

	for (; !result && made < CANARY_FLOW_SHARDS; made++) {
		char name[FLOWS_SHARD_NAME_LEN];

		keys[made] = made;
		flows_shard_name(made, name);
		shards[made] = bpf_map_create(BPF_MAP_TYPE_HASH, "flow_shard", sizeof(struct canary_flow_key),
					      sizeof(struct canary_flow), room, &types);
		if (shards[made] < 0)
			result = fail(error, -errno, "cannot make the table of flows: %s", explain_errno(errno));
		else
			result = object_replace_pin(dataplane, shards[made], name, error);
	}
	if (!result && bpf_map_update_batch(outer, keys, shards, &count, NULL))
		for (int i = 0; !result && i < CANARY_FLOW_SHARDS; i++)
			if (bpf_map_update_elem(outer, &keys[i], &shards[i], BPF_ANY))
				result =
					fail(error, -errno, "cannot make the table of flows: %s", explain_errno(errno));
	while (made-- > 0)
		if (shards[made] >= 0)
			close(shards[made]);
	return result;
}

int object_arm(int program, struct error *error)
{
	char frame[64] = "";
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame));

	/* The kernel takes a timer's memory without waiting for a lock (since Linux 6.18): for the moment there may be none. */
	for (int i = 0; i < ARM_TRIES; i++) {
		if (bpf_prog_test_run_opts(program, &options))
			return fail(error, -errno, "cannot start the sweeper: %s", explain_errno(errno));
		if ((int)options.retval != -ENOMEM)
			break;
		usleep(ARM_PAUSE_US);
	}
	if (options.retval)
		return fail(error, -EIO, "cannot start the sweeper: the kernel said %d", (int)options.retval);
	return 0;
}

static int reuse_maps(const struct dataplane *dataplane, struct bpf_map *const maps[MAP_COUNT])
{
	for (int i = 0; i < MAP_COUNT; i++) {
		int result = dataplane->fd[i] < 0 ? 0 : bpf_map__reuse_fd(maps[i], dataplane->fd[i]);

		if (result)
			return result;
	}
	return 0;
}

static void list_maps(const struct canary_bpf *skeleton, struct bpf_map *ret[MAP_COUNT])
{
#define tables bss /* the section of the program's variables */
#define X(name) ret[MAP_##name] = skeleton->maps.name;
	DATAPLANE_MAPS(X)
#undef X
#undef tables
}

/* The table of flows that there is keeps its size, a new one gets the one that is wanted. */
static void size_flows(const struct dataplane *dataplane, struct canary_bpf *skeleton)
{
	bool exists = dataplane->fd[MAP_flows] >= 0;
	__u32 room = exists ? flows_room(dataplane) : flows_wanted();

	if (room)
		skeleton->rodata->table_room = room;
	if (!exists)
		bpf_map__set_max_entries(skeleton->maps.reverse, CANARY_FLOW_SHARDS * skeleton->rodata->table_room);
}

/* The coarse clock's tick is one of them. */
static __u64 jiffies_per_second(void)
{
	struct timespec tick;

	return clock_getres(CLOCK_MONOTONIC_COARSE, &tick) || !tick.tv_nsec ? 100 : 1000000000 / tick.tv_nsec;
}

int object_open(struct dataplane *dataplane, struct canary_bpf **ret, struct error *error)
{
	libbpf_print_fn_t print = libbpf_set_print(object_keep_warning);
	struct canary_bpf *skeleton = canary_bpf__open();
	struct bpf_map *maps[MAP_COUNT];
	int cpus = libbpf_num_possible_cpus();
	int result = !skeleton ? -errno : cpus < 0 ? cpus : 0;

	if (!result) {
		memcpy(skeleton->rodata->sweep_build, CANARY_VERSION, sizeof(CANARY_VERSION));
		skeleton->rodata->limit_cpus = cpus;
		skeleton->rodata->route_jiffies = jiffies_per_second();
		size_flows(dataplane, skeleton);
		bpf_map__set_autocreate(skeleton->maps.flow_shard, false);
		list_maps(skeleton, maps);
		result = reuse_maps(dataplane, maps);
	}
	libbpf_set_print(print);
	if (result) {
		canary_bpf__destroy(skeleton);
		return object_refuse_load(result, error);
	}
	*ret = skeleton;
	return 0;
}

int object_load(struct dataplane *dataplane, struct canary_bpf **ret, struct error *error)
{
	struct canary_bpf *skeleton;
	libbpf_print_fn_t print;
	int result = object_open(dataplane, &skeleton, error);

	if (result)
		return result;
	print = libbpf_set_print(object_keep_warning);
	result = canary_bpf__load(skeleton);
	libbpf_set_print(print);
	if (result) {
		canary_bpf__destroy(skeleton);
		return object_refuse_load(result, error);
	}
	*ret = skeleton;
	return 0;
}

int object_pin_missing(struct dataplane *dataplane, const struct canary_bpf *skeleton, struct error *error)
{
	struct bpf_map *maps[MAP_COUNT];

	list_maps(skeleton, maps);
	for (int i = 0; i < MAP_COUNT; i++) {
		int result = dataplane->fd[i] < 0 ? pin_map(dataplane, maps[i], object_map_names[i], error) : 0;

		if (result)
			return result;
		if (dataplane->fd[i] < 0)
			dataplane->fd[i] = fcntl(bpf_map__fd(maps[i]), F_DUPFD_CLOEXEC, 0);
		if (dataplane->fd[i] < 0)
			return fail(error, -errno, "cannot keep %s open: %s", object_map_names[i],
				    explain_errno(errno));
	}
	return 0;
}

int object_create(struct dataplane *dataplane, struct error *error)
{
	struct canary_bpf *skeleton;
	struct bpf_map *maps[MAP_COUNT];
	int result = object_load(dataplane, &skeleton, error);

	if (result)
		return result;
	list_maps(skeleton, maps);
	/* First of all, what says whose the others are. */
	result = pin_programs(dataplane, skeleton, error);
	if (!result)
		result = make_shards(dataplane, skeleton, error);
	for (int i = 0; !result && i < MAP_COUNT; i++) {
		/* The sweeper needs a pinned map: its timer ends with the last that holds the map. */
		if (i == MAP_settings)
			result = object_arm(bpf_program__fd(skeleton->progs.canary_arm), error);
		if (!result && i == MAP_settings)
			result = write_settings(bpf_map__fd(maps[i]), &skeleton->bss->tables, error);
		if (!result)
			result = pin_map(dataplane, maps[i], object_map_names[i], error);
	}
	canary_bpf__destroy(skeleton);
	return result;
}
