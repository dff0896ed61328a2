/* SPDX-License-Identifier: Apache-2.0 */
/* Packets as the data plane sees them, with what becomes of them: see canary/capture.h. Returns are those of dataplane.h. */
#ifndef DATAPLANE_CAPTURE_H
#define DATAPLANE_CAPTURE_H

#include "canary/capture.h"
#include "dataplane/dataplane.h"

struct capture_request {
	const char *service; /* NULL: of any */
	__u8 cohort; /* enum canary_cohort, or CANARY_CAPTURE_ANY */
	bool unmatched; /* also what belongs to no service and passes */
	unsigned sample; /* one packet in so many */
	unsigned snaplen; /* bytes of a frame, up to CANARY_CAPTURE_SNAPLEN */
	unsigned
		rate; /* packets in a second, from CANARY_CAPTURE_TICKS on; as many at once, if there were none before */
};

struct capture_packet {
	struct canary_captured what;
	const void *came, *left; /* frames: what.captured and what.left_captured bytes */
	char service[CANARY_NAME_LEN]; /* "": none */
	struct canary_addr backend; /* if what.backend */
	int backend_port; /* 0: as in the packet */
	char interface[16], egress[16]; /* "#7" where no more is known than its number; egress "": none */
};

struct capture;

/*
 * Begins; every attached interface takes part, and those that are attached while it goes on. -EBUSY: somebody else captures.
 * -ENOENT: nothing is attached, or there is no such service. It takes no access to change, but writes to maps.
 */
int capture_open(struct dataplane *dataplane, const struct capture_request *request, struct capture **ret,
		 struct error *error);
/*
 * Waits for a tick at most, and calls for each packet, in the order of their time as far as they came together, until the
 * call returns nonzero, which is returned. To be called on and on: the data plane hands out nothing without it. -ENOENT:
 * nothing is attached any more; -EBUSY: this process slept for so long that another one captures by now.
 */
int capture_read(struct capture *capture, int (*call)(const struct capture_packet *packet, void *arg), void *arg,
		 struct error *error);
/* As canary_capture_count; of all CPUs, so far. */
void capture_counts(const struct capture *capture, __u64 ret[CANARY_CAPTURE_COUNTS]);
/* Ends it; what was not read is lost. NULL is fine. */
void capture_close(struct capture *capture);

#endif
