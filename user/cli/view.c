/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary/select.h"
#include "cli/change.h"
#include "cli/output.h"
#include "cli/view.h"
#include "core/server_id.h"
#include "core/text.h"

/* NULL: it has none. */
static json_t *view_quic(const struct service_model *service)
{
	if (service->affinity != CANARY_AFFINITY_QUIC)
		return NULL;
	return json_pack("{s:i, s:i}", "id_offset", (int)service->id_offset, "id_length", (int)service->id_length);
}

json_t *view_service(const struct service_model *service)
{
	char addr[ADDR_TEXT_LEN], mss[MSS_TEXT_LEN];

	return json_pack(
		"{s:o, s:s, s:s, s:i, s:f, s:I, s:s, s:o*, s:s, s:s, s:s, s:s, s:i, s:i, s:o*}", "name",
		json_text(service->name), "protocol", proto_name(service->proto), "address",
		format_addr(&service->addr, addr), "port", service->port, "weight", service->weight / 100.0, "epoch",
		(json_int_t)canary_word_epoch(service->word), "forward", forward_name(service->forward), "gue_port",
		service->gue_port ? json_integer(service->gue_port) : NULL, "affinity",
		affinity_name(service->affinity), "track", track_name(service->track), "overflow",
		overflow_name(service->overflow), "mss", format_mss(service->mss, mss), "idle_timeout",
		(int)service->idle_timeout, "max_window", (int)service->max_window, "quic", view_quic(service));
}

json_t *view_backend(const struct backend_model *backend)
{
	char addr[ADDR_TEXT_LEN], id[SERVER_ID_TEXT_LEN];

	return json_pack("{s:s, s:s, s:i, s:i, s:s, s:s*}", "cohort", cohort_name(backend->cohort), "address",
			 format_addr(&backend->addr, addr), "port", backend->port, "weight", (int)backend->weight,
			 "state", backend->draining ? "draining" : "up", "server_id", backend_server_id(backend, id));
}

json_t *view_segment(const struct segment_model *segment)
{
	char prefix[ADDR_TEXT_LEN];

	return json_pack("{s:s, s:s}", "clients", format_prefix(&segment->addr, segment->prefix_len, prefix), "cohort",
			 cohort_name(segment->cohort));
}

json_t *view_interface(const struct interface *interface)
{
	json_t *view = json_pack("{s:o, s:s, s:b}", "name", json_text(interface->name), "mode",
				 interface->generic ? "generic" : "native", "chain", interface->chain);

	if (interface->chain) {
		json_object_set_new(view, "position", json_integer(interface->position));
		json_object_set_new(view, "programs", json_integer(interface->programs));
	}
	return view;
}

static int compare_interfaces(const void *a, const void *b)
{
	const struct interface *x = a, *y = b;

	return (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

int list_interfaces(struct dataplane *dataplane, struct interface **ret, size_t *ret_count, struct error *error)
{
	int err = dataplane_interfaces(dataplane, ret, ret_count, error);

	if (!err && *ret_count)
		qsort(*ret, *ret_count, sizeof(**ret), compare_interfaces);
	return err;
}

const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

json_int_t integer_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

double number_of(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

const char *endpoint_of(const json_t *object, char buf[96])
{
	const char *address = text_of(object, "address");
	int port = integer_of(object, "port");
	char port_text[16] = "*";

	if (port)
		snprintf(port_text, sizeof(port_text), "%d", port);
	snprintf(buf, 96, strchr(address, ':') ? "[%s]:%s" : "%s:%s", address, port_text);
	return buf;
}

void print_service_line(const struct cli *cli, const json_t *service)
{
	const json_t *effective = json_object_get(service, "effective_weight");
	char endpoint[96], weight[WEIGHT_TEXT_LEN], less[WEIGHT_TEXT_LEN];

	printf("%s%s%s  %s %s  weight %s", style_begin(cli, STYLE_BOLD), text_of(service, "name"),
	       style_end(cli, STYLE_BOLD), text_of(service, "protocol"), endpoint_of(service, endpoint),
	       format_weight((int)(number_of(service, "weight") * 100 + 0.5), weight));
	/* That it is 0 has an alarm of its own. */
	if (json_is_number(effective) && json_number_value(effective) > 0 &&
	    !json_equal(effective, json_object_get(service, "weight")))
		printf(" (holdback: %s in force)",
		       format_weight((int)(json_number_value(effective) * 100 + 0.5), less));
	printf("  epoch %lld  forward %s  affinity %s%s\n", (long long)integer_of(service, "epoch"),
	       text_of(service, "forward"), text_of(service, "affinity"),
	       json_is_true(json_object_get(service, "rollout")) ? "  in a rollout" : "");
}
