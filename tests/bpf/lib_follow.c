/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_follow.h"

#include <linux/bpf.h>
#include <string.h>

enum { FOLLOW_ROOM = 1 << 14 };

struct first {
	struct canary_addr src, dst;
	__u32 id;
	unsigned proto;
	bool known; /* where it went: another verdict says nothing of that */
	__u8 to[6]; /* the next hop, which in the tests is another for each backend */
	struct canary_addr dst_out; /* translated, or the tunnel's end */
};

/* By a hash of the key: of two packets in one place the later one is known. */
static struct first firsts[FOLLOW_ROOM];

static struct first *place_of(const struct first *key)
{
	__u32 hash = key->id * 31 + key->proto;

	for (int i = 0; i < 4; i++)
		hash = (hash ^ key->src.word[i] ^ key->dst.word[i] * 7) * 2654435761U;
	return &firsts[hash >> 18];
}

static bool same_packet(const struct first *a, const struct first *b)
{
	return a->id == b->id && a->proto == b->proto && addr_equal(&a->src, &b->src) && addr_equal(&a->dst, &b->dst);
}

static bool went_on(const struct check_run *run, const struct frame *in, struct first *ret)
{
	struct frame out;

	if ((run->verdict != XDP_TX && run->verdict != XDP_REDIRECT) ||
	    !frame_read(run->out.data, run->out.len, &out) || check_is_answer(in, &out))
		return false;
	memcpy(ret->to, run->out.data, sizeof(ret->to));
	ret->dst_out = out.dst;
	return true;
}

const char *follow_check(const struct check_run *run, bool *ret_followed)
{
	struct first seen = {}, *first;
	struct frame in;

	*ret_followed = false;
	if (!frame_read(run->in.data, run->in.len, &in) || (!in.fragment && !in.later))
		return NULL;
	seen = (struct first){.src = in.src, .dst = in.dst, .id = in.id, .proto = in.family == 4 ? in.proto : 0};
	seen.known = went_on(run, &in, &seen);
	first = place_of(&seen);
	if (!in.later) {
		*first = seen;
		return NULL;
	}
	if (!seen.known || !first->known || !same_packet(first, &seen))
		return NULL;
	*ret_followed = true;
	return memcmp(first->to, seen.to, sizeof(seen.to)) || !addr_equal(&first->dst_out, &seen.dst_out)
		       ? "a later fragment does not follow its packet's first one"
		       : NULL;
}
