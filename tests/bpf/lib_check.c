/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_check.h"

#include <linux/bpf.h>
#include <netinet/in.h>
#include <string.h>

#include "lib_packet.h"

enum {
	PARSED_EXTENSIONS = 6, /* IPv6 extension headers that are looked through */
	PARSED_DEPTH = 1000, /* bytes that the headers may take */
	ANSWER_TTL = 64,
	ANSWER_MAX4 = 576, /* RFC 1812, 4.3.2.3 */
	ANSWER_MAX6 = 1280, /* RFC 4443, 2.4 (c) */
	QUOTED_HEADERS = 80 + PARSED_DEPTH, /* of an ICMP error, that may be translated, with what extends them */
};

const struct service_model *check_service(const struct check_world *world, const struct canary_addr *addr, int proto,
					  int port)
{
	for (size_t i = 0; i < world->model->service_count; i++) {
		const struct service_model *service = &world->model->services[i];

		if (addr_equal(&service->addr, addr) && (proto < 0 || service->proto == proto) &&
		    (port < 0 || !service->port || service->port == port))
			return service;
	}
	return NULL;
}

static const struct backend_model *find_backend(const struct service_model *service, const struct canary_addr *addr)
{
	for (size_t i = 0; i < service->backend_count; i++)
		if (addr_equal(&service->backends[i].addr, addr))
			return &service->backends[i];
	return NULL;
}

bool check_is_backend(const struct check_world *world, const struct canary_addr *addr)
{
	for (size_t i = 0; i < world->model->service_count; i++)
		if (find_backend(&world->model->services[i], addr))
			return true;
	return false;
}

static bool is_service(const struct check_run *run, const struct canary_addr *addr)
{
	return check_service(run->world, addr, -1, -1);
}

static bool has_ports(const struct frame *frame)
{
	return frame->proto == IPPROTO_TCP || frame->proto == IPPROTO_UDP;
}

static bool is_icmp(const struct frame *frame)
{
	return frame->proto == IPPROTO_ICMP || frame->proto == IPPROTO_ICMPV6;
}

static bool is_for_us(const struct check_run *run)
{
	return run->in.len >= 6 && !memcmp(run->in.data, run->world->mac[run->interface], 6);
}

/* IPv6 from or to what stands for an IPv4 address: nobody's service (RFC 4291, 2.5.5.2). */
static bool is_mapped(const struct frame *frame)
{
	return frame->family == 6 && (addr_is_v4(&frame->src) || addr_is_v4(&frame->dst));
}

/* Nothing in the packet has to do with a service: no address of one, no backend's answer, no error that may quote it. */
static bool not_for_a_service(const struct check_run *run, const struct frame *frame, bool ip)
{
	/* Beyond what is looked through, the address alone says whom a packet is for. */
	bool deep = frame->extensions > PARSED_EXTENSIONS || frame->l4 > PARSED_DEPTH;

	if (!ip || !is_for_us(run) || is_mapped(frame))
		return true;
	if (frame->later && !deep) /* follows its packet's first one, where that was for a service or from a backend */
		return !is_service(run, &frame->dst) && !check_is_backend(run->world, &frame->src);
	if (frame->sound && !deep) {
		if (!has_ports(frame) && !is_icmp(frame))
			return true;
		if (is_icmp(frame))
			return !is_service(run, &frame->dst) && frame->l4 < frame->l3 + frame->ip_len &&
			       run->in.data[frame->l4] > 127;
		return !check_service(run->world, &frame->dst, frame->proto, frame->dport) &&
		       !check_is_backend(run->world, &frame->src);
	}
	return !is_service(run, &frame->dst) && !check_is_backend(run->world, &frame->src);
}

static bool for_a_service(const struct check_run *run, const struct frame *frame, bool ip)
{
	return ip && is_for_us(run) && !is_mapped(frame) && frame->sound && has_ports(frame) && !frame->routed &&
	       frame->ttl > 1 && check_service(run->world, &frame->dst, frame->proto, frame->dport);
}

/* May this byte of the IP packet, counted from its header, change on the way? */
static bool may_change(const struct frame *in, const struct frame *out, unsigned at)
{
	unsigned l4 = in->l4 - in->l3, check = frame_check_at(in) - in->l3;
	bool nat = !addr_equal(&in->src, &out->src) || !addr_equal(&in->dst, &out->dst);

	if (in->family == 4 ? at == 8 || at == 10 || at == 11 : at == 7)
		return true;
	if (is_icmp(in) && at >= l4 + 2)
		return at < l4 + 4 || (at >= l4 + 8 && at < l4 + 8 + QUOTED_HEADERS);
	if (frame_check_at(in) && (at == check || at == check + 1))
		return true;
	if (!nat)
		return false;
	if (!is_icmp(in) && !in->later && at >= l4 && at < l4 + 4)
		return true;
	return in->family == 4 ? at >= 12 && at < 20 : at >= 8 && at < 40;
}

/* The packet is the same, one hop on, but for what a translation changes. */
static const char *compare(const struct check_run *run, const struct frame *in, const struct frame *out)
{
	const __u8 *from = run->in.data, *to = run->out.data;
	unsigned before = frame_checks(from, in), after = frame_checks(to, out);

	if (out->ttl != in->ttl - 1)
		return "not one hop on";
	if (out->ip_len != in->ip_len || out->l4 - out->l3 != in->l4 - in->l3 || out->proto != in->proto)
		return "another shape";
	if (before & ~after)
		return "a checksum that was right is wrong now";
	/* With partial checksums a wrong one may be made right. */
	if (!run->partial && after & ~before)
		return "a checksum that was wrong is right now";
	for (unsigned i = 0; i < in->ip_len; i++)
		if (from[in->l3 + i] != to[out->l3 + i] && !may_change(in, out, i))
			return "a byte changed that is none of our business";
	return NULL;
}

/* Translated to one of the service's backends, or as it was. */
static const char *check_request(const struct service_model *service, const struct frame *in, const struct frame *out)
{
	const struct backend_model *backend = NULL;

	if (!addr_equal(&in->src, &out->src) || in->sport != out->sport)
		return "a request has another source";
	if (service->forward != CANARY_FORWARD_NAT)
		return addr_equal(&in->dst, &out->dst) && in->dport == out->dport ? NULL : "translated without nat";
	for (size_t i = 0; !backend && i < service->backend_count; i++)
		if (addr_equal(&service->backends[i].addr, &out->dst) &&
		    (int)out->dport == (service->backends[i].port ? service->backends[i].port : (int)in->dport))
			backend = &service->backends[i];
	return backend ? NULL : "sent to no backend of the service";
}

static const char *check_reply(const struct check_run *run, const struct frame *in, const struct frame *out)
{
	const struct service_model *service = check_service(run->world, &out->src, out->proto, out->sport);

	if (!addr_equal(&in->dst, &out->dst) || in->dport != out->dport)
		return "an answer has another destination";
	if (!service || service->forward != CANARY_FORWARD_NAT)
		return "an answer comes from no service";
	return find_backend(service, &in->src) ? NULL : "an answer of no backend of the service";
}

/*
 * Of an ICMP error, or a fragment without ports, the addresses alone: a backend's becomes the service's, and the other way
 * round; a router's stays.
 */
static const char *check_addresses(const struct check_run *run, const struct frame *in, const struct frame *out)
{
	bool to = addr_equal(&in->dst, &out->dst), from = addr_equal(&in->src, &out->src);

	if (!to && (!is_service(run, &in->dst) || !check_is_backend(run->world, &out->dst)))
		return "sent to no backend";
	if (!from && (!check_is_backend(run->world, &in->src) || !is_service(run, &out->src)))
		return "it comes from no service";
	return to || from ? NULL : "both addresses changed";
}

static const char *check_plain(const struct check_run *run, const struct frame *in, const struct frame *out)
{
	const struct service_model *service;
	const char *problem = NULL;

	if (run->out.len - out->l3 != run->in.len - in->l3)
		return "bytes were lost or added";
	if (memcmp(run->in.data + in->l3 + in->ip_len, run->out.data + out->l3 + out->ip_len,
		   run->in.len - in->l3 - in->ip_len))
		return "padding changed";
	service = check_service(run->world, &in->dst, in->proto, in->dport);
	if (out->sound != in->sound)
		return "what comes out is no packet";
	if (is_icmp(in) || in->later)
		problem = check_addresses(run, in, out);
	else if (service)
		problem = check_request(service, in, out);
	else
		problem = check_reply(run, in, out);
	return problem ? problem : compare(run, in, out);
}

static unsigned traffic_class(const __u8 *data, const struct frame *frame)
{
	const __u8 *ip = data + frame->l3;

	return frame->family == 4 ? ip[1] : (ip[0] & 15) << 4 | ip[1] >> 4;
}

/*
 * How a packet may be inside of another: by the outer protocol, of UDP by the port, after a header of the tunnel's own. A
 * way of forwarding is a line more.
 */
static const struct encapsulation {
	enum canary_forward forward;
	unsigned proto, port, header;
} encapsulations[] = {
	{CANARY_FORWARD_IPIP, IPPROTO_IPIP, 0, 0},
	{CANARY_FORWARD_IPIP, IPPROTO_IPV6, 0, 0},
	{CANARY_FORWARD_GUE, IPPROTO_UDP, GUE_PORT, 12},
};

/* NULL: the packet is in none. In one it would be longer. */
static const struct encapsulation *encapsulation_of(const struct frame *in, const struct frame *out)
{
	for (size_t i = 0; out->ip_len > in->ip_len && i < sizeof(encapsulations) / sizeof(*encapsulations); i++)
		if (encapsulations[i].proto == out->proto &&
		    (!encapsulations[i].port || encapsulations[i].port == out->dport))
			return &encapsulations[i];
	return NULL;
}

/*
 * GUE's private data: nothing, or one more backend of the service, as a list of GLB Director's form (type, next, count,
 * addresses; type 1 for IPv6).
 */
static const char *check_alternate(const __u8 *data, const struct frame *in, const struct frame *out,
				   const struct service_model *service, unsigned len)
{
	const __u8 *list = data + out->l4 + 12;
	struct canary_addr addr = {.word = {0, 0, htonl(0xffff)}};
	bool v4 = out->family == 4;

	if (!len)
		return NULL;
	if (len != (v4 ? 8 : 20) || list[0] || list[1] != !v4 || list[2] || list[3] != 1)
		return "private data that is no list of one address";
	if (in->proto == IPPROTO_UDP || in->tcp_flags & SYN)
		return "another backend for what opens a flow, or no connection";
	memcpy(&addr.word[v4 ? 3 : 0], list + 4, v4 ? 4 : sizeof(addr));
	if (addr_equal(&addr, &out->dst))
		return "the backend itself as the other one";
	return service && !find_backend(service, &addr) ? "another service's backend as the other one" : NULL;
}

/* RFC 2003, 2473, 4213, draft-ietf-intarea-gue: from us to a backend, with the whole packet inside and nothing behind it. */
static const char *check_tunnel(const struct check_run *run, const struct encapsulation *tunnel, const struct frame *in,
				const struct frame *out)
{
	const __u8 *data = run->out.data;
	const struct service_model *service =
		in->later ? NULL : check_service(run->world, &in->dst, in->proto, in->dport);
	const struct backend_model *backend = service ? find_backend(service, &out->dst) : NULL;
	unsigned checks = frame_checks(data, out);
	unsigned private_len = tunnel->forward == CANARY_FORWARD_GUE ? (data[out->l4 + 8] & 31) * 4 : 0;
	const char *problem;
	struct frame inner;

	if (!out->sound)
		return "what comes out is no packet";
	if (out->proto == IPPROTO_UDP && !(checks & (FRAME_TRANSPORT | FRAME_NONE)))
		return "the tunnel's checksum is wrong";
	if (out->family == 4 && !(checks & FRAME_HEADER))
		return "the outer header's checksum is wrong";
	if (run->out.len != out->l3 + out->ip_len)
		return "the tunnel's length is not the frame's";
	if (out->extensions || (out->family == 4 && out->header_len != 20) || out->ttl < 32)
		return "the outer header is not a plain one";
	if (traffic_class(data, out) != traffic_class(run->in.data, in))
		return "the outer header has another traffic class (RFC 6040)";
	if (service && (service->forward != tunnel->forward || !backend))
		return "a tunnel to no backend of the service";
	if (backend && !addr_equal(&out->src, &backend->tunnel_source))
		return "a tunnel from another's address";
	if (!service && !is_icmp(in) && !in->later)
		return "a tunnel for no service";
	problem = check_alternate(data, in, out, service, private_len);
	if (problem)
		return problem;
	if (!frame_read_ip(data, run->out.len, out->l4 + tunnel->header + private_len, &inner) ||
	    inner.sound != in->sound || run->out.len != inner.l3 + inner.ip_len)
		return "what is in the tunnel is no packet";
	if (!addr_equal(&in->src, &inner.src) || !addr_equal(&in->dst, &inner.dst))
		return "translated in a tunnel";
	return compare(run, in, &inner);
}

/* From one of our interfaces to somebody else's. */
static const char *check_link(const struct check_run *run)
{
	const __u8 *to = run->out.data, *from = run->out.data + 6;
	bool ours = false;

	for (int i = 0; i < CHECK_MACS; i++) {
		ours |= !memcmp(from, run->world->mac[i], 6);
		if (!memcmp(to, run->world->mac[i], 6))
			return "sent to ourselves";
	}
	if (to[0] & 1)
		return "sent to many";
	return ours ? NULL : "sent with another's link address";
}

bool check_is_answer(const struct frame *in, const struct frame *out)
{
	bool reset = out->proto == IPPROTO_TCP && out->tcp_flags == RST && !(in->tcp_flags & RST);

	/* A client may seem to speak to itself, as a backend, or with the service's address: what is forwarded is its packet yet. */
	return addr_equal(&in->src, &out->dst) && addr_equal(&in->dst, &out->src) &&
	       (!addr_equal(&in->src, &in->dst) || in->proto != out->proto || reset);
}

/* RFC 9293, 3.10.7.1: what a closed connection answers to a segment with an ACK. */
static const char *check_reset(const struct check_run *run, const struct frame *in, const struct frame *out)
{
	if (in->proto != IPPROTO_TCP || in->tcp_flags & RST || !(in->tcp_flags & ACK) || out->tcp_flags != RST)
		return "an answer that is no reset";
	if (in->sport != out->dport || in->dport != out->sport ||
	    memcmp(run->in.data + in->l4 + 8, run->out.data + out->l4 + 4, 4))
		return "a reset of another connection";
	return NULL;
}

/* RFC 792, RFC 4443: the request's data, from where it was sent to. */
static const char *check_echo(const struct check_run *run, const struct frame *in, const struct frame *out)
{
	unsigned request = in->family == 4 ? 8 : 128, reply = in->family == 4 ? 0 : 129;
	const __u8 *from = run->in.data + in->l4, *to = run->out.data + out->l4;

	if (from[0] != request || to[0] != reply || from[1] || to[1] || in->ip_len != out->ip_len ||
	    run->in.len != run->out.len)
		return "an answer that is no echo's";
	return memcmp(from + 4, to + 4, in->ip_len - (in->l4 - in->l3) - 4) ? "an echo with other data" : NULL;
}

/* RFC 1191, RFC 4443: what was too big is quoted, as far as there is room. */
static const char *check_too_big(const struct check_run *run, const struct frame *in, const struct frame *out)
{
	const __u8 *icmp = run->out.data + out->l4;
	unsigned quoted = out->l3 + out->ip_len - (out->l4 + 8);

	if (in->family == 4 ? icmp[0] != 3 || icmp[1] != 4 : icmp[0] != 2 || icmp[1])
		return "an answer that is no error about the size";
	if (run->out.len != out->l3 + out->ip_len || out->ip_len > (out->family == 4 ? ANSWER_MAX4 : ANSWER_MAX6))
		return "an answer of the wrong length";
	if (quoted > in->ip_len || memcmp(icmp + 8, run->in.data + in->l3, quoted))
		return "an answer about another packet";
	return NULL;
}

static const char *check_answer(const struct check_run *run, const struct frame *in, const struct frame *out,
				struct check_tally *tally)
{
	unsigned checks = frame_checks(run->out.data, out), right = frame_checks(run->in.data, in);

	if (run->verdict != XDP_TX || memcmp(run->out.data, run->in.data + 6, 6) ||
	    memcmp(run->out.data + 6, run->in.data, 6) || out->ttl != ANSWER_TTL)
		return "an answer that does not go back";
	if (is_icmp(in)) {
		tally->echoes++;
		return right & ~checks ? "a checksum that was right is wrong in the answer" : check_echo(run, in, out);
	}
	if ((out->family == 4 && !(checks & FRAME_HEADER)) || !(checks & FRAME_TRANSPORT))
		return "an answer with a wrong checksum";
	if (is_icmp(out)) {
		tally->told++;
		return check_too_big(run, in, out);
	}
	tally->resets++;
	if (run->out.len != out->l3 + out->ip_len)
		return "an answer's length is not the frame's";
	return check_reset(run, in, out);
}

/* What is forwarded is sound, was sound, and is the same packet but for what had to change. */
static const char *check_forwarded(const struct check_run *run, const struct frame *in, struct check_tally *tally)
{
	const struct encapsulation *tunnel;
	const char *problem;
	struct frame out;

	tally->forwarded++;
	/* Of a later fragment nothing is read but its own header. */
	if (in->routed || (in->later ? in->l3 + in->ip_len > run->in.len : !in->sound))
		return "should never be forwarded";
	if (!frame_read(run->out.data, run->out.len, &out))
		return "what comes out is no packet";
	if (out.sound && check_is_answer(in, &out))
		return check_answer(run, in, &out, tally);
	if (in->ttl < 2)
		return "forwarded beyond its hop limit";
	tally->forwarded_bytes += in->ip_len;
	problem = check_link(run);
	if (problem)
		return problem;
	tunnel = encapsulation_of(in, &out);
	return tunnel ? check_tunnel(run, tunnel, in, &out) : check_plain(run, in, &out);
}

static const char *check_passed(const struct check_run *run, const struct frame *frame, bool ip)
{
	if (run->in.len != run->out.len || memcmp(run->in.data, run->out.data, run->in.len))
		return "passed, but changed";
	return for_a_service(run, frame, ip) ? "passed, but for a service" : NULL;
}

const char *check_packet(const struct check_run *run, struct check_tally *tally)
{
	struct frame frame;
	bool ip = frame_read(run->in.data, run->in.len, &frame);
	const char *problem = NULL;

	tally->run++;
	tally->ours += for_a_service(run, &frame, ip);
	switch (run->verdict) {
	case XDP_PASS:
		tally->passed++;
		return check_passed(run, &frame, ip);
	case XDP_DROP:
		tally->dropped++;
		break;
	case XDP_TX:
	case XDP_REDIRECT:
		problem = ip ? check_forwarded(run, &frame, tally) : "forwarded, but not IP";
		break;
	default:
		return "no verdict of ours";
	}
	if (!problem && not_for_a_service(run, &frame, ip))
		return "not for a service, but not passed";
	return problem;
}

void check_add_interface(struct check_counts *counts, const struct canary_interface_counters *values)
{
	counts->passed += values->count[CANARY_INTERFACE_PASSED];
	counts->forwarded += values->count[CANARY_INTERFACE_FORWARDED];
	counts->tx_errors += values->count[CANARY_INTERFACE_TX_ERRORS];
	counts->faults += values->drops[CANARY_REASON_FAULT];
	for (int i = 0; i < CANARY_REASONS; i++)
		counts->dropped += values->drops[i];
}

void check_add_cohort(struct check_counts *counts, const struct canary_cohort_counters *values)
{
	counts->packets += values->count[CANARY_COHORT_PACKETS];
	counts->bytes += values->count[CANARY_COHORT_BYTES];
	counts->replies += values->count[CANARY_COHORT_REPLY_PACKETS];
	counts->reply_bytes += values->count[CANARY_COHORT_REPLY_BYTES];
	counts->resets += values->count[CANARY_COHORT_RESET];
	counts->told += values->count[CANARY_COHORT_TOO_BIG_ANSWERED];
	for (int i = 0; i < CANARY_COHORT_REASONS; i++)
		counts->dropped += values->drops[i];
}

void check_add_backend(struct check_counts *counts, const struct canary_backend_counters *values)
{
	counts->backend_packets += values->count[CANARY_BACKEND_PACKETS];
	counts->backend_bytes += values->count[CANARY_BACKEND_BYTES];
}

const char *check_counted(const struct check_counts *before, const struct check_counts *after,
			  const struct check_tally *tally)
{
#define MOVED(what) (after->what - before->what)
	if (MOVED(faults))
		return "a fault was counted";
	if (MOVED(tx_errors))
		return "a loss after the verdict was counted";
	if (MOVED(passed) != tally->passed)
		return "another number is counted as passed";
	if (MOVED(forwarded) != tally->forwarded)
		return "another number is counted as forwarded";
	if (MOVED(dropped) != tally->dropped + tally->told)
		return "another number is counted as dropped";
	if (MOVED(resets) != tally->resets || MOVED(told) != tally->told)
		return "another number is counted as answered";
	if (MOVED(packets) + MOVED(replies) != tally->forwarded - tally->resets - tally->told - tally->echoes)
		return "cohorts do not add up to what was forwarded";
	if (MOVED(bytes) + MOVED(reply_bytes) != tally->forwarded_bytes)
		return "the cohorts' bytes are not those of what was forwarded";
	if (MOVED(backend_packets) != MOVED(packets) || MOVED(backend_bytes) != MOVED(bytes))
		return "backends do not add up to their cohorts";
#undef MOVED
	return NULL;
}
