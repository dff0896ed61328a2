/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_FILE_H
#define IO_FILE_H

#include <sys/types.h>

/*
 * Replaces the file at once or not at all; it is on the disk then. It belongs to whom its directory does (directory_give()),
 * and has this mode, whatever the umask. 0 or -errno.
 */
int file_replace(const char *path, mode_t mode, const char *text);

#endif
