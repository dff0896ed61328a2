/* SPDX-License-Identifier: Apache-2.0 */
/* What decap.c and decap_list.c share: the maps of an attached program. */
#ifndef DATAPLANE_DECAP_INTERNAL_H
#define DATAPLANE_DECAP_INTERNAL_H

#include "dataplane/decap.h"

/* Descriptors; -1 where there is none. */
struct decap_maps {
	int settings, locals, peers, counters;
};
#define DECAP_NO_MAPS                                                                                                  \
	{                                                                                                              \
		.settings = -1, .locals = -1, .peers = -1, .counters = -1                                              \
	}

/*
 * Those of the program that a pinned link runs, as far as their elements are as large as this build's. 0, with what is to
 * be closed by decap_close_maps(), or -errno.
 */
int decap_open_maps(const char *link_path, struct decap_maps *ret);
void decap_close_maps(struct decap_maps *maps);

/* 0 or -errno. */
int decap_read_settings(const struct decap_maps *maps, struct canary_decap_settings *ret);

#endif
