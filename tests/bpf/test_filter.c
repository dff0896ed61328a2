/* SPDX-License-Identifier: Apache-2.0 */
/* The filter in front of the tables has a bit for whatever is there: what goes takes none along that something else needs. */
#include "lib_way.h"

#include <errno.h>

/* It goes on, both ways. */
static void still_there(const struct way *way, const char *what, int proto, const char *kind)
{
	struct spec in = way_request(way, proto), reply;

	in.flags = proto == IPPROTO_TCP && kind[0] == 'p' ? ACK : in.flags;
	way_forwards(way, what, &in, kind);
	if (way->forward != CANARY_FORWARD_NAT)
		return;
	reply = way_reply(way, &in);
	reply.flags = proto == IPPROTO_TCP ? ACK : 0;
	way_returns(way, what, &reply, &in);
}

static void a_service_that_goes_leaves_those_of_its_address_and_backends(void **state)
{
	static const int protos[] = {IPPROTO_TCP, IPPROTO_UDP};

	(void)state;
	EACH_WAY(way, BACK)
	{
		for (int i = 0; i < 2; i++) {
			struct spec gone = way_request(&way, protos[!i]);

			way_configure(&way);
			CONFIGURE(way_service(&way, protos[i]));
			still_there(&way, "the other's address and backend are its own", protos[i], "flow");
			way_refuses(&way, "it is gone", &gone, XDP_PASS, "passed not_ours");
			configure(NULL, 0);
		}
	}
}

static void a_commit_that_fails_takes_nothing_away(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		struct service tcp = way_service(&way, IPPROTO_TCP);
		struct model stale, none = {};
		struct error error;

		way_configure(&way);
		stale = read_model();
		tcp.weight = 1;
		CONFIGURE(tcp, way_service(&way, IPPROTO_UDP));
		assert_int_equal(dataplane_commit(env.dataplane, &stale, &none, &error), -ESTALE);
		model_free(&stale);
		still_there(&way, "what would have gone", IPPROTO_TCP, "flow");
		still_there(&way, "what would have gone", IPPROTO_UDP, "flow");
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_service_that_goes_leaves_those_of_its_address_and_backends),
		TEST(a_commit_that_fails_takes_nothing_away),
	};

	return RUN(tests);
}
