/* SPDX-License-Identifier: Apache-2.0 */
/* The client's life. */
#include "io/etcd.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "io/etcd_private.h"
#include "io/secret_file.h"

static const char *or_null(const char *text)
{
	return text[0] ? text : NULL;
}

int etcd_check_files(const struct etcd_settings *settings, struct error *error)
{
	const char *const readable[] = {settings->ca, settings->cert};
	int err = 0;

	for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++) {
		if (readable[i][0] && access(readable[i], R_OK))
			return fail(error, -errno, "%s: cannot be read: %s", readable[i], strerror(errno));
	}
	if (settings->key[0])
		err = secret_file_check(settings->key, error);
	if (!err && settings->password_file[0])
		err = secret_file_check(settings->password_file, error);
	return err;
}

static int open_parts(struct etcd *etcd, struct error *error)
{
	int err = watch_open(&etcd->watch);

	if (err)
		return fail(error, err, "cannot make a client of etcd: %s", strerror(-err));
	err = http_client_open(&etcd->http, error);
	if (!err) {
		err = watch_add(&etcd->watch, http_client_fd(etcd->http), EPOLLIN, etcd->http);
		if (err)
			fail(error, err, "cannot make a client of etcd: %s", strerror(-err));
	}
	return err;
}

int etcd_open(const struct etcd_settings *settings, __u64 cluster, etcd_changed *changed, void *arg, struct etcd **ret,
	      struct error *error)
{
	struct etcd *etcd = calloc(1, sizeof(*etcd));
	unsigned random = 0;
	int err;

	if (!etcd)
		return fail(error, -ENOMEM, "out of memory");
	etcd->watch = (struct watch)WATCH_CLOSED;
	etcd->settings = *settings;
	etcd->tls = (struct http_tls){or_null(etcd->settings.ca), or_null(etcd->settings.cert),
				      or_null(etcd->settings.key)};
	etcd->cluster = cluster;
	etcd->changed = changed;
	etcd->arg = arg;
	/* Many clients have the same settings: they are not all to begin with the same member. */
	if (getrandom(&random, sizeof(random), 0) == sizeof(random))
		etcd->member = random % settings->endpoint_count;
	/* What cannot be used is to be found now, and not when a member asks for it. */
	err = etcd_check_files(settings, error);
	if (!err)
		err = open_parts(etcd, error);
	if (err) {
		etcd_close(etcd);
		return err;
	}
	etcd_wake(etcd);
	*ret = etcd;
	return 0;
}

void etcd_close(struct etcd *etcd)
{
	if (!etcd)
		return;
	etcd_calls_close(etcd);
	etcd_watches_close(etcd);
	http_client_close(etcd->http);
	watch_close(&etcd->watch);
	if (etcd->authorization)
		explicit_bzero(etcd->authorization, strlen(etcd->authorization));
	free(etcd->authorization);
	free(etcd);
}

int etcd_fd(const struct etcd *etcd)
{
	return etcd->watch.epoll;
}

__u64 etcd_cluster(const struct etcd *etcd)
{
	return etcd->cluster;
}

const char *etcd_member(const struct etcd *etcd)
{
	return etcd->stage == ETCD_CONNECTED ? etcd_url(etcd) : NULL;
}

void etcd_wake(struct etcd *etcd)
{
	etcd->again = true;
	watch_arm(&etcd->watch, 0);
}

static void arm(struct etcd *etcd)
{
	__s64 due = etcd->again ? 0 : etcd_calls_due(etcd), other = etcd_watches_due(etcd), now = clock_ms();

	if (other < due)
		due = other;
	if (etcd->stage == ETCD_RESTING && etcd->rest_until < due)
		due = etcd->rest_until;
	watch_arm(&etcd->watch, due == INT64_MAX ? WATCH_NEVER : due > now ? (long)(due - now) : 0);
}

void etcd_run(struct etcd *etcd)
{
	struct epoll_event event;
	bool rang;

	etcd->again = false;
	watch_ready(&etcd->watch, &event, 1, &rang);
	http_client_run(etcd->http);
	etcd_member_run(etcd);
	etcd_watches_run(etcd);
	etcd_calls_run(etcd);
	arm(etcd);
}
