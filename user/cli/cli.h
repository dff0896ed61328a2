/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of canaryctl share. A command is an entry of one table (commands.c), an option of
 * another (options.c): usage lines and help come from them.
 */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>

#include "cli/args.h"
#include "core/error.h"

enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_ROLLED_BACK = 3, /* the rollout that was waited for did not succeed */
};

enum cli_option {
	OPT_JSON,
	OPT_BPFFS,
	OPT_KEY_FILE,
	OPT_HELP,
	OPT_FILE,
	OPT_MODE,
	OPT_CHAIN,
	OPT_PRIORITY,
	OPT_MAX_FLOWS,
	OPT_ALL,
	OPT_DRY_RUN,
	OPT_FORCE,
	OPT_SERVICE,
	OPT_WATCH,
	OPT_PORT,
	OPT_FORWARD,
	OPT_GUE_PORT,
	OPT_AFFINITY,
	OPT_TRACK,
	OPT_OVERFLOW,
	OPT_MSS,
	OPT_IDLE_TIMEOUT,
	OPT_MAX_WINDOW,
	OPT_LEASE,
	OPT_FOLLOW,
	OPT_WEIGHT,
	OPT_NEW_SALT,
	OPT_RESET,
	OPT_DRAIN,
	OPT_BACKEND,
	OPT_COHORT,
	OPT_SOCKET,
	OPT_WAIT,
	OPT_TIMEOUT,
	OPT_FULL,
	OPT_REASON,
	OPT_NOTE,
	OPT_RATE,
	OPT_BASE,
	OPT_RELEASE,
	OPT_LIMIT,
	OPT_ID_OFFSET,
	OPT_ID_LENGTH,
	OPT_SERVER_ID,
	OPT_QUIC_ID,
	OPT_INTERVAL,
	OPT_COUNT,
	OPT_SAMPLE,
	OPT_SNAPLEN,
	OPT_MAX_RATE,
	OPT_DURATION,
	OPT_UNMATCHED,
	OPT_WRITE,
	OPT_PEERS,
	OPT_BIRD,
	OPT_FLEET,
	OPT_IF_CHANGE,
	OPTIONS,
};
#define OPT(name) (1ULL << OPT_##name)
#define OPTIONS_GLOBAL (OPT(JSON) | OPT(BPFFS) | OPT(KEY_FILE) | OPT(HELP))

struct cli {
	const struct command *command;
	const char *const *arguments; /* the positional ones, after the command's name */
	int argument_count;
	const char *const *values; /* by enum cli_option; NULL: not given; "" for a flag */
	const char *dir; /* where the pins are */
	const char *key_file;
	const char *socket; /* of the daemon */
	bool json;
	bool colour;
};

struct command {
	const char *name; /* one word or two: "service add" */
	const char *arguments; /* as in a usage line; "" for none */
	int min_arguments;
	int max_arguments; /* -1: any number */
	unsigned long long options; /* besides OPTIONS_GLOBAL */
	unsigned long long required; /* those that must be given */
	const char *summary; /* one line, for the list of commands */
	const char *details; /* more for its help; NULL: nothing more */
	const char *const *examples; /* up to NULL */
	const struct command *then; /* at a table's end, which has no name: where the list goes on; NULL: nowhere */
	/* Returns an enum cli_exit; with a sentence in *error unless CLI_DONE. */
	int (*run)(const struct cli *cli, struct error *error);
};

extern const struct arg_option cli_options[OPTIONS];

/* Walks over all commands: the first one for NULL; NULL after the last one. */
const struct command *command_next(const struct command *command);
/* By its one word or two (second NULL: one). NULL: there is none. */
const struct command *command_find(const char *first, const char *second);

int cmd_apply(const struct cli *cli, struct error *error);
int cmd_attach(const struct cli *cli, struct error *error);
int cmd_backend_add(const struct cli *cli, struct error *error);
int cmd_backend_del(const struct cli *cli, struct error *error);
int cmd_backend_drain(const struct cli *cli, struct error *error);
int cmd_backend_list(const struct cli *cli, struct error *error);
int cmd_capture(const struct cli *cli, struct error *error);
int cmd_complete(const struct cli *cli, struct error *error);
int cmd_decap_attach(const struct cli *cli, struct error *error);
int cmd_decap_detach(const struct cli *cli, struct error *error);
int cmd_decap_status(const struct cli *cli, struct error *error);
int cmd_detach(const struct cli *cli, struct error *error);
int cmd_doctor(const struct cli *cli, struct error *error);
int cmd_events(const struct cli *cli, struct error *error);
int cmd_explain(const struct cli *cli, struct error *error);
int cmd_feedback(const struct cli *cli, struct error *error);
int cmd_fleet_init(const struct cli *cli, struct error *error);
int cmd_fleet_remove(const struct cli *cli, struct error *error);
int cmd_fleet_status(const struct cli *cli, struct error *error);
int cmd_flows_count(const struct cli *cli, struct error *error);
int cmd_flows_flush(const struct cli *cli, struct error *error);
int cmd_flows_list(const struct cli *cli, struct error *error);
int cmd_help(const struct cli *cli, struct error *error);
int cmd_host_check(const struct cli *cli, struct error *error);
int cmd_host_drain(const struct cli *cli, struct error *error);
int cmd_host_routes(const struct cli *cli, struct error *error);
int cmd_host_status(const struct cli *cli, struct error *error);
int cmd_host_undrain(const struct cli *cli, struct error *error);
int cmd_lease_renew(const struct cli *cli, struct error *error);
int cmd_rollout_explain(const struct cli *cli, struct error *error);
int cmd_rollout_history(const struct cli *cli, struct error *error);
int cmd_rollout_plan(const struct cli *cli, struct error *error);
int cmd_rollout_request(const struct cli *cli, struct error *error);
int cmd_rollout_rollback(const struct cli *cli, struct error *error);
int cmd_rollout_status(const struct cli *cli, struct error *error);
int cmd_rollout_validate(const struct cli *cli, struct error *error);
int cmd_rollout_watch(const struct cli *cli, struct error *error);
int cmd_segment_add(const struct cli *cli, struct error *error);
int cmd_segment_del(const struct cli *cli, struct error *error);
int cmd_segment_list(const struct cli *cli, struct error *error);
int cmd_service_add(const struct cli *cli, struct error *error);
int cmd_service_del(const struct cli *cli, struct error *error);
int cmd_service_list(const struct cli *cli, struct error *error);
int cmd_set_weight(const struct cli *cli, struct error *error);
int cmd_stats(const struct cli *cli, struct error *error);
int cmd_status(const struct cli *cli, struct error *error);
int cmd_stop(const struct cli *cli, struct error *error);
int cmd_top(const struct cli *cli, struct error *error);
int cmd_upgrade(const struct cli *cli, struct error *error);
int cmd_validate(const struct cli *cli, struct error *error);
int cmd_version(const struct cli *cli, struct error *error);

/* The help of the commands that `words` (one or two, count of them) name, or of all for count 0. */
int help_print(const char *const *words, int count, struct error *error);
/* Fills *error with "there is no command …" and the nearest name; returns CLI_USAGE. */
int help_unknown(const char *const *words, int count, struct error *error);

/* A command that exists twice over: "service add" is of the family "service". */
bool is_family(const char *word);

#endif
