/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own stack as a receiver of IP packets: a network namespace with a TUN device and addresses of its own. A
 * packet that is written there is parsed, verified and delivered, to real sockets, before the call returns. What comes
 * in a tunnel is taken out as a backend does, and received once more. Of UDP, the ports of lib_traffic.h have sockets. Parts
 * of packets are waited for as long as the receiver is there.
 */
#ifndef LIB_RECEIVER_H
#define LIB_RECEIVER_H

#include <linux/types.h>
#include <stdbool.h>

#include "lib_frame.h"

struct receiver;

/* Addresses separated by spaces. */
struct receiver *receiver_open(const char *addresses);
void receiver_close(struct receiver *receiver);

/* X(NAME, file, protocol, counter): what the stack counts of packets that it does not take. */
#define RECEIVER_ERROR_LIST(X)                                                                                         \
	X(IP_HEADER, "snmp", "Ip:", "InHdrErrors")                                                                     \
	X(IP_ADDRESS, "snmp", "Ip:", "InAddrErrors")                                                                   \
	X(IP_DISCARD, "snmp", "Ip:", "InDiscards")                                                                     \
	X(IP_PARTS, "snmp", "Ip:", "ReasmFails")                                                                       \
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
	X(IP6_PARTS, "snmp6", "", "Ip6ReasmFails")                                                                     \
	X(ICMP6_CHECKSUM, "snmp6", "", "Icmp6InCsumErrors")                                                            \
	X(UDP6_ERROR, "snmp6", "", "Udp6InErrors")                                                                     \
	X(UDP6_CHECKSUM, "snmp6", "", "Udp6InCsumErrors")                                                              \
	X(UDP6_PORT, "snmp6", "", "Udp6NoPorts")
#define X(NAME, file, protocol, counter) RECEIVER_##NAME,
enum receiver_error { RECEIVER_ERROR_LIST(X) RECEIVER_ERRORS };
#undef X
extern const char *const receiver_error_names[RECEIVER_ERRORS];

/* The same of what it takes. UDP is seen by what its sockets get. */
#define RECEIVER_TAKEN_LIST(X)                                                                                         \
	X(WHOLE, "snmp", "Ip:", "ReasmOKs")                                                                            \
	X(TCP, "snmp", "Tcp:", "InSegs")                                                                               \
	X(ECHO, "snmp", "Icmp:", "InEchos")                                                                            \
	X(ECHO_REPLY, "snmp", "Icmp:", "InEchoReps")                                                                   \
	X(UNREACHABLE, "snmp", "Icmp:", "InDestUnreachs")                                                              \
	X(EXPIRED, "snmp", "Icmp:", "InTimeExcds")                                                                     \
	X(PARAMETER, "snmp", "Icmp:", "InParmProbs")                                                                   \
	X(WHOLE6, "snmp6", "", "Ip6ReasmOKs")                                                                          \
	X(ECHO6, "snmp6", "", "Icmp6InEchos")                                                                          \
	X(ECHO_REPLY6, "snmp6", "", "Icmp6InEchoReplies")                                                              \
	X(UNREACHABLE6, "snmp6", "", "Icmp6InDestUnreachs")                                                            \
	X(TOO_BIG6, "snmp6", "", "Icmp6InPktTooBigs")                                                                  \
	X(EXPIRED6, "snmp6", "", "Icmp6InTimeExcds")                                                                   \
	X(PARAMETER6, "snmp6", "", "Icmp6InParmProblems")
#define X(NAME, file, protocol, counter) TAKEN_##NAME,
enum receiver_taken { RECEIVER_TAKEN_LIST(X) RECEIVER_TAKEN };
#undef X
extern const char *const receiver_taken_names[RECEIVER_TAKEN];

struct receipt {
	unsigned datagrams, bytes, sum; /* of UDP that sockets got; a sum over the payload */
	unsigned unpacked; /* packets that came in a tunnel */
	unsigned taken[RECEIVER_TAKEN];
	unsigned errors[RECEIVER_ERRORS];
};
void receiver_give(struct receiver *receiver, const __u8 *ip, unsigned len);
/* What became of all that was given since the last call. */
void receiver_take(struct receiver *receiver, struct receipt *ret);

/*
 * A connection of TCP from a packet's source to its destination, that waits for the byte with the number `next`: its socket,
 * for the caller to close. -1: the source is nobody there, or a port is 0.
 */
int receiver_connect(const struct receiver *receiver, const struct frame *frame, __u32 next);

/* Is there a socket of UDP at this port? */
bool receiver_listens(unsigned port);
/* How much the stack would send to that address in one piece, by what it was told. It forgets that then. */
unsigned receiver_path_mtu(const struct receiver *receiver, const struct canary_addr *to);

#endif
