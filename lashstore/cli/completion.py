"""
`lashstore completion`: a shell that completes commands, options and ids.
"""

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_LASHSTORE_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    r"""
    Print the script that completes lashstore's commands in SHELL: their names,
    options, files, and the ids of sessions.

    \b
    Examples:
      lashstore completion bash > ~/.local/share/bash-completion/completions/lashstore
      lashstore completion zsh > ~/.zfunc/_lashstore
      lashstore completion fish > ~/.config/fish/completions/lashstore.fish
      eval "$(lashstore completion bash)"
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101, click has the three
    made = kind(ctx.find_root().command, {}, "lashstore", _VARIABLE)
    try:
        script = made.source()
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    click.echo(script)
