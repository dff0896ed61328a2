/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "daemon/api.h"
#include "daemon/api_wait.h"
#include "daemon/fleet.h"
#include "daemon/health.h"
#include "daemon/log.h"
#include "daemon/stream.h"
#include "daemon/supervisor.h"
#include "io/config.h"
#include "io/directory.h"
#include "io/lock_file.h"

#define STATE_MODE 0700
#define DIRECTORY_MODE 0755 /* of the socket and of the keys, which have modes of their own */
#define USEC_PER_MSEC 1000ULL
#define DAY_MS (86400 * 1000LL)
#define COUNTS_KEPT_MS (90 * DAY_MS)

__s64 wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int daemon_watch(struct daemon *daemon, int fd, sd_event_io_handler_t handler, void *arg, sd_event_source **ret)
{
	return sd_event_add_io(daemon->loop, ret, fd, EPOLLIN, handler, arg);
}

struct supervisor *daemon_find(const struct daemon *daemon, const char *service)
{
	for (size_t i = 0; i < daemon->supervisor_count; i++) {
		if (!strcmp(daemon->supervisors[i]->name, service))
			return daemon->supervisors[i];
	}
	return NULL;
}

struct supervisor *daemon_supervise(struct daemon *daemon, const char *service, struct error *error)
{
	struct supervisor *supervisor = daemon_find(daemon, service), **grown;

	if (supervisor)
		return supervisor;
	grown = reallocarray(daemon->supervisors, daemon->supervisor_count + 1, sizeof(*grown));
	if (!grown) {
		fail(error, -ENOMEM, "out of memory");
		return NULL;
	}
	daemon->supervisors = grown;
	if (supervisor_open(daemon, service, &supervisor, error))
		return NULL;
	supervisor_configure(supervisor, model_find_service(&daemon->model, service));
	if (!supervisor->record.rollout.release)
		supervisor->record.plan = supervisor->plan;
	daemon->supervisors[daemon->supervisor_count++] = supervisor;
	return supervisor;
}

static int supervise_model(struct daemon *daemon, struct error *error)
{
	for (size_t i = 0; i < daemon->model.service_count; i++) {
		if (!daemon_supervise(daemon, daemon->model.services[i].name, error))
			return -EIO;
	}
	for (size_t i = 0; i < daemon->supervisor_count; i++) {
		struct supervisor *supervisor = daemon->supervisors[i];

		supervisor_configure(supervisor, model_find_service(&daemon->model, supervisor->name));
	}
	return 0;
}

int daemon_reload(struct daemon *daemon, struct error *error)
{
	struct model model;
	int err = config_load(daemon->options.file, &model, error);

	if (err)
		return err;
	model_free(&daemon->model);
	daemon->model = model;
	fleet_configure(daemon->fleet);
	keeper_configure(daemon->keeper);
	return supervise_model(daemon, error);
}

static int load_tokens(struct daemon *daemon, struct error *error)
{
	const char *file = daemon->options.token_file;

	return file ? http_tokens_load(file, &daemon->tokens, error) : 0;
}

/* Those of the history that are in no file any more may have a rollout under way all the same. */
static int supervise_entry(const struct history_entry *entry, void *arg)
{
	json_array_append_new(arg, json_string(entry->service));
	return 0;
}

static int supervise_history(struct daemon *daemon, struct error *error)
{
	const struct history_filter filter = {.latest = true};
	json_t *names = json_array(), *name;
	int err = history_list(daemon->history, HISTORY_TRANSITION, &filter, supervise_entry, names, error);
	size_t i;

	json_array_foreach (names, i, name) {
		if (!err && !daemon_supervise(daemon, json_string_value(name), error))
			err = -EIO;
	}
	json_decref(names);
	return err;
}

/* Whether the kernel's counters move: its sweeper judges handshakes. */
static bool is_stale(struct dataplane *dataplane)
{
	struct dataplane_info info;
	struct error error;

	return dataplane_info(dataplane, &info, &error) || info.sweeper_age_ns > DATAPLANE_SWEEPER_DEAD_NS;
}

static void tick_all(struct daemon *daemon, struct dataplane *dataplane, const struct model *heads)
{
	bool stale = !dataplane || is_stale(dataplane);
	struct error error;

	for (size_t i = 0; i < heads->service_count; i++) {
		if (!daemon_supervise(daemon, heads->services[i].name, &error))
			log_error("%s", error.text);
	}
	for (size_t i = 0; i < daemon->supervisor_count; i++) {
		struct supervisor *supervisor = daemon->supervisors[i];

		supervisor_tick(supervisor, dataplane, model_find_service(heads, supervisor->name), stale);
	}
}

/* Counts are by far the most of the history. While a rollout is under way all of them stay: it begins where they do. */
static void prune(struct daemon *daemon)
{
	struct error error;
	int err = 0;

	if (wall_ms() - daemon->pruned_ms < DAY_MS)
		return;
	for (size_t i = 0; i < daemon->supervisor_count; i++) {
		const enum rollout_state state = daemon->supervisors[i]->record.rollout.state;

		if (state != ROLLOUT_IDLE && state != ROLLOUT_SUCCEEDED && state != ROLLOUT_ROLLED_BACK)
			return;
	}
	daemon->pruned_ms = wall_ms();
	/* Anew, so that the last state of each is not among those that go. */
	for (size_t i = 0; !err && i < daemon->supervisor_count; i++)
		err = supervisor_save(daemon->supervisors[i], &error);
	if (!err)
		err = history_prune_counts(daemon->history, daemon->pruned_ms - COUNTS_KEPT_MS, &error);
	if (err)
		log_warning("old counts stay in the history: %s", error.text);
}

static void tick(struct daemon *daemon)
{
	struct dataplane *dataplane = NULL;
	struct model heads = {};
	struct error error;
	int err = dataplane_open(daemon->options.instance.dir, DATAPLANE_READ, &dataplane, &error);

	if (!err)
		err = dataplane_read_heads(dataplane, &heads, &error);
	if (err && !daemon->blind)
		log_warning("nothing is known of the data plane: %s", error.text);
	if (!err && daemon->blind)
		log_notice("the data plane is there again");
	daemon->blind = err;
	tick_all(daemon, err ? NULL : dataplane, &heads);
	fleet_tick(daemon->fleet, err ? NULL : dataplane, err ? NULL : &heads);
	model_free(&heads);
	if (!err)
		keeper_tick(daemon->keeper, dataplane);
	streams_tick(daemon, err ? NULL : dataplane);
	dataplane_close(dataplane);
	waiters_tick(daemon);
	prune(daemon);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)usec;
	tick(arg);
	sd_event_source_set_time_relative(source, DAEMON_TICK_MS * USEC_PER_MSEC);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_server(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct daemon *daemon = arg;

	(void)source;
	(void)fd;
	(void)revents;
	http_server_run(daemon->server);
	return 0;
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct daemon *daemon = arg;

	(void)source;
	(void)fd;
	(void)revents;
	http_client_run(daemon->client);
	return 0;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct daemon *daemon = arg;
	struct timespec now;
	struct error error;

	(void)source;
	(void)info;
	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", now.tv_sec * 1000000LL + now.tv_nsec / 1000);
	if (daemon_reload(daemon, &error))
		log_error("the configuration is as it was before: %s", error.text);
	else
		log_notice("%s is read: the next start of a rollout takes what it says", daemon->options.file);
	if (load_tokens(daemon, &error))
		log_error("the tokens are as they were before: %s", error.text);
	sd_notify(0, "READY=1");
	return 0;
}

static int on_end(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	(void)info;
	(void)arg;
	sd_notify(0, "STOPPING=1");
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int watch_all(struct daemon *daemon, struct error *error)
{
	static const int signals[] = {SIGHUP, SIGTERM, SIGINT};
	sigset_t mask;
	int err;

	sigemptyset(&mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&mask, signals[i]);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	err = sd_event_add_signal(daemon->loop, NULL, SIGHUP, on_reload, daemon);
	if (err >= 0)
		err = sd_event_add_signal(daemon->loop, NULL, SIGTERM, on_end, NULL);
	if (err >= 0)
		err = sd_event_add_signal(daemon->loop, NULL, SIGINT, on_end, NULL);
	if (err >= 0)
		err = daemon_watch(daemon, http_server_fd(daemon->server), on_server, daemon, NULL);
	if (err >= 0)
		err = daemon_watch(daemon, http_client_fd(daemon->client), on_client, daemon, NULL);
	if (err >= 0)
		err = sd_event_add_time_relative(daemon->loop, NULL, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_tick,
						 daemon);
	if (err >= 0)
		err = sd_event_set_watchdog(daemon->loop, true);
	return err < 0 ? fail(error, err, "the event loop cannot be set up: %s", strerror(-err)) : 0;
}

static int read_boot(char ret[BOOT_ID_LEN], struct error *error)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, ret, BOOT_ID_LEN - 1);

	if (fd >= 0)
		close(fd);
	return got == BOOT_ID_LEN - 1 ? 0 : fail(error, -EIO, "the boot's id cannot be read: %s", strerror(errno));
}

static int lock_instance(struct daemon *daemon, struct error *error)
{
	char path[PATH_MAX];
	int err = instance_file(&daemon->options.instance, "canaryd", path, error);

	if (!err)
		err = directory_make_of(path, DIRECTORY_MODE, error);
	return err ? err : lock_file(path, daemon->options.instance.dir, &daemon->lock, error);
}

static int open_history(struct daemon *daemon, struct error *error)
{
	char path[PATH_MAX];
	int err = directory_make(daemon->options.state_dir, STATE_MODE, error);

	if (err)
		return err;
	if (snprintf(path, sizeof(path), "%s/history.db", daemon->options.state_dir) >= (int)sizeof(path))
		return fail(error, -ENAMETOOLONG, "the name of the state directory is too long");
	return history_open(path, &daemon->history, error);
}

/* Who expects to be let in by the group is to find out here why not. */
static void tell_who_may_ask(const char *socket)
{
	if (!getgrnam(DAEMON_GROUP))
		log_notice("%s: is for this user and group alone, as there is no group \"%s\": make one, start canaryd "
			   "anew, and "
			   "who "
			   "is in it may ask as well",
			   socket, DAEMON_GROUP);
}

static int open_server(struct daemon *daemon, struct error *error)
{
	const struct daemon_options *options = &daemon->options;
	/* The default one is gone after a reboot. */
	int err = directory_make_of(options->socket, DIRECTORY_MODE, error);

	if (!err)
		err = http_server_open(api_routes, daemon, &daemon->server, error);
	if (!err)
		err = load_tokens(daemon, error);
	if (!err)
		http_server_guard(daemon->server, &(struct http_guard){&daemon->tokens, options->hosts});
	if (!err)
		err = http_server_listen_unix(daemon->server, options->socket, DAEMON_GROUP, error);
	if (!err && options->listen)
		err = http_server_listen_address(daemon->server, options->listen, error);
	if (!err)
		tell_who_may_ask(options->socket);
	return err;
}

int daemon_open(struct daemon *daemon, const struct daemon_options *options, struct error *error)
{
	int err;

	*daemon = (struct daemon){.options = *options, .lock = -1, .started_ms = wall_ms(), .pruned_ms = wall_ms()};
	err = config_load(options->file, &daemon->model, error);
	if (!err)
		err = read_boot(daemon->boot, error);
	/* Two locks keep a second daemon from acting: on this data plane, and on this history. */
	if (!err)
		err = lock_instance(daemon, error);
	if (!err)
		err = open_history(daemon, error);
	if (!err)
		err = http_client_open(&daemon->client, error);
	if (!err && sd_event_default(&daemon->loop) < 0)
		err = fail(error, -ENOMEM, "there is no event loop to be had");
	if (!err)
		err = keeper_open(daemon, &daemon->keeper, error);
	if (!err)
		err = supervise_model(daemon, error);
	if (!err)
		err = supervise_history(daemon, error);
	if (!err)
		err = fleet_join(daemon, &daemon->fleet, error);
	if (!err)
		err = open_server(daemon, error);
	return err ? err : watch_all(daemon, error);
}

int daemon_run(struct daemon *daemon, struct error *error)
{
	int err;

	/* What was under way is gone on with before anybody asks for something else. */
	tick(daemon);
	log_notice("ready: %zu services, API on %s%s%s", daemon->supervisor_count, daemon->options.socket,
		   daemon->options.listen ? " and " : "", daemon->options.listen ? daemon->options.listen : "");
	sd_notify(0, "READY=1");
	err = sd_event_loop(daemon->loop);
	return err < 0 ? fail(error, err, "the event loop failed: %s", strerror(-err)) : 0;
}

void daemon_close(struct daemon *daemon)
{
	http_server_close(daemon->server);
	kept_clear(&daemon->metrics);
	kept_clear(&daemon->services);
	kept_clear(&daemon->health);
	fleet_leave(daemon->fleet);
	http_tokens_clear(&daemon->tokens);
	for (size_t i = 0; i < daemon->supervisor_count; i++)
		supervisor_free(daemon->supervisors[i]);
	free(daemon->supervisors);
	keeper_close(daemon->keeper);
	http_client_close(daemon->client);
	history_close(daemon->history);
	if (daemon->lock >= 0)
		close(daemon->lock);
	model_free(&daemon->model);
	sd_event_unref(daemon->loop);
}
