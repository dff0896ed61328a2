/* SPDX-License-Identifier: Apache-2.0 */
/* What `status` asks the kernel about the network around what is attached, in our network namespace. */
#ifndef CLI_SURROUNDINGS_H
#define CLI_SURROUNDINGS_H

#include <jansson.h>

#include "cli/cli.h"
#include "core/model.h"
#include "dataplane/dataplane.h"

struct surroundings;

/* Of all that is attached. To be closed. */
struct surroundings *surroundings_open(const struct interface *interfaces, size_t count);
void surroundings_close(struct surroundings *surroundings);

/* Is an interface's address another one than it was when it was attached? Then its packets are not taken for ours. */
bool surroundings_mac_changed(struct surroundings *surroundings, const struct interface *interface);

/* "resolved", "unresolved", or "unknown" where nothing is attached in our network namespace. */
const char *surroundings_next_hop(struct surroundings *surroundings, const struct backend_model *backend);

/* What was found to be wrong so far, as warnings that say what to run. */
void surroundings_warn(const struct surroundings *surroundings, const struct cli *cli);

#endif
