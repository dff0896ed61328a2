/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl feedback: what a user says, told to the daemon, which knows the cohort that the user was in. */
#include <string.h>

#include "cli/daemon_client.h"
#include "cli/output.h"
#include "cli/view.h"
#include "core/text.h"

static json_t *feedback_body(const struct cli *cli)
{
	const char *note = cli->values[OPT_NOTE], *service = cli->values[OPT_SERVICE];
	json_t *body = json_pack("{s:o, s:s}", "client", json_text(cli->arguments[0]), "verdict", cli->arguments[1]);

	if (note)
		json_object_set_new(body, "note", json_text(note));
	if (service)
		json_object_set_new(body, "service", json_text(service));
	return body;
}

int cmd_feedback(const struct cli *cli, struct error *error)
{
	struct daemon_request request = {.socket = cli->socket, .method = "POST", .path = "/v1/feedback"};
	const char *verdict = cli->arguments[1], *cohort, *why;
	struct canary_addr addr;
	json_t *body, *answer;
	int port, err;

	if (parse_endpoint(cli->arguments[0], &addr, &port))
		return fail(error, CLI_USAGE, "\"%s\" is not a client: 192.0.2.7, or 192.0.2.7:40000",
			    cli->arguments[0]);
	if (strcmp(verdict, "good") && strcmp(verdict, "bad"))
		return fail(error, CLI_USAGE, "feedback is good or bad, not \"%s\"", verdict);
	body = feedback_body(cli);
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
