/* SPDX-License-Identifier: Apache-2.0 */
/* One number or none, and why: from answers as they may be, and from a real Prometheus. */
/* Before cmocka.h, which makes fail() a macro. */
#include "lib_http.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/prometheus.h"
#include "io/watch.h"

#define VECTOR(samples) "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[" samples "]}}"

static const struct {
	const char *text;
	unsigned status;
	int code;
	double value;
	const char *sentence;
} answers[] = {
	{VECTOR("{\"metric\":{},\"value\":[1.5,\"2.75\"]}"), 200, 0, 2.75, ""},
	{VECTOR("{\"metric\":{\"a\":\"b\"},\"value\":[1,\"-1e-3\"]}"), 200, 0, -0.001, ""},
	{"{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"7\"]}}", 200, 0, 7, ""},
	{"{\"status\":\"success\",\"infos\":[\"might not be a counter\"],\"data\":{\"resultType\":\"scalar\","
	 "\"result\":[1,\"7\"]}}",
	 200, 0, 7, ""},
	{VECTOR(""), 200, -ENODATA, 0, "the query gives nothing: no series matches it"},
	{VECTOR("{\"value\":[1,\"1\"]},{\"value\":[1,\"1\"]}"), 200, -E2BIG, 0, "2 samples: aggregate them"},
	{VECTOR("{\"value\":[1,\"NaN\"]}"), 200, -EDOM, 0, "the query gives NaN"},
	{VECTOR("{\"value\":[1,\"+Inf\"]}"), 200, -EDOM, 0, "the query gives +Inf"},
	{VECTOR("{\"value\":[1,\"1x\"]}"), 200, -EBADMSG, 0, "a sample of its has no number"},
	{VECTOR("{\"value\":[1,2]}"), 200, -EBADMSG, 0, "a sample of its has no number"},
	{VECTOR("{\"histogram\":[1,{}]}"), 200, -EPROTO, 0, "the query gives a histogram"},
	{"{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}", 200, -EPROTO, 0,
	 "the query gives a matrix"},
	{"{\"status\":\"success\",\"data\":{\"resultType\":\"string\",\"result\":[1,\"5\"]}}", 200, -EPROTO, 0,
	 "the query gives a string"},
	{"{\"status\":\"success\",\"warnings\":[\"store x is away\"],\"data\":{\"resultType\":\"scalar\","
	 "\"result\":[1,\"7\"]}}",
	 200, -ENOTSUP, 0, "it warns that its answer may be incomplete: store x is away"},
	{"{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"parse error\\u001b[0m\"}", 400, -EREMOTEIO, 0,
	 "it refuses the query (status 400): parse error?[0m"},
	{"{\"status\":\"success\"}", 200, -EBADMSG, 0, "its answer has no result"},
	{"{\"status\":\"fine\"}", 200, -EBADMSG, 0, "what answers (status 200) is no Prometheus"},
	{"<html>Bad Gateway</html>", 502, -EBADMSG, 0, "what answers (status 502) is no Prometheus"},
	{"", 200, -EBADMSG, 0, "is no Prometheus"},
	{"[]", 200, -EBADMSG, 0, "is no Prometheus"},
};

static void test_answers_are_a_number_or_a_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct error error = {};
		double value = 0;
		int code =
			prometheus_parse(answers[i].text, strlen(answers[i].text), answers[i].status, &value, &error);

		if (code != answers[i].code || value != answers[i].value || !strstr(error.text, answers[i].sentence))
			fail_msg("%s\ngives %d, %g, %s", answers[i].text, code, value, error.text);
	}
}

static char directory[] = "/tmp/test_prometheus.XXXXXX";
static pid_t server;
static int port;
static struct http_client *client;

static int free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void write_config(const char *path)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fprintf(file,
		"global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
		"scrape_configs: [{job_name: self, static_configs: [{targets: ['127.0.0.1:%d']}]}]\n",
		port);
	fclose(file);
}

static void run_prometheus(void)
{
	char config[80], data[80], address[80], log[80];
	int fd;

	snprintf(config, sizeof(config), "--config.file=%s/prometheus.yml", directory);
	snprintf(data, sizeof(data), "--storage.tsdb.path=%s/data", directory);
	snprintf(address, sizeof(address), "--web.listen-address=127.0.0.1:%d", port);
	snprintf(log, sizeof(log), "%s/log", directory);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(log, O_CREAT | O_WRONLY, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	execlp("prometheus", "prometheus", config, data, address, (char *)NULL);
	_exit(127);
}

struct outcome {
	int count, code;
	double value;
	char sentence[512];
};

static void note(int code, double value, const char *sentence, void *arg)
{
	struct outcome *outcome = arg;

	outcome->count++;
	outcome->code = code;
	outcome->value = value;
	snprintf(outcome->sentence, sizeof(outcome->sentence), "%s", sentence);
}

static struct outcome query(const char *text)
{
	struct outcome outcome = {};
	struct prometheus_query *asked;
	struct error error = {};
	char url[64];

	snprintf(url, sizeof(url), "http://me:secret@127.0.0.1:%d/", port);
	if (prometheus_query(client, url, text, 5000, note, &outcome, &asked, &error))
		fail_msg("%s", error.text);
	while (!outcome.count) {
		wait_for(http_client_fd(client), 1000);
		http_client_run(client);
	}
	return outcome;
}

static void stop_prometheus(void)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

static int start(void **state)
{
	struct error error;
	char path[80];

	(void)state;
	if (!mkdtemp(directory) || http_client_open(&client, &error))
		return -1;
	port = free_port();
	snprintf(path, sizeof(path), "%s/prometheus.yml", directory);
	write_config(path);
	server = fork();
	if (server == 0)
		run_prometheus();
	for (int i = 0; i < 300 && query("up").code; i++)
		usleep(100000);
	return 0;
}

static int stop(void **state)
{
	char *const words[] = {"rm", "-rf", directory, NULL};
	pid_t pid;

	(void)state;
	http_client_close(client);
	stop_prometheus();
	pid = fork();
	if (pid == 0)
		execvp(words[0], words);
	return waitpid(pid, NULL, 0) != pid;
}

static void test_a_real_one_is_understood(void **state)
{
	static const struct {
		const char *query;
		int code;
		double value;
		const char *sentence;
	} cases[] = {
		{"vector(1.5) * 2", 0, 3, ""},
		{"scalar(up{job=\"self\"}) + 1", 0, 2, ""},
		{"sum(up)", 0, 1, ""},
		{"engagement{cohort=\"canary\"}", -ENODATA, 0, "no series matches it"},
		{"up or prometheus_build_info", -E2BIG, 0, "2 samples"},
		{"0 * vector(1) / 0", -EDOM, 0, "the query gives NaN"},
		{"vector(1) / 0", -EDOM, 0, "the query gives +Inf"},
		{"up[1m]", -EPROTO, 0, "the query gives a matrix"},
		{"\"text\"", -EPROTO, 0, "the query gives a string"},
		{"rate(up", -EREMOTEIO, 0, "it refuses the query (status 400): "},
	};
	char beginning[64];

	(void)state;
	/* Without the password. */
	snprintf(beginning, sizeof(beginning), "http://me@127.0.0.1:%d: ", port);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct outcome outcome = query(cases[i].query);

		if (outcome.code != cases[i].code || (!outcome.code && outcome.value != cases[i].value) ||
		    !strstr(outcome.sentence, cases[i].sentence))
			fail_msg("%s gives %d, %g, %s", cases[i].query, outcome.code, outcome.value, outcome.sentence);
		if (outcome.code)
			assert_memory_equal(outcome.sentence, beginning, strlen(beginning));
	}
}

static void test_one_that_is_gone_is_unavailable(void **state)
{
	struct outcome outcome = {};
	struct prometheus_query *asked;
	struct error error = {};

	(void)state;
	stop_prometheus();
	outcome = query("up");
	assert_int_equal(outcome.code, -ECONNREFUSED);
	assert_true(isnan(outcome.value));
	assert_int_equal(prometheus_query(client, "ftp://x", "up", 1000, note, NULL, &asked, &error), -EINVAL);
	outcome.count = 0;
	assert_int_equal(prometheus_query(client, "http://127.0.0.1:1", "up", 1000, note, &outcome, &asked, &error), 0);
	prometheus_cancel(asked);
	wait_for(http_client_fd(client), 100);
	http_client_run(client);
	assert_int_equal(outcome.count, 0);
	prometheus_cancel(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_are_a_number_or_a_reason),
		cmocka_unit_test(test_a_real_one_is_understood),
		cmocka_unit_test(test_one_that_is_gone_is_unavailable),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
