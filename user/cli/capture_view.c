/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/capture.h"
#include "cli/output.h"
#include "cli/view.h"
#include "core/frame_summary.h"
#include "core/text.h"
#include "ops/clock.h"

static const struct {
	const char *name, *help;
} reasons[CANARY_REASONS] = {
#define X(NAME, name, SCOPE, help) [CANARY_REASON_##NAME] = {#name, help},
	CANARY_REASON_LIST(X)
#undef X
};

static const char *verdict_name(const struct canary_captured *what)
{
	if (what->flags & CANARY_CAPTURE_ANSWER)
		return "answered";
	switch (what->action) {
	case XDP_DROP:
		return "dropped";
	case XDP_PASS:
		return "passed";
	case XDP_TX:
	case XDP_REDIRECT:
		return "forwarded";
	default:
		return "aborted";
	}
}

static json_t *view_backend_of(const struct capture_packet *packet)
{
	char addr[ADDR_TEXT_LEN];

	if (!packet->what.backend)
		return json_null();
	return json_pack("{s:s, s:i}", "address", format_addr(&packet->backend, addr), "port", packet->backend_port);
}

static json_t *view_protocol(const struct frame_summary *frame)
{
	switch (frame->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		return json_string(proto_name(frame->proto));
	case IPPROTO_ICMP:
		return json_string("icmp");
	case IPPROTO_ICMPV6:
		return json_string("icmp6");
	default:
		return json_sprintf("ip-proto-%d", frame->proto);
	}
}

static json_t *view_port(int port)
{
	return port < 0 ? json_null() : json_integer(port);
}

/* Who speaks to whom: all null where the packet says nothing that can be read. */
static void add_frame(json_t *view, const struct capture_packet *packet)
{
	struct frame_summary frame;
	bool known = !frame_summarise(packet->came, packet->what.captured, &frame);
	json_t *vlans = json_array();
	char addr[ADDR_TEXT_LEN], flags[TCP_FLAGS_TEXT_LEN];

	for (unsigned i = 0; i < frame.vlan_count; i++)
		json_array_append_new(vlans, json_integer(frame.vlan[i]));
	json_object_set_new(view, "vlans", vlans);
	json_object_set_new(view, "source", known ? json_string(format_addr(&frame.source, addr)) : json_null());
	json_object_set_new(view, "source_port", view_port(frame.source_port));
	json_object_set_new(view, "destination",
			    known ? json_string(format_addr(&frame.destination, addr)) : json_null());
	json_object_set_new(view, "destination_port", view_port(frame.destination_port));
	json_object_set_new(view, "protocol", known ? view_protocol(&frame) : json_null());
	json_object_set_new(view, "tcp_flags",
			    frame.tcp ? json_string(format_tcp_flags(frame.tcp_flags, flags)) : json_null());
	json_object_set_new(view, "fragment", json_boolean(frame.fragment));
	json_object_set_new(view, "length", json_integer(packet->what.length));
}

json_t *view_captured(const struct capture_packet *packet)
{
	const struct canary_captured *what = &packet->what;
	char time[CLOCK_TEXT_LEN];
	json_t *view = json_pack("{s:s, s:o}", "time", clock_wall_text_ms(what->time_ns, time), "interface",
				 json_text(packet->interface));

	add_frame(view, packet);
	json_object_set_new(view, "service", packet->service[0] ? json_text(packet->service) : json_null());
	json_object_set_new(view, "cohort",
			    what->cohort < CANARY_COHORTS ? json_string(cohort_name(what->cohort)) : json_null());
	json_object_set_new(view, "backend", view_backend_of(packet));
	json_object_set_new(view, "direction",
			    json_string(what->flags & CANARY_CAPTURE_REPLY ? "to_client" : "to_backend"));
	json_object_set_new(view, "verdict", json_string(verdict_name(what)));
	json_object_set_new(view, "reason",
			    what->reason < CANARY_REASONS ? json_string(reasons[what->reason].name) : json_null());
	json_object_set_new(view, "egress", packet->egress[0] ? json_text(packet->egress) : json_null());
	return view;
}

/* "10.0.0.21:8080", "[2001:db8::1]:80", or the address alone where there is no port. */
static const char *endpoint_text(const char *addr, json_int_t port, char buf[96])
{
	if (port <= 0)
		snprintf(buf, 96, "%s", addr);
	else
		snprintf(buf, 96, strchr(addr, ':') ? "[%s]:%lld" : "%s:%lld", addr, (long long)port);
	return buf;
}

static const char *end_text(const json_t *view, const char *addr, const char *port, char buf[96])
{
	return endpoint_text(text_of(view, addr), integer_of(view, port), buf);
}

static const char *backend_text(const json_t *view, char buf[96])
{
	return end_text(json_object_get(view, "backend"), "address", "port", buf);
}

/* " vlan 100.8", the outer one first; nothing where there is no tag. */
static void print_vlans(const json_t *vlans)
{
	const json_t *vlan;
	size_t i;

	json_array_foreach (vlans, i, vlan)
		printf("%s%lld", i ? "." : " vlan ", (long long)json_integer_value(vlan));
}

void print_captured(const struct cli *cli, const json_t *view)
{
	const char *reason = text_of(view, "reason"), *egress = text_of(view, "egress"),
		   *flags = text_of(view, "tcp_flags");
	const char *cohort = text_of(view, "cohort"), *service = text_of(view, "service");
	bool dropped = !strcmp(text_of(view, "verdict"), "dropped");
	enum style style = dropped ? STYLE_ALARM : STYLE_PLAIN;
	char from[96], to[96], backend[96];

	printf("%s%s  %s", style_begin(cli, style), text_of(view, "time"), text_of(view, "interface"));
	print_vlans(json_object_get(view, "vlans"));
	printf("  ");
	if (*text_of(view, "source"))
		printf("%s -> %s  %s%s%s", end_text(view, "source", "source_port", from),
		       end_text(view, "destination", "destination_port", to), text_of(view, "protocol"),
		       *flags ? " " : "", flags);
	else
		printf("not an IP packet");
	printf("  %lld bytes  %s %s %s  %s", (long long)integer_of(view, "length"), *service ? service : "-",
	       *cohort ? cohort : "-", *backend_text(view, backend) ? backend : "-", text_of(view, "verdict"));
	if (*egress)
		printf(" %s", egress);
	if (*reason)
		printf("  %s", reason);
	printf("%s\n", style_end(cli, style));
}

/* Adds " key=value", unless the value is empty. */
static void append(char buf[CAPTURE_COMMENT_LEN], const char *key, const char *value)
{
	size_t len = strlen(buf);

	if (*value)
		snprintf(buf + len, CAPTURE_COMMENT_LEN - len, "%s%s=%s", len ? " " : "", key, value);
}

static const char *reason_help(const char *name)
{
	for (size_t i = 0; i < CANARY_REASONS; i++)
		if (!strcmp(reasons[i].name, name))
			return reasons[i].help;
	return "";
}

const char *format_captured(const json_t *view, char buf[CAPTURE_COMMENT_LEN])
{
	static const char *const plain[] = {"verdict", "egress", "reason"};
	const char *reason = text_of(view, "reason");
	char backend[96];
	size_t len;

	buf[0] = 0;
	append(buf, "service", text_of(view, "service"));
	append(buf, "cohort", text_of(view, "cohort"));
	append(buf, "backend", backend_text(view, backend));
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		append(buf, plain[i], text_of(view, plain[i]));
	len = strlen(buf);
	if (*reason)
		snprintf(buf + len, CAPTURE_COMMENT_LEN - len, " (%s)", reason_help(reason));
	return buf;
}
