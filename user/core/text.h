/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between text and values: addresses, ports, prefixes, weights, and the names of enums. Used by the YAML reader, the
 * command line and the views alike, so that all of them accept and print the same.
 *
 * Parsers return 0, or -EINVAL with *ret untouched. They take the whole text or nothing: no surrounding space, no
 * trailing rubbish, no octal, no signs, no exponents.
 */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "core/model.h"

#define ADDR_TEXT_LEN 64 /* an address, "[address]:port" or "address/length" with its zero */

/* "10.0.0.1", "2001:db8::1". -EAFNOSUPPORT, here and below: an IPv4-mapped IPv6 address, to be written as IPv4. */
int parse_addr(const char *text, struct canary_addr *ret);
int parse_port(const char *text, int *ret); /* 0..65535 */
/* "10.0.0.1:80", "[2001:db8::1]:80"; without a port *ret_port is PORT_DEFAULT. An IPv6 address without a port may stand bare. */
int parse_endpoint(const char *text, struct canary_addr *ret_addr, int *ret_port);
/* "198.51.100.0/24", "2001:db8::/32", an address alone is one host; *ret_len is of 128. -ERANGE: bits beyond the prefix are set. */
int parse_prefix(const char *text, struct canary_addr *ret_addr, unsigned *ret_len);
int parse_weight(const char *text, int *ret); /* "5", "12.5", "0.01": percent with at most two decimals -> 0..10000 */
int parse_unsigned(const char *text, unsigned min, unsigned max, unsigned *ret);
/* "10", "1.5", "0.01": at most two decimals, in hundredths; so are min and max. */
int parse_hundredths(const char *text, unsigned min, unsigned max, unsigned *ret);
#define HUNDREDTHS_TEXT_LEN 16
const char *format_hundredths(unsigned hundredths, char buf[HUNDREDTHS_TEXT_LEN]); /* "10", "1.5": parses back */
int parse_bool(const char *text, bool *ret); /* true, false */

/* "90", "90s", "15m", "1h30m", "7d", in seconds: a number alone is seconds; units from the largest, each at most once. */
int parse_duration(const char *text, unsigned min, unsigned max, unsigned *ret);
#define DURATION_TEXT_LEN 24
const char *format_duration(unsigned seconds, char buf[DURATION_TEXT_LEN]); /* "1h30m", "24h": no days; parses back */
/* The same in ms: "500ms", or as above. */
int parse_milliseconds(const char *text, unsigned min, unsigned max, unsigned *ret);
const char *format_milliseconds(unsigned ms, char buf[DURATION_TEXT_LEN]); /* "500ms", "3s": parses back */
/* TCP's maximum segment size: "auto", "off" or bytes, as service_model has it. */
int parse_mss(const char *text, unsigned *ret);
#define MSS_TEXT_LEN 12
const char *format_mss(unsigned mss, char buf[MSS_TEXT_LEN]);
/* Letters, digits, '-', '_', '.', beginning with a letter or digit, at most CANARY_NAME_LEN - 1: safe in paths and URLs. */
bool name_is_valid(const char *text);

const char *format_addr(const struct canary_addr *addr, char buf[ADDR_TEXT_LEN]);
const char *format_endpoint(const struct canary_addr *addr, int port, char buf[ADDR_TEXT_LEN]); /* brackets for IPv6 */
const char *format_prefix(const struct canary_addr *addr, unsigned prefix_len, char buf[ADDR_TEXT_LEN]);

/* Enums: each has one table of names. parse_* return -EINVAL for an unknown name; *_name never return NULL. */
int parse_proto(const char *text, int *ret); /* tcp, udp */
int parse_cohort(const char *text, enum canary_cohort *ret);
int parse_forward(const char *text, enum canary_forward *ret);
int parse_affinity(const char *text, enum canary_affinity *ret);
int parse_track(const char *text, enum canary_track *ret);
int parse_overflow(const char *text, enum canary_overflow *ret); /* other, drop */
int parse_on_expiry(const char *text, enum canary_on_expiry *ret); /* stable, hold */
const char *proto_name(int proto);
const char *cohort_name(enum canary_cohort cohort);
const char *forward_name(enum canary_forward forward);
const char *affinity_name(enum canary_affinity affinity);
const char *track_name(enum canary_track track);
const char *overflow_name(enum canary_overflow overflow);
const char *on_expiry_name(enum canary_on_expiry on_expiry);
const char *stop_reason_name(enum canary_stop_reason reason); /* none, relative, absolute, lease */
const char *event_type_name(enum canary_event_type type); /* as in the list in events.h */
/* "nat, l2, ipip or gue": the names a message offers. */
const char *cohort_names(void);
const char *forward_names(void);
const char *affinity_names(void);
const char *track_names(void);
const char *overflow_names(void);
const char *on_expiry_names(void);

/* The threshold in 1/65536 that a weight in 1/100 percent means: rounded to nearest, but never to "none" or "all" unless asked. */
__u32 weight_threshold(int weight);

#endif
