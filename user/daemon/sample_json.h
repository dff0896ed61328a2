/* SPDX-License-Identifier: Apache-2.0 */
/* Samples and readings as the history keeps them. */
#ifndef DAEMON_SAMPLE_JSON_H
#define DAEMON_SAMPLE_JSON_H

#include <jansson.h>

#include "daemon/measure.h"

json_t *sample_json(const struct sample *sample);
int sample_parse(const json_t *json, struct sample *ret); /* 0 or -EINVAL */
json_t *reading_json(const struct reading *reading);
int reading_parse(const json_t *json, struct reading *ret);

#endif
