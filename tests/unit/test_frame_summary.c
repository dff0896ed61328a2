/* SPDX-License-Identifier: Apache-2.0 */
/* What a captured frame is said to be: of every kind, and however little of it there is. */
#include "lib_model.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/frame_summary.h"
#include "core/text.h"

#define MACS "\2\2\2\2\2\2\4\4\4\4\4\4"
#define IPV4(frag, proto) "\x45\0\0\x3c\0\1" frag "\x40" proto "\0\0\xc6\x33\x64\7\xcb\0\x71\n"
#define IPV6(next)                                                                                                     \
	"\x60\0\0\0\0\x28" next "\x40"                                                                                 \
	"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"                                                                       \
	"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\n"
#define PORTS "\x0f\xa0\0\x50"
#define TCP(flags) PORTS "\0\0\0\0\0\0\0\0\x50" flags "\0\0\0\0\0\0"
#define BYTES(text) text, sizeof(text) - 1

static const struct row {
	const char *what;
	const char *bytes;
	size_t len;
	const char *said; /* vlans source.port > destination.port protocol flags */
} rows[] = {
	{"TCP", BYTES(MACS "\x08\0" IPV4("\0\0", "\6") TCP("\2")), "198.51.100.7.4000 > 203.0.113.10.80 6 S"},
	{"no flags", BYTES(MACS "\x08\0" IPV4("\0\0", "\6") TCP("\0")), "198.51.100.7.4000 > 203.0.113.10.80 6 ."},
	{"all flags", BYTES(MACS "\x08\0" IPV4("\0\0", "\6") TCP("\377")),
	 "198.51.100.7.4000 > 203.0.113.10.80 6 FSRPAUEC"},
	{"UDP", BYTES(MACS "\x08\0" IPV4("\0\0", "\21") PORTS), "198.51.100.7.4000 > 203.0.113.10.80 17"},
	{"ICMP has no ports", BYTES(MACS "\x08\0" IPV4("\0\0", "\1") PORTS), "198.51.100.7.-1 > 203.0.113.10.-1 1"},
	{"first fragment", BYTES(MACS "\x08\0" IPV4("\x20\0", "\21") PORTS),
	 "198.51.100.7.4000 > 203.0.113.10.80 17 fragment"},
	{"later fragment", BYTES(MACS "\x08\0" IPV4("\0\1", "\21") PORTS),
	 "198.51.100.7.-1 > 203.0.113.10.-1 17 fragment"},
	{"two tags", BYTES(MACS "\x88\xa8\x30\x07\x81\0\0\x08\x08\0" IPV4("\0\0", "\6") TCP("\22")),
	 "7 8 198.51.100.7.4000 > 203.0.113.10.80 6 SA"},
	{"IPv6", BYTES(MACS "\x86\xdd" IPV6("\6") TCP("\20")), "2001:db8::7.4000 > 2001:db8::a.80 6 A"},
	{"IPv6, options", BYTES(MACS "\x86\xdd" IPV6("\0") "\6\0\1\4\0\0\0\0" TCP("\4")),
	 "2001:db8::7.4000 > 2001:db8::a.80 6 R"},
	{"IPv6, first fragment", BYTES(MACS "\x86\xdd" IPV6("\54") "\21\0\0\1\0\0\0\1" PORTS),
	 "2001:db8::7.4000 > 2001:db8::a.80 17 fragment"},
	{"IPv6, later fragment", BYTES(MACS "\x86\xdd" IPV6("\54") "\21\0\0\10\0\0\0\1" PORTS),
	 "2001:db8::7.-1 > 2001:db8::a.-1 17 fragment"},
	{"ARP", BYTES(MACS "\x08\6\0\1\x08\0\6\4\0\1"), "none"},
	{"IPv4 by its link header alone", BYTES(MACS "\x08\0" IPV6("\6") TCP("\2")), "none"},
	{"a third tag", BYTES(MACS "\x81\0\0\1\x81\0\0\2\x81\0\0\3\x08\0" IPV4("\0\0", "\6") TCP("\2")), "1 2 none"},
};

/* From memory that ends where the frame does. */
static const char *say(const struct row *row, size_t len)
{
	static char said[256];
	struct frame_summary frame;
	char source[ADDR_TEXT_LEN], destination[ADDR_TEXT_LEN], flags[TCP_FLAGS_TEXT_LEN];
	char *copy = malloc(len ? len : 1);
	size_t used = 0;
	int err;

	memcpy(copy, row->bytes, len);
	err = frame_summarise(copy, len, &frame);
	free(copy);
	for (unsigned i = 0; i < frame.vlan_count; i++)
		used += snprintf(said + used, sizeof(said) - used, "%d ", frame.vlan[i]);
	if (err) {
		assert_int_equal(err, -EINVAL);
		snprintf(said + used, sizeof(said) - used, "none");
		return said;
	}
	snprintf(said + used, sizeof(said) - used, "%s.%d > %s.%d %d%s%s%s", format_addr(&frame.source, source),
		 frame.source_port, format_addr(&frame.destination, destination), frame.destination_port, frame.proto,
		 frame.tcp ? " " : "", frame.tcp ? format_tcp_flags(frame.tcp_flags, flags) : "",
		 frame.fragment ? " fragment" : "");
	return said;
}

static void test_every_kind_of_frame_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (strcmp(say(&rows[i], rows[i].len), rows[i].said))
			fail_msg("%s: is said to be \"%s\", not \"%s\"", rows[i].what, say(&rows[i], rows[i].len),
				 rows[i].said);
}

/* Of what is cut off no more is told than there is. */
static void test_a_frame_may_be_cut_off_anywhere(void **state)
{
	static const struct {
		size_t len;
		const char *said;
	} cuts[] = {{0, "none"},
		    {13, "none"},
		    {33, "none"},
		    {34, "198.51.100.7.-1 > 203.0.113.10.-1 6"},
		    {37, "198.51.100.7.-1 > 203.0.113.10.-1 6"},
		    {38, "198.51.100.7.4000 > 203.0.113.10.80 6"},
		    {47, "198.51.100.7.4000 > 203.0.113.10.80 6"},
		    {48, "198.51.100.7.4000 > 203.0.113.10.80 6 S"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cuts) / sizeof(*cuts); i++)
		assert_string_equal(say(&rows[0], cuts[i].len), cuts[i].said);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		for (size_t len = 0; len < rows[i].len; len++)
			say(&rows[i], len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_of_frame_is_told),
		cmocka_unit_test(test_a_frame_may_be_cut_off_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
