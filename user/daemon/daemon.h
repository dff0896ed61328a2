/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon: what its parts share. One thread, one event loop (sd-event), and a tick every second. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <systemd/sd-event.h>

#include "core/model.h"
#include "daemon/kept.h"
#include "daemon/record.h"
#include "io/history.h"
#include "io/http_client.h"
#include "io/http_server.h"
#include "ops/state.h"

#define DAEMON_TICK_MS 1000
#define DAEMON_HOSTS_MAX 16
#define DAEMON_GROUP "canary" /* whose members may ask */

struct fleet;
struct keeper;
struct supervisor;
struct stream;
struct waiter;

struct daemon_options {
	const char *file;
	const char *state_dir;
	const char *socket;
	const char *listen; /* NULL: on no address */
	const char *token_file; /* NULL: by address nobody writes */
	const char *hosts[DAEMON_HOSTS_MAX + 1]; /* names of this host, up to NULL */
	struct instance instance;
};

struct daemon {
	struct daemon_options options;
	int lock; /* on the data plane: no other daemon acts on it */
	sd_event *loop;
	struct history *history;
	struct http_server *server;
	struct http_tokens tokens;
	struct http_client *client;
	struct model model; /* the configuration */
	struct supervisor **supervisors;
	size_t supervisor_count;
	struct keeper *keeper; /* of backends' health */
	struct fleet *fleet; /* NULL: this host is for itself */
	struct waiter *waiters; /* calls that wait for a transition, see api_wait.c */
	struct stream *streams; /* pages that watch, see stream.c */
	struct kept metrics, services, health; /* the last answers, see kept.h */
	char boot[BOOT_ID_LEN];
	__s64 started_ms;
	__s64 pruned_ms; /* the history */
	/* CLOCK_MONOTONIC: time that walks through the remembered flows took, and that has not been made up for. */
	struct {
		__s64 debt_ns, noted_ns;
	} walks;
	bool blind; /* the data plane could not be read: said once */
};

/* What fails at the start is a sentence; daemon_close() is due in any case. */
int daemon_open(struct daemon *daemon, const struct daemon_options *options, struct error *error);
int daemon_run(struct daemon *daemon, struct error *error); /* until SIGTERM or SIGINT */
void daemon_close(struct daemon *daemon);

/* Reads the configuration again: a bad one is an error, and the old one stays. */
int daemon_reload(struct daemon *daemon, struct error *error);

/* The supervisor of a service, which is made if there is none. NULL with a sentence: its history cannot be read. */
struct supervisor *daemon_supervise(struct daemon *daemon, const char *service, struct error *error);
struct supervisor *daemon_find(const struct daemon *daemon, const char *service); /* NULL: there is none */

__s64 wall_ms(void); /* since 1970: goes on over restarts */

/* Watches a descriptor of a part for EPOLLIN. 0 or -errno. */
int daemon_watch(struct daemon *daemon, int fd, sd_event_io_handler_t handler, void *arg, sd_event_source **ret);

#endif
