/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's API: HTTP and JSON on a unix socket (mode 0660, group canary), and on an address, there for everybody in
 * part, and else with a token.
 *
 *   GET  /, /assets/{file}                      [A]   the dashboard's page, and what belongs to it
 *   GET  /v1/stream                             [A]   what the page shows of ?service=NAME (left out: the first), as server-sent
 *                                                     events: see STREAM
 *   GET  /v1/version                            [A]   {"version": "0.1.0", "pid": 1, "uptime": 12}
 *   GET  /v1/services                           [A]   {"services": [STATUS, ...]}
 *   GET  /v1/services/{service}/rollout         [A]   STATUS. With ?transitions=N&timeout=S: waits, at most S seconds
 *                                                     (60), until there are more transitions than N: {service}'s
 *                                                     "transitions", so that nothing is missed between two questions
 *   POST /v1/services/{service}/rollout/{verb}        STATUS, after: start pause resume promote rollback finish undo
 *                                                     retry block unblock. The body may be left out. Its keys, with any
 *                                                     other refused:
 *                                                       start:    "plan": text of a plan's file (YAML); left out: the
 *                                                                 service's own
 *                                                       promote:  "full": true: to the last step
 *                                                       rollback: "reset": true: reset the canary's connections
 *                                                       block:    "reason": text
 *   GET  /v1/services/{service}/rollout/plan          {"service", "plan": PLAN}: the one that a start would take
 *   GET  /v1/services/{service}/rollout/history       {"service", "entries": [ENTRY, ...]}, newest first; ?limit=N (100),
 *                                                     ?release=N
 *   GET  /v1/services/{service}/rollout/curve   [A]   {"service", "release", ...: CURVE} of the last release
 *   GET  /v1/services/{service}/rollout/explain       EXPLANATION of the last release; ?release=N: of that one
 *   POST /v1/feedback                           [T]   {"service", "client", "cohort": "canary" | "stable" | null,
 *                                                     "counted": for the gates of a rollout, "text": why not, or null}; the
 *                                                     body: "client": "192.0.2.7" or with ":port", "verdict": "good" |
 *                                                     "bad", "service": may be left out when there is one, "note": text.
 *                                                     "cohort" null: which one the client was in is not known
 *   GET  /v1/health                             [A]   {"backends": [{"service", "backend", "cohort", "state": "up" |
 *                                                     "down" | "held" | "unknown", "since", "text"}]}
 *   ... /v1/fleet...                                  see fleet_api.h
 *
 * With --listen: [A] for everybody, [T] with any token, the others with one that is not for feedback alone: what changes
 * something, what clients said (the history), what hooks and gates run and ask (a plan; STATUS is without that there), and
 * what takes long to work out (an explanation). Errors are
 * {"error": "a sentence"}: 404 no such service or release, 409 not in this state (the sentence says what to do instead),
 * 400 the body, 500 it cannot be written down or done, 507 the disk is full; and those of io/http_server.h. Times are
 * "2026-01-31T12:00:00Z", durations seconds, weights percent with two decimals, E's natural logarithms.
 *
 * STATUS
 *   service          name
 *   present          false: the data plane has no such service (yet): then most of the rest is null
 *   state            idle progressing paused inconclusive baking succeeded rolled_back failed
 *   release          number, 0: there was none
 *   step, steps      from 1; 0: none; how many the plan has
 *   weight           as asked for by the rollout, or by whoever set it: 100 also under a holdback
 *   effective_weight what holds: less the holdback, 0 while the breaker or a lease has stopped the canary
 *   holdback         percent, in force now
 *   elapsed, bake    seconds; the step's clock and how long it has to run
 *   warm             is the step's warm-up over
 *   deadline         {"elapsed", "seconds"}: seconds 0: none
 *   wait             nothing approval freeze unblock
 *   late, blocked, finished   booleans; block_reason: text or null
 *   transitions      number of the last one
 *   last_transition  ENTRY of kind "transition", or null
 *   pending          ["run_hook before_step", "set_weight", ...]: what is being carried out; error: why it fails, or null
 *   judgement        {"verdict", "reason", "text", "gate": name or null}, null unless a step is in force
 *   facts            {"canary_flows", "stable_flows", "min_flows", "stale", "flooded", "alone", "tripped",
 *                     "harm_log_e", "harm_bound", "sample_ratio_log_e", "sample_ratio_bound", "w"}
 *   gates            [GATE, ...]
 *   cohorts          {"canary": COHORT, "stable": COHORT}
 *   feedback         {"canary": {"words", "unhappy": clients, by their first bad word}, "stable": {...}, "unattributed":
 *                     words of clients whose cohort is not known} of the release
 *   plan             PLAN of the release, or the one that a start would take
 *
 * GATE      {"name", "type", "mode", "verdict", "reason", "text",
 *            "log_e", "bound", "w"          those that compare; else null
 *            "value", "min", "max"          those with a bound; null: none, or not known
 *            "canary": {"flows", "failures"}, "stable": {...}    events in the release, or null
 *            "age"                          seconds since an external gate's last answer; null}
 *           When the rollout has ended, verdict, reason, text and value are those that were recorded with its last
 *           transition, or null: nothing was judged then.
 * COHORT    {"flows", "failures", "failure_rate" (percent), "packets", "bytes", "drops", "handshake_p50",
 *            "handshake_p99", "response_p50", "response_p99" (ms or null)} of the step; packets, bytes and drops ever
 * PLAN      the keys of `rollout:` in the configuration, as text: it parses back. Each step with its "weight", "bake", ...
 * ENTRY     {"time", "kind", "release", "uid" (null: the daemon itself), and by kind:
 *            transition: "number", "before", "after", "step", "weight", "cause", "event": what was asked for
 *                        ("promote_full"), or happened ("tick"), or null: an older version wrote it, "forced_weight":
 *                        that somebody set past the rollout, or null, "judgement": as above, or null; of a trip of the
 *                        breaker with "breaker": {"rule": "relative" | "absolute", "sum", "limit", "flows": {"stable",
 *                        "canary"}, "failures": {"stable", "canary"}}
 *            verdict:    "step", "gate", "verdict", "reason", "canary_flows", "canary_failures", "stable_flows",
 *                        "stable_failures", "log_e", "w", "text": what a command, a webhook or a query said with it, or
 *                        null, "value": that was held against a bound, or null
 *            feedback:   "client", "cohort", "verdict", "note"
 *            block:      "blocked", "reason"}
 * CURVE     {"time": [s since 1970], "seconds": [that each point is of], "weight": [percent that held], "canary": {"flows": [],
 *            "finished": [] and "failures": [] of those that are watched, "drops": [] packets, "handshake_p50": [],
 *            "handshake_p90": [], "handshake_p99": [] ms of the last five to ten seconds or null}, "stable": {...},
 *            "gates": [{"name", "bound", "log_e": []}, ...]}: lists of equal length, CURVE_POINTS at most. Nothing is kept of
 *            a warm-up when the daemon ends
 * STREAM    events, each with JSON: "services" {"services": [{"service", "state"}, ...]}, "status" STATUS, "health" as of
 *            /v1/health, "backends" {"backends": [{"backend", "cohort", "weight", "draining", "flows": ever}, ...]} of the data
 *            plane, "entries" {"entries": [ENTRY, ...]}, the last transitions and blocks, "events" {"events": [...]}, the
 *            data plane's last ones, as of `canaryctl events --json`: each at first, and when it has
 *            changed; and each second "point", a CURVE of one point
 * EXPLANATION {"service", "release", "state", "cause", "gate": which decided or null, "text": a sentence,
 *            "gates": [{"name", "type", "mode", "log_e", "bound", "failed", "n": events, "canary": ..., "stable": ...,
 *                       "deciding": [{"time", "step", "w", "canary", "stable", "log_e"}, ...]: where ln E rose most,
 *                       "answers": [{"time", "step", "verdict", "reason", "text", "value", ...}, ...]: of a gate that
 *                       others answer or that has a bound, its last verdicts, each another than the one before}],
 *            "transitions": [ENTRY, ...], "steps": [{"step", "weight", "canary": {"flows", "failures"}, "stable": ...}]}
 */
#ifndef DAEMON_API_H
#define DAEMON_API_H

#include "io/http_server.h"

struct daemon;

/* For http_server_open(), with the daemon as its argument. */
extern const struct http_route api_routes[];

#endif
