/* SPDX-License-Identifier: Apache-2.0 */
/* Timed runs of the prologue. */
#include "subject.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "bench.skel.h"

#define INSERT_CHUNK 8192 /* flows that open at a time: opening ones are in tables that forget */

static struct bench_bpf *load(void)
{
	static struct bench_bpf *programs; /* until the process ends */

	if (!programs)
		programs = bench_bpf__open_and_load();
	if (!programs)
		fail_msg("cannot load the bench's programs: %s", strerror(errno));
	return programs;
}

static const struct bpf_program *floor_program(enum bench_floor floor)
{
	const struct bpf_program *const programs[] = {
#define X(NAME, name) [BENCH_FLOOR_##NAME] = load()->progs.bench_##name,
		BENCH_FLOOR_LIST(X)
#undef X
	};

	return programs[floor];
}

/* `repeat` packets through the prologue to a program, and what became of the last one. The kernel's ns per packet. */
static unsigned run(int target, const struct packet *in, unsigned repeat, struct outcome *ret)
{
	struct bench_bpf *programs = load();
	struct xdp_md ctx = {.data_end = in->len, .ingress_ifindex = env.interfaces[FRONT].ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in->data, .data_size_in = in->len,
		    .data_out = ret->packet.data, .data_size_out = sizeof(ret->packet.data), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = repeat);
	__u32 zero = 0;

	ret->packet.len = 0;
	if (bpf_map_update_elem(bpf_map__fd(programs->maps.targets), &zero, &target, BPF_ANY))
		fail_msg("the prologue cannot call the program: %s", strerror(errno));
	if (bpf_prog_test_run_opts(bpf_program__fd(programs->progs.bench_prologue), &options))
		fail_msg("cannot run the prologue: %s", strerror(errno));
	ret->verdict = options.retval;
	ret->packet.len = options.data_size_out;
	return options.duration;
}

static void use(const struct bench_frame *frame, enum bench_flows flows)
{
	struct bench_frame *used = &load()->bss->frame;

	*used = *frame;
	used->mask = bench_flow_count(flows) - 1;
}

static unsigned run_floor(const struct subject *subject, enum bench_floor floor, enum bench_flows flows,
			  unsigned repeat)
{
	static struct outcome out;
	unsigned ns;

	use(&subject->frame, flows);
	ns = run(bpf_program__fd(floor_program(floor)), &subject->packet, repeat, &out);
	subject_check_floor(subject, floor, flows, repeat, &out);
	return ns;
}

static unsigned run_row(const struct subject *subject, enum bench_flows flows, unsigned repeat)
{
	struct totals before = totals_take();
	static struct outcome out;
	unsigned ns;

	use(&subject->frame, flows);
	ns = run(env.program, &subject->packet, repeat, &out);
	subject_check(subject, flows, repeat, &out);
	totals_check(subject, &before, repeat);
	return ns;
}

/* One packet of each of INSERT_CHUNK flows, in another order than they are visited in later. */
static void insert(const struct bench_group *group, unsigned flags, unsigned seq, unsigned from, enum bench_flows flows)
{
	static struct packet packet;
	static struct outcome out;
	struct bench_frame frame;
	unsigned count = bench_flow_count(flows);

	subject_frame(group, flags, seq, &packet, &frame);
	frame.stride = SUBJECT_INSERT_STRIDE;
	frame.counter = from;
	use(&frame, flows);
	run(env.program, &packet, count < INSERT_CHUNK ? count : INSERT_CHUNK, &out);
	assert_int_equal(out.verdict, XDP_TX);
}

/* nat remembers its flows: the handshake of each, or its first two datagrams. */
static void establish(const struct subject *subject, enum bench_flows flows)
{
	bool tcp = subject->group.packet != BENCH_PACKET_UDP;

	for (unsigned from = 0; from < bench_flow_count(flows); from += INSERT_CHUNK) {
		insert(&subject->group, tcp ? SYN : 0, SUBJECT_ISN, from, flows);
		insert(&subject->group, tcp ? ACK : 0, SUBJECT_ISN + 1, from, flows);
	}
	assert_int_equal(established_flows(), bench_flow_count(flows));
	assert_int_equal(opening_flows(), 0);
}

void bench_run_group(const struct bench_options *options, const struct bench_selection *selection,
		     const struct bench_group *group, struct bench_result *ret)
{
	static struct subject subject;
	int last = 0;

	*ret = (struct bench_result){.group = *group};
	subject_configure(group, options->repeat, &subject);
	for (int flows = 0; flows < BENCH_FLOWS; flows++)
		if (bench_row_selected(selection, group, flows))
			last = flows;
	if (group->forward == BENCH_FORWARD_NAT)
		establish(&subject, last);
	/* The first round warms up, and is not kept. */
	for (unsigned round = 0; round <= options->rounds; round++) {
		for (int floor = 0; floor < BENCH_FLOORS; floor++)
			ret->floor[floor].ns[round ? round - 1 : 0] = run_floor(&subject, floor, last, options->repeat);
		for (int flows = 0; flows < BENCH_FLOWS; flows++)
			if (bench_row_selected(selection, group, flows)) {
				ret->row[flows].ns[round ? round - 1 : 0] = run_row(&subject, flows, options->repeat);
				ret->row[flows].count = round;
			}
	}
	for (int floor = 0; floor < BENCH_FLOORS; floor++)
		ret->floor[floor].count = options->rounds;
}

int bench_pin(int cpu)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return -errno;
	for (int i = 0; i < CPU_SETSIZE && cpu < 0; i++)
		if (CPU_ISSET(CPU_SETSIZE - 1 - i, &set))
			cpu = CPU_SETSIZE - 1 - i;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : cpu;
}
