/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: the parsing, the usage lines and the help come from it. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

static const struct command steering_commands[] = {
	{
		.name = "attach",
		TAKES("IFACE...", 1, -1),
		.options = OPT(MODE) | OPT(CHAIN) | OPT(PRIORITY) | OPT(FILE) | OPT(SOCKET) | OPT(MAX_FLOWS),
		.summary = "attach to interfaces, so that packets are steered",
		.details = "All of the interfaces or none. It stays attached when the command has ended. With -f the "
			   "file is applied first. An interface that has an XDP program is refused; with --chain, "
			   "programs that libxdp attached stay, and see packets before this one or after it.",
		.examples = EXAMPLES("canaryctl attach eth0", "canaryctl attach eth0 eth1 --mode native -f web.yaml",
				     "canaryctl attach eth0 --chain"),
		.run = cmd_attach,
	},
	{
		.name = "detach",
		TAKES("[IFACE...]", 0, -1),
		.options = OPT(ALL),
		.summary = "detach from interfaces; the services stay",
		.examples = EXAMPLES("canaryctl detach eth0", "canaryctl detach --all"),
		.run = cmd_detach,
	},
	{
		.name = "apply",
		.arguments = "",
		.options = OPT(FILE) | OPT(DRY_RUN) | OPT(FORCE) | OPT(SOCKET) | OPT(MAX_FLOWS) | OPT(FLEET) |
			   OPT(IF_CHANGE),
		.required = OPT(FILE),
		.summary = "make the running state what a file says",
		.details = "Prints the operations. All of them are done, or none. A service without `weight` in the "
			   "file keeps the weight it has, as does one whose weight a rollout owns; services that the "
			   "file does not name are deleted, so one that "
			   "is renamed is deleted and added.",
		.examples = EXAMPLES("canaryctl apply -f web.yaml --dry-run", "canaryctl apply -f web.yaml"),
		.run = cmd_apply,
	},
	{
		.name = "set-weight",
		TAKES("PERCENT", 1, 1),
		.options = OPT(SERVICE) | OPT(LEASE) | OPT(NEW_SALT) | OPT(RESET) | OPT(DRAIN) | OPT(FORCE) |
			   OPT(SOCKET) | OPT(FLEET) | OPT(IF_CHANGE),
		.summary = "set the share of new flows that the canary gets",
		.details =
			"PERCENT is 0 to 100 with at most two decimals. Established flows stay where they are, unless "
			"--reset or --drain ends those (TCP) that are elsewhere than the new weight has them. It is a "
			"new assignment: what a tripped breaker or an expired lease took from the canary, it gives "
			"back. With --lease the canary loses its new flows again unless lease renew is run in time. "
			"A weight that a rollout owns is set only with --force, which pauses the rollout.",
		.examples = EXAMPLES("canaryctl set-weight 5", "canaryctl set-weight 12.5 --service web --new-salt",
				     "canaryctl set-weight 25 --lease 30s", "canaryctl set-weight 0 --drain 5m"),
		.run = cmd_set_weight,
	},
	{
		.name = "stop",
		.arguments = "",
		.options = OPT(RESET) | OPT(DRAIN),
		.summary = "every service's canary to 0, now",
		.details = "The canary's connections live on, unless --reset or --drain ends them (TCP).",
		.examples = EXAMPLES("canaryctl stop", "canaryctl stop --reset"),
		.run = cmd_stop,
	},
	{
		.name = "lease renew",
		.arguments = "",
		.options = OPT(SERVICE) | OPT(LEASE),
		.summary = "let the canary keep its weight for longer",
		.details =
			"From now on for the time that set-weight gave, or --lease. Too late, it changes nothing and "
			"fails: only a new set-weight helps then, as after a trip of the breaker.",
		.examples = EXAMPLES("canaryctl lease renew", "canaryctl lease renew --service web --lease 1m"),
		.run = cmd_lease_renew,
	},
	{
		.name = "stats",
		.arguments = "",
		.options = OPT(SERVICE) | OPT(WATCH) | OPT(FLEET) | OPT(SOCKET),
		.summary = "what each cohort, backend and interface got, and how connections fared",
		.examples = EXAMPLES("canaryctl stats", "canaryctl stats --service web --watch 5",
				     "canaryctl stats --json | jq '.services[0].cohorts.canary.flows'"),
		.run = cmd_stats,
	},
	{
		.name = "top",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(INTERVAL) | OPT(COUNT) | OPT(SOCKET),
		.summary = "a service's cohorts side by side, live, with the last minute",
		.details = "On a terminal: q quits; tab, the arrows and 1 to 9 choose the service. Elsewhere text, one "
			   "block "
			   "an interval.",
		.examples = EXAMPLES("canaryctl top", "canaryctl top web --interval 5",
				     "canaryctl top web --count 12 --interval 5 >web.txt"),
		.run = cmd_top,
	},
	{
		.name = "events",
		.arguments = "",
		.options = OPT(SERVICE) | OPT(FOLLOW),
		.summary = "what happened: weights, trips, leases, backends, windows",
		.details = "The last 4096 are kept. Reading does not take them away.",
		.examples = EXAMPLES("canaryctl events", "canaryctl events --follow --service web",
				     "canaryctl events --json | jq 'select(.type == \"breaker_tripped\")'"),
		.run = cmd_events,
	},
	{
		.name = "capture",
		TAKES("[SERVICE]", 0, 1),
		.options = OPT(COHORT) | OPT(SAMPLE) | OPT(COUNT) | OPT(SNAPLEN) | OPT(MAX_RATE) | OPT(DURATION) |
			   OPT(UNMATCHED) | OPT(WRITE),
		.summary = "packets of a cohort, with what becomes of each and why",
		.details =
			"A line for each, or with -w a file: a packet as it came and, where it was sent on, as it "
			"left, "
			"with cohort, backend, verdict and reason as its comment. It costs packets nothing while "
			"nobody "
			"captures, and is bounded while somebody does: at most --max-rate are delivered, and 100000 a "
			"second and CPU looked at. How many are missing is told at the end, on stderr.",
		.examples = EXAMPLES("canaryctl capture web --cohort canary --count 20",
				     "canaryctl capture --cohort canary --sample 100 --duration 1m -w canary.pcapng",
				     "canaryctl capture -w - | tcpdump -n -r -",
				     "canaryctl capture --json | jq 'select(.verdict == \"dropped\")'"),
		.run = cmd_capture,
	},
	{
		.name = "status",
		.arguments = "",
		.options = OPT(FLEET) | OPT(SOCKET),
		.summary = "where it is attached, program, services, windows, breakers, leases",
		.details = "Exit code 1 where the sweeper in the kernel has stopped.",
		.examples = EXAMPLES("canaryctl status", "canaryctl status --json"),
		.run = cmd_status,
	},
	{
		.name = "doctor",
		TAKES("[IFACE...]", 0, -1),
		.options = OPT(SOCKET),
		.summary = "what is not as it should be on this host, and what to do about it",
		.details =
			"Of the interfaces that are attached, or of those that are named. Changes nothing. Exit code 1 "
			"where there are problems; warnings are none.",
		.examples = EXAMPLES("canaryctl doctor", "canaryctl doctor eth0 eth1",
				     "canaryctl doctor --json | jq '.checks[] | select(.state == \"problem\")'"),
		.run = cmd_doctor,
	},
	{
		.name = "service add",
		TAKES("NAME PROTO ADDRESS:PORT", 3, 3),
		.options = OPT(FORWARD) | OPT(GUE_PORT) | OPT(AFFINITY) | OPT(ID_OFFSET) | OPT(ID_LENGTH) | OPT(TRACK) |
			   OPT(OVERFLOW) | OPT(MSS) | OPT(IDLE_TIMEOUT) | OPT(MAX_WINDOW),
		.summary = "add a service: an address, protocol and port to answer for",
		.details = "PROTO is tcp or udp; port 0 is every port.",
		.examples = EXAMPLES("canaryctl service add web tcp 203.0.113.10:80",
				     "canaryctl service add dns udp '[2001:db8::1]:53' --forward l2 --affinity client",
				     "canaryctl service add mqtt tcp 203.0.113.10:8883 --idle-timeout 2h"),
		.run = cmd_service_add,
	},
	{
		.name = "service del",
		TAKES("NAME", 1, 1),
		.options = OPT(FORCE),
		.summary = "delete a service with its backends and segments",
		.examples = EXAMPLES("canaryctl service del web"),
		.run = cmd_service_del,
	},
	{
		.name = "service list",
		.arguments = "",
		.summary = "list the services",
		.examples = EXAMPLES("canaryctl service list --json"),
		.run = cmd_service_list,
	},
	{
		.name = "backend add",
		TAKES("SERVICE COHORT ADDRESS[:PORT]", 3, 3),
		.options = OPT(WEIGHT) | OPT(SERVER_ID),
		.summary = "add a backend, take a draining one back, change a weight or a server id",
		.details = "COHORT is stable or canary. The port is for nat; left out it is the service's.",
		.examples = EXAMPLES("canaryctl backend add web canary 10.0.0.21:8080",
				     "canaryctl backend add web stable 10.0.0.11:8080 --weight 2"),
		.run = cmd_backend_add,
	},
	{
		.name = "backend drain",
		TAKES("SERVICE ADDRESS[:PORT]", 2, 2),
		.summary = "let a backend keep its flows and get no new ones",
		.examples = EXAMPLES("canaryctl backend drain web 10.0.0.11:8080"),
		.run = cmd_backend_drain,
	},
	{
		.name = "backend del",
		TAKES("SERVICE ADDRESS[:PORT]", 2, 2),
		.options = OPT(FORCE),
		.summary = "delete a backend: its flows go to others",
		.examples = EXAMPLES("canaryctl backend del web 10.0.0.11:8080"),
		.run = cmd_backend_del,
	},
	{
		.name = "backend list",
		TAKES("[SERVICE]", 0, 1),
		.summary = "list the backends",
		.examples = EXAMPLES("canaryctl backend list web"),
		.run = cmd_backend_list,
	},
	{
		.name = "segment add",
		TAKES("SERVICE PREFIX COHORT", 3, 3),
		.summary = "pin the clients of a prefix to a cohort",
		.details = "The longest prefix that a client is in decides, before the weight does.",
		.examples = EXAMPLES("canaryctl segment add web 198.51.100.0/24 canary"),
		.run = cmd_segment_add,
	},
	{
		.name = "segment del",
		TAKES("SERVICE PREFIX", 2, 2),
		.summary = "unpin the clients of a prefix",
		.examples = EXAMPLES("canaryctl segment del web 198.51.100.0/24"),
		.run = cmd_segment_del,
	},
	{
		.name = "segment list",
		TAKES("[SERVICE]", 0, 1),
		.summary = "list the segments",
		.examples = EXAMPLES("canaryctl segment list"),
		.run = cmd_segment_list,
	},
	{
		.name = "flows list",
		.arguments = "",
		.options = OPT(SERVICE) | OPT(BACKEND) | OPT(COHORT),
		.summary = "list the flows that are remembered",
		.details =
			"Those that the configuration in force would choose otherwise; with nat and sticky UDP, all.",
		.examples = EXAMPLES("canaryctl flows list --backend 10.0.0.11", "canaryctl flows list --json"),
		.run = cmd_flows_list,
	},
	{
		.name = "flows count",
		.arguments = "",
		.options = OPT(SERVICE) | OPT(BACKEND) | OPT(COHORT),
		.summary = "how many are remembered of each backend",
		.examples = EXAMPLES("canaryctl flows count", "canaryctl flows count --service web --cohort canary"),
		.run = cmd_flows_count,
	},
	{
		.name = "flows flush",
		.arguments = "",
		.options = OPT(SERVICE) | OPT(BACKEND) | OPT(COHORT),
		.summary = "forget flows: their next packet is chosen for anew",
		.details = "Connections that are moved so break: another backend does not know them.",
		.examples = EXAMPLES("canaryctl flows flush --backend 10.0.0.11:8080",
				     "canaryctl flows flush --service web --cohort canary"),
		.run = cmd_flows_flush,
	},
	{
		.name = "explain",
		TAKES("CLIENT:PORT", 1, 1),
		.options = OPT(SERVICE) | OPT(PORT) | OPT(QUIC_ID),
		.summary = "where a client's flow goes, and why",
		.examples = EXAMPLES("canaryctl explain 198.51.100.7:40000",
				     "canaryctl explain '[2001:db8::7]:40000' --service web6",
				     "canaryctl explain 198.51.100.7:40000 --quic-id 070a00000b5f3c9e"),
		.run = cmd_explain,
	},
	{.then = cli_rollout_commands},
};

const struct command cli_program_commands[] = {
	{
		.name = "decap attach",
		TAKES("IFACE", 1, 1),
		.options = OPT(PORT) | OPT(MODE) | OPT(PEERS),
		.summary = "on a backend: take packets out of ipip and gue, with no tunnel device",
		.details = "Tunnels that end at an address of this host, as it has them now: run it again when they "
			   "have changed. It stays attached when the command has ended.",
		.examples = EXAMPLES("canaryctl decap attach eth0", "canaryctl decap attach eth0 --peers 10.0.0.0/24"),
		.run = cmd_decap_attach,
	},
	{
		.name = "decap detach",
		TAKES("IFACE", 1, 1),
		.summary = "leave tunnels to the kernel again",
		.examples = EXAMPLES("canaryctl decap detach eth0"),
		.run = cmd_decap_detach,
	},
	{
		.name = "decap status",
		.arguments = "",
		.summary = "where decap is attached, and what became of the packets",
		.examples = EXAMPLES("canaryctl decap status --json"),
		.run = cmd_decap_status,
	},
	{
		.name = "validate",
		TAKES("FILE", 1, 1),
		.summary = "check a configuration; needs no privileges",
		.examples = EXAMPLES("canaryctl validate web.yaml"),
		.run = cmd_validate,
	},
	{
		.name = "host drain",
		.arguments = "",
		.summary = "withdraw this host's routes: routers send its packets to others",
		.details = "Connections go on, here until routers have heard of it, then through others with the same "
			   "keys. It stays drained, also over a reboot, until host undrain.",
		.examples = EXAMPLES("canaryctl host drain"),
		.run = cmd_host_drain,
	},
	{
		.name = "host undrain",
		.arguments = "",
		.summary = "announce this host's routes again, if it can serve",
		.examples = EXAMPLES("canaryctl host undrain"),
		.run = cmd_host_undrain,
	},
	{
		.name = "host routes",
		TAKES("FILE|none", 1, 1),
		.options = OPT(BIRD),
		.summary = "write routes to the services' addresses for BIRD, from now on",
		.details = "BIRD's configuration has to include FILE. They come and go with the services, attach and "
			   "detach, and drain and undrain.",
		.examples = EXAMPLES("canaryctl host routes /run/canary/bird.conf"),
		.run = cmd_host_routes,
	},
	{
		.name = "host check",
		.arguments = "",
		.summary = "may this host be announced? For whatever announces it",
		.details = "Exit code 1 where it is drained, nothing is attached or the sweeper in the kernel has "
			   "stopped.",
		.examples = EXAMPLES("canaryctl host check && echo announce"),
		.run = cmd_host_check,
	},
	{
		.name = "host status",
		.arguments = "",
		.summary = "is this host drained, and which routes does BIRD have?",
		.examples = EXAMPLES("canaryctl host status --json | jq '.routes.count'"),
		.run = cmd_host_status,
	},
	{
		.name = "upgrade",
		.arguments = "",
		.summary = "replace the running program by this one's, in place",
		.details = "Interfaces, services, flows and counters stay as they are, and no packet is missed.",
		.examples = EXAMPLES("canaryctl upgrade"),
		.run = cmd_upgrade,
	},
	{
		.name = "complete",
		TAKES("-- WORD...", 0, -1),
		.summary = "what may come next on a command line, for shells",
		.examples = EXAMPLES("canaryctl complete -- rollout st"),
		.run = cmd_complete,
	},
	{
		.name = "version",
		.arguments = "",
		.summary = "the version of this program and of its data plane",
		.examples = EXAMPLES("canaryctl version --json"),
		.run = cmd_version,
	},
	{
		.name = "help",
		TAKES("[COMMAND]", 0, 2),
		.summary = "this list, or a command's options and examples",
		.examples = EXAMPLES("canaryctl help set-weight", "canaryctl help backend add"),
		.run = cmd_help,
	},
	{},
};

const struct command *command_next(const struct command *command)
{
	command = command ? command + 1 : steering_commands;
	return command->name ? command : command->then;
}

const struct command *command_find(const char *first, const char *second)
{
	char name[64];

	/* What is too long for a name is none. */
	if (snprintf(name, sizeof(name), "%s%s%s", first, second ? " " : "", second ? second : "") >= (int)sizeof(name))
		return NULL;
	for (const struct command *command = command_next(NULL); command; command = command_next(command)) {
		if (!strcmp(command->name, name))
			return command;
	}
	return NULL;
}
