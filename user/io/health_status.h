/* SPDX-License-Identifier: Apache-2.0 */
/* The status of an HTTP/1 answer (RFC 9112), out of its bytes as they come. */
#ifndef IO_HEALTH_STATUS_H
#define IO_HEALTH_STATUS_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

struct status_reader { /* zeroed: nothing has come */
	unsigned at; /* bytes of this line */
	unsigned status; /* as far as it has come */
	bool in_interim; /* in the fields of an interim answer (1xx), which the final one follows */
};

enum status_found { STATUS_NEEDS_MORE, STATUS_FOUND, STATUS_IS_NOT_HTTP };

/* Takes the next bytes; once something was found there is nothing more to be taken. */
enum status_found status_read(struct status_reader *reader, const __u8 *bytes, size_t len);

#endif
