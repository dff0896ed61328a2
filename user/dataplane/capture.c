/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/capture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dataplane/internal.h"

#define TICK_NS (1000000000ULL / CANARY_CAPTURE_TICKS)
/* Who gave no sign of life for so long does not capture any more. */
#define BEAT_DEAD_NS (CANARY_CAPTURE_DEAD_S * 1000000000ULL)
/* For each CPU: with the one of the kernel's own, what perf_event_mlock_kb lets everybody have by default (516 kB). */
#define RING_BYTES (512 * 1024)

/* One that was taken out of a ring: this, and the record as it was there. */
struct taken {
	struct canary_captured what; /* where it can be read: in the ring it is not aligned */
	__u8 *record;
};

struct capture {
	struct dataplane *dataplane;
	char service[CANARY_NAME_LEN]; /* "": any */
	struct array_window asked, interfaces;
	struct perf_buffer *rings;
	__u32 rate; /* packets in a second */
	__u64 beat_ns; /* our last; 0: it is not ours */
	__u64 tick_ns; /* when the next one is due */
	struct taken *taken;
	size_t count, capacity;
	int failed; /* -errno */
};

static struct canary_capture *asked_of(const struct capture *capture)
{
	return capture->asked.data;
}

/* Takes a copy, as all rings are read before they are put in order. */
static int keep(struct capture *capture, const void *record, __u32 size)
{
	struct taken taken, *grown;

	if (size < sizeof(taken.what))
		return 0;
	memcpy(&taken.what, record, sizeof(taken.what));
	if (size - sizeof(taken.what) < (__u64)taken.what.captured + taken.what.left_captured)
		return 0;
	if (capture->count == capture->capacity) {
		grown = reallocarray(capture->taken, 2 * capture->capacity + 64, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		capture->taken = grown;
		capture->capacity = 2 * capture->capacity + 64;
	}
	taken.record = malloc(size);
	if (!taken.record)
		return -ENOMEM;
	memcpy(taken.record, record, size);
	capture->taken[capture->count++] = taken;
	return 0;
}

/* What is lost the data plane counts, as it is told at once. */
static enum bpf_perf_event_ret on_event(void *context, int cpu, struct perf_event_header *header)
{
	const struct {
		struct perf_event_header header;
		__u32 size;
		__u8 data[];
	} *sample = (const void *)header;
	struct capture *capture = context;

	(void)cpu;
	if (header->type == PERF_RECORD_SAMPLE && !capture->failed)
		capture->failed = keep(capture, sample->data, sample->size);
	return LIBBPF_PERF_EVENT_CONT;
}

static int by_time(const void *a, const void *b)
{
	const struct taken *one = a, *other = b;

	return one->what.time_ns < other->what.time_ns ? -1 : one->what.time_ns > other->what.time_ns;
}

/* The interface's name: as it was attached, or as this network namespace calls it. */
static void name_interface(const struct capture *capture, __u32 netns, __u32 ifindex, char ret[16])
{
	const struct canary_interface *place = &capture->dataplane->interfaces[ifindex % CANARY_MAX_INTERFACES];
	const struct interface wanted = {.netns = netns};
	char name[IF_NAMESIZE];

	if (place->ifindex == ifindex && place->netns == netns && place->name[0])
		snprintf(ret, 16, "%.15s", place->name);
	else if (chain_is_here(&wanted) && if_indextoname(ifindex, name))
		snprintf(ret, 16, "%.15s", name);
	else
		snprintf(ret, 16, "#%u", ifindex);
}

static void describe(const struct capture *capture, const struct taken *taken, struct capture_packet *ret)
{
	const struct canary_captured *what = &taken->what;
	const struct canary_backend *backend;

	*ret = (struct capture_packet){.what = *what,
				       .came = taken->record + sizeof(*what),
				       .left = taken->record + sizeof(*what) + what->captured};
	if (what->service && what->service < CANARY_MAX_SERVICES)
		snprintf(ret->service, sizeof(ret->service), "%.*s", CANARY_NAME_LEN - 1,
			 capture->dataplane->services[what->service].name);
	backend = what->backend ? backend_at(capture->dataplane, what->backend) : NULL;
	if (backend) {
		ret->backend = backend->addr;
		ret->backend_port = ntohs(backend->port);
	}
	name_interface(capture, what->netns, what->ifindex, ret->interface);
	if (what->egress)
		name_interface(capture, what->netns, what->egress, ret->egress);
}

/* The service's id may have a new owner since the packet. */
static bool is_wanted(const struct capture *capture, const struct capture_packet *packet)
{
	return !capture->service[0] || !strcmp(packet->service, capture->service);
}

static int deliver(struct capture *capture, int (*call)(const struct capture_packet *packet, void *arg), void *arg)
{
	int result = 0;

	if (capture->count)
		qsort(capture->taken, capture->count, sizeof(*capture->taken), by_time);
	for (size_t i = 0; i < capture->count; i++) {
		struct capture_packet packet;

		describe(capture, &capture->taken[i], &packet);
		if (!result && is_wanted(capture, &packet))
			result = call(&packet, arg);
		free(capture->taken[i].record);
	}
	capture->count = 0;
	return result;
}

/* The id of the service that goes by the name now; 0: there is none. */
static __u32 find_service(const struct capture *capture)
{
	for (__u32 id = 1; id < CANARY_MAX_SERVICES; id++)
		if (word_of(capture->dataplane, id) &&
		    !strncmp(capture->dataplane->services[id].name, capture->service, CANARY_NAME_LEN))
			return id;
	return 0;
}

/* All that are attached; attaching sets one back. How many there are. */
static unsigned mark_interfaces(const struct capture *capture, bool capturing)
{
	struct canary_interface *interfaces = capture->interfaces.data;
	unsigned count = 0;

	for (int i = 0; i < CANARY_MAX_INTERFACES; i++) {
		if (!interfaces[i].ifindex)
			continue;
		__atomic_store_n(&interfaces[i].capturing, capturing, __ATOMIC_RELEASE);
		count++;
	}
	return count;
}

/* A sign of life; false: somebody else has taken us for dead. */
static bool beat(struct capture *capture, __u64 now_ns)
{
	__u64 expected = capture->beat_ns;

	if (!__atomic_compare_exchange_n(&asked_of(capture)->beat_ns, &expected, now_ns, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE)) {
		capture->beat_ns = 0;
		return false;
	}
	capture->beat_ns = now_ns;
	return true;
}

/* What a tick allows is added to what was left, up to as much as a second allows: a burst is not cut off at a tick. */
static void allow(const struct capture *capture)
{
	struct canary_capture *asked = asked_of(capture);
	__u32 sent = __atomic_load_n(&asked->sent, __ATOMIC_RELAXED);
	__u32 left = asked->until - sent;

	if ((__s32)left < 0)
		left = 0;
	left += capture->rate / CANARY_CAPTURE_TICKS;
	__atomic_store_n(&asked->until, sent + (left < capture->rate ? left : capture->rate), __ATOMIC_RELAXED);
}

/* A tick: what the data plane may hand out until the next one. */
static int renew(struct capture *capture, __u64 now_ns, struct error *error)
{
	struct canary_capture *asked = asked_of(capture);
	__u32 service;

	if (!beat(capture, now_ns))
		return fail(error, -EBUSY, "another capture has begun, as this one slept");
	capture->tick_ns = now_ns + TICK_NS;
	if (capture->service[0]) {
		service = find_service(capture);
		/* One that is deleted may come again: until then nothing has the highest id. */
		asked->service = service ? service : CANARY_MAX_SERVICES;
	}
	allow(capture);
	__atomic_add_fetch(&asked->tick, 1, __ATOMIC_RELEASE);
	if (!mark_interfaces(capture, true))
		return fail(error, -ENOENT, "nothing is attached: see canaryctl attach");
	return 0;
}

int capture_read(struct capture *capture, int (*call)(const struct capture_packet *packet, void *arg), void *arg,
		 struct error *error)
{
	__u64 now = monotonic_ns();
	int result = now >= capture->tick_ns ? renew(capture, now, error) : 0;

	if (result)
		return result;
	result = perf_buffer__poll(capture->rings, (int)((capture->tick_ns - now) / 1000000) + 1);
	if (result >= 0)
		result = perf_buffer__consume(capture->rings);
	if (capture->failed)
		result = capture->failed;
	if (result < 0 && result != -EINTR)
		return fail(error, result, "cannot read packets from the kernel: %s", explain_errno(result));
	return deliver(capture, call, arg);
}

void capture_counts(const struct capture *capture, __u64 ret[CANARY_CAPTURE_COUNTS])
{
	int cpus = libbpf_num_possible_cpus();
	struct canary_capture_cpu *each = calloc(cpus, sizeof(*each));
	const __u32 zero = 0;

	memset(ret, 0, CANARY_CAPTURE_COUNTS * sizeof(*ret));
	if (each && !bpf_map_lookup_elem(capture->dataplane->fd[MAP_capture_cpus], &zero, each))
		for (int cpu = 0; cpu < cpus; cpu++)
			for (int i = 0; i < CANARY_CAPTURE_COUNTS; i++)
				ret[i] += each[cpu].count[i];
	free(each);
}

static int zero_cpus(const struct dataplane *dataplane)
{
	struct canary_capture_cpu *zeros = calloc(libbpf_num_possible_cpus(), sizeof(*zeros));
	const __u32 zero = 0;
	int result = zeros ? 0 : -ENOMEM;

	if (zeros && bpf_map_update_elem(dataplane->fd[MAP_capture_cpus], &zero, zeros, BPF_ANY))
		result = -errno;
	free(zeros);
	return result;
}

/* Ours, if nobody has it who is alive. */
static int claim(struct capture *capture, struct error *error)
{
	__u64 now = monotonic_ns();

	capture->beat_ns = __atomic_load_n(&asked_of(capture)->beat_ns, __ATOMIC_ACQUIRE);
	if ((capture->beat_ns && now - capture->beat_ns < BEAT_DEAD_NS) || !beat(capture, now)) {
		capture->beat_ns = 0;
		return fail(error, -EBUSY, "another canaryctl captures already: one can at a time");
	}
	return 0;
}

static void ask(struct capture *capture, const struct capture_request *request)
{
	struct canary_capture *asked = asked_of(capture);

	asked->until = asked->sent + request->rate;
	asked->sample = request->sample;
	asked->snaplen = request->snaplen;
	asked->service = 0;
	asked->cohort = request->cohort;
	asked->unmatched = request->unmatched;
}

static int open_windows(struct capture *capture)
{
	const struct dataplane *dataplane = capture->dataplane;
	int result = array_open(dataplane, MAP_capture, 0, sizeof(struct canary_capture), true, &capture->asked);

	if (result)
		return result;
	result = array_open(dataplane, MAP_interfaces, 0, CANARY_MAX_INTERFACES * sizeof(struct canary_interface), true,
			    &capture->interfaces);
	if (result)
		array_close(&capture->asked);
	return result;
}

static int open_rings(struct capture *capture, struct error *error)
{
	/* To be woken for each packet would cost the packet microseconds: the tick is soon enough, unless a ring fills up. */
	struct perf_event_attr attr = {.size = sizeof(attr),
				       .type = PERF_TYPE_SOFTWARE,
				       .config = PERF_COUNT_SW_BPF_OUTPUT,
				       .sample_type = PERF_SAMPLE_RAW,
				       .sample_period = 1,
				       .watermark = 1,
				       .wakeup_watermark = RING_BYTES / 4};
	libbpf_print_fn_t print = libbpf_set_print(object_keep_warning);
	int result;

	capture->rings = perf_buffer__new_raw(capture->dataplane->fd[MAP_capture_out],
					      RING_BYTES / sysconf(_SC_PAGESIZE), &attr, on_event, capture, NULL);
	result = capture->rings ? 0 : -errno;
	libbpf_set_print(print);
	if (result == -EPERM || result == -EACCES)
		return fail(error, result, "cannot capture: run as root, or with CAP_BPF and CAP_PERFMON");
	return result ? fail(error, result, "cannot capture: %s", explain_errno(result)) : 0;
}

static int begin(struct capture *capture, const struct capture_request *request, struct error *error)
{
	int result = claim(capture, error);

	if (result)
		return result;
	ask(capture, request);
	result = zero_cpus(capture->dataplane);
	if (result)
		return fail(error, result, "cannot write what a capture needs: %s", explain_errno(result));
	result = open_rings(capture, error);
	if (result)
		return result;
	if (capture->service[0] && !find_service(capture))
		return fail(error, -ENOENT, "there is no service %s: see canaryctl service list", capture->service);
	return renew(capture, monotonic_ns(), error);
}

int capture_open(struct dataplane *dataplane, const struct capture_request *request, struct capture **ret,
		 struct error *error)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	int result;

	if (!capture)
		return fail(error, -ENOMEM, "out of memory");
	capture->dataplane = dataplane;
	capture->rate = request->rate;
	if (request->service)
		snprintf(capture->service, sizeof(capture->service), "%s", request->service);
	result = open_windows(capture);
	if (result) {
		free(capture);
		return fail(error, result, "cannot map what a capture needs: %s", explain_errno(result));
	}
	result = begin(capture, request, error);
	if (result) {
		capture_close(capture);
		return result;
	}
	*ret = capture;
	return 0;
}

void capture_close(struct capture *capture)
{
	if (!capture)
		return;
	if (capture->beat_ns) {
		mark_interfaces(capture, false);
		beat(capture, 0);
	}
	perf_buffer__free(capture->rings);
	array_close(&capture->interfaces);
	array_close(&capture->asked);
	free(capture->taken);
	free(capture);
}
