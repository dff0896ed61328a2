/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another's tool that puts a program onto an interface by libxdp, as xdp-loader does; but with the dispatcher that
 * $LIBXDP_OBJECT_PATH has, where xdp-loader has its own built in.
 *
 *   xdp_chain load IFACE OBJECT PROGRAM PRIORITY [generic]   exit code 3: alone, as this kernel has no chains
 *   xdp_chain unload IFACE PROGRAM
 *   xdp_chain count IFACE PROGRAM                  what the first element of its first map says
 *   xdp_chain list IFACE                           the names, in the order in which they run
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <xdp/libxdp.h>

static int complain(const char *what, long code)
{
	fprintf(stderr, "xdp_chain: %s: %s\n", what, strerror(code < 0 ? (int)-code : (int)code));
	return 1;
}

/* NULL: there is no chain. To be closed. */
static struct xdp_multiprog *open_chain(int ifindex)
{
	struct xdp_multiprog *chain = xdp_multiprog__get_from_ifindex(ifindex);

	if (libxdp_get_error(chain))
		return NULL;
	if (!xdp_multiprog__is_legacy(chain))
		return chain;
	xdp_multiprog__close(chain);
	return NULL;
}

static struct xdp_program *find(const struct xdp_multiprog *chain, const char *name)
{
	struct xdp_program *program = NULL;

	while (chain && (program = xdp_multiprog__next_prog(program, chain)))
		if (!strcmp(xdp_program__name(program), name))
			return program;
	return NULL;
}

static int load(int ifindex, const char *object, const char *name, const char *priority, enum xdp_attach_mode mode)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, options, .open_filename = object, .prog_name = name);
	struct xdp_program *program = xdp_program__create(&options);
	int code = (int)libxdp_get_error(program);
	struct xdp_multiprog *chain;

	if (code)
		return complain(object, code);
	xdp_program__set_run_prio(program, (unsigned)strtoul(priority, NULL, 10));
	code = xdp_program__attach(program, ifindex, mode, 0);
	xdp_program__close(program);
	if (code)
		return complain("cannot attach", code);
	chain = open_chain(ifindex);
	xdp_multiprog__close(chain);
	return chain ? 0 : 3;
}

static int unload(struct xdp_multiprog *chain, int ifindex, const char *name)
{
	struct xdp_program *program = find(chain, name);
	int code;

	if (!program)
		return complain(name, ENOENT);
	code = xdp_program__detach(program, ifindex, xdp_multiprog__attach_mode(chain), 0);
	return code ? complain("cannot detach", code) : 0;
}

static int count(const struct xdp_multiprog *chain, const char *name)
{
	struct xdp_program *program = find(chain, name);
	__u32 map = 0, zero = 0, size;
	struct bpf_prog_info info = {.nr_map_ids = 1, .map_ids = (__u64)(unsigned long)&map};
	__u64 packets;
	int fd;

	size = sizeof(info);
	if (!program || bpf_obj_get_info_by_fd(xdp_program__fd(program), &info, &size))
		return complain(name, ENOENT);
	fd = bpf_map_get_fd_by_id(map);
	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &packets))
		return complain("cannot read its map", errno);
	close(fd);
	printf("%llu\n", packets);
	return 0;
}

static int list(const struct xdp_multiprog *chain)
{
	struct xdp_program *program = NULL;
	const char *space = "";

	while (chain && (program = xdp_multiprog__next_prog(program, chain))) {
		printf("%s%s", space, xdp_program__name(program));
		space = " ";
	}
	printf("\n");
	return 0;
}

int main(int argc, char **argv)
{
	int ifindex = argc > 2 ? (int)if_nametoindex(argv[2]) : 0, code = 2;
	struct xdp_multiprog *chain;

	libxdp_set_print(NULL);
	libbpf_set_print(NULL);
	if (argc == 6 && ifindex && !strcmp(argv[1], "load"))
		return load(ifindex, argv[3], argv[4], argv[5], XDP_MODE_NATIVE);
	if (argc == 7 && ifindex && !strcmp(argv[1], "load") && !strcmp(argv[6], "generic"))
		return load(ifindex, argv[3], argv[4], argv[5], XDP_MODE_SKB);
	chain = open_chain(ifindex);
	if (argc == 4 && !strcmp(argv[1], "unload"))
		code = unload(chain, ifindex, argv[3]);
	else if (argc == 4 && !strcmp(argv[1], "count"))
		code = count(chain, argv[3]);
	else if (argc == 3 && !strcmp(argv[1], "list"))
		code = list(chain);
	else
		fprintf(stderr, "xdp_chain: see the head of its source\n");
	xdp_multiprog__close(chain);
	return code;
}
