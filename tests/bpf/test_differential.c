/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program against the kernel's own stack: of random packets, sound ones and damaged ones, the stack takes what is
 * sent on exactly if it would have taken what came in, with the same payload; and it counts the same errors of either.
 * CANARY_TEST_SEED repeats a run, CANARY_TEST_PACKETS is how many.
 */
#include "lib_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/config.h"
#include "lib_check.h"
#include "lib_receiver.h"
#include "lib_traffic.h"

/* Those that requests go to, and those that answers do: a stack takes nothing from an address of its own. */
#define SERVERS                                                                                                        \
	"203.0.113.10/32 203.0.113.11/32 2001:db8:5::10/128 2001:db8:5::11/128 10.0.0.11/32 10.0.0.12/32 "             \
	"10.0.0.21/32 192.0.2.21/32 2001:db8:10::11/128 2001:db8:10::12/128 2001:db8:10::21/128 2001:db8:2::21/128"
#define CLIENTS "198.51.100.7/32 198.51.100.8/32 2001:db8:c::7/128 2001:db8:c::8/128"

enum { PACKETS = 20000, SERVICES_MAX = 64, TAKEN_MIN = 20 };

static struct check_world world;

/* Of each service; answers and errors are counted at 0. */
static unsigned taken[SERVICES_MAX];

static void print_receipt(const char *name, const struct receipt *receipt)
{
	fprintf(stderr, "  %s: TCP %d, %u datagrams of %u bytes, %u unpacked", name, receipt->tcp, receipt->datagrams,
		receipt->bytes, receipt->unpacked);
	for (int i = 0; i < RECEIVER_ERRORS; i++)
		if (receipt->errors[i])
			fprintf(stderr, ", %s %u", receiver_error_names[i], receipt->errors[i]);
	fprintf(stderr, "\n");
}

static bool same(const struct receipt *a, const struct receipt *b)
{
	return a->tcp == b->tcp && a->datagrams == b->datagrams && a->bytes == b->bytes && a->sum == b->sum &&
	       !memcmp(a->errors, b->errors, sizeof(a->errors));
}

static const struct service_model *service_of(const struct frame *frame)
{
	return check_service(&world, &frame->dst, (int)frame->proto, (int)frame->dport);
}

static void compare(struct receiver *receiver, const struct packet *in, const struct frame *frame,
		    const struct packet *out)
{
	const struct service_model *service = service_of(frame);
	struct receipt original, emitted;
	struct frame sent;

	assert_true(frame_read(out->data, out->len, &sent));
	/* Of a fragment a stack makes nothing alone; an answer is another packet. */
	if (frame->fragment || frame->later || check_is_answer(frame, &sent))
		return;
	receiver_take(receiver, in->data + frame->l3, in->len - frame->l3, &original);
	receiver_take(receiver, out->data + sent.l3, out->len - sent.l3, &emitted);
	/* Longer: it has a tunnel's header. */
	if (!same(&original, &emitted) || emitted.unpacked != (sent.ip_len > frame->ip_len)) {
		print_receipt("what came in", &original);
		print_receipt("what is sent on", &emitted);
		packet_same(in, out);
		fail_msg("the stack tells them apart");
	}
	if (emitted.tcp || emitted.datagrams)
		taken[service ? service - env.model.services + 1 : 0]++;
}

static bool is_of(const struct check_world *those, const struct canary_addr *addr)
{
	return check_service(those, addr, -1, -1) || check_is_backend(those, addr);
}

static void run_one(enum side side, const struct packet *in, struct receiver *servers, struct receiver *clients)
{
	static struct outcome out;
	struct frame frame;

	run_packet(side, in, &out);
	if (out.verdict != XDP_TX && out.verdict != XDP_REDIRECT)
		return;
	if (!frame_read(in->data, in->len, &frame))
		fail_msg("what is forwarded is no packet");
	compare(is_of(&world, &frame.dst) ? servers : clients, in, &frame, &out.packet);
	if (frame_read(out.packet.data, out.packet.len, &frame) && check_is_backend(&world, &frame.dst))
		traffic_remember(&out.packet);
}

static void take_services(void)
{
	struct model services;
	struct error error;

	if (config_load(TRAFFIC_SERVICES, &services, &error))
		fail_msg("%s", error.text);
	assert_true(services.service_count < SERVICES_MAX);
	configure_model(&services);
	model_free(&services);
	env_refresh();
	world.model = &env.model;
	for (int side = 0; side < SIDES; side++)
		memcpy(world.mac[side], env.interfaces[side].mac, sizeof(world.mac[side]));
}

static unsigned long number_from(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : otherwise;
}

static void the_stack_takes_what_is_sent_on_as_it_takes_what_came_in(void **state)
{
	static const char *const names[] = {"front", "back"};
	unsigned long packets = number_from("CANARY_TEST_PACKETS", PACKETS);
	struct receiver *servers = receiver_open(SERVERS), *clients = receiver_open(CLIENTS);
	static struct packet packet;

	(void)state;
	random_seed(number_from("CANARY_TEST_SEED", 20240601));
	take_services();
	for (unsigned long i = 0; i < packets; i++) {
		enum side side = random_below(3) ? FRONT : BACK;

		traffic_packet(names[side], &packet);
		if (random_below(2))
			traffic_damage(&packet);
		run_one(side, &packet, servers, clients);
	}
	receiver_close(servers);
	receiver_close(clients);
	fprintf(stderr, "  taken: %u answers and errors", taken[0]);
	for (size_t i = 0; i < env.model.service_count; i++)
		fprintf(stderr, ", %s %u", env.model.services[i].name, taken[i + 1]);
	fprintf(stderr, "\n");
	for (size_t i = 0; i <= env.model.service_count; i++)
		assert_true(taken[i] >= TAKEN_MIN);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(the_stack_takes_what_is_sent_on_as_it_takes_what_came_in),
	};

	return RUN(tests);
}
