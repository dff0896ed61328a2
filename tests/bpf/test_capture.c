/* SPDX-License-Identifier: Apache-2.0 */
/* What a capture gets of packets: byte for byte as they came and left, with what became of them; and what bounds it. */
#include "lib_way.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "core/text.h"
#include "dataplane/capture.h"

enum { MAX_KEPT = 64 };

struct kept {
	struct capture_packet packet;
	__u8 came[CANARY_CAPTURE_SNAPLEN], left[CANARY_CAPTURE_SNAPLEN];
};

static struct kept *kept;
static unsigned kept_count;
static struct capture *capture;
static struct dataplane *reader; /* as canaryctl has it: with no access to change */

static struct capture_request everything(void)
{
	return (struct capture_request){
		.cohort = CANARY_CAPTURE_ANY, .sample = 1, .snaplen = CANARY_CAPTURE_SNAPLEN, .rate = 100000};
}

static int keep(const struct capture_packet *packet, void *arg)
{
	struct kept *place = &kept[kept_count++ % MAX_KEPT];

	(void)arg;
	place->packet = *packet;
	memcpy(place->came, packet->came, packet->what.captured);
	memcpy(place->left, packet->left, packet->what.left_captured);
	return 0;
}

static void begin(struct capture_request request)
{
	struct error error;

	if (dataplane_open(env.dir, DATAPLANE_READ, &reader, &error) ||
	    capture_open(reader, &request, &capture, &error))
		fail_msg("%s", error.text);
	kept_count = 0;
}

/* How many there are by now; the first MAX_KEPT of them are kept. */
static unsigned read_all(void)
{
	struct error error;

	if (capture_read(capture, keep, NULL, &error))
		fail_msg("%s", error.text);
	return kept_count;
}

static void end(void)
{
	capture_close(capture);
	dataplane_close(reader);
}

static __u64 counted(enum canary_capture_count kind)
{
	__u64 counts[CANARY_CAPTURE_COUNTS];

	capture_counts(capture, counts);
	return counts[kind];
}

static struct spec syn_to(const char *client, const char *vip, unsigned port)
{
	return (struct spec){.src = client, .dst = vip, .sport = port, .dport = 80, .flags = SYN, .payload = 20};
}

static const char *backend_text(const struct capture_packet *packet)
{
	static char text[ADDR_TEXT_LEN];

	return format_addr(&packet->backend, text);
}

/* Runs it, and expects it to be the only one that was captured since: as it came and, if it was sent on, as it left. */
static const struct kept *captured(enum side side, const struct spec *spec)
{
	const struct canary_captured *what = &kept[0].packet.what;
	static struct packet in;
	struct outcome out;
	bool sent;

	read_all();
	kept_count = 0;
	packet_build(spec, NULL, &in);
	run_packet(side, &in, &out);
	assert_int_equal(read_all(), 1);
	sent = out.verdict == XDP_TX || out.verdict == XDP_REDIRECT;
	assert_int_equal(what->action, out.verdict);
	assert_int_equal(what->ifindex, env.interfaces[side].ifindex);
	assert_string_equal(kept[0].packet.interface, env.interfaces[side].name);
	assert_int_equal(what->length, in.len);
	assert_int_equal(what->captured, in.len);
	assert_memory_equal(kept[0].came, in.data, in.len);
	assert_int_equal(what->left_captured, sent ? out.packet.len : 0);
	assert_int_equal(what->left_length, sent ? out.packet.len : 0);
	if (sent)
		assert_memory_equal(kept[0].left, out.packet.data, out.packet.len);
	return &kept[0];
}

static void is_of(const struct kept *one, const char *service, int cohort, const char *backend)
{
	assert_string_equal(one->packet.service, service);
	assert_int_equal(one->packet.what.cohort, cohort);
	assert_int_equal(!!one->packet.what.backend, !!backend);
	if (backend)
		assert_string_equal(backend_text(&one->packet), backend);
}

static void packets_are_captured_as_they_come_and_leave(void **state)
{
	static const struct {
		enum canary_forward forward;
		const char *client, *endpoint, *vip, *backend;
	} rows[] = {
		{CANARY_FORWARD_L2, CLIENT, VIP ":80", VIP, BACK4},
		{CANARY_FORWARD_IPIP, CLIENT, VIP ":80", VIP, BACK4},
		{CANARY_FORWARD_GUE, CLIENT, VIP ":80", VIP, BACK6},
		{CANARY_FORWARD_NAT, CLIENT, VIP ":80", VIP, BACK4},
		{CANARY_FORWARD_L2, CLIENT6, "[" VIP6 "]:80", VIP6, BACK6},
		{CANARY_FORWARD_IPIP, CLIENT6, "[" VIP6 "]:80", VIP6, BACK6},
		{CANARY_FORWARD_GUE, CLIENT6, "[" VIP6 "]:80", VIP6, BACK4},
		{CANARY_FORWARD_NAT, CLIENT6, "[" VIP6 "]:80", VIP6, BACK6},
	};

	(void)state;
	begin(everything());
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct spec spec = syn_to(rows[i].client, rows[i].vip, 4000);
		const struct kept *one;

		CONFIGURE({.name = "web",
			   .endpoint = rows[i].endpoint,
			   .forward = rows[i].forward,
			   .canary = rows[i].backend,
			   .weight = 10000});
		one = captured(FRONT, &spec);
		is_of(one, "web", CANARY_CANARY, rows[i].backend);
		assert_int_equal(one->packet.what.action, XDP_REDIRECT);
		assert_int_equal(one->packet.what.reason, CANARY_CAPTURE_NO_REASON);
		assert_string_equal(one->packet.egress, env.interfaces[BACK].name);
		/* In two VLANs. */
		spec.tag[0] = (struct tag){VLAN_AD, 7};
		spec.tag[1] = (struct tag){VLAN_Q, 8};
		is_of(captured(FRONT, &spec), "web", CANARY_CANARY, rows[i].backend);
	}
	end();
}

static void answers_of_backends_are_of_their_cohort(void **state)
{
	struct spec request = syn_to(CLIENT, VIP, 4000);
	struct spec answer = {.from_mac = BACK4,
			      .to_mac = "back",
			      .src = BACK4,
			      .dst = CLIENT,
			      .sport = 8080,
			      .dport = 4000,
			      .flags = SYN | ACK};
	const struct kept *one;

	(void)state;
	CONFIGURE({.name = "web", .endpoint = VIP ":80", .canary = BACK4 ":8080", .weight = 10000});
	begin(everything());
	captured(FRONT, &request);
	assert_int_equal(kept[0].packet.backend_port, 8080);
	assert_int_equal(kept[0].packet.what.flags, 0);
	one = captured(BACK, &answer);
	is_of(one, "web", CANARY_CANARY, BACK4);
	assert_int_equal(one->packet.what.flags, CANARY_CAPTURE_REPLY);
	assert_string_equal(one->packet.egress, env.interfaces[FRONT].name);
	end();
}

static const struct kept *dropped(const struct spec *spec, enum canary_reason reason)
{
	const struct kept *one = captured(FRONT, spec);

	assert_int_equal(one->packet.what.action, XDP_DROP);
	assert_int_equal(one->packet.what.reason, reason);
	assert_string_equal(one->packet.egress, "");
	return one;
}

static void dropped_packets_have_their_reason(void **state)
{
	struct spec plain = syn_to(CLIENT, VIP, 4000), mail = plain, none = plain, broken = plain, large = plain,
		    empty = plain;

	(void)state;
	CONFIGURE({.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, .stable = "10.0.0.99"},
		  {.name = "mail", .endpoint = VIP ":25", .forward = CANARY_FORWARD_L2, .stable = "100.64.0.1"},
		  {.name = "empty",
		   .endpoint = VIP ":26",
		   .forward = CANARY_FORWARD_L2,
		   .overflow = CANARY_OVERFLOW_DROP,
		   .stable = BACK4,
		   .weight = 10000},
		  {.name = "large", .endpoint = VIP ":27", .forward = CANARY_FORWARD_IPIP, .stable = BACK4});
	begin(everything());
	is_of(dropped(&plain, CANARY_REASON_NO_NEIGHBOUR), "web", CANARY_STABLE, "10.0.0.99");
	mail.dport = 25;
	is_of(dropped(&mail, CANARY_REASON_NO_ROUTE), "mail", CANARY_STABLE, "100.64.0.1");
	/* Not known yet, when headers are looked at. */
	broken.dport = 25;
	broken.doff = 3;
	is_of(dropped(&broken, CANARY_REASON_MALFORMED), "mail", CANARY_CAPTURE_ANY, NULL);
	none.length = 22; /* before the ports there is an end: no service can be told */
	is_of(dropped(&none, CANARY_REASON_MALFORMED), "", CANARY_CAPTURE_ANY, NULL);
	empty.dport = 26;
	is_of(dropped(&empty, CANARY_REASON_NO_BACKEND), "empty", CANARY_CANARY, NULL);
	large.dport = 27;
	large.payload = 1460;
	is_of(dropped(&large, CANARY_REASON_TOO_BIG), "large", CANARY_STABLE, BACK4);
	end();
}

static void answers_of_ours_are_told_apart(void **state)
{
	struct spec large = {
		.src = CLIENT, .dst = VIP, .sport = 4000, .dport = 80, .flags = ACK, .frag = IPV4_DF, .payload = 1460};
	struct spec ping = {.src = CLIENT, .dst = VIP, .proto = IPPROTO_ICMP, .icmp_type = 8, .payload = 8};
	const struct kept *one;

	(void)state;
	CONFIGURE({.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_IPIP, .stable = BACK4});
	begin(everything());
	one = captured(FRONT, &large);
	is_of(one, "web", CANARY_STABLE, BACK4);
	assert_int_equal(one->packet.what.action, XDP_TX);
	assert_int_equal(one->packet.what.flags, CANARY_CAPTURE_ANSWER);
	assert_int_equal(one->packet.what.reason, CANARY_REASON_TOO_BIG);
	assert_string_equal(one->packet.egress, env.interfaces[FRONT].name);
	one = captured(FRONT, &ping);
	is_of(one, "", CANARY_CAPTURE_ANY, NULL);
	assert_int_equal(one->packet.what.flags, CANARY_CAPTURE_ANSWER);
	assert_int_equal(one->packet.what.reason, CANARY_CAPTURE_NO_REASON);
	end();
}

static unsigned run_ports(unsigned first, unsigned count)
{
	unsigned canary = 0;

	for (unsigned i = 0; i < count; i++) {
		struct spec spec = syn_to(CLIENT, VIP, first + i);

		canary += chosen("web", CLIENT, first + i, 80)->cohort == CANARY_CANARY;
		redirected_to(&spec);
	}
	return canary;
}

static void two_services(void)
{
	CONFIGURE({.name = "web",
		   .endpoint = VIP ":80",
		   .forward = CANARY_FORWARD_L2,
		   .stable = "10.0.0.11 10.0.0.12",
		   .canary = "10.0.0.21",
		   .weight = 5000},
		  {.name = "mail", .endpoint = VIP ":25", .forward = CANARY_FORWARD_L2, .stable = BACK4});
}

static void only_what_is_asked_for_is_captured(void **state)
{
	struct spec foreign = syn_to(CLIENT, "203.0.113.99", 4000), mail = syn_to(CLIENT, VIP, 4000);
	struct capture_request request = everything();
	struct packet in;
	struct outcome out;
	unsigned canary;

	(void)state;
	two_services();
	mail.dport = 25;
	packet_build(&foreign, NULL, &in);
	request.service = "web";
	request.cohort = CANARY_CANARY;
	begin(request);
	canary = run_ports(5000, 40);
	assert_in_range(canary, 8, 32);
	redirected_to(&mail);
	run_packet(FRONT, &in, &out);
	assert_int_equal(read_all(), canary);
	for (unsigned i = 0; i < canary; i++)
		is_of(&kept[i], "web", CANARY_CANARY, "10.0.0.21");
	assert_int_equal(counted(CANARY_CAPTURE_SEEN), 42);
	assert_int_equal(counted(CANARY_CAPTURE_MATCHED), canary);
	end();

	request.cohort = CANARY_STABLE;
	begin(request);
	canary = run_ports(6000, 40);
	assert_int_equal(read_all(), 40 - canary);
	end();

	begin(everything());
	run_packet(FRONT, &in, &out);
	redirected_to(&mail);
	assert_int_equal(read_all(), 1);
	is_of(&kept[0], "mail", CANARY_STABLE, BACK4);
	end();

	request = everything();
	request.unmatched = true;
	begin(request);
	run_packet(FRONT, &in, &out);
	assert_int_equal(read_all(), 1);
	assert_int_equal(kept[0].packet.what.action, XDP_PASS);
	is_of(&kept[0], "", CANARY_CAPTURE_ANY, NULL);
	end();
}

static void a_service_that_is_deleted_may_come_again(void **state)
{
	struct capture_request request = everything();
	struct spec spec = syn_to(CLIENT, VIP, 4000);

	(void)state;
	two_services();
	request.service = "web";
	begin(request);
	CONFIGURE({.name = "other", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, .stable = BACK4});
	usleep(1000000 / CANARY_CAPTURE_TICKS);
	read_all();
	redirected_to(&spec);
	assert_int_equal(read_all(), 0);
	two_services();
	usleep(1000000 / CANARY_CAPTURE_TICKS);
	assert_string_equal(captured(FRONT, &spec)->packet.service, "web");
	end();
}

static void samples_are_one_in_so_many(void **state)
{
	struct capture_request request = everything();

	(void)state;
	two_services();
	request.sample = 8;
	begin(request);
	run_ports(10000, 4000);
	/* The distance is uniform in 1 to 15: over 500 of them the sum's standard deviation is 12. */
	assert_in_range(counted(CANARY_CAPTURE_MATCHED), 440, 560);
	assert_int_equal(counted(CANARY_CAPTURE_SEEN), 4000);
	assert_int_equal(read_all(), counted(CANARY_CAPTURE_MATCHED) - counted(CANARY_CAPTURE_LOST));
	end();
}

static void no_more_than_the_rate_is_delivered(void **state)
{
	struct capture_request request = everything();

	(void)state;
	two_services();
	request.rate = 50;
	begin(request);
	run_ports(10000, 200);
	assert_int_equal(counted(CANARY_CAPTURE_LIMITED), 150);
	assert_int_equal(read_all(), 50);
	/* Each tick gives a tenth of it back. */
	usleep(1000000 / CANARY_CAPTURE_TICKS);
	read_all();
	run_ports(11000, 200);
	assert_in_range(read_all(), 55, 60);
	end();
}

static void a_frame_is_cut_to_the_snaplen(void **state)
{
	struct capture_request request = everything();
	struct spec spec = syn_to(CLIENT, VIP, 4000);

	(void)state;
	two_services();
	request.snaplen = 64;
	begin(request);
	spec.payload = 1000;
	redirected_to(&spec);
	assert_int_equal(read_all(), 1);
	assert_int_equal(kept[0].packet.what.captured, 64);
	assert_int_equal(kept[0].packet.what.left_captured, 64);
	assert_int_equal(kept[0].packet.what.length, 14 + 20 + 20 + 1000);
	assert_int_equal(kept[0].packet.what.left_length, 14 + 20 + 20 + 1000);
	end();
}

static int capturing(void)
{
	struct canary_interface interface;
	__u32 place = env.interfaces[FRONT].ifindex % CANARY_MAX_INTERFACES;
	int fd = open_pin("interfaces");

	assert_int_equal(bpf_map_lookup_elem(fd, &place, &interface), 0);
	close(fd);
	return interface.capturing;
}

/* The data plane's memory of when somebody read is a CPU's own. */
static void stay_on_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static void one_captures_at_a_time_and_nothing_goes_on_without_him(void **state)
{
	struct capture_request request = everything();
	struct spec spec = syn_to(CLIENT, VIP, 4000);
	struct capture *other;
	struct error error;
	__u64 seen;

	(void)state;
	stay_on_this_cpu();
	two_services();
	request.service = "nobody";
	assert_int_equal(capture_open(env.dataplane, &request, &other, &error), -ENOENT);
	assert_int_equal(capturing(), 0);
	request.service = NULL;
	begin(request);
	assert_int_equal(capturing(), 1);
	assert_int_equal(capture_open(env.dataplane, &request, &other, &error), -EBUSY);
	captured(FRONT, &spec);
	/* He sleeps: the data plane waits for a time from its next packet on, and then asks no more. */
	redirected_to(&spec);
	usleep(CANARY_CAPTURE_DEAD_S * 1000000 + 300000);
	redirected_to(&spec);
	assert_int_equal(capturing(), 0);
	seen = counted(CANARY_CAPTURE_SEEN);
	redirected_to(&spec);
	assert_int_equal(counted(CANARY_CAPTURE_SEEN), seen);
	/* Awake, he goes on ... */
	read_all();
	assert_int_equal(capturing(), 1);
	captured(FRONT, &spec);
	/* ... unless there is another one by then, whom he leaves alone. */
	usleep(CANARY_CAPTURE_DEAD_S * 1000000 + 300000);
	assert_int_equal(capture_open(env.dataplane, &request, &other, &error), 0);
	assert_int_equal(capture_read(capture, keep, NULL, &error), -EBUSY);
	end();
	assert_int_equal(capturing(), 1);
	capture_close(other);
	assert_int_equal(capturing(), 0);
}

static void an_upgrade_changes_nothing(void **state)
{
	struct spec spec = syn_to(CLIENT, VIP, 4000);

	(void)state;
	two_services();
	begin(everything());
	captured(FRONT, &spec);
	env_upgrade();
	captured(FRONT, &spec);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(packets_are_captured_as_they_come_and_leave),
		TEST(answers_of_backends_are_of_their_cohort),
		TEST(dropped_packets_have_their_reason),
		TEST(answers_of_ours_are_told_apart),
		TEST(only_what_is_asked_for_is_captured),
		TEST(a_service_that_is_deleted_may_come_again),
		TEST(samples_are_one_in_so_many),
		TEST(no_more_than_the_rate_is_delivered),
		TEST(a_frame_is_cut_to_the_snaplen),
		TEST(one_captures_at_a_time_and_nothing_goes_on_without_him),
		TEST(an_upgrade_changes_nothing),
	};

	kept = calloc(MAX_KEPT, sizeof(*kept));
	return kept ? RUN(tests) : 1;
}
