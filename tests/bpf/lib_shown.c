/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_shown.h"

#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

enum {
	LINES = 512,
	LINE = 160,
};

static const char *const reason_names[] = {
#define X(NAME, name, SCOPE, help) #name,
	CANARY_REASON_LIST(X)
#undef X
};

static const char *test;
static char lines[LINES][LINE]; /* that are in the file already */
static size_t line_count;

void shown_begin(const char *name)
{
	test = name && !strncmp(name, "case", 4) ? name : NULL;
}

static void add_line(const char *line)
{
	FILE *file;

	for (size_t i = 0; i < line_count; i++)
		if (!strcmp(lines[i], line))
			return;
	assert_true(line_count < LINES);
	snprintf(lines[line_count++], LINE, "%s", line);
	file = fopen(getenv("CANARY_TEST_SHOWN"), "ae");
	if (!file || fprintf(file, "%s\n", line) < 0 || fclose(file))
		fail_msg("cannot write to %s", getenv("CANARY_TEST_SHOWN"));
}

/* The counters that move for a dropped packet name its reason. */
static const char *reason_in(const char *counters)
{
	char copy[1024], *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", counters);
	while ((word = strsep(&rest, " "))) {
		const char *last = strrchr(word, '.');

		for (int i = 0; last && i < CANARY_REASONS; i++)
			if (!strcmp(last + 1, reason_names[i]))
				return reason_names[i];
	}
	return "without_a_reason";
}

static void outcome_text(const struct spec *in, int verdict, const struct spec *want, const char *counters,
			 char ret[64])
{
	if (verdict == XDP_DROP)
		snprintf(ret, 64, "dropped:%s", reason_in(counters));
	else if (verdict == XDP_PASS)
		snprintf(ret, 64, "passed");
	else if (want && want->dst && !strcmp(want->dst, in->src))
		snprintf(ret, 64, "answered");
	else
		snprintf(ret, 64, "forwarded");
}

/* An ICMP error belongs to what it quotes, the other way round. */
struct ends {
	const char *client, *service;
	unsigned service_port, client_port, proto;
};

static struct ends ends_of(const struct spec *in)
{
	const struct spec *quote = in->quote;

	if (quote)
		return (struct ends){quote->dst, quote->src, quote->sport, quote->dport, quote->proto};
	return (struct ends){in->src, in->dst, in->dport, in->sport, in->proto};
}

static bool is_from_backend(const struct service_model *service, const struct ends *ends)
{
	struct canary_addr addr = make_addr(ends->client);

	for (size_t i = 0; i < service->backend_count; i++)
		if (addr_equal(&service->backends[i].addr, &addr) && service->forward == CANARY_FORWARD_NAT &&
		    (!service->backends[i].port || service->backends[i].port == (int)ends->client_port))
			return true;
	return false;
}

/* Does the packet name the very service, by port and protocol too? */
static bool is_for(const struct service_model *service, const struct ends *ends)
{
	unsigned proto = ends->proto ? ends->proto : IPPROTO_TCP;

	return service->proto == (int)proto && (!service->port || service->port == (int)ends->service_port);
}

static bool has_ports(const struct ends *ends)
{
	return !ends->proto || ends->proto == IPPROTO_TCP || ends->proto == IPPROTO_UDP;
}

/* By bits: the modes of the service that a packet is for. What has no ports (`by_address`) is for all of its address. */
static unsigned modes_of(const struct ends *ends, bool by_address, bool *ret_reply)
{
	struct canary_addr addr = make_addr(ends->service);
	unsigned named = 0, with_address = 0;

	*ret_reply = false;
	for (size_t i = 0; i < env.model.service_count; i++) {
		const struct service_model *service = &env.model.services[i];

		if (is_from_backend(service, ends)) {
			*ret_reply = true;
			return 1 << CANARY_FORWARD_NAT;
		}
		if (!addr_equal(&service->addr, &addr))
			continue;
		with_address |= 1 << service->forward;
		if (is_for(service, ends))
			named |= 1 << service->forward;
	}
	return named || !by_address ? named : with_address;
}

void shown_packet(const struct spec *in, int verdict, const struct spec *want, const char *counters)
{
	struct ends ends = ends_of(in);
	char line[LINE], outcome[64];
	unsigned modes;
	bool reply;

	if (!test || !getenv("CANARY_TEST_SHOWN"))
		return;
	modes = modes_of(&ends, verdict == XDP_DROP || !has_ports(&ends), &reply);
	outcome_text(in, verdict, want, counters, outcome);
	for (int i = 0; i < CANARY_FORWARDS || !modes; i++) {
		if (modes && !(modes & 1 << i))
			continue;
		snprintf(line, sizeof(line), "%s %s %s %s %s", test, modes ? forward_name(i) : "none",
			 strchr(in->src, ':') ? "v6" : "v4", reply ? "reply" : "request", outcome);
		add_line(line);
		if (!modes)
			return;
	}
}
