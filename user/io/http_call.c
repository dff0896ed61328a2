/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler, or whoever replies later, may do with a call. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/http_private.h"

#define STREAM_BLOCK 16384

int http_bytes_add(struct http_bytes *bytes, const char *more, size_t len)
{
	if (bytes->len + len > bytes->capacity) {
		size_t capacity = (bytes->len + len) * 2;
		char *new = realloc(bytes->bytes, capacity);

		if (!new)
			return -ENOMEM;
		bytes->bytes = new;
		bytes->capacity = capacity;
	}
	if (len)
		memcpy(bytes->bytes + bytes->len, more, len);
	bytes->len += len;
	return 0;
}

const char *http_method(const struct http_call *call)
{
	return call->method;
}

const char *http_path(const struct http_call *call)
{
	return call->path;
}

const char *http_query(const struct http_call *call, const char *name)
{
	return MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_header(const struct http_call *call, const char *name)
{
	return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

const json_t *http_body(const struct http_call *call)
{
	return call->json;
}

__s64 http_uid(const struct http_call *call)
{
	return call->uid;
}

bool http_by_address(const struct http_call *call)
{
	return call->listener->by_address;
}

void http_call_resume(struct http_call *call)
{
	if (!call->suspended)
		return;
	call->suspended = false;
	watch_remove(&call->listener->server->watch, call->fd);
	MHD_resume_connection(call->connection);
	/* It goes on in MHD_run(), for which nothing else may call: whoever answers may do so from another event. */
	watch_arm(&call->listener->server->watch, 0);
}

void http_call_gone(struct http_call *call)
{
	bool known = call->stage == HTTP_WAITING || call->stage == HTTP_STREAMING;

	if (!known)
		return;
	call->stage = HTTP_CUT;
	if (call->gone)
		call->gone(call, call->gone_arg);
}

static void answer(struct http_call *call, unsigned status, struct MHD_Response *response)
{
	call->response = response;
	call->status = status;
	call->stage = response ? HTTP_ANSWERED : HTTP_CUT;
	http_call_resume(call);
}

/* A page of ours runs its own scripts alone, asks nobody else, and is in no frame of another's. */
#define CONTENT_POLICY                                                                                                 \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "                \
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static struct MHD_Response *with_headers(struct MHD_Response *response, const char *type)
{
	if (!response)
		return NULL;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "X-Frame-Options", "DENY");
	MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
	MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(response, "Content-Security-Policy", CONTENT_POLICY);
	return response;
}

void http_reply_text(struct http_call *call, unsigned status, const char *type, const char *bytes, size_t len)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(len, (void *)bytes, MHD_RESPMEM_MUST_COPY);

	answer(call, status, with_headers(response, type));
}

void http_response_release(struct http_call *call)
{
	if (call->response && !call->shared)
		MHD_destroy_response(call->response);
	call->response = NULL;
}

struct http_answer *http_answer_new(const char *type, char *bytes, size_t len)
{
	struct http_answer *answer = bytes ? calloc(1, sizeof(*answer)) : NULL;

	if (answer)
		answer->response =
			with_headers(MHD_create_response_from_buffer(len, bytes, MHD_RESPMEM_MUST_FREE), type);
	if (answer && answer->response)
		return answer;
	free(answer);
	free(bytes);
	return NULL;
}

void http_reply_answer(struct http_call *call, const struct http_answer *kept)
{
	call->shared = true;
	answer(call, MHD_HTTP_OK, kept->response);
}

/* libmicrohttpd counts who still sends it. */
void http_answer_free(struct http_answer *answer)
{
	if (!answer)
		return;
	MHD_destroy_response(answer->response);
	free(answer);
}

void http_reply(struct http_call *call, unsigned status, json_t *json)
{
	static const char failed[] = "{\"error\": \"out of memory\"}";
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	if (text)
		http_reply_text(call, status, "application/json", text, strlen(text));
	else
		http_reply_text(call, MHD_HTTP_INTERNAL_SERVER_ERROR, "application/json", failed, sizeof(failed) - 1);
	free(text);
}

void http_reply_error(struct http_call *call, unsigned status, const char *format, ...)
{
	struct error error;
	va_list args;
	json_t *text;

	va_start(args, format);
	vsnprintf(error.text, sizeof(error.text), format, args);
	va_end(args);
	/* A path may be anything; JSON is UTF-8. */
	text = json_string(error.text);
	if (!text) {
		for (char *at = error.text; *at; at++)
			if (*at & 0x80)
				*at = '?';
		text = json_string(error.text);
	}
	http_reply(call, status, json_pack("{s:o}", "error", text));
}

static int count_waiting(struct http_call *call)
{
	struct http_listener *listener = call->listener;

	if (listener->waiting >= HTTP_WAITING_MAX) {
		http_reply_error(call, MHD_HTTP_SERVICE_UNAVAILABLE, "%u clients wait here already: try again later",
				 listener->waiting);
		return -EBUSY;
	}
	listener->waiting++;
	call->counted = true;
	return 0;
}

int http_wait(struct http_call *call, http_gone *gone, void *arg)
{
	int error = count_waiting(call);

	if (error)
		return error;
	call->stage = HTTP_WAITING;
	call->gone = gone;
	call->gone_arg = arg;
	return 0;
}

/* Called by libmicrohttpd whenever it could send more. */
static ssize_t read_stream(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct http_call *call = arg;
	size_t left = call->stream.len - call->stream_sent;

	(void)pos;
	if (call->stage == HTTP_CUT)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (left == 0) {
		if (call->stage != HTTP_STREAMING)
			return MHD_CONTENT_READER_END_OF_STREAM;
		MHD_suspend_connection(call->connection);
		call->suspended = true;
		/* libmicrohttpd does not look at a suspended connection, so we do. */
		watch_add(&call->listener->server->watch, call->fd, EPOLLRDHUP, call);
		return 0;
	}
	if (left > max)
		left = max;
	memcpy(buf, call->stream.bytes + call->stream_sent, left);
	call->stream_sent += left;
	if (call->stream_sent == call->stream.len)
		call->stream_sent = call->stream.len = 0;
	return (ssize_t)left;
}

int http_stream(struct http_call *call, const char *type, http_gone *gone, void *arg)
{
	struct MHD_Response *response;
	int error = count_waiting(call);

	if (error)
		return error;
	response = with_headers(
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, call, NULL), type);
	/* So that a proxy (nginx) passes on what there is, and does not wait for more. */
	if (response)
		MHD_add_response_header(response, "X-Accel-Buffering", "no");
	answer(call, MHD_HTTP_OK, response);
	if (call->stage == HTTP_ANSWERED)
		call->stage = HTTP_STREAMING;
	call->gone = gone;
	call->gone_arg = arg;
	return 0;
}

int http_stream_send(struct http_call *call, const char *bytes, size_t len)
{
	struct http_bytes *stream = &call->stream;
	int result = 0;

	if (call->stream_sent) {
		memmove(stream->bytes, stream->bytes + call->stream_sent, stream->len - call->stream_sent);
		stream->len -= call->stream_sent;
		call->stream_sent = 0;
	}
	if (stream->len + len > HTTP_STREAM_MAX || http_bytes_add(stream, bytes, len)) {
		call->stage = HTTP_CUT;
		result = -ENOBUFS;
	}
	http_call_resume(call);
	return result;
}

void http_stream_end(struct http_call *call)
{
	call->stage = HTTP_ANSWERED;
	http_call_resume(call);
}
