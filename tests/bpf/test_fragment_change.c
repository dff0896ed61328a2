/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes between the fragments of a packet: connections are reset, a lease ends, the breaker trips, interfaces are
 * detached. The later ones follow their first one all the same; other packets go by what is new.
 */
#include "lib_wait.h"
#include "lib_way.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { STABLE = 11, CANARY = 21, OFFSET = 1400 };

static char canary_text[64];

/* With host 21 as its canary. */
static struct service with_canary(const struct way *way, int proto, int weight)
{
	struct service service = way_service(way, proto);

	if (way->forward == CANARY_FORWARD_NAT)
		snprintf(canary_text, sizeof(canary_text), way->v6 ? "[%s]:%u" : "%s:%u", way_host(way, CANARY),
			 way_port(way, proto));
	else
		snprintf(canary_text, sizeof(canary_text), "%s", way_host(way, CANARY));
	service.canary = canary_text;
	service.weight = weight;
	service.handshake_timeout = PATIENT_MS;
	return service;
}

/* TCP's: data of a connection, or in a SYN. */
static struct spec first_of(struct spec whole, unsigned id)
{
	return way_part(whole, 0, true, id);
}

static struct spec later_of(struct spec whole, unsigned id)
{
	return way_part(whole, OFFSET, false, id);
}

static void both_go_to(const struct way *way, struct spec whole, unsigned id, unsigned host, const char *kind)
{
	struct spec first = first_of(whole, id), later = later_of(whole, id);

	way_forwards_to(way, "a packet's first part", &first, host, kind, "");
	way_follows_to(way, "the other", &later, host);
}

/* Opens a connection and leaves it between two parts of its data. */
static struct spec half_sent(const struct way *way, struct spec request, unsigned host)
{
	struct spec first;

	way_opens(way, &request);
	request.flags = ACK;
	request.seq++;
	request.ack = 5000;
	way_opens(way, &request);
	first = first_of(request, 7);
	way_forwards_to(way, "a connection's data, the first part", &first, host, "packet", "");
	return request;
}

static bool is_reset(const struct packet *packet)
{
	const __u8 *ip = packet->data + 14;
	const __u8 *tcp = ip + (ip[0] >> 4 == 4 ? 20 : 40);

	return tcp[13] == RST;
}

static void a_reset_of_connections(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		struct spec request = way_request(&way, IPPROTO_TCP), data, later, next;
		struct packet packet;
		struct outcome out;

		CONFIGURE(with_canary(&way, IPPROTO_TCP, 0));
		data = half_sent(&way, request, STABLE);
		move_all_and_reset(0);
		later = later_of(data, 7);
		way_follows_to(&way, "the other part, after the change", &later, STABLE);
		next = first_of(data, 8);
		packet_build(&next, NULL, &packet);
		run_packet(FRONT, &packet, &out);
		assert_int_equal(out.verdict, XDP_TX);
		assert_true(is_reset(&out.packet));
		/* Whom the first one went to is told nothing of the others: they are where the connection was. */
		later = later_of(data, 8);
		way_follows_to(&way, "a part of a packet that was answered", &later, STABLE);
		request.sport++;
		both_go_to(&way, request, 9, CANARY, "flow");
	}
}

static void wait_for_end(const struct guard *guard)
{
	struct timespec until = {guard->lease_expires_ns / 1000000000, guard->lease_expires_ns % 1000000000};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	usleep(20000); /* the coarse clock's tick */
}

static void the_end_of_a_lease(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		struct service service = with_canary(&way, IPPROTO_UDP, CANARY_WEIGHT_ONE);
		struct spec request = way_request(&way, IPPROTO_UDP), first = first_of(request, 7),
			    later = later_of(request, 7);
		struct guard guard;

		service.lease = 2;
		configure(&service, 1);
		way_forwards_to(&way, "under the lease", &first, CANARY, "flow", "");
		guard = guard_of("udp");
		assert_false(guard.stopped);
		wait_for_end(&guard);
		request.sport++;
		both_go_to(&way, request, 8, STABLE, "flow");
		assert_true(guard_of("udp").stopped);
		way_follows_to(&way, "the part that was out when it ended", &later, CANARY);
	}
}

static bool tcp_is_stopped(void)
{
	return guard_of("tcp").stopped;
}

/* A connection whose client never completes it is the one failure that is seen in every way. */
static void trip(const struct way *way, const struct service *service, struct spec request)
{
	struct service brief = *service;

	for (int i = 0; i < 20; i++) {
		request.sport = port_for("tcp", request.src, canary_text, request.sport + 1);
		way_opens(way, &request);
	}
	brief.handshake_timeout = BRIEF_MS;
	configure(&brief, 1);
	wait_until(tcp_is_stopped, "the breaker");
}

static void a_breakers_trip(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		struct service service = with_canary(&way, IPPROTO_TCP, 1000);
		struct spec request = way_request(&way, IPPROTO_TCP), data, later;
		unsigned next;

		configure(&service, 1);
		if (way.forward != CANARY_FORWARD_NAT)
			snprintf(canary_text, sizeof(canary_text), way.v6 ? "[%s]:80" : "%s:80",
				 way_host(&way, CANARY));
		/* A SYN that a way before has seen would be taken for a repeated one. */
		request.sport = port_for("tcp", request.src, canary_text, 4000 + 2000 * way.forward);
		next = port_for("tcp", request.src, canary_text, 20000 + 2000 * way.forward);
		data = half_sent(&way, request, CANARY);
		trip(&way, &service, request);
		later = later_of(data, 7);
		way_follows_to(&way, "the part that was out when it tripped", &later, CANARY);
		both_go_to(&way, data, 8, CANARY, "packet");
		request.sport = next;
		both_go_to(&way, request, 9, STABLE, "flow");
	}
}

static void attach_again(enum side side)
{
	struct error error;
	bool already;

	if (dataplane_attach(env.dataplane, &env.interfaces[side], ATTACH_NATIVE, &already, &error))
		fail_msg("%s", error.text);
	assert_false(already);
}

static void a_detached_interface(void **state)
{
	struct error error;

	(void)state;
	EACH_WAY(way, BACK)
	{
		struct spec request = way_request(&way, IPPROTO_UDP), first = first_of(request, 7),
			    later = later_of(request, 7);

		way_forwards(&way, "the first part", &first, "flow");
		for (int side = 0; side < SIDES; side++)
			if (dataplane_detach(env.dataplane, &env.interfaces[side], &error))
				fail_msg("%s", error.text);
		/* A packet that was in the program then is one of the host's. */
		EXPECT("the other", FRONT, &later, XDP_PASS, NULL, "");
		attach_again(FRONT);
		attach_again(BACK);
		way_follows_to(&way, "once more", &later, STABLE);
		request.sport++;
		both_go_to(&way, request, 8, STABLE, "flow");
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_reset_of_connections),
		TEST(the_end_of_a_lease),
		TEST(a_breakers_trip),
		TEST(a_detached_interface),
	};

	return RUN(tests);
}
