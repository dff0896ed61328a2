/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_watch.h"

#include "lib_wait.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

static const char *const outcome_names[] = {
#define X(NAME, name, SEEN, KIND, help) #name,
	CANARY_OUTCOME_LIST(X)
#undef X
};

static void configure_web(enum canary_forward forward, int weight, unsigned timeout_ms)
{
	CONFIGURE({.name = "web",
		   .endpoint = VIP ":80",
		   .forward = forward,
		   .handshake_timeout = timeout_ms,
		   .stable = "10.0.0.11",
		   .canary = "10.0.0.21",
		   .segments = "198.51.100.128/25>canary",
		   .weight = weight});
}

void web(enum canary_forward forward, int weight)
{
	configure_web(forward, weight, PATIENT_MS);
}

void time_is_up(enum canary_forward forward, int weight)
{
	configure_web(forward, weight, BRIEF_MS);
	usleep(BRIEF_MS * 1000);
}

void time_out(enum canary_forward forward, int weight)
{
	time_is_up(forward, weight);
	wait_for_sweeper();
	web(forward, weight);
}

unsigned port_in(enum canary_cohort cohort, bool watched, unsigned from)
{
	const struct service_model *service = find_service("web");
	struct canary_addr client = make_addr(CLIENT);
	struct canary_outcomes outcomes;
	const struct canary_epoch *epoch;
	struct explanation why;
	struct error error;

	assert_int_equal(dataplane_outcomes(env.dataplane, service, &outcomes), 0);
	epoch = &outcomes.epochs[(service->word >> CANARY_WORD_EPOCH_SHIFT) % CANARY_EPOCHS];
	for (unsigned port = from; port < 65536; port++) {
		__u32 at;

		assert_int_equal(dataplane_explain(env.dataplane, service, &client, port, 80, &why, &error), 0);
		at = cohort == CANARY_CANARY ? why.bucket : why.bucket - why.threshold;
		if (why.cohort == cohort && (at < epoch->watched[cohort]) == watched)
			return port;
	}
	fail_msg("no port from %u on", from);
	return 0;
}

struct spec from_client(unsigned sport, unsigned flags, unsigned seq, unsigned payload)
{
	return (struct spec){
		.src = CLIENT, .dst = VIP, .sport = sport, .dport = 80, .flags = flags, .seq = seq, .payload = payload};
}

void client(unsigned sport, unsigned flags, unsigned seq, unsigned payload)
{
	struct spec spec = from_client(sport, flags, seq, payload);

	run_redirected(FRONT, &spec);
}

void sum(enum canary_cohort cohort, __u64 ret[CANARY_OUTCOMES])
{
	struct canary_outcomes outcomes;

	assert_int_equal(dataplane_outcomes(env.dataplane, find_service("web"), &outcomes), 0);
	memset(ret, 0, CANARY_OUTCOMES * sizeof(*ret));
	for (int i = 0; i <= CANARY_EPOCHS; i++)
		for (int j = 0; j < CANARY_OUTCOMES; j++)
			ret[j] += outcomes.epochs[i].count[cohort][j];
}

void saw(enum canary_cohort cohort, const char *expected)
{
	__u64 counts[CANARY_OUTCOMES];
	char text[512] = "";
	size_t at = 0;

	sum(cohort, counts);
	for (int i = 0; i < CANARY_OUTCOMES && at < sizeof(text); i++)
		if (counts[i])
			at += snprintf(text + at, sizeof(text) - at, "%s%s=%llu", at ? " " : "", outcome_names[i],
				       (unsigned long long)counts[i]);
	assert_string_equal(text, expected);
}

unsigned timed(enum canary_cohort cohort, enum canary_histogram_kind kind)
{
	struct canary_histogram histogram;
	unsigned count = 0;

	assert_int_equal(dataplane_histogram(env.dataplane, find_service("web"), cohort, kind, &histogram), 0);
	for (unsigned i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++)
		count += histogram.count[i];
	return count;
}

bool nothing_goes_on(void)
{
	int map = open_pin("watching");
	__u64 bits, any = 0;

	for (__u32 i = 0; i < CANARY_WATCHED_SETS / 64; i++) {
		assert_int_equal(bpf_map_lookup_elem(map, &i, &bits), 0);
		any |= bits;
	}
	close(map);
	return !any;
}
