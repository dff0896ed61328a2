/* SPDX-License-Identifier: Apache-2.0 */
#include "io/prometheus.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/answer.h"

#define QUERY_PATH "/api/v1/query"
#define SERVER_SHOWN 200 /* of its URL, before that */

struct prometheus_query {
	struct http_transfer *transfer;
	prometheus_done *done;
	void *arg;
};

/* A sample is [time, "number"]. */
static int parse_sample(const json_t *sample, double *ret, struct error *error)
{
	const char *text = json_string_value(json_array_get(sample, 1));
	char *end = NULL;
	double value = text ? strtod(text, &end) : 0;

	if (!text || end == text || *end)
		return fail(error, -EBADMSG, "a sample of its has no number");
	if (!isfinite(value))
		return fail(error, -EDOM, "the query gives %s, which is no number to compare", text);
	*ret = value;
	return 0;
}

static int parse_vector(const json_t *vector, double *ret, struct error *error)
{
	size_t count = json_array_size(vector);
	const json_t *sample;

	if (count == 0)
		return fail(error, -ENODATA, "the query gives nothing: no series matches it");
	if (count > 1)
		return fail(error, -E2BIG, "the query gives %zu samples: aggregate them into one (sum, avg, max ...)",
			    count);
	sample = json_object_get(json_array_get(vector, 0), "value");
	if (!sample)
		return fail(error, -EPROTO, "the query gives a histogram, not a number");
	return parse_sample(sample, ret, error);
}

static int parse_data(const json_t *answer, double *ret, struct error *error)
{
	const json_t *data = json_object_get(answer, "data"), *result = json_object_get(data, "result");
	const char *type = json_string_value(json_object_get(data, "resultType"));

	if (!type || !json_is_array(result))
		return fail(error, -EBADMSG, "its answer has no result");
	if (strcmp(type, "vector") == 0)
		return parse_vector(result, ret, error);
	if (strcmp(type, "scalar") == 0)
		return parse_sample(result, ret, error);
	return fail(error, -EPROTO, "the query gives a %.20s, not a number", type);
}

static void quote(const json_t *text, char ret[ANSWER_REASON_LEN])
{
	const char *value = json_string_value(text);

	first_line(value ? value : "", value ? strlen(value) : 0, ret);
}

int prometheus_parse(const char *text, size_t len, unsigned status, double *ret, struct error *error)
{
	json_t *answer = json_loadb(text, len, 0, NULL);
	const char *said = json_string_value(json_object_get(answer, "status"));
	const json_t *warnings = json_object_get(answer, "warnings");
	char quoted[ANSWER_REASON_LEN];
	int result;

	if (said && strcmp(said, "error") == 0) {
		quote(json_object_get(answer, "error"), quoted);
		result = fail(error, -EREMOTEIO, "it refuses the query (status %u): %s", status, quoted);
	} else if (!said || strcmp(said, "success") != 0) {
		result = fail(error, -EBADMSG, "what answers (status %u) is no Prometheus", status);
	} else if (json_array_size(warnings)) {
		quote(json_array_get(warnings, 0), quoted);
		result = fail(error, -ENOTSUP, "it warns that its answer may be incomplete: %s", quoted);
	} else {
		result = parse_data(answer, ret, error);
	}
	json_decref(answer);
	return result;
}

/* So much of a query's URL says which Prometheus it is. */
static int server_len(const char *url)
{
	const char *end = strstr(url, QUERY_PATH);
	size_t len = end ? (size_t)(end - url) : strlen(url);

	return (int)(len < SERVER_SHOWN ? len : SERVER_SHOWN);
}

static void answered(const struct http_result *http, void *arg)
{
	struct prometheus_query *query = arg;
	struct error why, error;
	double value = NAN;
	int result = http->error;

	error.text[0] = '\0';
	if (result) {
		fail(&error, result, "%s", http->sentence);
	} else {
		result = prometheus_parse(http->body, http->len, http->status, &value, &why);
		if (result)
			fail(&error, result, "%.*s: %.800s", server_len(http->url), http->url, why.text);
	}
	query->transfer = NULL;
	query->done(result, value, error.text, query->arg);
	free(query);
}

int prometheus_query(struct http_client *client, const char *url, const char *query_text, unsigned timeout,
		     prometheus_done *done, void *arg, struct prometheus_query **ret, struct error *error)
{
	struct prometheus_query *query = calloc(1, sizeof(*query));
	struct http_request request = {.timeout = timeout, .limit = PROMETHEUS_ANSWER_MAX, .follow = true};
	char *escaped = http_escape(query_text), *whole = NULL;
	size_t len = strlen(url);
	int result = -ENOMEM;

	while (len && url[len - 1] == '/')
		len--;
	if (query && escaped &&
	    asprintf(&whole, "%.*s" QUERY_PATH "?query=%s&timeout=%ums", (int)len, url, escaped, timeout) >= 0) {
		query->done = done;
		query->arg = arg;
		request.url = whole;
		result = http_client_start(client, &request, answered, query, &query->transfer, error);
	}
	if (result == -ENOMEM)
		fail(error, result, "out of memory");
	if (result)
		free(query);
	else
		*ret = query;
	free(escaped);
	free(whole);
	return result;
}

void prometheus_cancel(struct prometheus_query *query)
{
	if (!query)
		return;
	http_client_cancel(query->transfer);
	free(query);
}
