/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Types and functions of headers that both the kernel program and user space compile. */
#ifndef CANARY_INLINE_H
#define CANARY_INLINE_H

#ifndef __VMLINUX_H__ /* the kernel's own declarations */
#include <linux/types.h>
#endif

#define CANARY_INLINE static inline __attribute__((always_inline))

#endif
