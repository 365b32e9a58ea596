"""`rw completion`: the script that completes commands, options and names in bash, zsh or fish."""

import click


@click.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    r"""Print the script that completes `rw` in SHELL.

    \b
    Examples:
      rw completion bash >> ~/.bashrc
      rw completion zsh  >> ~/.zshrc
      rw completion fish >  ~/.config/fish/completions/rw.fish
    """
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    assert completer is not None
    maker = completer(ctx.find_root().command, {}, "rw", "_RW_COMPLETE")
    # `maker.source()` would ask bash for its version, which a machine that only makes the script need not have.
    click.echo(maker.source_template % maker.source_vars())
