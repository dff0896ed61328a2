/* SPDX-License-Identifier: Apache-2.0 */
/* A file that one process holds at a time. On the disk it says which; that it is held, only the kernel knows. */
#ifndef IO_LOCK_FILE_H
#define IO_LOCK_FILE_H

#include "core/error.h"

/*
 * 0 with a descriptor that holds the lock until it is closed; -EBUSY: another canaryd has it, the sentence says which
 * process. `what` is what it stands for, in sentences.
 */
int lock_file(const char *name, const char *what, int *ret, struct error *error);

#endif
