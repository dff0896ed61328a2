/* SPDX-License-Identifier: Apache-2.0 */
/* The mapping `quic`, and the server ids of backends. */
#include <stdio.h>

#include "core/server_id.h"
#include "core/text.h"
#include "io/config_schema.h"

#define TEXT_OF quic_text
const cyaml_schema_field_t quic_fields[] = {QUIC_KEYS(TEXT) CYAML_FIELD_END};
#undef TEXT_OF

static int read_quic_id_offset(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_unsigned(text, 0, CANARY_CONNECTION_ID_MAX - 1, &service->id_offset) < 0)
		return refuse_text(problem,
				   "'%s' is not an offset in a connection id: give a whole number from 0 to %d", text,
				   CANARY_CONNECTION_ID_MAX - 1);
	return 0;
}

static int read_quic_id_length(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_unsigned(text, 1, CANARY_SERVER_ID_MAX, &service->id_length) < 0)
		return refuse_text(problem,
				   "'%s' is not a server id's length: give a whole number of bytes from 1 to %d", text,
				   CANARY_SERVER_ID_MAX);
	return 0;
}

int read_backend_server_id(const char *text, struct backend_model *backend, struct problem *problem)
{
	if (parse_server_id(text, &backend->server_id, &backend->server_id_length) < 0)
		return refuse_text(
			problem,
			"'%s' is not a server id: give 1 to %d bytes in hexadecimal, like 0a00000b, or leave it out",
			text, CANARY_SERVER_ID_MAX);
	return 0;
}

#define READER(key) read_quic_##key
int read_quic(const struct quic_text *text, const char *path, struct service_model *ret, struct problem *problem)
{
	int err;

	QUIC_KEYS(READ)
	return 0;
}
#undef READER
