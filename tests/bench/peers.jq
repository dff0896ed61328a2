# SPDX-License-Identifier: Apache-2.0
# From the figures of all rounds to medians, and medians of each round's ratios to others, as a round's runs were close together.
# $cpu, $cpus, $kernel: the machine.

def median: sort | (.[length / 2 | floor] + .[(length - 1) / 2 | floor]) / 2;
def rates($peer): map(select(.peer == $peer).rate);

# The peers, as they take turns.
def peers: reduce .[].peer as $peer ([]; if index($peer) then . else . + [$peer] end);

# How many times the rate of OTHER.
def times($peer; $other): [rates($peer), rates($other)] | transpose | map(.[0] / .[1]) | median;

def row($peer):
	map(select(.peer == $peer)) as $own
	| rates($peer) as $rates
	| peers as $peers
	| . as $all
	| {
		part: $own[0].part,
		flows: $own[0].flows,
		peer: $peer,
		rounds: ($rates | length),
		median: ($rates | median),
		min: ($rates | min),
		max: ($rates | max),
		sent: ($own | map(.sent) | add),
		arrived: ($own | map(.arrived) | add),
		times: ($peers | map(. as $other | {key: $other, value: ($all | times($peer; $other))}) | from_entries),
	};

{
	machine: {cpu: $cpu, cpus: $cpus, kernel: $kernel},
	rows: (group_by([.part, .flows]) | map(. as $all | peers | map(. as $peer | $all | row($peer))) | add),
}
