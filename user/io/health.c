/* SPDX-License-Identifier: Apache-2.0 */
/* When to check what, and what is reported. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/text.h"
#include "io/health_private.h"

#define PATH_MAX_LEN 1024
#define EVENTS_AT_ONCE 64

int health_prober_open(struct health_prober **ret, struct error *error)
{
	struct health_prober *prober = calloc(1, sizeof(*prober));
	int code;

	if (!prober)
		return fail(error, -ENOMEM, "out of memory");
	prober->watch = (struct watch)WATCH_CLOSED;
	code = http_client_open(&prober->http, error);
	if (!code) {
		code = watch_open(&prober->watch);
		if (!code)
			code = watch_add(&prober->watch, http_client_fd(prober->http), EPOLLIN, prober->http);
		if (code)
			fail(error, code, "cannot check backends: %s", strerror(-code));
	}
	if (code) {
		health_prober_close(prober);
		return code;
	}
	*ret = prober;
	return 0;
}

/* Of what it waits for, nothing is left. */
static void stop(struct health_probe *probe)
{
	if (probe->running && health_by_syn(probe) && probe->fd >= 0)
		health_syn_stop(probe);
	probe->running = false;
	if (health_by_syn(probe))
		health_syn_release(probe);
	if (probe->fd >= 0)
		close(probe->fd); /* which takes it out of the watch as well */
	probe->fd = -1;
	http_client_cancel(probe->transfer);
	probe->transfer = NULL;
	command_cancel(probe->command);
	probe->command = NULL;
}

static void probe_free(struct health_probe *probe)
{
	stop(probe);
	due_remove(&probe->prober->probes, &probe->due);
	free((char *)probe->target.service);
	free((char *)probe->check.path);
	free((char *)probe->check.host);
	free(probe);
}

/* The one that has to be looked at first; NULL: there is none. */
static struct health_probe *first_probe(const struct health_prober *prober)
{
	struct due *due = due_first(&prober->probes);

	return due ? (struct health_probe *)((char *)due - offsetof(struct health_probe, due)) : NULL;
}

void health_prober_close(struct health_prober *prober)
{
	if (!prober)
		return;
	for (struct health_probe *probe = first_probe(prober); probe; probe = first_probe(prober))
		probe_free(probe);
	due_free(&prober->probes);
	health_sockets_close(prober);
	http_client_close(prober->http);
	watch_close(&prober->watch);
	free(prober);
}

int health_prober_fd(const struct health_prober *prober)
{
	return prober->watch.epoll;
}

int health_port(const struct health_target *target, const struct health_check *check)
{
	if (check->port)
		return check->port;
	return target->forward == CANARY_FORWARD_NAT ? target->backend_port : target->port;
}

int health_check_allowed(const struct health_target *target, const struct health_check *check, struct error *error)
{
	char request[FRAME_MSS + 1];

	if (!check->interval || !check->timeout || check->timeout > check->interval)
		return fail(error, -EINVAL, "%s: a check's timeout is at least 1 ms, and at most its interval",
			    target->service);
	if (check->kind == HEALTH_COMMAND)
		return check->argv && check->argv[0]
			       ? 0
			       : fail(error, -EINVAL, "%s: the check has no command", target->service);
	if (!health_port(target, check))
		return fail(error, -EINVAL, "%s: is on every port: say which one the check goes to", target->service);
	if (check->path && (check->path[0] != '/' || strlen(check->path) > PATH_MAX_LEN))
		return fail(error, -EINVAL, "%s: the check's path begins with a '/' and has %d bytes at most",
			    target->service, PATH_MAX_LEN);
	if (check->kind == HEALTH_HTTP && target->forward != CANARY_FORWARD_NAT &&
	    health_get_write(target, check, request) > FRAME_MSS)
		return fail(error, -EINVAL,
			    "%s: the check's request is longer than one segment, %d bytes: give a "
			    "shorter path or host",
			    target->service, FRAME_MSS);
	return 0;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

/* libcurl's requests and commands have timers of their own. */
static bool is_timed_here(const struct health_probe *probe)
{
	return probe->check.kind == HEALTH_TCP || health_by_syn(probe);
}

/* When it has to be looked at, if nothing comes before. */
static __s64 due_at(const struct health_probe *probe)
{
	__s64 at = probe->started + probe->check.timeout;

	if (probe->removed)
		return 0;
	if (!probe->running)
		return probe->next_at;
	if (!is_timed_here(probe))
		return DUE_NEVER;
	if (health_by_syn(probe) && at > probe->syn.sent + HEALTH_RETRY)
		return probe->syn.sent + HEALTH_RETRY;
	return at;
}

static void plan(struct health_probe *probe)
{
	due_change(&probe->prober->probes, &probe->due, due_at(probe));
}

static void plan_all(struct health_prober *prober)
{
	const struct due *first = due_first(&prober->probes);
	__s64 now = clock_ms();

	if (!first || first->at == DUE_NEVER)
		watch_arm(&prober->watch, WATCH_NEVER);
	else
		watch_arm(&prober->watch, first->at > now ? (long)(first->at - now) : 0);
}

/* Once for all that are added and removed together: thousands are, where the configuration is read. */
static void look_around(struct health_prober *prober)
{
	if (!prober->in_run)
		watch_arm(&prober->watch, 0);
}

int health_probe_add(struct health_prober *prober, const struct health_target *target, const struct health_check *check,
		     health_reported *reported, void *arg, struct health_probe **ret, struct error *error)
{
	int code = health_check_allowed(target, check, error);
	struct health_probe *probe;

	if (code)
		return code;
	probe = calloc(1, sizeof(*probe));
	if (!probe)
		return fail(error, -ENOMEM, "out of memory");
	probe->prober = prober;
	probe->target = *target;
	probe->check = *check;
	probe->reported = reported;
	probe->arg = arg;
	probe->fd = -1;
	probe->next_at = probe->due.at = clock_ms() + rand() % check->interval;
	if (due_add(&prober->probes, &probe->due)) {
		free(probe);
		return fail(error, -ENOMEM, "out of memory");
	}
	probe->target.service = copy(target->service);
	probe->check.path = copy(check->path);
	probe->check.host = copy(check->host);
	if (!probe->target.service || !probe->check.path != !check->path || !probe->check.host != !check->host) {
		probe_free(probe);
		return fail(error, -ENOMEM, "out of memory");
	}
	*ret = probe;
	look_around(prober);
	return 0;
}

void health_probe_remove(struct health_probe *probe)
{
	if (!probe)
		return;
	probe->removed = true;
	plan(probe);
	look_around(probe->prober);
}

void health_finish(struct health_probe *probe, enum health_outcome outcome, const char *sentence)
{
	struct health_report report = {
		.outcome = outcome, .sentence = sentence, .milliseconds = (unsigned)(clock_ms() - probe->started)};

	probe->running = false;
	stop(probe);
	plan(probe);
	if (!probe->removed)
		probe->reported(&report, probe->arg);
}

void health_finish_errno(struct health_probe *probe, int code, const char *doing)
{
	enum health_outcome outcome = HEALTH_UNKNOWN;
	char sentence[128];

	switch (-code) {
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENETDOWN:
	case ETIMEDOUT:
	case EPROTO:
	case ENOPROTOOPT:
		outcome = HEALTH_BAD;
		break;
	default:
		break;
	}
	snprintf(sentence, sizeof(sentence), "%s: %s", doing, strerror(-code));
	health_finish(probe, outcome, sentence);
}

static void start(struct health_probe *probe, __s64 now)
{
	/* From when it was due, not from now: delays do not add up. After a long pause it does not catch up, either. */
	probe->next_at += probe->check.interval;
	if (probe->next_at <= now)
		probe->next_at = now + probe->check.interval;
	probe->running = true;
	probe->started = now;
	if (health_by_syn(probe))
		health_syn_start(probe);
	else if (probe->check.kind == HEALTH_HTTP)
		health_http_start(probe);
	else if (probe->check.kind == HEALTH_COMMAND)
		health_command_start(probe);
	else
		health_tcp_start(probe);
}

static void go_on(struct health_probe *probe, __s64 now)
{
	if (!probe->running) {
		if (now >= probe->next_at)
			start(probe, now);
		return;
	}
	if (!is_timed_here(probe))
		return;
	if (now >= probe->started + probe->check.timeout) {
		if (health_by_syn(probe))
			health_syn_stop(probe);
		health_finish(probe, HEALTH_BAD, "no answer in time");
	} else if (health_by_syn(probe)) {
		health_syn_again(probe, now);
	}
}

static void dispatch(struct health_prober *prober, void *data)
{
	struct health_probe *probe = data;

	if (data == prober->http)
		http_client_run(prober->http);
	else if (data == &prober->sockets.receive[0] || data == &prober->sockets.receive[1])
		health_syn_receive(prober, data == &prober->sockets.receive[1]);
	else if (!probe->running || probe->removed)
		return; /* another event of this turn ended it */
	else if (probe->command)
		command_run(probe->command);
	else
		health_tcp_ready(probe);
}

void health_prober_run(struct health_prober *prober)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	__s64 now = clock_ms();
	bool rang;
	int count;

	prober->in_run = true;
	/* All of it, before what has not come is judged: after a pause, much is there that came in time. */
	for (size_t looked = 0; looked <= prober->probes.count; looked += (size_t)count) {
		count = watch_ready(&prober->watch, events, EVENTS_AT_ONCE, &rang);
		if (count <= 0)
			break;
		for (int i = 0; i < count; i++)
			dispatch(prober, events[i].data.ptr);
	}
	/* This ends: a check that begins now is next due later, and what a report removes is freed. */
	for (struct health_probe *probe = first_probe(prober); probe && probe->due.at <= now;
	     probe = first_probe(prober)) {
		if (probe->removed) {
			probe_free(probe);
			continue;
		}
		go_on(probe, now);
		plan(probe);
	}
	prober->in_run = false;
	plan_all(prober);
}
