# etc/completion/tassis.bash: bash's completion for tassis(8), which itself says how a command line may go on.
_tassis()
{
	local line=${COMP_LINE:0:COMP_POINT} typed before status words word
	COMPREPLY=()
	# bash cuts words at '@', ':' and '='; an address is one.
	read -ra words <<<"$line"
	[[ $line != *[[:space:]] ]] || words+=("")
	typed=${words[-1]}
	before=${typed%"${typed##*[@:=]}"}
	[[ $COMP_WORDBREAKS == *@* ]] || before=
	words=("$("$1" complete -- "${words[@]:1}" 2>/dev/null)" $?)
	status=${words[-1]}
	while IFS= read -r word; do
		word=${word#"$before"}
		[[ -z $word ]] || COMPREPLY+=("${word//\*/\\*}")
	done <<<"${words[0]}"
	[[ $status != 10 ]] || compopt -o default 2>/dev/null
}
complete -F _tassis tassis
