/* SPDX-License-Identifier: Apache-2.0 */
#include "core/server_id.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lookup.h"
#include "core/text.h"

static int digit_value(char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = digit ? strchr(digits, tolower((unsigned char)digit)) : NULL;

	return at ? (int)(at - digits) : -1;
}

int parse_bytes(const char *text, unsigned max, __u8 *ret, unsigned *ret_length)
{
	size_t digits = strlen(text);

	if (!digits || digits % 2 || digits > 2 * (size_t)max)
		return -EINVAL;
	for (size_t i = 0; i < digits; i++) {
		if (digit_value(text[i]) < 0)
			return -EINVAL;
	}
	for (size_t i = 0; i < digits; i += 2)
		ret[i / 2] = digit_value(text[i]) << 4 | digit_value(text[i + 1]);
	*ret_length = digits / 2;
	return 0;
}

int parse_server_id(const char *text, struct canary_server_id *ret, unsigned *ret_length)
{
	__u8 bytes[CANARY_SERVER_ID_MAX] = {};

	if (parse_bytes(text, sizeof(bytes), bytes, ret_length) < 0)
		return -EINVAL;
	memcpy(ret, bytes, sizeof(*ret));
	return 0;
}

const char *format_server_id(const struct canary_server_id *id, unsigned length, char buf[SERVER_ID_TEXT_LEN])
{
	__u8 bytes[CANARY_SERVER_ID_MAX];

	memcpy(bytes, id, sizeof(bytes));
	buf[0] = '\0';
	for (unsigned i = 0; i < length && i < sizeof(bytes); i++)
		snprintf(buf + (size_t)2 * i, 3, "%02x", bytes[i]);
	return buf;
}

const char *backend_server_id(const struct backend_model *backend, char buf[SERVER_ID_TEXT_LEN])
{
	return backend->server_id_length ? format_server_id(&backend->server_id, backend->server_id_length, buf) : NULL;
}

int server_id_of_connection(const struct service_model *service, const __u8 *connection_id, unsigned length,
			    struct canary_server_id *ret)
{
	struct canary_server_id id = {};

	if (service->id_offset + service->id_length > length)
		return -EINVAL;
	memcpy(&id, connection_id + service->id_offset, service->id_length);
	*ret = id;
	return 0;
}

static bool same_id(const struct canary_server_id *a, const struct canary_server_id *b)
{
	return !memcmp(a, b, sizeof(*a));
}

const struct backend_model *server_id_find(const struct service_model *service, const struct canary_server_id *id)
{
	for (size_t i = 0; i < service->backend_count; i++) {
		if (same_id(&service->backends[i].server_id, id))
			return &service->backends[i];
	}
	return NULL;
}

__attribute__((format(printf, 5, 6))) static int refuse(const struct model *model, const struct service_model *service,
							const char *field, struct problem *ret, const char *format, ...)
{
	va_list args;

	snprintf(ret->path, sizeof(ret->path), "services[%zu].%s", (size_t)(service - model->services), field);
	va_start(args, format);
	vsnprintf(ret->text, sizeof(ret->text), format, args);
	va_end(args);
	return -EINVAL;
}

__attribute__((format(printf, 5, 6))) static int refuse_id(const struct model *model,
							   const struct service_model *service,
							   const struct backend_model *backend, struct problem *ret,
							   const char *format, ...)
{
	va_list args;

	backend_path(model, service, backend, "server_id", ret->path);
	va_start(args, format);
	vsnprintf(ret->text, sizeof(ret->text), format, args);
	va_end(args);
	return -EINVAL;
}

static int check_service(const struct model *model, const struct service_model *service, struct problem *ret)
{
	if (service->proto != IPPROTO_UDP)
		return refuse(model, service, "affinity", ret,
			      "'quic' is for udp only: tcp connections have no id that says where they live; give flow "
			      "or client");
	if (service->id_length < 1 || service->id_length > CANARY_SERVER_ID_MAX)
		return refuse(model, service, "quic.id_length", ret,
			      "%u bytes is no length of a server id: give 1 to %d", service->id_length,
			      CANARY_SERVER_ID_MAX);
	if (service->id_offset + service->id_length > CANARY_CONNECTION_ID_MAX)
		return refuse(model, service, "quic.id_offset", ret,
			      "%u bytes at offset %u end beyond the %d that a connection id can have: give less",
			      service->id_length, service->id_offset, CANARY_CONNECTION_ID_MAX);
	return 0;
}

/* Settles the backend's id: the last bytes of its address (of an IPv4 one as ::ffff:a.b.c.d), if none is given. */
static int check_backend(const struct model *model, const struct service_model *service, struct backend_model *backend,
			 struct problem *ret)
{
	const char *address = (const char *)&backend->addr;

	if (!backend->server_id_length) {
		backend->server_id = (struct canary_server_id){};
		memcpy(&backend->server_id, address + sizeof(backend->addr) - service->id_length, service->id_length);
		backend->server_id_length = service->id_length;
	}
	if (backend->server_id_length != service->id_length)
		return refuse_id(model, service, backend, ret,
				 "it has %u bytes and the service's quic.id_length is %u: give %u hexadecimal digits",
				 backend->server_id_length, service->id_length, 2 * service->id_length);
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	const struct backend_model *x = a, *y = b;

	return memcmp(&x->server_id, &y->server_id, sizeof(x->server_id));
}

static int check_unique(const struct model *model, const struct service_model *service, struct problem *ret)
{
	char text[SERVER_ID_TEXT_LEN], first[ADDR_TEXT_LEN], second[ADDR_TEXT_LEN];
	const void *earlier, *later;
	struct lookup lookup;
	int err = lookup_make(service->backends, service->backend_count, sizeof(*service->backends), compare_ids,
			      &lookup);

	if (err < 0)
		return err;
	if (lookup_repeated(&lookup, &earlier, &later)) {
		const struct backend_model *one = earlier, *other = later;

		err = refuse_id(model, service, other, ret,
				"%s and %s would both have the server id %s (where none is given it is the end of the "
				"address): give each its own",
				format_endpoint(&one->addr, one->port, first),
				format_endpoint(&other->addr, other->port, second),
				format_server_id(&other->server_id, other->server_id_length, text));
	}
	lookup_free(&lookup);
	return err;
}

int validate_server_ids(const struct model *model, struct service_model *service, struct problem *ret)
{
	bool quic = service->affinity == CANARY_AFFINITY_QUIC;
	int err = quic ? check_service(model, service, ret) : 0;

	for (size_t i = 0; !err && i < service->backend_count; i++) {
		struct backend_model *backend = &service->backends[i];

		if (quic)
			err = check_backend(model, service, backend, ret);
		else if (backend->server_id_length)
			err = refuse_id(model, service, backend, ret,
					"a server id is for services with affinity quic, and this one has %s: leave it "
					"out",
					affinity_name(service->affinity));
	}
	return err || !quic ? err : check_unique(model, service, ret);
}

/* Into the first free place from where the id's hash says. */
static int place_id(const struct canary_keys *keys, const struct canary_server_id *id, __u64 number, __u64 *table,
		    __u32 words)
{
	__u32 at = canary_server_id_place(keys, id, words);

	for (int probe = 0; probe < CANARY_SERVER_ID_PROBES; probe++) {
		for (int place = 0; place < CANARY_SERVER_ID_PLACES; place++) {
			if (table[at] >> place * 16 & 0xffff)
				continue;
			table[at] |= number << place * 16;
			return 0;
		}
		at = (at + 1) % words;
	}
	return -ENOSPC;
}

int server_id_table(const struct service_model *service, const struct canary_keys *keys, __u64 *words)
{
	size_t count = service->backend_count;
	__u64 *table = words + count * CANARY_SERVER_ID_WORDS;
	int err = 0;

	memset(table, 0, count * sizeof(*table));
	for (size_t i = 0; !err && i < count; i++) {
		const struct canary_server_id *id = &service->backends[i].server_id;

		memcpy(words + i * CANARY_SERVER_ID_WORDS, id, sizeof(*id));
		err = place_id(keys, id, i + 1, table, count);
	}
	return err;
}
