/* SPDX-License-Identifier: Apache-2.0 */
/* The YAML configuration (libcyaml): a file into a validated model. */
#ifndef IO_CONFIG_H
#define IO_CONFIG_H

#include <jansson.h>

#include "core/error.h"
#include "core/model.h"
#include "core/rollout_plan.h"

/*
 * Reads and validates. 0, or -errno with one line for a person in *error: "FILE:LINE: services[0].port: 70000 is not a
 * port: …". *ret is untouched on failure, else to be freed with model_free(). "-" is not special. A file larger than
 * 16 MiB is refused (-EFBIG).
 */
int config_load(const char *file, struct model *ret, struct error *error);

/* The same of a text; `name` is what messages call it. */
int config_read(const char *name, const char *text, struct model *ret, struct error *error);

/*
 * The same of a file, as JSON: {"services": [{"name": "web", "port": "80", ...}, ...]}, every value as its text. What
 * config_read() takes. *ret to be released.
 */
int config_load_json(const char *file, json_t **ret, struct error *error);

/* The same of either that or a plan's own file, which is then of a service `name` with nothing else. */
int config_or_plan_load(const char *file, const char *name, struct model *ret, struct error *error);

/* The same of a rollout's plan in a file of its own: the keys of `rollout:`. */
int plan_load(const char *file, struct rollout_plan *ret, struct error *error);
/* The same of a text; `name` is what messages call it. */
int plan_parse(const char *name, const char *text, struct rollout_plan *ret, struct error *error);

#endif
