/* SPDX-License-Identifier: GPL-2.0 */
/* What the stages know of a packet, and what they return. */
#ifndef BPF_PKT_H
#define BPF_PKT_H

/*
 * A stage returns 0 (go on), an XDP action (> 0), or DROP(reason) (< 0). The entry program alone counts, and turns a
 * reason into an action.
 */
#define DROP(NAME) (-(CANARY_REASON_##NAME) - 1)
#define DROP_REASON(verdict) (-(verdict)-1)

enum pkt_flag {
	PKT_BROKEN = 1 << 0, /* headers do not fit together: malformed, if it is for a service */
	PKT_TOO_DEEP = 1 << 1, /* IPv6 extension headers beyond what is looked through */
	PKT_FRAGMENT = 1 << 2, /* a first fragment: it has the ports, the others have not */
	PKT_NO_PORTS = 1 << 3, /* broken before the ports */
	PKT_ICMP_ERROR = 1 << 4, /* an ICMP error; the tuple is that of the packet it quotes */
	PKT_FROM_BACKEND = 1 << 5, /* nat's way back */
	PKT_NAT = 1 << 6, /* the service forwards by nat */
	PKT_ALWAYS = 1 << 7, /* the service remembers every flow */
	PKT_DIFFERS = 1 << 8, /* the two configurations of the open window choose differently */
	PKT_ANY_PORT = 1 << 9, /* the service takes every port */
	PKT_RESET = 1 << 10, /* the connection belongs elsewhere by now: it is to be reset */
	PKT_DATA = 1 << 11, /* TCP: it carries more than headers */
	PKT_ANSWER = 1 << 12, /* by now it is an answer of ours to its sender */
	PKT_LATER = 1 << 13, /* a fragment that is not the first, without ports */
	PKT_NAMED = 1 << 14, /* its QUIC connection id names its backend */
	PKT_CAPTURED = 1 << 15, /* somebody wants to see it: see capture.h */
	PKT_OWN = 1 << 16, /* from ourselves, as its link-layer address says */
	PKT_ALTERNATE = 1 << 17, /* it is to name the backend p->alternate */
};

/*
 * A stage that is called from several places, or loops, is a global function: the verifier goes through it once, not
 * once a call, and knows nothing of its arguments: hence their checks against NULL.
 */
#define GLOBAL __attribute__((noinline))

struct assignment {
	__u32 backend; /* index, 0: none */
	__u32 generation;
	__u32 wanted; /* the cohort that bucket or segment asked for */
	__u32 cohort;
	__u32 slot; /* of the cohort's ring */
	__u32 bucket;
	bool random; /* bucket and weight placed the flow where it is */
};

struct pkt {
	struct canary_tuple tuple; /* as the client sees it; on the way back: see nat.h */
	__u32 l3; /* offsets from the frame's start */
	__u32 l4;
	__u32 ip_len; /* the IP packet's length */
	__u32 inner_l3; /* of the packet that an ICMP error quotes */
	__u32 inner_l4;
	__u8 smac[6]; /* the frame's */
	__u8 family; /* 4 or 6 */
	__u8 l4_proto; /* of the packet itself: ICMP where the tuple's is the quoted packet's */
	__u8 hop_limit;
	/* What is zero at first, in whole 64-bit words: from here ... */
	__u32 flags __attribute__((aligned(8))); /* enum pkt_flag */
	__u32 tcp_seq; /* host order */
	__u32 tcp_ack; /* the same; of packets with the flag ACK */
	__u32 fragment_id; /* as in the packet; of fragments */
	__u8 tcp_flags;
	__u8 tag_count;
	struct canary_tag tag[2];
	/* Found on the way through the stages. */
	__u32 service; /* id, 0: none */
	__u32 cohort;
	__u32 backend; /* index, 0: none */
	__u64 now_ns; /* once a stage needed it: see pkt_now() */
	__u64 word; /* of the service: the configurations in force. 0: not loaded yet */
	/* ... to here. */
	__u64 address_hash; /* canary_hash_address() of the service's */
	__u64 idle_ns; /* the service's idle timeout */
	__u64 hash; /* of the flow: those two are parts of it */
	__u32 held; /* the flow's bit in `held` */
	__u32 shard; /* and its shard of the table */
	__u32 alternate; /* set by assign(): the index of the backend that has the flow if p->backend has not; 0: none */
	/* Room for what is written to maps, or passed to global functions: the stack is too small for all of it. */
	struct assignment given;
	struct canary_flow_key key;
	struct canary_flow entry;
	struct canary_reverse_key back_key;
	struct canary_reverse back;
	/* affinity quic: */
	struct canary_server_id server_id; /* of the packet's connection id */
	struct { /* that has it; with PKT_NAMED */
		__u32 backend;
		__u32 generation;
		__u32 cohort;
	} named;
	/* of fragments: */
	struct canary_fragment_key fragment_key;
	struct canary_fragment fragment;
};

/* What TCP's and UDP's headers begin with. */
struct ports {
	__be16 source;
	__be16 dest;
};

/* A run's packet: too large for the stack beside what the stages need. Programs do not interrupt each other on a CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pkt);
} pkt_scratches SEC(".maps");

/* For global functions: of an argument, kernel 6.1 would not take a key for a map. */
static __always_inline struct pkt *pkt_current(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&pkt_scratches, &zero);
}

static __always_inline struct pkt *pkt_new(void)
{
	struct pkt *p = pkt_current();

	if (p)
		__builtin_memset(&p->flags, 0, offsetof(struct pkt, address_hash) - offsetof(struct pkt, flags));
	return p;
}

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20

/* Two link-layer addresses as they stand in a frame, destination first. The kernel's header is packed: it would go by bytes. */
struct macs {
	__u32 word[3];
};

/*
 * A pointer to TYPE at an offset, or NULL where the frame is shorter. The mask tells the verifier that the offset is
 * small; headers that would lie beyond are refused by the parser.
 */
#define PKT_OFFSET_MASK 0x3ff
#define pkt_at(ctx, offset, TYPE) ((TYPE *)pkt_pull((ctx), (offset), sizeof(TYPE)))

static __always_inline void *pkt_pull(struct xdp_md *ctx, __u64 offset, __u32 size)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	offset &= PKT_OFFSET_MASK; /* in 64 bits, or the sum below widens it first */
	/* Without this, clang forgets the mask where it knows the offset's range, and the verifier does not. */
	barrier_var(offset);
	data += offset;
	if (data + size > end)
		return NULL;
	if (!data)
		__builtin_unreachable(); /* no frame begins there: who asks need not look again */
	return data;
}

/* The coarse clock, read once a packet and only where it matters: it costs as much as all the rest of a settled packet. */
static __always_inline __u64 pkt_now(struct pkt *p)
{
	if (!p->now_ns)
		p->now_ns = bpf_ktime_get_coarse_ns();
	return p->now_ns;
}

/* Time that has passed. Another CPU may have noted a later time than ours is: that is none. */
static __always_inline __u64 elapsed_ns(__u64 now_ns, __u64 since_ns)
{
	return now_ns > since_ns ? now_ns - since_ns : 0;
}

static __always_inline __u32 pkt_size(struct xdp_md *ctx)
{
	return bpf_xdp_get_buff_len(ctx);
}

/* Does the frame reach so far? Most do in their first buffer. */
static __always_inline bool pkt_reaches(struct xdp_md *ctx, __u32 offset)
{
	return (long)ctx->data + offset <= (long)ctx->data_end || offset <= pkt_size(ctx);
}

/*
 * Is there surely nothing behind the IP packet? Where the first buffer ends with a packet of ordinary size, it is the only
 * one: no helper need be asked. A jumbo frame may go on in other buffers.
 */
#define PKT_ORDINARY 1500
static __always_inline bool pkt_ends(struct xdp_md *ctx, const struct pkt *p)
{
	return p->ip_len <= PKT_ORDINARY && (long)ctx->data + p->l3 + p->ip_len == (long)ctx->data_end;
}

static __always_inline void addr_from_v4(struct canary_addr *addr, __be32 v4)
{
	addr->word[0] = 0;
	addr->word[1] = 0;
	addr->word[2] = bpf_htonl(0xffff);
	addr->word[3] = v4;
}

static __always_inline void addr_from_v6(struct canary_addr *addr, const struct in6_addr *v6)
{
	__builtin_memcpy(addr, v6, sizeof(*addr));
}

static __always_inline bool addr_v4(const struct canary_addr *addr)
{
	return !addr->word[0] && !addr->word[1] && addr->word[2] == bpf_htonl(0xffff);
}

static __always_inline bool addr_same(const struct canary_addr *a, const struct canary_addr *b)
{
	return a->word[3] == b->word[3] && a->word[2] == b->word[2] && a->word[1] == b->word[1] &&
	       a->word[0] == b->word[0];
}

#endif
