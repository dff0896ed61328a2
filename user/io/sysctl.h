/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of the kernel below /proc/sys. */
#ifndef IO_SYSCTL_H
#define IO_SYSCTL_H

/* The whole number that a setting ("kernel/bpf_stats_enabled") has. 0, or -errno with *ret untouched. */
int sysctl_number(const char *name, int *ret);

#endif
