/* SPDX-License-Identifier: Apache-2.0 */
#include "io/webhook.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void by_status(unsigned status, struct answer *answer)
{
	if (status >= 200 && status < 300)
		answer->verdict = ANSWER_PASS;
	else if (status == 409 || status == 422)
		answer->verdict = ANSWER_FAIL;
	else
		answer->verdict = ANSWER_INCONCLUSIVE;
	if (!answer->reason[0])
		snprintf(answer->reason, sizeof(answer->reason), "the webhook answered with status %u", status);
}

void webhook_read(const struct http_result *result, struct answer *ret)
{
	const char *verdict, *reason;
	json_t *json;

	ret->verdict = ANSWER_INCONCLUSIVE;
	if (result->error) {
		first_line(result->sentence, strlen(result->sentence), ret->reason);
		return;
	}
	json = json_loadb(result->body, result->len, 0, NULL);
	verdict = json_string_value(json_object_get(json, "verdict"));
	reason = json_string_value(json_object_get(json, "reason"));
	first_line(reason ? reason : "", reason ? strlen(reason) : 0, ret->reason);
	if (!json_object_get(json, "verdict"))
		by_status(result->status, ret);
	else if (!verdict || parse_answer(verdict, &ret->verdict))
		snprintf(ret->reason, sizeof(ret->reason), "the webhook's verdict is none of pass, fail, inconclusive");
	json_decref(json);
}
