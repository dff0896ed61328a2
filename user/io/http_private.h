/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of http_server.h share. */
#ifndef IO_HTTP_PRIVATE_H
#define IO_HTTP_PRIVATE_H

#include <microhttpd.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "io/http_server.h"
#include "io/watch.h"

#define HTTP_PARTS_MAX 4
#define HTTP_PART_LEN 128

/* What a connection is about, and so what it may be closed for. */
enum http_peer_state {
	HTTP_PEER_ASKING, /* no whole request of it has come, or none yet after the last answer */
	HTTP_PEER_SERVED, /* it waits for us: nothing */
	HTTP_PEER_READING, /* an answer is being sent */
	HTTP_PEER_CLOSED, /* by us; libmicrohttpd does not know yet */
	HTTP_PEER_STATES,
};

struct http_peer {
	TAILQ_ENTRY(http_peer) place;
	int fd;
	enum http_peer_state state;
	__s64 since_ms; /* CLOCK_MONOTONIC: of the state */
};
TAILQ_HEAD(http_peers, http_peer);

/* Descriptors that listen; a daemon of libmicrohttpd for each, so that a crowd on one keeps nobody from the other. */
struct http_listener {
	struct MHD_Daemon *daemon;
	struct http_server *server;
	bool by_address;
	char *path; /* of a unix socket, and which one it was */
	dev_t device;
	ino_t inode;
	struct http_peers peers[HTTP_PEER_STATES]; /* those that have been so for longest first */
	unsigned peer_count; /* all of them */
	unsigned waiting; /* calls that wait and streams */
};

enum http_listener_index { HTTP_UNIX, HTTP_ADDRESS, HTTP_LISTENERS };

struct http_server {
	const struct http_route *routes;
	void *arg;
	struct watch watch;
	struct http_listener listeners[HTTP_LISTENERS];
	struct http_guard guard;
	struct http_call *calls; /* all there are */
};

struct http_bytes {
	char *bytes;
	size_t len, capacity;
};

/* What is left to do for a call whose handler was called. */
enum http_stage {
	HTTP_READING,
	HTTP_HANDLING, /* nothing was answered yet */
	HTTP_WAITING, /* somebody will reply later */
	HTTP_STREAMING,
	HTTP_ANSWERED, /* nobody but us knows the call any more */
	HTTP_CUT, /* the connection is to be closed as it is */
};

struct http_call {
	struct http_call *next, **self; /* in the server's list */
	struct http_listener *listener;
	struct MHD_Connection *connection;
	int fd;
	__s64 uid;
	char *method, *path;
	const struct http_route *route;
	char parts[HTTP_PARTS_MAX][HTTP_PART_LEN];
	struct http_bytes body;
	size_t body_seen; /* also of one that is too large to be kept */
	json_t *json;

	enum http_stage stage;
	bool suspended;
	bool counted; /* among those that wait */
	struct MHD_Response *response; /* to be queued */
	bool shared; /* it is a struct http_answer's, who releases it */
	unsigned status;
	http_gone *gone;
	void *gone_arg;
	struct http_bytes stream; /* of which the first `sent` bytes have been taken */
	size_t stream_sent;
};

/* An answer of many calls. */
struct http_answer {
	struct MHD_Response *response;
};

void http_response_release(struct http_call *call); /* that of the call, if it has one */

int http_bytes_add(struct http_bytes *bytes, const char *more, size_t len); /* 0 or -ENOMEM */

/* For libmicrohttpd, with the listener as its argument: a connection begins or is over. */
void http_peer_notify(void *arg, struct MHD_Connection *connection, void **slot,
		      enum MHD_ConnectionNotificationCode code);
void http_peer_set(struct http_listener *listener, struct MHD_Connection *connection, enum http_peer_state state);
/* Closes those that have taken too long, and one more where all places are taken: they go in libmicrohttpd's next run. */
void http_peer_make_room(struct http_listener *listener);

/* Each 0, or it has answered with an error. The last is for a call by address whose route is known. */
int http_guard_framing(struct http_call *call);
int http_guard_address(struct http_call *call);
int http_guard_access(struct http_call *call);
bool http_is_json(const char *type); /* NULL: no */

/* Finds the call's route and its parts. 0, or it has answered with an error. */
int http_route_find(struct http_call *call);

/* Hands a call back to libmicrohttpd, in whose next run it goes on. */
void http_call_resume(struct http_call *call);
/* Its owner, if somebody else but us knows it, is told that it is over. */
void http_call_gone(struct http_call *call);

/* Listening sockets, not blocking. A descriptor or -errno. */
int http_socket_unix(const char *path, const char *group, struct stat *ret_status, struct error *error);
int http_socket_address(const char *endpoint, struct error *error);

#endif
