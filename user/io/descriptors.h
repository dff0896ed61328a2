/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many descriptors there may be. The usual limit is for programs that use select(2); a daemon that has clients, and checks
 * thousands of backends at a time, takes what it may have, and gives what it runs the limit of before (systemd.exec(5) on
 * LimitNOFILE).
 */
#ifndef IO_DESCRIPTORS_H
#define IO_DESCRIPTORS_H

void descriptors_raise(void); /* at the start; where that is not allowed the limit stays */
void descriptors_restore(void); /* in a child; may be called where only a signal handler's calls may */

#endif
