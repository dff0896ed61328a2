/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 with the standard alphabet and padding (RFC 4648, section 4). */
#ifndef CORE_BASE64_H
#define CORE_BASE64_H

#include <stddef.h>

#define BASE64_LEN(len) (((len) + 2) / 3 * 4 + 1) /* of the text, with its zero */

/* `ret` has room for BASE64_LEN(len). */
void base64_encode(const void *data, size_t len, char *ret);

/*
 * `ret` has room for 3 bytes of each 4 characters, and may be the text itself. 0; -EINVAL: this is none, or has bits that
 * say nothing.
 */
int base64_decode(const char *text, size_t text_len, void *ret, size_t *ret_len);

#endif
