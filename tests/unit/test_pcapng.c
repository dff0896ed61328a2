/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a pcapng file, as draft-ietf-opsawg-pcapng says them, read back by the plain definition. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/pcapng.h"

#include <cmocka.h>

static char *bytes;
static size_t size;
static FILE *file;

static int open_memory(void **state)
{
	(void)state;
	file = open_memstream(&bytes, &size);
	/* Before that, the size is none of this one. */
	return !file || fflush(file);
}

static int close_memory(void **state)
{
	(void)state;
	fclose(file);
	free(bytes);
	return 0;
}

static __u32 u32_at(const char *at)
{
	__u32 value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static unsigned u16_at(const char *at)
{
	__u16 value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* The block at an offset, which has to be of that type and whole; *ret_end is where the next begins. */
static const char *block_at(size_t offset, __u32 type, size_t *ret_end)
{
	__u32 len;

	fflush(file);
	assert_true(offset + 12 <= size);
	assert_int_equal(u32_at(bytes + offset), type);
	len = u32_at(bytes + offset + 4);
	assert_int_equal(len % 4, 0);
	assert_true(offset + len <= size);
	assert_int_equal(u32_at(bytes + offset + len - 4), len);
	*ret_end = offset + len;
	return bytes + offset + 8;
}

/* An option's value among those that begin at `at`; NULL: it is not there. All have to be padded, and to end. */
static const char *option_of(const char *at, size_t end, unsigned code, unsigned *ret_len)
{
	const char *found = NULL;

	for (;;) {
		unsigned each = u16_at(at), len = u16_at(at + 2);

		assert_true(at + 4 + len <= bytes + end - 4);
		if (!each) {
			assert_int_equal(len, 0);
			assert_ptr_equal(at + 4, bytes + end - 4);
			return found;
		}
		if (each == code) {
			found = at + 4;
			*ret_len = len;
		}
		at += 4 + (len + 3) / 4 * 4;
	}
}

static void assert_text(const char *at, size_t end, unsigned code, const char *text)
{
	unsigned len = 0;
	const char *value = option_of(at, end, code, &len);

	assert_non_null(value);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(value, text, len);
}

static void a_section_says_its_byte_order_and_who_wrote_it(void **state)
{
	const char *body;
	size_t end;

	(void)state;
	assert_int_equal(pcapng_begin(file, "canaryctl 1"), 0);
	body = block_at(0, 0x0a0d0d0a, &end);
	assert_int_equal(end, size);
	assert_int_equal(u32_at(body), 0x1a2b3c4d);
	assert_int_equal(u16_at(body + 4), 1);
	assert_int_equal(u16_at(body + 6), 0);
	assert_int_equal(u32_at(body + 8), 0xffffffff);
	assert_int_equal(u32_at(body + 12), 0xffffffff);
	assert_text(body + 16, end, 4, "canaryctl 1");
}

static void an_interface_is_ethernet_in_nanoseconds(void **state)
{
	const char *body, *resolution;
	unsigned len = 0;
	size_t end;

	(void)state;
	assert_int_equal(pcapng_add_interface(file, "eth0", "", 256), 0);
	body = block_at(0, 1, &end);
	assert_int_equal(end, size);
	assert_int_equal(u16_at(body), 1);
	assert_int_equal(u16_at(body + 2), 0);
	assert_int_equal(u32_at(body + 4), 256);
	assert_text(body + 8, end, 2, "eth0");
	assert_text(body + 8, end, 3, "");
	resolution = option_of(body + 8, end, 9, &len);
	assert_int_equal(len, 1);
	assert_int_equal(resolution[0], 9);
}

static struct pcapng_packet packet_of(const char *frame, const char *comment)
{
	return (struct pcapng_packet){.interface = 2,
				      .time_ns = 0x0123456789abcdef,
				      .frame = frame,
				      .captured = strlen(frame),
				      .length = 1500,
				      .direction = PCAPNG_OUTBOUND,
				      .id = 77,
				      .dropped = 3,
				      .verdict = 4,
				      .comment = comment};
}

static __u64 u64_option(const char *at, size_t end, unsigned code)
{
	unsigned len = 0;
	const char *value = option_of(at, end, code, &len);
	__u64 number;

	assert_non_null(value);
	assert_int_equal(len, 8);
	memcpy(&number, value, sizeof(number));
	return number;
}

static void a_packet_has_its_comment_and_what_became_of_it(void **state)
{
	const char *body, *options, *value;
	unsigned len = 0;
	size_t end;

	(void)state;
	/* Each length of what is padded. */
	for (size_t cut = 0; cut < 5; cut++) {
		struct pcapng_packet packet = packet_of(&"frame"[cut], &"cohort=canary"[cut]);
		size_t start = size;

		assert_int_equal(pcapng_add_packet(file, &packet), 0);
		body = block_at(start, 6, &end);
		assert_int_equal(end, size);
		assert_int_equal(u32_at(body), 2);
		assert_int_equal(u32_at(body + 4), 0x01234567);
		assert_int_equal(u32_at(body + 8), 0x89abcdef);
		assert_int_equal(u32_at(body + 12), 5 - cut);
		assert_int_equal(u32_at(body + 16), 1500);
		assert_memory_equal(body + 20, &"frame"[cut], 5 - cut);
		options = body + 20 + (5 - cut + 3) / 4 * 4;
		assert_text(options, end, 1, packet.comment);
		value = option_of(options, end, 2, &len);
		assert_int_equal(len, 4);
		assert_int_equal(u32_at(value), PCAPNG_OUTBOUND);
		assert_int_equal(u64_option(options, end, 4), 3);
		assert_int_equal(u64_option(options, end, 5), 77);
		value = option_of(options, end, 7, &len);
		assert_int_equal(len, 9);
		assert_memory_equal(value, "\2\4\0\0\0\0\0\0\0", 9);
	}
}

static void the_largest_frame_and_text_fit_and_no_larger_ones(void **state)
{
	static char frame[PCAPNG_MAX_FRAME + 2], text[2 * PCAPNG_MAX_TEXT], cut[PCAPNG_MAX_TEXT + 1];
	struct pcapng_packet packet;
	const char *body;
	size_t end;

	(void)state;
	memset(frame, 'f', sizeof(frame) - 1);
	memset(text, 't', sizeof(text) - 1);
	memset(cut, 't', sizeof(cut) - 1);
	packet = packet_of(frame, text);
	assert_int_equal(packet.captured, PCAPNG_MAX_FRAME + 1);
	assert_int_equal(pcapng_add_packet(file, &packet), -EMSGSIZE);
	fflush(file);
	assert_int_equal(size, 0);
	packet.captured = PCAPNG_MAX_FRAME;
	assert_int_equal(pcapng_add_packet(file, &packet), 0);
	body = block_at(0, 6, &end);
	assert_memory_equal(body + 20, frame, PCAPNG_MAX_FRAME);
	assert_text(body + 20 + PCAPNG_MAX_FRAME + 1, end, 1, cut);
	assert_int_equal(pcapng_add_interface(file, text, text, 1), 0);
	block_at(end, 1, &end);
}

static void a_full_disk_is_told(void **state)
{
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(full);
	setvbuf(full, NULL, _IONBF, 0);
	assert_int_equal(pcapng_begin(full, "canaryctl"), -ENOSPC);
	fclose(full);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_memory, close_memory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_section_says_its_byte_order_and_who_wrote_it),
		TEST(an_interface_is_ethernet_in_nanoseconds),
		TEST(a_packet_has_its_comment_and_what_became_of_it),
		TEST(the_largest_frame_and_text_fit_and_no_larger_ones),
		TEST(a_full_disk_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
