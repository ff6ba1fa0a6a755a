# bash completion for shoal. Try it with: source <(shoal completion bash)
# Keep it with: shoal completion bash >~/.local/share/bash-completion/completions/shoal
_shoal() {
	local words=() word rest=${COMP_LINE:0:COMP_POINT} next piece keep line i
	# Bash breaks words at = : @ too; what stands without space between is one word.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		next=${rest#"${rest%%[![:space:]]*}"}
		((i < COMP_CWORD)) || word=$next # the last word as far as the cursor
		if ((${#words[@]})) && [[ $next == "$rest" ]]; then
			keep=${words[${#words[@]} - 1]}
		else
			keep= && words+=('')
		fi
		piece=${word//[\'\"\\]/}
		words[${#words[@]} - 1]=$keep$piece
		rest=${next#"$word"}
	done
	# Of a candidate bash wants only what comes in place of the last piece.
	[[ $piece != [=:@] ]] || keep=$keep$piece
	words[${#words[@]} - 1]="=${words[${#words[@]} - 1]}"
	COMPREPLY=()
	while IFS= read -r line; do
		if [[ $line == :files ]]; then
			compopt -o default 2>/dev/null || while IFS= read -r line; do
				COMPREPLY+=("$line")
			done < <(compgen -f -- "$piece")
		else
			line=${line%%$'\t'*}
			COMPREPLY+=("${line#"$keep"}")
		fi
	done < <("${COMP_WORDS[0]}" completion words -- "${words[@]:1}" 2>/dev/null)
}
complete -F _shoal shoal
