/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is connected. Places are limited, and one who takes a place and asks nothing must not keep others from theirs: where
 * all are taken, the one that has been silent for longest gives way.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "io/http_private.h"

static void begin(struct http_listener *listener, struct MHD_Connection *connection, void **slot)
{
	struct http_peer *peer = calloc(1, sizeof(*peer));

	/* Without memory nobody knows of it: it goes by libmicrohttpd's timeout. */
	if (!peer)
		return;
	peer->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	TAILQ_INSERT_TAIL(&listener->idle, peer, place);
	peer->idle = true;
	listener->peer_count++;
	*slot = peer;
}

static void end(struct http_listener *listener, void **slot)
{
	struct http_peer *peer = *slot;

	if (!peer)
		return;
	if (peer->idle)
		TAILQ_REMOVE(&listener->idle, peer, place);
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

void http_peer_set_idle(struct http_listener *listener, struct MHD_Connection *connection, bool idle)
{
	struct http_peer *peer =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;

	if (!peer || peer->idle == idle)
		return;
	if (idle)
		TAILQ_INSERT_TAIL(&listener->idle, peer, place);
	else
		TAILQ_REMOVE(&listener->idle, peer, place);
	peer->idle = idle;
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

	if (listener->peer_count < HTTP_CONNECTIONS_MAX)
		return;
	TAILQ_FOREACH(peer, &listener->idle, place)
	{
		if (has_more(peer))
			continue;
		TAILQ_REMOVE(&listener->idle, peer, place);
		peer->idle = false;
		/* libmicrohttpd finds that it is over, and closes it. */
		shutdown(peer->fd, SHUT_RDWR);
		return;
	}
}
