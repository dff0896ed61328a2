/* SPDX-License-Identifier: Apache-2.0 */
/* What is pinned in the directory: whose it is, and how all of it goes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/internal.h"

/* "KIND_NETNS_IFINDEX"? */
static bool is_of_interface(const char *name, const char *kind)
{
	size_t len = strlen(kind);
	unsigned netns, ifindex;
	int end = 0;

	return !strncmp(name, kind, len) && sscanf(name + len, "_%u_%u%n", &netns, &ifindex, &end) == 2 &&
	       !name[len + end];
}

static bool is_shard(const char *name)
{
	char shard[FLOWS_SHARD_NAME_LEN];
	unsigned number;

	if (sscanf(name, "shard_%u", &number) != 1)
		return false;
	flows_shard_name(number, shard);
	return number < CANARY_FLOW_SHARDS && !strcmp(name, shard);
}

/* Is it the name of a pin of ours? The directory may hold others'. */
static bool is_ours(const char *name)
{
	for (int i = 0; i < MAP_COUNT; i++)
		if (!strcmp(name, object_map_names[i]))
			return true;
	for (int i = 0; object_former_maps[i]; i++)
		if (!strcmp(name, object_former_maps[i]))
			return true;
	for (int i = 0; object_programs[i]; i++)
		if (!strcmp(name, object_programs[i]))
			return true;
	if (!strncmp(name, "link_", 5) || !strncmp(name, "new_", 4))
		return is_ours(strchr(name, '_') + 1);
	return is_shard(name) || is_of_interface(name, "xdp") || is_of_interface(name, "chain") ||
	       is_of_interface(name, "device");
}

bool pins_are_abandoned(const char *dir)
{
	DIR *entries = opendir(dir);
	bool ours = false, attached = false;
	struct dirent *entry;

	if (!entries)
		return false;
	while ((entry = readdir(entries))) {
		ours |= !strcmp(entry->d_name, object_programs[0]);
		attached |= is_of_interface(entry->d_name, "xdp") || is_of_interface(entry->d_name, "chain");
	}
	closedir(entries);
	return ours && !attached;
}

void pins_unlink(const char *dir)
{
	DIR *entries = opendir(dir);
	struct dirent *entry;

	if (!entries)
		return;
	/* First what says that the rest is complete: killed half-way, the next command makes all anew. */
	unlinkat(dirfd(entries), object_map_names[MAP_settings], 0);
	/* Last of all, what says whose the others are. */
	while ((entry = readdir(entries)))
		if (is_ours(entry->d_name) && strcmp(entry->d_name, object_programs[0]) != 0)
			unlinkat(dirfd(entries), entry->d_name, 0);
	unlinkat(dirfd(entries), object_programs[0], 0);
	closedir(entries);
}

int pins_give(const char *dir, struct error *error)
{
	DIR *entries = opendir(dir);
	int result = entries ? keys_give(dir) : -errno;
	struct dirent *entry;
	char path[512];

	while (entries && !result && (entry = readdir(entries))) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (is_ours(entry->d_name))
			result = keys_give(path);
	}
	if (entries)
		closedir(entries);
	return result ? fail(error, result, "cannot give away the pins in %s: %s", dir, explain_errno(result)) : 0;
}
