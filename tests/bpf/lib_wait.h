/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for what the kernel does by itself: until it is done, however slow the machine. Times that a test sets, like a
 * handshake's timeout, are PATIENT_MS while packets are sent, and BRIEF_MS when it is time that they are over.
 */
#ifndef LIB_WAIT_H
#define LIB_WAIT_H

#include "lib_env.h"

#define PATIENT_MS 60000
#define BRIEF_MS 100

/* Until it holds, for two minutes at most: then the test fails, and says what it waited for. */
void wait_until(bool (*holds)(void), const char *what);
/* Until the sweeper has come by every flow and every service once more, and has weighed what it found. */
void wait_for_sweeper(void);

void wait_for_uptime(unsigned seconds);

/* Of the service "web". */
bool is_stopped(void);

#endif
