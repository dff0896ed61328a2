/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A balancer of a test's own: a network namespace with two interfaces, a directory of pins of its own, and the real
 * programs attached. All of it goes when the process does, however it ends.
 *
 *   front  192.0.2.1/24 2001:db8:2::1/64   the default routes go here, to 192.0.2.254 and 2001:db8:2::fe
 *   back   10.0.0.1/24  2001:db8:10::1/64  10.9.0.0/24 is behind the router 10.0.0.254
 *
 * Hosts 11 to 16, 21 to 26 and 254 (0xfe) of each network are neighbours; 99 is not. 100.64.0.0/24 and 2001:db8:dead::/64
 * are unreachable.
 */
#ifndef LIB_ENV_H
#define LIB_ENV_H

/* Before cmocka.h, which makes fail() a macro. */
#include "dataplane/dataplane.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Clients and services of most tests, and the host 11 behind "back". */
#define CLIENT "198.51.100.7"
#define CLIENT6 "2001:db8:c::7"
#define VIP "203.0.113.10"
#define VIP6 "2001:db8:5::10"
#define BACK4 "10.0.0.11"
#define BACK6 "2001:db8:10::11"

enum side { FRONT, BACK, SIDES };

/* A service as a test writes it. Lists are separated by spaces. */
struct service {
	const char *name, *endpoint; /* endpoint with its port */
	int proto; /* 0: TCP */
	enum canary_forward forward;
	int gue_port; /* 0: the default */
	enum canary_affinity affinity;
	enum canary_track track;
	enum canary_overflow overflow;
	unsigned mss; /* as a service has it; 0: off */
	int weight; /* 1/100 percent, or WEIGHT_KEEP */
	unsigned idle_timeout; /* s; 0: the default */
	unsigned handshake_timeout; /* ms; 0: the default */
	bool no_breaker, no_observing;
	unsigned observe_cap; /* 1/100 percent; 0: the default */
	unsigned lease; /* s; 0: none */
	enum canary_on_expiry on_expiry;
	unsigned id_offset, id_length; /* affinity quic; length 0: the defaults of both */
	/* "10.0.0.11:8080 10.0.0.12:8080*3 !10.0.0.13:8080 10.0.0.14:8080#0a0b": weight 3, draining, server id */
	const char *stable, *canary;
	const char *segments; /* "198.51.100.0/24>canary" */
};

struct env {
	struct dataplane *dataplane;
	char dir[64];
	int program; /* canary_xdp */
	struct interface interfaces[SIDES];
	struct model model; /* as it is configured */
};
extern struct env env;

/* The running configuration becomes these services and no others. */
#define CONFIGURE(...)                                                                                                 \
	configure((const struct service[]){__VA_ARGS__},                                                               \
		  sizeof((const struct service[]){__VA_ARGS__}) / sizeof(struct service))
void configure(const struct service *services, size_t count);
/* The same without the check that somebody can have meant it: -errno of the commit. */
int try_configure(const struct service *services, size_t count, struct error *error);
/* The running configuration becomes this valid one. */
void configure_model(const struct model *model);
/* All flows go to the canary, and those that are elsewhere are reset after so many seconds, as `set-weight --reset` does it. */
void move_all_and_reset(int after);
/* The model that a description means, settled against `actual`; freed by the caller. */
void make_model(const struct service *services, size_t count, const struct model *actual, struct model *ret);
struct model read_model(void);
/* Reads the model again into env.model and writes the tunnels' sources. After every commit that a test makes by itself. */
void env_refresh(void);

/* What the kernel's guard of a service, of the service "web", has come to. */
struct guard guard_of(const char *service);
struct guard guard_now(void);

struct service_model *find_service(const char *name);
struct backend_model *find_backend(const char *service, const char *endpoint);
/* Where the configuration sends a flow: an endpoint's index in the model; the flow's choice without any memory. */
const struct backend_model *chosen(const char *service, const char *client, int client_port, int port);
/* The first client port from `from` on, whose flow the configuration gives to this backend. */
int port_for(const char *service, const char *client, const char *endpoint, int from);

struct canary_addr make_addr(const char *text);
/* fd of a pinned object; the test fails if there is none. */
int open_pin(const char *name);
/* A part of `tables`, at an offset in struct canary_tables. */
void read_tables(size_t offset, void *ret, size_t size);
/* How many elements a pinned hash map has. */
unsigned map_count(const char *name, size_t key_size);
/* Calls for each flow of the table, with its shard's map. */
void each_flow(void (*call)(int map, const struct canary_flow_key *key, void *arg), void *arg);
/* How many flows are remembered: for good, while they open; and how many ways back of nat, of both kinds. */
unsigned established_flows(void);
unsigned opening_flows(void);
unsigned ways_back(void);

/* Programs and maps are brought up to date in place, as `upgrade` does. env.dataplane may be closed (NULL) before. */
void env_upgrade(void);
/* The interface's record says that senders may leave checksums to us. */
void set_partial_checksums(enum side side, bool partial);
/* Runs a program with words separated by single spaces; the test fails if it does. */
void run_command(const char *words);

/*
 * A test's set-up: a data plane of its own, with no service and no flow. May be called again within a test. *state is the
 * test's name: what it shows of a case is recorded under it (lib_shown.h).
 */
int env_fresh(void **state);
/* Runs a group in a child; the parent tidies up after it. Without root all are skipped. For main() to return. */
int env_main(const char *name, const struct CMUnitTest *tests, size_t count);
/* The same for what is no test: returns what run() does in the child; a failed assertion ends it with its text. As root. */
int env_run(const char *name, int (*run)(void *arg), void *arg);
#define TEST(name) cmocka_unit_test_prestate_setup_teardown(name, env_fresh, NULL, (void *)#name)
#define RUN(tests) env_main(__FILE__, tests, sizeof(tests) / sizeof(*(tests)))

#endif
