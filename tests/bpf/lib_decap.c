/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_decap.h"

#include <stdlib.h>

#include <bpf/bpf.h>

#include "decap.skel.h"

static struct decap_bpf *program;
static struct canary_decap_counters *each; /* CPU's */

int decap_set_up(void **state)
{
	const struct canary_decap_peer peers[] = {{96 + 25, make_addr("192.0.2.128")},
						  {64, make_addr("2001:db8:3::")},
						  {128, make_addr(OURS4)},
						  {128, make_addr(OURS6)}};
	struct canary_decap_settings settings = {.gue_port = htons(PORT)};
	const __u32 zero = 0;
	const __u8 one = 1;

	(void)state;
	decap_bpf__destroy(program);
	program = decap_bpf__open_and_load();
	assert_non_null(program);
	if (!each)
		each = calloc(libbpf_num_possible_cpus(), sizeof(*each));
	assert_non_null(each);
	mac_parse("front", settings.interface.mac);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(program->maps.settings), &zero, &settings, BPF_ANY), 0);
	for (size_t i = 0; i < sizeof(peers) / sizeof(*peers); i++)
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(program->maps.peers), &peers[i], &one, BPF_ANY), 0);
	decap_add_local(OURS4);
	decap_add_local(OURS6);
	return 0;
}

void decap_add_local(const char *addr)
{
	const struct canary_addr local = make_addr(addr);
	const __u8 one = 1;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(program->maps.locals), &local, &one, BPF_ANY), 0);
}

struct canary_decap_counters decap_counted(void)
{
	struct canary_decap_counters sum = {};
	const __u32 zero = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(program->maps.counters), &zero, each), 0);
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++) {
		for (int i = 0; i < CANARY_DECAP_KINDS; i++)
			sum.count[i] += each[cpu].count[i];
		sum.bytes += each[cpu].bytes;
	}
	return sum;
}

void decap_run(const struct packet *in, struct outcome *ret)
{
	struct xdp_md ctx = {.data_end = in->len, .ingress_ifindex = env.interfaces[FRONT].ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in->data, .data_size_in = in->len,
		    .data_out = ret->packet.data, .data_size_out = sizeof(ret->packet.data), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);

	if (bpf_prog_test_run_opts(bpf_program__fd(program->progs.canary_decap), &options))
		fail_msg("cannot run a packet of %u bytes", in->len);
	ret->verdict = (int)options.retval;
	ret->packet.len = options.data_size_out;
}
