/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our program beside others on one interface, in the dispatcher of libxdp, which calls one program after the other until
 * one does not pass the packet. There our program is an extension (freplace) of the dispatcher, which is loaded for each
 * interface, with the pinned maps; the pinned programs are there besides, as for any other attachment.
 *
 * libxdp has no replacing of one program of a chain. So the new one is put in beside the older one, which runs first and
 * decides as before, and then that one is taken out: each of these swaps the whole dispatcher at once. Killed between them,
 * both are there, and the next upgrade, attach or detach tidies up: ours are those that have a map of this data plane.
 */
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>
#include <xdp/prog_dispatcher.h>

#include "canary/abi.h"
#include "canary.skel.h"
#include "dataplane/internal.h"

/* As many maps as a program of ours may have, and more. */
#define PROGRAM_MAPS 64

bool chain_is_here(const struct interface *interface)
{
	struct stat info;

	return !stat("/proc/thread-self/ns/net", &info) && info.st_ino == interface->netns;
}

int chain_name(const struct interface *interface, char name[64])
{
	return snprintf(name, 64, "chain_%u_%u", interface->netns, interface->ifindex);
}

/* The verifier's first words, which say why a program was refused. */
static char verdict[256];

static int keep_verdict(enum libbpf_print_level level, const char *format, va_list args)
{
	static const char begin[] = "BEGIN PROG LOAD LOG --\n";
	char text[1024], *words;

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(text, sizeof(text), format, args);
	words = strstr(text, begin);
	if (words)
		snprintf(verdict, sizeof(verdict), "%.*s", (int)strcspn(words + strlen(begin), "\n"),
			 words + strlen(begin));
	return 0;
}

/* NULL: there is none, or it cannot be read. To be closed by xdp_multiprog__close(). */
static struct xdp_multiprog *open_chain(unsigned ifindex)
{
	struct xdp_multiprog *chain;

	libxdp_set_print(NULL);
	chain = xdp_multiprog__get_from_ifindex((int)ifindex);
	return libxdp_get_error(chain) ? NULL : chain;
}

static __u32 map_id(int fd)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.id;
}

static bool is_ours(const struct dataplane *dataplane, const struct xdp_program *program)
{
	__u32 ids[PROGRAM_MAPS], size, ours = map_id(dataplane->fd[MAP_interfaces]);
	struct bpf_prog_info info = {.nr_map_ids = PROGRAM_MAPS, .map_ids = (__u64)(unsigned long)ids};

	size = sizeof(info);
	if (!ours || bpf_obj_get_info_by_fd(xdp_program__fd(program), &info, &size))
		return false;
	for (__u32 i = 0; i < info.nr_map_ids && i < PROGRAM_MAPS; i++)
		if (ids[i] == ours)
			return true;
	return false;
}

/* The first program of ours in the chain, other than the one of that id. */
static struct xdp_program *find_ours(const struct dataplane *dataplane, const struct xdp_multiprog *chain, __u32 except)
{
	struct xdp_program *program = NULL;

	while ((program = xdp_multiprog__next_prog(program, chain)))
		if (xdp_program__id(program) != except && is_ours(dataplane, program))
			return program;
	return NULL;
}

void chain_look(const struct dataplane *dataplane, struct interface *interface)
{
	struct xdp_program *program = NULL;
	struct xdp_multiprog *chain;
	char name[IF_NAMESIZE];

	interface->position = interface->programs = 0;
	interface->gone = device_is_gone(dataplane, interface);
	if (interface->gone || !chain_is_here(interface))
		return;
	interface->gone = !if_indextoname(interface->ifindex, name);
	chain = interface->gone ? NULL : open_chain(interface->ifindex);
	while (chain && (program = xdp_multiprog__next_prog(program, chain))) {
		interface->programs++;
		if (!interface->position && is_ours(dataplane, program))
			interface->position = interface->programs;
	}
	xdp_multiprog__close(chain);
}

/* Loads nothing yet: the dispatcher that it is to extend is made when it is attached. */
static int open_program(struct dataplane *dataplane, unsigned priority, struct canary_bpf **ret_skeleton,
			struct xdp_program **ret, struct error *error)
{
	struct canary_bpf *skeleton;
	struct xdp_program *program;
	struct bpf_program *each;
	int result = object_open(dataplane, &skeleton, error);

	if (result)
		return result;
	bpf_object__for_each_program(each, skeleton->obj)
		bpf_program__set_autoload(each, each == skeleton->progs.canary_xdp);
	DECLARE_LIBXDP_OPTS(xdp_program_opts, options, .obj = skeleton->obj, .prog_name = PROGRAM_XDP);
	program = xdp_program__create(&options);
	result = (int)libxdp_get_error(program);
	if (result) {
		canary_bpf__destroy(skeleton);
		return fail(error, result, "libxdp does not take the data plane's program: %s", explain_errno(result));
	}
	xdp_program__set_run_prio(program, priority);
	*ret_skeleton = skeleton;
	*ret = program;
	return 0;
}

static int refuse_elsewhere(const struct interface *interface, struct error *error)
{
	return fail(error, -EXDEV, "%s is in a chain in another network namespace (net:[%u]): go there for it",
		    interface->name, interface->netns);
}

static int refuse_no_chains(const struct interface *interface, struct error *error)
{
	char there[OCCUPANT_TEXT_LEN];

	if (occupant_describe(interface->ifindex, there))
		return fail(error, -EOPNOTSUPP,
			    "this kernel does not let programs extend others (BPF_PROG_TYPE_EXT), so %s cannot have "
			    "several, "
			    "and it has %s: take that off, and attach without --chain",
			    interface->name, there);
	return fail(error, -EOPNOTSUPP,
		    "this kernel does not let programs extend others (BPF_PROG_TYPE_EXT), so %s cannot have several: "
		    "attach without --chain",
		    interface->name);
}

static int refuse_program(const struct interface *interface, int code, struct error *error)
{
	if (code == -E2BIG)
		return fail(error, code, "the chain of %s is full", interface->name);
	if (code == -EBUSY || code == -EEXIST)
		return occupant_refuse(interface, code, error);
	/* As Debian's 6.12 does; libxdp provides for it since xdp-tools' pull request 509, of May 2025. */
	if (strstr(verdict, "changes packet data"))
		return fail(
			error, code,
			"this kernel wants a newer dispatcher than this libxdp has, for programs that change packets "
			"as canaryctl's does: install a libxdp from after May 2025 (\"%s\")",
			verdict);
	if (verdict[0])
		return fail(error, code, "the kernel refuses the program in the chain of %s: %s", interface->name,
			    verdict);
	return fail(error, code, "cannot attach to the chain of %s: %s", interface->name, explain_errno(code));
}

/* Into a chain that there is, in its mode; else in the mode that is wanted, or can be had. */
static int attach_program(struct xdp_program *program, struct interface *interface, const struct xdp_multiprog *chain,
			  enum attach_mode mode)
{
	enum xdp_attach_mode wanted = mode == ATTACH_GENERIC ? XDP_MODE_SKB : XDP_MODE_NATIVE;
	int result;

	if (chain && mode == ATTACH_AUTO)
		wanted = xdp_multiprog__attach_mode(chain);
	verdict[0] = 0;
	result = xdp_program__attach(program, (int)interface->ifindex, wanted, 0);
	if (result && !chain && mode == ATTACH_AUTO && !verdict[0]) {
		wanted = XDP_MODE_SKB;
		result = xdp_program__attach(program, (int)interface->ifindex, wanted, 0);
	}
	interface->generic = wanted == XDP_MODE_SKB;
	return result;
}

/* Takes those of ours out of the interface's chain that are not the one of that id, one after the other. */
static int remove_ours(const struct dataplane *dataplane, const struct interface *interface, __u32 except,
		       struct error *error)
{
	int result = 0;

	while (!result) {
		struct xdp_multiprog *chain = open_chain(interface->ifindex);
		struct xdp_program *program = chain ? find_ours(dataplane, chain, except) : NULL;

		if (!program) {
			xdp_multiprog__close(chain);
			break;
		}
		result = xdp_program__detach(program, (int)interface->ifindex, xdp_multiprog__attach_mode(chain), 0);
		xdp_multiprog__close(chain);
	}
	return result ? fail(error, result, "cannot take the program out of the chain of %s: %s", interface->name,
			     explain_errno(result))
		      : 0;
}

/* Where libxdp finds that there cannot be a dispatcher, it attaches a program alone: that is not what was asked for. */
static int check_chained(struct dataplane *dataplane, struct xdp_program *program, struct interface *interface,
			 struct error *error)
{
	chain_look(dataplane, interface);
	if (interface->position)
		return 0;
	xdp_program__detach(program, (int)interface->ifindex, interface->generic ? XDP_MODE_SKB : XDP_MODE_NATIVE, 0);
	return refuse_no_chains(interface, error);
}

/* What cannot work is refused before anything is tried, and what is in the way is named. */
static int check_chain(const struct interface *interface, const struct xdp_multiprog *chain, enum attach_mode mode,
		       struct error *error)
{
	bool generic = chain && xdp_multiprog__attach_mode(chain) == XDP_MODE_SKB;

	if (!chain_is_here(interface))
		return refuse_elsewhere(interface, error);
	if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_EXT, NULL) != 1)
		return refuse_no_chains(interface, error);
	if (chain && xdp_multiprog__is_legacy(chain))
		return occupant_refuse(interface, -EBUSY, error);
	if (chain && mode != ATTACH_AUTO && generic != (mode == ATTACH_GENERIC))
		return fail(error, -EBUSY, "the chain of %s is in %s mode: attach with --mode auto", interface->name,
			    generic ? "generic" : "native");
	return 0;
}

static int put_program(struct dataplane *dataplane, struct interface *interface, const struct xdp_multiprog *chain,
		       enum attach_mode mode, struct error *error)
{
	const struct xdp_program *older = chain ? find_ours(dataplane, chain, 0) : NULL;
	unsigned priority = interface->priority;
	struct canary_bpf *skeleton = NULL;
	struct xdp_program *program = NULL;
	char name[64];
	int result;

	if (priority == CHAIN_KEEP_PRIORITY)
		priority = older ? xdp_program__run_prio(older) : DATAPLANE_DEFAULT_PRIORITY;
	result = open_program(dataplane, priority, &skeleton, &program, error);
	if (result)
		return result;
	result = attach_program(program, interface, chain, mode);
	if (result)
		result = refuse_program(interface, result, error);
	else
		result = check_chained(dataplane, program, interface, error);
	chain_name(interface, name);
	if (!result)
		result = device_remember(dataplane, interface, error);
	if (!result)
		result = object_replace_pin(dataplane, xdp_program__fd(program), name, error);
	if (!result)
		result = remove_ours(dataplane, interface, xdp_program__id(program), error);
	xdp_program__close(program);
	canary_bpf__destroy(skeleton);
	return result;
}

int chain_put(struct dataplane *dataplane, struct interface *interface, enum attach_mode mode, struct error *error)
{
	libbpf_print_fn_t print = libbpf_set_print(keep_verdict);
	struct xdp_multiprog *chain = open_chain(interface->ifindex);
	int result = check_chain(interface, chain, mode, error);

	if (!result)
		result = put_program(dataplane, interface, chain, mode, error);
	xdp_multiprog__close(chain);
	libbpf_set_print(print);
	if (!result)
		chain_look(dataplane, interface);
	return result;
}

/* Was a program with that id in the dispatcher whose pins are there? */
static bool held_there(const char *dir, __u32 id)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	bool found = false;
	char path[512];

	for (int i = 0; !found && i < MAX_DISPATCHER_ACTIONS; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/prog%d-prog", dir, i);
		fd = bpf_obj_get(path);
		found = fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) && info.id == id;
		if (fd >= 0)
			close(fd);
	}
	return found;
}

static void unlink_dispatcher(const char *dir)
{
	static const char *const kinds[] = {"link", "prog"};
	char path[512];

	for (int i = 0; i < MAX_DISPATCHER_ACTIONS; i++)
		for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
			snprintf(path, sizeof(path), "%s/prog%d-%s", dir, i, kinds[kind]);
			unlink(path);
		}
	rmdir(dir);
}

/*
 * libxdp leaves the pins of a dispatcher whose interface was deleted, and with them our program and its maps would stay in
 * memory. Its own libxdp_clean_references() goes by the interface's number alone, which other network namespaces have as
 * well. Names and lock: libxdp's protocol of atomic loading ("Locking and pinning").
 */
static void release_dispatcher(const struct interface *interface, __u32 program)
{
	const char *bpffs = secure_getenv(XDP_BPFFS_ENVVAR);
	char dir[256], path[320];
	struct dirent *entry;
	unsigned ifindex;
	DIR *entries;

	snprintf(dir, sizeof(dir), "%s/xdp", bpffs ? bpffs : "/sys/fs/bpf");
	entries = opendir(dir);
	if (!entries)
		return;
	flock(dirfd(entries), LOCK_EX);
	while ((entry = readdir(entries))) {
		if (sscanf(entry->d_name, "dispatch-%u-", &ifindex) != 1 || ifindex != interface->ifindex)
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name) < (int)sizeof(path) &&
		    held_there(path, program))
			unlink_dispatcher(path);
	}
	closedir(entries);
}

static __u32 pinned_id(const char *path)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	int fd = bpf_obj_get(path);

	if (fd < 0)
		return 0;
	bpf_obj_get_info_by_fd(fd, &info, &size);
	close(fd);
	return info.id;
}

int chain_remove(const struct dataplane *dataplane, const struct interface *interface, struct error *error)
{
	libbpf_print_fn_t print;
	char name[64], path[320];
	int result = 0;

	if (!interface->gone && !chain_is_here(interface))
		return refuse_elsewhere(interface, error);
	chain_name(interface, name);
	if (object_pin_path(dataplane, name, path))
		return fail(error, -ENAMETOOLONG, "the path %s is too long", dataplane->dir);
	print = libbpf_set_print(keep_verdict);
	if (interface->gone)
		release_dispatcher(interface, pinned_id(path));
	else
		result = remove_ours(dataplane, interface, 0, error);
	libbpf_set_print(print);
	if (!result && unlink(path))
		result = fail(error, -errno, "cannot remove %s/%s: %s", dataplane->dir, name, explain_errno(errno));
	if (!result)
		device_forget(dataplane, interface);
	return result;
}
