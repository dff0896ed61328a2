/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That the parts of a packet go one way: what was seen of first fragments, and what later ones are held against. A second
 * opinion on bpf/fragment.h, without cmocka.
 */
#ifndef LIB_FOLLOW_H
#define LIB_FOLLOW_H

#include "lib_check.h"

/* After each packet. NULL: all is right, or nothing is known; else what is wrong. *ret_followed: a later one was compared. */
const char *follow_check(const struct check_run *run, bool *ret_followed);

#endif
