"""`likeness completion bash|zsh|fish`: a script that completes the commands, and every option of `compare-faces`.

    source <(likeness completion bash)                                    in ~/.bashrc
    likeness completion zsh > "${fpath[1]}/_likeness"                     once
    likeness completion fish > ~/.config/fish/completions/likeness.fish   once

The scripts are generated from the table of options and contain all of it, so that completion does not start Python.
"""

from collections.abc import Sequence

from likeness.cli.exit_codes import USAGE_ERROR
from likeness.cli.options import OPTIONS, Option
from likeness.cli.streams import say

SHELLS = ("bash", "zsh", "fish")

#: What may precede the name of a file, by the kind of the option's value.
_FILE_PREFIX = {"bytes": "fileb://", "image": "file://", "document": "file://", "file": ""}


def main(argv: Sequence[str]) -> int:
    """Prints the script for the shell named in `argv`; returns the exit code."""
    if list(argv) in (["--help"], ["-h"], ["help"]):
        print(f"usage: likeness completion {'|'.join(SHELLS)}\n\n{__doc__}")
        return 0
    if len(argv) != 1 or argv[0] not in SHELLS:
        say(f"likeness completion: name one shell of {', '.join(SHELLS)}")
        return USAGE_ERROR
    print(script(argv[0]), end="")
    return 0


def script(shell: str) -> str:
    """The completion script of `shell`, one of SHELLS."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _commands() -> dict[str, str]:
    from likeness.cli.main import COMMANDS, available

    return {name: COMMANDS[name][1] for name in available()}


_BASH_FILES = r"""# bash completion of likeness; source it.
_likeness_files() {
    # Names of files after a prefix such as fileb://. Bash splits words at colons, so what is before the last colon is
    # on the line already and must not be inserted again.
    local prefix=$1 current=$2 name
    if [[ -n $prefix && $current != "$prefix"* ]]; then
        [[ $prefix == "$current"* ]] && COMPREPLY=("$prefix") && compopt -o nospace 2>/dev/null
    else
        compopt -o nospace 2>/dev/null
        while IFS= read -r name; do
            if [[ -d $name ]]; then name=$(printf %q "$name")/; else name="$(printf %q "$name") "; fi
            COMPREPLY+=("$prefix$name")
        done < <(compgen -f -- "${current#"$prefix"}")
    fi
}
"""


def _bash() -> str:
    cases = "\n".join(
        f"            {option.flag}) {_bash_value(option)} ;;" for option in OPTIONS if option.takes_value
    )
    return f"""{_BASH_FILES}
_likeness() {{
    local line="${{COMP_LINE:0:COMP_POINT}}" current previous words
    read -ra words <<< "$line"
    if [[ $line == *[[:space:]] ]]; then current=""; else current="${{words[-1]}}"; unset 'words[-1]'; fi
    previous="${{words[-1]}}"
    COMPREPLY=()
    if (( ${{#words[@]}} <= 1 )); then
        COMPREPLY=($(compgen -W "{" ".join(_commands())} --version --help" -- "$current"))
        return
    fi
    if [[ ${{words[1]}} != compare-faces ]]; then
        case ${{words[1]}} in
            completion) COMPREPLY=($(compgen -W "{" ".join(SHELLS)}" -- "$current")) ;;
            *) compopt -o default 2>/dev/null ;;
        esac
        return
    fi
    if [[ $current != -* || $previous == --cli-input-json ]]; then
        case $previous in
{cases}
            *) COMPREPLY=($(compgen -W "{_flags()} help" -- "$current")) ;;
        esac
    else
        COMPREPLY=($(compgen -W "{_flags()}" -- "$current"))
    fi
    # Readline replaces only what follows the last colon or equals sign.
    local break="${{current%"${{current##*[:=]}}"}}" at
    if [[ -n $break && $COMP_WORDBREAKS == *[:=]* ]]; then
        for at in "${{!COMPREPLY[@]}}"; do COMPREPLY[at]="${{COMPREPLY[at]#"$break"}}"; done
    fi
}}
complete -o nosort -F _likeness likeness 2>/dev/null || complete -F _likeness likeness
"""


def _bash_value(option: Option) -> str:
    if option.choices:
        return f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$current"))'
    if option.kind in _FILE_PREFIX:
        return f'_likeness_files "{_FILE_PREFIX[option.kind]}" "$current"'
    return ":"


def _flags() -> str:
    return " ".join(option.flag for option in OPTIONS)


def _zsh() -> str:
    commands = "\n".join(f"        {_quoted(f'{name}:{about}')}" for name, about in _commands().items())
    options = " \\\n".join(f"            {_zsh_argument(option)}" for option in OPTIONS)
    return f"""#compdef likeness
# zsh completion of likeness; put it into a folder of $fpath as _likeness.
_likeness_files() {{
    # Names of files after a prefix such as fileb://.
    local prefix=$1
    if [[ -n $prefix && $PREFIX != "$prefix"* ]]; then
        compadd -S '' -- "$prefix"
    else
        [[ -n $prefix ]] && compset -P "$prefix"
        _files
    fi
}}

_likeness() {{
    local -a commands=(
{commands}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    case $words[2] in
        compare-faces)
            shift words
            (( CURRENT-- ))
            _arguments \\
{options}
            ;;
        completion) compadd {" ".join(SHELLS)} ;;
        *) _files ;;
    esac
}}
if [[ $funcstack[1] == _likeness ]]; then _likeness "$@"; else compdef _likeness likeness; fi
"""


def _zsh_argument(option: Option) -> str:
    about = option.summary.replace("[", "(").replace("]", ")").replace(":", " -")
    if not option.takes_value:
        return _quoted(f"{option.flag}[{about}]")
    if option.choices:
        action = f"({' '.join(option.choices)})"
    elif option.kind in _FILE_PREFIX:
        prefix = _FILE_PREFIX[option.kind].replace(":", "\\:")
        # The space before it keeps zsh from adding arguments.
        action = f' _likeness_files "{prefix}"'
    else:
        action = " "
    return _quoted(f"{option.flag}[{about}]:{option.name}:{action}")


def _fish() -> str:
    lines = ["# fish completion of likeness; put it into ~/.config/fish/completions/likeness.fish."]
    lines += [_FISH_FILES]
    for name, about in _commands().items():
        lines.append(f"complete -c likeness -n __fish_use_subcommand -f -a {name} -d {_quoted(about)}")
    lines.append(f"complete -c likeness -n '__fish_seen_subcommand_from completion' -f -a '{' '.join(SHELLS)}'")
    lines += [_fish_option(option) for option in OPTIONS]
    return "\n".join(lines) + "\n"


_FISH_FILES = """function __likeness_files
    # Names of files after a prefix such as fileb://.
    set -l current (commandline -ct)
    if string match -q -- "$argv[1]*" "$current"
        set -l path (string replace -- "$argv[1]" "" "$current")
        for name in (__fish_complete_path "$path" | string replace -r '\\t.*' '')
            echo "$argv[1]$name"
        end
    else
        echo "$argv[1]"
    end
end"""


def _fish_option(option: Option) -> str:
    line = f"complete -c likeness -n '__fish_seen_subcommand_from compare-faces' -l {option.name}"
    if not option.takes_value:
        value = " -f"
    elif option.choices:
        value = f" -x -a '{' '.join(option.choices)}'"
    elif option.kind == "file":
        value = " -r -F"
    elif option.kind in _FILE_PREFIX:
        value = f" -x -a '(__likeness_files {_FILE_PREFIX[option.kind]})'"
    else:
        value = " -x"
    return f"{line}{value} -d {_quoted(option.summary)}"


def _quoted(text: str) -> str:
    """`text` in single quotes for a shell."""
    return "'" + text.replace("'", "'\\''") + "'"
