/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/stream.h"

#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "daemon/health.h"
#include "daemon/status.h"
#include "ops/clock.h"
#include "ops/event_view.h"

#define ENTRIES_SHOWN 50
#define EVENTS_SHOWN 100

/* X(NAME, name): events that are sent when they say something else than before. */
#define STREAM_VIEWS(X)                                                                                                \
	X(SERVICES, services)                                                                                          \
	X(STATUS, status) X(HEALTH, health) X(BACKENDS, backends) X(ENTRIES, entries) X(EVENTS, events)
#define X(NAME, name) VIEW_##NAME,
enum stream_view { STREAM_VIEWS(X) VIEW_COUNT };
#undef X

struct stream {
	struct stream *next;
	struct supervisor *supervisor;
	struct http_call *call;
	char *sent[VIEW_COUNT]; /* the last of each; NULL: none */
	__u64 transitions; /* that the entries sent are up to; with the next: they are read anew when these change */
	bool blocked, has_entries;
	json_t *events; /* the last of the data plane */
	__u64 last_event; /* their last number */
};

static void stream_free(struct stream *stream)
{
	for (int i = 0; i < VIEW_COUNT; i++)
		free(stream->sent[i]);
	json_decref(stream->events);
	free(stream);
}

static void unlink_stream(struct stream *stream)
{
	struct stream **at = &stream->supervisor->daemon->streams;

	while (*at && *at != stream)
		at = &(*at)->next;
	if (*at)
		*at = stream->next;
	stream_free(stream);
}

static void gone(struct http_call *call, void *arg)
{
	(void)call;
	unlink_stream(arg);
}

/* A reader who is too far behind has been cut off: 0 or -ENOBUFS. */
static int send_event(struct stream *stream, const char *name, const char *data)
{
	char head[64];
	int len = snprintf(head, sizeof(head), "event: %s\ndata: ", name);
	int err = http_stream_send(stream->call, head, (size_t)len);

	if (!err)
		err = http_stream_send(stream->call, data, strlen(data));
	return err ? err : http_stream_send(stream->call, "\n\n", 2);
}

/* Takes the reference. */
static int send_changed(struct stream *stream, enum stream_view which, json_t *view)
{
	static const char *const names[] = {
#define X(NAME, name) #name,
		STREAM_VIEWS(X)
#undef X
	};
	char *text = json_dumps(view, JSON_COMPACT);

	json_decref(view);
	if (!text || (stream->sent[which] && !strcmp(stream->sent[which], text))) {
		free(text);
		return 0;
	}
	free(stream->sent[which]);
	stream->sent[which] = text;
	return send_event(stream, names[which], text);
}

static json_t *services_view(const struct daemon *daemon)
{
	json_t *services = json_array();

	for (size_t i = 0; i < daemon->supervisor_count; i++) {
		const struct supervisor *supervisor = daemon->supervisors[i];

		json_array_append_new(services, json_pack("{s:s, s:s}", "service", supervisor->name, "state",
							  rollout_state_name(supervisor->record.rollout.state)));
	}
	return json_pack("{s:o}", "services", services);
}

static json_t *backend_view(struct dataplane *dataplane, const struct backend_model *backend)
{
	struct canary_backend_counters counters = {};
	char endpoint[ADDR_TEXT_LEN];

	dataplane_backend_counters(dataplane, backend->index, &counters);
	return json_pack("{s:s, s:s, s:i, s:b, s:I}", "backend",
			 format_endpoint(&backend->addr, backend->port, endpoint), "cohort",
			 cohort_name(backend->cohort), "weight", (int)backend->weight, "draining", backend->draining,
			 "flows", (json_int_t)counters.count[CANARY_BACKEND_FLOWS]);
}

/* Those that the data plane has. */
static json_t *backends_view(struct dataplane *dataplane, const char *service)
{
	json_t *backends = json_array();
	struct model model;
	struct error error;

	if (dataplane && !dataplane_read(dataplane, service, &model, &error)) {
		for (size_t i = 0; i < model.services[0].backend_count; i++)
			json_array_append_new(backends, backend_view(dataplane, &model.services[0].backends[i]));
		model_free(&model);
	}
	return json_pack("{s:o}", "backends", backends);
}

static int append_entry(const struct history_entry *entry, void *arg)
{
	json_array_append_new(arg, entry_view(entry));
	return 0;
}

/* What happened to the rollouts: not what clients said, which is theirs. */
static json_t *entries_view(const struct supervisor *supervisor)
{
	const struct history_filter filter = {
		.service = supervisor->name, .newest_first = true, .limit = ENTRIES_SHOWN};
	json_t *entries = json_array();
	struct error error;

	history_list(supervisor->daemon->history, HISTORY_TRANSITION, &filter, append_entry, entries, &error);
	history_list(supervisor->daemon->history, HISTORY_BLOCK, &filter, append_entry, entries, &error);
	return json_pack("{s:o}", "entries", entries);
}

static int send_entries(struct stream *stream)
{
	const struct rollout *rollout = &stream->supervisor->record.rollout;

	if (stream->has_entries && stream->transitions == rollout->transitions && stream->blocked == rollout->blocked)
		return 0;
	stream->has_entries = true;
	stream->transitions = rollout->transitions;
	stream->blocked = rollout->blocked;
	return send_changed(stream, VIEW_ENTRIES, entries_view(stream->supervisor));
}

static int take_event(const struct canary_event *event, void *arg)
{
	struct stream *stream = arg;
	char time[CLOCK_TEXT_LEN];
	json_t *view;

	if (event_is_of_interface(event) || strncmp(event->name, stream->supervisor->name, sizeof(event->name)))
		return 0;
	view = json_pack("{s:s, s:s}", "time", clock_wall_text_ms(event->time_ns, time), "type",
			 event_type_name(event->type));
	event_add_members(view, event);
	json_array_append_new(stream->events, view);
	if (json_array_size(stream->events) > EVENTS_SHOWN)
		json_array_remove(stream->events, 0);
	return 0;
}

/* What happened to the service in the data plane. */
static int send_events(struct stream *stream, struct dataplane *dataplane)
{
	__u64 last = stream->last_event, lost;

	if (!dataplane || dataplane_events(dataplane, stream->last_event, take_event, stream, &last, &lost))
		return 0;
	/* Another data plane counts from 1: its events come with the next tick. */
	if (last < stream->last_event) {
		json_array_clear(stream->events);
		last = 0;
	}
	stream->last_event = last;
	return send_changed(stream, VIEW_EVENTS, json_pack("{s:O}", "events", stream->events));
}

static int send_point(struct stream *stream)
{
	const struct curve_point *point = &stream->supervisor->pulse.point;
	json_t *view;
	char *text;
	int err;

	/* That a client which vanished is found out. */
	if (!stream->supervisor->present || !point->span_ms)
		return http_stream_send(stream->call, ":\n\n", 3);
	view = curve_view(point, 1, &stream->supervisor->record.plan);
	text = json_dumps(view, JSON_COMPACT);
	json_decref(view);
	err = text ? send_event(stream, "point", text) : 0;
	free(text);
	return err;
}

static int send_all(struct stream *stream, struct dataplane *dataplane)
{
	struct supervisor *supervisor = stream->supervisor;
	int err = send_changed(stream, VIEW_SERVICES, services_view(supervisor->daemon));

	if (!err)
		err = send_changed(stream, VIEW_STATUS, status_view(supervisor, stream->call));
	if (!err)
		err = send_changed(stream, VIEW_HEALTH, keeper_view(supervisor->daemon->keeper, supervisor->name));
	if (!err)
		err = send_changed(stream, VIEW_BACKENDS, backends_view(dataplane, supervisor->name));
	if (!err)
		err = send_entries(stream);
	if (!err)
		err = send_events(stream, dataplane);
	return err ? err : send_point(stream);
}

void streams_add(struct supervisor *supervisor, struct http_call *call)
{
	struct daemon *daemon = supervisor->daemon;
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream) {
		http_reply_error(call, 500, "out of memory");
		return;
	}
	*stream = (struct stream){
		.next = daemon->streams, .supervisor = supervisor, .call = call, .events = json_array()};
	if (http_stream(call, "text/event-stream", gone, stream)) {
		stream_free(stream);
		return;
	}
	daemon->streams = stream;
	/* What takes a look at the data plane comes with the next tick. */
	if (send_changed(stream, VIEW_SERVICES, services_view(daemon)) ||
	    send_changed(stream, VIEW_STATUS, status_view(supervisor, stream->call)))
		unlink_stream(stream);
}

void streams_tick(struct daemon *daemon, struct dataplane *dataplane)
{
	struct stream *stream, *next;

	for (stream = daemon->streams; stream; stream = next) {
		next = stream->next;
		if (send_all(stream, dataplane))
			unlink_stream(stream);
	}
}
