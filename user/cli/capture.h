/* SPDX-License-Identifier: Apache-2.0 */
/* A captured packet as JSON, and what is made of that: a line, or a comment in a file. */
#ifndef CLI_CAPTURE_H
#define CLI_CAPTURE_H

#include <jansson.h>

#include "cli/cli.h"
#include "dataplane/capture.h"

/*
 * time, interface, vlans, source, source_port, destination, destination_port, protocol, tcp_flags, length; service, cohort,
 * backend {address, port}, direction, verdict, reason, egress. Null: there is none, or it was not known.
 */
json_t *view_captured(const struct capture_packet *packet);

void print_captured(const struct cli *cli, const json_t *view);

/* "service=web cohort=canary backend=10.0.0.21:8080 verdict=forwarded egress=eth1"; a reason with its meaning. */
#define CAPTURE_COMMENT_LEN 512
const char *format_captured(const json_t *view, char buf[CAPTURE_COMMENT_LEN]);

#endif
