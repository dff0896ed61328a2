/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is an interface still there, be it in another network namespace, or was it deleted, maybe with its namespace? No other
 * namespace can be asked. But the kernel takes an interface that goes out of each map of devices (dev_map_notification()
 * in its kernel/bpf/devmap.c): so one is pinned that has just this interface.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "dataplane/internal.h"

static void device_name(const struct interface *interface, char name[64])
{
	snprintf(name, 64, "device_%u_%u", interface->netns, interface->ifindex);
}

int device_remember(const struct dataplane *dataplane, const struct interface *interface, struct error *error)
{
	int map = bpf_map_create(BPF_MAP_TYPE_DEVMAP, "canary_device", sizeof(__u32), sizeof(__u32), 1, NULL);
	__u32 key = 0, ifindex = interface->ifindex;
	char name[64];
	int result;

	device_name(interface, name);
	if (map < 0 || bpf_map_update_elem(map, &key, &ifindex, BPF_ANY))
		result = fail(error, -errno, "cannot put %s into a map: %s", interface->name, explain_errno(errno));
	else
		result = object_replace_pin(dataplane, map, name, error);
	if (map >= 0)
		close(map);
	return result;
}

bool device_is_gone(const struct dataplane *dataplane, const struct interface *interface)
{
	__u32 key = 0, ifindex;
	char name[64], path[320];
	bool gone;
	int map;

	device_name(interface, name);
	map = object_pin_path(dataplane, name, path) ? -1 : bpf_obj_get(path);
	if (map < 0)
		return false;
	gone = bpf_map_lookup_elem(map, &key, &ifindex) && errno == ENOENT;
	close(map);
	return gone;
}

void device_forget(const struct dataplane *dataplane, const struct interface *interface)
{
	char name[64], path[320];

	device_name(interface, name);
	if (!object_pin_path(dataplane, name, path))
		unlink(path);
}
