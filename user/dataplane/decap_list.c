/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "dataplane/decap_internal.h"
#include "dataplane/internal.h"

#define PROGRAM_MAPS 16 /* no more are looked at */

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void decap_close_maps(struct decap_maps *maps)
{
	close_one(&maps->settings);
	close_one(&maps->locals);
	close_one(&maps->peers);
	close_one(&maps->counters);
}

static void take_map(int fd, struct decap_maps *maps)
{
	const struct {
		const char *name;
		__u32 value_size;
		int *fd;
	} wanted[] = {{"settings", sizeof(struct canary_decap_settings), &maps->settings},
		      {"locals", sizeof(__u8), &maps->locals},
		      {"peers", sizeof(__u8), &maps->peers},
		      {"counters", sizeof(struct canary_decap_counters), &maps->counters}};
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size))
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			if (!strcmp(info.name, wanted[i].name) && info.value_size == wanted[i].value_size &&
			    *wanted[i].fd < 0) {
				*wanted[i].fd = fd;
				return;
			}
	close_one(&fd);
}

static int program_of(const char *link_path)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);
	int link = bpf_obj_get(link_path), program;

	if (link < 0)
		return -errno;
	program = bpf_obj_get_info_by_fd(link, &info, &size) ? -1 : bpf_prog_get_fd_by_id(info.prog_id);
	if (program < 0)
		program = -errno;
	close(link);
	return program;
}

int decap_open_maps(const char *link_path, struct decap_maps *ret)
{
	__u32 ids[PROGRAM_MAPS] = {};
	struct bpf_prog_info info = {.nr_map_ids = PROGRAM_MAPS, .map_ids = (__u64)(unsigned long)ids};
	__u32 size = sizeof(info);
	int program = program_of(link_path), result;

	if (program < 0)
		return program;
	result = bpf_obj_get_info_by_fd(program, &info, &size) ? -errno : 0;
	close(program);
	for (__u32 i = 0; !result && i < info.nr_map_ids && i < PROGRAM_MAPS; i++)
		take_map(bpf_map_get_fd_by_id(ids[i]), ret);
	return result;
}

int decap_read_settings(const struct decap_maps *maps, struct canary_decap_settings *ret)
{
	const __u32 zero = 0;

	return bpf_map_lookup_elem(maps->settings, &zero, ret) ? -errno : 0;
}

/* All keys of a map, of `size` bytes each. */
static int read_keys(int map, size_t size, void **ret, size_t *ret_count)
{
	char *keys = NULL, *grown;
	size_t count = 0;

	for (;;) {
		grown = reallocarray(keys, count + 1, size);
		if (!grown) {
			free(keys);
			return -ENOMEM;
		}
		keys = grown;
		if (bpf_map_get_next_key(map, count ? keys + (count - 1) * size : NULL, keys + count * size))
			break;
		count++;
	}
	*ret = keys;
	*ret_count = count;
	return errno == ENOENT ? 0 : -errno;
}

static int read_counters(int map, struct canary_decap_counters *ret)
{
	int cpus = libbpf_num_possible_cpus();
	struct canary_decap_counters *each = cpus > 0 ? calloc(cpus, sizeof(*each)) : NULL;
	const __u32 zero = 0;
	int result = each ? 0 : -ENOMEM;

	if (!result && bpf_map_lookup_elem(map, &zero, each))
		result = -errno;
	for (int cpu = 0; !result && cpu < cpus; cpu++) {
		for (int i = 0; i < CANARY_DECAP_KINDS; i++)
			ret->count[i] += each[cpu].count[i];
		ret->bytes += each[cpu].bytes;
	}
	free(each);
	return result;
}

static int read_one(const char *path, struct decap *decap)
{
	struct decap_maps maps = DECAP_NO_MAPS;
	struct canary_decap_settings settings;
	int result = decap_open_maps(path, &maps);

	if (!result)
		result = decap_read_settings(&maps, &settings);
	if (!result) {
		decap->gue_port = ntohs(settings.gue_port);
		attach_described(&settings.interface, &decap->interface);
		result = read_keys(maps.locals, sizeof(*decap->addresses), (void **)&decap->addresses,
				   &decap->address_count);
	}
	/* A build before this one has none. */
	if (!result && maps.peers >= 0)
		result = read_keys(maps.peers, sizeof(*decap->peers), (void **)&decap->peers, &decap->peer_count);
	/* Those of another build's program may be other ones: it is shown, and can be detached, without them. */
	if (!result && maps.counters >= 0)
		result = read_counters(maps.counters, &decap->counters);
	decap_close_maps(&maps);
	return result;
}

/* Adds the attachment of a directory's entry, if it is one. */
static int add(const char *dir, const char *name, struct decap **list, size_t *count, struct error *error)
{
	struct decap decap = {}, *grown;
	char path[320];
	int result;

	if (sscanf(name, "xdp_%u_%u", &decap.interface.netns, &decap.interface.ifindex) != 2 ||
	    attach_link_path(dir, &decap.interface, path))
		return 0;
	decap.interface.gone = attach_link_alive(path) != 1;
	/* Of one whose device is gone there is as much to tell. */
	result = read_one(path, &decap);
	grown = result ? NULL : reallocarray(*list, *count + 1, sizeof(**list));
	if (!grown) {
		free(decap.addresses);
		free(decap.peers);
		return fail(error, result ? result : -ENOMEM, "cannot read what is attached at %s: %s", path,
			    explain_errno(result ? result : -ENOMEM));
	}
	grown[(*count)++] = decap;
	*list = grown;
	return 0;
}

int decap_list(const char *dir, struct decap **ret, size_t *ret_count, struct error *error)
{
	struct decap *list = NULL;
	struct dirent *entry;
	size_t count = 0;
	int result = directory_check(dir, error);
	DIR *entries = result ? NULL : opendir(dir);

	if (result)
		return result;
	if (!entries && errno != ENOENT)
		return fail(error, -errno, "cannot list %s: %s", dir, explain_errno(errno));
	while (!result && entries && (entry = readdir(entries)))
		result = add(dir, entry->d_name, &list, &count, error);
	if (entries)
		closedir(entries);
	if (result) {
		decap_free(list, count);
		return result;
	}
	*ret = list;
	*ret_count = count;
	return 0;
}

void decap_free(struct decap *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(list[i].addresses);
		free(list[i].peers);
	}
	free(list);
}
