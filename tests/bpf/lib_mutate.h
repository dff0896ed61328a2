/* SPDX-License-Identifier: Apache-2.0 */
/* Random packets: numbers from a seed, descriptions of packets around some services, and damage done to bytes. */
#ifndef LIB_MUTATE_H
#define LIB_MUTATE_H

#include "lib_packet.h"

void random_seed(__u64 seed);
unsigned random_below(unsigned n); /* 0..n-1 */
#define RANDOM_OF(list) ((list)[random_below(sizeof(list) / sizeof(*(list)))])

/* Random options, extension headers, tags, flags, sizes, hop limits: mostly plain, all of it sound. */
void random_details(struct spec *spec);

/* Flipped bits, lengths, cuts, tags, options: one of them. The packet keeps its buffer's room. */
void packet_mutate(struct packet *packet);

#endif
