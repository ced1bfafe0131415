"""`pyupc completion`: scripts with which a shell completes pyupc's words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pyupc.cli.common.options import examples

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog=examples(
        "pyupc completion bash",
        "# mkdir -p ~/.local/share/bash-completion/completions",
        "# pyupc completion bash > ~/.local/share/bash-completion/completions/pyupc",
        '# pyupc completion zsh > "${fpath[1]}/_pyupc"',
        "# pyupc completion fish > ~/.config/fish/completions/pyupc.fish",
    )
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes pyupc's words in SHELL.

    \b
    Save it to a file that the shell reads when it starts, then open a new shell.
      bash  ~/.local/share/bash-completion/completions/pyupc; needs bash 4.4 and bash-completion.
            Without that: eval "$(pyupc completion bash)" in ~/.bashrc
      zsh   _pyupc in a folder of $fpath, before compinit is run
      fish  ~/.config/fish/completions/pyupc.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "pyupc", "_PYUPC_COMPLETE")
    # source() would check the version of this machine's bash.
    click.echo(script.source_template % script.source_vars())
