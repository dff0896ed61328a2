/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_DIRECTORY_H
#define IO_DIRECTORY_H

#include <sys/types.h>

#include "core/error.h"

/*
 * Makes the directory, of this mode, and those above it that are missing, of mode 0755. One that is there already stays as
 * it is. 0 or -errno; -ENOTDIR: something else has the name.
 */
int directory_make(const char *path, mode_t mode, struct error *error);
/* The same for the directory that the file is to lie in. */
int directory_make_of(const char *file, mode_t mode, struct error *error);

#endif
