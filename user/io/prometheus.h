/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One number from a Prometheus: an instant query (GET /api/v1/query, https://prometheus.io/docs/prometheus/latest/
 * querying/api/) that gives a scalar or a vector of exactly one sample. Anything else is "unavailable", with a sentence
 * that says which of these it is:
 *
 *   -ENODATA    no series matches
 *   -E2BIG      several samples: the query has to aggregate
 *   -EDOM       the value is NaN or infinite (0/0 where there is no traffic, for instance)
 *   -EPROTO     a matrix, a string, a histogram: no number at all
 *   -EREMOTEIO  Prometheus refused the query; its own words are in the sentence
 *   -ENOTSUP    there are warnings with it: it may be of a part of the data only
 *   -EBADMSG    what answers there is no Prometheus
 *   others      as in http_client.h: there is no answer
 */
#ifndef IO_PROMETHEUS_H
#define IO_PROMETHEUS_H

#include "core/error.h"
#include "io/http_client.h"

#define PROMETHEUS_ANSWER_MAX 65536

/* 0 with the number, or -errno as above, with *ret untouched. status: HTTP's. */
int prometheus_parse(const char *text, size_t len, unsigned status, double *ret, struct error *error);

/* error: 0, or one of the above with a sentence that begins with the server's URL. */
typedef void prometheus_done(int error, double value, const char *sentence, void *arg);

struct prometheus_query; /* one on its way */

/*
 * Asks the server whose URL (the one of its web page, "http://127.0.0.1:9090") this is. `done` is called once, from
 * http_client_run(), unless it is cancelled before; the query is gone then. timeout: ms. 0, -EINVAL or -ENOMEM.
 */
int prometheus_query(struct http_client *client, const char *url, const char *query, unsigned timeout,
		     prometheus_done *done, void *arg, struct prometheus_query **ret, struct error *error);
void prometheus_cancel(struct prometheus_query *query); /* NULL: nothing */

#endif
