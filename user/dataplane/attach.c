/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attachments are pinned links, so they outlive the command; those in a chain (chain.c) are libxdp's to keep, and the pin
 * says that they are there. A pin is named after the network namespace and the interface's number, as names may change
 * and hold what a pin's may not.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dataplane/internal.h"

int attach_link_path(const char *dir, const struct interface *interface, char path[320])
{
	int len = snprintf(path, 320, "%s/xdp_%u_%u", dir, interface->netns, interface->ifindex);

	return len < 0 || len >= 320 ? -ENAMETOOLONG : 0;
}

static int link_path(const struct dataplane *dataplane, const struct interface *interface, char path[320])
{
	return attach_link_path(dataplane->dir, interface, path);
}

static struct canary_interface *place_of(const struct dataplane *dataplane, unsigned ifindex)
{
	return &dataplane->interfaces[ifindex % CANARY_MAX_INTERFACES];
}

int attach_open_link(const struct dataplane *dataplane, const struct interface *interface)
{
	char path[320];
	int fd;

	if (link_path(dataplane, interface, path))
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

int attach_link_alive(const char *path)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);
	int fd = bpf_obj_get(path);
	int result;

	if (fd < 0)
		return -errno;
	result = bpf_obj_get_info_by_fd(fd, &info, &size) ? -errno : info.xdp.ifindex != 0;
	close(fd);
	return result;
}

void attach_described(const struct canary_interface *entry, struct interface *ret)
{
	memcpy(ret->name, entry->name, sizeof(ret->name));
	memcpy(ret->mac, entry->mac, sizeof(ret->mac));
	ret->generic = entry->flags & CANARY_INTERFACE_GENERIC;
	ret->partial_checksums = entry->flags & CANARY_INTERFACE_PARTIAL_CHECKSUMS;
}

/* Is `pin` one of an attachment? */
static bool read_attachment(const struct dataplane *dataplane, const char *pin, struct interface *ret)
{
	struct interface interface = {};
	const struct canary_interface *place;
	char path[320];

	interface.chain = sscanf(pin, "chain_%u_%u", &interface.netns, &interface.ifindex) == 2;
	if (interface.chain)
		chain_look(dataplane, &interface);
	else if (sscanf(pin, "xdp_%u_%u", &interface.netns, &interface.ifindex) == 2 &&
		 !link_path(dataplane, &interface, path))
		interface.gone = attach_link_alive(path) != 1;
	else
		return false;
	place = place_of(dataplane, interface.ifindex);
	if (place->ifindex == interface.ifindex && place->netns == interface.netns)
		attach_described(place, &interface);
	*ret = interface;
	return true;
}

int dataplane_interfaces(struct dataplane *dataplane, struct interface **ret, size_t *ret_count, struct error *error)
{
	struct interface *list = NULL, *grown;
	DIR *entries = opendir(dataplane->dir);
	struct dirent *entry;
	size_t count = 0;

	if (!entries)
		return fail(error, -errno, "cannot list %s: %s", dataplane->dir, explain_errno(errno));
	while ((entry = readdir(entries))) {
		struct interface interface;

		if (!read_attachment(dataplane, entry->d_name, &interface))
			continue;
		grown = reallocarray(list, count + 1, sizeof(*list));
		if (!grown) {
			free(list);
			closedir(entries);
			return fail(error, -ENOMEM, "out of memory");
		}
		list = grown;
		list[count++] = interface;
	}
	closedir(entries);
	*ret = list;
	*ret_count = count;
	return 0;
}

/* The tracepoints' links, once for all interfaces. */
static int attach_tracepoints(const struct dataplane *dataplane, struct error *error)
{
	for (int i = 0; object_trace_programs[i]; i++) {
		char name[64], path[320];
		int program, link, result;

		snprintf(name, sizeof(name), "link_%s", object_trace_programs[i]);
		if (object_pin_path(dataplane, name, path))
			return fail(error, -ENAMETOOLONG, "the path %s is too long", dataplane->dir);
		if (!access(path, F_OK))
			continue;
		program = object_open_program(dataplane, object_trace_programs[i], error);
		if (program < 0)
			return program;
		link = bpf_raw_tracepoint_open(NULL, program);
		result = link < 0 ? -errno : 0;
		if (!result)
			result = object_pin(link, path);
		if (link >= 0)
			close(link);
		close(program);
		if (result)
			return fail(error, result, "cannot attach to the kernel's tracepoint for %s: %s",
				    object_trace_programs[i], explain_errno(result));
	}
	return 0;
}

static void detach_tracepoints(const struct dataplane *dataplane)
{
	for (int i = 0; object_trace_programs[i]; i++) {
		char name[64], path[320];

		snprintf(name, sizeof(name), "link_%s", object_trace_programs[i]);
		if (!object_pin_path(dataplane, name, path))
			unlink(path);
	}
}

static int refuse_attach(const struct interface *interface, int code, struct error *error)
{
	if (code == -EBUSY || code == -EEXIST)
		return occupant_refuse(interface, code, error);
	return fail(error, code, "cannot attach to %s: %s", interface->name, explain_errno(code));
}

static int create_link(int program, const struct interface *interface, bool generic)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	int link = bpf_link_create(program, interface->ifindex, BPF_XDP, &options);

	return link < 0 ? -errno : link;
}

/* Tries the mode, and with `auto` the other one where the driver has no XDP of its own. */
int attach_make_link(int program, struct interface *interface, enum attach_mode mode, struct error *error)
{
	int native, link;

	interface->generic = mode == ATTACH_GENERIC;
	link = create_link(program, interface, interface->generic);
	if (link >= 0)
		return link;
	if (mode == ATTACH_GENERIC || link == -EBUSY || link == -EEXIST || link == -EPERM)
		return refuse_attach(interface, link, error);
	if (mode == ATTACH_NATIVE)
		return fail(error, link, "%s cannot run XDP in its driver (%s): use --mode auto or generic (slower)",
			    interface->name, explain_errno(link));
	native = link;
	interface->generic = true;
	link = create_link(program, interface, true);
	if (link < 0)
		return fail(error, link, "cannot attach to %s: in its driver: %s; in generic mode: %s", interface->name,
			    explain_errno(native), explain_errno(link));
	return link;
}

void attach_describe(const struct interface *interface, struct canary_interface *ret)
{
	struct canary_interface entry = {.ifindex = interface->ifindex, .netns = interface->netns};

	memcpy(entry.mac, interface->mac, sizeof(entry.mac));
	memcpy(entry.name, interface->name, sizeof(entry.name));
	entry.flags = (interface->partial_checksums ? CANARY_INTERFACE_PARTIAL_CHECKSUMS : 0) |
		      (interface->generic ? CANARY_INTERFACE_GENERIC : 0);
	*ret = entry;
}

static int chain_path(const struct dataplane *dataplane, const struct interface *interface, char path[320])
{
	char name[64];

	chain_name(interface, name);
	return object_pin_path(dataplane, name, path);
}

/* By a link or in a chain, which ->chain then tells. What is in a chain elsewhere is believed to be there still. */
static bool is_attached(const struct dataplane *dataplane, struct interface *interface)
{
	char path[320];

	if (!link_path(dataplane, interface, path) && attach_link_alive(path) == 1) {
		interface->chain = false;
		return true;
	}
	if (chain_path(dataplane, interface, path) || access(path, F_OK))
		return false;
	chain_look(dataplane, interface);
	if (interface->gone || (!interface->position && chain_is_here(interface)))
		return false;
	interface->chain = true;
	return true;
}

/* Is the interface's place another's that is still attached? */
static int check_place(struct dataplane *dataplane, const struct interface *interface, struct error *error)
{
	const struct canary_interface *place = place_of(dataplane, interface->ifindex);
	struct interface owner = {.ifindex = place->ifindex, .netns = place->netns};

	if (!place->ifindex || (place->ifindex == interface->ifindex && place->netns == interface->netns) ||
	    !is_attached(dataplane, &owner))
		return 0;
	return fail(error, -EADDRINUSE,
		    "%s (number %u) shares its place with %s (number %u), which is attached: use another --bpffs "
		    "directory for it",
		    interface->name, interface->ifindex, place->name, place->ifindex);
}

static void put_event(struct dataplane *dataplane, enum canary_event_type type, const struct interface *interface)
{
	struct canary_event event = {.type = type, .value = {interface->ifindex}};

	memcpy(event.name, interface->name, sizeof(interface->name));
	dataplane_put_event(dataplane, &event);
}

static int attach_link(struct dataplane *dataplane, struct interface *interface, enum attach_mode mode,
		       struct error *error)
{
	char path[320];
	int program, link, result = 0;

	if (link_path(dataplane, interface, path))
		return fail(error, -ENAMETOOLONG, "the path %s is too long", dataplane->dir);
	program = object_open_program(dataplane, PROGRAM_XDP, error);
	if (program < 0)
		return program;
	link = attach_make_link(program, interface, mode, error);
	close(program);
	if (link < 0)
		return link;
	/* A link that is not pinned ends with us. */
	result = object_pin(link, path);
	if (result)
		fail(error, result, "cannot pin the attachment of %s: %s", interface->name, explain_errno(result));
	close(link);
	return result;
}

/* Removes the pins of an attachment that is no more. */
static void unlink_pins(const struct dataplane *dataplane, const struct interface *interface)
{
	char path[320];

	if (!link_path(dataplane, interface, path))
		unlink(path);
	if (!chain_path(dataplane, interface, path))
		unlink(path);
}

static int attach_anew(struct dataplane *dataplane, struct interface *interface, enum attach_mode mode,
		       struct error *error)
{
	int result = attach_tracepoints(dataplane, error);

	unlink_pins(dataplane, interface);
	if (!result && counters_zero(dataplane, MAP_interface_counters, interface->ifindex % CANARY_MAX_INTERFACES,
				     sizeof(struct canary_interface_counters)))
		result = fail(error, -ENOMEM, "cannot clear the counters of %s", interface->name);
	if (!result)
		result = interface->chain ? chain_put(dataplane, interface, mode, error)
					  : attach_link(dataplane, interface, mode, error);
	if (result)
		return result;
	/* Until its place is written, the program passes everything. */
	attach_describe(interface, place_of(dataplane, interface->ifindex));
	put_event(dataplane, CANARY_EVENT_ATTACHED, interface);
	return 0;
}

int dataplane_attach(struct dataplane *dataplane, struct interface *interface, enum attach_mode mode, bool *ret_already,
		     struct error *error)
{
	struct canary_interface *place = place_of(dataplane, interface->ifindex);
	bool chain = interface->chain;
	int result = check_place(dataplane, interface, error);

	if (result)
		return result;
	if (!is_attached(dataplane, interface)) {
		*ret_already = false;
		return attach_anew(dataplane, interface, mode, error);
	}
	if (chain && !interface->chain)
		return fail(error, -EEXIST, "%s is attached already, but not in a chain: detach it first",
			    interface->name);
	interface->generic = place->flags & CANARY_INTERFACE_GENERIC;
	attach_describe(interface, place);
	*ret_already = true;
	return attach_tracepoints(dataplane, error);
}

static int detach_link(const struct dataplane *dataplane, const struct interface *interface, struct error *error)
{
	char path[320];
	int link = attach_open_link(dataplane, interface);

	if (link < 0)
		return fail(error, link, "%s is not attached", interface->name);
	/* Detached now, not when the kernel comes to free the link. Without effect where the interface is gone. */
	bpf_link_detach(link);
	close(link);
	if (link_path(dataplane, interface, path) || unlink(path))
		return fail(error, -errno, "cannot remove %s: %s", path, explain_errno(errno));
	return 0;
}

int dataplane_detach(struct dataplane *dataplane, const struct interface *interface, struct error *error)
{
	struct canary_interface *place = place_of(dataplane, interface->ifindex);
	struct interface *left;
	size_t count;
	int result =
		interface->chain ? chain_remove(dataplane, interface, error) : detach_link(dataplane, interface, error);

	if (result)
		return result;
	if (place->ifindex == interface->ifindex && place->netns == interface->netns)
		*place = (struct canary_interface){};
	put_event(dataplane, CANARY_EVENT_DETACHED, interface);
	result = dataplane_interfaces(dataplane, &left, &count, error);
	if (result)
		return result;
	free(left);
	if (!count)
		detach_tracepoints(dataplane);
	return 0;
}
