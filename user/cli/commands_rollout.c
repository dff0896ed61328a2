/* SPDX-License-Identifier: Apache-2.0 */
/* Of the table of commands: those that ask canaryd, or are about its rollouts. */
#include <stddef.h>

#include "cli/commands.h"

const struct command cli_rollout_commands[] = {
	{
		.name = "rollout validate",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(FILE),
		.summary = "check a configuration's rollouts and print their plans",
		.details = "Reads the file (-f, or the daemon's own) and needs neither privileges nor a daemon.",
		.examples = EXAMPLES("canaryctl rollout validate -f canary.yaml"),
		.run = cmd_rollout_validate,
	},
	{
		.name = "rollout plan",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(FILE) | OPT(RATE) | OPT(BASE),
		.required = OPT(RATE) | OPT(BASE),
		.summary = "how long each step needs to find a canary that is worse",
		.details =
			"Means, by simulation with the analysis that judges rollouts, at so many new flows a second of "
			"which so many fail in stable. Needs neither privileges nor a daemon.",
		.examples = EXAMPLES("canaryctl rollout plan web -f canary.yaml --rate 500 --base 0.1"),
		.run = cmd_rollout_plan,
	},
	{
		.name = "rollout start",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(FILE) | OPT(SOCKET),
		.summary = "begin a rollout: the first step's weight, a new salt",
		.details = "By the plan of the daemon's configuration, or of a file (-f): the keys of "
			   "`rollout`, or a configuration with this service.",
		.examples = EXAMPLES("canaryctl rollout start", "canaryctl rollout start web -f careful.yaml"),
		.run = cmd_rollout_request,
	},
	{
		.name = "rollout status",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(SOCKET) | OPT(WAIT) | OPT(TIMEOUT),
		.summary = "where the rollout is, both cohorts, and what the gates say",
		.details = "With --wait when it has ended: exit code 0 succeeded, 3 rolled back or failed, 1 neither "
			   "in time.",
		.examples = EXAMPLES("canaryctl rollout status web --json",
				     "canaryctl rollout status --wait --timeout 2h || echo not out"),
		.run = cmd_rollout_status,
	},
	{
		.name = "rollout watch",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(SOCKET),
		.summary = "the same, live, until it has ended",
		.details =
			"Where the output is no terminal: a line for each transition. Exit codes as of status --wait.",
		.examples = EXAMPLES("canaryctl rollout watch web"),
		.run = cmd_rollout_watch,
	},
	{
		.name = "rollout pause",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(SOCKET),
		.summary = "keep the weight and stop the clocks",
		.details = "What fails while it is paused is rolled back all the same.",
		.examples = EXAMPLES("canaryctl rollout pause web"),
		.run = cmd_rollout_request,
	},
	{
		.name = "rollout resume",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(SOCKET),
		.summary = "go on after a pause",
		.examples = EXAMPLES("canaryctl rollout resume web"),
		.run = cmd_rollout_request,
	},
	{
		.name = "rollout promote",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(FULL) | OPT(SOCKET),
		.summary = "to the next step, now: also an approval",
		.examples = EXAMPLES("canaryctl rollout promote web", "canaryctl rollout promote --full"),
		.run = cmd_rollout_request,
	},
	{
		.name = "rollout rollback",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(RESET) | OPT(SOCKET) | OPT(FLEET) | OPT(IF_CHANGE),
		.summary = "the canary's weight to 0, now, in every state; of a fleet's service on all its hosts",
		.details = "Also without a daemon: the weight is then set here, and the daemon notes it when it runs "
			   "again. "
			   "The canary's connections live on, unless --reset ends them (TCP).",
		.examples = EXAMPLES("canaryctl rollout rollback", "canaryctl rollout rollback web --reset"),
		.run = cmd_rollout_rollback,
	},
	{
		.name = "rollout finish",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(SOCKET),
		.summary = "end a release that has succeeded: its backends become stable",
		.details = "No flow moves. The weight is 0 then, and the stable backends of before are out.",
		.examples = EXAMPLES("canaryctl rollout finish web"),
		.run = cmd_rollout_request,
	},
	{
		.name = "rollout undo",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(SOCKET),
		.summary = "take the last finish back: what was stable before is so again",
		.examples = EXAMPLES("canaryctl rollout undo web"),
		.run = cmd_rollout_request,
	},
	{
		.name = "rollout retry",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(SOCKET),
		.summary = "once more: the step that is inconclusive or failed, or all of what was rolled back",
		.examples = EXAMPLES("canaryctl rollout retry web"),
		.run = cmd_rollout_request,
	},
	{
		.name = "rollout block",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(REASON) | OPT(SOCKET),
		.required = OPT(REASON),
		.summary = "no start and no step forward until unblock",
		.examples = EXAMPLES("canaryctl rollout block web --reason 'database migration'"),
		.run = cmd_rollout_request,
	},
	{
		.name = "rollout unblock",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(SOCKET),
		.summary = "let rollouts go forward again",
		.examples = EXAMPLES("canaryctl rollout unblock web"),
		.run = cmd_rollout_request,
	},
	{
		.name = "rollout history",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(LIMIT) | OPT(SOCKET),
		.summary = "what happened, why, who asked, and on which numbers",
		.examples = EXAMPLES("canaryctl rollout history web --limit 200"),
		.run = cmd_rollout_history,
	},
	{
		.name = "rollout explain",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(RELEASE) | OPT(SOCKET),
		.summary = "a release's recorded counts through its gates once more: what decided",
		.examples = EXAMPLES("canaryctl rollout explain web", "canaryctl rollout explain --release 7 --json"),
		.run = cmd_rollout_explain,
	},
	{
		.name = "feedback",
		TAKES("CLIENT good|bad", 2, 2),
		.options = OPT(SERVICE) | OPT(NOTE) | OPT(SOCKET),
		.summary = "what a user says of it, counted for the cohort that the user was in",
		.details = "CLIENT is an address; where each connection has its cohort (affinity flow), best with the "
			   "port of one: without it, the word counts only if all that is known of the client's "
			   "connections agrees.",
		.examples = EXAMPLES("canaryctl feedback 198.51.100.7 bad --note 'nothing I like'",
				     "canaryctl feedback 198.51.100.7:40312 good"),
		.run = cmd_feedback,
	},
	{.then = cli_fleet_commands},
};
