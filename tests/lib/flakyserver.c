/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP server of the tests that misbehaves, exactly as often as told:
 *
 *   flakyserver -p PORT [OPTION]...
 *     -a ADDRESS                 where to listen (default: every address of both families)
 *     -t MS                      how long --silent stays silent, from accept on (default 10000)
 *     --response-delay MS        what is answered is answered so long after the request (default 0)
 *   and of every M connections accepted, in the order of accept, N are treated like this:
 *     --reset N/M                RST at once, before any byte
 *     --reset-after-request N/M  the request is read, then RST with no byte of a response
 *     --silent N/M               read, never answered; FIN after the time of -t
 *     --close N/M                the request is read, then FIN with no byte of a response
 *
 * All others get back what they send. When the shares of two options fall on one connection, the later option's turn
 * comes at the next: as long as shares do not exceed 1 together, a number of connections that is a multiple of every M
 * has exactly N of each. Prints "ready", and on SIGTERM a JSON object with what it has done: `accepted`, and of these
 * `reset`, `reset_after_request`, `silent` (from accept on), `closed`, `answered`, or `left` (the client went before
 * any of that was due) and `open` (nothing was due yet). No refusal: for that, nothing needs to listen.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <sys/queue.h>

#include "endpoints.h"
#include "exact.h"

/* How a connection is treated: option, JSON name. The last has no option. */
#define TREATMENTS(X)                                                                                                  \
	X(RESET, "reset", "reset")                                                                                     \
	X(RESET_AFTER_REQUEST, "reset-after-request", "reset_after_request")                                           \
	X(SILENT, "silent", "silent")                                                                                  \
	X(CLOSE, "close", "closed")                                                                                    \
	X(ANSWER, NULL, "answered")

#define TREATMENT_ENUM(name, option, json) name,
#define TREATMENT_OPTION(name, option, json) option,
#define TREATMENT_JSON(name, option, json) json,
enum treatment { TREATMENTS(TREATMENT_ENUM) TREATMENT_COUNT };
static const char *const option_names[] = {TREATMENTS(TREATMENT_OPTION)};
static const char *const json_names[] = {TREATMENTS(TREATMENT_JSON)};

struct conn {
	int fd;
	enum treatment treatment;
	bool queued, done; /* in a queue; counted */
	uint64_t due; /* ns: the answer, or the end of silence */
	size_t len;
	char request[512];
	TAILQ_ENTRY(conn) queue;
};

TAILQ_HEAD(queue, conn);

static struct share shares[ANSWER];
static uint64_t done[TREATMENT_COUNT], accepted, left;
static uint64_t silence = 10ULL * NS_PER_S, response_delay;
/* Both in the order of `due`, since what is added to the time is the same for all in a queue. */
static struct queue answers = TAILQ_HEAD_INITIALIZER(answers), silents = TAILQ_HEAD_INITIALIZER(silents);
static int epoll, timer;
static int listeners[2], listener_count;

static struct queue *queue_of(const struct conn *conn)
{
	return conn->treatment == SILENT ? &silents : &answers;
}

static void enqueue(struct conn *conn, uint64_t delay)
{
	conn->due = now_ns(CLOCK_MONOTONIC) + delay;
	conn->queued = true;
	TAILQ_INSERT_TAIL(queue_of(conn), conn, queue);
}

static void dequeue(struct conn *conn)
{
	if (conn->queued)
		TAILQ_REMOVE(queue_of(conn), conn, queue);
	conn->queued = false;
}

static void count(struct conn *conn)
{
	if (!conn->done)
		done[conn->treatment]++;
	conn->done = true;
}

static void forget(struct conn *conn)
{
	left += !conn->done;
	dequeue(conn);
	close(conn->fd);
	free(conn);
}

static void reset(struct conn *conn)
{
	struct linger at_once = {1, 0};

	setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	count(conn);
	forget(conn);
}

/* The FIN goes first; the descriptor is closed when the client has gone, since unread bytes would make it a RST. */
static void finish(struct conn *conn)
{
	count(conn);
	dequeue(conn);
	shutdown(conn->fd, SHUT_WR);
}

static void answer(struct conn *conn)
{
	dequeue(conn);
	if (send(conn->fd, conn->request, conn->len, MSG_NOSIGNAL) != (ssize_t)conn->len) {
		forget(conn);
		return;
	}
	conn->len = 0;
	count(conn);
}

static enum treatment choose_treatment(void)
{
	enum treatment chosen = ANSWER;

	for (int i = ANSWER - 1; i >= 0; i--) {
		if (share_offer(&shares[i]))
			chosen = i;
	}
	if (chosen != ANSWER)
		shares[chosen].used++;
	return chosen;
}

static void accept_all(int listener)
{
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *conn = calloc(1, sizeof(*conn));
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};

		if (!conn)
			err(1, "no memory for connections");
		accepted++;
		conn->fd = fd;
		conn->treatment = choose_treatment();
		if (conn->treatment == RESET) {
			reset(conn);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
			err(1, "epoll_ctl");
		if (conn->treatment == SILENT) {
			count(conn);
			enqueue(conn, silence);
		}
	}
	if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
		err(1, "accept");
}

/* Bytes have come: what that makes us do. */
static void take_request(struct conn *conn)
{
	switch (conn->treatment) {
	case RESET_AFTER_REQUEST:
		reset(conn);
		break;
	case CLOSE:
		finish(conn);
		break;
	case ANSWER:
		if (!response_delay)
			answer(conn);
		else if (!conn->queued)
			enqueue(conn, response_delay);
		break;
	default:
		break;
	}
}

static void read_request(struct conn *conn)
{
	char rest[4096];
	bool keep = conn->treatment == ANSWER && conn->len < sizeof(conn->request);
	ssize_t got = keep ? recv(conn->fd, conn->request + conn->len, sizeof(conn->request) - conn->len, 0)
			   : recv(conn->fd, rest, sizeof(rest), 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		forget(conn);
		return;
	}
	conn->len += keep ? got : 0;
	take_request(conn);
}

/* All that is due; the timer is set for what comes next. */
static void serve_queues(void)
{
	uint64_t next = UINT64_MAX, now;
	struct conn *conn;

	timer_drain(timer);
	now = now_ns(CLOCK_MONOTONIC);
	while ((conn = TAILQ_FIRST(&answers)) && conn->due <= now)
		answer(conn);
	if (conn)
		next = conn->due;
	while ((conn = TAILQ_FIRST(&silents)) && conn->due <= now)
		finish(conn);
	if (conn && conn->due < next)
		next = conn->due;
	if (next != UINT64_MAX)
		timer_arm(timer, next);
}

static void listen_on(const struct sockaddr_storage *address, socklen_t len)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
	int *slot = &listeners[listener_count++];
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = slot};

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (address->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (const void *)address, len) || listen(fd, 8192))
		err(1, "listen");
	*slot = fd;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		err(1, "epoll_ctl");
}

static void handle(void *what)
{
	if (what == &listeners[0] || what == &listeners[1])
		accept_all(*(int *)what);
	else if (what)
		read_request(what);
}

static void report(void)
{
	uint64_t open = accepted - left;

	printf("{\"accepted\":%lu,", accepted);
	for (int i = 0; i < TREATMENT_COUNT; i++) {
		printf("\"%s\":%lu,", json_names[i], done[i]);
		open -= done[i];
	}
	printf("\"left\":%lu,\"open\":%lu}\n", left, open);
}

enum { OPT_DELAY = 256, OPT_SHARES };

static void parse_options(int argc, char **argv, const char **ret_address, const char **ret_port)
{
	struct option names[ANSWER + 2] = {{"response-delay", required_argument, NULL, OPT_DELAY}};
	char *rest;
	int option;

	for (int i = 0; i < ANSWER; i++)
		names[i + 1] = (struct option){option_names[i], required_argument, NULL, OPT_SHARES + i};
	while ((option = getopt_long(argc, argv, "p:a:t:", names, NULL)) >= 0) {
		if (option == 'p')
			*ret_port = optarg;
		else if (option == 'a')
			*ret_address = optarg;
		else if (option == 't')
			silence = parse_number(optarg, &rest) * (uint64_t)NS_PER_MS;
		else if (option == OPT_DELAY)
			response_delay = parse_number(optarg, &rest) * (uint64_t)NS_PER_MS;
		else if (option >= OPT_SHARES && option < OPT_SHARES + ANSWER)
			shares[option - OPT_SHARES] = parse_share(optarg);
		else
			errx(2, "see the head of flakyserver.c");
	}
	if (!*ret_port || optind != argc)
		errx(2, "usage: flakyserver -p PORT [OPTION]...");
}

int main(int argc, char **argv)
{
	const char *addresses[] = {"0.0.0.0", "::"}, *address = NULL, *port = NULL;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	struct sockaddr_storage own;

	parse_options(argc, argv, &address, &port);
	raise_descriptor_limit();
	stop_on_signals();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	timer = timer_open();
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event))
		err(1, "epoll");
	for (int i = 0; i < (address ? 1 : 2); i++)
		listen_on(&own, parse_endpoint(address ? address : addresses[i], port, &own));
	say_ready();
	while (!stopped) {
		struct epoll_event events[256];
		int count = epoll_pwait(epoll, events, 256, -1, &while_waiting);

		for (int i = 0; i < count; i++)
			handle(events[i].data.ptr);
		serve_queues();
	}
	report();
	return 0;
}
