# bash completion for canaryctl                            -*- shell-script -*-
# SPDX-License-Identifier: Apache-2.0
# What may come next, canaryctl itself says.

_canaryctl() {
	local line words=("${COMP_WORDS[@]:1:COMP_CWORD}")
	COMPREPLY=()
	while IFS= read -r line; do
		if [[ $line == :files ]]; then
			mapfile -t COMPREPLY < <(compgen -f -- "${words[-1]}")
			compopt -o filenames
			return
		fi
		COMPREPLY+=("${line%%$'\t'*}")
	done < <("${COMP_WORDS[0]}" complete -- "${words[@]}" 2>/dev/null)
}
complete -F _canaryctl canaryctl
