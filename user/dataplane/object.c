/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "canary.skel.h"
#include "dataplane/internal.h"

static const char *const map_names[MAP_COUNT] = {
#define X(name) #name,
	DATAPLANE_MAPS(X)
#undef X
};

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

int object_open_maps(struct dataplane *dataplane, struct error *error)
{
	char path[320];

	/* Backwards: `settings` says whether the rest is complete. */
	for (int i = MAP_COUNT - 1; i >= 0; i--) {
		if (object_pin_path(dataplane, map_names[i], path))
			return fail(error, -ENAMETOOLONG, "the path %s is too long", dataplane->dir);
		dataplane->fd[i] = bpf_obj_get(path);
		if (dataplane->fd[i] >= 0)
			continue;
		if (errno == ENOENT && i == MAP_settings)
			return fail(error, -ENOENT, "there is no state at %s", dataplane->dir);
		return fail(error, -errno, "cannot open the pinned map %s: %s", path, explain_errno(errno));
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

void object_unlink_pins(const char *dir)
{
	DIR *entries = opendir(dir);
	struct dirent *entry;

	if (!entries)
		return;
	/* First what says that the rest is complete: killed half-way, the next command makes all anew. */
	unlinkat(dirfd(entries), map_names[MAP_settings], 0);
	while ((entry = readdir(entries)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(dirfd(entries), entry->d_name, 0);
	closedir(entries);
}

/* libbpf's last complaint: the first thing to show when the kernel refuses the object. */
static char last_warning[512];

static int keep_warning(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[sizeof(last_warning)];

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = 0;
	memcpy(last_warning, line, sizeof(last_warning));
	return 0;
}

static int refuse_load(int code, struct error *error)
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

static int pin_map(const struct dataplane *dataplane, struct bpf_map *map, const char *name, struct error *error)
{
	char path[320];

	if (object_pin_path(dataplane, name, path))
		return fail(error, -ENAMETOOLONG, "the path %s is too long", dataplane->dir);
	if (bpf_obj_pin(bpf_map__fd(map), path))
		return fail(error, -errno, "cannot pin %s: %s", path, explain_errno(errno));
	return 0;
}

static int pin_programs(const struct dataplane *dataplane, const struct canary_bpf *skeleton, struct error *error)
{
	struct bpf_program *program;
	char path[320];

	bpf_object__for_each_program(program, skeleton->obj)
	{
		if (object_pin_path(dataplane, bpf_program__name(program), path))
			return fail(error, -ENAMETOOLONG, "the path %s is too long", dataplane->dir);
		if (bpf_obj_pin(bpf_program__fd(program), path))
			return fail(error, -errno, "cannot pin %s: %s", path, explain_errno(errno));
	}
	return 0;
}

static int write_settings(int fd, struct error *error)
{
	struct canary_settings settings = {.abi = CANARY_ABI_VERSION, .next_segment_set = 1};
	__u32 zero = 0;

	snprintf(settings.build, sizeof(settings.build), "%s", CANARY_VERSION);
	if (getrandom(&settings.keys, sizeof(settings.keys), 0) != sizeof(settings.keys))
		return fail(error, -EIO, "the kernel has no random numbers for the keys of the hashes");
	if (bpf_map_update_elem(fd, &zero, &settings, BPF_ANY))
		return fail(error, -errno, "cannot write the settings: %s", explain_errno(errno));
	return 0;
}

int object_create(struct dataplane *dataplane, struct error *error)
{
	libbpf_print_fn_t print = libbpf_set_print(keep_warning);
	struct canary_bpf *skeleton;
	struct bpf_map *maps[MAP_COUNT];
	int result;

	skeleton = canary_bpf__open_and_load();
	if (!skeleton) {
		result = refuse_load(-errno, error);
		goto out;
	}
#define X(name) maps[MAP_##name] = skeleton->maps.name;
	DATAPLANE_MAPS(X)
#undef X
	result = pin_programs(dataplane, skeleton, error);
	for (int i = 0; !result && i < MAP_COUNT; i++) {
		if (i == MAP_settings)
			result = write_settings(bpf_map__fd(maps[i]), error);
		if (!result)
			result = pin_map(dataplane, maps[i], map_names[i], error);
	}
	canary_bpf__destroy(skeleton);
out:
	libbpf_set_print(print);
	return result;
}
