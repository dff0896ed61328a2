/* SPDX-License-Identifier: Apache-2.0 */
/* The XDP program that an interface has already: what it is, how it is attached, and so what can be done. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "core/text.h"
#include "dataplane/internal.h"

struct occupant {
	__u32 id; /* of its program; 0: it has gone meanwhile */
	char name[BPF_OBJ_NAME_LEN];
	__u32 link; /* id of the link that holds it; 0: attached by netlink, by nobody in particular */
	char chained[256]; /* the programs of libxdp's dispatcher: "xdp_filter (id 7), …"; empty: it is none */
};

/* The link that holds the program on the interface: its id, or 0. */
static __u32 find_link(unsigned ifindex, __u32 program)
{
	__u32 id = 0;

	while (!bpf_link_get_next_id(id, &id)) {
		struct bpf_link_info info = {};
		__u32 size = sizeof(info);
		int fd = bpf_link_get_fd_by_id(id);
		bool found = fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) && info.type == BPF_LINK_TYPE_XDP &&
			     info.prog_id == program && info.xdp.ifindex == ifindex;

		if (fd >= 0)
			close(fd);
		if (found)
			return id;
	}
	return 0;
}

static void list_chained(unsigned ifindex, char *text, size_t size)
{
	struct xdp_program *program = NULL;
	struct xdp_multiprog *chain;
	size_t used = 0;

	libxdp_set_print(NULL);
	chain = xdp_multiprog__get_from_ifindex((int)ifindex);
	if (libxdp_get_error(chain))
		return;
	while (used < size && (program = xdp_multiprog__next_prog(program, chain)))
		used += snprintf(text + used, size - used, "%s%s (id %u)", used ? ", " : "", xdp_program__name(program),
				 xdp_program__id(program));
	xdp_multiprog__close(chain);
}

static struct occupant find_occupant(unsigned ifindex)
{
	struct occupant occupant = {.name = "of unknown name"};
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	int fd;

	bpf_xdp_query_id((int)ifindex, 0, &occupant.id);
	fd = occupant.id ? bpf_prog_get_fd_by_id(occupant.id) : -1;
	if (fd < 0)
		return occupant;
	if (!bpf_obj_get_info_by_fd(fd, &info, &size) && info.name[0])
		memcpy(occupant.name, info.name, sizeof(occupant.name));
	close(fd);
	occupant.link = find_link(ifindex, occupant.id);
	list_chained(ifindex, occupant.chained, sizeof(occupant.chained));
	return occupant;
}

static void describe(const struct occupant *occupant, char buf[OCCUPANT_TEXT_LEN])
{
	if (occupant->chained[0])
		snprintf(buf, OCCUPANT_TEXT_LEN, "XDP programs in a dispatcher of libxdp: %s", occupant->chained);
	else if (occupant->link)
		snprintf(buf, OCCUPANT_TEXT_LEN, "%s (id %u), held by link %u", occupant->name, occupant->id,
			 occupant->link);
	else
		snprintf(buf, OCCUPANT_TEXT_LEN, "%s (id %u), attached by netlink", occupant->name, occupant->id);
}

bool occupant_describe(unsigned ifindex, char buf[OCCUPANT_TEXT_LEN])
{
	struct occupant occupant = find_occupant(ifindex);

	describe(&occupant, buf);
	return occupant.id;
}

int occupant_refuse(const struct interface *interface, int code, struct error *error)
{
	struct occupant occupant = find_occupant(interface->ifindex);
	/* A name may hold what a shell would run: no command to copy with that. */
	const char *name = interface->name, *copyable = name_is_valid(name) ? name : "IFACE";
	char there[OCCUPANT_TEXT_LEN];

	describe(&occupant, there);
	if (occupant.chained[0])
		return fail(
			error, code,
			"%s has %s: attach with --chain, which puts canaryctl's beside them, or take them off first "
			"('xdp-loader unload %s --all')",
			name, there, copyable);
	if (occupant.link && !strcmp(occupant.name, PROGRAM_XDP))
		return fail(error, code,
			    "%s has another canaryctl's program, %s: detach it there, with its --bpffs directory", name,
			    there);
	if (occupant.link)
		return fail(
			error, code,
			"%s has another XDP program, %s: detach it first, with the tool that attached it or 'bpftool "
			"link detach id %u'",
			name, there, occupant.link);
	return fail(error, code,
		    "%s has another XDP program, %s and not in a dispatcher of libxdp: detach it first ('ip link set "
		    "dev %s "
		    "xdp off'); loaded by xdp-loader, it can stay beside --chain",
		    name, there, copyable);
}
