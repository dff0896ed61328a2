/* SPDX-License-Identifier: Apache-2.0 */
/* A small file of JSON that is replaced at once or not at all, readable for its owner only. */
#ifndef IO_JSON_FILE_H
#define IO_JSON_FILE_H

#include <jansson.h>

#include "core/error.h"

/* Takes the reference; NULL: there is no file afterwards. It is on the disk then. 0 or -errno. */
int json_file_save(const char *path, json_t *root, struct error *error);

#endif
