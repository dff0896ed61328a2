/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_PRIVILEGES_PRIVATE_H
#define IO_PRIVILEGES_PRIVATE_H

/* For us and whatever we run, for good. Needs no_new_privs. 0 or -errno. */
int system_calls_restrict(void);

#endif
