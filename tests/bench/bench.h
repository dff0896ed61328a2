/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ns per packet of the data plane, beside floors that any balancer stands on. README.md explains the method.
 *
 * A *group* is one state of the balancer and one kind of packet. In each round of a group its floors run first, then
 * the data plane with each number of flows, and where observing costs something the same with observing off; so a slow
 * moment of the machine is one of all of them.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdio.h>

/* What a group is made of, and how many flows a row has: each a word of the selection. X(NAME, word) */
#define BENCH_FORWARD_LIST(X) X(L2, l2) X(IPIP, ipip) X(GUE, gue) X(NAT, nat) X(NONE, none)
#define BENCH_FAMILY_LIST(X) X(V4, v4) X(V6, v6)
#define BENCH_PACKET_LIST(X) X(ACK, ack) X(SYN, syn) X(UDP, udp) X(HANDSHAKE, handshake) X(MIXED, mixed)
#define BENCH_STATE_LIST(X) X(SETTLED, settled) X(WINDOW, window)
/* Whose handshakes are watched: nobody's, so many as by default, everybody's. */
#define BENCH_OBSERVE_LIST(X) X(OFF, off) X(ON, on) X(ALL, all)
/* X(NAME, word, flows) */
#define BENCH_FLOWS_LIST(X)                                                                                            \
	X(1, 1, 1)                                                                                                     \
	X(1K, 1k, 1 << 10)                                                                                             \
	X(16K, 16k, 1 << 14)                                                                                           \
	X(32K, 32k, 1 << 15)                                                                                           \
	X(64K, 64k, 1 << 16)                                                                                           \
	X(1M, 1M, 1 << 20)
/* Programs that the data plane is compared with. X(NAME, name) */
#define BENCH_FLOOR_LIST(X) X(TX, tx) X(ADJUST, adjust) X(SWAP, swap) X(IPIP, ipip)

#define X(NAME, word) BENCH_FORWARD_##NAME,
enum bench_forward { BENCH_FORWARD_LIST(X) BENCH_FORWARDS };
#undef X
#define X(NAME, word) BENCH_FAMILY_##NAME,
enum bench_family { BENCH_FAMILY_LIST(X) BENCH_FAMILIES };
#undef X
#define X(NAME, word) BENCH_PACKET_##NAME,
enum bench_packet { BENCH_PACKET_LIST(X) BENCH_PACKETS };
#undef X
#define X(NAME, word) BENCH_STATE_##NAME,
enum bench_state { BENCH_STATE_LIST(X) BENCH_STATES };
#undef X
#define X(NAME, word) BENCH_OBSERVE_##NAME,
enum bench_observe { BENCH_OBSERVE_LIST(X) BENCH_OBSERVES };
#undef X
#define X(NAME, word, flows) BENCH_FLOWS_##NAME,
enum bench_flows { BENCH_FLOWS_LIST(X) BENCH_FLOWS };
#undef X
#define X(NAME, name) BENCH_FLOOR_##NAME,
enum bench_floor { BENCH_FLOOR_LIST(X) BENCH_FLOORS };
#undef X

enum bench_axis {
	BENCH_AXIS_FORWARD,
	BENCH_AXIS_FAMILY,
	BENCH_AXIS_PACKET,
	BENCH_AXIS_STATE,
	BENCH_AXIS_OBSERVE,
	BENCH_AXIS_FLOWS,
	BENCH_AXES
};

#define BENCH_MAX_GROUPS (BENCH_FORWARDS * BENCH_FAMILIES * BENCH_PACKETS * BENCH_STATES * BENCH_OBSERVES)

/* Rows that are asked for: a set of words of each axis, 0 for all of them. */
struct bench_selection {
	unsigned words[BENCH_AXES];
};

struct bench_group {
	enum bench_forward forward;
	enum bench_family family;
	enum bench_packet packet;
	enum bench_state state;
	enum bench_observe observe;
};

struct bench_options {
	unsigned repeat; /* packets of a timed run */
	unsigned rounds; /* 1..BENCH_MAX_ROUNDS */
};
#define BENCH_MAX_ROUNDS 99

/* ns per packet of one program in each round, prologue included. */
struct bench_samples {
	unsigned count; /* 0: did not run */
	unsigned ns[BENCH_MAX_ROUNDS];
};

struct bench_result {
	struct bench_group group;
	struct bench_samples floor[BENCH_FLOORS];
	struct bench_samples row[BENCH_FLOWS];
	/* The same packets, to a service that nothing is observed of; not where that is what `row` has. */
	struct bench_samples off[BENCH_FLOWS];
};

struct bench_figure {
	double median, min;
};

const char *bench_word(enum bench_axis axis, unsigned index);
unsigned bench_axis_words(enum bench_axis axis);
const char *bench_floor_name(enum bench_floor floor);
unsigned bench_flow_count(enum bench_flows flows);
/* Do the packets go out inside of others? */
bool bench_tunnels(const struct bench_group *group);
/* Are the group's packets those of connections, from the SYN on? */
bool bench_connects(const struct bench_group *group);
/* Adds a word to the selection; false: there is no such word. */
bool bench_select(struct bench_selection *selection, const char *word);
/* Does the group exist, and has it a row that is asked for? */
bool bench_selected(const struct bench_selection *selection, const struct bench_group *group);
bool bench_row_selected(const struct bench_selection *selection, const struct bench_group *group,
			enum bench_flows flows);
/* The next group of the matrix that is selected; false: there is none. Begins with *index = 0. */
bool bench_next_group(const struct bench_selection *selection, unsigned *index, struct bench_group *ret);

/*
 * Runs a group in the network and with the data plane of lib_env.h; the first call loads the bench's own programs. A
 * run that did not do what it should fails the test, or ends the program.
 */
void bench_run_group(const struct bench_options *options, const struct bench_selection *selection,
		     const struct bench_group *group, struct bench_result *ret);
/* Pins the process to a CPU, or, with -1, to the last one that it may use. Returns which; -errno. */
int bench_pin(int cpu);

struct bench_figure bench_total(const struct bench_samples *samples);
/* Of what the program does by itself: without the prologue, the test run and undoing adjust_head. */
struct bench_figure bench_net_floor(const struct bench_result *result, enum bench_floor floor);
struct bench_figure bench_net_row(const struct bench_result *result, enum bench_flows flows);
struct bench_figure bench_net_off(const struct bench_result *result, enum bench_flows flows);
/* The floor that a group's rows are compared with. */
enum bench_floor bench_floor_of(const struct bench_group *group);
/* Medians: a row's net to its floor's; the net at a million flows to that at one. 0: one of them did not run. */
double bench_ratio_to_floor(const struct bench_result *result, enum bench_flows flows);
double bench_ratio_of_flows(const struct bench_result *result);
/* A row's net, and its gross, to that with observing off: the median of the rounds' ratios. 0: one did not run. */
double bench_ratio_to_off(const struct bench_result *result, enum bench_flows flows);
double bench_gross_ratio_to_off(const struct bench_result *result, enum bench_flows flows);

void bench_print_head(FILE *to, const struct bench_options *options, int cpu);
void bench_print_group(FILE *to, const struct bench_result *result);
/* 0 or -errno. */
int bench_write_json(FILE *to, const struct bench_options *options, int cpu, const struct bench_result *results,
		     size_t count);
/* As SVG. 0 or -errno. */
int bench_write_plot(FILE *to, const struct bench_result *results, size_t count);

#endif
