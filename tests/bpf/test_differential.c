/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program against the kernel's own stack: of random packets and packets in fragments, sound ones and damaged ones, the
 * stack takes what is sent on exactly if it would have taken what came in, with the same payload; and it counts the same
 * errors of either. What the program says by itself is to its receiver's stack what the stack in its place would have said.
 * CANARY_TEST_SEED repeats a run, CANARY_TEST_PACKETS is how many.
 */
#include "lib_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/config.h"
#include "lib_change.h"
#include "lib_check.h"
#include "lib_cut.h"
#include "lib_receiver.h"
#include "lib_traffic.h"

#define SERVICES "203.0.113.10/32 203.0.113.11/32 2001:db8:5::10/128 2001:db8:5::11/128"
#define BACKENDS                                                                                                       \
	"10.0.0.11/32 10.0.0.12/32 10.0.0.21/32 192.0.2.21/32 "                                                        \
	"2001:db8:10::11/128 2001:db8:10::12/128 2001:db8:10::21/128 2001:db8:2::21/128"
#define CLIENTS "198.51.100.7/32 198.51.100.8/32 2001:db8:c::7/128 2001:db8:c::8/128"

enum {
	PACKETS = 40000,
	PHASES = 4,
	SERVICES_MAX = 64,
	TAKEN_MIN = 20,
	WHOLE_MIN = 5,
	ANSWERS_MIN = 5,
	FIRST_ID = 0x4000
};

static const char *const sides[] = {"front", "back"};
static struct check_world world;

/*
 * What came in and what is sent on go to stacks of their own: parts wait there for others, which in nat have other addresses.
 */
static struct {
	struct receiver *original, *emitted;
} servers, clients;
/*
 * And for what the program says by itself: who hears it from a service's address (a backend may be a client as well), who hears
 * it from a client's, and the stack in its place.
 */
static struct receiver *clients_answered, *backends_answered, *in_its_place;

/* Of each service; answers and errors are counted at 0. Whole: made from parts. */
static unsigned taken[SERVICES_MAX], whole[SERVICES_MAX];

/* What the program said by itself, and was taken. */
static struct {
	unsigned echoes, refused_echoes, resets, told, learnt;
} answers;

static void print_receipt(const char *name, const struct receipt *receipt)
{
	fprintf(stderr, "  %s: %u datagrams of %u bytes, %u unpacked", name, receipt->datagrams, receipt->bytes,
		receipt->unpacked);
	for (int i = 0; i < RECEIVER_TAKEN; i++)
		if (receipt->taken[i])
			fprintf(stderr, ", %s %u", receiver_taken_names[i], receipt->taken[i]);
	for (int i = 0; i < RECEIVER_ERRORS; i++)
		if (receipt->errors[i])
			fprintf(stderr, ", %s %u", receiver_error_names[i], receipt->errors[i]);
	fprintf(stderr, "\n");
}

static void fail_receipts(const char *what, const struct receipt *original, const struct receipt *emitted)
{
	print_receipt("what came in", original);
	print_receipt("what is sent", emitted);
	fail_msg("%s", what);
}

static bool same(const struct receipt *a, const struct receipt *b)
{
	return a->datagrams == b->datagrams && a->bytes == b->bytes && a->sum == b->sum &&
	       !memcmp(a->taken, b->taken, sizeof(a->taken)) && !memcmp(a->errors, b->errors, sizeof(a->errors));
}

static bool is_server(const struct canary_addr *addr)
{
	return check_service(&world, addr, -1, -1) || check_is_backend(&world, addr);
}

static void give(struct receiver *receiver, const struct packet *packet, const struct frame *frame)
{
	receiver_give(receiver, packet->data + frame->l3, packet->len - frame->l3);
}

/* Packets that both stacks are given before they are compared. */
struct given {
	struct receiver *original, *emitted;
	unsigned count, in_tunnels;
	struct frame frame; /* as it came in: of the one that is no later part */
};

static struct given given_to(const struct canary_addr *dst)
{
	bool to_server = is_server(dst);

	return (struct given){
		.original = to_server ? servers.original : clients.original,
		.emitted = to_server ? servers.emitted : clients.emitted,
	};
}

static void compare(const struct given *given)
{
	const struct frame *frame = &given->frame;
	const struct service_model *service = check_service(&world, &frame->dst, (int)frame->proto, (int)frame->dport);
	unsigned place = service ? service - env.model.services + 1 : 0;
	struct receipt original, emitted;

	receiver_take(given->original, &original);
	receiver_take(given->emitted, &emitted);
	if (!same(&original, &emitted) || original.unpacked || emitted.unpacked != given->in_tunnels)
		fail_receipts("the stack tells them apart", &original, &emitted);
	taken[place] += emitted.datagrams + emitted.taken[TAKEN_TCP];
	whole[place] += emitted.taken[TAKEN_WHOLE] + emitted.taken[TAKEN_WHOLE6];
}

static void compare_echo(const struct frame *in, const struct receipt *original, const struct receipt *answer)
{
	bool v4 = in->family == 4;
	unsigned asked = original->taken[v4 ? TAKEN_ECHO : TAKEN_ECHO6];
	unsigned replies = answer->taken[v4 ? TAKEN_ECHO_REPLY : TAKEN_ECHO_REPLY6];

	if (asked != replies || memcmp(original->errors, answer->errors, sizeof(answer->errors)))
		fail_receipts("another echo than the stack's", original, answer);
	answers.echoes += replies;
	answers.refused_echoes += !replies;
}

static bool has_errors(const struct receipt *receipt)
{
	static const unsigned none[RECEIVER_ERRORS];

	return memcmp(receipt->errors, none, sizeof(none));
}

static __u32 get32(const __u8 *at)
{
	return (__u32)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

/* The path's size, which a socket sends by from now on. */
static void compare_path_mtu(const struct receiver *answered, const struct packet *answer, const struct frame *sent)
{
	assert_int_equal(receiver_path_mtu(answered, &sent->src), get32(answer->data + sent->l4 + 4));
	answers.learnt++;
}

/* As what a receiver counts a reset, or an error about the size. */
static enum receiver_taken taken_of(const struct frame *answer)
{
	if (answer->proto == IPPROTO_TCP)
		return TAKEN_TCP;
	return answer->family == 4 ? TAKEN_UNREACHABLE : TAKEN_TOO_BIG6;
}

static void check_was_reset(int connection)
{
	int error = 0;
	socklen_t len = sizeof(error);

	assert_int_equal(getsockopt(connection, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	assert_int_equal(error, ECONNRESET);
	close(connection);
	answers.resets++;
}

/* What the program says to the sender of `in`. */
static void compare_answer(const struct packet *in, const struct frame *frame, const struct packet *out,
			   const struct frame *sent)
{
	bool icmp = sent->proto == IPPROTO_ICMP || sent->proto == IPPROTO_ICMPV6;
	struct receiver *answered = check_service(&world, &sent->src, -1, -1) ? clients_answered : backends_answered;
	int connection = icmp ? -1 : receiver_connect(answered, frame, get32(in->data + frame->l4 + 8));
	struct receipt original, answer;

	give(answered, out, sent);
	receiver_take(answered, &answer);
	/* Damage made the sender nobody. */
	if (answer.errors[RECEIVER_IP_ADDRESS] || answer.errors[RECEIVER_IP6_ADDRESS])
		return;
	if (frame->proto == sent->proto && icmp) {
		give(in_its_place, in, frame);
		receiver_take(in_its_place, &original);
		compare_echo(frame, &original, &answer);
		return;
	}
	if (has_errors(&answer) || answer.taken[taken_of(sent)] != 1) {
		print_receipt("what is answered", &answer);
		packet_same(in, out);
		fail_msg("an answer that its receiver does not take");
	}
	answers.told += icmp;
	if (connection >= 0)
		check_was_reset(connection);
	/* A stack believes it of what a socket may have sent to somebody else. */
	if (icmp && frame->proto == IPPROTO_UDP && receiver_listens(frame->sport) &&
	    !check_is_backend(&world, &sent->src))
		compare_path_mtu(answered, out, sent);
}

/* If it is sent on, both stacks are given it. */
static void run_one(enum side side, const struct packet *in, struct given *given)
{
	static struct outcome out;
	struct frame frame, sent;

	run_packet(side, in, &out);
	if (out.verdict != XDP_TX && out.verdict != XDP_REDIRECT)
		return;
	if (!frame_read(in->data, in->len, &frame) || !frame_read(out.packet.data, out.packet.len, &sent))
		fail_msg("what is forwarded is no packet");
	if (check_is_answer(&frame, &sent)) {
		compare_answer(in, &frame, &out.packet, &sent);
		return;
	}
	give(given->original, in, &frame);
	give(given->emitted, &out.packet, &sent);
	given->count++;
	/* Longer: it has a tunnel's header. */
	given->in_tunnels += sent.ip_len > frame.ip_len;
	if (!frame.later)
		given->frame = frame;
	if (check_is_backend(&world, &sent.dst))
		traffic_remember(&out.packet);
}

static void run_whole(enum side side, const struct packet *packet)
{
	struct frame frame;
	struct given given;

	/* A part of a packet that has no others is nothing to a stack. */
	if (!frame_read(packet->data, packet->len, &frame) || frame.fragment || frame.later)
		return;
	given = given_to(&frame.dst);
	run_one(side, packet, &given);
	if (given.count)
		compare(&given);
}

/* Most of them in order and sound. */
static void run_parts(enum side side, const struct packet *packet)
{
	static struct packet parts[CUT_MAX];
	static unsigned id = FIRST_ID;
	unsigned count = packet_cut(packet, 8 * (3 + random_below(packet->len / 12)), id++, parts);
	unsigned first = random_below(8) ? 0 : random_below(count + 1), damaged = random_below(3 * CUT_MAX);
	struct frame frame;
	struct given given;

	if (!count)
		return;
	assert_true(frame_read(packet->data, packet->len, &frame));
	given = given_to(&frame.dst);
	if (damaged < count)
		traffic_damage(&parts[damaged]);
	for (unsigned i = 0; i < count; i++)
		run_one(side, &parts[(first + i) % count], &given);
	if (given.count)
		compare(&given);
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

static void open_receivers(void)
{
	servers.original = receiver_open(SERVICES " " BACKENDS);
	servers.emitted = receiver_open(SERVICES " " BACKENDS);
	clients.original = receiver_open(CLIENTS);
	clients.emitted = receiver_open(CLIENTS);
	clients_answered = receiver_open(CLIENTS " " BACKENDS);
	backends_answered = receiver_open(BACKENDS);
	in_its_place = receiver_open(SERVICES);
}

static void close_receivers(void)
{
	receiver_close(servers.original);
	receiver_close(servers.emitted);
	receiver_close(clients.original);
	receiver_close(clients.emitted);
	receiver_close(clients_answered);
	receiver_close(backends_answered);
	receiver_close(in_its_place);
}

/* A test that reaches nothing finds nothing. */
static void check_reached(void)
{
	fprintf(stderr, "  taken, of them from parts: %u %u answers and errors", taken[0], whole[0]);
	for (size_t i = 0; i < env.model.service_count; i++)
		fprintf(stderr, ", %s %u %u", env.model.services[i].name, taken[i + 1], whole[i + 1]);
	fprintf(stderr,
		"\n  by the program: %u echoes, %u that no stack takes, %u resets, %u told the size, %u learnt\n",
		answers.echoes, answers.refused_echoes, answers.resets, answers.told, answers.learnt);
	for (size_t i = 0; i <= env.model.service_count; i++) {
		assert_true(taken[i] >= TAKEN_MIN);
		assert_true(whole[i] >= WHOLE_MIN);
	}
	assert_true(answers.echoes >= ANSWERS_MIN && answers.refused_echoes);
	assert_true(answers.resets >= ANSWERS_MIN);
	assert_true(answers.told >= ANSWERS_MIN && answers.learnt >= ANSWERS_MIN);
}

static void run_random(void)
{
	static struct packet packet;
	enum side side = random_below(3) ? FRONT : BACK;

	traffic_packet(sides[side], &packet);
	if (!random_below(4)) {
		run_parts(side, &packet);
		return;
	}
	if (random_below(2))
		traffic_damage(&packet);
	run_whole(side, &packet);
}

static void the_stack_takes_what_is_sent_on_as_it_takes_what_came_in(void **state)
{
	unsigned long packets = number_from("CANARY_TEST_PACKETS", PACKETS);

	(void)state;
	random_seed(number_from("CANARY_TEST_SEED", 20240601));
	take_services();
	open_receivers();
	for (int phase = 0; phase < PHASES; phase++) {
		change_all_weights(phase % 2);
		for (unsigned long i = 0; i < packets / PHASES; i++)
			run_random();
	}
	close_receivers();
	check_reached();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(the_stack_takes_what_is_sent_on_as_it_takes_what_came_in),
	};

	return RUN(tests);
}
