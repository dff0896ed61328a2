/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon gives up what it does not need, for itself and for the commands that it runs: whoever starts it, and with
 * whatever, a mistake in it can then do no more than its work takes.
 */
#ifndef IO_PRIVILEGES_H
#define IO_PRIVILEGES_H

#include "core/error.h"

/*
 * What is kept of the capabilities that there are: CAP_BPF (maps and pinned programs), CAP_NET_ADMIN (neighbours, and the
 * filter of the port that a health check comes from) and CAP_NET_RAW (health checks in frames and tunnels). All others go,
 * for good: from the bounding set too, and no program that is run gives any of them back (no_new_privs).
 *
 * Root becomes whom the directory belongs to, if that is somebody else: that user's are the files in it, which root without
 * CAP_DAC_OVERRIDE could not open. Who stays who they are joins the group, if there is one and they may: so that a socket
 * can be given to it afterwards.
 *
 * System calls are those that services and ordinary programs make, and bpf(). The others fail with EPERM. They do not end
 * the process, as hooks, health checks and gates are other people's programs, which may try what they can do without; and
 * one of them must not be able to end the daemon by leading it astray. Calls that are newer than the list fail with
 * ENOSYS, so that C libraries do it in the older way.
 *
 * 0, or -errno with a sentence: then nothing may be gone on with.
 */
int privileges_drop(const char *group, const char *directory, struct error *error);

#endif
