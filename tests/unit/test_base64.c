/* SPDX-License-Identifier: Apache-2.0 */
/* Base64: the vectors of RFC 4648, section 10, all bytes, and what is none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base64.h"

static void test_vectors_both_ways(void **state)
{
	static const char *const vectors[][2] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
		{"\xfb\xff\xbf", "+/+/"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const char *data = vectors[i][0], *text = vectors[i][1];
		char encoded[16], decoded[16];
		size_t len = 77;

		base64_encode(data, strlen(data), encoded);
		assert_string_equal(encoded, text);
		assert_int_equal(strlen(text) + 1, BASE64_LEN(strlen(data)));
		assert_int_equal(base64_decode(text, strlen(text), decoded, &len), 0);
		assert_int_equal(len, strlen(data));
		assert_memory_equal(decoded, data, len);
	}
}

static void test_all_bytes_come_back_in_place(void **state)
{
	unsigned char bytes[256];
	char text[BASE64_LEN(256)];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(255 - i);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		size_t got = 0;

		base64_encode(bytes, len, text);
		assert_int_equal(base64_decode(text, strlen(text), text, &got), 0);
		assert_int_equal(got, len);
		assert_memory_equal(text, bytes, len);
	}
}

static void test_what_is_none_is_refused(void **state)
{
	static const char *const texts[] = {
		"Z",	"Zg",	"Zg=",	"=",	"====",	 "Z===",  "Zg==Zg==", "Zm9v=", "Zm9v====",
		"Zh==", "Zm9=", "Zm-v", "Zm_v", " Zm9v", "Zm9\n", "Zm\x80v",  "Z=g=",
	};
	char decoded[16];
	size_t len = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (base64_decode(texts[i], strlen(texts[i]), decoded, &len) != -EINVAL)
			fail_msg("%s is taken", texts[i]);
	assert_int_equal(base64_decode("Zm\0v", 4, decoded, &len), -EINVAL);
	assert_int_equal(len, 77);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_both_ways),
		cmocka_unit_test(test_all_bytes_come_back_in_place),
		cmocka_unit_test(test_what_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
