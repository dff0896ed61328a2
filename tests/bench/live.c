/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of many flows through a whole balancer, and how many come out behind it: README.md, "Peers". */
#include "subject.h"

#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <jansson.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench.skel.h"
#include "receiver.h"
#include "receiver.skel.h"

static const char usage[] =
	"live [--packets N] [--flows N] INTERFACE PORT WAY\n"
	"\n"
	"Sends TCP ACKs to PORT of 203.0.113.10, out of INTERFACE to 02:00:00:00:01:01, and counts what comes in\n"
	"there for backends 10.0.0.N, at 02:00:00:00:01:N: sender, receiver and what is between them on one CPU.\n"
	"Prints a JSON object: packets sent, received by N, wrong, elsewhere (not in this process' time), and ns\n"
	"for each that was sent.\n"
	"\n"
	"  --packets N  to send (1000000), after one of each flow\n"
	"  --flows N    a power of two up to 1048576 (1024)\n"
	"\n"
	"WAY is what they are to look like when they arrive:";

#define BATCH 64 /* packets that are sent, forwarded and received before the next are sent: a veth takes 256 */
#define SERVICE "203.0.113.10"
#define BACKENDS "10.0.0.0"
static const __u8 stations[6] = {2, 0, 0, 0, 1, 0}; /* the balancer is the first */

/* The outermost headers. X(name, address: NULL: the backend's own, protocol, port: 0: any) */
#define WAYS(X)                                                                                                        \
	X(plain, SERVICE, IPPROTO_TCP, 0)                                                                              \
	X(nat, NULL, IPPROTO_TCP, 8080)                                                                                \
	X(ipip, NULL, IPPROTO_IPIP, 0)                                                                                 \
	X(gue, NULL, IPPROTO_UDP, GUE_PORT)

static const struct way {
	const char *name, *address;
	unsigned proto, port;
} ways[] = {
#define X(name, address, proto, port) {#name, address, proto, port},
	WAYS(X)
#undef X
};

struct task {
	unsigned packets, flows, port, ifindex;
	const struct way *way;
};

static void print_usage(FILE *to)
{
	fputs(usage, to);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		fprintf(to, " %s", ways[i].name);
	fputs("\n", to);
}

static void parse_options(int argc, char **argv, struct task *task)
{
	static const struct option options[] = {
		{"packets", required_argument, NULL, 'p'},
		{"flows", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	int option, bad = 0;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'p') {
			bad = parse_unsigned(optarg, 1, 1000000000, &task->packets);
		} else if (option == 'f') {
			bad = parse_unsigned(optarg, 1, BENCH_MAX_FLOWS, &task->flows) ||
			      task->flows & (task->flows - 1);
		} else {
			print_usage(option == 'h' ? stdout : stderr);
			exit(option == 'h' ? 0 : 2);
		}
		if (bad)
			errx(2, "not a number that can be: %s", optarg);
	}
}

static struct task parse_arguments(int argc, char **argv)
{
	struct task task = {.packets = 1000000, .flows = 1024};

	parse_options(argc, argv, &task);
	argv += optind;
	if (argc - optind != 3) {
		print_usage(stderr);
		exit(2);
	}
	task.ifindex = if_nametoindex(argv[0]);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(argv[2], ways[i].name))
			task.way = &ways[i];
	if (!task.ifindex || parse_unsigned(argv[1], 1, 65535, &task.port) || !task.way)
		errx(2, "out of %s to port %s by %s: no such interface, port or way", argv[0], argv[1], argv[2]);
	return task;
}

/* Attached until the process ends. */
static struct receiver_bpf *receive(const struct task *task)
{
	struct receiver_bpf *receiver = receiver_bpf__open_and_load();
	const struct way *way = task->way;
	__u8 runt[ETH_HLEN] = {};
	LIBBPF_OPTS(bpf_test_run_opts, meet, .data_in = runt, .data_size_in = sizeof(runt));

	if (!receiver || bpf_prog_test_run_opts(bpf_program__fd(receiver->progs.receiver_meet), &meet))
		err(1, "cannot run the receiver");
	receiver->bss->wanted = (struct receiver_wanted){
		.proto = way->proto,
		.dest_port = htons(way->port),
		.address = way->address ? inet_addr(way->address) : 0,
		.network = inet_addr(BACKENDS),
	};
	memcpy(receiver->bss->wanted.station, stations, sizeof(stations));
	if (!bpf_program__attach_xdp(receiver->progs.receiver_count, task->ifindex))
		err(1, "cannot attach the receiver");
	return receiver;
}

/* The bench's prologue makes the packets, and what it goes on to sends them out where they seem to have come in. */
static struct bench_bpf *make_sender(void)
{
	struct bench_bpf *sender = bench_bpf__open_and_load();
	__u32 zero = 0;
	int tx;

	if (!sender)
		err(1, "cannot load the sender");
	tx = bpf_program__fd(sender->progs.bench_tx);
	if (bpf_map_update_elem(bpf_map__fd(sender->maps.targets), &zero, &tx, BPF_ANY))
		err(1, "the prologue cannot call the sender");
	return sender;
}

/* Sends `count` packets, of flows in the order that `stride` gives. The kernel's ns per packet, of this process' time. */
static unsigned send_packets(struct bench_bpf *sender, const struct subject *subject, const struct task *task,
			     unsigned stride, unsigned count)
{
	struct xdp_md ctx = {.data_end = subject->packet.len, .ingress_ifindex = task->ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = subject->packet.data, .data_size_in = subject->packet.len,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = count, .batch_size = BATCH,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

	sender->bss->frame = subject->frame;
	sender->bss->frame.stride = stride;
	sender->bss->frame.mask = task->flows - 1;
	if (bpf_prog_test_run_opts(bpf_program__fd(sender->progs.bench_prologue), &options))
		err(1, "cannot send");
	return options.duration;
}

static void report(const struct receiver_bpf *receiver, unsigned sent, unsigned ns)
{
	json_t *received = json_object(), *json;

	for (int i = 0; i < RECEIVER_STATIONS; i++) {
		char name[4];

		snprintf(name, sizeof(name), "%hhu", (__u8)i);
		if (receiver->bss->received[i])
			json_object_set_new(received, name, json_integer(receiver->bss->received[i]));
	}
	json = json_pack("{s:I, s:o, s:I, s:I, s:i}", "sent", (json_int_t)sent, "received", received, "wrong",
			 (json_int_t)receiver->bss->wrong, "elsewhere", (json_int_t)receiver->bss->elsewhere, "ns",
			 (int)ns);
	if (!json || json_dumpf(json, stdout, JSON_COMPACT))
		errx(1, "cannot print the figures");
	json_decref(json);
	putchar('\n');
}

int main(int argc, char **argv)
{
	struct task task = parse_arguments(argc, argv);
	struct subject subject = {.group = {.forward = BENCH_FORWARD_L2}, .port = task.port};
	struct receiver_bpf *receiver;
	struct bench_bpf *sender;
	unsigned ns;

	if (bench_pin(-1) < 0)
		errx(1, "cannot run on one CPU alone");
	subject_load(&subject);
	memcpy(subject.frame.dmac, stations, sizeof(stations));
	subject.frame.dmac[5] = 1;
	receiver = receive(&task);
	sender = make_sender();
	send_packets(sender, &subject, &task, SUBJECT_INSERT_STRIDE, task.flows);
	memset(receiver->bss->received, 0, sizeof(receiver->bss->received));
	receiver->bss->wrong = receiver->bss->elsewhere = 0;
	ns = send_packets(sender, &subject, &task, SUBJECT_STRIDE, task.packets);
	report(receiver, sender->bss->frame.counter, ns);
	return 0;
}
