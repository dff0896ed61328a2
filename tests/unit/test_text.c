/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_model.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_addresses_come_back_as_they_went_in(void **state)
{
	static const char *const texts[] = {"10.0.0.1", "0.0.0.0", "255.255.255.255", "2001:db8::1",
					    "::",	"::1",	   "fe80::1"};
	char buf[ADDR_TEXT_LEN];

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct canary_addr addr = make_addr(texts[i]);

		assert_string_equal(format_addr(&addr, buf), texts[i]);
		assert_int_equal(addr_is_v4(&addr), strchr(texts[i], '.') != NULL);
	}
}

static void test_ipv4_is_v4_mapped(void **state)
{
	static const unsigned char mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
	struct canary_addr addr = make_addr("192.0.2.1");

	(void)state;
	assert_memory_equal(&addr, mapped, sizeof(mapped));
}

static void test_rubbish_is_no_address(void **state)
{
	static const char *const texts[] = {
		"",	     " 10.0.0.1",   "10.0.0.1 ",   "10.0.0", "10.0.0.256", "010.0.0.1",		"0x0a.0.0.1",
		"167772161", "10.0.0.1/32", "10.0.0.1:80", "[::1]",  "::1%lo",	   "1:2:3:4:5:6:7:8:9", "12345::",
		"host",	     "10.0.0.1\n"};
	struct canary_addr addr = make_addr("192.0.2.7"), before = addr;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(parse_addr(texts[i], &addr), -EINVAL);
	assert_int_equal(parse_addr("::ffff:10.0.0.1", &addr), -EAFNOSUPPORT);
	assert_int_equal(parse_addr("::ffff:a00:1", &addr), -EAFNOSUPPORT);
	assert_true(addr_equal(&addr, &before));
}

static void test_numbers_are_plain_decimals(void **state)
{
	static const char *const texts[] = {"",	  " 1",	 "1 ",	"+1",  "-1",	"01",
					    "00", "1.0", "1e1", "0x1", "65536", "99999999999999999999999"};
	int port = 7;
	unsigned value = 7;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(parse_port(texts[i], &port), -EINVAL);
	assert_int_equal(port, 7);
	assert_int_equal(parse_port("0", &port), 0);
	assert_int_equal(port, 0);
	assert_int_equal(parse_port("65535", &port), 0);
	assert_int_equal(port, 65535);
	assert_int_equal(parse_unsigned("0", 1, 9, &value), -EINVAL);
	assert_int_equal(parse_unsigned("10", 1, 9, &value), -EINVAL);
	assert_int_equal(value, 7);
	assert_int_equal(parse_unsigned("4294967295", 0, 4294967295U, &value), 0);
	assert_true(value == 4294967295U);
}

static void test_endpoints(void **state)
{
	static const struct {
		const char *text, *addr;
		int port;
	} good[] = {
		{"10.0.0.1:80", "10.0.0.1", 80},
		{"10.0.0.1", "10.0.0.1", PORT_DEFAULT},
		{"10.0.0.1:0", "10.0.0.1", 0},
		{"[2001:db8::1]:80", "2001:db8::1", 80},
		{"[2001:db8::1]", "2001:db8::1", PORT_DEFAULT},
		{"2001:db8::1", "2001:db8::1", PORT_DEFAULT},
		{"2001:db8::1:80", "2001:db8::1:80", PORT_DEFAULT},
		{"::", "::", PORT_DEFAULT},
	};
	static const char *const bad[] = {"",
					  ":",
					  ":80",
					  "10.0.0.1:",
					  "10.0.0.1:70000",
					  "10.0.0.1:80:80",
					  "[10.0.0.1]:80",
					  "[2001:db8::1",
					  "[2001:db8::1]80",
					  "[2001:db8::1]:",
					  "[]:80",
					  "[",
					  "]",
					  "[2001:db8::1]:80 ",
					  "10.0.0.1: 80"};
	char buf[ADDR_TEXT_LEN];
	struct canary_addr addr;
	int port = 7;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(parse_endpoint(bad[i], &addr, &port), -EINVAL);
		assert_int_equal(port, 7);
	}
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(parse_endpoint(good[i].text, &addr, &port), 0);
		assert_string_equal(format_addr(&addr, buf), good[i].addr);
		assert_int_equal(port, good[i].port);
	}
	assert_int_equal(parse_endpoint("[::ffff:10.0.0.1]:80", &addr, &port), -EAFNOSUPPORT);
	addr = make_addr("10.0.0.1");
	assert_string_equal(format_endpoint(&addr, 80, buf), "10.0.0.1:80");
	addr = make_addr("2001:db8::1");
	assert_string_equal(format_endpoint(&addr, 80, buf), "[2001:db8::1]:80");
	addr = make_addr("1111:2222:3333:4444:5555:6666:7777:8888");
	assert_string_equal(format_endpoint(&addr, 65535, buf), "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
}

static void test_prefixes(void **state)
{
	static const struct {
		const char *text, *formatted;
		unsigned len;
	} good[] = {
		{"198.51.100.0/24", "198.51.100.0/24", 120},
		{"198.51.100.7", "198.51.100.7/32", 128},
		{"0.0.0.0/0", "0.0.0.0/0", 96},
		{"128.0.0.0/1", "128.0.0.0/1", 97},
		{"2001:db8::/32", "2001:db8::/32", 32},
		{"2001:db8::1", "2001:db8::1/128", 128},
		{"::/0", "::/0", 0},
		{"2001:db8:0:0:8000::/65", "2001:db8:0:0:8000::/65", 65},
	};
	static const char *const bad[] = {"",
					  "/",
					  "/24",
					  "198.51.100.0/",
					  "198.51.100.0/33",
					  "198.51.100.0/-1",
					  "198.51.100.0/24/24",
					  "198.51.100.0/024",
					  "2001:db8::/129",
					  "198.51.100/24"};
	static const char *const unclean[] = {
		"198.51.100.1/24", "0.0.0.1/0",	      "128.0.0.0/0", "198.51.100.1/31",
		"2001:db8::1/32",  "2001:db8::1/127", "8000::/0",    "2001:db8:0:0:8000::/64"};
	struct canary_addr addr;
	char buf[ADDR_TEXT_LEN];
	unsigned len = 7;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(parse_prefix(bad[i], &addr, &len), -EINVAL);
	for (size_t i = 0; i < COUNT(unclean); i++)
		assert_int_equal(parse_prefix(unclean[i], &addr, &len), -ERANGE);
	assert_int_equal(len, 7);
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(parse_prefix(good[i].text, &addr, &len), 0);
		assert_int_equal(len, good[i].len);
		assert_string_equal(format_prefix(&addr, len, buf), good[i].formatted);
	}
}

static void test_weights_are_percent_with_two_decimals(void **state)
{
	static const struct {
		const char *text;
		int weight;
	} good[] = {{"0", 0},	 {"5", 500},  {"100", 10000},  {"12.5", 1250},	 {"0.01", 1},
		    {"0.1", 10}, {"0.00", 0}, {"99.99", 9999}, {"100.0", 10000}, {"100.00", 10000}};
	static const char *const bad[] = {"",	".",   ".5",	 "5.",	"5.123", "05",	"-5",  "+5",  "5%",    "5 ",
					  " 5", "1e1", "100.01", "101", "1000",	 "0x5", "5,5", "5.a", "5.5.5", "nan"};
	int weight = 7;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(parse_weight(bad[i], &weight), -EINVAL);
	assert_int_equal(weight, 7);
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(parse_weight(good[i].text, &weight), 0);
		assert_int_equal(weight, good[i].weight);
	}
}

static void test_hundredths_have_bounds_and_come_back(void **state)
{
	static const struct {
		const char *text;
		unsigned value;
	} good[] = {{"1.1", 110}, {"10", 1000}, {"1.25", 125}, {"600", 60000}, {"2.05", 205}};
	static const char *const bad[] = {"1.09", "1", "600.01", "601", "1.1x", "x1.1", "1.111", "-2", "10000000000"};
	char buf[HUNDREDTHS_TEXT_LEN];
	unsigned value = 7;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(parse_hundredths(bad[i], 110, 60000, &value), -EINVAL);
	assert_int_equal(value, 7);
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(parse_hundredths(good[i].text, 110, 60000, &value), 0);
		assert_int_equal(value, good[i].value);
		assert_string_equal(format_hundredths(value, buf), good[i].text);
	}
	assert_string_equal(format_hundredths(1, buf), "0.01");
	assert_string_equal(format_hundredths(0, buf), "0");
	assert_string_equal(format_hundredths(4294967295U, buf), "42949672.95");
}

static void test_milliseconds(void **state)
{
	static const struct {
		const char *text, *formatted;
		unsigned ms;
	} good[] = {{"100ms", "100ms", 100}, {"500ms", "500ms", 500},	 {"3s", "3s", 3000},	{"3", "3s", 3000},
		    {"1m", "1m", 60000},     {"1500ms", "1500ms", 1500}, {"3000ms", "3s", 3000}};
	static const char *const bad[] = {"",	    "ms",      "99ms",	 "0",		"0s", "61s",
					  "1.5s",   "60001ms", "1s5ms",	 "500 ms",	"5m", "-1ms",
					  "0500ms", "500Ms",   "500msx", "4294967296ms"};
	char buf[DURATION_TEXT_LEN];
	unsigned ms = 7;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(parse_milliseconds(bad[i], 100, 60000, &ms), -EINVAL);
	assert_int_equal(ms, 7);
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(parse_milliseconds(good[i].text, 100, 60000, &ms), 0);
		assert_int_equal(ms, good[i].ms);
		assert_string_equal(format_milliseconds(ms, buf), good[i].formatted);
	}
}

static void test_durations(void **state)
{
	static const struct {
		const char *text, *formatted;
		unsigned seconds;
	} good[] = {
		{"1", "1s", 1},		{"90", "1m30s", 90},
		{"90s", "1m30s", 90},	{"15m", "15m", 900},
		{"24h", "24h", 86400},	{"1h30m", "1h30m", 5400},
		{"1h5s", "1h5s", 3605}, {"90m", "1h30m", 5400},
		{"7d", "168h", 604800}, {"1d1h1m1s", "25h1m1s", 90061},
		{"0h1m", "1m", 60},	{"604800", "168h", 604800},
	};
	static const char *const bad[] = {"",
					  "0",
					  "0s",
					  "0h0m",
					  "s",
					  "m5",
					  "1h30",
					  "30m1h",
					  "1h1h",
					  "1h 30m",
					  " 1h",
					  "1h ",
					  "01h",
					  "+1h",
					  "-1h",
					  "1.5h",
					  "1H",
					  "1min",
					  "1w",
					  "8d",
					  "169h",
					  "604801",
					  "7d1s",
					  "1h30m5s2s",
					  "1e3",
					  "4294967297s",
					  "1844674407370955161600s",
					  "99999999999999999999d"};
	char buf[DURATION_TEXT_LEN];
	unsigned seconds = 7;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(parse_duration(bad[i], 1, 604800, &seconds), -EINVAL);
	assert_int_equal(seconds, 7);
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(parse_duration(good[i].text, 1, 604800, &seconds), 0);
		assert_int_equal(seconds, good[i].seconds);
		assert_string_equal(format_duration(seconds, buf), good[i].formatted);
		assert_int_equal(parse_duration(buf, 1, 604800, &seconds), 0);
		assert_int_equal(seconds, good[i].seconds);
	}
	assert_int_equal(parse_duration("59s", 60, 100, &seconds), -EINVAL);
	assert_int_equal(parse_duration("1m", 60, 60, &seconds), 0);
	assert_string_equal(format_duration(0, buf), "0s");
	assert_string_equal(format_duration(4294967295U, buf), "1193046h28m15s");
}

static void test_thresholds_are_none_or_all_only_when_asked(void **state)
{
	(void)state;
	assert_int_equal(weight_threshold(0), 0);
	assert_int_equal(weight_threshold(CANARY_WEIGHT_ONE), CANARY_THRESHOLD_ONE);
	assert_int_equal(weight_threshold(5000), CANARY_THRESHOLD_ONE / 2);
	assert_int_equal(weight_threshold(500), 3277);
	for (int weight = 1; weight < CANARY_WEIGHT_ONE; weight++) {
		double exact = weight * 65536.0 / 10000;
		__u32 threshold = weight_threshold(weight);

		assert_in_range(threshold, 1, CANARY_THRESHOLD_ONE - 1);
		assert_true(threshold > weight_threshold(weight - 1));
		assert_true(threshold - exact <= 0.5 && exact - threshold <= 0.5);
	}
}

static void test_names_are_safe_in_paths(void **state)
{
	static const char *const good[] = {"a", "web", "Web-1_x.y", "0"};
	static const char *const bad[] = {"", ".", "..", "-web", "_web", "a/b", "a b", "a\n", "w\xc3\xa9", "a%", "a:b"};
	char longest[CANARY_NAME_LEN + 1];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		assert_true(name_is_valid(good[i]));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(name_is_valid(bad[i]));
	memset(longest, 'a', sizeof(longest));
	longest[CANARY_NAME_LEN] = '\0';
	assert_false(name_is_valid(longest));
	longest[CANARY_NAME_LEN - 1] = '\0';
	assert_true(name_is_valid(longest));
}

/* Every value has a name that parses back to it and that the list for messages offers. */
#define CHECK_WORDS(what, count)                                                                                       \
	do {                                                                                                           \
		enum canary_##what value;                                                                              \
		for (unsigned i = 0; i < (count); i++) {                                                               \
			const char *name = what##_name((enum canary_##what)i);                                         \
			assert_int_equal(parse_##what(name, &value), 0);                                               \
			assert_int_equal(value, i);                                                                    \
			assert_non_null(strstr(what##_names(), name));                                                 \
		}                                                                                                      \
		assert_string_equal(what##_name((enum canary_##what)(count)), "unknown");                              \
		assert_string_equal(what##_name((enum canary_##what)99), "unknown");                                   \
		assert_int_equal(parse_##what("", &value), -EINVAL);                                                   \
		assert_int_equal(parse_##what("unknown", &value), -EINVAL);                                            \
	} while (0)

static void test_words(void **state)
{
	int proto = 7;
	bool flag = true;

	(void)state;
	CHECK_WORDS(cohort, CANARY_COHORTS);
	CHECK_WORDS(forward, CANARY_FORWARDS);
	CHECK_WORDS(affinity, CANARY_AFFINITIES);
	CHECK_WORDS(track, CANARY_TRACKS);
	CHECK_WORDS(overflow, CANARY_OVERFLOWS);
	CHECK_WORDS(on_expiry, CANARY_EXPIRIES);
	assert_int_equal(parse_proto("TCP", &proto), -EINVAL);
	assert_int_equal(proto, 7);
	assert_int_equal(parse_proto("tcp", &proto), 0);
	assert_int_equal(proto, IPPROTO_TCP);
	assert_string_equal(proto_name(IPPROTO_UDP), "udp");
	assert_string_equal(proto_name(0), "unknown");
	assert_int_equal(parse_bool("yes", &flag), -EINVAL);
	assert_true(flag);
	assert_int_equal(parse_bool("false", &flag), 0);
	assert_false(flag);
	assert_int_equal(parse_bool("true", &flag), 0);
	assert_true(flag);
}

static void test_segment_sizes(void **state)
{
	static const char *const good[] = {"off", "auto", "88", "1460", "65495"};
	static const char *const bad[] = {"", "87", "65496", "1", "0", "Auto", "1460 ", "-1", "on"};
	char text[MSS_TEXT_LEN];
	unsigned mss = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_true(parse_mss(bad[i], &mss) < 0);
	assert_int_equal(mss, 7);
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(parse_mss(good[i], &mss), 0);
		assert_string_equal(format_mss(mss, text), good[i]);
	}
	assert_int_equal(parse_mss("auto", &mss), 0);
	assert_int_equal(mss, CANARY_MSS_AUTO);
}

static void test_names_of_what_happened(void **state)
{
	(void)state;
	assert_string_equal(stop_reason_name(CANARY_STOP_NONE), "none");
	assert_string_equal(stop_reason_name(CANARY_STOP_RELATIVE), "relative");
	assert_string_equal(stop_reason_name(CANARY_STOP_ABSOLUTE), "absolute");
	assert_string_equal(stop_reason_name(CANARY_STOP_LEASE), "lease");
	assert_string_equal(stop_reason_name(CANARY_STOP_REASONS), "unknown");
	assert_string_equal(event_type_name(CANARY_EVENT_BREAKER_TRIPPED), "breaker_tripped");
	assert_string_equal(event_type_name(CANARY_EVENT_NONE), "unknown");
	assert_string_equal(event_type_name(CANARY_EVENT_TYPES), "unknown");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_come_back_as_they_went_in),
		cmocka_unit_test(test_ipv4_is_v4_mapped),
		cmocka_unit_test(test_rubbish_is_no_address),
		cmocka_unit_test(test_numbers_are_plain_decimals),
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_weights_are_percent_with_two_decimals),
		cmocka_unit_test(test_hundredths_have_bounds_and_come_back),
		cmocka_unit_test(test_milliseconds),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_thresholds_are_none_or_all_only_when_asked),
		cmocka_unit_test(test_names_are_safe_in_paths),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_segment_sizes),
		cmocka_unit_test(test_names_of_what_happened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
