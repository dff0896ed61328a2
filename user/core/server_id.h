/* SPDX-License-Identifier: Apache-2.0 */
/* Affinity quic: the server ids of a service's backends, and the table that packets find them in (canary/server_id.h). */
#ifndef CORE_SERVER_ID_H
#define CORE_SERVER_ID_H

#include "canary/server_id.h"
#include "core/model.h"
#include "core/validate.h"

/* Two digits a byte, as in "0a00000b". parse: 1 to `max` bytes, or -EINVAL with *ret untouched. */
int parse_bytes(const char *text, unsigned max, __u8 *ret, unsigned *ret_length);
#define SERVER_ID_TEXT_LEN (2 * CANARY_SERVER_ID_MAX + 1)
int parse_server_id(const char *text, struct canary_server_id *ret, unsigned *ret_length);
/* NULL: it has none. */
const char *backend_server_id(const struct backend_model *backend, char buf[SERVER_ID_TEXT_LEN]);
const char *format_server_id(const struct canary_server_id *id, unsigned length, char buf[SERVER_ID_TEXT_LEN]);

/* The part of a connection id, of `length` bytes, that is the server id of a service. -EINVAL: it is too short for one. */
int server_id_of_connection(const struct service_model *service, const __u8 *connection_id, unsigned length,
			    struct canary_server_id *ret);

/* NULL: none has it. */
const struct backend_model *server_id_find(const struct service_model *service, const struct canary_server_id *id);

/*
 * validate_model()'s part: is all that the service says of QUIC right? Fills in the ids of backends that are given none: the
 * last bytes of their address. 0, -EINVAL with *ret, or -ENOMEM.
 */
int validate_server_ids(const struct model *model, struct service_model *service, struct problem *ret);

/* Writes the ids and the table as canary/server_id.h says, of backend_count words each. -ENOSPC: too many meet in one place. */
int server_id_table(const struct service_model *service, const struct canary_keys *keys, __u64 *words);

#endif
