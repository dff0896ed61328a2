/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/decap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dataplane/decap_internal.h"
#include "dataplane/internal.h"
#include "decap.skel.h"

static int load(const struct decap_maps *before, struct decap_bpf **ret, struct error *error)
{
	libbpf_print_fn_t print = libbpf_set_print(object_keep_warning);
	struct decap_bpf *skeleton = decap_bpf__open();
	int result = skeleton ? 0 : -errno;

	if (!result && before->counters >= 0)
		result = bpf_map__reuse_fd(skeleton->maps.counters, before->counters);
	if (!result)
		result = decap_bpf__load(skeleton);
	libbpf_set_print(print);
	if (result) {
		decap_bpf__destroy(skeleton);
		return object_refuse_load(result, error);
	}
	*ret = skeleton;
	return 0;
}

static int write_ends(const struct decap_bpf *skeleton, const struct decap_ends *ends, struct error *error)
{
	int locals = bpf_map__fd(skeleton->maps.locals), peers = bpf_map__fd(skeleton->maps.peers);
	const __u8 one = 1;

	for (size_t i = 0; i < ends->address_count; i++)
		if (bpf_map_update_elem(locals, &ends->addresses[i], &one, BPF_ANY))
			return fail(error, -errno, "cannot note this host's %zu addresses: %s", ends->address_count,
				    errno == E2BIG ? "they are too many" : explain_errno(errno));
	for (size_t i = 0; i < ends->peer_count; i++)
		if (bpf_map_update_elem(peers, &ends->peers[i], &one, BPF_ANY))
			return fail(error, -errno, "cannot note the peers: %s", explain_errno(errno));
	return 0;
}

/* Until they are written, the program passes everything. */
static int write_settings(int map, const struct interface *interface, int gue_port, struct error *error)
{
	struct canary_decap_settings settings = {.gue_port = htons(gue_port)};
	const __u32 zero = 0;

	attach_describe(interface, &settings.interface);
	if (bpf_map_update_elem(map, &zero, &settings, BPF_ANY))
		return fail(error, -errno, "cannot write the settings: %s", explain_errno(errno));
	return 0;
}

/* Another program for a link that is there. */
static int replace(const struct decap_bpf *skeleton, const char *path, const struct interface *interface, int gue_port,
		   struct error *error)
{
	int result = write_settings(bpf_map__fd(skeleton->maps.settings), interface, gue_port, error);
	int link = bpf_obj_get(path);

	if (!result && (link < 0 || bpf_link_update(link, bpf_program__fd(skeleton->progs.canary_decap), NULL)))
		result = fail(error, -errno, "cannot replace the program of %s: %s", interface->name,
			      explain_errno(errno));
	if (link >= 0)
		close(link);
	return result;
}

static int attach_first(const struct decap_bpf *skeleton, const char *path, struct interface *interface,
			enum attach_mode mode, int gue_port, struct error *error)
{
	int link = attach_make_link(bpf_program__fd(skeleton->progs.canary_decap), interface, mode, error);
	int result;

	if (link < 0)
		return link;
	/* A link that is not pinned ends with us. */
	result = write_settings(bpf_map__fd(skeleton->maps.settings), interface, gue_port, error);
	if (!result && bpf_obj_pin(link, path))
		result = fail(error, -errno, "cannot pin the attachment of %s: %s", interface->name,
			      explain_errno(errno));
	close(link);
	return result;
}

static int attach_locked(const char *dir, struct interface *interface, enum attach_mode mode,
			 const struct decap_ends *ends, bool *ret_already, struct error *error)
{
	struct decap_maps before = DECAP_NO_MAPS;
	struct canary_decap_settings settings;
	struct decap_bpf *skeleton = NULL;
	char path[320];
	int alive, result;

	if (attach_link_path(dir, interface, path))
		return fail(error, -ENAMETOOLONG, "the path %s is too long", dir);
	alive = attach_link_alive(path);
	if (alive == 0)
		unlink(path);
	if (alive == 1 && !decap_open_maps(path, &before) && !decap_read_settings(&before, &settings))
		interface->generic = settings.interface.flags & CANARY_INTERFACE_GENERIC;
	result = load(&before, &skeleton, error);
	decap_close_maps(&before);
	if (!result)
		result = write_ends(skeleton, ends, error);
	if (!result)
		result = alive == 1 ? replace(skeleton, path, interface, ends->gue_port, error)
				    : attach_first(skeleton, path, interface, mode, ends->gue_port, error);
	decap_bpf__destroy(skeleton);
	if (!result)
		*ret_already = alive == 1;
	return result;
}

int decap_attach(const char *dir, struct interface *interface, enum attach_mode mode, const struct decap_ends *ends,
		 bool *ret_already, struct error *error)
{
	int result = directory_check(dir, error), lock;

	if (result)
		return result;
	lock = directory_lock(dir, true, error);
	if (lock < 0)
		return lock;
	result = attach_locked(dir, interface, mode, ends, ret_already, error);
	/* Where nothing is in it, it goes. */
	rmdir(dir);
	close(lock);
	return result;
}

static int detach_locked(const char *dir, const struct interface *interface, struct error *error)
{
	char path[320];
	int link;

	if (attach_link_path(dir, interface, path))
		return fail(error, -ENAMETOOLONG, "the path %s is too long", dir);
	link = bpf_obj_get(path);
	if (link < 0)
		return fail(error, -errno, "%s is not attached: see canaryctl decap status", interface->name);
	/* Now, not when the kernel comes to free the link. Without effect where the interface is gone. */
	bpf_link_detach(link);
	close(link);
	return unlink(path) ? fail(error, -errno, "cannot remove %s: %s", path, explain_errno(errno)) : 0;
}

int decap_detach(const char *dir, const struct interface *interface, struct error *error)
{
	int result = directory_check(dir, error), lock;

	if (result)
		return result;
	lock = directory_lock(dir, false, error);
	if (lock == -ENOENT)
		return fail(error, -ENOENT, "%s is not attached: nothing is", interface->name);
	if (lock < 0)
		return lock;
	result = detach_locked(dir, interface, error);
	rmdir(dir);
	close(lock);
	return result;
}
