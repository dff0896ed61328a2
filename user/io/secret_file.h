/* SPDX-License-Identifier: Apache-2.0 */
/* Files with secrets: keys, passwords. They belong to root or to us, and nobody else may read them. */
#ifndef IO_SECRET_FILE_H
#define IO_SECRET_FILE_H

#include <stddef.h>

#include "core/error.h"

/* 0, or -errno with a sentence: it is no file (-EINVAL), or others may read it (-EPERM). */
int secret_file_check(const char *path, struct error *error);
/* The same, and its first line, of less than `size` bytes; to be wiped by who asked. */
int secret_file_read(const char *path, char *ret, size_t size, struct error *error);

#endif
