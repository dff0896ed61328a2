/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fleet costs etcd, its network and its leader: keys and values as the protocol writes them, a change of one service and
 * of one in a hundred at once, played hop by hop. Bytes are counted, the leader's time is measured; how long etcd takes is computed
 * of what it can write (see ETCD_WRITES).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/fleet.h"

enum {
	ETCD_WRITES =
		10000, /* transactions a second: a quarter of what etcd's "Performance" page has of 1,000 clients and 256 bytes */
	ETCD_KEY =
		120, /* bytes that etcd needs for a key besides it and its value: revisions, the index in memory, the tree */
	HOP_US = 500, /* from a host to etcd, or back */
	TICK = 5, /* s between counters */
	CONFIG = 2048, /* bytes of a service with twenty backends as JSON */
	COUNTERS = 120, /* bytes of a host's counters of a service */
	TXN_KEYS = 128, /* that a transaction may write (etcd's --max-txn-ops) */
};
#define PREFIX "/canary/prod"

static const struct {
	unsigned hosts, services;
} sizes[] = {{3, 10}, {10, 100}, {100, 1000}, {1000, 1000}, {1000, 10000}};

#define ETCD_QUOTA 2147483648.0 /* etcd's default */

struct cost {
	__u64 writes, written; /* transactions, and bytes */
	__u64 events, sent; /* to who watches */
	double leader_us;
};

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static size_t key_size(enum fleet_key_kind kind)
{
	const struct fleet_key key = {.kind = kind, .part = {"service-00000", "host-0000"}};
	char text[FLEET_KEY_LEN];

	if (fleet_format_key(PREFIX, &key, text))
		abort();
	return strlen(text);
}

static struct fleet_record preparing(void)
{
	const struct fleet_view old = {.config = 12, .weight = 500, .salt = 3}, new = {12, 2500, 3};
	struct fleet_record record = fleet_first(&old, "rollout");
	struct error error;

	if (fleet_propose(&record, &new, "rollout", &record, &error))
		abort();
	return record;
}

static size_t record_size(const struct fleet_record *record)
{
	char text[FLEET_TEXT_LEN];

	return key_size(FLEET_KEY_SERVICE) + strlen(fleet_format_record(record, text));
}

static size_t report_size(void)
{
	char text[FLEET_TEXT_LEN];

	return key_size(FLEET_KEY_HOST) + fleet_format_report(123456789, NULL, 0, text, sizeof(text));
}

static __u64 transactions(__u64 keys)
{
	return (keys + TXN_KEYS - 1) / TXN_KEYS;
}

static void write_key(struct cost *cost, size_t bytes, unsigned watchers)
{
	cost->written += bytes;
	cost->events += watchers;
	cost->sent += (__u64)watchers * bytes;
}

/* The hosts' reports come one by one, and the leader reads each and decides: until all are there, in vain. */
static void collect(struct cost *cost, const struct fleet_record *record, unsigned hosts, unsigned services, bool held)
{
	struct fleet_peer *peers = calloc(hosts, sizeof(*peers));
	struct fleet_question q = {
		.record = record, .revision = 1, .peers = peers, .peer_count = hosts, .prepare_ms = 1};
	struct fleet_exception exception;
	struct fleet_record next;
	struct error reason;
	double began = now_us();

	if (!peers)
		abort();
	for (unsigned i = 0; i < hosts; i++)
		peers[i] = (struct fleet_peer){.name = "host", .member = true, .alive = true};
	for (unsigned i = 0; i < hosts; i++) {
		if (fleet_parse_report("done 123456789\n", "service-00000", &peers[i].done, &exception))
			abort();
		for (unsigned j = 0; j < services; j++)
			fleet_decide(&q, &next, &reason);
	}
	cost->leader_us += now_us() - began;
	free(peers);
	for (unsigned i = 0; i < hosts; i++) {
		write_key(cost, report_size(), 1);
		for (unsigned j = 0; held && j < services; j++)
			write_key(cost, key_size(FLEET_KEY_HELD), 1);
	}
	cost->writes += hosts * transactions(1 + (held ? services : 0));
}

/* One change of so many services at once: each record is written twice, and the hosts answer. */
static struct cost change(unsigned hosts, unsigned services)
{
	struct fleet_record record = preparing(), open;
	struct cost cost = {.writes = 2ULL * services};

	fleet_commit(&record, &open);
	for (unsigned i = 0; i < services; i++)
		write_key(&cost, record_size(&record), hosts);
	collect(&cost, &record, hosts, services, false);
	for (unsigned i = 0; i < services; i++)
		write_key(&cost, record_size(&open), hosts);
	collect(&cost, &open, hosts, services, true);
	return cost;
}

static __u64 state_size(unsigned hosts, unsigned services, unsigned changing, __u64 *ret_keys)
{
	struct fleet_record record = preparing(), settled = fleet_first(&record.now, "rollout");
	__u64 bytes, h = hosts, s = services, c = changing;

	*ret_keys = 2 * s + 2 * h + 2 * c + 2 * h * c;
	bytes = (s - c) * record_size(&settled) + c * record_size(&record) + s * (key_size(FLEET_KEY_CONFIG) + CONFIG) +
		h * (key_size(FLEET_KEY_MEMBER) + 24 + report_size()) + h * c * key_size(FLEET_KEY_HELD) +
		h * c * (key_size(FLEET_KEY_COUNTERS) + COUNTERS);
	return bytes + *ret_keys * ETCD_KEY;
}

static double converge_ms(const struct cost *cost, unsigned hops)
{
	return hops * HOP_US / 1e3 + (double)cost->writes * 1e3 / ETCD_WRITES + cost->leader_us / 1e3;
}

/* Propose, watch, report, watch; commit, watch: that is when the new weight is everywhere. And a rollback: write, watch. */
enum { CHANGE_HOPS = 8, ROLLBACK_HOPS = 2 };

static void print_size(unsigned hosts, unsigned services)
{
	unsigned changing = services / 100 ? services / 100 : 1;
	struct cost one = change(hosts, 1), many = change(hosts, changing);
	struct cost rollback = {.writes = 1}, rollbacks = {.writes = changing};
	__u64 keys, bytes = state_size(hosts, services, changing, &keys);

	printf("%6u %8u %9llu %9.1f %8u %9.0f %10.1f %9llu %10.1f %9.1f %9.1f %9.0f\n", hosts, services,
	       (unsigned long long)keys, (double)bytes / 1e6, changing, converge_ms(&one, CHANGE_HOPS),
	       converge_ms(&many, CHANGE_HOPS), (unsigned long long)many.writes, (double)many.sent / 1e6,
	       converge_ms(&rollback, ROLLBACK_HOPS), converge_ms(&rollbacks, ROLLBACK_HOPS),
	       (double)(hosts * transactions(changing)) / TICK + hosts / (10.0 / 3));
}

/* So many services of a fleet may be in a rollout at a time. */
static void print_limits(unsigned hosts, unsigned services)
{
	unsigned changing = 1;
	__u64 keys;

	while (changing < services && (double)state_size(hosts, services, changing + 1, &keys) < ETCD_QUOTA)
		changing++;
	printf("%u hosts, %u services: etcd's default quota (2 GB, history not counted) is full at %u rollouts at a "
	       "time;\n"
	       "counters alone then take %.0f transactions and %.1f MB a second\n",
	       hosts, services, changing, (double)(hosts * transactions(changing)) / TICK,
	       (double)hosts * changing * (double)(key_size(FLEET_KEY_COUNTERS) + COUNTERS) / TICK / 1e6);
}

static void print_leader(unsigned hosts)
{
	struct fleet_record record = preparing();
	struct cost cost = {};

	collect(&cost, &record, hosts, 1, false);
	printf("%6u hosts: the leader takes %.2f ms to read %u reports of a change, and to decide after each\n", hosts,
	       cost.leader_us / 1e3, hosts);
}

int main(void)
{
	puts("One service in a hundred changes at the same time. Counted: keys, bytes, transactions. Measured: the "
	     "leader's time.\n"
	     "Computed: ms, of 10,000 transactions a second and 0.5 ms a hop; a second's transactions for counters "
	     "every 5 s of what\n"
	     "changes, and leases of 10 s.\n");
	puts(" hosts services      keys  state/MB changing    one/ms     all/ms      txns   watch/MB  rollback    "
	     "all/ms     "
	     "txn/s");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		print_size(sizes[i].hosts, sizes[i].services);
	puts("");
	for (unsigned hosts = 10; hosts <= 1000; hosts *= 10)
		print_leader(hosts);
	puts("");
	print_limits(1000, 10000);
	return 0;
}
