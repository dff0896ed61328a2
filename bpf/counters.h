/* SPDX-License-Identifier: GPL-2.0 */
/* Per-CPU counters: a run of the program is not interrupted by another on its CPU, so plain additions do. */
#ifndef BPF_COUNTERS_H
#define BPF_COUNTERS_H

static __always_inline struct canary_cohort_counters *cohort_counters_of(__u32 service, __u32 cohort)
{
	__u32 key = service * CANARY_COHORTS + (cohort & 1);

	return bpf_map_lookup_elem(&cohort_counters, &key);
}

static __always_inline void count_cohort(__u32 service, __u32 cohort, enum canary_cohort_counter what, __u64 n)
{
	struct canary_cohort_counters *counters = cohort_counters_of(service, cohort);

	if (counters)
		counters->count[what] += n;
}

static __always_inline void count_forwarded(const struct pkt *p)
{
	struct canary_cohort_counters *cohort = cohort_counters_of(p->service, p->cohort);
	struct canary_backend_counters *backend;

	if (cohort && p->flags & PKT_LATER)
		cohort->count[CANARY_COHORT_FRAGMENTS]++;
	if (p->flags & PKT_FROM_BACKEND) {
		if (cohort) {
			cohort->count[CANARY_COHORT_REPLY_PACKETS]++;
			cohort->count[CANARY_COHORT_REPLY_BYTES] += p->ip_len;
		}
		return;
	}
	if (cohort) {
		cohort->count[CANARY_COHORT_PACKETS]++;
		cohort->count[CANARY_COHORT_BYTES] += p->ip_len;
	}
	backend = bpf_map_lookup_elem(&backend_counters, &p->backend);
	if (backend) {
		backend->count[CANARY_BACKEND_PACKETS]++;
		backend->count[CANARY_BACKEND_BYTES] += p->ip_len;
	}
}

/* A flow was given to a.backend. */
static __always_inline void count_flow(__u32 service, const struct assignment *a)
{
	__u32 index = a->backend; /* on the stack: kernel 6.1 takes no key from a global function's argument */
	struct canary_backend_counters *backend = bpf_map_lookup_elem(&backend_counters, &index);

	count_cohort(service, a->cohort, CANARY_COHORT_FLOWS, 1);
	if (a->wanted != a->cohort)
		count_cohort(service, a->wanted, CANARY_COHORT_OVERFLOW, 1);
	if (backend)
		backend->count[CANARY_BACKEND_FLOWS]++;
}

#endif
