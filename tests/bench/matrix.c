/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows there are, and which are asked for. */
#include "bench.h"

#include <stddef.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

#define X(NAME, word) #word,
static const char *const forwards[] = {BENCH_FORWARD_LIST(X)};
static const char *const families[] = {BENCH_FAMILY_LIST(X)};
static const char *const packets[] = {BENCH_PACKET_LIST(X)};
static const char *const states[] = {BENCH_STATE_LIST(X)};
static const char *const observes[] = {BENCH_OBSERVE_LIST(X)};
static const char *const floors[] = {BENCH_FLOOR_LIST(X)};
#undef X
#define X(NAME, word, count) #word,
static const char *const flow_words[] = {BENCH_FLOWS_LIST(X)};
#undef X
#define X(NAME, word, count) (count),
static const unsigned flow_counts[] = {BENCH_FLOWS_LIST(X)};
#undef X

static const struct {
	const char *const *words;
	unsigned count;
} axes[BENCH_AXES] = {
	[BENCH_AXIS_FORWARD] = {forwards, LENGTH(forwards)}, [BENCH_AXIS_FAMILY] = {families, LENGTH(families)},
	[BENCH_AXIS_PACKET] = {packets, LENGTH(packets)},    [BENCH_AXIS_STATE] = {states, LENGTH(states)},
	[BENCH_AXIS_OBSERVE] = {observes, LENGTH(observes)}, [BENCH_AXIS_FLOWS] = {flow_words, LENGTH(flow_words)},
};

const char *bench_word(enum bench_axis axis, unsigned index)
{
	return axes[axis].words[index];
}

const char *bench_floor_name(enum bench_floor floor)
{
	return floors[floor];
}

unsigned bench_flow_count(enum bench_flows flows)
{
	return flow_counts[flows];
}

bool bench_select(struct bench_selection *selection, const char *word)
{
	for (unsigned axis = 0; axis < BENCH_AXES; axis++)
		for (unsigned i = 0; i < axes[axis].count; i++)
			if (!strcmp(axes[axis].words[i], word)) {
				selection->words[axis] |= 1U << i;
				return true;
			}
	return false;
}

static bool has(const struct bench_selection *selection, enum bench_axis axis, unsigned index)
{
	return !selection->words[axis] || selection->words[axis] >> index & 1;
}

unsigned bench_axis_words(enum bench_axis axis)
{
	return axes[axis].count;
}

bool bench_tunnels(const struct bench_group *group)
{
	return group->forward == BENCH_FORWARD_IPIP || group->forward == BENCH_FORWARD_GUE;
}

bool bench_connects(const struct bench_group *group)
{
	return group->packet == BENCH_PACKET_HANDSHAKE || group->packet == BENCH_PACKET_MIXED;
}

/*
 * An open window is of no concern to nat. What is observed is how TCP's connections begin; a SYN alone says nothing of
 * that, as the same tuple's next one is the same connection's.
 */
static bool exists(const struct bench_group *group)
{
	bool connects = bench_connects(group);
	bool window = group->state == BENCH_STATE_WINDOW;

	if (group->forward == BENCH_FORWARD_NONE)
		return !window && !connects && group->observe == BENCH_OBSERVE_OFF;
	if (group->observe != BENCH_OBSERVE_OFF)
		return !window && (connects || group->packet == BENCH_PACKET_ACK);
	return !window || (group->forward != BENCH_FORWARD_NAT && !connects);
}

/*
 * nat remembers every flow, in 64 shards of 1,024: half of that is what fits whatever the hash does, and half of this
 * again where the flows are those of two services. And connections that go on at a time are not one flow's.
 */
static bool row_exists(const struct bench_group *group, enum bench_flows flows)
{
	enum bench_flows most = group->observe == BENCH_OBSERVE_OFF ? BENCH_FLOWS_32K : BENCH_FLOWS_16K;

	if (flows == BENCH_FLOWS_1 && bench_connects(group))
		return false;
	if (group->forward != BENCH_FORWARD_NAT)
		return flows != BENCH_FLOWS_16K && flows != BENCH_FLOWS_32K;
	return flows < BENCH_FLOWS_16K || flows == most;
}

bool bench_row_selected(const struct bench_selection *selection, const struct bench_group *group,
			enum bench_flows flows)
{
	return exists(group) && row_exists(group, flows) && has(selection, BENCH_AXIS_FLOWS, flows);
}

bool bench_selected(const struct bench_selection *selection, const struct bench_group *group)
{
	bool any = false;

	for (int flows = 0; flows < BENCH_FLOWS; flows++)
		any = any || bench_row_selected(selection, group, flows);
	return any && has(selection, BENCH_AXIS_FORWARD, group->forward) &&
	       has(selection, BENCH_AXIS_FAMILY, group->family) && has(selection, BENCH_AXIS_PACKET, group->packet) &&
	       has(selection, BENCH_AXIS_STATE, group->state) && has(selection, BENCH_AXIS_OBSERVE, group->observe);
}

bool bench_next_group(const struct bench_selection *selection, unsigned *index, struct bench_group *ret)
{
	while (*index < BENCH_MAX_GROUPS) {
		unsigned i = (*index)++;
		struct bench_group group;

		group.packet = i % BENCH_PACKETS;
		i /= BENCH_PACKETS;
		group.family = i % BENCH_FAMILIES;
		i /= BENCH_FAMILIES;
		group.observe = i % BENCH_OBSERVES;
		i /= BENCH_OBSERVES;
		group.state = i % BENCH_STATES;
		group.forward = i / BENCH_STATES;
		if (bench_selected(selection, &group)) {
			*ret = group;
			return true;
		}
	}
	return false;
}
