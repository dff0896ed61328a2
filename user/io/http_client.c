/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/watch.h"

#define REDIRECTS_MAX 3
#define SCHEMES "http,https"
#define KEEPALIVE_SECONDS 5

struct http_client {
	struct watch watch;
	CURLM *multi;
	struct http_transfer *transfers;
};

struct http_transfer {
	struct http_transfer *next, **self;
	struct http_client *client;
	CURL *easy;
	struct curl_slist *headers;
	char *url; /* as it may be shown */
	char problem[CURL_ERROR_SIZE];
	char *body;
	size_t len, room, limit;
	bool too_long;
	char *sending; /* the request's body, where it is sent once */
	size_t sent;
	http_take *take;
	http_done *done;
	void *arg;
};

/*
 * A socket's event carries its number, not a pointer: libcurl may close another of a batch of sockets while the first is
 * acted on, and an event of one that is gone does no harm. 0 would be the timer's NULL.
 */
static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct http_client *client = arg;
	struct epoll_event event = {
		.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0),
		.data.u64 = (__u64)fd + 1,
	};

	(void)easy, (void)known;
	if (what == CURL_POLL_REMOVE)
		watch_remove(&client->watch, fd);
	else if (epoll_ctl(client->watch.epoll, EPOLL_CTL_MOD, fd, &event) && errno == ENOENT)
		epoll_ctl(client->watch.epoll, EPOLL_CTL_ADD, fd, &event);
	return 0;
}

static int arm_timer(CURLM *multi, long milliseconds, void *arg)
{
	struct http_client *client = arg;

	(void)multi;
	watch_arm(&client->watch, milliseconds);
	return 0;
}

int http_client_open(struct http_client **ret, struct error *error)
{
	struct http_client *client = calloc(1, sizeof(*client));
	int code;

	if (!client)
		return fail(error, -ENOMEM, "out of memory");
	code = watch_open(&client->watch);
	if (code) {
		free(client);
		return fail(error, code, "cannot make an HTTP client: %s", strerror(-code));
	}
	if (curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK)
		client->multi = curl_multi_init();
	if (!client->multi) {
		http_client_close(client);
		return fail(error, -ENOMEM, "cannot make an HTTP client");
	}
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, arm_timer);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	*ret = client;
	return 0;
}

void http_client_close(struct http_client *client)
{
	if (!client)
		return;
	while (client->transfers)
		http_client_cancel(client->transfers);
	curl_multi_cleanup(client->multi);
	curl_global_cleanup();
	watch_close(&client->watch);
	free(client);
}

int http_client_fd(const struct http_client *client)
{
	return client->watch.epoll;
}

void http_client_cancel(struct http_transfer *transfer)
{
	if (!transfer)
		return;
	if (transfer->self) {
		*transfer->self = transfer->next;
		if (transfer->next)
			transfer->next->self = transfer->self;
	}
	if (transfer->easy) {
		curl_multi_remove_handle(transfer->client->multi, transfer->easy);
		curl_easy_cleanup(transfer->easy);
	}
	curl_slist_free_all(transfer->headers);
	curl_free(transfer->url);
	free(transfer->sending);
	free(transfer->body);
	free(transfer);
}

static size_t keep(const char *bytes, size_t size, size_t count, void *arg)
{
	struct http_transfer *transfer = arg;
	char *body;

	(void)size;
	if (transfer->take) {
		transfer->too_long = !transfer->take(bytes, count, transfer->arg);
		return transfer->too_long ? 0 : count;
	}
	if (transfer->len + count > transfer->limit) {
		transfer->too_long = true;
		return 0;
	}
	if (transfer->len + count >= transfer->room) {
		size_t room = 2 * (transfer->len + count + 1);

		body = realloc(transfer->body, room);
		if (!body)
			return 0;
		transfer->body = body;
		transfer->room = room;
	}
	body = transfer->body;
	memcpy(body + transfer->len, bytes, count);
	transfer->len += count;
	body[transfer->len] = '\0';
	return count;
}

/* libcurl cannot begin anew with what it took by this: so a request whose body has left is not sent again. */
static size_t give(char *room, size_t size, size_t count, void *arg)
{
	struct http_transfer *transfer = arg;
	size_t left = strlen(transfer->sending + transfer->sent), len = left < size * count ? left : size * count;

	memcpy(room, transfer->sending + transfer->sent, len);
	transfer->sent += len;
	return len;
}

/* Checks the URL, and keeps it without its password, to be shown and recorded. */
static int check_url(struct http_transfer *transfer, const char *text, struct error *error)
{
	CURLU *url = curl_url();
	char *scheme = NULL;
	bool good;

	if (!url)
		return fail(error, -ENOMEM, "out of memory");
	good = curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
	       curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	       (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
	       curl_url_set(url, CURLUPART_PASSWORD, NULL, 0) == CURLUE_OK &&
	       curl_url_get(url, CURLUPART_URL, &transfer->url, 0) == CURLUE_OK;
	curl_free(scheme);
	curl_url_cleanup(url);
	return good ? 0 : fail(error, -EINVAL, "this is no http:// or https:// URL");
}

static int add_line(struct http_transfer *transfer, const char *line)
{
	struct curl_slist *headers = curl_slist_append(transfer->headers, line);

	if (!headers)
		return -ENOMEM;
	transfer->headers = headers;
	return 0;
}

static int add_host(struct http_transfer *transfer, const char *host)
{
	char *line;
	int error;

	if (asprintf(&line, "Host: %s", host) < 0)
		return -ENOMEM;
	error = add_line(transfer, line);
	free(line);
	return error;
}

static int set_headers(struct http_transfer *transfer, const struct http_request *request)
{
	int error = request->host ? add_host(transfer, request->host) : 0;
	const char *const *line;

	if (!error && request->json)
		error = add_line(transfer, "Content-Type: application/json");
	for (line = request->headers; !error && line && *line; line++)
		error = add_line(transfer, *line);
	return error;
}

/* Peer and name are verified by default: said again, as much hangs on it. An authority that is given is the only one. */
static bool set_tls(CURL *easy, const struct http_tls *tls)
{
	return curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
	       (!tls->ca || (curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca) == CURLE_OK &&
			     curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK)) &&
	       (!tls->cert || curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->cert) == CURLE_OK) &&
	       (!tls->key || curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key) == CURLE_OK);
}

static bool set_body(struct http_transfer *transfer, const struct http_request *request)
{
	CURL *easy = transfer->easy;

	if (!request->json)
		return true;
	if (!request->once)
		return curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->json) == CURLE_OK;
	transfer->sending = strdup(request->json);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(request->json));
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
	return transfer->sending;
}

static bool set_options(struct http_transfer *transfer, const struct http_request *request)
{
	CURL *easy = transfer->easy;
	bool good = curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
		    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, SCHEMES) == CURLE_OK &&
		    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, SCHEMES) == CURLE_OK &&
		    curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
		    curl_easy_setopt(easy, CURLOPT_USERAGENT, "canaryd/" CANARY_VERSION) == CURLE_OK &&
		    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK &&
		    set_tls(easy, request->tls ? request->tls : &(struct http_tls){}) && set_body(transfer, request);

	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, request->follow && !request->json ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request->fresh ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, request->fresh ? 1L : 0L);
	/* Who waits for more of an answer for long is to find out that the other host is gone. */
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, request->take ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_SECONDS);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_SECONDS);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	/* A resolver's thread that hangs is left to itself: joining it would block. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->problem);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	return good;
}

int http_client_start(struct http_client *client, const struct http_request *request, http_done *done, void *arg,
		      struct http_transfer **ret, struct error *error)
{
	struct http_transfer *transfer = calloc(1, sizeof(*transfer));
	int result;

	if (!transfer)
		return fail(error, -ENOMEM, "out of memory");
	transfer->client = client;
	transfer->take = request->take;
	transfer->done = done;
	transfer->arg = arg;
	transfer->limit = request->limit;
	result = check_url(transfer, request->url, error);
	if (!result) {
		transfer->body = calloc(1, 1);
		transfer->easy = curl_easy_init();
		if (!transfer->body || !transfer->easy || set_headers(transfer, request) ||
		    !set_options(transfer, request) || curl_multi_add_handle(client->multi, transfer->easy) != CURLM_OK)
			result = fail(error, -ENOMEM, "out of memory");
	}
	if (result) {
		http_client_cancel(transfer);
		return result;
	}
	transfer->next = client->transfers;
	transfer->self = &client->transfers;
	if (transfer->next)
		transfer->next->self = &transfer->next;
	client->transfers = transfer;
	*ret = transfer;
	return 0;
}

static int code_of(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_COULDNT_RESOLVE_HOST:
		return -EHOSTUNREACH;
	case CURLE_UNSUPPORTED_PROTOCOL:
		return -EPROTONOSUPPORT;
	case CURLE_TOO_MANY_REDIRECTS:
		return -ELOOP;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static void finish(struct http_transfer *transfer, CURLcode code)
{
	struct http_result result = {.error = code_of(code), .url = transfer->url, .sentence = ""};
	struct error error;
	long status = 0, sent = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent);
	result.sent = sent;
	if (transfer->too_long && transfer->take) {
		result.error = fail(&error, -EMSGSIZE, "%s: the answer is too long", transfer->url);
	} else if (transfer->too_long) {
		result.error = fail(&error, -EMSGSIZE, "%s: the answer is longer than %zu bytes", transfer->url,
				    transfer->limit);
	} else if (result.error) {
		const char *problem = transfer->problem[0] ? transfer->problem : curl_easy_strerror(code);

		fail(&error, result.error, "%s: %s", transfer->url, problem);
	} else {
		curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
		result.status = (unsigned)status;
		result.body = transfer->body;
		result.len = transfer->len;
	}
	if (result.error)
		result.sentence = error.text;
	transfer->done(&result, transfer->arg);
	http_client_cancel(transfer);
}

void http_client_run(struct http_client *client)
{
	struct epoll_event events[64];
	bool rang;
	int count = watch_ready(&client->watch, events, 64, &rang), running, left;
	CURLMsg *message;

	for (int i = 0; i < count; i++) {
		int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

		curl_multi_socket_action(client->multi, (int)(events[i].data.u64 - 1), what, &running);
	}
	if (rang)
		curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	while ((message = curl_multi_info_read(client->multi, &left))) {
		struct http_transfer *transfer;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
		finish(transfer, message->data.result);
	}
}

char *http_escape(const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0), *copy = escaped ? strdup(escaped) : NULL;

	curl_free(escaped);
	return copy;
}
