/* SPDX-License-Identifier: Apache-2.0 */
/* What `canaryctl doctor` looks at, in this order: the functions, the names in text and JSON, and the help come from it. */
#ifndef CLI_DOCTOR_CHECKS_H
#define CLI_DOCTOR_CHECKS_H

/* X(name, help) */
#define DOCTOR_CHECKS(X)                                                                                               \
	X(kernel, "is Linux 6.1 or later")                                                                             \
	X(btf, "has the kernel type information (BTF), without which the program is not loaded")                       \
	X(jit, "are BPF programs compiled, or interpreted, which is slow")                                             \
	X(bpf_stats, "does the kernel time every run of a program, which costs more than the run")                     \
	X(clock, "is the clock set and synchronised: times and freeze windows go by it")                               \
	X(capabilities, "may the caller do what commands do")                                                          \
	X(pins, "is there a bpf file system, and are the pins in it readable, of this version and nobody else's")      \
	X(keys, "is the key file for its owner alone: who reads it can choose its cohort")                             \
	X(sweeper, "does the timer in the kernel tick, which closes windows and checks leases")                        \
	X(daemon, "does canaryd answer, where a rollout needs it")                                                     \
	X(announcement, "is this host drained, and has BIRD its routes, where canaryctl writes them")                  \
	X(interfaces, "is each one up, with a carrier, and as it was when it was attached")                            \
	X(mode, "does XDP run in the driver (native) or in the stack (generic), which is slower")                      \
	X(programs, "which other XDP programs are there")                                                              \
	X(queues, "do as many queues receive as there are CPUs (RSS)")                                                 \
	X(offloads, "does the device merge packets (LRO, in generic mode GRO) or take off VLAN tags that are needed")  \
	X(losses, "do packets get lost in drivers after the program has sent them on")                                 \
	X(forwarding, "may the kernel forward, without which it gives no routes; on a backend, may it not")            \
	X(rp_filter, "does a strict reverse path filter drop what goes up the stack")                                  \
	X(routes, "is there a way to each backend that fits the way of forwarding, and in nat one back")               \
	X(neighbours, "are the link-layer addresses of the backends' next hops known")                                 \
	X(mtu, "do packets as large as clients send fit on their way to the backends, with the tunnel's header")       \
	X(addresses, "who answers ARP or neighbour discovery for the services' addresses, or do routers send them "    \
		     "here")

#endif
