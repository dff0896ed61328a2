/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "cli/daemon_client.h"
#include "cli/output.h"
#include "cli/owner.h"
#include "cli/view.h"
#include "core/rollout.h"

#define ASK_MS 3000

int owners_ask(const struct cli *cli, json_t **ret, struct error *error)
{
	const struct daemon_request request = {
		.socket = cli->socket, .method = "GET", .path = "/v1/services", .timeout_ms = ASK_MS};
	int err;

	*ret = NULL;
	err = daemon_ask(&request, ret, NULL, error);
	if (err == -ECONNREFUSED)
		return 0;
	if (!err)
		make_harmless(*ret);
	return err;
}

const char *owner_of(const json_t *owners, const char *service)
{
	struct rollout rollout = {};
	json_t *status;
	size_t i;

	json_array_foreach (json_object_get(owners, "services"), i, status) {
		const char *state = text_of(status, "state");

		if (!strcmp(text_of(status, "service"), service))
			return !parse_rollout_state(state, &rollout.state) && rollout_owns_weight(&rollout) ? state
													    : NULL;
	}
	return NULL;
}
