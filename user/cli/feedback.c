/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl feedback: what a user says, told to the daemon, which knows the cohort that the user was in. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/daemon_client.h"
#include "cli/output.h"
#include "cli/rollout.h"
#include "cli/view.h"
#include "core/text.h"

/* The one that is named, or the only one. 0 or -errno. */
static int find_service(const struct cli *cli, char ret[CANARY_NAME_LEN], struct error *error)
{
	const char *name = cli->values[OPT_SERVICE];
	struct error why;
	int err;

	if (name && !name_is_valid(name))
		return fail(error, -EINVAL, "\"%s\" is not a service's name", name);
	if (name) {
		snprintf(ret, CANARY_NAME_LEN, "%s", name);
		return 0;
	}
	err = rollout_only_service(cli, 0, ret, &why);
	if (err == -EINVAL)
		return fail(error, err, "%s: name one with --service", why.text);
	return err ? fail(error, err, "%s", why.text) : 0;
}

static json_t *feedback_body(const struct cli *cli, const char *service)
{
	const char *note = cli->values[OPT_NOTE];
	json_t *body = json_pack("{s:o, s:s, s:s}", "client", json_text(cli->arguments[0]), "verdict",
				 cli->arguments[1], "service", service);

	if (note)
		json_object_set_new(body, "note", json_text(note));
	return body;
}

int cmd_feedback(const struct cli *cli, struct error *error)
{
	struct daemon_request request = {.socket = cli->socket, .method = "POST", .path = "/v1/feedback"};
	const char *verdict = cli->arguments[1], *cohort, *why;
	char service[CANARY_NAME_LEN];
	struct canary_addr addr;
	json_t *body, *answer;
	int port, err;

	if (parse_endpoint(cli->arguments[0], &addr, &port))
		return fail(error, CLI_USAGE, "\"%s\" is not a client: 192.0.2.7, or 192.0.2.7:40000",
			    cli->arguments[0]);
	if (strcmp(verdict, "good") && strcmp(verdict, "bad"))
		return fail(error, CLI_USAGE, "feedback is good or bad, not \"%s\"", verdict);
	if (find_service(cli, service, error))
		return CLI_FAILED;
	body = feedback_body(cli, service);
	request.body = body;
	err = daemon_ask(&request, &answer, NULL, error);
	json_decref(body);
	if (err)
		return CLI_FAILED;
	make_harmless(answer);
	cohort = text_of(answer, "cohort");
	why = text_of(answer, "text");
	report(cli, true, json_deep_copy(answer), "%s: %s, %s%s%s%s", text_of(answer, "service"), verdict,
	       json_is_true(json_object_get(answer, "counted")) ? "counted for "
	       : *cohort					? "noted, but not counted, for "
								: "noted, but counted for neither cohort",
	       cohort, *why ? ": " : "", why);
	json_decref(answer);
	return CLI_DONE;
}
