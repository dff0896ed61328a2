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

/*
 * A file that root makes in somebody's directory is given to them: canaryd need not be root, and shares its files with
 * commands that are. `path` is where it is, `fd` open. 0 or -errno.
 */
int directory_give(const char *path, int fd);

#endif
