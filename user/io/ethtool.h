/* SPDX-License-Identifier: Apache-2.0 */
/* What a network driver says of itself, in the network namespace we run in. */
#ifndef IO_ETHTOOL_H
#define IO_ETHTOOL_H

#include <stdbool.h>

/* 1: it does; 0: it does not; -errno. */
int gro_enabled(const char *interface); /* does it merge received packets, in the stack? */
int lro_enabled(const char *interface); /* and in the driver or the device? */
int vlan_stripping_enabled(const char *interface); /* does it take VLAN tags off what it receives? */

#define DRIVER_NAME_LEN 32
/* "virtio_net". 0 or -errno. */
int driver_name(const char *interface, char ret[DRIVER_NAME_LEN]);

struct queues {
	unsigned receive, receive_max; /* in use, and what the device has */
	bool combined; /* some of them send as well, and are set together */
};
/* 0 or -errno; -EOPNOTSUPP: the driver does not tell. */
int receive_queues(const char *interface, struct queues *ret);

#endif
