# SPDX-License-Identifier: Apache-2.0
#
# Reads tests/data/packet-cases and tests/data/packets-shown. what=table: prints the man page's table; what=gaps: what no test
# shows, and fails if there is any.

BEGIN {
	mode_count = split("nat l2 ipip gue", modes)
	split("request reply", directions)
}

FNR == NR && /^ *[0-9]/ {
	split($0, field, / *\| */)
	n = field[1] + 0
	numbers[++count] = n
	families_of[n] = field[2]
	modes_of[n] = field[3]
	directions_of[n] = field[4]
	title_of[n] = field[5]
	next
}

# TEST CASE MODE FAMILY DIRECTION OUTCOME
FNR != NR {
	n = substr($2, 5, 2) + 0
	mode = modes_of[n] == "none" ? "none" : $3
	seen[n, mode, $4, $5] = 1
	used[mode] = 1
	row = n SUBSEP $5
	if (!((row, $6) in rows)) {
		rows[row, $6] = 1
		outcomes[row] = outcomes[row] " " $6
	}
	cells[row, $6, mode, $4] = 1
}

# forwarded, passed, answered, then what is dropped.
function ordered(list,    words, n, i, rest, text) {
	n = split(list, words, " ")
	text = ""
	rest = ""
	for (i = 1; i <= n; i++)
		if (words[i] !~ /^dropped/)
			text = text " " words[i]
		else
			rest = rest " " words[i]
	return text rest
}

function sorted(list,    words, n, i, j, swap, text) {
	n = split(list, words, " ")
	for (i = 1; i < n; i++)
		for (j = i + 1; j <= n; j++)
			if (words[j] < words[i]) {
				swap = words[i]; words[i] = words[j]; words[j] = swap
			}
	text = ""
	for (i = 1; i <= n; i++)
		text = text " " words[i]
	return text
}

function families(row, outcome, mode,    text) {
	text = (row, outcome, mode, "v4") in cells ? "4 " : "  "
	return text ((row, outcome, mode, "v6") in cells ? "6" : " ")
}

# Nothing, if that was seen only of packets that are for no service.
function row_text(n, direction, outcome,    i, mode, text, line) {
	for (i = 1; i <= mode_count; i++) {
		mode = modes_of[n] == "none" ? "none" : modes[i]
		if (modes[i] in used)
			line = line "   " families(n SUBSEP direction, outcome, mode)
	}
	sub(/ +$/, "", line)
	text = outcome
	sub(/:/, ": ", text)
	return line ? sprintf("    %-34s%s\n", (direction == "reply" ? "reply " : "") text, line) : ""
}

function table(    c, n, d, i, words, total, line, text) {
	line = sprintf("%38s", "")
	for (i = 1; i <= mode_count; i++)
		if (modes[i] in used)
			line = line sprintf("%6s", modes[i])
	print line
	for (c = 1; c <= count; c++) {
		n = numbers[c]
		text = ""
		for (d = 1; d <= 2; d++) {
			total = split(ordered(sorted(outcomes[n SUBSEP directions[d]])), words, " ")
			for (i = 1; i <= total; i++)
				text = text row_text(n, directions[d], words[i])
		}
		if (text)
			printf "%s\n%s", title_of[n], text
	}
}

function gaps(    c, n, f, m, d, family_list, mode_list, direction_list, missing) {
	for (c = 1; c <= count; c++) {
		n = numbers[c]
		split(families_of[n], family_list, " ")
		split(modes_of[n] == "all" ? "nat l2 ipip" ("gue" in used ? " gue" : "") : modes_of[n], mode_list, " ")
		split(directions_of[n], direction_list, " ")
		for (f in family_list)
			for (m in mode_list)
				for (d in direction_list)
					if (!((n, mode_list[m], family_list[f], direction_list[d]) in seen) && \
					    (direction_list[d] == "request" || mode_list[m] == "nat")) {
						printf "no test shows case %d (%s): %s %s %s\n", n, title_of[n], mode_list[m], \
							family_list[f], direction_list[d] | "sort"
						missing++
					}
	}
	close("sort")
	exit missing > 0
}

END {
	if (what == "gaps")
		gaps()
	else
		table()
}
