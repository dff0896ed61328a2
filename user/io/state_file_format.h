/* SPDX-License-Identifier: Apache-2.0 */
/* What writes and what reads the state file agree on. */
#ifndef IO_STATE_FILE_FORMAT_H
#define IO_STATE_FILE_FORMAT_H

#define STATE_FORMAT 1

#endif
