/* SPDX-License-Identifier: Apache-2.0 */
#include "core/forecast.h"

#include <math.h>

#include "canary/abi.h"
#include "core/breaker.h"
#include "core/eprocess.h"
#include "core/evidence.h"
#include "core/text.h"

#define FLOWS_MAX 1e8 /* of the canary's: what takes longer is as good as never */

const double forecast_ratios[FORECAST_RATIOS] = {1.5, 2, 3, 10};

static const struct rollout_gate *failures_gate(const struct rollout_plan *plan)
{
	for (size_t i = 0; i < plan->gate_count; i++) {
		const struct rollout_gate *gate = &plan->gates[i];

		if (gate->type == GATE_TYPE_FAILURES && gate->compare && gate->mode == GATE_MODE_DECIDE)
			return gate;
	}
	return NULL;
}

/* Is it shown, with as many failures as are to be expected? */
static bool is_shown(const struct rollout_plan *plan, double flows, double stable_flows, double base)
{
	struct harm harm = harm_new(plan->max_harm);
	struct outcomes canary = {(__u64)flows, (__u64)llround(flows * base)};
	struct outcomes stable = {(__u64)stable_flows, (__u64)llround(stable_flows * base)};

	harm_add(&harm, canary, stable);
	return harm_log(&harm) >= -log(1 - plan->confidence);
}

/* How many of the canary's flows it takes, within a percent. */
static double flows_to_proof(const struct rollout_plan *plan, double stable_ratio, double base)
{
	double low = 1, high = 64;

	while (high < FLOWS_MAX && !is_shown(plan, high, high * stable_ratio, base)) {
		low = high;
		high *= 2;
	}
	if (high >= FLOWS_MAX)
		return INFINITY;
	while (high / low > 1.01) {
		double middle = sqrt(low * high);

		if (is_shown(plan, middle, middle * stable_ratio, base))
			high = middle;
		else
			low = middle;
	}
	return ceil(high);
}

struct forecast forecast_step(const struct rollout_plan *plan, size_t step, const struct forecast_traffic *traffic)
{
	const struct rollout_gate *gate = failures_gate(plan);
	struct forecast forecast = {
		.weight = rollout_effective_weight(plan, plan->steps[step].weight),
		.bake = rollout_step_bake(plan, step),
	};
	struct observed_buckets observed =
		observed_buckets(weight_threshold(forecast.weight), traffic->observe_cap, traffic->observe_all);
	double canary_rate = traffic->rate * observed.canary / CANARY_THRESHOLD_ONE;
	double stable_rate = traffic->rate * observed.stable / CANARY_THRESHOLD_ONE;

	forecast.share = canary_rate > 0 ? canary_rate / (canary_rate + stable_rate) : 0;
	forecast.canary_flows = canary_rate * (forecast.bake - plan->steps[step].warmup);
	forecast.min_flows_seconds = INFINITY;
	forecast.proof_seconds = INFINITY;
	if (canary_rate > 0) {
		forecast.min_flows_seconds = (double)plan->steps[step].min_flows / canary_rate;
		forecast.proof_seconds = flows_to_proof(plan, stable_rate / canary_rate, traffic->base) / canary_rate;
	}
	for (int i = 0; i < FORECAST_RATIOS; i++) {
		double ratio = fmin(forecast_ratios[i], 1 / traffic->base); /* more than all cannot fail */
		double events = gate ? eprocess_delay(gate->tolerance, rollout_gate_alpha(plan), forecast.share, ratio)
				     : INFINITY;

		forecast.finds[i].events = events;
		forecast.finds[i].seconds = events / (traffic->base * (ratio * canary_rate + stable_rate));
	}
	return forecast;
}
