/* SPDX-License-Identifier: Apache-2.0 */
/* Which handler a request is for. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/http_private.h"

static bool is_part(const char *pattern)
{
	return *pattern == '{';
}

/* Does the path have the pattern's form? Then what its parts stand for, if that is asked for. */
static bool match(const char *pattern, const char *path, char parts[HTTP_PARTS_MAX][HTTP_PART_LEN])
{
	size_t count = 0;

	while (*pattern == '/' && *path == '/') {
		size_t wanted = strcspn(++pattern, "/"), given = strcspn(++path, "/");

		if (is_part(pattern)) {
			if (given == 0 || given >= HTTP_PART_LEN || count == HTTP_PARTS_MAX)
				return false;
			memcpy(parts[count], path, given);
			parts[count++][given] = '\0';
		} else if (wanted != given || memcmp(pattern, path, given) != 0) {
			return false;
		}
		pattern += wanted;
		path += given;
	}
	return *pattern == *path;
}

const char *http_part(const struct http_call *call, const char *name)
{
	size_t len = strlen(name), count = 0;

	for (const char *at = strchr(call->route->pattern, '{'); at; at = strchr(at + 1, '{'), count++)
		if (strncmp(at + 1, name, len) == 0 && at[1 + len] == '}')
			return call->parts[count];
	return NULL;
}

static bool method_is(const struct http_call *call, const struct http_route *route)
{
	const char *method = strcmp(call->method, "HEAD") ? call->method : "GET";

	return strcmp(method, route->method) == 0;
}

static void add_word(char *buf, size_t size, const char *word)
{
	size_t len = strlen(buf);

	snprintf(buf + len, size - len, "%s%s", len ? ", " : "", word);
}

int http_route_find(struct http_call *call)
{
	char allowed[128] = "";

	for (const struct http_route *route = call->listener->server->routes; route->method; route++) {
		if (!match(route->pattern, call->path, call->parts))
			continue;
		add_word(allowed, sizeof(allowed), route->method);
		if (strcmp(route->method, "GET") == 0)
			add_word(allowed, sizeof(allowed), "HEAD");
		if (!method_is(call, route))
			continue;
		call->route = route;
		return 0;
	}
	if (!allowed[0]) {
		http_reply_error(call, MHD_HTTP_NOT_FOUND, "there is no %s", call->path);
		return -ENOENT;
	}
	http_reply_error(call, MHD_HTTP_METHOD_NOT_ALLOWED, "%s takes %s, not %s", call->path, allowed, call->method);
	if (call->response)
		MHD_add_response_header(call->response, MHD_HTTP_HEADER_ALLOW, allowed);
	return -EOPNOTSUPP;
}
