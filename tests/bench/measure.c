/* SPDX-License-Identifier: Apache-2.0 */
/* Timed runs of the prologue. */
#include "subject.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "bench.skel.h"

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
	used->flow_bits = __builtin_ctz(bench_flow_count(flows));
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

static unsigned run_row(struct subject *subject, enum bench_flows flows, unsigned repeat)
{
	struct watched_totals watched = watched_take(subject);
	struct totals before = totals_take(subject);
	static struct outcome out;
	unsigned ns;

	use(&subject->frame, flows);
	ns = run(env.program, &subject->packet, repeat, &out);
	subject_check(subject, flows, repeat, &out);
	totals_check(subject, &before, repeat);
	watched_check(subject, &watched, flows, repeat);
	subject->frame.life += subject_connections(&subject->group, repeat) / bench_flow_count(flows) + 1;
	return ns;
}

/* Opens each flow, in another order than they are visited in later. */
static void establish(const struct subject *subject, enum bench_flows flows)
{
	static struct packet packet;
	static struct outcome out;
	struct bench_frame frame;
	unsigned steps = subject_opening(subject, &packet, &frame);

	frame.stride = SUBJECT_INSERT_STRIDE;
	if (flows == BENCH_FLOWS_1)
		frame.batch_bits = 0;
	use(&frame, flows);
	run(env.program, &packet, bench_flow_count(flows) * steps, &out);
	assert_int_equal(out.verdict, XDP_TX);
}

/* Flows that packets in the midst of a connection are of: nat remembers them, and what is observed has begun. */
static void establish_all(const struct subject subjects[], size_t count, enum bench_flows flows)
{
	const struct bench_group *group = &subjects[0].group;

	if (bench_connects(group))
		return;
	if (group->forward != BENCH_FORWARD_NAT && group->observe == BENCH_OBSERVE_OFF)
		return;
	for (size_t i = 0; i < count; i++)
		establish(&subjects[i], flows);
	if (group->forward != BENCH_FORWARD_NAT)
		return;
	assert_int_equal(established_flows(), count * bench_flow_count(flows));
	assert_int_equal(opening_flows(), 0);
}

static void run_round(struct subject subjects[], size_t count, enum bench_flows flows, unsigned repeat, unsigned round,
		      struct bench_result *ret)
{
	struct bench_samples *const samples[] = {&ret->row[flows], &ret->off[flows]};

	for (size_t i = 0; i < count; i++) {
		samples[i]->ns[round ? round - 1 : 0] = run_row(&subjects[i], flows, repeat);
		samples[i]->count = round;
	}
}

void bench_run_group(const struct bench_options *options, const struct bench_selection *selection,
		     const struct bench_group *group, struct bench_result *ret)
{
	unsigned repeat = subject_whole_runs(group, options->repeat);
	static struct subject subjects[2];
	size_t count = subject_configure(group, repeat, subjects);
	int last = 0;

	*ret = (struct bench_result){.group = *group};
	for (int flows = 0; flows < BENCH_FLOWS; flows++)
		if (bench_row_selected(selection, group, flows))
			last = flows;
	establish_all(subjects, count, last);
	/* The first round warms up, and is not kept. */
	for (unsigned round = 0; round <= options->rounds; round++) {
		for (int floor = 0; floor < BENCH_FLOORS; floor++)
			ret->floor[floor].ns[round ? round - 1 : 0] = run_floor(&subjects[0], floor, last, repeat);
		for (int flows = 0; flows < BENCH_FLOWS; flows++)
			if (bench_row_selected(selection, group, flows))
				run_round(subjects, count, flows, repeat, round, ret);
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
