/* SPDX-License-Identifier: Apache-2.0 */
/* What a network driver says of itself, in the network namespace we run in. */
#ifndef IO_ETHTOOL_H
#define IO_ETHTOOL_H

/* 1: does it merge received packets (GRO)? 0: it does not; -errno. */
int gro_enabled(const char *interface);

#endif
