/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of `canaryctl doctor` that look at the host: the kernel, its settings, its clock, and who is asking. */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "io/sysctl.h"
#include "ops/clock.h"

#define BTF "/sys/kernel/btf/vmlinux"
#define EARLIEST 1735689600 /* 2025-01-01: this program did not exist before */

enum { KERNEL_MAJOR = 6, KERNEL_MINOR = 1 };

void check_kernel(struct doctor *doctor)
{
	int major = 0, minor = 0;
	struct utsname name;
	bool good;

	uname(&name);
	sscanf(name.release, "%d.%d", &major, &minor);
	good = major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR);
	found(doctor, good ? FINDING_OK : FINDING_PROBLEM, NULL, "Linux %s", name.release);
	if (!good)
		advise(doctor, "boot Linux %d.%d or later", KERNEL_MAJOR, KERNEL_MINOR);
}

void check_btf(struct doctor *doctor)
{
	if (!access(BTF, R_OK)) {
		found(doctor, FINDING_OK, NULL, BTF);
		return;
	}
	found(doctor, FINDING_PROBLEM, NULL, BTF ": %s", strerror(errno));
	advise(doctor, "boot a kernel that was built with CONFIG_DEBUG_INFO_BTF=y, as distributions' are");
}

void check_jit(struct doctor *doctor)
{
	int value, err = sysctl_number("net/core/bpf_jit_enable", &value);

	/* The setting is not shown in a network namespace other than the first. */
	if (err == -ENOENT)
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "net.core.bpf_jit_enable is not shown here");
	else if (err)
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "cannot read net.core.bpf_jit_enable: %s", strerror(-err));
	else if (value)
		found(doctor, FINDING_OK, NULL, "programs are compiled");
	else
		found(doctor, FINDING_WARNING, NULL, "programs are interpreted, and several times slower");
	if (!err && !value)
		advise(doctor, "run sysctl -w net.core.bpf_jit_enable=1, and canaryctl upgrade");
}

void check_bpf_stats(struct doctor *doctor)
{
	int value, err = sysctl_number("kernel/bpf_stats_enabled", &value);

	if (err) {
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "cannot read kernel.bpf_stats_enabled: %s", strerror(-err));
		return;
	}
	if (!value) {
		found(doctor, FINDING_OK, NULL, "off");
		return;
	}
	found(doctor, FINDING_WARNING, NULL, "on: each packet pays for two looks at the clock");
	advise(doctor, "run sysctl -w kernel.bpf_stats_enabled=0 when you have measured");
}

void check_clock(struct doctor *doctor)
{
	struct timex state = {};
	char text[CLOCK_TEXT_LEN];

	adjtimex(&state);
	clock_wall_text(clock_monotonic_ns(), text);
	if (time(NULL) < EARLIEST) {
		found(doctor, FINDING_PROBLEM, NULL, "it is not set: it says %s", text);
		advise(doctor, "run timedatectl set-ntp true, or date -s");
	} else if (state.status & STA_UNSYNC) {
		found(doctor, FINDING_WARNING, NULL, "not synchronised: it says %s", text);
		advise(doctor, "run timedatectl set-ntp true, or have chrony keep it");
	} else {
		found(doctor, FINDING_OK, NULL, "synchronised");
	}
}

/* 0 with the capabilities in effect, bit by number, or -errno. */
static int read_capabilities(unsigned long long *ret)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	int err = -EIO;

	if (!status)
		return -errno;
	while (err && fgets(line, sizeof(line), status))
		err = sscanf(line, "CapEff: %llx", ret) == 1 ? 0 : -EIO;
	fclose(status);
	return err;
}

void check_capabilities(struct doctor *doctor)
{
	/* Of the older one CAP_SYS_ADMIN both were split off. */
	static const struct {
		const char *name;
		int number, older;
	} needed[] = {
		{"CAP_NET_ADMIN", CAP_NET_ADMIN, CAP_NET_ADMIN},
		{"CAP_BPF", CAP_BPF, CAP_SYS_ADMIN},
		{"CAP_PERFMON", CAP_PERFMON, CAP_SYS_ADMIN},
	};
	unsigned long long has = 0;
	char lacks[64] = "";
	size_t len = 0;

	if (read_capabilities(&has)) {
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "cannot read /proc/self/status");
		return;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!(has >> needed[i].number & 1) && !(has >> needed[i].older & 1))
			len += snprintf(lacks + len, sizeof(lacks) - len, "%s%s", len ? ", " : "", needed[i].name);
	if (!len) {
		found(doctor, FINDING_OK, NULL, "CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON");
		return;
	}
	found(doctor, FINDING_PROBLEM, NULL, "user %u lacks %s, so most of what follows cannot be seen", geteuid(),
	      lacks);
	advise(doctor, "run sudo canaryctl doctor");
}
