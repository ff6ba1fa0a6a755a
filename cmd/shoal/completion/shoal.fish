# fish completion for shoal. Try it with: shoal completion fish | source
# Keep it with: shoal completion fish >~/.config/fish/completions/shoal.fish
function __shoal_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct | string unescape)
    for line in (command $words[1] completion words -- $words[2..-1] "=$last" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path (commandline -ct)
        else
            printf '%s\n' $line
        end
    end
end
complete -c shoal -f -a '(__shoal_complete)'
