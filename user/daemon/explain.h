/* SPDX-License-Identifier: Apache-2.0 */
/* Why a release is where it is: its recorded counts, once more through the gates. */
#ifndef DAEMON_EXPLAIN_H
#define DAEMON_EXPLAIN_H

#include <jansson.h>

#include "daemon/supervisor.h"

/* release 0: the last one. NULL with a sentence: there is none, or its history cannot be read. */
json_t *explain_view(struct supervisor *supervisor, __u64 release, struct error *error);

#endif
