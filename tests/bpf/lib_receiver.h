/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own stack as a receiver of IP packets: a network namespace with a TUN device and addresses of its own. A
 * packet that is written there is parsed, verified and delivered, to real sockets, before the call returns. What comes
 * in a tunnel is taken out as a backend does, and received once more. Of UDP, the ports of lib_traffic.h have sockets.
 */
#ifndef LIB_RECEIVER_H
#define LIB_RECEIVER_H

#include <linux/types.h>
#include <stdbool.h>

struct receiver;

/* Addresses separated by spaces. */
struct receiver *receiver_open(const char *addresses);
void receiver_close(struct receiver *receiver);

/* X(NAME, file, protocol, counter): what the stack counts of packets that it does not take. */
#define RECEIVER_ERROR_LIST(X)                                                                                         \
	X(IP_HEADER, "snmp", "Ip:", "InHdrErrors")                                                                     \
	X(IP_ADDRESS, "snmp", "Ip:", "InAddrErrors")                                                                   \
	X(IP_DISCARD, "snmp", "Ip:", "InDiscards")                                                                     \
	X(ICMP_CHECKSUM, "snmp", "Icmp:", "InCsumErrors")                                                              \
	X(TCP_ERROR, "snmp", "Tcp:", "InErrs")                                                                         \
	X(TCP_CHECKSUM, "snmp", "Tcp:", "InCsumErrors")                                                                \
	X(UDP_ERROR, "snmp", "Udp:", "InErrors")                                                                       \
	X(UDP_CHECKSUM, "snmp", "Udp:", "InCsumErrors")                                                                \
	X(UDP_PORT, "snmp", "Udp:", "NoPorts")                                                                         \
	X(IP6_HEADER, "snmp6", "", "Ip6InHdrErrors")                                                                   \
	X(IP6_ADDRESS, "snmp6", "", "Ip6InAddrErrors")                                                                 \
	X(IP6_SHORT, "snmp6", "", "Ip6InTruncatedPkts")                                                                \
	X(IP6_DISCARD, "snmp6", "", "Ip6InDiscards")                                                                   \
	X(ICMP6_CHECKSUM, "snmp6", "", "Icmp6InCsumErrors")                                                            \
	X(UDP6_ERROR, "snmp6", "", "Udp6InErrors")                                                                     \
	X(UDP6_CHECKSUM, "snmp6", "", "Udp6InCsumErrors")                                                              \
	X(UDP6_PORT, "snmp6", "", "Udp6NoPorts")
#define X(NAME, file, protocol, counter) RECEIVER_##NAME,
enum receiver_error { RECEIVER_ERROR_LIST(X) RECEIVER_ERRORS };
#undef X
extern const char *const receiver_error_names[RECEIVER_ERRORS];

struct receipt {
	bool tcp; /* a TCP segment arrived */
	unsigned datagrams, bytes, sum; /* of UDP that sockets got; a sum over the payload */
	unsigned unpacked; /* packets that came in a tunnel */
	unsigned errors[RECEIVER_ERRORS];
};
void receiver_take(struct receiver *receiver, const __u8 *ip, unsigned len, struct receipt *ret);

#endif
