/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics, one after the other: the list is at the end. */
#include <math.h>
#include <string.h>

#include "core/histogram.h"
#include "core/text.h"
#include "daemon/health.h"
#include "daemon/metrics.h"
#include "daemon/supervisor.h"
#include "ops/clock.h"

#define NSEC_PER_SEC 1e9
#define USEC_PER_SEC 1e6
#define MSEC_PER_SEC 1e3
#define WRITER(name) static void name(FILE *out, const struct metric_family *family, const struct scrape *scrape)

static void put(FILE *out, const struct metric_family *family, const struct metric_labels *labels, double value)
{
	exposition_sample(out, family->name, "", labels, value);
}

static struct metric_labels none(void)
{
	return (struct metric_labels){};
}

static struct metric_labels of_service(const char *service)
{
	return (struct metric_labels){{{"service", service}}};
}

static struct metric_labels of_cohort(const char *service, int cohort)
{
	return (struct metric_labels){{{"service", service}, {"cohort", cohort_name((enum canary_cohort)cohort)}}};
}

/* Of the daemon. */

WRITER(write_build)
{
	struct metric_labels labels = {{{"version", CANARY_VERSION}, {"program", scrape->info.build}}};

	put(out, family, &labels, 1);
}

WRITER(write_start)
{
	struct metric_labels labels = none();

	put(out, family, &labels, (double)scrape->daemon->started_ms / MSEC_PER_SEC);
}

WRITER(write_up)
{
	struct metric_labels labels = none();

	put(out, family, &labels, scrape->up);
}

WRITER(write_map_bytes)
{
	struct metric_labels labels = none();

	if (scrape->up)
		put(out, family, &labels, (double)scrape->info.map_bytes);
}

WRITER(write_sweeper)
{
	struct metric_labels labels = none();

	if (scrape->up)
		put(out, family, &labels, (double)scrape->info.sweeper_age_ns / NSEC_PER_SEC);
}

/* Of those whose health is known: they may be in no data plane yet. */
WRITER(write_healthy)
{
	json_t *view = keeper_view(scrape->daemon->keeper, NULL), *backend;
	size_t i;

	json_array_foreach (json_object_get(view, "backends"), i, backend) {
		const char *state = json_string_value(json_object_get(backend, "state"));
		struct metric_labels labels = {{{"service", json_string_value(json_object_get(backend, "service"))},
						{"cohort", json_string_value(json_object_get(backend, "cohort"))},
						{"backend", json_string_value(json_object_get(backend, "backend"))}}};

		if (strcmp(state, "unknown"))
			put(out, family, &labels, !strcmp(state, "up"));
	}
	json_decref(view);
}

/* Of an interface. */

#define X(NAME, name, SCOPE, help) #name,
static const char *const reasons[] = {CANARY_REASON_LIST(X)};
#undef X

WRITER(write_interface)
{
	struct metric_labels labels = {{{"interface", scrape->interface->name}}};

	put(out, family, &labels, (double)scrape->interface->counters.count[family->at]);
}

WRITER(write_interface_drops)
{
	for (int i = 0; i < CANARY_FIRST_COHORT_REASON; i++) {
		struct metric_labels labels = {{{"interface", scrape->interface->name}, {"reason", reasons[i]}}};

		put(out, family, &labels, (double)scrape->interface->counters.drops[i]);
	}
}

/* Of a service in the data plane. */

WRITER(write_weight)
{
	struct metric_labels labels = of_service(scrape->service->model->name);

	put(out, family, &labels, scrape->service->model->weight / (double)CANARY_WEIGHT_ONE);
}

static bool is_stopped(const struct service_scrape *service)
{
	const struct guard *guard = &service->guard;

	return guard->stopped || (guard->lease_expired && service->model->on_expiry == CANARY_EXPIRY_STABLE);
}

WRITER(write_effective_weight)
{
	struct metric_labels labels = of_service(scrape->service->model->name);
	int weight = is_stopped(scrape->service) ? 0 : scrape->service->model->weight;

	put(out, family, &labels, weight / (double)CANARY_WEIGHT_ONE);
}

WRITER(write_tripped)
{
	struct metric_labels labels = of_service(scrape->service->model->name);

	put(out, family, &labels, guard_has_tripped(&scrape->service->guard));
}

WRITER(write_lease)
{
	const struct guard *guard = &scrape->service->guard;
	struct metric_labels labels = of_service(scrape->service->model->name);
	double left = ((double)guard->lease_expires_ns - (double)clock_monotonic_ns()) / NSEC_PER_SEC;

	if (guard->lease_expires_ns)
		put(out, family, &labels, left > 0 ? left : 0);
}

WRITER(write_lease_expired)
{
	struct metric_labels labels = of_service(scrape->service->model->name);

	put(out, family, &labels, scrape->service->guard.lease_expired);
}

WRITER(write_window_open)
{
	struct metric_labels labels = of_service(scrape->service->model->name);

	put(out, family, &labels, scrape->service->window.open);
}

WRITER(write_window_held)
{
	struct metric_labels labels = of_service(scrape->service->model->name);

	put(out, family, &labels, scrape->service->window.held);
}

WRITER(write_cohort)
{
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		struct metric_labels labels = of_cohort(scrape->service->model->name, cohort);

		put(out, family, &labels, (double)scrape->service->cohorts[cohort].count[family->at]);
	}
}

WRITER(write_cohort_drops)
{
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		for (int i = 0; i < CANARY_COHORT_REASONS; i++) {
			struct metric_labels labels = of_cohort(scrape->service->model->name, cohort);

			labels.label[2] = (struct metric_label){"reason", reasons[CANARY_FIRST_COHORT_REASON + i]};
			put(out, family, &labels, (double)scrape->service->cohorts[cohort].drops[i]);
		}
	}
}

/* A sample of each backend. */
static void put_backends(FILE *out, const struct metric_family *family, const struct scrape *scrape,
			 double (*value)(const struct service_scrape *service, size_t backend, int at))
{
	const struct service_model *model = scrape->service->model;

	for (size_t i = 0; i < model->backend_count; i++) {
		struct metric_labels labels = of_cohort(model->name, model->backends[i].cohort);
		char endpoint[ADDR_TEXT_LEN];

		format_endpoint(&model->backends[i].addr, model->backends[i].port, endpoint);
		labels.label[2] = (struct metric_label){"backend", endpoint};
		put(out, family, &labels, value(scrape->service, i, family->at));
	}
}

static double backend_count(const struct service_scrape *service, size_t backend, int at)
{
	return (double)service->backends[backend].count[at];
}

WRITER(write_backend)
{
	put_backends(out, family, scrape, backend_count);
}

static double backend_draining(const struct service_scrape *service, size_t backend, int at)
{
	(void)at;
	return service->model->backends[backend].draining;
}

WRITER(write_draining)
{
	put_backends(out, family, scrape, backend_draining);
}

WRITER(write_connections)
{
#define X(NAME, name, SEEN, KIND, help) #name,
	static const char *const outcomes[] = {CANARY_OUTCOME_LIST(X)};
#undef X

	for (int cohort = 0; scrape->service->observed && cohort < CANARY_COHORTS; cohort++) {
		for (int i = 0; i < CANARY_OUTCOMES; i++) {
			struct metric_labels labels = of_cohort(scrape->service->model->name, cohort);

			labels.label[2] = (struct metric_label){"outcome", outcomes[i]};
			put(out, family, &labels, scrape->service->connections[cohort][i]);
		}
	}
}

/* Two buckets an octave of the kernel's 32; the sum is that of the middles of the kernel's. */
static void put_histogram(FILE *out, const struct metric_family *family, struct metric_labels *labels,
			  const __u32 counts[CANARY_HISTOGRAM_BUCKETS])
{
	struct metric_labels bucket = *labels;
	double sum = 0, below = 0;
	char le[32];

	for (__u32 i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
		double upper = canary_histogram_lower(i + 1) / USEC_PER_SEC;

		below += counts[i];
		sum += counts[i] * (canary_histogram_lower(i) / USEC_PER_SEC + upper) / 2;
		if ((i + 1) % (CANARY_HISTOGRAM_SUB / 2))
			continue;
		snprintf(le, sizeof(le), "%g", upper);
		bucket.label[2] = (struct metric_label){"le", le};
		exposition_sample(out, family->name, "_bucket", &bucket, below);
	}
	bucket.label[2] = (struct metric_label){"le", "+Inf"};
	exposition_sample(out, family->name, "_bucket", &bucket, below);
	exposition_sample(out, family->name, "_sum", labels, sum);
	exposition_sample(out, family->name, "_count", labels, below);
}

WRITER(write_times)
{
	const struct service_scrape *service = scrape->service;

	for (int cohort = 0; service->has_times[family->at] && cohort < CANARY_COHORTS; cohort++) {
		struct metric_labels labels = of_cohort(service->model->name, cohort);
		const __u32 *counts = service->times[family->at][cohort].count;

		if (histogram_count(counts))
			put_histogram(out, family, &labels, counts);
	}
}

/* Of a rollout. */

WRITER(write_state)
{
#define X(name, word) #word,
	static const char *const states[] = {ROLLOUT_STATES(X)};
#undef X

	for (int i = 0; i < ROLLOUT_STATE_COUNT; i++) {
		struct metric_labels labels = {{{"service", scrape->supervisor->name}, {"state", states[i]}}};

		put(out, family, &labels, (int)scrape->supervisor->record.rollout.state == i);
	}
}

enum rollout_value {
	VALUE_RELEASE,
	VALUE_STEP,
	VALUE_STEPS,
	VALUE_ELAPSED,
	VALUE_BAKE,
	VALUE_TRANSITIONS,
	VALUE_BLOCKED,
	VALUE_LATE,
	VALUE_PENDING,
	VALUE_ERROR,
};

static double rollout_value(const struct supervisor *supervisor, enum rollout_value what)
{
	const struct record *record = &supervisor->record;
	const struct rollout *rollout = &record->rollout;
	bool begun = rollout->release;

	switch (what) {
	case VALUE_RELEASE:
		return (double)rollout->release;
	case VALUE_STEP:
		return begun ? rollout->step + 1 : 0;
	case VALUE_STEPS:
		return (double)record->plan.step_count;
	case VALUE_ELAPSED:
		return begun ? rollout_elapsed(rollout) : 0;
	case VALUE_BAKE:
		return begun ? rollout_bake(&record->plan, rollout) : 0;
	case VALUE_TRANSITIONS:
		return (double)rollout->transitions;
	case VALUE_BLOCKED:
		return rollout->blocked;
	case VALUE_LATE:
		return rollout->late;
	case VALUE_PENDING:
		return (double)rollout->pending_count;
	case VALUE_ERROR:
		return supervisor->error[0] != '\0';
	}
	return NAN;
}

WRITER(write_rollout)
{
	struct metric_labels labels = of_service(scrape->supervisor->name);

	put(out, family, &labels, rollout_value(scrape->supervisor, (enum rollout_value)family->at));
}

enum gate_value { GATE_LOG_E, GATE_BOUND, GATE_VALUE };

/* NAN: there is none, and no sample. */
static double gate_value(const struct supervisor *supervisor, size_t gate, enum gate_value what)
{
	const struct rollout_plan *plan = &supervisor->record.plan;

	switch (what) {
	case GATE_LOG_E:
		return supervisor->measure.run == supervisor->record.run ? measure_log(&supervisor->measure, plan, gate)
									 : NAN;
	case GATE_BOUND:
		return measure_bound(plan, gate);
	case GATE_VALUE:
		return supervisor->judged ? supervisor->values[gate] : NAN;
	}
	return NAN;
}

WRITER(write_gates)
{
	const struct supervisor *supervisor = scrape->supervisor;

	for (size_t i = 0; i < supervisor->record.plan.gate_count; i++) {
		double value = gate_value(supervisor, i, (enum gate_value)family->at);
		struct metric_labels labels = {
			{{"service", supervisor->name}, {"gate", supervisor->record.plan.gates[i].name}}};

		if (!isnan(value))
			put(out, family, &labels, value);
	}
}

#define COHORT_COUNTER(NAME, name, help)                                                                               \
	{"canary_cohort_" #name "_total",                                                                              \
	 METRIC_COUNTER,                                                                                               \
	 METRIC_OF_SERVICE,                                                                                            \
	 "Of a cohort: " help,                                                                                         \
	 write_cohort,                                                                                                 \
	 CANARY_COHORT_##NAME},
#define BACKEND_COUNTER(NAME, name, help)                                                                              \
	{"canary_backend_" #name "_total",                                                                             \
	 METRIC_COUNTER,                                                                                               \
	 METRIC_OF_SERVICE,                                                                                            \
	 "Of a backend: " help,                                                                                        \
	 write_backend,                                                                                                \
	 CANARY_BACKEND_##NAME},
#define INTERFACE_COUNTER(NAME, name, help)                                                                            \
	{"canary_interface_" #name "_total", METRIC_COUNTER,  METRIC_OF_INTERFACE,                                     \
	 "Packets of an interface: " help,   write_interface, CANARY_INTERFACE_##NAME},
#define TIMES(NAME, name, SEEN, help)                                                                                  \
	{"canary_" #name "_seconds",                                                                                   \
	 METRIC_HISTOGRAM,                                                                                             \
	 METRIC_OF_SERVICE,                                                                                            \
	 "Since the weight was set last: time " help,                                                                  \
	 write_times,                                                                                                  \
	 CANARY_HISTOGRAM_##NAME},
#define ROLLOUT_GAUGE(name, value, help)                                                                               \
	{                                                                                                              \
		"canary_rollout_" name, METRIC_GAUGE, METRIC_OF_ROLLOUT, help, write_rollout, value                    \
	}
#define SERVICE_GAUGE(name, write, help)                                                                               \
	{                                                                                                              \
		"canary_service_" name, METRIC_GAUGE, METRIC_OF_SERVICE, help, write, 0                                \
	}

const struct metric_family metric_families[] = {
	{"canary_build_info", METRIC_GAUGE, METRIC_OF_DAEMON,
	 "1: the daemon's version, and the build of the program that is pinned in the kernel", write_build, 0},
	{"canary_daemon_start_time_seconds", METRIC_GAUGE, METRIC_OF_DAEMON,
	 "When the daemon started, in seconds since 1970", write_start, 0},
	{"canary_dataplane_up", METRIC_GAUGE, METRIC_OF_DAEMON,
	 "Whether the data plane could be read; if not, what it counts is missing", write_up, 0},
	{"canary_dataplane_map_bytes", METRIC_GAUGE, METRIC_OF_DAEMON, "Memory of all its maps", write_map_bytes, 0},
	{"canary_dataplane_sweeper_age_seconds", METRIC_GAUGE, METRIC_OF_DAEMON,
	 "Since the kernel program's sweeper ticked last: more than 3 s is an error", write_sweeper, 0},

	{"canary_backend_healthy", METRIC_GAUGE, METRIC_OF_DAEMON,
	 "1: the checks of the backend's health are good, and it is not held back for flapping", write_healthy, 0},

	CANARY_INTERFACE_COUNTER_LIST(INTERFACE_COUNTER){
		"canary_interface_drops_total", METRIC_COUNTER, METRIC_OF_INTERFACE,
		"Packets of an interface: dropped before their cohort was known", write_interface_drops, 0},

	SERVICE_GAUGE("weight_ratio", write_weight, "The canary's weight that is configured, 0 to 1"),
	SERVICE_GAUGE("effective_weight_ratio", write_effective_weight,
		      "The canary's weight that is in force: 0 while the breaker or an expired lease stops it"),
	SERVICE_GAUGE("breaker_tripped", write_tripped, "1: the breaker took the canary out"),
	SERVICE_GAUGE("lease_remaining_seconds", write_lease,
		      "Until the lease of the weight expires; missing: it has none"),
	SERVICE_GAUGE("lease_expired", write_lease_expired, "1: the lease of the weight is over"),
	SERVICE_GAUGE("window_open", write_window_open,
		      "1: connections from before the last change are remembered until they end"),
	SERVICE_GAUGE("window_held_flows", write_window_held, "Flows that are remembered in the window"),

	CANARY_COHORT_COUNTER_LIST(COHORT_COUNTER){"canary_cohort_drops_total", METRIC_COUNTER, METRIC_OF_SERVICE,
						   "Packets of a cohort that were dropped, by reason",
						   write_cohort_drops, 0},
	{"canary_connections_total", METRIC_COUNTER, METRIC_OF_SERVICE,
	 "Watched connections, by what became of them; each is `opened` first", write_connections, 0},
	CANARY_HISTOGRAM_LIST(TIMES)
		CANARY_BACKEND_COUNTER_LIST(BACKEND_COUNTER){"canary_backend_draining", METRIC_GAUGE, METRIC_OF_SERVICE,
							     "1: the backend gets no new flows", write_draining, 0},

	{"canary_rollout_state", METRIC_GAUGE, METRIC_OF_ROLLOUT,
	 "1 of the state that the rollout is in, 0 of the others", write_state, 0},
	ROLLOUT_GAUGE("release", VALUE_RELEASE, "The number of the release, which rises with every start; 0: none yet"),
	ROLLOUT_GAUGE("step", VALUE_STEP, "The step that the rollout is at, from 1; 0: none"),
	ROLLOUT_GAUGE("steps", VALUE_STEPS, "How many steps the plan has"),
	ROLLOUT_GAUGE("step_elapsed_seconds", VALUE_ELAPSED, "How long the step has lasted, without pauses"),
	ROLLOUT_GAUGE("step_bake_seconds", VALUE_BAKE, "How long the step is to last"),
	{"canary_rollout_transitions_total", METRIC_COUNTER, METRIC_OF_ROLLOUT, "Transitions, as in the history",
	 write_rollout, VALUE_TRANSITIONS},
	ROLLOUT_GAUGE("blocked", VALUE_BLOCKED, "1: no step forward until it is unblocked"),
	ROLLOUT_GAUGE("late", VALUE_LATE, "1: progress_deadline is over"),
	ROLLOUT_GAUGE("pending_actions", VALUE_PENDING, "What was decided and is not carried out yet"),
	ROLLOUT_GAUGE("error", VALUE_ERROR, "1: something cannot be carried out; the log and the status say what"),
	{"canary_gate_log_e", METRIC_GAUGE, METRIC_OF_ROLLOUT,
	 "Natural logarithm of a gate's evidence against the canary", write_gates, GATE_LOG_E},
	{"canary_gate_bound_log_e", METRIC_GAUGE, METRIC_OF_ROLLOUT, "Where that evidence fails the gate", write_gates,
	 GATE_BOUND},
	{"canary_gate_value", METRIC_GAUGE, METRIC_OF_ROLLOUT, "What a gate with a bound measured last", write_gates,
	 GATE_VALUE},
};
const size_t metric_family_count = sizeof(metric_families) / sizeof(metric_families[0]);
