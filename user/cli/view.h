/* SPDX-License-Identifier: Apache-2.0 */
/* One view of the data: JSON trees of what is configured, and the text that is rendered from them. */
#ifndef CLI_VIEW_H
#define CLI_VIEW_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "core/model.h"
#include "dataplane/dataplane.h"

/*
 * name, protocol, address, port, weight, epoch, forward, with gue gue_port, affinity, track, overflow, mss, idle_timeout,
 * max_window
 */
json_t *view_service(const struct service_model *service);
/* cohort, address, port, weight, state */
json_t *view_backend(const struct backend_model *backend);
/* clients, cohort */
json_t *view_segment(const struct segment_model *segment);
/* name, mode */
json_t *view_interface(const struct interface *interface);

/* As dataplane_interfaces(), in the order of ifindex. */
int list_interfaces(struct dataplane *dataplane, struct interface **ret, size_t *ret_count, struct error *error);

/* Members of a tree for text: "" and 0 where there are none. */
const char *text_of(const json_t *object, const char *key);
json_int_t integer_of(const json_t *object, const char *key);
double number_of(const json_t *object, const char *key);

/* "203.0.113.10:80" of an object with address and port; port 0 of a service is "*". */
const char *endpoint_of(const json_t *object, char buf[96]);

/* "web  tcp 203.0.113.10:80  weight 5%  epoch 7 …": the line that begins a service. */
void print_service_line(const struct cli *cli, const json_t *service);

#endif
