/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libxdp's dispatcher as newer ones have it (pull request 509 of xdp-tools), written after its protocol: each place for a
 * program says that packets may change there, which kernels with that check want. For tests of chains on such a kernel
 * with an older libxdp, as xdp-dispatcher.o in $LIBXDP_OBJECT_PATH.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#define _LINUX_TYPES_H /* vmlinux.h has them */
#include <xdp/prog_dispatcher.h>

static volatile const struct xdp_dispatcher_config conf = {};

#define PLACES(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9)

#define PLACE(n)                                                                                                       \
	__attribute__((noinline)) int prog##n(struct xdp_md *ctx)                                                      \
	{                                                                                                              \
		volatile int verdict = XDP_DISPATCHER_RETVAL;                                                          \
                                                                                                                       \
		if (!ctx)                                                                                              \
			return XDP_ABORTED;                                                                            \
		bpf_xdp_adjust_tail(ctx, 0);                                                                           \
		return verdict;                                                                                        \
	}
PLACES(PLACE)

__attribute__((noinline)) int compat_test(struct xdp_md *ctx)
{
	volatile int verdict = XDP_DISPATCHER_RETVAL;

	return ctx ? verdict : XDP_ABORTED;
}

#define CALL(n)                                                                                                        \
	if (conf.num_progs_enabled <= (n))                                                                             \
		return XDP_PASS;                                                                                       \
	verdict = prog##n(ctx);                                                                                        \
	if (!(1U << verdict & conf.chain_call_actions[n]))                                                             \
		return verdict;

SEC("xdp")
int xdp_dispatcher(struct xdp_md *ctx)
{
	int verdict;

	PLACES(CALL)
	/* Never reached, and kept for libxdp's own check of the kernel. */
	if (conf.num_progs_enabled > MAX_DISPATCHER_ACTIONS)
		compat_test(ctx);
	return XDP_PASS;
}

SEC("xdp")
int xdp_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
__uint(dispatcher_version, XDP_DISPATCHER_VERSION) SEC(XDP_METADATA_SECTION);
