/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* How user space asks the kernel for a change: a list of steps, and the program that does them all or none. */
#ifndef CANARY_OPERATIONS_H
#define CANARY_OPERATIONS_H

#ifndef __VMLINUX_H__ /* the kernel's own declarations */
#include <linux/types.h>
#endif

/*
 * One step of a commit: element of `operations`. The SEC("syscall") program `canary_commit` checks that every step can
 * be done, then does them all in one run: a process that dies before has changed nothing, one that dies later all.
 */
enum canary_operation_type {
	CANARY_OP_ADD = 1, /* service_ids[key] = id; services[id].word = word */
	/*
	 * services[id].word: expected -> the view `word`. A service that is stopped stays so, unless the record is of another
	 * assignment. See also CANARY_CHANGE_OLDEST().
	 */
	CANARY_OP_CHANGE = 2,
	CANARY_OP_DELETE =
		3, /* service_ids[key] removed; services[id].word: expected -> 0; `word` != 0: its address is no other's */
	CANARY_OP_RETIRE_BACKEND = 4, /* backends[id]: not live, generation + 1 */
};
/*
 * In the `word` of a change to a service that is stopped: the slot of a record that means the same, by a threshold of 0. With
 * no window open it becomes `oldest`, which cannot be stopped.
 */
#define CANARY_CHANGE_HAS_OLDEST (1ULL << 8)
#define CANARY_CHANGE_OLDEST_SHIFT 9
#define CANARY_CHANGE_OLDEST(slot) (CANARY_CHANGE_HAS_OLDEST | (__u64)(slot) << CANARY_CHANGE_OLDEST_SHIFT)
struct canary_operation {
	__u32 type;
	__u32 id;
	__u64 expected; /* the service's epoch; 0 for one that is added */
	__u64 word;
};
_Static_assert(sizeof(struct canary_operation) == 24, "abi");

/* Context of canary_commit. */
struct canary_commit_args {
	__u32 count;
	__s32 error; /* 0, -ESTALE (an epoch was not as expected), -E2BIG, -EINVAL */
	__u32 at; /* the operation that failed */
	__u32 pad;
};

#endif
