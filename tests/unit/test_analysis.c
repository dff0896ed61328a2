/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/analysis.h"
#include "lib_sim.h"

/* A step that passes. */
static struct step_facts good_step(void)
{
	return (struct step_facts){
		.elapsed = 600,
		.bake = 600,
		.canary_flows = 2000,
		.stable_flows = 8000,
		.min_flows = 2000,
		.sample_ratio = -2,
		.harm = 5,
		.confidence = 0.95,
	};
}

static const struct gate_finding passes = {
	.finding = {VERDICT_PASS, REASON_NONE}, .compares = true, .handshakes = true};
static const struct gate_finding fails = {
	.finding = {VERDICT_FAIL, REASON_WORSE}, .compares = true, .handshakes = true};
static const struct gate_finding silent = {.finding = {VERDICT_INCONCLUSIVE, REASON_METRIC_UNAVAILABLE}};

static void check(const struct step_facts *facts, struct gate_finding gate, enum verdict verdict, enum reason reason)
{
	const struct gate_finding gates[] = {passes, gate, passes};
	struct judgement judgement = analysis_judge(facts, gates, 3);

	if (judgement.finding.verdict != verdict || judgement.finding.reason != reason)
		fail_msg("the verdict is %s, %s; not %s, %s", verdict_name(judgement.finding.verdict),
			 reason_name(judgement.finding.reason), verdict_name(verdict), reason_name(reason));
}

static void test_passes_if_everything_holds(void **state)
{
	struct step_facts facts = good_step();

	(void)state;
	check(&facts, passes, VERDICT_PASS, REASON_NONE);
	assert_int_equal(analysis_judge(&facts, NULL, 0).finding.verdict, VERDICT_PASS);
}

static void test_each_thing_that_is_missing_is_inconclusive_and_named(void **state)
{
	struct step_facts facts;

	(void)state;
	facts = good_step();
	facts.elapsed = 599;
	check(&facts, passes, VERDICT_INCONCLUSIVE, REASON_BAKING);
	facts = good_step();
	facts.stale = true;
	check(&facts, passes, VERDICT_INCONCLUSIVE, REASON_STALE_COUNTERS);
	facts = good_step();
	facts.canary_flows = 0;
	check(&facts, passes, VERDICT_INCONCLUSIVE, REASON_NO_TRAFFIC);
	facts = good_step();
	facts.stable_flows = 0;
	check(&facts, passes, VERDICT_INCONCLUSIVE, REASON_NO_BASELINE);
	facts = good_step();
	facts.canary_flows = 1999;
	check(&facts, passes, VERDICT_INCONCLUSIVE, REASON_TOO_FEW_FLOWS);
	facts = good_step();
	facts.flooded = true;
	check(&facts, passes, VERDICT_INCONCLUSIVE, REASON_FLOODED);
	facts = good_step();
	facts.harm = 2.9;
	check(&facts, passes, VERDICT_INCONCLUSIVE, REASON_UNPROVEN);
	facts.harm = NAN;
	check(&facts, passes, VERDICT_INCONCLUSIVE, REASON_UNPROVEN);
	facts = good_step();
	check(&facts, silent, VERDICT_INCONCLUSIVE, REASON_METRIC_UNAVAILABLE);
}

static void test_where_flows_are_only_counted_a_gate_must_pass(void **state)
{
	struct step_facts facts = good_step();

	(void)state;
	facts.unobserved = true;
	facts.harm = 0;
	check(&facts, passes, VERDICT_PASS, REASON_NONE);
	check(&facts, silent, VERDICT_INCONCLUSIVE, REASON_METRIC_UNAVAILABLE);
	assert_int_equal(analysis_judge(&facts, NULL, 0).finding.reason, REASON_UNOBSERVED);
	facts.canary_flows = 1999;
	check(&facts, passes, VERDICT_INCONCLUSIVE, REASON_TOO_FEW_FLOWS);
}

static void test_a_failure_comes_before_whatever_else_is_wrong(void **state)
{
	struct step_facts facts = {.sample_ratio = 100, .bake = 600, .stale = true, .flooded = true};

	(void)state;
	check(&facts, fails, VERDICT_FAIL, REASON_WORSE);
	facts.tripped = true;
	check(&facts, passes, VERDICT_FAIL, REASON_BREAKER);
}

static void test_the_gate_that_decided_is_named(void **state)
{
	const struct gate_finding gates[] = {passes, silent, fails};
	struct step_facts facts = good_step();

	(void)state;
	assert_int_equal(analysis_judge(&facts, gates, 3).gate, 2);
	assert_int_equal(analysis_judge(&facts, gates, 2).gate, 1);
	assert_int_equal(analysis_judge(&facts, gates, 1).gate, -1);
}

static void test_an_experiment_that_is_not_sound_holds(void **state)
{
	struct step_facts facts = good_step();

	(void)state;
	facts.sample_ratio = SAMPLE_RATIO_BOUND;
	check(&facts, passes, VERDICT_INVALID, REASON_SAMPLE_RATIO);
}

static void test_gates_that_only_report_decide_nothing(void **state)
{
	struct step_facts facts = good_step();
	struct gate_finding reports = fails;

	(void)state;
	reports.reports = true;
	check(&facts, reports, VERDICT_PASS, REASON_NONE);
	reports.finding = silent.finding;
	check(&facts, reports, VERDICT_PASS, REASON_NONE);
}

static void test_alone_at_100_percent_nothing_is_compared_and_absolute_gates_decide(void **state)
{
	struct step_facts facts = good_step();
	struct gate_finding bound = {.finding = value_finding(true, 0.5, -INFINITY, 0.1)};

	(void)state;
	facts.stable_flows = 0;
	facts.alone = true;
	check(&facts, passes, VERDICT_PASS, REASON_NONE);
	check(&facts, fails, VERDICT_PASS, REASON_NONE);
	check(&facts, bound, VERDICT_FAIL, REASON_ABOVE_MAX);
}

/* Whatever else is so: no traffic, no counters, no metric, no baseline and no time never pass, and by themselves never fail. */
static void test_missing_data_never_pass_and_never_fail(void **state)
{
	(void)state;
	for (unsigned set = 1; set < 1 << 7; set++) {
		struct step_facts facts = good_step();

		if (set & 1)
			facts.stale = true;
		if (set & 2)
			facts.canary_flows = 0;
		if (set & 4)
			facts.stable_flows = 0;
		if (set & 8)
			facts.elapsed = 0;
		if (set & 16)
			facts.harm = 0;
		if (set & 32)
			facts.min_flows = 1000000;
		for (int i = 0; i < 2; i++) {
			const struct gate_finding gates[] = {passes, set & 64 ? silent : passes};
			enum verdict verdict = analysis_judge(&facts, gates, 2).finding.verdict;

			assert_int_equal(verdict, VERDICT_INCONCLUSIVE);
			facts.flooded = true;
		}
	}
}

static void test_values_are_held_against_their_bounds(void **state)
{
	(void)state;
	assert_int_equal(value_finding(true, 2.5, 2.5, INFINITY).verdict, VERDICT_PASS);
	assert_int_equal(value_finding(true, 2.4, 2.5, INFINITY).verdict, VERDICT_FAIL);
	assert_int_equal(value_finding(true, 0.2, -INFINITY, 0.1).verdict, VERDICT_FAIL);
	assert_int_equal(value_finding(false, 0.2, -INFINITY, 0.1).verdict, VERDICT_INCONCLUSIVE);
	assert_int_equal(value_finding(true, NAN, -INFINITY, INFINITY).verdict, VERDICT_INCONCLUSIVE);
}

static void test_names_read_back(void **state)
{
	(void)state;
	for (int i = VERDICT_PASS; i <= VERDICT_INCONCLUSIVE; i++) {
		enum verdict verdict;

		assert_int_equal(parse_verdict(verdict_name(i), &verdict), 0);
		assert_int_equal(verdict, i);
	}
	for (int i = REASON_NONE; i <= REASON_UNPROVEN; i++) {
		enum reason reason;

		assert_int_equal(parse_reason(reason_name(i), &reason), 0);
		assert_int_equal(reason, i);
		assert_true(strlen(reason_text(i)) > 10);
	}
	assert_int_equal(parse_verdict("maybe", &(enum verdict){0}), -EINVAL);
	assert_string_equal(reason_name(99), "unknown");
}

static void test_the_times_gate_waits_for_a_baseline(void **state)
{
	struct times_gate gate = times_gate_new(1.5, 0.01);
	__u32 stable[CANARY_HISTOGRAM_BUCKETS] = {[100] = TIMES_MIN_SAMPLES - 1};

	(void)state;
	assert_int_equal(times_gate_set_edges(&gate, stable), -ENODATA);
	assert_int_equal(times_finding(&gate).reason, REASON_NO_BASELINE);
	times_gate_add(&gate, 0.05, stable, stable);
	assert_true(fabs(times_gate_log(&gate)) < 1e-9);
	stable[100]++;
	assert_int_equal(times_gate_set_edges(&gate, stable), 0);
	assert_int_equal(times_finding(&gate).verdict, VERDICT_PASS);
}

static void test_a_canary_50_ms_slower_fails_after_few_samples(void **state)
{
	struct times_gate gate = times_gate_new(1.5, 0.01);
	__u32 stable[CANARY_HISTOGRAM_BUCKETS] = {}, canary[CANARY_HISTOGRAM_BUCKETS] = {};
	unsigned samples = 0;

	(void)state;
	stable[canary_histogram_bucket(1000)] = 1000;
	assert_int_equal(times_gate_set_edges(&gate, stable), 0);
	stable[canary_histogram_bucket(1000)] = 4;
	canary[canary_histogram_bucket(51000)] = 1;
	for (; samples < 1000 && times_finding(&gate).verdict == VERDICT_PASS; samples++)
		times_gate_add(&gate, 0.2, canary, stable);
	assert_in_range(samples, 2, 10);
	times_gate_add(&gate, 0.2, stable, stable);
	assert_int_equal(times_finding(&gate).verdict, VERDICT_FAIL);
}

static void test_a_bunch_of_delays_does_not_decide_alone_and_microseconds_do_not_at_all(void **state)
{
	struct times_gate gate = times_gate_new(1.5, 0.01);
	__u32 stable[CANARY_HISTOGRAM_BUCKETS] = {}, canary[CANARY_HISTOGRAM_BUCKETS] = {};

	(void)state;
	stable[canary_histogram_bucket(50)] = 1000;
	assert_int_equal(times_gate_set_edges(&gate, stable), 0);
	stable[canary_histogram_bucket(50)] = 4;
	canary[canary_histogram_bucket(900)] = 200;
	times_gate_add(&gate, 0.2, canary, stable);
	assert_true(fabs(times_gate_log(&gate)) < 1e-9);
	canary[canary_histogram_bucket(20000)] = 200;
	times_gate_add(&gate, 0.2, canary, stable);
	assert_int_equal(times_finding(&gate).verdict, VERDICT_PASS);
	times_gate_add(&gate, 0.2, canary, stable);
	assert_int_equal(times_finding(&gate).verdict, VERDICT_FAIL);
}

static void test_times_within_the_tolerance_are_rolled_back_no_more_than_alpha(void **state)
{
	const unsigned rollouts = 300;
	const double allowed = SIM_ALPHA + 4 * sqrt(SIM_ALPHA / rollouts);
	struct random random = random_seeded(1);

	(void)state;
	assert_true(sim_times_rollbacks(&random, 1, 1, 50, rollouts) <= allowed);
	assert_true(sim_times_rollbacks(&random, 1.5, 1.5, 50, rollouts) <= allowed);
	assert_true(sim_times_rollbacks(&random, 1.5, 2, 100, 50) > 0.95);
}

static void test_a_gate_on_failures_says_nothing_without_flows_of_the_canary(void **state)
{
	struct eprocess process = eprocess_new(1.2, 0.01);
	struct finding silent = failures_finding(&process, 0), fine = failures_finding(&process, 1);
	struct finding unsaid = feedback_finding(&process), failed;

	(void)state;
	assert_int_equal(silent.verdict, VERDICT_INCONCLUSIVE);
	assert_int_equal(silent.reason, REASON_TOO_FEW_FLOWS);
	assert_int_equal(fine.verdict, VERDICT_PASS);
	assert_int_equal(unsaid.verdict, VERDICT_PASS);
	/* What it has found before stays so in a step without traffic. */
	process.failed = true;
	failed = failures_finding(&process, 0);
	assert_int_equal(failed.verdict, VERDICT_FAIL);
	assert_int_equal(failed.reason, REASON_WORSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passes_if_everything_holds),
		cmocka_unit_test(test_each_thing_that_is_missing_is_inconclusive_and_named),
		cmocka_unit_test(test_where_flows_are_only_counted_a_gate_must_pass),
		cmocka_unit_test(test_a_failure_comes_before_whatever_else_is_wrong),
		cmocka_unit_test(test_the_gate_that_decided_is_named),
		cmocka_unit_test(test_an_experiment_that_is_not_sound_holds),
		cmocka_unit_test(test_gates_that_only_report_decide_nothing),
		cmocka_unit_test(test_alone_at_100_percent_nothing_is_compared_and_absolute_gates_decide),
		cmocka_unit_test(test_missing_data_never_pass_and_never_fail),
		cmocka_unit_test(test_values_are_held_against_their_bounds),
		cmocka_unit_test(test_names_read_back),
		cmocka_unit_test(test_the_times_gate_waits_for_a_baseline),
		cmocka_unit_test(test_a_canary_50_ms_slower_fails_after_few_samples),
		cmocka_unit_test(test_a_bunch_of_delays_does_not_decide_alone_and_microseconds_do_not_at_all),
		cmocka_unit_test(test_times_within_the_tolerance_are_rolled_back_no_more_than_alpha),
		cmocka_unit_test(test_a_gate_on_failures_says_nothing_without_flows_of_the_canary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
