/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl events */
#include <errno.h>
#include <linux/types.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/events.h"
#include "cli/output.h"
#include "dataplane/dataplane.h"
#include "ops/event_view.h"

#define FOLLOW_MS 100
/* A data plane that another command is setting up cannot be opened yet; longer than that it is broken. */
#define SETTLE_TRIES 50

static volatile sig_atomic_t interrupted;

static void note_interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* What was read so far. */
struct reader {
	const struct cli *cli;
	json_t *views; /* of this pass */
	ino_t place; /* of the directory of pins: another one holds other events, which count from 1 */
	__u64 last; /* number of the last event; 0: none */
};

static int collect(const struct canary_event *event, void *arg)
{
	const struct reader *reader = arg;
	const char *service = reader->cli->values[OPT_SERVICE];

	if (!service || (!event_is_of_interface(event) && !strncmp(event->name, service, sizeof(event->name))))
		json_array_append_new(reader->views, view_event(event));
	return 0;
}

static void show(const struct cli *cli, json_t *view)
{
	if (cli->json)
		print_json(json_incref(view));
	else
		print_event(cli, view);
}

/* How many cannot be told comes first: it is what lies between those of before and these. */
static void show_all(const struct reader *reader, __u64 lost)
{
	json_t *view;
	size_t i;

	if (lost) {
		view = view_overwritten(lost);
		show(reader->cli, view);
		json_decref(view);
	}
	json_array_foreach (reader->views, i, view)
		show(reader->cli, view);
}

/* What happened since the last pass. 0, -ENOENT: there is nothing at all, or -errno with a sentence. */
static int read_events(struct reader *reader, struct error *error)
{
	struct dataplane *dataplane;
	__u64 last, lost;
	struct stat place = {};
	int err;

	if (stat(reader->cli->dir, &place) || place.st_ino != reader->place)
		reader->last = 0;
	reader->place = place.st_ino;
	err = dataplane_open(reader->cli->dir, DATAPLANE_READ, &dataplane, error);
	if (err)
		return err;
	reader->views = json_array();
	err = dataplane_events(dataplane, reader->last, collect, reader, &last, &lost);
	if (err)
		fail(error, err, "cannot read the events: %s", strerror(-err));
	else if (last < reader->last) /* the pins were removed and made again: all are new */
		reader->last = 0;
	else {
		show_all(reader, lost);
		reader->last = last;
	}
	json_decref(reader->views);
	dataplane_close(dataplane);
	return err;
}

/* Waits a while. False: nobody reads any more, or wants to. */
static bool pause_following(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO};

	if (!output_flush())
		return false;
	poll(&out, 1, FOLLOW_MS);
	return !interrupted && !(out.revents & (POLLERR | POLLHUP));
}

/* Whatever becomes of the data plane meanwhile: it may be upgraded, or removed and made again. */
static int follow(struct reader *reader, struct error *error)
{
	int err, failures = 0;

	/* Without SA_RESTART: a write that waits for its reader ends as well. */
	sigaction(SIGINT, &(struct sigaction){.sa_handler = note_interrupt}, NULL);
	sigaction(SIGTERM, &(struct sigaction){.sa_handler = note_interrupt}, NULL);
	err = read_events(reader, error);
	if (err && err != -ENOENT)
		return CLI_FAILED;
	while (pause_following()) {
		err = read_events(reader, error);
		failures = err && err != -ENOENT ? failures + 1 : 0;
		if (failures > SETTLE_TRIES)
			return CLI_FAILED;
	}
	return CLI_DONE;
}

int cmd_events(const struct cli *cli, struct error *error)
{
	struct reader reader = {.cli = cli};
	int err;

	if (cli->values[OPT_FOLLOW])
		return follow(&reader, error);
	err = read_events(&reader, error);
	return err && err != -ENOENT ? CLI_FAILED : CLI_DONE;
}
