#compdef shoal
# zsh completion for shoal. Try it with: source <(shoal completion zsh), after compinit.
# Keep it as a file _shoal in a directory of $fpath.
_shoal() {
	local line files
	local -a before found
	before=("${(@Q)words[2,CURRENT-1]}")
	for line in "${(@f)$("${(Q)words[1]}" completion words -- "${before[@]}" "=${(Q)PREFIX}" 2>/dev/null)}"; do
		case $line in
		'') ;;
		:files) files=yes ;;
		*) found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
		esac
	done
	(( ! $#found )) || _describe -V shoal found
	[[ -z $files ]] || _files
}
(( $+functions[compdef] )) && compdef _shoal shoal
# Loaded from $fpath this file is the function itself.
[[ $funcstack[1] != _shoal ]] || _shoal "$@"
