/* SPDX-License-Identifier: Apache-2.0 */
/* The segment size that SYNs say: lowered where the service asks for it, and nothing else. */
#include "lib_way.h"

#include <stdio.h>
#include <string.h>

/* The next hops' MTU is 1,500. */
static const struct row {
	const char *what;
	enum canary_forward forward;
	const char *client, *vip, *backend;
	const struct tunnel *outer;
	unsigned most; /* with `auto` */
} rows[] = {
	{"l2", CANARY_FORWARD_L2, CLIENT, VIP, BACK4, NULL, 1460},
	{"l2, IPv6", CANARY_FORWARD_L2, CLIENT6, VIP6, BACK6, NULL, 1440},
	{"4in4", CANARY_FORWARD_IPIP, CLIENT, VIP, BACK4, &outer4, 1440},
	{"6in6", CANARY_FORWARD_IPIP, CLIENT6, VIP6, BACK6, &outer6, 1400},
	{"4in6", CANARY_FORWARD_IPIP, CLIENT, VIP, BACK6, &outer6, 1420},
	{"6in4", CANARY_FORWARD_IPIP, CLIENT6, VIP6, BACK4, &outer4_of_6, 1420},
	{"nat", CANARY_FORWARD_NAT, CLIENT, VIP, BACK4, NULL, 1460},
	{"nat, IPv6", CANARY_FORWARD_NAT, CLIENT6, VIP6, BACK6, NULL, 1440},
};
enum { ROWS = sizeof(rows) / sizeof(*rows) };

static unsigned next_port;

static bool is_v6(const char *addr)
{
	return strchr(addr, ':');
}

static void service_of(const struct row *row, unsigned mss)
{
	char endpoint[64];

	snprintf(endpoint, sizeof(endpoint), is_v6(row->vip) ? "[%s]:80" : "%s:80", row->vip);
	CONFIGURE({.name = "web", .endpoint = endpoint, .forward = row->forward, .mss = mss, .stable = row->backend});
}

/* A SYN with options as Linux sends them: the segment size first. */
static struct spec syn_of(const struct row *row, unsigned mss)
{
	return (struct spec){.src = row->client,
			     .dst = row->vip,
			     .sport = 4000 + next_port++,
			     .dport = 80,
			     .flags = SYN,
			     .seq = 99,
			     .tcp_options = 20,
			     .mss = mss};
}

static void forwarded(const struct row *row, const char *what, const struct spec *in, struct spec want, bool lowered)
{
	char counters[160];

	want = sent_on(want, BACK, row->backend);
	want.outer = row->outer;
	if (row->forward == CANARY_FORWARD_NAT)
		want.dst = row->backend;
	snprintf(counters, sizeof(counters),
		 is_v6(row->backend) ? "flow:web.stable:[%s]:80%s" : "flow:web.stable:%s:80%s", row->backend,
		 lowered ? " web.stable.mss_lowered" : "");
	EXPECT(what, FRONT, in, XDP_REDIRECT, &want, counters);
}

static void unchanged(const struct row *row, const char *what, struct spec in)
{
	forwarded(row, what, &in, in, false);
}

static void lowered(const struct row *row, struct spec in, unsigned to)
{
	struct spec want = in;

	want.mss = to;
	forwarded(row, row->what, &in, want, true);
}

static void mss_auto_is_what_the_path_takes(void **state)
{
	(void)state;
	for (int i = 0; i < ROWS; i++) {
		service_of(&rows[i], CANARY_MSS_AUTO);
		lowered(&rows[i], syn_of(&rows[i], 8960), rows[i].most);
		lowered(&rows[i], syn_of(&rows[i], rows[i].most + 1), rows[i].most);
		unchanged(&rows[i], "as much as that", syn_of(&rows[i], rows[i].most));
		unchanged(&rows[i], "less", syn_of(&rows[i], 536));
	}
}

static void mss_may_be_a_number(void **state)
{
	(void)state;
	for (int i = 0; i < ROWS; i++) {
		service_of(&rows[i], 1000);
		lowered(&rows[i], syn_of(&rows[i], 1460), 1000);
		lowered(&rows[i], syn_of(&rows[i], 0xffff), 1000);
		unchanged(&rows[i], "never raised", syn_of(&rows[i], 999));
		service_of(&rows[i], 0);
		unchanged(&rows[i], "off", syn_of(&rows[i], 65000));
	}
}

static void mss_wherever_the_option_stands(void **state)
{
	(void)state;
	service_of(&rows[0], 1300);
	for (unsigned bytes = 4; bytes <= 40; bytes += 4) {
		for (unsigned at = 0; at + 4 <= bytes; at++) {
			struct spec in = syn_of(&rows[0], 1460);

			in.tcp_options = bytes;
			in.mss_at = at;
			lowered(&rows[0], in, 1300);
			in.ip_options = 40;
			in.sport += 20000;
			lowered(&rows[0], in, 1300);
		}
	}
}

static void mss_every_checksum(void **state)
{
	(void)state;
	service_of(&rows[2], 1300);
	for (unsigned mss = 1301; mss < 65536; mss += 97) {
		struct spec in = syn_of(&rows[2], mss);

		in.mss_at = mss % 5;
		lowered(&rows[2], in, 1300);
	}
}

static void mss_options_that_make_no_sense_are_left_alone(void **state)
{
	static const struct {
		const char *what, *options;
	} odd[] = {
		{"none", "\xff"},
		{"behind the end", "\x00\x02\x04\xff"},
		{"of another length", "\x02\x03\x05\xff"},
		{"of length 0", "\x08\x00\x02\x04\xff"},
		{"of length 1", "\x08\x01\x02\x04\xff"},
		{"beyond the header", "\x08\x15\x02\x04\xff"},
		{"within another option", "\x08\x0a\x02\x04\x7f\x7f\xff"},
		{"nothing but its kind",
		 "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x02\xff"},
	};

	(void)state;
	service_of(&rows[0], 88);
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		struct spec in = syn_of(&rows[0], 0);

		in.options = odd[i].options;
		unchanged(&rows[0], odd[i].what, in);
	}
	struct spec none = syn_of(&rows[0], 0);

	none.tcp_options = 0;
	unchanged(&rows[0], "no options", none);
	none = syn_of(&rows[0], 0);
	none.tcp_options = 0;
	none.payload = 20; /* what follows the header is no option of it */
	none.word = 0x0204;
	unchanged(&rows[0], "data that looks like it", none);
}

static void mss_of_other_packets_is_left_alone(void **state)
{
	struct spec in = syn_of(&rows[0], 1460), want;

	(void)state;
	service_of(&rows[0], 1000);
	in.flags = ACK;
	want = sent_on(in, BACK, BACK4);
	EXPECT("no SYN", FRONT, &in, XDP_REDIRECT, &want, "packet:web.stable:10.0.0.11:80");
}

/* What the backend takes is said on nat's way back, and limits the client. */
static void mss_nat_lowers_the_backends_too(void **state)
{
	(void)state;
	for (int i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		const char *router = is_v6(row->client) ? "2001:db8:2::fe" : "192.0.2.254";
		unsigned most = is_v6(row->client) ? 1240 : 1260;
		struct spec in = syn_of(row, 536), want;

		if (row->forward != CANARY_FORWARD_NAT)
			continue;
		run_command("ip link set front mtu 1300");
		service_of(row, CANARY_MSS_AUTO);
		unchanged(row, "the SYN", in);
		/* The backend's packets have to fit the way to the client. */
		lowered(row, syn_of(row, 1460), most);
		in = (struct spec){.from_mac = row->backend,
				   .to_mac = "back",
				   .src = row->backend,
				   .dst = row->client,
				   .sport = 80,
				   .dport = in.sport,
				   .flags = SYN | ACK,
				   .tcp_options = 20,
				   .mss = 1460,
				   .mss_at = 3};
		want = sent_on(in, FRONT, router);
		want.src = row->vip;
		want.mss = most;
		EXPECT(row->what, BACK, &in, XDP_REDIRECT, &want, "reply:web.stable web.stable.mss_lowered");
		in.mss = want.mss = most;
		EXPECT(row->what, BACK, &in, XDP_REDIRECT, &want, "reply:web.stable");
		run_command("ip link set front mtu 3400");
	}
}

static void mss_is_read_back_and_may_change(void **state)
{
	static const unsigned values[] = {0, CANARY_MSS_AUTO, 1400, CANARY_MSS_MAX, 0};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		service_of(&rows[0], values[i]);
		assert_int_equal(find_service("web")->mss, values[i]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(mss_auto_is_what_the_path_takes),
		TEST(mss_may_be_a_number),
		TEST(mss_wherever_the_option_stands),
		TEST(mss_every_checksum),
		TEST(mss_options_that_make_no_sense_are_left_alone),
		TEST(mss_of_other_packets_is_left_alone),
		TEST(mss_nat_lowers_the_backends_too),
		TEST(mss_is_read_back_and_may_change),
	};

	return RUN(tests);
}
