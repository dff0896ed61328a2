/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_http_ask.h"

#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

static size_t keep(const char *bytes, size_t size, size_t count, void *arg)
{
	struct answer *answer = arg;

	(void)size;
	if (answer->len + count < sizeof(answer->text))
		memcpy(answer->text + answer->len, bytes, count);
	answer->len += count;
	return count;
}

static size_t keep_header(const char *bytes, size_t size, size_t count, void *arg)
{
	struct answer *answer = arg;

	(void)size;
	strncat(answer->headers, bytes, count < 200 ? count : 200);
	return count;
}

struct answer server_ask(const struct test_server *server, const char *method, const char *rest, const char *type,
			 const char *body, size_t len, bool by_address)
{
	struct answer answer = {};
	struct curl_slist *headers = NULL;
	CURL *curl = curl_easy_init();
	char url[512], header[128];
	CURLcode code;

	if (by_address)
		snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", server->port, rest);
	else
		snprintf(url, sizeof(url), "http://localhost%s", rest);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
	if (!by_address)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, server->path);
	if (body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)len);
	}
	if (strcmp(method, "HEAD") == 0)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	snprintf(header, sizeof(header), "Content-Type:%s%s", type ? " " : "", type ? type : "");
	headers = curl_slist_append(headers, header);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, keep_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, &answer);
	code = curl_easy_perform(curl);
	if (code)
		fail_msg("%s %s: %s", method, rest, curl_easy_strerror(code));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return answer;
}

void assert_answer(const struct answer *answer, long status, const char *text)
{
	if (answer->status != status || !strstr(answer->text, text))
		fail_msg("the answer is %ld %s\nand should be %ld with %s", answer->status, answer->text, status, text);
	assert_non_null(strstr(answer->headers, "Content-Type: application/json\r\n"));
}

int server_dial(const struct test_server *server)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = 20};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", server->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

void assert_reads(int fd, const char *wanted)
{
	char text[16384];
	size_t len = 0;
	ssize_t more;

	text[0] = '\0';
	while (!strstr(text, wanted) && (more = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
		text[len += more] = '\0';
	if (!strstr(text, wanted))
		fail_msg("read\n%s\nbut not %s", text, wanted);
}
