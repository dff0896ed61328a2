/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random and damaged packets, one by one through the real program. What is expected of each is read off the packet by
 * lib_check.c, which knows nothing of how the program does it. CANARY_TEST_SEED repeats a run, CANARY_TEST_PACKETS is
 * how many.
 */
#include "lib_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/config.h"
#include "lib_change.h"
#include "lib_check.h"
#include "lib_follow.h"
#include "lib_traffic.h"

enum { PACKETS = 1000000, PHASES = 12 };

static const char *const side_names[] = {"front", "back"};
static struct check_world world;
static unsigned long long followed; /* later fragments that went where the first one had gone */

static void fail_packet(const char *what, enum side side, const struct packet *in, const struct outcome *out)
{
	struct frame frame;

	fprintf(stderr, "  on %s: %s; verdict %d\n", side_names[side], what, out->verdict);
	for (unsigned i = 0; i < in->len && i < 160; i++)
		fprintf(stderr, "%s%02x", i % 32 ? " " : "\n  ", in->data[i]);
	frame_read(in->data, in->len, &frame);
	fprintf(stderr, "\n  %u bytes in, %u out; protocol %u at %u after %u extensions, sound: %d\n", in->len,
		out->packet.len, frame.proto, frame.l4, frame.extensions, frame.sound);
	packet_same(in, &out->packet);
	fail_msg("%s", what);
}

/* What nat sent to a backend is to be answered. */
static void remember(const struct packet *packet)
{
	struct frame frame;

	if (frame_read(packet->data, packet->len, &frame) && check_is_backend(&world, &frame.dst))
		traffic_remember(packet);
}

static void run_one(enum side side, const struct packet *in, bool partial, struct check_tally *tally)
{
	static struct outcome out;
	struct check_run run = {.world = &world, .interface = side, .partial = partial, .in = {in->data, in->len}};
	const char *problem;
	bool follows = false;

	run_packet(side, in, &out);
	run.verdict = out.verdict;
	run.out = (struct check_bytes){out.packet.data, out.packet.len};
	problem = check_packet(&run, tally);
	if (!problem)
		problem = follow_check(&run, &follows);
	followed += follows;
	if (problem)
		fail_packet(problem, side, in, &out);
	if (out.verdict == XDP_TX || out.verdict == XDP_REDIRECT)
		remember(&out.packet);
}

static struct check_counts all_counted(void)
{
	struct check_counts counts = {};

	for (int side = 0; side < SIDES; side++) {
		struct canary_interface_counters values;

		assert_int_equal(dataplane_interface_counters(env.dataplane, env.interfaces[side].ifindex, &values), 0);
		check_add_interface(&counts, &values);
	}
	for (size_t i = 0; i < env.model.service_count; i++) {
		const struct service_model *service = &env.model.services[i];

		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
			struct canary_cohort_counters values;

			assert_int_equal(dataplane_cohort_counters(env.dataplane, service->id, cohort, &values), 0);
			check_add_cohort(&counts, &values);
		}
		for (size_t j = 0; j < service->backend_count; j++) {
			struct canary_backend_counters values;

			assert_int_equal(dataplane_backend_counters(env.dataplane, service->backends[j].index, &values),
					 0);
			check_add_backend(&counts, &values);
		}
	}
	return counts;
}

static void take_services(void)
{
	struct model services;
	struct error error;

	if (config_load(TRAFFIC_SERVICES, &services, &error))
		fail_msg("%s", error.text);
	configure_model(&services);
	model_free(&services);
	env_refresh(); /* once more: with the tunnels' sources */
	for (int side = 0; side < SIDES; side++)
		memcpy(world.mac[side], env.interfaces[side].mac, sizeof(world.mac[side]));
}

static void run_phase(unsigned long packets, bool partial, struct check_tally *tally)
{
	static struct packet packet;

	set_partial_checksums(FRONT, partial);
	set_partial_checksums(BACK, partial);
	for (unsigned long i = 0; i < packets; i++) {
		enum side side = random_below(3) ? FRONT : BACK;

		traffic_packet(side_names[side], &packet);
		traffic_damage(&packet);
		run_one(side, &packet, partial, tally);
	}
}

static void check_phase(const struct check_counts *before, const struct check_tally *tally)
{
	struct check_counts after = all_counted();
	const char *problem = check_counted(before, &after, tally);

	if (problem)
		fail_msg("%s", problem);
}

static unsigned long long number_from(const char *name, unsigned long long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Frames of several buffers are among them: to a backend at the front all fit, to those at the back some. */
static void allow_jumbo_frames(void)
{
	run_command("ip link set front-peer mtu 9000");
	run_command("ip link set back-peer mtu 4200");
	run_command("ip link set front mtu 9000");
	run_command("ip link set back mtu 4200");
}

static void random_packets_are_passed_forwarded_or_dropped_for_a_reason(void **state)
{
	unsigned long long seed = number_from("CANARY_TEST_SEED", 20240601);
	unsigned long packets = number_from("CANARY_TEST_PACKETS", PACKETS);
	struct check_tally tally = {};
	double began = seconds();
	struct check_counts before;

	(void)state;
	fprintf(stderr, "  CANARY_TEST_SEED=%llu\n", seed);
	random_seed(seed);
	allow_jumbo_frames();
	take_services();
	before = all_counted();
	for (int phase = 0; phase < PHASES; phase++) {
		change_all_weights(phase % 4 == 2);
		world.model = &env.model;
		run_phase((packets + PHASES - 1) / PHASES, phase % 3 == 1, &tally);
		check_phase(&before, &tally);
	}
	fprintf(stderr, "  %llu packets, %llu of them sound and for a service: %llu passed, %llu forwarded, ",
		tally.run, tally.ours, tally.passed, tally.forwarded);
	fprintf(stderr, "%llu dropped, %llu reset, %llu told the MTU, %llu echoes, %llu fragments followed; %.0f/s\n",
		tally.dropped, tally.resets, tally.told, tally.echoes, followed, tally.run / (seconds() - began));
	/* A test that reaches nothing finds nothing. */
	assert_true(tally.forwarded > tally.run / 4);
	assert_true(tally.dropped > tally.run / 20);
	assert_true(tally.passed > tally.run / 10);
	assert_true(tally.resets > tally.run / 10000);
	assert_true(tally.told > tally.run / 10000);
	assert_true(tally.echoes > tally.run / 10000);
	assert_true(followed > tally.run / 10000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(random_packets_are_passed_forwarded_or_dropped_for_a_reason),
	};

	return RUN(tests);
}
