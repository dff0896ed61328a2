/* SPDX-License-Identifier: Apache-2.0 */
#include "core/validate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/lookup.h"
#include "core/text.h"

/* One service under examination. */
struct exam {
	const struct model *model;
	struct service_model *service;
	struct problem *problem;
	bool running; /* see validate_running() */
};

static void service_path(const struct exam *exam, const char *field, char buf[128])
{
	snprintf(buf, 128, "services[%zu]%s%s", (size_t)(exam->service - exam->model->services), field ? "." : "",
		 field ? field : "");
}

void backend_path(const struct model *model, const struct service_model *service, const struct backend_model *backend,
		  const char *field, char buf[128])
{
	size_t place = 0;

	for (const struct backend_model *other = service->backends; other < backend; other++)
		place += other->cohort == backend->cohort;
	snprintf(buf, 128, "services[%zu].%s[%zu]%s%s", (size_t)(service - model->services),
		 cohort_name(backend->cohort), place, field ? "." : "", field ? field : "");
}

static void set_text(struct problem *problem, const char *format, va_list args)
{
	vsnprintf(problem->text, sizeof(problem->text), format, args);
}

/* FIELD of the service itself, or NULL. */
__attribute__((format(printf, 3, 4))) static int refuse(const struct exam *exam, const char *field, const char *format,
							...)
{
	va_list args;

	service_path(exam, field, exam->problem->path);
	va_start(args, format);
	set_text(exam->problem, format, args);
	va_end(args);
	return -EINVAL;
}

__attribute__((format(printf, 4, 5))) static int
refuse_backend(const struct exam *exam, const struct backend_model *backend, const char *field, const char *format, ...)
{
	va_list args;

	backend_path(exam->model, exam->service, backend, field, exam->problem->path);
	va_start(args, format);
	set_text(exam->problem, format, args);
	va_end(args);
	return -EINVAL;
}

__attribute__((format(printf, 4, 5))) static int
refuse_segment(const struct exam *exam, const struct segment_model *segment, const char *field, const char *format, ...)
{
	va_list args;

	snprintf(exam->problem->path, sizeof(exam->problem->path), "services[%zu].segments[%zu].%s",
		 (size_t)(exam->service - exam->model->services), (size_t)(segment - exam->service->segments), field);
	va_start(args, format);
	set_text(exam->problem, format, args);
	va_end(args);
	return -EINVAL;
}

/* What kind of address it is that no service and no backend can have; NULL: none such. */
static const char *unusable_kind(const struct canary_addr *addr)
{
	__u32 first = ntohl(addr->word[0]), last = ntohl(addr->word[3]);

	if (addr_is_v4(addr)) {
		if (last >> 24 == 0)
			return "an unspecified address";
		if (last >> 24 == 127)
			return "a loopback address";
		if (last >> 28 == 0xe)
			return "a multicast address";
		return last == 0xffffffffU ? "the broadcast address" : NULL;
	}
	if (!addr->word[0] && !addr->word[1] && !addr->word[2] && last <= 1)
		return last ? "the loopback address" : "the unspecified address";
	if (first >> 24 == 0xff)
		return "a multicast address";
	return first >> 22 == 0xfe80 >> 6 ? "a link-local address, which says nothing without an interface" : NULL;
}

/* Settles gue's port. */
static int check_gue_port(const struct exam *exam)
{
	struct service_model *service = exam->service;

	if (service->gue_port && service->forward != CANARY_FORWARD_GUE)
		return refuse(exam, "gue_port", "with %s there is no such port: leave it out",
			      forward_name(service->forward));
	if (service->gue_port < 0 || service->gue_port > 65535)
		return refuse(exam, "gue_port", "%d is not a port: give 1 to 65535", service->gue_port);
	service->gue_port = service_gue_port(service);
	return 0;
}

/* Settles the times. */
static int check_times(const struct exam *exam)
{
	struct service_model *service = exam->service;
	char idle[DURATION_TEXT_LEN];

	service->idle_timeout = service_idle_timeout(service);
	service->max_window = service_max_window(service);
	if (service->idle_timeout > IDLE_TIMEOUT_MAX)
		return refuse(exam, "idle_timeout", "%u seconds is too long: give 1s to 24h", service->idle_timeout);
	if (service->max_window > MAX_WINDOW_MAX)
		return refuse(exam, "max_window", "%u seconds is too long: give up to 7d", service->max_window);
	if (service->max_window < service->idle_timeout)
		return refuse(exam, "max_window",
			      "a window cannot close before flows that were there have been idle for %s, the "
			      "idle_timeout: give that or more",
			      format_duration(service->idle_timeout, idle));
	return 0;
}

/* What is watched, and what the kernel does by itself. */
static int check_guards(const struct exam *exam)
{
	const struct service_model *service = exam->service;

	if (service->observe_cap > CANARY_WEIGHT_ONE)
		return refuse(exam, "observe.cap", "the cap is a share of the buckets from 0 to 100 percent");
	if (service->handshake_timeout < HANDSHAKE_TIMEOUT_MIN || service->handshake_timeout > HANDSHAKE_TIMEOUT_MAX)
		return refuse(exam, "observe.handshake_timeout", "%u ms is out of range: give 100ms to 60s",
			      service->handshake_timeout);
	if (service->breaker_ratio < BREAKER_RATIO_MIN || service->breaker_ratio > BREAKER_RATIO_MAX)
		return refuse(exam, "breaker.ratio", "%u.%02u is out of range: give 1.1 to 600",
			      service->breaker_ratio / 100, service->breaker_ratio % 100);
	if (service->breaker_arl < BREAKER_ARL_MIN || service->breaker_arl > BREAKER_ARL_MAX)
		return refuse(exam, "breaker.arl", "%u is out of range: give %d to %d", service->breaker_arl,
			      BREAKER_ARL_MIN, BREAKER_ARL_MAX);
	if (service->lease_default > LEASE_MAX || (service->lease > LEASE_MAX && service->lease != LEASE_UNSET))
		return refuse(exam, "lease.duration", "a lease of %u seconds is too long: give 1s to 12h",
			      service->lease_default > LEASE_MAX ? service->lease_default : service->lease);
	if (service->on_expiry >= CANARY_EXPIRIES)
		return refuse(exam, "lease.on_expiry", "%u is not what a lease can end with: give %s",
			      service->on_expiry, on_expiry_names());
	return 0;
}

static int check_service(const struct exam *exam)
{
	const struct service_model *service = exam->service;
	char text[ADDR_TEXT_LEN];
	const char *kind;
	int err;

	if (!name_is_valid(service->name))
		return refuse(exam, "name",
			      "'%s' is not a service's name: use letters, digits, '-', '_' and '.', beginning with a "
			      "letter or digit, at most %d",
			      service->name, CANARY_NAME_LEN - 1);
	kind = unusable_kind(&service->addr);
	if (kind)
		return refuse(exam, "address", "%s is %s: a service needs one that clients can reach",
			      format_addr(&service->addr, text), kind);
	if (service->port < 0 || service->port > 65535)
		return refuse(exam, "port", "%d is not a port: give 0 (every port) to 65535", service->port);
	if (service->proto != IPPROTO_TCP && service->proto != IPPROTO_UDP)
		return refuse(exam, "protocol", "protocol %d is not balanced: give tcp or udp", service->proto);
	if (service->proto == IPPROTO_TCP && service->track != CANARY_TRACK_AUTO)
		return refuse(exam, "track", "'%s' is for udp only: tcp connections are always kept; leave it out",
			      track_name(service->track));
	if (service->proto == IPPROTO_UDP && service->mss)
		return refuse(exam, "mss", "udp has no segments: leave it out");
	if (service->weight != WEIGHT_KEEP && (service->weight < 0 || service->weight > CANARY_WEIGHT_ONE))
		return refuse(exam, "weight", "the weight is a share from 0 to 100 percent");
	err = check_gue_port(exam);
	if (err < 0)
		return err;
	err = check_times(exam);
	return err < 0 ? err : check_guards(exam);
}

/* Settles the backend's port. Where the packet's destination port is not rewritten, it can only be the service's. */
static int check_backend_port(const struct exam *exam, struct backend_model *backend)
{
	const struct service_model *service = exam->service;

	if (backend->port == PORT_DEFAULT)
		backend->port = service->port;
	if (backend->port < 0 || backend->port > 65535)
		return refuse_backend(exam, backend, "port", "%d is not a port: give 1 to 65535", backend->port);
	if (backend->port == service->port)
		return 0;
	if (service->forward != CANARY_FORWARD_NAT)
		return refuse_backend(exam, backend, "port",
				      "port %d is not the service's, %d, and %s does not change ports: leave it out",
				      backend->port, service->port, forward_name(service->forward));
	if (!service->port)
		return refuse_backend(exam, backend, "port",
				      "the service takes every port and its backends get what the client asked for: "
				      "leave port %d out",
				      backend->port);
	if (!backend->port)
		return refuse_backend(exam, backend, "port",
				      "0 stands for every port, which only a service with port 0 has: give 1 to 65535, "
				      "or leave it out for %d",
				      service->port);
	return 0;
}

static int check_backend(const struct exam *exam, struct backend_model *backend)
{
	const struct service_model *service = exam->service;
	const char *kind = unusable_kind(&backend->addr);
	char text[ADDR_TEXT_LEN];
	int err;

	format_addr(&backend->addr, text);
	if (kind)
		return refuse_backend(exam, backend, "address",
				      "%s is %s: a backend needs an address that packets can be sent to", text, kind);
	if (!service_tunnels(service) && addr_is_v4(&backend->addr) != addr_is_v4(&service->addr))
		return refuse_backend(exam, backend, "address",
				      "%s is IPv%c and the service is IPv%c: with %s both must be of one family (ipip "
				      "and gue can mix them)",
				      text, addr_is_v4(&backend->addr) ? '4' : '6',
				      addr_is_v4(&service->addr) ? '4' : '6', forward_name(service->forward));
	if (service->forward != CANARY_FORWARD_NAT && addr_equal(&backend->addr, &service->addr))
		return refuse_backend(exam, backend, "address",
				      "%s is the service's own address: with %s give the address that the server has "
				      "besides it",
				      text, forward_name(service->forward));
	err = check_backend_port(exam, backend);
	if (err < 0)
		return err;
	if (backend->weight < 1 || backend->weight > CANARY_MAX_BACKEND_WEIGHT)
		return refuse_backend(exam, backend, "weight", "a backend's weight is from 1 to %d, not %u",
				      CANARY_MAX_BACKEND_WEIGHT, backend->weight);
	return 0;
}

static int check_backends(const struct exam *exam)
{
	struct service_model *service = exam->service;
	size_t count[CANARY_COHORTS] = {};
	const void *earlier, *later;
	char text[ADDR_TEXT_LEN];
	struct lookup lookup;
	int err;

	for (size_t i = 0; i < service->backend_count; i++) {
		struct backend_model *backend = &service->backends[i];

		if (count[backend->cohort]++ == CANARY_MAX_COHORT_BACKENDS)
			return refuse_backend(exam, backend, NULL, "a cohort has at most %d backends",
					      CANARY_MAX_COHORT_BACKENDS);
		err = check_backend(exam, backend);
		if (err < 0)
			return err;
	}
	err = lookup_make(service->backends, service->backend_count, sizeof(*service->backends), backend_compare,
			  &lookup);
	if (err < 0)
		return err;
	if (lookup_repeated(&lookup, &earlier, &later)) {
		const struct backend_model *first = earlier, *second = later;

		format_endpoint(&second->addr, second->port, text);
		err = refuse_backend(exam, second, "address", "%s is in %s already: list each backend once", text,
				     cohort_name(first->cohort));
	}
	lookup_free(&lookup);
	return err;
}

static int check_segment(const struct exam *exam, const struct segment_model *segment)
{
	bool v4 = addr_is_v4(&segment->addr);
	char text[ADDR_TEXT_LEN];

	if (segment->prefix_len > 128 || (v4 && segment->prefix_len < 96))
		return refuse_segment(exam, segment, "clients", "the prefix's length is out of range");
	format_prefix(&segment->addr, segment->prefix_len, text);
	if (!prefix_is_clean(&segment->addr, segment->prefix_len))
		return refuse_segment(exam, segment, "clients",
				      "%s has bits set beyond its length: give the prefix's first address", text);
	if (v4 != addr_is_v4(&exam->service->addr))
		return refuse_segment(exam, segment, "clients",
				      "%s is IPv%c and the service is IPv%c: no client of it can be in there", text,
				      v4 ? '4' : '6', v4 ? '6' : '4');
	return 0;
}

static int check_segments(const struct exam *exam)
{
	const struct service_model *service = exam->service;
	const void *earlier, *later;
	char text[ADDR_TEXT_LEN];
	struct lookup lookup;
	int err;

	for (size_t i = 0; i < service->segment_count; i++) {
		err = check_segment(exam, &service->segments[i]);
		if (err < 0)
			return err;
	}
	err = lookup_make(service->segments, service->segment_count, sizeof(*service->segments), segment_compare,
			  &lookup);
	if (err < 0)
		return err;
	if (lookup_repeated(&lookup, &earlier, &later)) {
		const struct segment_model *first = earlier, *second = later;

		format_prefix(&second->addr, second->prefix_len, text);
		err = refuse_segment(exam, second, "clients", "%s is pinned to %s already: list each prefix once", text,
				     cohort_name(first->cohort));
	}
	lookup_free(&lookup);
	return err;
}

/*
 * A nat backend that is some service's address and port: our own frontend, to which no packet leaves this host. Port 0
 * on either side is every port.
 */
static int check_loops(const struct exam *exam)
{
	const struct service_model *service = exam->service;
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; service->forward == CANARY_FORWARD_NAT && i < service->backend_count; i++) {
		const struct backend_model *backend = &service->backends[i];

		for (size_t j = 0; j < exam->model->service_count; j++) {
			const struct service_model *other = &exam->model->services[j];

			if (other->proto != service->proto || !addr_equal(&other->addr, &backend->addr) ||
			    (other->port && backend->port && other->port != backend->port))
				continue;
			format_endpoint(&backend->addr, backend->port, text);
			return refuse_backend(exam, backend, "address",
					      "%s is the address and port of %s '%s': packets would come back to the "
					      "balancer",
					      text, other == service ? "the service itself," : "service", other->name);
		}
	}
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct service_model *)a)->name, ((const struct service_model *)b)->name);
}

static int compare_frontends(const void *a, const void *b)
{
	const struct service_model *x = a, *y = b;
	int order = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	if (!order)
		order = x->proto - y->proto;
	return order ? order : x->port - y->port;
}

/* The first service that repeats the key of another. 0: none; 1: found; -ENOMEM. */
static int find_repeated(const struct model *model, lookup_compare compare, const struct service_model **ret_first,
			 const struct service_model **ret_second)
{
	const void *earlier, *later;
	struct lookup lookup;
	int found;

	found = lookup_make(model->services, model->service_count, sizeof(*model->services), compare, &lookup);
	if (found < 0)
		return found;
	found = lookup_repeated(&lookup, &earlier, &later);
	if (found) {
		*ret_first = earlier;
		*ret_second = later;
	}
	lookup_free(&lookup);
	return found;
}

static int check_unique(struct model *model, struct problem *problem)
{
	const struct service_model *first, *second;
	struct exam exam = {.model = model, .problem = problem};
	char text[ADDR_TEXT_LEN];
	int found;

	found = find_repeated(model, compare_names, &first, &second);
	if (found < 0)
		return found;
	if (found) {
		exam.service = model->services + (second - model->services);
		return refuse(&exam, "name", "there is a service '%s' already: give each its own name", second->name);
	}
	found = find_repeated(model, compare_frontends, &first, &second);
	if (found <= 0)
		return found;
	exam.service = model->services + (second - model->services);
	format_endpoint(&second->addr, second->port, text);
	return refuse(&exam, "address", "%s %s is the address of service '%s' already", proto_name(second->proto), text,
		      first->name);
}

static int check_totals(const struct exam *exam, size_t *backends, size_t *segments)
{
	*backends += exam->service->backend_count;
	*segments += exam->service->segment_count;
	if (*backends >= CANARY_MAX_BACKENDS)
		return refuse(exam, NULL, "with this service there are %zu backends: at most %d fit, over all services",
			      *backends, CANARY_MAX_BACKENDS - 1);
	/* Half of the table: a new set of segments is written beside the one that is in force. */
	if (*segments > CANARY_MAX_SEGMENTS / 2)
		return refuse(exam, "segments", "with these there are %zu segments: at most %d fit, over all services",
			      *segments, CANARY_MAX_SEGMENTS / 2);
	return 0;
}

static int check_all_of(const struct exam *exam)
{
	int err;

	err = check_service(exam);
	if (err < 0)
		return err;
	err = check_backends(exam);
	if (err < 0)
		return err;
	err = check_segments(exam);
	if (err < 0)
		return err;
	if (!exam->running && exam->service->weight > 0 && !service_backends_up(exam->service, CANARY_CANARY))
		return refuse(
			exam, "weight",
			"the weight is above 0 and no canary backend takes flows: add one, or set the weight to 0");
	return 0;
}

static int validate(struct model *model, bool running, struct problem *ret)
{
	struct exam exam = {.model = model, .problem = ret, .running = running};
	size_t backends = 0, segments = 0;
	int err;

	for (size_t i = 0; i < model->service_count; i++) {
		exam.service = &model->services[i];
		if (i == CANARY_MAX_SERVICES - 1)
			return refuse(&exam, NULL, "there are %zu services: at most %d fit", model->service_count,
				      CANARY_MAX_SERVICES - 1);
		err = check_totals(&exam, &backends, &segments);
		if (err < 0)
			return err;
		err = check_all_of(&exam);
		if (err < 0)
			return err;
	}
	err = check_unique(model, ret);
	for (size_t i = 0; !err && i < model->service_count; i++) {
		exam.service = &model->services[i];
		err = check_loops(&exam);
	}
	return err;
}

int validate_model(struct model *model, struct problem *ret)
{
	return validate(model, false, ret);
}

int validate_running(struct model *model, struct problem *ret)
{
	return validate(model, true, ret);
}
