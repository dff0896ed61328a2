/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of the tests that tells exactly how its connections fared:
 *
 *   connload [OPTION]... ADDRESS PORT
 *     -s ADDRESS[/COUNT]       source addresses: COUNT in a row from ADDRESS on (default: the kernel's choice)
 *     -p FIRST[-LAST]          source ports (default: 20000-59999)
 *     -n COUNT                 how many connections (default: one for each address and port)
 *     -c COUNT                 so many at once (default 64)
 *     -r COUNT                 at most so many new ones a second
 *     --timeout MS             to connect (default 5000)
 *     --reply-timeout MS       from connected to the first byte of the response (default 5000)
 *     --request                send a line once connected (else: only wait for the response)
 *     --reset-after-connect N/M   of every M connections made, end N with a RST, with no request
 *     --close-after-connect N/M   the same with a FIN
 *
 * These ends come some milliseconds after the connection has been made: at once, from another CPU, they could overtake the
 * ACK that completes the handshake. Where every packet counts, keep to -r: a veth with an XDP program takes no bursts of
 * more than 256 packets.
 *
 * The end of the program, or SIGTERM, prints a JSON object. Each of `attempted` has exactly one outcome:
 *   no connection    refused (RST in answer to the SYN), timed_out, unreachable (ICMP)
 *   connected, then  reset (before a byte of the response), closed (FIN, the same), no_reply, replied,
 *                    self_reset, self_closed (--reset-after-connect, --close-after-connect)
 * `syn_retransmits` is the sum of tcpi_total_retrans (TCP_INFO) as each connection attempt ends: nothing but SYNs can
 * have been sent again by then. `connect_us` is from connect() until the socket is writable, `response_us` from then
 * until the first byte: all samples, exact percentiles (nearest rank). Connections that were answered end with a FIN.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>

#include "endpoints.h"
#include "exact.h"

#define OUTCOMES(X)                                                                                                    \
	X(refused)                                                                                                     \
	X(timed_out)                                                                                                   \
	X(unreachable)                                                                                                 \
	X(reset)                                                                                                       \
	X(closed)                                                                                                      \
	X(no_reply)                                                                                                    \
	X(replied)                                                                                                     \
	X(self_reset)                                                                                                  \
	X(self_closed)

#define OUTCOME_ENUM(name) outcome_##name,
#define OUTCOME_NAME(name) #name,
enum outcome { OUTCOMES(OUTCOME_ENUM) outcome_count };
static const char *const outcome_names[] = {OUTCOMES(OUTCOME_NAME)};

/* How long after a connection --reset-after-connect and --close-after-connect end it, at least; how often we look. */
enum { SELF_END_NS = 2 * NS_PER_MS, CHECK_NS = 10 * NS_PER_MS };

enum state { CONNECTING, WAITING, ENDED };

struct conn {
	int fd;
	enum state state;
	uint64_t since, deadline; /* ns: when this state began, and when it has lasted too long */
	enum outcome if_late;
};

static struct {
	struct sockaddr_storage target;
	struct sources sources;
	socklen_t addr_len;
	bool request;
	unsigned conns, concurrency, rate, timeout, reply_timeout;
	struct share reset, close;
} options = {.sources = {.addresses = 1, .first_port = 20000, .ports = 40000},
	     .concurrency = 64,
	     .timeout = 5000,
	     .reply_timeout = 5000};

static struct conn *conns;
static unsigned attempted, ended, oldest; /* all before `oldest` have ended */
static uint64_t outcomes[outcome_count], connected, syn_retransmits;
static struct samples connect_times, response_times;
static int epoll;
static const char request[] = "GET / HTTP/1.0\r\n\r\n";

static void end(struct conn *conn, enum outcome outcome)
{
	struct linger at_once = {1, 0};

	if (outcome == outcome_self_reset)
		setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(conn->fd);
	conn->state = ENDED;
	ended++;
	outcomes[outcome]++;
}

/* An attempt to connect is over, one way or the other. */
static void count_retransmits(const struct conn *conn)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		err(1, "TCP_INFO");
	syn_retransmits += info.tcpi_total_retrans;
}

static void start(unsigned index)
{
	struct conn *conn = &conns[index];
	struct sockaddr_storage source = source_of(&options.sources, index);
	struct epoll_event event = {.events = EPOLLOUT, .data.u32 = index};
	int one = 1;

	conn->fd = socket(source.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (conn->fd < 0)
		err(1, "socket (connection %u)", index);
	setsockopt(conn->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(conn->fd, (void *)&source, options.addr_len))
		err(1, "bind (connection %u)", index);
	conn->since = now_ns(CLOCK_MONOTONIC);
	conn->if_late = outcome_timed_out;
	conn->deadline = conn->since + options.timeout * (uint64_t)NS_PER_MS;
	if (connect(conn->fd, (void *)&options.target, options.addr_len) && errno != EINPROGRESS)
		err(1, "connect (connection %u)", index);
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, conn->fd, &event))
		err(1, "epoll_ctl");
	attempted++;
}

/* The outcome that an error of the socket stands for; none that we do not know. */
static enum outcome outcome_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return outcome_refused;
	case ETIMEDOUT:
		return outcome_timed_out;
	case EHOSTUNREACH:
	case ENETUNREACH:
		return outcome_unreachable;
	case ECONNRESET:
		return outcome_reset;
	case EPIPE: /* a FIN, and a RST in answer to what we sent after it */
		return outcome_closed;
	}
	errno = error;
	err(1, "a connection ended in a way that has no name here");
}

/* A RST or FIN may come before we look at the socket; a RST in answer to the SYN would be ECONNREFUSED. */
static bool was_connected(int error)
{
	return !error || error == ECONNRESET || error == EPIPE;
}

/*
 * What a connection comes to if it stays silent. Both shares are offered each; when the turns of both fall on one, the
 * other's comes with the next.
 */
static enum outcome plan(void)
{
	bool close_due = share_offer(&options.close);

	if (share_take(&options.reset))
		return outcome_self_reset;
	options.close.used += close_due;
	return close_due ? outcome_self_closed : outcome_no_reply;
}

static void wait_for_response(struct conn *conn, uint64_t now)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = conn - conns};

	conn->state = WAITING;
	conn->since = now;
	conn->if_late = plan();
	conn->deadline = now + SELF_END_NS;
	if (epoll_ctl(epoll, EPOLL_CTL_MOD, conn->fd, &event))
		err(1, "epoll_ctl");
	if (conn->if_late != outcome_no_reply)
		return;
	conn->deadline = now + options.reply_timeout * (uint64_t)NS_PER_MS;
	if (options.request && send(conn->fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		end(conn, outcome_of(errno));
}

static void finish_connect(struct conn *conn, uint64_t now)
{
	socklen_t len = sizeof(int);
	int error;

	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		err(1, "SO_ERROR");
	count_retransmits(conn);
	if (was_connected(error)) {
		connected++;
		samples_add(&connect_times, now - conn->since);
	}
	if (error)
		end(conn, outcome_of(error));
	else
		wait_for_response(conn, now);
}

static void read_response(struct conn *conn, uint64_t now)
{
	char buf[4096];
	ssize_t got = recv(conn->fd, buf, sizeof(buf), 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0) {
		samples_add(&response_times, now - conn->since);
		end(conn, outcome_replied);
	} else {
		end(conn, got ? outcome_of(errno) : outcome_closed);
	}
}

static void handle_events(int timeout)
{
	struct epoll_event events[64];
	int count = epoll_pwait(epoll, events, 64, timeout, &while_waiting);

	for (int i = 0; i < count; i++) {
		struct conn *conn = &conns[events[i].data.u32];
		uint64_t now = now_ns(CLOCK_MONOTONIC);

		if (conn->state == CONNECTING)
			finish_connect(conn, now);
		else if (conn->state == WAITING)
			read_response(conn, now);
	}
}

static void end_late(uint64_t now)
{
	while (oldest < attempted && conns[oldest].state == ENDED)
		oldest++;
	for (unsigned i = oldest; i < attempted; i++) {
		struct conn *conn = &conns[i];

		if (conn->state == ENDED || now <= conn->deadline)
			continue;
		if (conn->state == CONNECTING)
			count_retransmits(conn);
		end(conn, conn->if_late);
	}
}

static void run(void)
{
	uint64_t begun = now_ns(CLOCK_MONOTONIC), checked = begun;

	/* One at a time, with a look at the others in between: how long starting takes must not be in their times. */
	while ((!stopped && attempted < options.conns) || ended < attempted) {
		uint64_t now = now_ns(CLOCK_MONOTONIC);
		bool room = !stopped && attempted < options.conns && attempted - ended < options.concurrency;
		bool due = !options.rate || attempted <= (now - begun) / NS_PER_US * options.rate / US_PER_S;

		if (room && due)
			start(attempted);
		handle_events(!room ? CHECK_NS / NS_PER_MS : due ? 0 : 1);
		if (now > checked + CHECK_NS) {
			end_late(now);
			checked = now;
		}
	}
}

static void report(void)
{
	printf("{\"attempted\":%u,\"connected\":%lu,", attempted, connected);
	for (int i = 0; i < outcome_count; i++)
		printf("\"%s\":%lu,", outcome_names[i], outcomes[i]);
	printf("\"syn_retransmits\":%lu,", syn_retransmits);
	samples_print(&connect_times, "connect_us");
	printf(",");
	samples_print(&response_times, "response_us");
	printf("}\n");
}

enum { OPT_TIMEOUT = 256, OPT_REPLY_TIMEOUT, OPT_REQUEST, OPT_RESET, OPT_CLOSE };

static const struct option long_options[] = {{"timeout", required_argument, NULL, OPT_TIMEOUT},
					     {"reply-timeout", required_argument, NULL, OPT_REPLY_TIMEOUT},
					     {"request", no_argument, NULL, OPT_REQUEST},
					     {"reset-after-connect", required_argument, NULL, OPT_RESET},
					     {"close-after-connect", required_argument, NULL, OPT_CLOSE},
					     {}};

static void take_option(int option, char *value)
{
	char *rest;

	switch (option) {
	case 's':
		parse_source_addresses(value, &options.sources);
		break;
	case 'p':
		parse_source_ports(value, &options.sources);
		break;
	case 'n':
		options.conns = parse_number(value, &rest);
		break;
	case 'c':
		options.concurrency = parse_number(value, &rest);
		break;
	case 'r':
		options.rate = parse_number(value, &rest);
		break;
	case OPT_TIMEOUT:
		options.timeout = parse_number(value, &rest);
		break;
	case OPT_REPLY_TIMEOUT:
		options.reply_timeout = parse_number(value, &rest);
		break;
	case OPT_REQUEST:
		options.request = true;
		break;
	case OPT_RESET:
		options.reset = parse_share(value);
		break;
	case OPT_CLOSE:
		options.close = parse_share(value);
		break;
	default:
		errx(2, "see the head of connload.c");
	}
}

int main(int argc, char **argv)
{
	unsigned all;
	int option;

	while ((option = getopt_long(argc, argv, "s:p:n:c:r:", long_options, NULL)) >= 0)
		take_option(option, optarg);
	if (argc - optind != 2)
		errx(2, "usage: connload [OPTION]... ADDRESS PORT");
	options.addr_len = parse_endpoint(argv[optind], argv[optind + 1], &options.target);
	match_family(&options.sources, &options.target);
	all = options.sources.addresses * options.sources.ports;
	if (!options.conns || options.conns > all)
		options.conns = all;
	raise_descriptor_limit();
	stop_on_signals();
	conns = calloc(options.conns, sizeof(*conns));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!conns || epoll < 0)
		err(1, "no memory or descriptors");
	run();
	report();
	return 0;
}
