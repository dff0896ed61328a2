/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is refused before anybody acts on it. On every listener: what two readers of HTTP could take for different requests
 * (RFC 9112, 6.3: request smuggling). On the address as well: other names for this host in Host (DNS rebinding), pages of
 * other sites (Fetch Metadata, W3C; RFC 6454 on Origin), and writing without a token.
 *
 * There are no CORS headers, so no page of another site gets to read an answer either.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/text.h"
#include "io/http_private.h"

#define NAME_CHARACTERS                                                                                                \
	"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" /* of a header: RFC 9110, 5.1 */

/* What says where a request ends and whom it is for: each at most once. */
struct framing {
	unsigned hosts, lengths, encodings;
	bool misnamed; /* one has a name with a space, say, which another reader may take for the name without */
	bool chunked;
};

static enum MHD_Result take_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct framing *framing = arg;

	(void)kind;
	if (!*name || name[strspn(name, NAME_CHARACTERS)])
		framing->misnamed = true;
	if (!strcasecmp(name, MHD_HTTP_HEADER_HOST))
		framing->hosts++;
	if (!strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH))
		framing->lengths++;
	if (!strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING)) {
		framing->encodings++;
		framing->chunked = value && !strcasecmp(value, "chunked");
	}
	return MHD_YES;
}

int http_guard_framing(struct http_call *call)
{
	struct framing framing = {};
	const char *what = NULL;

	MHD_get_connection_values(call->connection, MHD_HEADER_KIND, take_header, &framing);
	if (framing.misnamed)
		what = "a header's name has characters that it may not have";
	else if (framing.hosts > 1)
		what = "there is more than one Host";
	else if (framing.lengths > 1 || framing.encodings > 1 || (framing.lengths && framing.encodings))
		what = "there is more than one Content-Length or Transfer-Encoding";
	else if (framing.encodings && !framing.chunked)
		what = "a Transfer-Encoding is none but chunked";
	if (!what)
		return 0;
	http_reply_error(call, MHD_HTTP_BAD_REQUEST, "%s", what);
	/* Whatever follows: it is not read as a request. */
	if (call->response)
		MHD_add_response_header(call->response, MHD_HTTP_HEADER_CONNECTION, "close");
	return -EBADMSG;
}

/* One end of a call by address: getsockname() or getpeername(). */
typedef int name_of(int fd, struct sockaddr *address, socklen_t *len);

static bool read_end(const struct http_call *call, name_of *name, struct canary_addr *ret, int *ret_port)
{
	struct sockaddr_storage address;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
	socklen_t len = sizeof(address);

	if (name(call->fd, (struct sockaddr *)&address, &len))
		return false;
	if (address.ss_family == AF_INET)
		*ret = (struct canary_addr){{0, 0, htonl(0xffff), v4->sin_addr.s_addr}};
	else
		memcpy(ret, &v6->sin6_addr, sizeof(*ret));
	*ret_port = ntohs(address.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
	return true;
}

const char *http_asker(const struct http_call *call, char buf[HTTP_ASKER_LEN])
{
	struct canary_addr addr;
	int port;

	buf[0] = '\0';
	if (call->listener->by_address && read_end(call, getpeername, &addr, &port))
		format_endpoint(&addr, port, buf);
	return buf;
}

static bool is_loopback(const struct canary_addr *addr)
{
	static const struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;

	return addr_is_v4(addr) ? ((const __u8 *)addr)[12] == IN_LOOPBACKNET
				: memcmp(addr, &loopback, sizeof(loopback)) == 0;
}

/* Is it this name, but for letters' case, a port and the dot that ends a name? */
static bool is_named(const char *host, const char *name)
{
	size_t len = strlen(name);
	int port;

	if (strncasecmp(host, name, len) != 0)
		return false;
	host += len + (host[len] == '.');
	return !*host || (*host == ':' && !parse_port(host + 1, &port));
}

/* A name that an attacker's DNS could lead to us is none of ours; an address can only be one. */
static bool is_ours(const struct http_call *call, const char *host)
{
	const char *const *names = call->listener->server->guard.names;
	struct canary_addr addr, other;
	bool is_address;
	int port;

	if (is_named(host, "localhost"))
		return true;
	is_address = !parse_endpoint(host, &addr, &port);
	if (is_address &&
	    (is_loopback(&addr) || (read_end(call, getsockname, &other, &port) && addr_equal(&addr, &other))))
		return true;
	for (size_t i = 0; names && names[i]; i++)
		if (is_address ? !parse_addr(names[i], &other) && addr_equal(&addr, &other) : is_named(host, names[i]))
			return true;
	return false;
}

static bool header_is(const struct http_call *call, const char *name, const char *value)
{
	const char *given = http_header(call, name);

	return given && !strcasecmp(given, value);
}

/* May the page that a browser asks for be one of ours? What is no browser says nothing. */
static bool is_same_site(const struct http_call *call, const char *host)
{
	static const char *const schemes[] = {"http://", "https://"};
	const char *origin = http_header(call, MHD_HTTP_HEADER_ORIGIN);
	bool same = !origin;

	for (size_t i = 0; origin && i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t len = strlen(schemes[i]);

		same = same || (!strncmp(origin, schemes[i], len) && !strcasecmp(origin + len, host));
	}
	if (!same || !http_header(call, "Sec-Fetch-Site") || header_is(call, "Sec-Fetch-Site", "same-origin") ||
	    header_is(call, "Sec-Fetch-Site", "none"))
		return same;
	/* Whoever follows a link to us sees what we show. */
	return !strcmp(call->method, "GET") && header_is(call, "Sec-Fetch-Mode", "navigate") &&
	       header_is(call, "Sec-Fetch-Dest", "document");
}

int http_guard_address(struct http_call *call)
{
	const char *host = http_header(call, MHD_HTTP_HEADER_HOST);

	if (!host || !is_ours(call, host)) {
		http_reply_error(call, MHD_HTTP_MISDIRECTED_REQUEST,
				 "this is not %s: ask by an address, or by a name that canaryd was given with --host",
				 host && *host ? host : "what Host does not say");
		return -EPERM;
	}
	if (!is_same_site(call, host)) {
		http_reply_error(call, MHD_HTTP_FORBIDDEN, "pages of other sites may not ask here");
		return -EPERM;
	}
	return 0;
}

static bool is_read(const struct http_call *call)
{
	return !strcmp(call->route->method, "GET");
}

int http_guard_access(struct http_call *call)
{
	const struct http_tokens *tokens = call->listener->server->guard.tokens;
	const char *shown = http_header(call, MHD_HTTP_HEADER_AUTHORIZATION);
	enum http_access access = call->route->access;
	enum http_grant grant;

	if (access == HTTP_EVERYBODY)
		return 0;
	if (!tokens || !tokens->count) {
		http_reply_error(call, MHD_HTTP_FORBIDDEN,
				 "%s %s is offered on the unix socket only: canaryd was started without --token-file",
				 call->method, call->path);
		return -EPERM;
	}
	grant = http_tokens_check(tokens, shown);
	if (grant == HTTP_GRANT_NONE) {
		http_reply_error(call, MHD_HTTP_UNAUTHORIZED, "%s %s takes %s token: Authorization: Bearer TOKEN",
				 call->method, call->path, shown ? "another" : "a");
		if (call->response)
			MHD_add_response_header(call->response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
						shown ? "Bearer realm=\"canaryd\", error=\"invalid_token\""
						      : "Bearer realm=\"canaryd\"");
		return -EACCES;
	}
	if (access == HTTP_FULL_TOKEN && grant != HTTP_GRANT_ALL) {
		http_reply_error(call, MHD_HTTP_FORBIDDEN, "this token is for feedback alone");
		return -EPERM;
	}
	/* No form of a page has this type, so that a browser would have to ask us first. */
	if (!is_read(call) && !http_is_json(http_header(call, MHD_HTTP_HEADER_CONTENT_TYPE))) {
		http_reply_error(call, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
				 "%s %s must come with Content-Type: application/json", call->method, call->path);
		return -EINVAL;
	}
	return 0;
}
