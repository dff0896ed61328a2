/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens (RFC 6750): what a client shows to write by address. A file has one a line:
 *
 *   # whose it is
 *   2f0f9d0c...            everything
 *   feedback 71ab55e2...   what takes feedback, and nothing else
 */
#ifndef IO_HTTP_TOKEN_H
#define IO_HTTP_TOKEN_H

#include <stddef.h>

#include "core/error.h"

#define HTTP_TOKENS_MAX 32
#define HTTP_TOKEN_MIN 32 /* characters: 128 bits of randomness in hexadecimal */
#define HTTP_TOKEN_MAX 255

enum http_grant { HTTP_GRANT_NONE, HTTP_GRANT_FEEDBACK, HTTP_GRANT_ALL };

struct http_tokens {
	struct http_token {
		enum http_grant grant;
		char text[HTTP_TOKEN_MAX + 1]; /* zeros behind it */
	} token[HTTP_TOKENS_MAX];
	size_t count;
};

/*
 * Reads a file. -EPERM: others than its owner, who is root or we, and its group may read it, or others than its owner
 * write it; -EINVAL: what is in it, or that nothing is. On an error *ret is as it was. No message has a token in it.
 */
int http_tokens_load(const char *path, struct http_tokens *ret, struct error *error);

/* What an Authorization header allows; NULL: nothing. How long it takes says nothing about tokens. */
enum http_grant http_tokens_check(const struct http_tokens *tokens, const char *authorization);

void http_tokens_clear(struct http_tokens *tokens); /* also from memory */

#endif
