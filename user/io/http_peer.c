/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is connected. Places are limited, and one who takes a place and asks nothing, or a byte now and then, or does not read
 * what was answered, must not keep others from theirs: it has HTTP_TIMEOUT seconds, and where all places are taken, the one
 * that has been silent for longest gives way at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "io/http_private.h"

#define READING_MS 1000 /* for an answer, where all places are taken */

static __s64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void enter(struct http_listener *listener, struct http_peer *peer, enum http_peer_state state)
{
	peer->state = state;
	peer->since_ms = now_ms();
	TAILQ_INSERT_TAIL(&listener->peers[state], peer, place);
}

static void leave(struct http_listener *listener, struct http_peer *peer)
{
	TAILQ_REMOVE(&listener->peers[peer->state], peer, place);
}

static void begin(struct http_listener *listener, struct MHD_Connection *connection, void **slot)
{
	struct http_peer *peer = calloc(1, sizeof(*peer));

	/* Without memory nobody knows of it: it goes by libmicrohttpd's timeout. */
	if (!peer)
		return;
	peer->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	enter(listener, peer, HTTP_PEER_ASKING);
	listener->peer_count++;
	*slot = peer;
}

static void end(struct http_listener *listener, void **slot)
{
	struct http_peer *peer = *slot;

	if (!peer)
		return;
	leave(listener, peer);
	listener->peer_count--;
	free(peer);
	*slot = NULL;
}

void http_peer_notify(void *arg, struct MHD_Connection *connection, void **slot,
		      enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		begin(arg, connection, slot);
	else
		end(arg, slot);
}

void http_peer_set(struct http_listener *listener, struct MHD_Connection *connection, enum http_peer_state state)
{
	struct http_peer *peer =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;

	if (!peer || peer->state == state || peer->state == HTTP_PEER_CLOSED)
		return;
	leave(listener, peer);
	enter(listener, peer, state);
}

/* libmicrohttpd finds that it is over, and frees it. */
static void close_peer(struct http_listener *listener, struct http_peer *peer)
{
	leave(listener, peer);
	enter(listener, peer, HTTP_PEER_CLOSED);
	shutdown(peer->fd, SHUT_RDWR);
}

/* Closes those that have been in a state for longer. */
static void close_late(struct http_listener *listener, enum http_peer_state state, __s64 limit_ms)
{
	struct http_peer *peer;

	while ((peer = TAILQ_FIRST(&listener->peers[state])) && now_ms() - peer->since_ms > limit_ms)
		close_peer(listener, peer);
}

/* Has it sent something that was not read yet? */
static bool has_more(const struct http_peer *peer)
{
	char byte;

	return recv(peer->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void http_peer_make_room(struct http_listener *listener)
{
	struct http_peer *peer;

	close_late(listener, HTTP_PEER_ASKING, HTTP_TIMEOUT * 1000LL);
	close_late(listener, HTTP_PEER_READING, HTTP_TIMEOUT * 1000LL);
	if (listener->peer_count < HTTP_CONNECTIONS_MAX)
		return;
	TAILQ_FOREACH(peer, &listener->peers[HTTP_PEER_ASKING], place)
	{
		if (has_more(peer))
			continue;
		close_peer(listener, peer);
		return;
	}
	close_late(listener, HTTP_PEER_READING, READING_MS);
}
