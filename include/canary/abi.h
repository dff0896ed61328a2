/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the data plane and user space share: map keys, values, limits and names.
 *
 * Every structure has fixed-width members and explicit padding (a hash key with
 * uninitialised padding is two keys). A change of any of them is a change of
 * CANARY_ABI_VERSION.
 *
 * Byte order: addresses and ports are in network order, as in the packet;
 * everything else is in host order.
 */
#ifndef CANARY_ABI_H
#define CANARY_ABI_H

#ifndef __VMLINUX_H__ /* the kernel's own declarations */
#include <linux/bpf.h>
#include <linux/types.h>
#endif

#include "counters.h"
#include "events.h"
#include "histogram.h"
#include "limits.h"
#include "operations.h"
#include "outcomes.h"
#include "reasons.h"

#define CANARY_ABI_VERSION 6
/* What dataplane_upgrade() can migrate from: it has maps of their own for what `tables` holds. */
#define CANARY_ABI_PREVIOUS 5
/* In its place, while that goes on: programs of both may be attached, and nobody may change what either reads. */
#define CANARY_ABI_UPGRADING (1U << 31 | CANARY_ABI_VERSION)

enum canary_cohort {
	CANARY_STABLE = 0,
	CANARY_CANARY = 1,
	CANARY_COHORTS = 2,
};

enum canary_forward {
	CANARY_FORWARD_NAT = 0,
	CANARY_FORWARD_L2 = 1,
	CANARY_FORWARD_IPIP = 2,
	CANARY_FORWARD_GUE = 3,
	CANARY_FORWARDS,
};

enum canary_affinity {
	CANARY_AFFINITY_FLOW = 0, /* the bucket is a hash of the 5-tuple */
	CANARY_AFFINITY_CLIENT = 1, /* ... of the client's address */
	CANARY_AFFINITY_QUIC = 2, /* of the 5-tuple, where no connection id names the backend: see server_id.h */
	CANARY_AFFINITIES,
};

enum canary_track { /* UDP only: is a flow remembered at its first packet? */
		    CANARY_TRACK_AUTO = 0, /* with nat and affinity quic yes, else no */
		    CANARY_TRACK_ALWAYS = 1,
		    CANARY_TRACK_NEVER = 2,
		    CANARY_TRACKS,
};

enum canary_overflow { /* what happens to the flows of a cohort without a backend */
		       CANARY_OVERFLOW_OTHER = 0, /* the other cohort gets them */
		       CANARY_OVERFLOW_DROP = 1,
		       CANARY_OVERFLOWS,
};

enum canary_on_expiry { /* of a lease */
			CANARY_EXPIRY_STABLE = 0, /* new flows go to stable */
			CANARY_EXPIRY_HOLD = 1, /* the weight stays */
			CANARY_EXPIRIES,
};

/* Who took the canary's new flows away, or would have. */
enum canary_stop_reason {
	CANARY_STOP_NONE = 0,
	CANARY_STOP_RELATIVE = 1, /* the breaker: more failures than stable has */
	CANARY_STOP_ABSOLUTE = 2, /* the breaker: hardly anything succeeds */
	CANARY_STOP_LEASE = 3, /* nobody renewed the lease */
	CANARY_STOP_REASONS,
};

/* An IPv6 address, or an IPv4 one as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
struct canary_addr {
	__u32 word[4];
};
_Static_assert(sizeof(struct canary_addr) == 16, "abi");

/*
 * Key of `service_ids`. Port 0: every port. An element with protocol 0 says that some service has the address: what is
 * malformed beyond the address is dropped there, and left alone elsewhere.
 */
#define CANARY_ADDRESS_IN_USE (~0U)
struct canary_service_key {
	struct canary_addr addr;
	__u16 port;
	__u8 proto; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 zero;
};
_Static_assert(sizeof(struct canary_service_key) == 20, "abi");

/*
 * The state word of a service: which of its CANARY_CONFIGS records are in force. One load gives a packet a
 * consistent view, one compare-and-swap is a change. A word of 0 is a service that is not in force.
 *
 *   bits 0-2  now     the record new flows are chosen by
 *   bits 3-5  oldest  the record that was in force when the open window opened
 *   bit  6    open    is there a window?
 *   bit  7    stopped the threshold of `now` counts as 0: the breaker tripped, or the lease expired. `oldest` has its own
 *   bits 8-63 epoch   rises with every change, 1 at first
 *
 * A view is a record as a packet has to read it: its slot, and CANARY_VIEW_STOPPED.
 */
#define CANARY_WORD_OLDEST_SHIFT 3
#define CANARY_WORD_SLOT_MASK 7ULL
#define CANARY_WORD_OPEN (1ULL << 6)
#define CANARY_WORD_STOPPED (1ULL << 7)
#define CANARY_VIEW_STOPPED (CANARY_WORD_SLOT_MASK + 1)
#define CANARY_WORD_EPOCH_SHIFT 8

/*
 * Element of `services`, by id. Written before the commit that puts it in force; then `word` and what is below `name`
 * belong to the kernel. Times are of CLOCK_MONOTONIC, 0: never.
 */
struct canary_service {
	__u64 word;
	struct canary_service_key key;
	__u32 flows; /* remembered ones; atomic */
	char name[CANARY_NAME_LEN];
	__u64 retired_ns[CANARY_CONFIGS]; /* when the record was taken out of force */
	__u64 opened_ns; /* the window */
	__u64 changed_ns; /* the last change */
	__u64 skipped_ns; /* the last flow that should have been remembered and was not */
	__u64 closing_epoch; /* the sweeper saw that the window may close; it looks again in its next pass */
};
_Static_assert(sizeof(struct canary_service) == 192, "abi");

/* A Maglev ring in the arena: `size` slots from word `base` on, CANARY_RING_SLOTS_PER_WORD a word, lowest bits first. */
struct canary_ring {
	__u32 base;
	__u32 size; /* 0: the cohort has no backend */
};

/*
 * A configuration record: element of `configs`, at id * CANARY_CONFIGS + slot. It is immutable while a state word
 * names it, and so is what it points at: rings, members and segments in the arena, the segment set in `segments`.
 */
#define CANARY_MSS_AUTO 1
#define CANARY_MSS_MIN 88 /* what a SYN may say at least, in Linux too */
#define CANARY_MSS_MAX 65495
struct canary_config {
	__u64 salt; /* key of the bucket hash */
	__u32 threshold; /* canary if bucket < threshold; 0..CANARY_THRESHOLD_ONE */
	__u8 forward; /* enum canary_forward */
	__u8 affinity;
	__u8 track;
	__u8 overflow;
	struct canary_ring ring[CANARY_COHORTS];
	__u32 segment_set; /* in the key of `segments`; 0: none */
	__u32 idle_timeout; /* s: how long a flow may be silent and still be one */
	__u64 reset_ns; /* from then on, flows that belong elsewhere are reset (TCP); 0: never */
	/* What follows is for user space and the sweeper. */
	__u32 max_window; /* s: a window closes after this, whatever is left */
	__u16 weight; /* as asked for, in 1/100 percent */
	__u16 gue_port; /* gue: the backends' UDP port, network order */
	__u32 assignment; /* rises when somebody sets the weight or the salt */
	__u32 salt_number; /* the salt is derived from the keys, the service and this */
	__u32 members; /* arena: `member_count` words, see CANARY_MEMBER_*; affinity quic: and what server_id.h says */
	__u16 member_count;
	__u16 mss; /* TCP's maximum segment size is lowered to this in SYNs; 0: not at all, CANARY_MSS_AUTO: to what the path takes */
	__u32 segments; /* arena: `segment_count` times CANARY_SEGMENT_WORDS words */
	__u16 segment_count;
	__u8 id_offset; /* affinity quic: where in a connection id the backend's own id stands ... */
	__u8 id_length; /* ... and its bytes */
	/* What is watched, and what follows from it: the packets that open or end a flow look here. */
	__u32 watched[CANARY_COHORTS]; /* how many buckets are: canary's first ones, stable's from `threshold` on */
	__s32 step[CANARY_COHORTS]; /* what a cohort's failure adds to the relative sum: see breaker.h */
	__s32 limit; /* of the breaker's sums; 0: it is off */
	__u32 failed; /* arena: the bitmap of buckets with a failure in this assignment; 0: each flow counts for itself */
	__u64 lease_ns; /* when the assignment's lease expires, unless it is renewed; 0: it has none */
	__u16 handshake_timeout; /* ms */
	__u8 on_expiry; /* enum canary_on_expiry */
	__u8 breaker; /* is it on, as asked for */
	__u32 arl; /* as asked for */
	__u16 ratio; /* as asked for, in 1/100 */
	__u16 cap; /* as asked for, in 1/100 percent of the buckets */
	__u16 lease; /* s, of this assignment; 0: none */
	__u16 lease_default; /* s, of assignments that say nothing else; 0: none */
};
_Static_assert(sizeof(struct canary_config) == 128, "two cache lines, the first for packets");

/* A member: a backend's part in a service's configuration, packed into one word of the arena. */
#define CANARY_MEMBER_CANARY (1ULL << 32)
#define CANARY_MEMBER_DRAINING (1ULL << 33)
#define CANARY_MEMBER_BACKEND(word) ((__u32)((word)&0xffff))
#define CANARY_MEMBER_WEIGHT(word) ((__u32)((word) >> 16 & 0xffff))

/* A segment as listed in the arena: two words of address, one of prefix length (of 128) | cohort << 8. */
#define CANARY_SEGMENT_WORDS 3

/* Key of `segments` (longest prefix match): the set is always compared whole, so prefixlen = 32 + that of the address. */
struct canary_segment_key {
	__u32 prefixlen;
	__u32 set;
	struct canary_addr addr;
};
_Static_assert(sizeof(struct canary_segment_key) == 24, "abi");

/*
 * Element of `backends`, by index. The index is reused only after `generation` rose, so that a flow entry that names
 * an earlier owner is told apart.
 */
#define CANARY_BACKEND_LIVE 1 /* flows may go there */
struct canary_backend {
	struct canary_addr addr;
	struct canary_addr tunnel_source; /* the outer one, ipip and gue; all zero: not known yet; `addr`: this host */
	__u16 port; /* network order; 0: as in the packet */
	__u8 flags;
	__u8 pad;
	__u32 service;
	__u32 generation;
	__u32 pad2[5];
};
_Static_assert(sizeof(struct canary_backend) == 64, "one cache line");

/* Keys of the hashes: random for an installation. See hash.h. */
struct canary_keys {
	__u32 flow[12];
	__u32 client[4];
	__u64 slot;
};
_Static_assert(sizeof(struct canary_keys) == 72, "abi");

/*
 * Handshakes that were open in a flood of SYNs say nothing of the cohorts, a handshake's timeout and so long after it: the
 * sweeper may take two passes until it judges them, of 0.9 s where its ticks come in time.
 */
#define CANARY_FLOODED_NS 4000000000ULL

/*
 * Element of `guards`, by service: what the kernel knows of the canary's health. Belongs to the kernel, but for the lease.
 * Sums and numbers are of one assignment, and of flows that were opened in it.
 */
struct canary_guard {
	__u64 renewed_ns; /* the lease lasts until then, if that is later than the record says */
	__u32 renewed_assignment; /* ... and this is the assignment in force */
	__u32 assignment; /* of what follows */
	__u64 sums; /* see breaker.h */
	__u32 flows[CANARY_COHORTS]; /* outcomes that were counted */
	__u32 failures[CANARY_COHORTS];
	__u64 missed_ns; /* the last flow that could not be watched ... */
	__u64 flooded_ns; /* ... and the last that was not the first for a while: somebody floods us with SYNs */
	/* The last stop, or expiry of a lease that holds. */
	__u64 stopped_ns;
	__u64 stopped_epoch; /* that it brought about */
	__u32 stopped_assignment;
	__u32 stop_reason; /* enum canary_stop_reason */
	__s64 stopped_sum; /* of the rule that tripped */
	__u32 stopped_flows[CANARY_COHORTS];
	__u32 stopped_failures[CANARY_COHORTS];
	__u32 waiting[CANARY_COHORTS]; /* failures that the sweeper will weigh together: hard ones ... */
	__u32 waiting_soft[CANARY_COHORTS]; /* ... and soft ones */
	__u64 pad;
};
_Static_assert(sizeof(struct canary_guard) == 128, "two cache lines");

/* What became of the watched flows that were assigned in one epoch. */
struct canary_epoch {
	__u64 epoch; /* 0: none */
	__u64 began_ns; /* of the older ones together: when the service did */
	__u32 assignment;
	__u32 flooded; /* flows that could not be watched: what handshakes tell is then inconclusive */
	__u32 watched[CANARY_COHORTS]; /* buckets; w = watched[canary] / (watched[canary] + watched[stable]) */
	__s32 step[CANARY_COHORTS]; /* of the breaker, as in the record */
	__s32 limit;
	__u32 pad;
	__u64 count[CANARY_COHORTS][CANARY_OUTCOMES];
};
_Static_assert(sizeof(struct canary_epoch) == 48 + 16 * CANARY_OUTCOMES, "abi");

/* Element of `outcomes`, by service: at epoch % CANARY_EPOCHS, and all older ones together (`epoch` 0) at last. */
struct canary_outcomes {
	struct canary_epoch epochs[CANARY_EPOCHS + 1];
};

/* Key of `histograms`: user space makes the elements of a service, as far as its way of forwarding has them. */
struct canary_histogram_key {
	__u32 service;
	__u16 cohort;
	__u16 kind; /* enum canary_histogram_kind */
};
_Static_assert(sizeof(struct canary_histogram_key) == 8, "abi");

/* Of the assignment in force. */
struct canary_histogram {
	__u32 count[CANARY_HISTOGRAM_BUCKETS];
};

/*
 * Element of `watched`, by the flow's hash: flows whose handshake, and what follows it at once, is watched. `word` is the
 * flow's hash with the state (enum watch_state) in its lowest bits, 0: free. It changes by compare-and-swap, so that each
 * flow has one outcome, whoever sees it first.
 */
#define CANARY_WATCHED_STATE 7ULL
struct canary_watched {
	__u64 opened_ns; /* of the first SYN */
	__u64 since_ns; /* of the last SYN; then of the handshake's end; then of the request's first byte */
	__u32 isn; /* of the last SYN; but for nat: then what the client acknowledged with the handshake; host order */
	__u32 epoch; /* the lower half */
	__u16 service;
	__u16 bucket;
	__u8 cohort;
	__u8 answered; /* nat: the backend's SYN and ACK came */
	__u16 pad;
};
_Static_assert(sizeof(struct canary_watched) == 32, "abi");
struct canary_watched_set {
	__u64 word[CANARY_WATCHED_WAYS]; /* one cache line */
	struct canary_watched flow[CANARY_WATCHED_WAYS];
};

/* The only element of `tables`: what packets read most, at places that their program knows without a lookup. */
struct canary_tables {
	struct canary_keys keys; /* those of `settings` */
	__u8 pad[56];
	struct canary_config configs[CANARY_MAX_SERVICES * CANARY_CONFIGS];
	struct canary_backend backends[CANARY_MAX_BACKENDS];
	__u64 filter[CANARY_FILTER_BITS / 64]; /* see filter.h */
	__u32 service_hints
		[CANARY_SERVICE_HINTS]; /* the id that `service_ids` gave last for a service that belongs here */
};
_Static_assert(sizeof(struct canary_tables) < 4 << 20, "what Linux 6.1 takes as one element");

/* The only element of `settings`. */
struct canary_settings {
	__u32 abi;
	__u32 next_segment_set;
	struct canary_keys keys;
	char build[CANARY_NAME_LEN]; /* version of the object whose programs are pinned */
};
_Static_assert(sizeof(struct canary_settings) == 144, "abi");

/* Element of `interfaces`, at ifindex % CANARY_MAX_INTERFACES. ifindex 0: none attached there. */
#define CANARY_INTERFACE_PARTIAL_CHECKSUMS 1 /* senders may leave checksums to us (veth) */
#define CANARY_INTERFACE_GENERIC 2 /* attached in generic mode */
struct canary_interface {
	__u32 ifindex;
	__u32 netns; /* inode number of its network namespace: tracepoints see the whole machine */
	__u8 mac[6];
	__u8 flags;
	__u8 capturing; /* its packets are wanted: see capture.h */
	char name[16];
};
_Static_assert(sizeof(struct canary_interface) == 32, "abi");

/* An 802.1Q or 802.1ad tag, network order. */
struct canary_tag {
	__u16 tpid;
	__u16 tci;
};

/* VLAN devices cannot be redirected to: element of `egress`, by the VLAN device's ifindex. */
struct canary_egress {
	__u32 ifindex; /* the device below */
	__u32 tag_count; /* 1 or 2 */
	struct canary_tag tag[2]; /* outermost first */
};
_Static_assert(sizeof(struct canary_egress) == 16, "abi");

/* Key of `flows` and `embryonic`. The protocol and address are the service's. */
struct canary_flow_key {
	struct canary_addr client;
	__u32 service;
	__u16 client_port;
	__u16 port; /* what the client speaks to: differs from the service's for port 0 */
};
_Static_assert(sizeof(struct canary_flow_key) == 24, "abi");

#define CANARY_FLOW_BESIDE 1 /* a SYN with another ISN lies in `embryonic` */
#define CANARY_FLOW_CLOSING 2 /* a FIN was seen from the client */
#define CANARY_FLOW_RESET 4 /* the client's last packet was a RST */
#define CANARY_FLOW_NOTED 16 /* in `embryonic`: not of a SYN, or its handshake was completed */
#define CANARY_FLOW_CANARY 8 /* the flow's cohort */
struct canary_flow {
	__u32 backend;
	__u32 generation;
	__u64 seen_ns; /* coarse CLOCK_MONOTONIC of the last packet */
	__u32 isn; /* TCP: the client's initial sequence number, host order; 0 if its SYN was not seen */
	__u32 flags; /* CANARY_FLOW_*, set with atomic operations */
	__u32 held; /* the flow's bit in `held` */
	__u32 alternate; /* gue: the index of the backend that has it if `backend`, a guess, has not; 0: none */
};
_Static_assert(sizeof(struct canary_flow) == 32, "abi");

/* Key of `reverse` and `reverse_embryonic`: a packet from a nat backend to a client. */
struct canary_reverse_key {
	struct canary_addr backend;
	struct canary_addr client;
	__u16 backend_port;
	__u16 client_port;
	__u8 proto;
	__u8 zero[3];
};
_Static_assert(sizeof(struct canary_reverse_key) == 40, "abi");

struct canary_reverse {
	__u32 service;
	__u32 backend;
	__u32 generation;
	__u16 port; /* the service side's port */
	__u8 cohort;
	__u8 closing; /* a FIN was seen from the backend */
	__u64 seen_ns; /* of the last packet from the backend */
};
_Static_assert(sizeof(struct canary_reverse) == 24, "abi");

/*
 * The only element of `sweeper`: what runs in the kernel with nobody in user space. A pass clears the idle one of the
 * two `held` bitmaps of the table (CANARY_FLOW_SHARDS ticks), walks the shards of `flows` (as many ticks), and swaps
 * them. The two of opening flows take turns of CANARY_OPENING_PASSES.
 */
#define CANARY_OPENING_PASSES 145 /* 130 s: a slow client may yet complete its handshake */
#define CANARY_SWEEP_TICK_NS 7000000ULL
struct canary_sweeper {
	struct bpf_timer timer;
	__u64 tick_ns; /* CLOCK_MONOTONIC of the last tick */
	__u64 ticks;
	__u32 step; /* of the pass */
	__u32 active; /* 0 or 1: the bitmap of the table that packets read */
	__u32 opening; /* 2 or 3: the bitmap that opening flows are written to; packets read both */
	__u32 passes;
	__u32 flows; /* remembered ones; atomic. 0: no bit of 0 and 1 needs a look */
	__u32 opened[2]; /* flows that bits of 2 and 3 stand for, at most; atomic */
	__u32 shard[CANARY_FLOW_SHARDS]; /* remembered flows of each shard; atomic */
	char build[CANARY_NAME_LEN]; /* of the program whose callback runs */
};
_Static_assert(sizeof(struct canary_sweeper) == 384, "abi");

/* A per-CPU element of `next_hops`, by backend: what the last route lookup said. */
struct canary_next_hop {
	__u64 until; /* valid while the jiffies are below */
	__u32 ifindex; /* the device to send through: below a VLAN device */
	__u16 mtu; /* of the route, for the IP packet */
	__u8 direct; /* the backend itself, not a router */
	__u8 tag_count; /* of `tag` */
	__u8 dmac[6]; /* as they stand in an Ethernet header: destination first */
	__u8 smac[6];
	struct canary_tag tag[2];
	__u32 generation; /* of the backend: its index may have a new owner */
};
_Static_assert(sizeof(struct canary_next_hop) == 40, "abi");

/*
 * Key of `fragments`: the packet that a fragment is of, in either direction (RFC 791, RFC 8200). Only the first has ports;
 * the others follow it.
 */
struct canary_fragment_key {
	struct canary_addr source;
	struct canary_addr destination;
	__u32 id; /* as in the packet */
	__u8 proto;
	__u8 zero[3];
};
_Static_assert(sizeof(struct canary_fragment_key) == 40, "abi");

struct canary_fragment {
	__u32 service;
	__u32 backend;
	__u32 generation;
	__u16 client_port; /* of the first one's tuple */
	__u16 port;
	__u8 cohort;
	__u8 from_backend; /* nat's way back */
	__u8 proto;
	__u8 zero;
	__u32 seen_s; /* CLOCK_MONOTONIC */
};
_Static_assert(sizeof(struct canary_fragment) == 24, "abi");

/* Per-CPU counters. The arrays' order is that of the lists in counters.h and reasons.h. */
struct canary_cohort_counters { /* `cohort_counters`, at id * CANARY_COHORTS + cohort */
	__u64 count[CANARY_COHORT_COUNTERS];
	__u64 drops[CANARY_COHORT_REASONS]; /* by reason - CANARY_FIRST_COHORT_REASON */
};
struct canary_backend_counters { /* `backend_counters`, by backend index */
	__u64 count[CANARY_BACKEND_COUNTERS];
};
struct canary_interface_counters { /* `interface_counters`, by the interface's place */
	__u64 count[CANARY_INTERFACE_COUNTERS];
	__u64 drops[CANARY_REASONS];
};

#endif
