/* SPDX-License-Identifier: Apache-2.0 */
/* Server ids of affinity quic: as text, in a connection id, and in the table that packets find them in. */
#include "lib_model.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/server_id.h"

static struct canary_server_id make_id(const char *text)
{
	struct canary_server_id id;
	unsigned length;

	assert_int_equal(parse_server_id(text, &id, &length), 0);
	return id;
}

static void test_text(void **state)
{
	static const char *const wrong[] = {"",	   "0",	  "0a0", "0x0a",  "0g",
					    " 0a", "0a ", "-1",	 "0a:0b", "000102030405060708090a0b0c0d0e0f10"};
	struct canary_server_id id, kept = {{7, 7}};
	char text[SERVER_ID_TEXT_LEN];
	unsigned length = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_int_equal(parse_server_id(wrong[i], &kept, &length), -EINVAL);
		assert_int_equal(kept.word[0], 7);
		assert_int_equal(length, 77);
	}
	assert_int_equal(parse_server_id("00Ff0aB1", &id, &length), 0);
	assert_int_equal(length, 4);
	assert_memory_equal(&id, "\x00\xff\x0a\xb1\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_string_equal(format_server_id(&id, length, text), "00ff0ab1");
	assert_int_equal(parse_server_id("000102030405060708090a0b0c0d0e0f", &id, &length), 0);
	assert_int_equal(length, 16);
	assert_string_equal(format_server_id(&id, length, text), "000102030405060708090a0b0c0d0e0f");
}

static struct service_model *quic_service(struct model *model)
{
	struct service_model *service = make_service(model, "h3", "203.0.113.10:443");

	service->proto = IPPROTO_UDP;
	service->affinity = CANARY_AFFINITY_QUIC;
	service->weight = 0;
	return service;
}

static void test_a_connection_ids_part(void **state)
{
	static const __u8 connection[] = {0xc3, 0x0a, 0, 0, 0x0b, 0x55, 0x66};
	struct model model = {};
	struct service_model *service = quic_service(&model);
	struct canary_server_id id;
	struct problem problem;

	(void)state;
	make_backend(service, CANARY_STABLE, "10.0.0.11");
	make_backend(service, CANARY_CANARY, "10.0.0.12");
	assert_int_equal(validate_model(&model, &problem), 0);
	assert_int_equal(server_id_of_connection(service, connection, 4, &id), -EINVAL);
	assert_int_equal(server_id_of_connection(service, connection, 5, &id), 0);
	assert_ptr_equal(server_id_find(service, &id), &service->backends[0]);
	id = make_id("0a00000c");
	assert_ptr_equal(server_id_find(service, &id), &service->backends[1]);
	id = make_id("0a00000d");
	assert_null(server_id_find(service, &id));
	model_free(&model);
}

/* As the kernel does. */
static size_t look_up(const __u64 *words, const struct canary_keys *keys, const struct canary_server_id *id,
		      size_t count)
{
	const __u64 *table = words + count * CANARY_SERVER_ID_WORDS;
	__u32 at = canary_server_id_place(keys, id, count);

	for (int probe = 0; probe < CANARY_SERVER_ID_PROBES; probe++) {
		for (int place = 0; place < CANARY_SERVER_ID_PLACES; place++) {
			size_t number = table[at] >> place * 16 & 0xffff;

			if (!number || !memcmp(words + (number - 1) * CANARY_SERVER_ID_WORDS, id, sizeof(*id)))
				return number;
		}
		at = (at + 1) % count;
	}
	return 0;
}

static void test_every_id_has_a_place_whatever_the_keys(void **state)
{
	static const size_t counts[] = {1, 2, 3, 4, 5, 17, 100, 2 * CANARY_MAX_COHORT_BACKENDS};
	struct model model = {};
	struct service_model *service = quic_service(&model);
	struct canary_server_id other = make_id("7f000001");
	__u64 *words;

	(void)state;
	words = calloc((size_t)2 * CANARY_MAX_COHORT_BACKENDS, (CANARY_SERVER_ID_WORDS + 1) * sizeof(*words));
	assert_non_null(words);
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		while (service->backend_count < counts[i]) {
			struct backend_model *backend = make_backend(service, CANARY_STABLE, "10.0.0.1");
			__u32 id = htonl(0x0a000000 + (__u32)service->backend_count);

			memcpy(&backend->server_id, &id, sizeof(id));
			backend->server_id_length = sizeof(id);
		}
		for (__u64 seed = 1; seed <= 100; seed++) {
			struct canary_keys keys = {.slot = seed * 0x9e3779b97f4a7c15};

			assert_int_equal(server_id_table(service, &keys, words), 0);
			for (size_t j = 0; j < counts[i]; j++)
				assert_int_equal(look_up(words, &keys, &service->backends[j].server_id, counts[i]),
						 j + 1);
			assert_int_equal(look_up(words, &keys, &other, counts[i]), 0);
		}
	}
	free(words);
	model_free(&model);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_a_connection_ids_part),
		cmocka_unit_test(test_every_id_has_a_place_whatever_the_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
