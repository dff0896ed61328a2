/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a packet costs a pinned XDP program, for a time:
 *
 *   packetrun PIN INTERFACE MAC SOURCE ADDRESS PORT SECONDS
 *
 * Acknowledgements from FLOWS ports of SOURCE come in on INTERFACE of this network namespace, for the station MAC, to
 * ADDRESS:PORT. They run in BPF_PROG_TEST_RUN one by one, in turns with the same in a program that does nothing, whose time
 * is that of the measuring; with no device below. Runs that took ten times the median were interrupted, and do not count.
 * Prints "RUN packets N net NS floor NS verdict V": how many ran, the kernel's mean time for a packet less the other
 * program's, and that.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <err.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FLOWS = 1024, SLOWEST = 100000 };

static struct {
	struct ethhdr ethernet;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed)) packet = {
	.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP, .frag_off = 0x40},
	.tcp = {.doff = 5, .ack = 1, .seq = 1, .ack_seq = 1},
};

/* How many runs took so many ns. */
struct times {
	unsigned long runs[SLOWEST + 1], count;
};
static struct times program_times, floor_times;

static unsigned short checksum(const void *bytes, size_t len)
{
	const unsigned char *byte = bytes;
	unsigned long sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (unsigned long)(byte[i] << 8 | byte[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((unsigned short)~sum);
}

static void address_packet(char **argv)
{
	const struct ether_addr *mac = ether_aton(argv[3]);
	struct in_addr from, to;

	if (!mac || inet_pton(AF_INET, argv[4], &from) != 1 || inet_pton(AF_INET, argv[5], &to) != 1)
		errx(2, "MAC, SOURCE and ADDRESS are addresses");
	memcpy(packet.ethernet.h_dest, mac, ETH_ALEN);
	packet.ethernet.h_proto = htons(ETH_P_IP);
	packet.ip.tot_len = htons(sizeof(packet.ip) + sizeof(packet.tcp));
	packet.ip.saddr = from.s_addr;
	packet.ip.daddr = to.s_addr;
	packet.tcp.dest = htons((unsigned short)atoi(argv[6]));
	packet.ip.check = checksum(&packet.ip, sizeof(packet.ip));
}

/* A packet of the next flow: its verdict. */
static unsigned run(int program, unsigned ifindex, struct times *times)
{
	struct xdp_md ctx = {.data_end = sizeof(packet), .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = &packet, .data_size_in = sizeof(packet), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);

	packet.tcp.source = htons((unsigned short)(10000 + times->count % FLOWS));
	if (bpf_prog_test_run_opts(program, &options))
		err(1, "cannot run a packet");
	times->runs[options.duration < SLOWEST ? options.duration : SLOWEST]++;
	times->count++;
	return options.retval;
}

static int load_floor(void)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_TX},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int program = bpf_prog_load(BPF_PROG_TYPE_XDP, "floor", "GPL", code, sizeof(code) / sizeof(code[0]), NULL);

	if (program < 0)
		err(1, "cannot load a program");
	return program;
}

static double mean(const struct times *times)
{
	unsigned long below = 0, kept = 0;
	double sum = 0;
	int median = 0;

	while (below * 2 < times->count)
		below += times->runs[median++];
	for (int ns = 0; ns <= SLOWEST && ns < 10 * median; ns++) {
		kept += times->runs[ns];
		sum += (double)times->runs[ns] * ns;
	}
	return sum / (double)kept;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	int program, floor = load_floor();
	unsigned ifindex, verdict = 0;
	double end;

	if (argc != 8)
		errx(2, "packetrun PIN INTERFACE MAC SOURCE ADDRESS PORT SECONDS");
	program = bpf_obj_get(argv[1]);
	ifindex = if_nametoindex(argv[2]);
	if (program < 0 || !ifindex)
		err(1, "%s, %s", argv[1], argv[2]);
	address_packet(argv);
	for (end = now() + atof(argv[7]); now() < end;) {
		run(floor, ifindex, &floor_times);
		verdict = run(program, ifindex, &program_times);
		if (verdict != XDP_TX && verdict != XDP_REDIRECT)
			errx(1, "a packet was not sent on: verdict %u", verdict);
	}
	printf("RUN packets %lu net %.1f floor %.1f verdict %u\n", program_times.count,
	       mean(&program_times) - mean(&floor_times), mean(&floor_times), verdict);
	return 0;
}
